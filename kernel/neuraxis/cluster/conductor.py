"""The conductor: starts the workers of a run, watches them, replaces those that are lost, and ends the run.

It computes nothing and carries no message between workers. What it knows of a worker comes from its reports, from the
file in which its heart beats, and from its launcher, which may know that the process has ended.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from neuraxis.cluster.batch import FrameDamaged, Report, decode, encode
from neuraxis.cluster.conduct import Conduct
from neuraxis.cluster.folder import ALIVE_NAME, folder_of, log_of
from neuraxis.cluster.occasions import Occasions
from neuraxis.cluster.status import Status, WorkerStatus, write_status
from neuraxis.cluster.worker import ASLEEP_S, Beat
from neuraxis.errors import NeuraxisError, TransportFailed, TransportUnusable, WorkerFailed, WorkerLost
from neuraxis.seams.transport import CONDUCTOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis.cluster.plan import Plan
    from neuraxis.seams.launcher import Launcher, Started
    from neuraxis.seams.transport import Link, Transport

_log = logging.getLogger(__name__)

ORDER_S: Final = 0.2
LEAVE_S: Final = 5.0
"""How long workers that are done are waited for; their last word may be lost."""

LET_GO_LOOK_S: Final = 0.01
STATUS_S: Final = 0.5
REPLACED_MAX: Final = 5
"""Processes in a row that a worker may lose without coming any further."""

AWAITED_FACTOR: Final = 10
"""Times the patience for which another process is awaited, where the launcher starts none."""

STARTS_S: Final = 30.0
"""Least seconds that a process has to start: on a busy host another one in its place would take no less."""

STUCK_FACTOR: Final = 3
"""Times the patience after which workers that all live and all wait are given up: their way is cut."""


@final
class _Watched:
    """What is known of one worker's process."""

    def __init__(self, started: Started, now: float) -> None:
        self.started = started
        self.beat = Beat(-1, "starting", [])
        self.heard = now
        self.progress = -1
        self.lost = 0
        self.is_awaited = False
        self.before: tuple[float, dict[str, Any]] = (now, {})


