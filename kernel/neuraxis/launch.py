"""From files to a simulation: opening a scenario, starting a run in a folder, resuming one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis.blueprint import Blueprint
from neuraxis.errors import DuplicateName, FileUnusable, JournalDamaged, PluginUnusable, Problem, UsageInvalid
from neuraxis.faults import Faults
from neuraxis.files import is_file, make_folder, read_bytes, sweep, write_atomically
from neuraxis.journal.log import FileSink
from neuraxis.journal.read import read_journal
from neuraxis.journal.record import MAGIC, START_OF_CHAIN, End, Resumed, SnapshotMark
from neuraxis.journal.write import JournalWriter
from neuraxis.plugins.lock import Entry, require_same
from neuraxis.plugins.manager import Plugins
from neuraxis.runner import Settings
from neuraxis.scenario.model import Scenario
from neuraxis.scenario.read import read_scenario
from neuraxis.scenario.resolve import Resolved, refused, resolve
from neuraxis.simulation import Simulation
from neuraxis.snapshot.migrate import migrate_snapshot
from neuraxis.snapshot.shelf import Shelf
from neuraxis.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from neuraxis.graph import Graph
    from neuraxis.snapshot.container import Snapshot

JOURNAL_NAME: Final = "journal.nxj"
PLUGIN_FOLDER: Final = "plugins"


@final
class Opened(Struct, frozen=True):
    """A scenario that is ready to run.

    Attributes:
        scenario: What the file says.
        resolved: The graph, expectations and inputs that this means.
        plugins: The plugins that it names.
        blueprint: What decides the run.
        settings: What does not.
    """

    scenario: Scenario
    resolved: Resolved
    plugins: Plugins
    blueprint: Blueprint
    settings: Settings


def open_scenario(
    path: Path,
    *,
    seed: int | None = None,
    overrides: Sequence[str] = (),
    backend: str | None = None,
    shards: Container[int] | None = None,
) -> Opened:
    """Read, check and resolve a scenario file; only actors of `shards` are made, all of them by default.

    Raises:
        ScenarioInvalid: With every mistake in the file.
        PluginUnusable, FileUnusable: A plugin or file cannot be used.
    """
    return prepare(read_scenario(path, overrides=overrides, seed=seed), backend=backend, shards=shards)


def prepare(
    scenario: Scenario,
    *,
    backend: str | None = None,
    plugin_folder: Path | None = None,
    shards: Container[int] | None = None,
) -> Opened:
    """Load a scenario's plugins and resolve it.

    Args:
        scenario: What a file says.
        backend: Replaces the scenario's.
        plugin_folder: Where its Python files are, if not beside it.
        shards: Only actors of these are made; None makes all.
    """
    try:
        plugins = Plugins(scenario.plugins, beside=plugin_folder or scenario.folder)
    except (PluginUnusable, DuplicateName) as error:
        raise refused(scenario, [_plugin_problem(scenario, error)]) from error
    resolved = resolve(scenario, plugins, backend=backend, shards=shards)
    faults = Faults(resolved.faults)
    blueprint = Blueprint(
        graph=resolved.graph,
        seed=scenario.seed,
        inputs=resolved.inputs,
        clock=resolved.clock,
        extra_messages=plugins.messages,
        script=faults if resolved.faults else None,
        arm=faults.arm if resolved.faults else None,
    )
    settings = Settings(
        scenario=scenario.canonical(),
        trace=resolved.trace,
        durable=resolved.durable,
        snapshot_every=resolved.snapshot_every,
        extra={"backend": resolved.backend, "folder": str(scenario.folder)},
    )
    return Opened(scenario, resolved, plugins, blueprint, settings)


def _plugin_problem(scenario: Scenario, error: PluginUnusable | DuplicateName) -> Problem:
    """Return the mistake in a scenario that a plugin's refusal means."""
    if isinstance(error, DuplicateName):
        return Problem(where="", key="scenario.plugins", got="in conflict", expected=error.message())
    names = list(scenario.plugins)
    key = f"scenario.plugins[{names.index(error.plugin)}]" if error.plugin in names else "scenario.plugins"
    return Problem(where="", key=key, got=f"{error.plugin!r}: {error.reason}", expected=error.remedy)


# ------------------------------------------------------------------------------- run folders


def new_sink(
    folder: Path, messages: dict[tuple[str, int], type[Any]], plugins: Plugins | None, *, durable: bool
) -> FileSink:
    """Start the journal of a new run, with the Python files of its plugins beside it.

    Raises:
        FileUnusable: The folder cannot be written, or another process writes there.
        UsageInvalid: It holds a run already; or two plugins have one file name.
    """
    make_folder(folder)
    writer = JournalWriter(folder / JOURNAL_NAME, durable=durable)
    try:
        if has_begun(writer.path):
            remedy = f"Go on with it: neuraxis resume {folder}. Or choose another folder."
            raise UsageInvalid(what=f"{folder} holds a run already", remedy=remedy)
        writer.go_on(end=len(MAGIC), chain=START_OF_CHAIN)  # a crash may have left half of a header
        _sweep_all(folder)
        if plugins is not None:
            keep_plugin_files(plugins, folder)  # before the header: a run that has begun can be resumed
    except BaseException:
        writer.close()
        raise
    return FileSink(writer, messages)


