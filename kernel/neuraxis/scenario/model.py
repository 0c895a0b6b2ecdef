"""What a scenario file says, after includes and overrides, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

from msgspec import Struct, field

if TYPE_CHECKING:
    from neuraxis.errors import Problem
    from neuraxis.scenario.positions import Sources

Table = dict[str, Any]


@final
class Scenario(Struct, frozen=True):
    """The content of a scenario. Values are as they were written: quantities are still text.

    Attributes:
        name: For reports and run folders.
        summary: What it is about, a sentence.
        tick: Length of a tick, `"1 ms"`.
        until: Where a run ends: ticks, or a time.
        seed: Root of all random streams.
        plugins: Names of installed plugins, and paths of Python files relative to `folder`.
        faults: Scripted faults, a line of text each.
        run: Settings that do not decide results.
        resources: Data files by name: `path` (relative to `folder`) and `sha256`.
        actors: Tables by path or name of the group.
        channels, inputs: Tables, in order.
        expect, always: Expectations by figure: at the end, and at every check during a run.
        folder: Where relative paths start.
        problems: Mistakes found while reading; `resolve` adds its own and raises them together.
        sources: The files that it was read from.
    """

    name: str
    summary: str = ""
    tick: str = "1 ms"
    until: int | str = 0
    seed: int = 0
    plugins: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    run: Table = field(default_factory=dict)
    resources: dict[str, Table] = field(default_factory=dict)
    actors: dict[str, Table] = field(default_factory=dict)
    channels: tuple[Table, ...] = ()
    inputs: tuple[Table, ...] = ()
    expect: Table = field(default_factory=dict)
    always: Table = field(default_factory=dict)
    folder: Path = Path()
    problems: tuple[Problem, ...] = ()
    sources: Sources | None = None

    def canonical(self) -> Table:
        """Return the content as JSON values, for the header of a journal. Large integers become text."""
        return {name: _plain(getattr(self, name)) for name in _CONTENT}

    @classmethod
    def from_canonical(cls, data: Table, folder: Path) -> Self:
        """Return the scenario that `canonical` was made from."""
        content = dict(data)
        for name in ("plugins", "faults", "channels", "inputs"):
            content[name] = tuple(content[name])
        content["seed"] = int(content["seed"])
        return cls(**content, folder=folder)


_CONTENT = tuple(name for name in Scenario.__struct_fields__ if name not in ("folder", "problems", "sources"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
