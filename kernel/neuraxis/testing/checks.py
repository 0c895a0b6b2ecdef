"""Checks of the promises on any graph: twin runs, shuffled order, stop and resume, frozen payloads."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from msgspec.structs import replace

from neuraxis import codec
from neuraxis.blueprint import History, execute_again
from neuraxis.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis.graph import Graph
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.loop import Scheduler


def digest_of(
    make: Callable[[], Graph], ticks: int, *, seed: int = 0, drive: Callable[[Simulation], object] | None = None
) -> str:
    """Return the digest of a graph after so many ticks.

    Args:
        make: Builds the graph anew.
        ticks: Ticks to run.
        seed: The seed.
        drive: Injects inputs first, if any are needed.
    """
    with Simulation(make(), seed=seed) as sim:
        if drive is not None:
            drive(sim)
        return sim.advance(until=ticks).digest


def shuffled_digest(sim: Simulation, *, key: int) -> str:
    """Return the digest of the same run with the actors of each tick run in a random order."""

    def shuffle(tick: int, order: Sequence[int]) -> Sequence[int]:
        mixed = list(order)
        random.Random(f"{key}/{tick}").shuffle(mixed)
        return mixed

    armed = sim.blueprint.arm

    def arm(scheduler: Scheduler) -> None:
        if armed is not None:
            armed(scheduler)
        scheduler.shuffle = shuffle

    blueprint = replace(sim.blueprint, arm=arm)
    return execute_again(blueprint, History(sim.records()), until=sim.tick).recorder.digest()


def resumed_digest(sim: Simulation, *, at: int) -> str:
    """Return the digest of the same run when it is stopped at the end of tick `at`, captured, and resumed.

    The captured state goes through its byte form, as in a snapshot file.
    """
    from neuraxis.scheduler import state
    from neuraxis.snapshot.container import Snapshot

    history = History(sim.records())
    stopped = execute_again(sim.blueprint, history, until=at)
    messages = sim.blueprint.messages(stopped.wiring)
    captured = codec.unpack(codec.pack(state.capture(stopped)), messages)
    snapshot = Snapshot(facts={"tick": at}, state=captured)
    return execute_again(sim.blueprint, history, until=sim.tick, snapshot=snapshot).recorder.digest()


class FrozenPayloads:
    """Watches a simulation tick by tick, and finds payloads that changed between sending and delivery."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._seen: dict[tuple[int, int, str], bytes] = {}

    def advance(self, ticks: int) -> None:
        """Run tick by tick.

        Raises:
            AssertionError: A payload changed while it was on its way.
        """
        for _ in range(ticks):
            self._note()
            self._sim.advance(ticks=1)

    def _note(self) -> None:
        pending: dict[int, Mail] = self._sim.pending()
        fresh: dict[tuple[int, int, str], bytes] = {}
        for mail in pending.values():
            for receiver, inbox in mail.items():
                for _, message, port, payload, _ in inbox:
                    key = (receiver, message, port)
                    fresh[key] = codec.encode(payload)
                    before = self._seen.get(key, fresh[key])
                    assert before == fresh[key], f"a payload for {port} was changed after it was sent"
        self._seen = fresh
