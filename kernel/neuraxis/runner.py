"""Running a blueprint and keeping its records: what a simulation does between two calls of its user."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct, field

from neuraxis.blueprint import Blueprint, History, ScriptedInput, replay, replay_on
from neuraxis.errors import InvariantBroken, told
from neuraxis.journal.log import EffectRecords
from neuraxis.journal.record import BlockDigest, InputRecord
from neuraxis.scheduler import state
from neuraxis.scheduler.envelope import first_id
from neuraxis.wiring import INPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from neuraxis.journal.log import RecordSink
    from neuraxis.journal.record import Record
    from neuraxis.scheduler.envelope import MessageId
    from neuraxis.scheduler.loop import Scheduler
    from neuraxis.snapshot.container import Snapshot
    from neuraxis.trace.record import TraceFile
    from neuraxis.wiring import Wiring

BLOCK_TICKS: Final = 1_000
SNAPSHOTS_KEPT: Final = 5

log = logging.getLogger(__name__)
actor_log = logging.getLogger("neuraxis.actor")


@final
class Settings(Struct, frozen=True):
    """What does not decide results.

    Attributes:
        scenario: Canonical form of the scenario, for the journal; None for a graph built in Python.
        trace: `digest`, or `full` to write `trace.jsonl` into the run folder.
        durable: Whether records wait for the disk at the end of every stretch.
        block: Ticks between block digests in the journal.
        snapshot_every: Ticks between snapshots; None leaves them to the caller.
        snapshots_kept: Newest snapshots kept in the run folder.
        extra: Further facts for the header, such as the backend.
    """

    scenario: Mapping[str, Any] | None = None
    trace: str = "digest"
    durable: bool = False
    block: int = BLOCK_TICKS
    snapshot_every: int | None = None
    snapshots_kept: int = SNAPSHOTS_KEPT
    extra: Mapping[str, Any] = field(default_factory=dict)


@final
class OperatorLog:
    """Passes lines of actors to the standard library's logging."""

    def line(self, path: str, tick: int, event: str, facts: Mapping[str, Any]) -> None:
        """Log one line at level INFO."""
        actor_log.info(event, extra={"actor": path, "tick": tick, "facts": dict(facts)})