@final
class Conductor:
    """Conducts one epoch of a run.

    Attributes:
        conduct: What was decided.
        replaced: Processes of workers that were replaced.
        computing_s: Seconds from when all workers stood ready to when all had computed the last window.
    """

    def __init__(self, run: Path, plan: Plan, transport: Transport, launcher: Launcher) -> None:
        """Join the run at the transport, where its name is reserved already.

        Args:
            run: The run folder; its plan is written.
            plan: The plan.
            transport: The way to the workers.
            launcher: What starts them.
        """
        self.conduct = Conduct(plan)
        self.replaced = 0
        self.computing_s = 0.0
        self._ready: float | None = None
        self._run = run
        self._plan = plan
        self._transport = transport
        self._launcher = launcher
        self._link: Link = transport.join(plan.key, CONDUCTOR)
        self._watched: dict[int, _Watched] = {}
        self._failed: Report | None = None
        self._rolling: list[int] = []
        self._rolls_on: tuple[int, int] | None = None
        self._has_just_begun = False
        self._done_since = 0.0
        self._began = time.monotonic()

    def start(self) -> None:
        """Start all workers.

        Raises:
            UsageInvalid: The launcher cannot.
        """
        self._began = time.monotonic()
        for worker in self._plan.workers:
            self._start(worker, 1, -1, self._began)

    def run(self, show: Callable[[int, str], None]) -> None:
        """Conduct to the end: until all workers are done and have left. After `stop`, it can be called again.

        Args:
            show: Takes the tick that all have reached, and a few words.

        Raises:
            WorkerFailed: A worker cannot go on, and said why.
            WorkerLost: A worker is missing and cannot be replaced.
            TransportFailed: The way is cut.
        """
        now = time.monotonic()
        ordered = told = -1.0
        snapshots = Occasions(now)
        while not self._have_left(now):
            frame = self._link.receive(ORDER_S / 4)
            if frame is not None:
                self._take(frame)
            if self._failed is not None:
                raise _told(self._failed)
            before, now = now, time.monotonic()
            if now - before > ASLEEP_S:  # this process slept or was held up: nobody else was silent meanwhile
                for each in self._watched.values():
                    each.heard += now - before
            self._clock(now)
            if now - ordered >= ORDER_S or self.conduct.is_done or self._has_just_begun:
                ordered = now
                self._watch(now)
                if not self.conduct.stopping and snapshots.are_due(self.conduct, self._plan, now):
                    self.conduct.ask_snapshot()
                self._roll(now)
                order = encode(self.conduct.order())
                for worker in self._plan.workers:
                    self._link.send(worker, order)
            if now - told >= STATUS_S:
                told = now
                write_status(self._run, self.status(now))
                show(self.conduct.tick, "")

    def _clock(self, now: float) -> None:
        """Take the time of computing, without what starting and ending take."""
        self._has_just_begun = self._ready is None and self.conduct.is_running
        if self._has_just_begun:
            self._ready = now
        elif self._ready is not None and not self.computing_s and self.conduct.has_computed:
            self.computing_s = now - self._ready

    def _take(self, frame: Any) -> None:
        try:
            head, _ = decode(frame)
        except FrameDamaged:
            return
        if isinstance(head, Report):
            if head.state == "failed" and head.incarnation == self.conduct.incarnations.get(head.source):
                self._failed = head
            elif head.source in self._watched:
                self.conduct.take(head)
                if head.incarnation == self.conduct.incarnations[head.source]:
                    self._watched[head.source].is_awaited = False

    def _have_left(self, now: float) -> bool:
        """Tell whether all is written down, and all have left or had time to."""
        if not self.conduct.is_done:
            self._done_since = now
            return False
        if now - self._done_since > LEAVE_S:
            return True
        waits = [
            worker
            for worker, each in self._watched.items()
            if each.started.ended() is None and self.conduct.reports[worker].state != "leaving"
        ]
        return not waits

    # ------------------------------------------------------------------------------ workers

    def _start(self, worker: int, incarnation: int, tick: int, now: float) -> None:
        arguments = ["worker", str(self._run), "--index", str(worker), "--incarnation", str(incarnation)]
        arguments += ["--from-tick", str(tick), "--transport", self._transport.url]
        started = self._launcher.start(arguments, log_of(self._run, worker, incarnation))
        before = self._watched.get(worker)
        watched = self._watched[worker] = _Watched(started, now)
        watched.is_awaited = not self._launcher.replaces
        if before is not None:
            watched.lost, watched.progress = before.lost, before.progress

    def _watch(self, now: float) -> None:
        """Look for signs of life, and replace those who give none."""
        stuck = True
        for worker, each in self._watched.items():
            if self.conduct.is_done:
                return
            report = self.conduct.reports.get(worker)
            beat = self._beat_of(worker)
            if beat is not None and beat.number != each.beat.number:
                each.beat, each.heard = beat, now
            if report is not None and report.index > each.progress:
                each.progress, each.lost, each.heard = report.index, 0, now
            if now - each.heard <= self._plan.patience * STUCK_FACTOR or not self._is_waiting(worker):
                stuck = False
            code = each.started.ended()
            if code is not None:
                self._replace(worker, f"its process ended with code {code}", now)
            elif now - each.heard > (patience := self._patience_with(each)):
                self._replace(worker, f"it gave no sign of life for {patience:g} s", now)
        if stuck and self.conduct.is_running and not self._launcher.replaces:
            raise TransportFailed(
                transport=self._transport.name,
                reason="all workers live, but batches do not arrive",
                remedy="Look at the network and the broker, then go on with: neuraxis resume RUN",
            )

    def _patience_with(self, each: _Watched) -> float:
        """Seconds without a sign of life after which a process counts as lost; its heart beats once it has started."""
        if each.is_awaited:
            return self._plan.patience * AWAITED_FACTOR
        return max(self._plan.patience, STARTS_S) if each.beat.number < 0 else self._plan.patience

    def _is_waiting(self, worker: int) -> bool:
        report = self.conduct.reports.get(worker)
        return report is not None and bool(report.figures.get("waits_for"))

    def _beat_of(self, worker: int) -> Beat | None:
        path = folder_of(self._run, worker, self.conduct.incarnations[worker]) / ALIVE_NAME
        try:
            return msgspec.json.decode(path.read_bytes(), type=Beat)
        except (OSError, msgspec.MsgspecError):
            return None  # not there yet

    def _replace(self, worker: int, reason: str, now: float) -> None:
        each = self._watched[worker]
        _log.warning("a worker is replaced", extra={"worker": worker, "reason": reason})
        if not self._launcher.replaces:
            self._wait_for_another(worker, each, reason, now)
            return
        each.started.kill()
        each.lost += 1
        log = log_of(self._run, worker, self.conduct.incarnations[worker])
        if each.lost > REPLACED_MAX:
            raise self._with_its_cause(
                WorkerLost(
                    worker=worker,
                    reason=f"{reason}, for the {each.lost}th time without coming any further; see {log}",
                    remedy=f"Mend what the log names, then go on with: neuraxis resume {self._run}",
                )
            )
        self.replaced += 1
        incarnation = self.conduct.replaced(worker)
        self._start(worker, incarnation, self.conduct.stable[1], now)

    def _with_its_cause(self, lost: WorkerLost) -> NeuraxisError:
        """Return what ends the run: workers also come no further where the way between them carries nothing."""
        try:
            self._transport.check()
        except TransportUnusable as error:
            return TransportFailed(
                transport=error.transport,
                reason=error.reason,
                remedy=f"{error.remedy} Then go on with: neuraxis resume {self._run}",
            )
        return lost

    def _wait_for_another(self, worker: int, each: _Watched, reason: str, now: float) -> None:
        """Refuse the lost process from now on, and wait for whoever starts another one."""
        if not each.is_awaited:
            each.is_awaited, each.heard = True, now
            each.progress = -1
            self.conduct.replaced(worker)
            self.replaced += 1
            return
        raise WorkerLost(
            worker=worker,
            reason=f"{reason}, and nobody started another one",
            remedy=f"Start one with: neuraxis worker {self._run} --index {worker}; and before: "
            f"neuraxis resume {self._run} --launcher join --workers {len(self._plan.workers)}",
        )

    # ------------------------------------------------------------------------------- asking

    def stop(self) -> None:
        """End the run after a window that no worker is beyond; it can be resumed."""
        self.conduct.stop()

    def restart_all(self) -> None:
        """Replace every worker, one after the other, each from a fresh snapshot: nothing is computed for long twice."""
        self._rolling = list(self._plan.workers)

    def _roll(self, now: float) -> None:
        conduct = self.conduct
        if not self._rolling or not conduct.is_running:
            return
        if self._rolls_on is None:
            if conduct.wants_snapshot():
                conduct.ask_snapshot()
                self._rolls_on = (self._rolling[0], conduct.window)
        elif conduct.stable[0] > self._rolls_on[1]:
            worker = self._rolling.pop(0)
            self._rolls_on = None
            self._watched[worker].lost = -1  # it was asked for
            self._replace(worker, "it is restarted", now)

    # ------------------------------------------------------------------------------- status

    def status(self, now: float) -> Status:
        """Return how the run stands."""
        conduct = self.conduct
        workers = [self._status_of(worker, each, now) for worker, each in sorted(self._watched.items())]
        return Status(
            run=self._run.name,
            epoch=self._plan.epoch,
            tick=conduct.tick,
            until=self._plan.until,
            window=conduct.window,
            stable_tick=conduct.stable[1],
            transport=self._transport.url,
            window_ticks=self._plan.window,
            wall_s=round(now - self._began, 3),
            replaced=self.replaced,
            workers=workers,
        )

    def _status_of(self, worker: int, each: _Watched, now: float) -> WorkerStatus:
        report = self.conduct.reports.get(worker)
        figures: dict[str, Any] = {"messages": 0, "batches": 0, "bytes": 0}
        if report is not None:
            figures = {**figures, **report.figures, "window": report.index}
        then, before = each.before
        span = max(now - then, 1e-3)
        rates = {name: max(0.0, (figures.get(name, 0) - before.get(name, 0)) / span) for name in _RATED}
        each.before = (now, figures)
        return WorkerStatus(
            worker=worker,
            incarnation=self.conduct.incarnations[worker],
            state=report.state if report is not None else "starting",
            window=report.index if report is not None else -1,
            tick=report.tick if report is not None else -1,
            doing=f"waits for {figures['waits_for']}" if figures.get("waits_for") else each.beat.doing,
            messages=figures["messages"],
            batches=figures["batches"],
            bytes=figures["bytes"],
            messages_s=round(rates["messages"], 1),
            bytes_s=round(rates["bytes"], 1),
            windows_s=round(rates["window"], 1),
            lag=self.conduct.window - (report.index if report is not None else -1),
            busiest=each.beat.busiest,
            silent_s=round(now - each.heard, 1),
            memory=each.beat.memory,
        )

    def close(self, *, kill: bool) -> None:
        """Leave. With `kill`, end all workers that still run."""
        if kill:
            self.conduct.send_away("the run is over")
            with suppress(TransportFailed):
                order = encode(self.conduct.order())
                for worker in self._plan.workers:
                    self._link.send(worker, order)
            for each in self._watched.values():
                each.started.kill()
        self._link.close()

    def let_go(self) -> None:
        """Wait a while until the processes that were started have ended, and end those that have not."""
        until = time.monotonic() + (LEAVE_S if self._launcher.replaces else 0.0)
        for each in self._watched.values():
            while each.started.ended() is None and time.monotonic() < until:
                time.sleep(LET_GO_LOOK_S)
            each.started.kill()


_RATED: Final = ("messages", "bytes", "window")


def _told(report: Report) -> WorkerFailed:
    """Return the error that a worker told, with its own code and exit code."""
    facts = report.facts
    error = WorkerFailed(worker=report.source, text=facts["text"])
    error.code, error.exit_code = facts["code"], facts["exit_code"]  # type: ignore[misc]  # of this one only
    return error
