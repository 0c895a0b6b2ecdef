"""One round of a campaign: a run over real processes, which is struck while it goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit

import msgspec

from neuraxis.cluster.epoch import Wish, begin
from neuraxis.cluster.launchers import LEASH, Process, spawn
from neuraxis.errors import WorkerLost
from neuraxis.explore.strikes import BURSTS, Strike
from neuraxis.explore.struck_worker import Order, order_path, told
from neuraxis.files import make_folder, write_atomically
from neuraxis.testing.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from neuraxis.launch import Opened

DISCONNECTED_S: Final = 1.0
AWAKE_AFTER_S: Final = 1.0
"""Seconds from when a stopped process was replaced to when it goes on."""

ENDS_S: Final = 15.0
"""Seconds, beside the patience, that a process has to end by itself once its run is over."""


def can_disconnect(url: str) -> bool:
    """Return whether connections to a broker can be led through a proxy: without TLS, and with a port in the URL."""
    parts = urlsplit(url)
    return parts.scheme in ("nats", "redis") and parts.hostname is not None and parts.port is not None


@final
class _Soldier:
    """A process of a worker, which may be out of reach for its conductor.

    Attributes:
        stopped: Whether it was stopped and does not go on yet.
        given_up: When its conductor took it for dead while it was stopped; then it is left alone until it goes on.
        is_struck: Whether it was killed or stopped.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.stopped = False
        self.given_up: float | None = None
        self.is_struck = False

    def ended(self) -> int | None:
        return self.process.ended()

    def kill(self) -> None:
        if self.stopped:
            self.given_up = time.monotonic()
        else:
            self.process.kill()

    def go_on(self) -> None:
        self.stopped = False
        os.kill(self.process.pid, signal.SIGCONT)


@final
class _Launcher:
    """Starts workers whose links can be struck, and remembers their processes."""

    name: Final = "campaign"
    replaces: Final = True

    def __init__(self, orders: Path, seed: int) -> None:
        self._struck = [sys.executable, "-m", "neuraxis.explore.struck_worker"]
        self._struck += ["--orders", str(orders), "--frame-seed", str(seed)]
        self.newest: dict[int, _Soldier] = {}
        self.all: list[_Soldier] = []

    def start(self, arguments: list[str], log: Path) -> _Soldier:
        soldier = _Soldier(spawn([*self._struck, *arguments], log, {**os.environ, LEASH: "1"}))
        self.newest[int(arguments[arguments.index("--index") + 1])] = soldier
        self.all.append(soldier)
        return soldier