@final
class Runner:
    """A scheduler with its records: it injects, advances in stretches, and notes block digests.

    Attributes:
        scheduler: The scheduler; a new one after `rebuild`.
        sink: Where records go.
        invariant: Checked at the end of every stretch.
        on_snapshot_due: Called when a snapshot is due.
        trace: Where deliveries are written, if at all.
    """

    def __init__(self, blueprint: Blueprint, wiring: Wiring, sink: RecordSink, settings: Settings, run: str) -> None:
        self.sink = sink
        self.invariant: Callable[[], str | None] | None = None
        self.on_snapshot_due: Callable[[], object] = lambda: None
        self.trace: TraceFile | None = None
        self._blueprint = blueprint
        self._settings = settings
        self._run = run
        self._scripted: deque[ScriptedInput] = deque()
        self._last_block = -1
        self.scheduler = self._build(wiring)

    def _build(self, wiring: Wiring) -> Scheduler:
        log = EffectRecords(self.sink)
        return self._blueprint.build(wiring, run=self._run, log=log, operators=OperatorLog())

    def write_trace(self, path: Path, *, after: int) -> None:
        """Write every delivery of this run to a file of JSON lines, behind those up to the end of tick `after`."""
        from neuraxis.trace.record import TraceFile  # only runs with a full trace pay for it

        self.trace = self.scheduler.observer = TraceFile(path, self.scheduler.wiring, after=after)

    def close(self) -> None:
        """Release actors, threads and files."""
        self._close_actors()
        self.scheduler.effects.close()
        try:
            if self.trace is not None:
                self.trace.close()
        finally:
            self.sink.close()

    def _close_actors(self) -> None:
        """Close every actor; one that fails to must not keep the others open."""
        for path, actor in zip(self.scheduler.wiring.paths, self.scheduler.actors, strict=True):
            try:
                if actor is not None:
                    actor.close()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - one that fails must not keep the others open
                log.error("actor failed to close", extra={"actor": path, "error": told(error)})

    def begin(self, history: History, snapshot: Snapshot | None) -> None:
        """Bring the run to where its recorded past ends; for a new run, to the end of tick 0.

        Where workers stopped at different ticks, an outcome may be known behind an input of the scenario that was
        not given yet: it is given in its tick.
        """
        scheduler = self.scheduler
        scheduler.effects.recall(set(history.intents), history.outcomes(), only=False)
        done = sum(1 for record in history.inputs if record.scripted)
        self._scripted = deque(sorted(self._blueprint.inputs, key=lambda each: each.tick)[done:])
        first = 0 if snapshot is None else snapshot.tick
        end = max(first, history.last_tick())
        replay(scheduler, history, snapshot, until=first)
        while self._scripted and self._scripted[0].tick < end:
            replay_on(scheduler, history, until=self._scripted[0].tick, with_last_inputs=True)
            self._inject_scripted()
        replay_on(scheduler, history, until=end, with_last_inputs=True)
        self._inject_scripted()

    def begin_part(self, history: History, snapshot: Snapshot | None) -> None:
        """Bring one worker's part of a run to where its snapshot stands, or to the end of tick 0.

        Mail of other workers is not there yet, so nothing is executed behind the snapshot. Recorded inputs behind
        it are injected again when their tick comes, like those of the scenario that follow them.
        """
        scheduler = self.scheduler
        scheduler.effects.recall(set(history.intents), history.outcomes(), only=False)
        if snapshot is None:
            scheduler.start()
            scheduler.advance(0)
        else:
            state.restore(scheduler, snapshot.state)
        recorded = [ScriptedInput(each.tick, each.target, each.port, each.payload) for each in history.inputs]
        done = scheduler.next_external[INPUT] - first_id(scheduler.wiring.position[INPUT])
        scripted = sum(1 for record in history.inputs if record.scripted)
        rest = sorted(self._blueprint.inputs, key=lambda each: each.tick)[scripted:]
        self._scripted = deque([*recorded[done:], *rest[max(0, done - len(recorded)) :]])
        self._inject_scripted()

    def rebuild_part(self, wiring: Wiring, records: Sequence[Record], snapshot: Snapshot | None) -> None:
        """Go back to where `begin_part` begins, with a fresh wiring."""
        self._close_actors()
        self.scheduler.effects.close()
        self.scheduler = self._build(wiring)
        self.begin_part(History(records), snapshot)
        if self.trace is not None:
            self.trace.cut_back(self.scheduler.calendar.now)
            self.scheduler.observer = self.trace

    def calm_until(self) -> int:
        """Return the last tick before the end of the next block, or the next input: up to it nothing is recorded."""
        now = self.scheduler.calendar.now
        block = now - now % self._settings.block + self._settings.block - 1
        return min(block, self._scripted[0].tick - 1) if self._scripted else block

    @property
    def next_input(self) -> int | None:
        """The tick at whose end the scenario's next input is injected, or None."""
        return self._scripted[0].tick if self._scripted else None

    def rebuild(self, snapshot: Snapshot | None) -> None:
        """After a failure: build the state at the end of the last good tick from the records."""
        end = self.scheduler.calendar.now
        self._close_actors()
        self.scheduler.effects.close()
        history = History(self.sink.records())
        self.scheduler = self._build(self._blueprint.wire())
        self.scheduler.effects.recall(set(history.intents), history.outcomes(), only=False)
        replay(self.scheduler, history, snapshot, until=end)
        replay_on(self.scheduler, history, until=end, with_last_inputs=True)  # they were accepted, so they stay
        if self.trace is not None:
            self.trace.cut_back(end)  # the failed tick has not happened
            self.scheduler.observer = self.trace

    # -------------------------------------------------------------------------------- running

    def run_to(self, end: int) -> None:
        """Run to the end of tick `end`, stretch by stretch.

        A stretch ends at a block, a scripted input, or a snapshot that is due.
        """
        while True:
            now = self.scheduler.calendar.now
            if now >= end:
                return
            self.scheduler.advance(self._next_stop(now, end))
            self._stop_here()

    def _next_stop(self, now: int, end: int) -> int:
        stops = [end, self._skip_idle(end, self._settings.block)]
        if self._scripted:
            stops.append(max(self._scripted[0].tick, now))
        if self._settings.snapshot_every is not None:
            stops.append(self._skip_idle(end, self._settings.snapshot_every))
        return min(stops)

    def _skip_idle(self, end: int, every: int) -> int:
        """Return the end of the next stretch of `every` ticks in which anything happens; `end` if nothing does."""
        event = self.scheduler.calendar.next_tick()
        return end if event is None else -(-event // every) * every

    def _stop_here(self) -> None:
        now = self.scheduler.calendar.now
        if now % self._settings.block == 0:
            self.sink.append(self.block_digest())
        self._inject_scripted()
        if self.invariant is not None and (broken := self.invariant()) is not None:
            raise InvariantBroken(invariant=self._blueprint.graph.name, tick=now, got=broken)
        every = self._settings.snapshot_every
        if every is not None and now % every == 0:
            self.on_snapshot_due()
        self.sink.sync()

    def _inject_scripted(self) -> None:
        while self._scripted and self._scripted[0].tick <= self.scheduler.calendar.now:
            each = self._scripted.popleft()
            if self.scheduler.wiring.here[self.scheduler.wiring.position[each.path]]:
                self.inject(each.path, each.port, each.payload, scripted=True)
            else:
                self.scheduler.next_external[INPUT] += 1  # another worker injects it; the number is taken

    def inject(self, path: str, port: str, payload: Any, *, scripted: bool = False) -> MessageId:
        """Journal an input, then inject it.

        Raises:
            PayloadRejected: The port does not take it; nothing was journaled.
        """
        scheduler = self.scheduler
        position = scheduler.wiring.position[path]
        payload = scheduler.admit_input(position, port, payload)
        message = scheduler.next_external[INPUT]
        self.sink.append(InputRecord(scheduler.calendar.now, message, path, port, payload, scripted))
        return scheduler.inject(position, port, payload)

    def block_digest(self) -> BlockDigest:
        """Return the digests of all shards that had mail, up to here."""
        recorder = self.scheduler.recorder
        shards = {shard: each for shard, each in enumerate(recorder.shard_digests()) if any(each)}
        return BlockDigest(self.scheduler.calendar.now, shards, recorder.digests())
