"""From the records of workers to one run, as one process would have written it.

What is merged ends at a snapshot that all workers have: the last one of a run that is over, the newest sound one of
a run that was broken off. Records behind it are kept where they bind a run that goes on: what effects came to.
"""

from __future__ import annotations

import heapq
import re
import shutil
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
from msgspec import Struct

from neuraxis.cluster.folder import WORKERS, processes_of, read_plan
from neuraxis.cluster.part import RESULT_NAME, Told
from neuraxis.errors import DamagedData, FileUnusable, JournalDamaged
from neuraxis.files import read_bytes
from neuraxis.journal.read import Journal, read_journal
from neuraxis.journal.record import BlockDigest, InputRecord, IntentRecord, OutcomeRecord, SnapshotMark
from neuraxis.launch import JOURNAL_NAME
from neuraxis.scheduler.state import merged
from neuraxis.simulation import TRACE_NAME
from neuraxis.snapshot.container import Snapshot, read_snapshot
from neuraxis.snapshot.shelf import Shelf, tick_of
from neuraxis.trace.digest import ChainState, DigestRecorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from neuraxis.cluster.plan import Plan
    from neuraxis.journal.log import RecordSink
    from neuraxis.journal.record import Record
    from neuraxis.snapshot.sign import Signer
    from neuraxis.wiring import Wiring

    Messages = dict[tuple[str, int], type[Any]]

_TICK: Final = re.compile(r'\{"tick": (\d+)')


@final
class Merged(Struct, frozen=True):
    """What workers came to, together.

    Attributes:
        tick: Where they stand; -1 if there is no snapshot that all have.
        snapshot: File name of the run's snapshot there.
        told: What each worker told at its end; empty for a run that was broken off.
        digest, digests: Of the whole run.
        waiting: Messages in backlogs.
    """

    tick: int
    snapshot: str
    told: tuple[Told, ...]
    digest: str
    digests: dict[str, str]
    delivered: int
    waiting: int


def merge(
    run: Path,
    wiring: Wiring,
    seed: int,
    messages: Messages,
    sink: RecordSink,
    facts: dict[str, Any],
    *,
    signer: Signer | None = None,
    durable: bool = False,
) -> Merged:
    """Bring the records of all workers into the journal of the run, and their states into one snapshot.

    It can be done again after it was interrupted: what the journal holds already is not written twice. The folders
    of workers stay; `clear` removes them.

    Args:
        run: The run folder.
        wiring: The graph; none of its actors needs to be made.
        seed: The run's seed.
        messages: Registered message classes by (name, version).
        sink: The journal of the run.
        facts: Facts for the manifest of the snapshot; tick and digests are added.
        signer: Signs the snapshot.
        durable: Whether to wait for the disk.

    Raises:
        DamagedData: No snapshot of a worker that was done is sound.
        FileUnusable: The disk is full.
    """
    plan = read_plan(run)
    told = _all_told(run, plan)
    states = _states(run, plan, told, messages)
    tick = states[0].tick if states else -1
    known = sink.records()
    journals = {worker: list(_journals(run, worker, messages)) for worker in plan.workers}
    for record in _fresh(journals, known, tick):
        sink.append(record)
    recorder = DigestRecorder(wiring, seed, [])
    if not states:
        return Merged(-1, "", (), "", {}, 0, 0)
    state = merged([each.state for each in states])
    recorder.restore({shard: ChainState(*each) for shard, each in state["scheduler"]["chains"].items()})
    digests = recorder.digests()
    for block in _blocks(journals, known, tick, wiring, seed):
        sink.append(block)
    snapshot = Snapshot({**facts, "tick": tick, "digests": digests}, state)
    path, sha256 = Shelf(run).put(snapshot, signer=signer, durable=durable)
    if not any(isinstance(each, SnapshotMark) and each.sha256 == sha256 for each in known):
        sink.append(SnapshotMark(tick, path.name, sha256))
    _merge_traces(run, plan, wiring, tick)
    own = state["scheduler"]
    waiting = sum(len(inbox) for _, inbox in own["backlogs"])
    return Merged(tick, path.name, told, recorder.digest(), digests, own["delivered"], waiting)


def clear(run: Path) -> None:
    """Remove the folders of workers, whose records are merged."""
    aside = run / f"{WORKERS}.merged"
    shutil.rmtree(aside, ignore_errors=True)
    (run / WORKERS).rename(aside)  # at once: a worker that has not heard yet that the run is over may write into it
    shutil.rmtree(aside, ignore_errors=True)  # a network file system keeps what such a worker has open


def _all_told(run: Path, plan: Plan) -> tuple[Told, ...]:
    """Return what all workers told at their end, at one tick; empty if one has not."""
    told = []
    for worker in plan.workers:
        found = [folder / RESULT_NAME for folder in reversed(processes_of(run, worker))]
        path = next((each for each in found if each.is_file()), None)
        if path is None:
            return ()
        told.append(msgspec.json.decode(read_bytes(path, remedy="Check the run folder."), type=Told))
    return tuple(told) if len({each.tick for each in told}) == 1 else ()


