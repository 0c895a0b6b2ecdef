"""From TOML files to a scenario: includes, overrides, and every mistake of form."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from neuraxis.errors import Problem, ScenarioInvalid, suggestion
from neuraxis.files import is_file, read_bytes
from neuraxis.parameter import Parameter, Unfit
from neuraxis.scenario import format as form
from neuraxis.scenario.model import Scenario, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from neuraxis.scenario.format import Keys
    from neuraxis.scenario.positions import Sources

FILE_BYTES_MAX: Final = 8 << 20
INCLUDES_MAX: Final = 100
DEPTH_MAX: Final = 64
"""Tables and lists within each other; deeper ones have no canonical form."""

INTEGERS: Final = range(-(2**63), 2**63)
"""What TOML promises, and what a journal can hold."""

ARRAYS: Final = ("channels", "inputs")
_PART: Final = re.compile(r'"([^"]*)"|([^.\[\]"]+)|\[(\d+)\]')


def read_scenario(path: Path, *, overrides: Sequence[str] = (), seed: int | None = None) -> Scenario:
    """Read a scenario file with everything that it includes.

    Args:
        path: The TOML file.
        overrides: Changes such as `actors.relay.limit=5`; values are TOML, or else text.
        seed: Replaces the scenario's.

    Returns:
        The scenario. Mistakes of form are in its `problems`; `resolve` adds those of meaning.

    Raises:
        FileUnusable: A file is missing or unreadable.
        ScenarioInvalid: A file is no TOML, or of a newer version; all such places are named.
    """
    reader = _Reader(path)
    reader.merge(path, ())
    for override in overrides:
        reader.override(override)
    if seed is not None:
        reader.override(f"scenario.seed={seed}")
    return reader.scenario()


@final
class _Reader:
    """Merges files and overrides into one table, and collects problems."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: Table = {}
        self.problems: list[Problem] = []
        self.files: list[Path] = []
        self.offsets: list[dict[str, int]] = []
        self.overridden: list[str] = []

    # -------------------------------------------------------------------------------- files

    def merge(self, path: Path, above: tuple[Path, ...]) -> None:
        """Merge a file over what is there, its includes first."""
        data = self._content_of(path, above)
        includes = data.pop("include", ())
        if not isinstance(includes, list | tuple) or not all(isinstance(each, str) for each in includes):
            self._problem("include", repr(includes), "Write a list of file names, in quotes.")
            includes = ()
        for name in includes:
            if "\0" in name:
                self._problem("include", repr(name), "No file name holds a zero byte; leave it out.")
                continue
            included = (path.parent / name).resolve()
            if included in above or len(self.files) > INCLUDES_MAX:
                chain = " -> ".join(each.name for each in (*above, included))
                self._problem("include", f"a circle: {chain}", "Include each file from one side only.")
            elif not is_file(included):
                near = [each.name for each in included.parent.glob("*.toml")]
                self._problem("include", f"the missing file {name!r}", suggestion(included.name, near))
            else:
                self.merge(included, (*above, path.resolve()))
        self._rebase(data, path.parent)
        self.files.append(path)
        self.offsets.append({name: len(self.content.get(name, ())) for name in ARRAYS})
        _merge_into(self.content, data)

    def _content_of(self, path: Path, above: tuple[Path, ...]) -> Table:
        remedy = "Name a scenario file, such as scenarios/ring.toml." if not above else "Correct the include."
        raw = read_bytes(path, remedy=remedy)
        if len(raw) > FILE_BYTES_MAX:
            problem = Problem(
                where=path.name, key="the file", got=f"{len(raw):,} bytes", expected="Put large data into a resource."
            )
            raise ScenarioInvalid(name=path.name, problems=(problem,))
        try:
            data = tomllib.loads(raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            got = f"no UTF-8 text (byte {error.start})"
            problem = Problem(where=path.name, key="the file", got=got, expected="Save it as UTF-8.")
            raise ScenarioInvalid(name=path.name, problems=(problem,)) from error
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise _no_toml(path, raw, error) from error
        _require_known_format(data, path.name, f"{path.name}:1")
        return data

    def _rebase(self, data: Table, folder: Path) -> None:
        """Make the paths in an included file relative to the scenario's folder."""
        home = self.path.parent
        if folder.resolve() == home.resolve():
            return

        def moved(name: str) -> str:
            return Path(os.path.relpath(folder / name, home)).as_posix()

        section = data.get("scenario")
        if isinstance(section, dict) and isinstance(section.get("plugins"), list):
            names = section["plugins"]
            section["plugins"] = [moved(n) if isinstance(n, str) and n.endswith(".py") else n for n in names]
        resources = data.get("resources")
        for each in resources.values() if isinstance(resources, dict) else ():
            if isinstance(each, dict) and isinstance(each.get("path"), str):
                each["path"] = moved(each["path"])

    # ---------------------------------------------------------------------------- overrides

    def override(self, text: str) -> None:
        """Set one value from the command line."""
        key, mark, value_text = text.partition("=")
        parts = _parts(key.strip())
        if not mark or not parts:
            self._problem("--set", repr(text), "Write --set KEY=VALUE, such as --set actors.relay.limit=5.", "--set")
            return
        name = _joined(parts)
        self.overridden.append(name)
        if parts[0] == "include":
            self._problem(name, "no value to change", "Include files in the scenario file.")
            return
        target: Any = self.content
        for place, part in enumerate(parts[:-1]):
            target = self._step(target, part, parts[: place + 1])
            if target is None:
                return
        last = parts[-1]
        if isinstance(last, int):
            if not isinstance(target, list) or last >= len(target):
                self._problem(name, "a place that does not exist", "Count from 0, within the list.")
                return
            target[last] = _value(value_text)
        elif isinstance(target, dict):
            target[last] = _value(value_text)
        else:
            self._problem(name, "a key inside something that is no table", "Name a key of a table.")

    def _step(self, target: Any, part: str | int, path: Sequence[str | int]) -> Any:
        if isinstance(part, int):
            if isinstance(target, list) and part < len(target):
                return target[part]
            self._problem(_joined(path), "a place that does not exist", "Count from 0, within the list.")
            return None
        if not isinstance(target, dict):
            self._problem(_joined(path), "a key inside something that is no table", "Name a key of a table.")
            return None
        return target.setdefault(part, {})

    # -------------------------------------------------------------------------------- model

    def scenario(self) -> Scenario:
        """Check the form of everything and return the scenario."""
        data = self._sound_values(self.content, "", 0)
        _require_known_format(data, self.path.name, "--set neuraxis")
        if "neuraxis" not in data:
            self._problem("neuraxis", "missing", f"Begin the file with: neuraxis = {form.FORMAT_VERSION}")
        for key in data:
            if key not in form.TABLES and key not in form.ROOT:
                self._problem(key, "an unknown key", suggestion(key, [*form.TABLES, *form.ROOT]))
        self._check_table("", {k: v for k, v in data.items() if k in form.ROOT}, form.ROOT)
        section = self._table(data, "scenario", form.SCENARIO)
        if "until" not in section and all(each.key != "scenario.until" for each in self.problems):
            self._problem("scenario.until", "missing", 'Write where a run ends: until = "1 s"')
        return Scenario(
            name=str(section.get("name") or self.path.stem),
            summary=str(section.get("summary", "")),
            tick=str(section.get("tick", "1 ms")),
            until=section.get("until", 0),
            seed=section["seed"] if isinstance(section.get("seed"), int) else 0,
            plugins=_texts(section.get("plugins", ())),
            faults=_texts(section.get("faults", ())),
            run=self._table(data, "run", form.RUN),
            resources=self._tables(data, "resources", form.RESOURCE),
            actors=self._tables(data, "actors", None),
            channels=self._array(data, "channels", form.CHANNEL),
            inputs=self._array(data, "inputs", form.INPUT),
            expect=self._expectations(data, "expect"),
            always=self._expectations(data, "always"),
            folder=self.path.parent.resolve(),
            problems=tuple(self.problems),
            sources=self._sources(),
        )

    def _sound_values(self, value: Any, key: str, depth: int) -> Any:
        """Return a value without the parts that no journal could hold, each of them noted as a mistake."""
        if isinstance(value, dict | list) and depth == DEPTH_MAX:
            self._problem(key, "nested too deeply", f"Write at most {DEPTH_MAX} tables and lists within each other.")
        elif isinstance(value, dict):
            prefix = f"{key}." if key else ""
            found = {name: self._sound_values(each, prefix + name, depth + 1) for name, each in value.items()}
            return {name: each for name, each in found.items() if each is not None}
        elif isinstance(value, list):
            items = [self._sound_values(each, f"{key}[{number}]", depth + 1) for number, each in enumerate(value)]
            return [each for each in items if each is not None]
        elif isinstance(value, int) and value not in INTEGERS:
            self._problem(key, "an integer beyond 64 bits", "Write a smaller one; large ones fit into a text.")
        elif isinstance(value, str) and "\0" in value and key.startswith(("scenario", "resources")):
            self._problem(key, repr(value), "No name holds a zero byte; leave it out.")
        else:
            return value
        return None

    def _sources(self) -> Sources:
        return _LazySources(tuple(self.files), tuple(self.offsets), tuple(self.overridden))  # type: ignore[return-value]

    def _table(self, data: Table, name: str, keys: Keys) -> Table:
        value = data.get(name, {})
        if not isinstance(value, dict):
            self._problem(name, repr(value), f"Write it as a table: [{name}]")
            return {}
        self._check_table(name, value, keys)
        return value

    def _tables(self, data: Table, name: str, keys: Keys | None) -> dict[str, Table]:
        outer = data.get(name, {})
        if not isinstance(outer, dict):
            self._problem(name, repr(outer), f"Write tables: [{name}.NAME]")
            return {}
        found = {}
        for key, value in outer.items():
            if not isinstance(value, dict):
                self._problem(f"{name}.{key}", repr(value), f"Write it as a table: [{name}.{key}]")
                continue
            if keys is not None:
                self._check_table(f"{name}.{key}", value, keys)
            found[key] = value
        return found

    def _array(self, data: Table, name: str, keys: Keys) -> tuple[Table, ...]:
        items = data.get(name, [])
        if not isinstance(items, list):
            self._problem(name, "a single table", f"Write it with two brackets: [[{name}]]")
            return ()
        for number, item in enumerate(items):
            if isinstance(item, dict):
                self._check_table(f"{name}[{number}]", item, keys)
            else:
                self._problem(f"{name}[{number}]", repr(item), f"Write a table: [[{name}]]")
        return tuple(item for item in items if isinstance(item, dict))

    def _expectations(self, data: Table, name: str) -> Table:
        outer = data.get(name, {})
        if not isinstance(outer, dict):
            self._problem(name, repr(outer), f"Write it as a table: [{name}]")
            return {}
        found = dict(_figures(outer))
        for figure, wanted in found.items():
            key = f"{name}.{figure}"
            if isinstance(wanted, dict):
                self._check_table(key, wanted, form.EXPECTATION)
            elif not isinstance(wanted, bool | int | float | str):
                self._problem(key, repr(wanted), "Write a value, or { at_least = …, at_most = … }.")
        return found

    def _check_table(self, prefix: str, table: Table, keys: Keys) -> None:
        """Check names and kinds of keys; times in ticks are checked when the length of a tick is known."""
        for key, value in table.items():
            name = f"{prefix}.{key}" if prefix else key
            declared = keys.get(key)
            if declared is None:
                self._problem(name, "an unknown key", suggestion(key, keys))
            elif key not in ("value", "equals"):
                self._check_value(name, declared, value)
        for key, declared in keys.items():
            needed = declared.is_required and key in ("kind", "from", "to", "value", "path")
            if needed and key not in table:
                self._problem(f"{prefix}.{key}", "missing", f"Write {declared.description()}: {declared.help}.")

    def _check_value(self, name: str, declared: Parameter, value: Any) -> None:
        try:
            if declared.unit == "ticks" and isinstance(value, str):
                return
            declared.accept(value)
        except Unfit as unfit:
            self._problem(name, unfit.got, unfit.expected)

    def _problem(self, key: str, got: str, expected: str, where: str = "") -> None:
        self.problems.append(Problem(where=where, key=key, got=got, expected=expected))


def _figures(table: Table, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is expected of each figure: `monitor.rate = 5` is a table in a table, and names one figure."""
    for key, value in table.items():
        name = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict) and value and not set(value) & set(form.EXPECTATION):
            yield from _figures(value, name)
        else:
            yield name, value


def _merge_into(base: Table, over: Table) -> None:
    """Merge tables deeply; arrays of tables are joined, everything else is replaced."""
    for key, value in over.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge_into(old, value)
        elif key in ARRAYS and isinstance(old, list) and isinstance(value, list):
            base[key] = [*old, *value]
        else:
            base[key] = value


def _require_known_format(data: Table, name: str, where: str) -> None:
    version = data.get("neuraxis")
    if isinstance(version, int) and version > form.FORMAT_VERSION:
        got = f"format {version}, from a newer version"
        expected = f"Install a newer neuraxis; this one reads up to {form.FORMAT_VERSION}."
        raise ScenarioInvalid(name=name, problems=(Problem(where=where, key="neuraxis", got=got, expected=expected),))


def _no_toml(path: Path, raw: bytes, error: Exception) -> ScenarioInvalid:
    from neuraxis.scenario.positions import syntax_problems

    problems = syntax_problems(path, raw)
    if not problems:  # what the grammar takes and TOML does not: a key twice, an impossible date
        text = str(error).partition(" (at ")[0]
        line = re.search(r"at line (\d+)", str(error))
        where = f"{path.name}:{line.group(1)}" if line else path.name
        problems = [Problem(where=where, key="syntax", got=f"refused: {text}", expected="Correct this line.")]
    return ScenarioInvalid(name=path.name, problems=tuple(problems))


def _parts(key: str) -> list[str | int]:
    parts: list[str | int] = []
    at = 0
    while at < len(key):
        match = _PART.match(key, at)
        if match is None:
            return []
        quoted, bare, index = match.groups()
        parts.append(int(index) if index is not None else (quoted if quoted is not None else bare))
        at = match.end()
        if at < len(key) and key[at] == ".":
            at += 1
    return parts


def _joined(parts: Iterable[str | int]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def _value(text: str) -> Any:
    """Return what stands behind the `=` of an override: one TOML value, or else text."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()


class _LazySources:
    """Stands for `Sources` until somebody wants a position: that loads a parser."""

    def __init__(
        self, files: tuple[Path, ...], offsets: tuple[dict[str, int], ...], overrides: tuple[str, ...]
    ) -> None:
        self.files = files
        self.offsets = offsets
        self.overrides = overrides

    def locate(self, key: str) -> str:
        from neuraxis.scenario.positions import Sources

        return Sources(self.files, self.offsets, self.overrides).locate(key)
