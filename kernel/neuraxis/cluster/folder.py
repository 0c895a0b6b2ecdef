"""Where a distributed run lies on disk.

    RUN/journal.nxj              the run's journal: its header from the start, all records when workers are merged
    RUN/snapshots/               snapshots of the whole run
    RUN/workers/plan.json        the plan of the current epoch; it is there while workers own the run
    RUN/workers/status.json      how the run stands, for `neuraxis top`
    RUN/workers/3.1/             records of worker 3, first process: journal, snapshots, alive, result
    RUN/workers/3.1.log          what that process printed

Every process of a worker writes into a folder of its own, so that one that was taken for dead and goes on can do no
harm. The folder of the run must outlive workers and be reachable for all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from neuraxis.cluster.part import Part
from neuraxis.cluster.plan import Plan
from neuraxis.errors import FileUnusable, JournalDamaged, SnapshotDamaged, UsageInvalid
from neuraxis.files import make_folder, read_bytes, write_atomically
from neuraxis.journal.read import read_journal
from neuraxis.journal.record import InputRecord, IntentRecord, OutcomeRecord
from neuraxis.launch import JOURNAL_NAME, new_sink
from neuraxis.snapshot.container import read_snapshot
from neuraxis.snapshot.shelf import SUFFIX, Shelf

if TYPE_CHECKING:
    from neuraxis.blueprint import Blueprint
    from neuraxis.plugins.manager import Plugins
    from neuraxis.runner import Settings
    from neuraxis.snapshot.container import Snapshot
    from neuraxis.wiring import Wiring

    Messages = dict[tuple[str, int], type[Any]]

WORKERS: Final = "workers"
PLAN_NAME: Final = "plan.json"
STATUS_NAME: Final = "status.json"
ALIVE_NAME: Final = "alive"


def plan_path(run: Path) -> Path:
    """Return where the plan of a run lies."""
    return run / WORKERS / PLAN_NAME


def write_plan(run: Path, plan: Plan) -> None:
    """Write the plan of a new epoch.

    Raises:
        FileUnusable: The folder cannot be written.
    """
    make_folder(run / WORKERS)
    write_atomically(plan_path(run), [plan.encode()])


def read_plan(run: Path) -> Plan:
    """Return the plan of a run on workers.

    Raises:
        UsageInvalid: Workers do not own this run.
        FileUnusable: The file cannot be read.
    """
    path = plan_path(run)
    if not path.is_file():
        raise UsageInvalid(
            what=f"{run} is no run on workers", remedy="Begin one with: neuraxis run SCENARIO --workers N"
        )
    try:
        return Plan.decode(read_bytes(path, remedy="Check the permissions of the run folder."))
    except msgspec.MsgspecError as error:
        raise UsageInvalid(what=f"{path} is no plan: {error}", remedy="neuraxis resume RUN makes a new one.") from error


def folder_of(run: Path, worker: int, incarnation: int) -> Path:
    """Return the folder of one process of a worker."""
    return run / WORKERS / f"{worker}.{incarnation}"


def log_of(run: Path, worker: int, incarnation: int) -> Path:
    """Return where the output of one process of a worker goes."""
    return run / WORKERS / f"{worker}.{incarnation}.log"


def processes_of(run: Path, worker: int) -> list[Path]:
    """Return the folders of all processes that a worker has had in this epoch, oldest first."""
    found = [path for path in (run / WORKERS).glob(f"{worker}.*") if path.suffix[1:].isdecimal()]
    return sorted(found, key=lambda path: int(path.suffix[1:]))


def open_part(
    run: Path,
    plan: Plan,
    worker: int,
    incarnation: int,
    tick: int,
    *,
    blueprint: Blueprint,
    settings: Settings,
    plugins: Plugins | None,
    messages: Messages,
    wiring: Wiring | None = None,
) -> Part:
    """Open a worker's part of a run, for a new process of it.

    Args:
        run: The run folder.
        plan: The plan.
        worker: The worker.
        incarnation: How many processes it has had, with this one.
        tick: The snapshot of this epoch to begin from; -1 is where the epoch began.
        blueprint, settings, plugins: The run.
        messages: Registered message classes by (name, version).
        wiring: The graph with the actors of this worker, if they are made already.

    Raises:
        SnapshotDamaged: The snapshot is not sound any more.
        FileUnusable: The folder cannot be written, or another process has this incarnation.
    """
    past = [
        each
        for each in read_journal(run / JOURNAL_NAME, messages, tolerate_damage=True).records
        if isinstance(each, InputRecord | IntentRecord | OutcomeRecord)
    ]
    own: dict[tuple[type[Any], int], IntentRecord | OutcomeRecord] = {}
    for folder in processes_of(run, worker):
        if folder != folder_of(run, worker, incarnation):
            for each in _effects_of(folder / JOURNAL_NAME, messages):
                own[type(each), each.ticket] = each
    folder = folder_of(run, worker, incarnation)
    sink = new_sink(folder, messages, None, durable=settings.durable)
    try:
        snapshot = _snapshot(run, plan, worker, tick, messages)
        part = Part(
            plan,
            worker,
            blueprint=blueprint,
            settings=settings,
            plugins=plugins,
            folder=folder,
            run=run.name,
            records=[*past, *own.values()],
            sink=sink,
            snapshot=snapshot,
            wiring=wiring,
        )
    except BaseException:
        sink.close()
        raise
    for each in own.values():
        sink.append(each)  # so that the newest process has all that the worker ever knew
    return part


def _effects_of(path: Path, messages: Messages) -> list[IntentRecord | OutcomeRecord]:
    try:
        records = read_journal(path, messages, tolerate_damage=True).records
    except (FileUnusable, JournalDamaged):  # its process ended before it wrote anything
        return []
    return [each for each in records if isinstance(each, IntentRecord | OutcomeRecord)]


def _snapshot(run: Path, plan: Plan, worker: int, tick: int, messages: Messages) -> Snapshot | None:
    if tick < 0:
        return read_snapshot(Shelf(run).folder / plan.base, messages) if plan.base else None
    damage: SnapshotDamaged | None = None
    for folder in reversed(processes_of(run, worker)):
        path = Shelf(folder).folder / f"{tick:012d}{SUFFIX}"
        if path.is_file():
            try:
                return read_snapshot(path, messages)
            except SnapshotDamaged as error:
                damage = error
    if damage is not None:
        raise damage
    raise SnapshotDamaged(
        path=str(run / WORKERS),
        part=f"snapshot of worker {worker} at tick {tick}",
        offset=0,
        remedy="The folder of the run must be one that all workers share.",
    )
