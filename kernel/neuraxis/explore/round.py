"""One round of a campaign: a run over real processes, which is struck while it goes on.

The campaign's own process strikes: it reads from the run's status how far all workers are. Conductor and workers are
processes of their own, so that either can be killed.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, final
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from neuraxis.cluster.epoch import transport_of
from neuraxis.cluster.launchers import LEASH, Process, spawn
from neuraxis.cluster.status import read_status
from neuraxis.errors import UsageInvalid, WorkerLost
from neuraxis.explore.soldiers import Soldiers
from neuraxis.explore.strikes import BURSTS, Strike
from neuraxis.explore.struck_conductor import ENDS_S, CameTo, Task, came_to_path, task_path
from neuraxis.explore.struck_worker import Order, order_path, told
from neuraxis.files import make_folder, write_atomically
from neuraxis.testing.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOOK_S: Final = 0.1
DISCONNECTED_S: Final = 1.0
FULL_S: Final = 2.0


@final
class BrokerDeeds(Struct, frozen=True):
    """What can be done to a broker; None where it cannot.

    Attributes:
        restart: Restarts it.
        fill: Lets it take nothing more: its disk is full.
        free: Lets it take frames again; with `fill` only.
    """

    restart: Callable[[], None] | None = None
    fill: Callable[[], None] | None = None
    free: Callable[[], None] | None = None


def can_disconnect(url: str) -> bool:
    """Return whether connections to a broker can be led through a proxy: without TLS, and with a port in the URL."""
    parts = urlsplit(url)
    return parts.scheme in ("nats", "redis") and parts.hostname is not None and parts.port is not None


@final
class Round:
    """A run that is struck.

    Attributes:
        fired: How many strikes happened, by kind.
        replaced: Processes of workers that were replaced.
    """

    def __init__(
        self, task: Task, orders: Path, folder: Path, strikes: Sequence[Strike], *, limit_s: float, deeds: BrokerDeeds
    ) -> None:
        """Prepare the round.

        Args:
            task: What is run.
            orders: Where the processes of the round are told what to do.
            folder: The run folder.
            strikes: What happens.
            limit_s: Seconds that the run may take.
            deeds: What can be done to the broker.
        """
        self.fired: Counter[str] = Counter()
        self._task = task
        self._orders = orders
        self._folder = folder
        self._pending = sorted(strikes)
        self._ordered: dict[int, tuple[int, Strike]] = {}
        self._numbers: Counter[int] = Counter()
        self._soldiers = Soldiers(orders)
        self._limit_s = limit_s
        self._deeds = deeds
        self._proxy: TcpProxy | None = None
        self._mend_at: float | None = None
        self._free_at: float | None = None
        self._replaced: dict[int, int] = {}
        self._conductor: Process | None = None
        self._is_orphaned = False

    @property
    def replaced(self) -> int:
        return sum(self._replaced.values())

    def run(self) -> CameTo:
        """Run to the end, strike on the way, and return what it came to.

        Raises:
            WorkerLost: It takes too long, or a process does not end by itself.
            UsageInvalid: The broker cannot be restarted, filled or freed.
        """
        make_folder(self._orders)
        self._until = time.monotonic() + self._limit_s
        with ExitStack() as stack:
            task = self._through_proxy(stack)
            stack.callback(self._end_all)
            write_atomically(task_path(self._orders), [msgspec.msgpack.encode(task)])
            code = self._conducted("--anew")
            while self._is_orphaned:
                self._await_ends("its conductor was killed")
                self._is_orphaned = False
                code = self._conducted()
            self._take_told()
            try:
                came_to = msgspec.msgpack.decode(came_to_path(self._orders).read_bytes(), type=CameTo)
            except FileNotFoundError:
                return CameTo(None, f"the conductor ended with code {code} and without a word; see {self._log}", 1)
            self._await_ends("its run is over")
            return came_to

    @property
    def _log(self) -> Path:
        return self._orders / "conductor.log"

    def _through_proxy(self, stack: ExitStack) -> Task:
        """Lead connections to a broker through a proxy, where that is possible. Secrets stay in the environment."""
        wish = self._task.wish
        url = transport_of(wish.transport).url
        if can_disconnect(url):
            parts = urlsplit(url)
            self._proxy = stack.enter_context(TcpProxy(str(parts.hostname), int(parts.port or 0)))
            user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
            url = parts._replace(netloc=f"{user}127.0.0.1:{self._proxy.port}").geturl()
        return msgspec.structs.replace(self._task, wish=msgspec.structs.replace(wish, transport=url))

    def _conducted(self, *options: str) -> int:
        """Start a conductor, strike while it lives, and return its exit code."""
        command = [sys.executable, "-m", "neuraxis.explore.struck_conductor", "--orders", str(self._orders), *options]
        conductor = self._conductor = spawn(command, self._log, {**os.environ, LEASH: "1"})
        try:
            while (code := conductor.ended()) is None:
                self._look()
                time.sleep(LOOK_S)
            return code
        finally:
            conductor.kill()  # it has ended, or the round has

    # ------------------------------------------------------------------------------ striking

    def _look(self) -> None:
        """Do what is due by the tick that all workers have reached."""
        now = time.monotonic()
        tick = self._tick()
        if now > self._until:
            raise WorkerLost(
                worker=0,
                reason=f"the round stands at tick {tick} after {self._limit_s:.0f} s",
                remedy="Look at the logs of its workers; a slow scenario needs a smaller --until.",
            )
        self._take_told()
        self._soldiers.wake(now)
        if self._mend_at is not None and self._proxy is not None and now >= self._mend_at:
            self._proxy.mend()
            self._mend_at = None
        if self._free_at is not None and now >= self._free_at:
            self._free()
        for strike in [strike for strike in self._pending if strike.tick <= tick]:
            if not self._is_orphaned and self._strike(strike, now):
                self._pending.remove(strike)

    def _tick(self) -> int:
        """The tick that all workers have reached; -1 before they stand."""
        try:
            status = read_status(self._folder)
        except UsageInvalid:
            return -1
        self._replaced[status.epoch] = status.replaced
        return status.tick

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
        if strike.kind in ("kill", "stop"):
            struck = self._soldiers.strike(strike.worker, stop=strike.kind == "stop")
        elif strike.kind == "orphan":
            assert self._conductor is not None, "it is looked while one lives"
            self._conductor.kill()
            struck = self._is_orphaned = not came_to_path(self._orders).exists()
        else:
            struck = self._strike_broker(strike.kind, now)
        if struck:
            self.fired[strike.kind] += 1
        return struck

    def _strike_broker(self, kind: str, now: float) -> bool:
        if kind == "disconnect":
            assert self._proxy is not None, "a plan has it only where it is possible"
            if self._mend_at is not None:
                return False
            self._proxy.cut()
            self._mend_at = now + DISCONNECTED_S
        elif self._free_at is not None:  # a full disk is one thing, a restart with a full disk another
            return False
        elif kind == "restart":
            assert self._deeds.restart is not None, "a plan has it only where it is possible"
            self._deeds.restart()
        else:
            assert self._deeds.fill is not None, "a plan has it only where it is possible"
            self._free_at = now + FULL_S
            self._deeds.fill()
        return True

    def _free(self) -> None:
        assert self._deeds.free is not None, "what can be filled can be freed"
        self._free_at = None
        self._deeds.free()

    def _take_told(self) -> None:
        """Count the bursts of which a worker said that they struck a frame."""
        for worker, (number, strike) in list(self._ordered.items()):
            if told(self._orders, worker) >= number:
                self.fired[strike.kind] += 1
                del self._ordered[worker]

    # -------------------------------------------------------------------------------- ending

    def _await_ends(self, why: str) -> None:
        """See that every process of a worker ends by itself, those too whose place another one took."""
        self._soldiers.wake_all()
        until = time.monotonic() + self._task.wish.patience + ENDS_S
        while living := self._soldiers.living():
            if time.monotonic() > until:
                raise WorkerLost(
                    worker=0,
                    reason=f"process {living[0]} of a worker does not end, though {why}",
                    remedy="Look at its log.",
                )
            if self._free_at is not None and time.monotonic() >= self._free_at:
                self._free()
            time.sleep(LOOK_S / 2)

    def _end_all(self) -> None:
        """Leave nothing behind: no process, and a broker that has room."""
        self._soldiers.kill_all()
        if self._free_at is not None:
            self._free()