@final
class Round:
    """A run that is struck.

    Attributes:
        fired: How many strikes happened, by kind.
        replaced: Processes that were replaced.
    """

    def __init__(
        self,
        opened: Opened,
        folder: Path,
        wish: Wish,
        strikes: Sequence[Strike],
        *,
        seed: int,
        limit_s: float,
        restart: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the round.

        Args:
            opened: The scenario, without actors.
            folder: Where the run is written; its parent takes what else there is to write.
            wish: How the run is distributed.
            strikes: What happens.
            seed: Decides which frames are struck.
            limit_s: Seconds that the run may take.
            restart: Restarts the broker.
        """
        self.fired: Counter[str] = Counter()
        self.replaced = 0
        self._opened = opened
        self._folder = folder
        self._wish = wish
        self._pending = sorted(strikes)
        self._ordered: dict[int, tuple[int, Strike]] = {}
        self._numbers: Counter[int] = Counter()
        self._orders = folder.parent / f"{folder.name}.orders"
        self._launcher = _Launcher(self._orders, seed)
        self._limit_s = limit_s
        self._restart = restart
        self._proxy: TcpProxy | None = None
        self._mend_at: float | None = None

    def run(self) -> dict[str, Any]:
        """Run to the end, strike on the way, and return the summary of the run.

        Raises:
            WorkerLost: It takes too long, or a process does not end by itself.
            NeuraxisError: As `Epoch.run`.
        """
        make_folder(self._orders)
        self._until = time.monotonic() + self._limit_s
        with ExitStack() as stack:
            stack.callback(self._end_all)
            epoch = begin(self._opened, self._folder, self._way(stack), launcher=self._launcher)
            stack.callback(epoch.close)
            try:
                merged = epoch.run(self._look)
            finally:
                self.replaced = epoch.conductor.replaced
                self._take_told()
            self._await_ends()
            return epoch.conclude(merged, report=None).summary

    def _way(self, stack: ExitStack) -> Wish:
        """Lead connections to a broker through a proxy, where that is possible."""
        url = self._wish.transport
        if not can_disconnect(url):
            return self._wish
        parts = urlsplit(url)
        self._proxy = stack.enter_context(TcpProxy(str(parts.hostname), int(parts.port or 0)))
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        through = parts._replace(netloc=f"{user}127.0.0.1:{self._proxy.port}").geturl()
        return msgspec.structs.replace(self._wish, transport=through)

    # ------------------------------------------------------------------------------ striking

    def _look(self, tick: int, _note: str) -> None:
        """Do what is due; the conductor calls this twice a second with the tick that all workers have reached."""
        now = time.monotonic()
        if now > self._until:
            raise WorkerLost(
                worker=0,
                reason=f"the round stands at tick {tick} after {self._limit_s:.0f} s",
                remedy="Look at the logs of its workers; a slow scenario needs a smaller --until.",
            )
        self._take_told()
        if self._mend_at is not None and self._proxy is not None and now >= self._mend_at:
            self._proxy.mend()
            self._mend_at = None
        for each in self._launcher.all:
            if each.stopped and each.given_up is not None and now - each.given_up >= AWAKE_AFTER_S:
                each.go_on()
        due = [strike for strike in self._pending if strike.tick <= tick]
        for strike in due:
            if self._strike(strike, now):
                self._pending.remove(strike)

    def _strike(self, strike: Strike, now: float) -> bool:
        """Strike, and return whether that was possible; else it is tried again at the next look."""
        if strike.kind in BURSTS:
            if strike.worker in self._ordered:
                return False
            self._numbers[strike.worker] += 1
            order = Order(self._numbers[strike.worker], strike.kind)
            self._ordered[strike.worker] = (order.number, strike)
            write_atomically(order_path(self._orders, strike.worker), [msgspec.json.encode(order)])
            return True
        if strike.kind == "restart":
            assert self._restart is not None, "a plan has it only where it is possible"
            self._restart()
        elif strike.kind == "disconnect":
            assert self._proxy is not None, "a plan has it only where it is possible"
            if self._mend_at is not None:
                return False
            self._proxy.cut()
            self._mend_at = now + DISCONNECTED_S
        else:
            soldier = self._launcher.newest[strike.worker]
            if soldier.is_struck or soldier.ended() is not None:
                return False
            soldier.is_struck = True
            soldier.stopped = strike.kind == "stop"
            os.kill(soldier.process.pid, signal.SIGSTOP if soldier.stopped else signal.SIGKILL)
        self.fired[strike.kind] += 1
        return True

    def _take_told(self) -> None:
        """Count the bursts of which a worker said that they struck a frame."""
        for worker, (number, strike) in list(self._ordered.items()):
            if told(self._orders, worker) >= number:
                self.fired[strike.kind] += 1
                del self._ordered[worker]

    # -------------------------------------------------------------------------------- ending

    def _await_ends(self) -> None:
        """See that every process ends by itself, those too whose place another one took."""
        for each in self._launcher.all:
            if each.stopped:
                each.go_on()
        until = time.monotonic() + self._wish.patience + ENDS_S
        for each in self._launcher.all:
            while each.ended() is None:
                if time.monotonic() > until:
                    raise WorkerLost(
                        worker=0,
                        reason=f"process {each.process.pid} of a worker does not end, though its run is over",
                        remedy="Look at its log.",
                    )
                time.sleep(0.05)

    def _end_all(self) -> None:
        for each in self._launcher.all:
            each.stopped = False
            each.kill()
