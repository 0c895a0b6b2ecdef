"""`neuraxis new plugin|scenario`"""

from __future__ import annotations

import re
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Write a new plugin package or scenario.",
)

NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@app.command()
def plugin(
    name: Annotated[str, typer.Argument(help="Name in small letters, such as izhikevich.")],
    folder: Annotated[Path | None, typer.Option(help="Where to write; default: neuraxis-NAME.")] = None,
) -> None:
    """Write a plugin package that is green from the start: actors, scenario, golden, suites, README."""
    target = folder or Path(f"neuraxis-{name}")
    _write("plugin", name, target)
    source = target / "src"
    sys.path.insert(0, str(source))
    try:
        _take_golden(
            target / "scenarios" / f"{name}.toml",
            target / "tests" / "golden" / "test_the_scenario_gives_the_bits_of_its_golden.json",
            plugin=f"../src/neuraxis_{_module(name)}/plugin.py",  # it is not installed yet
        )
    finally:
        sys.path.remove(str(source))
    steps = [f"pip install -e {target}", f"pytest {target}", f"neuraxis conform neuraxis_{_module(name)}"]
    print("\n  ".join([f"{target}: written. Next:", *steps]))


@app.command()
def scenario(
    name: Annotated[str, typer.Argument(help="Name in small letters, such as first-steps.")],
    folder: Annotated[Path, typer.Option(help="Where to write.")] = Path(),
) -> None:
    """Write a scenario, its actors in a Python file beside it, and its golden-master test."""
    _write("scenario", name, folder)
    module = _module(name)
    golden = folder / "golden" / f"test_{module}_gives_the_bits_of_its_golden.json"
    _take_golden(folder / f"{name}.toml", golden, plugin=f"{module}.py")
    print(f"written. Next:\n  neuraxis run {folder / f'{name}.toml'}\n  pytest {folder / f'test_{_module(name)}.py'}")


def _take_golden(scenario: Path, golden: Path, *, plugin: str) -> None:
    """Run a scenario that was just written to its end, and keep what it gives."""
    import os

    from neuraxis.files import make_folder
    from neuraxis.launch import open_scenario
    from neuraxis.simulation import Simulation
    from neuraxis.trace.golden import take, write_golden

    opened = open_scenario(scenario, overrides=[f'scenario.plugins=["{plugin}"]'])
    make_folder(golden.parent)
    relative = Path(os.path.relpath(scenario, golden.parent)).as_posix()
    with Simulation(opened.blueprint, wiring=opened.resolved.wiring) as sim:
        sim.advance(until=opened.resolved.until)
        write_golden(golden, take(sim, scenario=relative), reason="first golden, written with the files")


def _module(name: str) -> str:
    return name.replace("-", "_")


def _write(template: str, name: str, target: Path) -> None:
    from neuraxis import __version__
    from neuraxis.errors import UsageInvalid
    from neuraxis.files import make_folder, write_atomically

    if not NAME.fullmatch(name):
        what = f"{name!r} is no name for a {template}"
        raise UsageInvalid(what=what, remedy="Use small letters and digits, words joined by -, such as first-steps.")
    words = {
        "@name@": name,
        "@module@": _module(name),
        "@Class@": "".join(part.capitalize() for part in name.split("-")),
        "@version@": __version__,
    }
    files = {_filled(path, words): _filled(text, words) for path, text in _texts(_root(template))}
    taken = [path for path in files if (target / path).exists()]
    if taken:
        what = f"{target / taken[0]} exists already"
        raise UsageInvalid(what=what, remedy="Choose another name or --folder; nothing was written.")
    for path, text in files.items():
        make_folder((target / path).parent)
        write_atomically(target / path, [text.encode()])


def _root(template: str) -> Traversable:
    return resources.files("neuraxis.cli") / "templates" / template


def _texts(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir() and entry.name != "__pycache__":
            found += _texts(entry, f"{prefix}{entry.name}/")
        elif entry.is_file():
            found.append((prefix + entry.name.removesuffix(".in"), entry.read_text(encoding="utf-8")))
    return found


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text
