"""Who costs what, and who sends how much to whom: measured, so that a partition can be found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, final

import numpy as np
from msgspec import Struct, field

from neuraxis.message import field_names, message_type
from neuraxis.scheduler.envelope import source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.scheduler.calendar import Mail
    from neuraxis.simulation import Simulation


class Measured(Struct, frozen=True):
    """What a measurement found.

    Attributes:
        ticks: How long it was.
        costs: Seconds of each actor, by path.
        traffic: Bytes from path to path, as [from, to, bytes].
    """

    ticks: int
    costs: dict[str, float] = field(default_factory=dict)
    traffic: list[tuple[str, str, float]] = field(default_factory=list)


WARM_TICKS: Final = 10
"""Ticks before the first that counts: in them machine code is made and caches fill."""


@final
class Meter:
    """Notes how long the handlers of each actor take, and what is delivered on each channel.

    An actor's time lasts from when a handler of it begins until the next one begins, or the tick ends.
    """

    def __init__(self, sim: Simulation) -> None:
        self._scheduler = sim.runner.scheduler
        paths = self._scheduler.wiring.paths
        self.costs = [0.0] * len(paths)
        self.sent: dict[tuple[int, int], float] = {}
        self._running: int | None = None
        self._since = 0.0
        self._began = sim.tick
        for position in self._scheduler.wiring.made():
            self._scheduler.set_trap(position, self._trap_of(position))
        self._scheduler.observer = self

    def _trap_of(self, position: int):  # type: ignore[no-untyped-def]  # a closure for `set_trap`
        def trap(_tick: int) -> None:
            self._switch_to(position)

        return trap

    def _switch_to(self, position: int | None) -> None:
        now = time.perf_counter()
        if self._running is not None:
            self.costs[self._running] += now - self._since
        self._running, self._since = position, now

    def tick(self, _tick: int, order: Sequence[int], mail: Mail) -> None:
        """Take note of what is delivered in a tick."""
        self._switch_to(None)
        for receiver in order:
            for _, message, _, payload, _ in mail[receiver]:
                pair = (source_of(message), receiver)
                if pair[0] != receiver:
                    self.sent[pair] = self.sent.get(pair, 0.0) + _size(payload)

    def measured(self) -> Measured:
        """Return what was found so far."""
        self._switch_to(None)
        paths = self._scheduler.wiring.paths
        return Measured(
            ticks=self._scheduler.calendar.now - self._began,
            costs={paths[each]: self.costs[each] for each in self._scheduler.wiring.real()},
            traffic=[(paths[a], paths[b], amount) for (a, b), amount in sorted(self.sent.items())],
        )


def _size(payload: object) -> float:
    """Return about how many bytes a payload takes on its way."""
    if isinstance(payload, np.ndarray):
        return 64.0 + payload.nbytes
    if isinstance(payload, str | bytes):
        return 32.0 + len(payload)
    if message_type(type(payload)) is not None:
        return 32.0 + sum(_size(getattr(payload, name)) for name in field_names(type(payload)))
    return 32.0


def measure(sim: Simulation, *, ticks: int, seconds: float) -> Measured:
    """Run a simulation for some ticks, or some seconds if that is over first, and return what it cost.

    Args:
        sim: A simulation that is open; it is of no use afterwards.
        ticks: At most so many, after the first few.
        seconds: At most so long, but one tick at least.
    """
    sim.advance(min(WARM_TICKS, ticks))
    meter = Meter(sim)
    end, until = sim.tick + ticks, time.perf_counter() + seconds
    step = 1
    while sim.tick < end and time.perf_counter() < until:
        sim.advance(min(step, end - sim.tick))
        step = min(step * 2, 1_000)
    return meter.measured()