def _sweep_all(folder: Path) -> None:
    for place in (folder, folder / PLUGIN_FOLDER, folder / "snapshots", folder / "blobs"):
        sweep(place)


def has_begun(path: Path) -> bool:
    """Tell whether a journal holds the header of a run, also if it is damaged."""
    try:
        read_journal(path, {}, header_only=True)
    except FileUnusable:
        return False
    except JournalDamaged:
        return True
    return True


def keep_plugin_files(plugins: Plugins, folder: Path) -> None:
    """Copy the Python files among plugins into a run folder, so that the run stands on its own.

    Raises:
        FileUnusable: The folder cannot be written.
        UsageInvalid: Two files have one name.
    """
    files = [each.source for each in plugins.loaded if each.source.name.endswith(".py")]
    seen: dict[str, str] = {}
    for source in files:
        target = folder / PLUGIN_FOLDER / Path(source.name).name
        if target.name in seen:
            what = f"plugins {seen[target.name]!r} and {source.name!r} have one file name"
            raise UsageInvalid(what=what, remedy="Rename one of the files.")
        seen[target.name] = source.name
        make_folder(target.parent)
        write_atomically(target, [read_bytes(source.root, remedy="Restore it.")])


def reopen(
    folder: Path, *, backend: str | None = None, shards: Container[int] | None = None
) -> tuple[Opened, Wiring, Path]:
    """Open the scenario of a recorded run again, from the header of its journal.

    Returns:
        The scenario, its wiring, and the path of the journal.

    Raises:
        FileUnusable, JournalDamaged: The journal is missing, or its header is damaged.
        UsageInvalid: The run was made by a program, not from a scenario.
    """
    path = folder if is_file(folder) else folder / JOURNAL_NAME
    header = read_journal(path, {}, header_only=True).header
    if not header.scenario:
        raise UsageInvalid(
            what=f"{folder} was made by a program, not from a scenario file",
            remedy="Resume it in that program, with its own graph: neuraxis.launch.resume_graph(folder, graph).",
        )
    scenario = Scenario.from_canonical(header.scenario, Path(header.settings["folder"]))
    opened = prepare(
        _with_kept_files(scenario),
        backend=backend or header.settings["backend"],
        plugin_folder=path.parent / PLUGIN_FOLDER,
        shards=shards,
    )
    return opened, opened.resolved.wiring, path


def _with_kept_files(scenario: Scenario) -> Scenario:
    return replace(scenario, plugins=tuple(map(_kept_name, scenario.plugins)))


def _kept_name(name: str) -> str:
    """Return the name of a plugin in its run folder, where a Python file lies without the folders above it."""
    return Path(name).name if name.endswith(".py") else name


def require_same_code(locked: Sequence[Entry], opened: Opened) -> None:
    """Refuse code that is not what made a run, which was opened again from its folder.

    Raises:
        PluginUnusable: Kernel or plugins differ in version or content.
    """
    require_same([_as_kept(entry) for entry in locked], opened.plugins.lock())


def _as_kept(entry: Entry) -> Entry:
    return {**entry, "name": _kept_name(entry["name"])}


@final
class Resumption(Struct, frozen=True):
    """A run that goes on.

    Attributes:
        simulation: It, at the end of the last tick that its records prove; None if the run is complete.
        end: The end record of a complete run.
        notes: What was cut off, skipped or discarded, as sentences.
        opened: Its scenario; None for a graph built in Python.
    """

    simulation: Simulation | None
    end: End | None
    notes: tuple[str, ...]
    opened: Opened | None = None


def resume_run(
    folder: Path, *, discard_damaged: bool = False, accept_changes: bool = False, backend: str | None = None
) -> Resumption:
    """Go on with a recorded run of a scenario, from its newest sound snapshot and the journal behind it.

    Args:
        folder: The run folder.
        discard_damaged: Whether to give up what lies behind a damaged frame of the journal.
        accept_changes: Whether to go on although kernel or plugins are not the ones that made the run;
            older states are migrated.
        backend: Replaces the one that the run used.

    Raises:
        JournalDamaged: A frame is damaged; the error offers the newest sound state.
        PluginUnusable: The code differs from the one that made the run.
    """
    opened, wiring, path = reopen(folder, backend=backend)
    past = _Past(path, opened.blueprint, wiring, opened.plugins)
    resumption = past.resume(opened.settings, discard_damaged=discard_damaged, accept_changes=accept_changes)
    return replace(resumption, opened=opened)


def resume_graph(
    folder: Path,
    graph: Graph | Blueprint,
    *,
    seed: int = 0,
    settings: Settings | None = None,
    discard_damaged: bool = False,
    accept_changes: bool = False,
) -> Resumption:
    """Go on with a recorded run of a graph that a program built; like `resume_run`."""
    blueprint = graph if isinstance(graph, Blueprint) else Blueprint(graph, seed)
    past = _Past(folder / JOURNAL_NAME, blueprint, blueprint.wire(), Plugins())
    return past.resume(settings or Settings(), discard_damaged=discard_damaged, accept_changes=accept_changes)


