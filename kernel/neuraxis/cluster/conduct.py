"""What the conductor decides, without a clock, a socket or a process: from reports to orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from neuraxis.cluster.batch import Order, Report

if TYPE_CHECKING:
    from neuraxis.cluster.plan import Plan

HELD_MAX: Final = 50_000
"""Batches that a worker keeps for others before a snapshot is asked for, whatever it costs."""


@final
class Conduct:
    """The state of a whole distributed run, as far as its conductor knows it.

    Attributes:
        incarnations: By worker: the process that counts.
        reports: By worker: its newest report; those of earlier processes are forgotten.
        kept: By worker: (window, tick) of all snapshots that it reported.
        stable: (window, tick) of the newest snapshot that all workers have; (-1, -1) if there is none.
        stopping: Whether the run is to end early.
    """

    def __init__(self, plan: Plan) -> None:
        self.incarnations = dict.fromkeys(plan.workers, 1)
        self.reports: dict[int, Report] = {}
        self.kept: dict[int, set[tuple[int, int]]] = {worker: set() for worker in plan.workers}
        self.stable = (-1, -1)
        self.stopping = False
        self._plan = plan
        self._number = 0
        self._away: dict[int, str] = {}
        self._asked_at = -1
        self._stop_at = -1

    def take(self, report: Report) -> None:
        """Take note of where a worker stands."""
        worker = report.source
        known = self.incarnations.get(worker)
        if report.epoch != self._plan.epoch or known is None or report.incarnation < known:
            return
        if report.incarnation > known:  # somebody started it elsewhere
            self.replaced(worker)
            self.incarnations[worker] = report.incarnation
        self.reports[worker] = report
        if report.kept[0] >= 0:
            self.kept[worker].add(report.kept)
            common = set.intersection(*self.kept.values())
            if common:
                self.stable = max(self.stable, *common)
                for each in self.kept.values():
                    each.difference_update([one for one in each if one < self.stable])

    def replaced(self, worker: int) -> int:
        """Take note that a worker gets another process, and return its incarnation."""
        self.incarnations[worker] += 1
        self.reports.pop(worker, None)
        self.kept[worker].clear()  # it begins at what is stable now, so nothing later may become stable by its past
        self._asked_at = -1  # what was asked for may never be complete
        return self.incarnations[worker]

    def send_away(self, reason: str) -> None:
        """End the run for everybody."""
        self._away = dict.fromkeys(self._plan.workers, reason)

    def wants_snapshot(self) -> bool:
        """Tell whether a snapshot may be asked for: the one before is complete, and windows went by since."""
        slowest = min((report.index for report in self.reports.values()), default=-1)
        return self.is_running and self.stable[0] >= self._asked_at and slowest > self.stable[0] + 1

    def is_crowded(self) -> bool:
        """Tell whether workers keep so many batches that a snapshot should be taken."""
        return any(report.figures.get("held", 0) > HELD_MAX for report in self.reports.values())

    def ask_snapshot(self) -> None:
        """Ask for a snapshot at the end of one of the next windows."""
        self._asked_at = self.window

    def stop(self) -> None:
        """End after a window that no worker is beyond."""
        self.stopping = True

    @property
    def window(self) -> int:
        """The last window that any worker has begun."""
        return max((report.index for report in self.reports.values()), default=-1)

    @property
    def tick(self) -> int:
        """The tick that all workers have reached."""
        return min((report.tick for report in self.reports.values()), default=0)

    def _all_are(self, *states: str) -> bool:
        workers = self._plan.workers
        return len(self.reports) == len(workers) and all(each.state in states for each in self.reports.values())

    @property
    def is_running(self) -> bool:
        """Whether all workers stand and not all are done."""
        return self._has_begun and not self.is_done

    @property
    def has_computed(self) -> bool:
        """Whether all workers have computed all that there is."""
        return self._all_are("ending", "done", "leaving")

    @property
    def is_done(self) -> bool:
        """Whether all workers are at the end and have written down what they came to."""
        return self._all_are("done", "leaving")

    @property
    def _has_begun(self) -> bool:
        return len(self.reports) == len(self._plan.workers)

    def order(self) -> Order:
        """Return what the workers are to do now."""
        self._number += 1
        if self.stopping and self._stop_at < 0 and self._all_are("paused", "ending", "done"):
            self._stop_at = self.window
        return Order(
            self._plan.epoch,
            self._number,
            dict(self.incarnations),
            go=self._go(),
            stable=self.stable[0],
            ask_after=self._asked_at,
            pause=self.stopping,
            stop_at=self._stop_at,
            finished=self.is_done,
            away=self._away,
        )

    def _go(self) -> bool:
        """Windows begin when every worker stands ready; a replaced one begins at once."""
        return self._has_begun or any(each > 1 for each in self.incarnations.values())
