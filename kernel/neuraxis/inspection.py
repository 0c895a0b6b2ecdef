"""Looking at a recorded run: actors as they stood at its newest snapshot, and what a plugin can tell about them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, final

from msgspec import Struct

from neuraxis.errors import NeuraxisError, PluginUnusable, UsageInvalid, suggestion, told
from neuraxis.files import unusable
from neuraxis.hooks import Found, Restored
from neuraxis.journal.read import read_journal
from neuraxis.launch import reopen
from neuraxis.parameter import duration
from neuraxis.snapshot.migrate import migrate_snapshot
from neuraxis.snapshot.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuraxis.actor import Actor
    from neuraxis.hooks import Inspection
    from neuraxis.launch import Opened
    from neuraxis.wiring import Wiring


@final
class Inspected(Struct, frozen=True):
    """What an inspection of a run came to.

    Attributes:
        scenario: Name of the scenario.
        tick, time: The end of the snapshot that was looked at, as a tick and as model time.
        found: What the inspection found.
        notes: Snapshots that were skipped because they are damaged, as sentences.
    """

    scenario: str
    tick: int
    time: str
    found: Found
    notes: tuple[str, ...]


def inspect_run(folder: Path, name: str, *, actor: str | None = None, backend: str | None = None) -> Inspected:
    """Look at a run that ended or was stopped, at its newest sound snapshot. Executes nothing.

    Args:
        folder: The run folder.
        name: Name of an inspection that a plugin of the scenario offers.
        actor: Path of the only actor to look at; None looks at all.
        backend: What the networks are built with, instead of what the run used.

    Raises:
        UsageInvalid: No plugin of the scenario offers that inspection, the run has no snapshot or no actor for it.
        FileUnusable, JournalDamaged: The run cannot be read.
        PluginUnusable: The plugin raises, or finds something else.
    """
    opened, wiring, path = reopen(folder, backend=backend)
    inspection = _chosen(name, opened)
    paths = _paths(folder, wiring, inspection, name, actor)
    messages = opened.blueprint.messages(wiring)
    marked = {mark.file: mark.sha256 for mark in read_journal(path, messages, tolerate_damage=True).snapshots()}
    snapshot, damage = Shelf(path.parent).newest_sound(messages, marked=marked)
    if snapshot is None:
        remedy = f"Go on with it, which ends with one: neuraxis resume {folder}"
        raise UsageInvalid(what=f"{folder} has no sound snapshot to look at", remedy=remedy)
    wanted = {spec.kind: spec.cls.state_version for spec in wiring.specs if spec is not None}
    snapshot, _ = migrate_snapshot(snapshot, wanted, opened.plugins.migrations)
    for each, found in paths.items():
        found.restore(snapshot.state["actors"][each]["state"])
    tick = opened.blueprint.graph.tick
    seen = _looked(name, inspection, Restored(opened.scenario.name, snapshot.tick, tick, paths))
    notes = tuple(f"skipped a damaged snapshot: {each.message()}" for each in damage)
    time = duration(snapshot.tick * tick) if snapshot.tick else "0 s"
    return Inspected(opened.scenario.name, snapshot.tick, time, seen, notes)


def _chosen(name: str, opened: Opened) -> Inspection:
    found = opened.plugins.inspections.get(name)
    if found is None:
        remedy = suggestion(name, opened.plugins.inspections)
        raise UsageInvalid(what=f"no plugin of scenario {opened.scenario.name!r} inspects {name!r}", remedy=remedy)
    return found


def _paths(folder: Path, wiring: Wiring, inspection: Inspection, name: str, only: str | None) -> dict[str, Actor]:
    found: dict[str, Actor] = {}
    for position in wiring.made():
        actor = wiring.actors[position]
        if isinstance(actor, inspection.kinds):
            found[wiring.paths[position]] = actor
    if not found:
        raise UsageInvalid(what=f"{folder} has no actor that recorded {name}", remedy=inspection.needs)
    if only is None:
        return found
    if only not in found:
        raise UsageInvalid(what=f"{folder} has no actor {only!r} that recorded {name}", remedy=suggestion(only, found))
    return {only: found[only]}


def _looked(name: str, inspection: Inspection, restored: Restored) -> Found:
    try:
        found = inspection.look(restored)
    except NeuraxisError:
        raise
    except Exception as error:
        reason = f"its inspection {name!r} raised {told(error)}"
        raise PluginUnusable(plugin=inspection.look.__module__, reason=reason, remedy="Repair the plugin.") from error
    if not isinstance(found, Found):
        reason = f"its inspection {name!r} returned {found!r}, which is nothing found"
        remedy = "docs/reference/hooks.md tells what it returns."
        raise PluginUnusable(plugin=inspection.look.__module__, reason=reason, remedy=remedy)
    return found


def write_files(found: Found, name: str, wanted: Mapping[str, Path]) -> None:
    """Write files that an inspection offers, each whole or not at all.

    Args:
        found: What the inspection found.
        name: Its name.
        wanted: File by name of what to write.

    Raises:
        UsageInvalid: The inspection does not offer it.
        FileUnusable: The file cannot be written.
    """
    for kind, path in wanted.items():
        if kind not in found.files:
            raise UsageInvalid(what=f"{name} cannot be written as {kind}", remedy=suggestion(kind, found.files))
        draft = path.with_name(f".{path.stem}.{os.getpid()}.draft{path.suffix}")
        try:
            found.files[kind](draft)
            draft.replace(path)
        except OSError as error:
            raise unusable(path, error, "Free space, or choose a folder that you can write to.") from error
        finally:
            with suppress(OSError):
                draft.unlink()
