"""Migrations: bringing the captured state of older actors up to what their classes declare now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
from msgspec import Struct

from neuraxis import codec
from neuraxis.errors import UsageInvalid
from neuraxis.snapshot.container import Snapshot

State = dict[str, Any]


@final
class Migration(Struct, frozen=True):
    """One step in the life of an actor's state.

    Attributes:
        kind: Kind of actor, as scenarios name it.
        from_version: Version that `migrate` takes; it returns the next one.
        migrate: Pure function from captured state to captured state.
        note: What changed, as a sentence.
    """

    kind: str
    from_version: int
    migrate: Callable[[State], State]
    note: str


@final
class Change(Struct, frozen=True):
    """One difference that a migration made."""

    actor: str
    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.actor}.{self.field}: {self.before} -> {self.after}"


def migrate_snapshot(
    snapshot: Snapshot, wanted: Mapping[str, int], migrations: Mapping[tuple[str, int], Migration]
) -> tuple[Snapshot, list[Change]]:
    """Return a snapshot whose actors have the wanted versions, and what that changed.

    The given snapshot is left as it is.

    Args:
        snapshot: What to bring up to date.
        wanted: State version that each kind of actor declares now.
        migrations: The registered steps by (kind, from_version).

    Raises:
        UsageInvalid: A step is missing, or the state is newer than the class.
    """
    actors: dict[str, Any] = {}
    changes: list[Change] = []
    for path, entry in snapshot.state["actors"].items():
        kind, version, state = entry["kind"], entry["version"], entry["state"]
        goal = wanted.get(kind, version)
        if version > goal:
            raise UsageInvalid(
                what=f"the snapshot holds version {version} of {path} ({kind}), its class is at version {goal}",
                remedy="Use the plugin that wrote it, or a newer one.",
            )
        while version < goal:
            step = migrations.get((kind, version))
            if step is None:
                raise UsageInvalid(
                    what=f"no migration takes {path} ({kind}) from version {version} to {version + 1}",
                    remedy="Install the plugin that registers it, or register one with register_migrations.",
                )
            state = step.migrate(_copied(state))
            version += 1
        if version != entry["version"]:
            changes += [Change(path, "version", str(entry["version"]), str(version))]
            changes += _differences(path, entry["state"], state)
        actors[path] = {**entry, "version": version, "state": state}
    return Snapshot(facts=snapshot.facts, state={**snapshot.state, "actors": actors}), changes


def _differences(path: str, before: State, after: State) -> list[Change]:
    return [
        Change(path, name, _short(before.get(name, _ABSENT)), _short(after.get(name, _ABSENT)))
        for name in sorted({*before, *after})
        if not _same(before.get(name, _ABSENT), after.get(name, _ABSENT))
    ]


_ABSENT = object()


def _copied(value: Any) -> Any:
    """Return a tree whose lists and dicts may be changed without changing `value`."""
    if type(value) is dict:
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if type(value) is list else value


def _same(a: Any, b: Any) -> bool:
    if a is b or a is _ABSENT or b is _ABSENT:
        return a is b
    return codec.pack(a) == codec.pack(b)


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, np.ndarray):
        return f"array {value.dtype.name}{value.shape}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
