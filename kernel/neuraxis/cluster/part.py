"""One worker's part of a run: a simulation of the actors that it owns, which hands over and takes over mail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
from msgspec.structs import replace

from neuraxis.blueprint import Blueprint
from neuraxis.cluster.batch import Failure
from neuraxis.errors import ActorFailed, NeuraxisError
from neuraxis.files import write_atomically
from neuraxis.journal.record import InputRecord, IntentRecord, OutcomeRecord
from neuraxis.result import charts_of, figures_of
from neuraxis.scheduler.state import part_of
from neuraxis.simulation import Simulation
from neuraxis.snapshot.container import Snapshot
from neuraxis.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.cluster.batch import Letters
    from neuraxis.cluster.plan import Plan
    from neuraxis.journal.log import RecordSink
    from neuraxis.journal.record import Record
    from neuraxis.plugins.manager import Plugins
    from neuraxis.runner import Settings
    from neuraxis.wiring import Wiring

WINDOW_FACT: Final = "window"
RESULT_NAME: Final = "result.json"


@final
class Told(msgspec.Struct, frozen=True):
    """What a worker came to at the end, as its file holds it.

    Attributes:
        tick: The end.
        snapshot: File name of its part of the last snapshot.
        statistics: Counts.
        figures, troubles, charts: As `neuraxis.result` makes them of its actors.
        failure: Why the run ended here, if a tick failed.
    """

    tick: int
    snapshot: str
    statistics: dict[str, Any]
    figures: dict[str, Any]
    troubles: list[str]
    charts: list[tuple[str, str]]
    failure: Failure | None = None


@final
class Part:
    """The actors of one worker.

    Attributes:
        window: Number of the window at whose end it stands; -1 before the first exchange.
        upcoming: Next tick in which anything happens anywhere, as told in that window.
        sim: The simulation.
        snapshot_s: Seconds that snapshots took so far.
    """

    def __init__(
        self,
        plan: Plan,
        me: int,
        *,
        blueprint: Blueprint,
        settings: Settings,
        plugins: Plugins | None,
        folder: Path,
        run: str,
        records: Sequence[Record],
        sink: RecordSink,
        snapshot: Snapshot | None,
        wiring: Wiring | None = None,
    ) -> None:
        """Make the actors and stand where the snapshot stands.

        Args:
            plan: Who owns what.
            me: The worker.
            blueprint: What decides the run.
            settings: What does not.
            plugins: Plugins whose observer hooks are called.
            folder: Where the worker's records lie.
            run: Name of the whole run.
            records: What is known of the past of the run: all its inputs, and the worker's intents and outcomes.
            sink: Takes records.
            snapshot: A snapshot of this worker, or of a whole run, to begin from; None is the beginning.
            wiring: The graph with the actors of this worker, made already and not in use; None makes them.

        Raises:
            ScenarioInvalid: An actor cannot be made.
        """
        self.window = -1
        self.snapshot_s = 0.0
        self._calm = -1
        self._is_durable = settings.durable
        self.upcoming: int | None = None
        self._plan = plan
        self._me = me
        self._blueprint = blueprint
        self._records = list(records)
        self._newest = snapshot
        wiring = wiring or wire(blueprint.graph, plan.shards_of(me))
        snapshot = self._mine(snapshot, wiring)
        self.sim = Simulation.part(
            blueprint,
            wiring,
            self._records,
            sink,
            snapshot=snapshot,
            folder=folder,
            run=run,
            plugins=plugins,
            settings=replace(settings, snapshot_every=None),
        )
        self._take_window(snapshot)
        self._here = (*wiring.here, *reversed(wiring.here))

    def _mine(self, snapshot: Snapshot | None, wiring: Wiring) -> Snapshot | None:
        if snapshot is None or WINDOW_FACT in snapshot.facts:
            return snapshot
        return Snapshot(snapshot.facts, part_of(snapshot.state, wiring, first=self._me == 1))

    def _take_window(self, snapshot: Snapshot | None) -> None:
        is_of_epoch = snapshot is not None and snapshot.facts.get("epoch") == self._plan.epoch
        self.window, self.upcoming = -1, None
        if snapshot is not None and is_of_epoch:
            self.window, self.upcoming = snapshot.facts[WINDOW_FACT], snapshot.facts["upcoming"]

    # ------------------------------------------------------------------------------ windows

    @property
    def tick(self) -> int:
        """The tick at whose end the part stands."""
        return self.sim.tick

    def advance(self, end: int) -> Failure | None:
        """Compute up to the end of a tick. Returns what failed, if a tick did.

        Raises:
            MemoryError, KeyboardInterrupt, SystemExit: As of any simulation; they end the process.
        """
        runner = self.sim.runner
        try:
            if end <= self._calm:
                runner.scheduler.advance(end)
            else:
                runner.run_to(end)
                self._calm = -1 if self._is_durable else runner.calm_until()
        except NeuraxisError as error:
            scheduler = runner.scheduler
            if scheduler.failed is None:
                raise
            position = scheduler.wiring.position.get(error.actor, 0) if isinstance(error, ActorFailed) else 0
            rank = 1 if isinstance(error, ActorFailed) else 0
            return Failure(scheduler.calendar.now + 1, rank, position, type(error).__name__, error.facts())
        return None

    def hand_over(self) -> Letters:
        """Return all mail for actors of other workers, and keep none of it."""
        return self.sim.runner.scheduler.calendar.hand_over(self._here)

    def take_over(self, letters: Letters) -> None:
        """Take the mail for this worker's actors out of what another handed over."""
        self.sim.runner.scheduler.calendar.take_over(letters, self._here)

    def event(self) -> int | None:
        """Return the next tick in which anything happens here, or None."""
        runner = self.sim.runner
        tick, given = runner.scheduler.calendar.next_tick(), runner.next_input
        if given is None:
            return tick
        given = max(given, self.tick) + 1
        return given if tick is None or given < tick else tick

    # ------------------------------------------------------------------------------ records

    def snapshot(self) -> None:
        """Write the state at the end of the window."""
        self.sim.facts = {
            WINDOW_FACT: self.window,
            "upcoming": self.upcoming,
            "epoch": self._plan.epoch,
            "worker": self._me,
        }
        began = time.perf_counter()
        self._newest = self.sim.snapshot()
        self.snapshot_s += time.perf_counter() - began

    def rewind(self) -> None:
        """Stand at the end of the newest snapshot again, or at the beginning: after a tick that failed."""
        wiring = wire(self._blueprint.graph, self._plan.shards_of(self._me))
        snapshot = self._mine(self._newest, wiring)
        known = [each for each in self.sim.records() if isinstance(each, IntentRecord | OutcomeRecord)]
        given = [each for each in self._records if isinstance(each, InputRecord)]
        self._calm = -1
        self.sim.runner.rebuild_part(wiring, [*given, *known], snapshot)
        self._take_window(snapshot)

    def tell(self, failure: Failure | None) -> None:
        """Write what the part came to, beside its last snapshot."""
        self.snapshot()
        figures, troubles = figures_of(self.sim)
        charts, more = charts_of(self.sim)
        mark = f"{self.tick:012d}.nxs"
        told = Told(
            self.tick,
            mark,
            msgspec.to_builtins(self.sim.statistics),
            figures,
            [*troubles, *more],
            charts,
            failure,
        )
        assert self.sim.folder is not None, "a part has a folder"
        write_atomically(self.sim.folder / RESULT_NAME, [msgspec.json.encode(told)])

    def close(self) -> None:
        """Release everything."""
        self.sim.close()