@final
class _Past:
    """The records of a run that is to go on."""

    def __init__(self, path: Path, blueprint: Blueprint, wiring: Wiring, plugins: Plugins) -> None:
        self.path = path
        self.blueprint = blueprint
        self.wiring = wiring
        self.plugins = plugins
        self.messages = blueprint.messages(wiring)
        self.shelf = Shelf(path.parent)
        self.notes: list[str] = []
        self.marks: list[SnapshotMark] = []

    def resume(self, settings: Settings, *, discard_damaged: bool, accept_changes: bool) -> Resumption:
        """Lock the journal, read it, and go on; nobody writes between what is read and what is written."""
        try:
            writer = JournalWriter(self.path, durable=settings.durable, anew=False)
        except FileUnusable:
            self._read()
            if (end := self.journal.ended()) is not None:  # complete: it can be told by whoever may read it
                return Resumption(None, end, ())
            raise
        try:
            self._read()
            _sweep_all(self.path.parent)
            resumption = self._go_on(writer, settings, discard_damaged=discard_damaged, accept_changes=accept_changes)
        except BaseException:
            writer.close()
            raise
        if resumption.simulation is None:
            writer.close()
        return resumption

    def _read(self) -> None:
        self.journal = read_journal(self.path, self.messages, tolerate_damage=True)
        self._require_same_run()

    def _go_on(
        self, writer: JournalWriter, settings: Settings, *, discard_damaged: bool, accept_changes: bool
    ) -> Resumption:
        journal = self.journal
        snapshot = self._newest_snapshot()
        if journal.torn:
            self.notes.append(f"cut off {journal.torn} bytes of an unfinished record")
        if journal.damage is not None and not discard_damaged:
            raise self._offering(journal.damage, snapshot)
        if journal.damage is not None:
            self.notes.append(f"discarded all records from byte {journal.end} on")
        if (end := journal.ended()) is not None:
            return Resumption(None, end, tuple(self.notes))
        mark, snapshot = self._accepted(snapshot, accept_changes=accept_changes)
        writer.go_on(end=journal.end, chain=journal.chain)
        for each in self.marks:
            writer.append(each)
        simulation = Simulation.resumed(
            self.blueprint,
            self.wiring,
            [journal.header, *journal.records],
            FileSink(writer, self.messages),
            snapshot=snapshot,
            folder=self.path.parent,
            plugins=self.plugins,
            settings=settings,
            mark=mark,
        )
        return Resumption(simulation, None, tuple(self.notes))

    def _require_same_run(self) -> None:
        header = self.journal.header
        if header.semantic != self.wiring.semantic.hex() or header.seed != self.blueprint.seed:
            raise UsageInvalid(
                what=f"{self.path} records a run of another graph or seed",
                remedy=f"Resume it with the graph that made it, and seed {header.seed}.",
            )

    def _newest_snapshot(self) -> Snapshot | None:
        """Return the newest sound snapshot that the sound part of the journal knows."""
        marked = {mark.file: mark.sha256 for mark in self.journal.snapshots()}
        snapshot, damage = self.shelf.newest_sound(self.messages, marked=marked)
        self.notes += [f"skipped a damaged snapshot: {each.message()}" for each in damage]
        return snapshot

    def _offering(self, damage: JournalDamaged, snapshot: Snapshot | None) -> JournalDamaged:
        sound = f"its snapshot of tick {snapshot.tick}" if snapshot is not None else "its beginning"
        return JournalDamaged(
            path=damage.path,
            part=damage.part,
            offset=damage.offset,
            sound_frames=damage.sound_frames,
            remedy=f"The newest sound state is {sound} with the sound frames; go on from there with: "
            f"neuraxis resume {self.path.parent} --discard-damaged",
        )

    def _accepted(self, snapshot: Snapshot | None, *, accept_changes: bool) -> tuple[Resumed, Snapshot | None]:
        """Check that the code is the one that made the run, or bring its newest snapshot up to date."""
        tick = snapshot.tick if snapshot is not None else 0
        changes = [mark for mark in self.journal.of(Resumed) if mark.lock]
        recorded = [_as_kept(entry) for entry in (changes[-1].lock if changes else self.journal.header.lock)]
        present = self.plugins.lock()
        if recorded == present:
            return Resumed(tick, base=changes[-1].base if changes else ""), snapshot
        if not accept_changes:
            require_same(recorded, present)
        if snapshot is None:
            what = "the code has changed, and the run has no snapshot to go on from"
            raise UsageInvalid(what=what, remedy="Run the scenario again.")
        wanted = {spec.kind: spec.cls.state_version for spec in self.wiring.specs if spec is not None}
        migrated, changed = migrate_snapshot(snapshot, wanted, self.plugins.migrations)
        self.notes += [f"migrated {each}" for each in changed]
        path, sha256 = self.shelf.put(migrated, label="migrated")
        self.marks.append(SnapshotMark(tick, path.name, sha256))
        return Resumed(tick, base=path.name, lock=present), migrated