def _states(run: Path, plan: Plan, told: tuple[Told, ...], messages: Messages) -> list[Snapshot]:
    """Return one snapshot of each worker, all of the newest tick of which each has a sound one."""
    files: list[dict[int, list[Path]]] = []
    for worker in plan.workers:
        own: dict[int, list[Path]] = {}
        for folder in reversed(processes_of(run, worker)):
            for path in Shelf(folder).files():
                own.setdefault(tick_of(path), []).append(path)
        files.append(own)
    common = set.intersection(*(set(own) for own in files))
    if told:
        common &= {told[0].tick}
    damage: DamagedData | None = None
    for tick in sorted(common, reverse=True):
        try:
            return [_first_sound(own[tick], messages) for own in files]
        except DamagedData as error:
            damage = error
    if told and damage is not None:
        raise damage
    return []


def _first_sound(paths: list[Path], messages: Messages) -> Snapshot:
    for path in paths[:-1]:
        try:
            return read_snapshot(path, messages)
        except DamagedData:
            continue  # an older process of the worker took the same one
    return read_snapshot(paths[-1], messages)


def _journals(run: Path, worker: int, messages: Messages) -> Iterator[Journal]:
    """Yield the journals of all processes of a worker, oldest first."""
    for folder in processes_of(run, worker):
        try:
            yield read_journal(folder / JOURNAL_NAME, messages, tolerate_damage=True)
        except (FileUnusable, JournalDamaged):
            continue  # its process ended before it wrote anything


def _fresh(journals: dict[int, list[Journal]], known: list[Record], tick: int) -> list[Record]:
    """Return inputs up to the end of `tick`, and all that is known of effects, that the run's journal lacks."""
    inputs = {each.id for each in known if isinstance(each, InputRecord)}
    effects = {(type(each), each.ticket) for each in known if isinstance(each, IntentRecord | OutcomeRecord)}
    new_inputs: dict[int, InputRecord] = {}
    new_effects: dict[tuple[bool, int], IntentRecord | OutcomeRecord] = {}
    for own in journals.values():
        for journal in own:
            for each in journal.records:
                if isinstance(each, InputRecord) and each.tick <= tick and each.id not in inputs:
                    new_inputs[each.id] = each
                elif isinstance(each, IntentRecord | OutcomeRecord) and (type(each), each.ticket) not in effects:
                    new_effects[isinstance(each, OutcomeRecord), each.ticket] = each
    return [
        *(new_inputs[number] for number in sorted(new_inputs)),
        *(new_effects[key] for key in sorted(new_effects)),
    ]


def _blocks(
    journals: dict[int, list[Journal]], known: list[Record], tick: int, wiring: Wiring, seed: int
) -> list[BlockDigest]:
    """Return the block digests of the run that its journal lacks, from those of the shards' owners."""
    before = [each for each in known if isinstance(each, BlockDigest)]
    last = before[-1].tick if before else -1
    shards: dict[int, bytes] = dict(before[-1].shards) if before else {}
    by_tick: dict[int, dict[int, bytes]] = {}
    for own in journals.values():
        mine: dict[int, dict[int, bytes]] = {}
        for journal in own:
            mine.update((each.tick, each.shards) for each in journal.of(BlockDigest))
        for at, digests in mine.items():
            by_tick.setdefault(at, {}).update(digests)
    recorder = DigestRecorder(wiring, seed, [])
    found = []
    for at in sorted(by_tick):
        if last < at <= tick:
            shards = {**shards, **by_tick[at]}
            found.append(BlockDigest(at, dict(sorted(shards.items())), recorder.digests_of(shards)))
    return found


def _merge_traces(run: Path, plan: Plan, wiring: Wiring, tick: int) -> None:
    """Join the traces of workers, in the order in which one process delivers."""
    sources = [list(_trace_of(run, worker, tick)) for worker in plan.workers]
    if not any(sources):
        return
    decode = msgspec.json.Decoder().decode

    def keyed(lines: Iterable[str]) -> Iterator[tuple[int, int, int, str]]:
        for number, line in enumerate(lines):
            facts = decode(line)
            yield facts["tick"], wiring.position[facts["target"]], number, line

    present = run / TRACE_NAME
    done = 0
    if present.is_file():
        with present.open(encoding="utf-8") as old:
            for line in old:
                match = _TICK.match(line)
                done = max(done, int(match[1]) + 1) if match else done
    with present.open("a", encoding="utf-8") as file:
        for at, _, _, line in heapq.merge(*(keyed(lines) for lines in sources)):
            if at >= done:
                file.write(line)


def _trace_of(run: Path, worker: int, tick: int) -> Iterator[str]:
    """Yield the lines of a worker's trace: of each process up to where the next one began to write."""
    kept: list[str] = []
    for folder in processes_of(run, worker):
        path = folder / TRACE_NAME
        if not path.is_file():
            continue
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not lines:
            continue
        first = _TICK.match(lines[0])
        start = int(first[1]) if first else 0
        kept = [line for line in kept if _at(line) < start] + lines
    yield from (line for line in kept if line.endswith("\n") and _at(line) <= tick)


def _at(line: str) -> int:
    match = _TICK.match(line)
    return int(match[1]) if match else 2**62
