"""Writes the tables of the reference pages from the code: `python docs/make_reference.py`.

A page marks each table that is made: it stands between `<!-- NAME: made by docs/make_reference.py -->` and
`<!-- end of NAME -->`. Everything else in a page is written by hand. A test fails while a table is out of date.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer.main

from neuraxis import units
from neuraxis.cli import VERBS
from neuraxis.parameter import Parameter
from neuraxis.scenario import format as form

FOLDER: Final = Path(__file__).parent / "reference"

TITLES: Final = {
    "": "At the top of the file",
    "scenario": "`[scenario]`",
    "run": "`[run]`",
    "resources.NAME": "`[resources.NAME]`",
    "actors.NAME": "`[actors.NAME]`",
    "channels[]": "`[[channels]]`",
    "inputs[]": "`[[inputs]]`",
    "expect.FIGURE": "`[expect]` and `[always]`",
}
"""The title of each section. `[always]` has the keys of `[expect]`."""

REQUIRED: Final = {
    "": ("neuraxis",),
    "scenario": ("until",),
    "resources.NAME": ("path", "sha256"),
    "actors.NAME": ("kind",),
    "channels[]": ("from", "to"),
    "inputs[]": ("to", "value"),
}
"""Keys that must be there; a test takes each of them away."""

OF_ANY_KIND: Final = ("value", "equals")


def row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def table(head: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    return "\n".join([row(head), "|" + "---|" * len(head), *map(row, rows)])


# ---------------------------------------------------------------------------------- scenario


def keys() -> str:
    """Return a table for each section of a scenario file."""
    parts = []
    for place, title in TITLES.items():
        rows = [
            (f"`{key}`", _kind(key, declared), _default(key, declared, key in REQUIRED.get(place, ())), declared.help)
            for key, declared in form.SECTIONS[place].items()
        ]
        parts.append(f"### {title}\n\n" + table(("key", "kind", "default", "help"), rows))
    return "\n\n".join(parts)


def _kind(key: str, declared: Parameter) -> str:
    if key in OF_ANY_KIND:
        return "any value"
    return re.sub(r"'([^']*)'", r'`"\1"`', declared.description())


def _default(key: str, declared: Parameter, required: bool) -> str:
    if required:
        return "required"
    if declared.is_required or declared.default in ("", ()):
        return "none"
    value = declared.default
    return f'`"{value}"`' if isinstance(value, str) else f"`{str(value).lower()}`"


def quantities() -> str:
    """Return a table of all units by what they measure."""
    symbols: dict[str, list[str]] = {}
    for symbol, (dimension, _) in units.UNITS.items():
        symbols.setdefault(dimension, []).append(f"`{symbol}`")
    return table(("quantity", "units"), ((dimension, " ".join(found)) for dimension, found in symbols.items()))


# -------------------------------------------------------------------------------------- verbs


def verbs() -> str:
    """Return a section for each verb of the command line."""
    return "\n\n".join(f"### `neuraxis {name}`\n\n{_usage(name, command)}" for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every verb, `run` or `golden check`, with its declaration."""
    for verb in VERBS:
        command: Any = typer.main.get_command(import_module(f"neuraxis.cli.{verb}_verb").app)
        for name, inner in getattr(command, "commands", {"": command}).items():
            yield f"{verb} {name}".strip(), inner


def _usage(name: str, command: Any) -> str:
    paragraphs = [textwrap.fill(" ".join(each.split()), 120) for each in command.help.split("\n\n")]
    words = [_argument(each) for each in command.params if not _is_option(each)]
    words += [f"{each.opts[0]} …" for each in command.params if _is_option(each) and each.required]
    rows = [
        (
            f"`{each.opts[0]}`" if _is_option(each) else f"`{_argument(each)}`",
            "required" if each.required else _otherwise(each.default),
            each.help,
        )
        for each in command.params
    ]
    usage = " ".join(["neuraxis", name, *words, "[OPTIONS]"])
    parts = [*paragraphs, f"```text\n{usage}\n```", table(("argument", "default", "help"), rows)]
    return "\n\n".join(parts)


def _is_option(declared: Any) -> bool:
    return bool(declared.opts[0].startswith("--"))


def _argument(declared: Any) -> str:
    return declared.name.upper() + ("…" if declared.nargs < 0 else "")


def _otherwise(default: Any) -> str:
    return {None: "none", False: "off"}.get(default) or f"`{default}`"


# -------------------------------------------------------------------------------------- pages

MADE: Final[dict[str, dict[str, Callable[[], str]]]] = {
    "scenario.md": {"keys": keys, "quantities": quantities},
    "cli.md": {"verbs": verbs},
}
"""What is made in which page."""


def filled(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """Return a page with its marked parts made anew."""
    for name, make in parts.items():
        begin, end = f"<!-- {name}: made by docs/make_reference.py -->\n", f"\n<!-- end of {name} -->"
        head, found, rest = text.partition(begin)
        _, closed, tail = rest.partition(end)
        assert found, f"the page has no line {begin!r}"
        assert closed, f"the page has no line {end!r}"
        text = f"{head}{begin}\n{make()}\n{end}{tail}"
    return text


if __name__ == "__main__":
    for page, parts in MADE.items():
        path = FOLDER / page
        path.write_text(filled(path.read_text(encoding="utf-8"), parts), encoding="utf-8")
