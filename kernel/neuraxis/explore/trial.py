"""One trial: a run under a plan of faults, and what must hold in it.

invariants   the scenario's `always`, and every actor's own
P1           the same plan gives the same digest with the actors of each tick in another order
P2           stopping and resuming where the plan says gives the same digest; so does a crash of an
             actor under `stop`, after which the run goes on from the end of the tick before
P3           every delivered message names causes that were delivered before it
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis import codec
from neuraxis.blueprint import Blueprint, History, execute_again
from neuraxis.errors import ActorFailed, InvariantBroken, NeuraxisError
from neuraxis.faults import Fault, Faults, InjectedCrash, Plan
from neuraxis.runner import Settings
from neuraxis.scheduler import state
from neuraxis.scheduler.envelope import activation_of, causes_of, source_of
from neuraxis.simulation import Simulation
from neuraxis.snapshot.container import Snapshot
from neuraxis.wiring import INPUT, STARTER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.effects import Intent, Outcome, Script
    from neuraxis.scheduler.loop import Scheduler
    from neuraxis.wiring import Wiring

Promise = Literal["invariant", "P1", "P2", "P3", "failure"]


@final
class Broken(Struct, frozen=True):
    """What a trial found.

    Attributes:
        promise: Which promise does not hold, or `failure` for an actor that failed by itself.
        finding: How, in a sentence.
    """

    promise: Promise
    finding: str


@final
class Trial(Struct, frozen=True):
    """What one trial came to.

    Attributes:
        plan: The faults.
        fired: Those that happened.
        broken: What does not hold, or None.
        digest: Digest of the run under the plan.
    """

    plan: Plan
    fired: frozenset[Fault]
    broken: Broken | None
    digest: str


def run_trial(
    blueprint: Blueprint,
    plan: Plan,
    *,
    until: int,
    check_every: int,
    invariant: Callable[[Simulation], str | None],
    key: int,
) -> Trial:
    """Run a blueprint under a plan and check everything.

    Args:
        blueprint: What to run.
        plan: What goes wrong.
        until: Last tick.
        check_every: Ticks between checks of the invariants.
        invariant: Returns a sentence if the scenario's invariants do not hold.
        key: Seed of the other order in which actors run.
    """
    faults = Faults(plan)
    try:
        sim = _run_through(blueprint, faults, until, check_every, invariant)
    except InvariantBroken as error:
        return Trial(plan, frozenset(faults.fired), Broken("invariant", error.message()), "")
    except NeuraxisError as error:
        return Trial(plan, frozenset(faults.fired), Broken("failure", error.message()), "")
    with sim:
        restarts = [fault for fault in plan if fault.kind == "restart"]
        broken = _check_promises(_armed(blueprint, faults), sim, [each.tick for each in restarts], key)
        fired = frozenset({*faults.fired, *(each for each in restarts if each.tick < until)})
        return Trial(plan, fired, broken, sim.digest)


def _armed(blueprint: Blueprint, faults: Faults) -> Blueprint:
    def arm(scheduler: Scheduler) -> None:
        if blueprint.arm is not None:
            blueprint.arm(scheduler)
        faults.arm(scheduler)

    return replace(blueprint, arm=arm, script=_Scripts((faults, blueprint.script)))


@final
class _Scripts:
    """Several scripts of outcomes as one: the first that fixes an outcome decides."""

    def __init__(self, scripts: Sequence[Script | None]) -> None:
        self._scripts = [each for each in scripts if each is not None]

    def outcome(self, intent: Intent) -> Outcome | None:
        """Return the outcome that this intent is to have, or None to carry it out."""
        return next(filter(None, (each.outcome(intent) for each in self._scripts)), None)


def _run_through(
    blueprint: Blueprint,
    faults: Faults,
    until: int,
    check_every: int,
    invariant: Callable[[Simulation], str | None],
) -> Simulation:
    """Run to the end; after a crash of an actor under `stop`, go on from the end of the tick before."""
    sim = Simulation(_armed(blueprint, faults), settings=Settings(block=check_every))
    sim.watch(lambda: invariant(sim))
    while sim.tick < until:
        try:
            sim.advance(until=until)
        except ActorFailed as error:
            if not isinstance(error.__cause__, InjectedCrash):
                raise
            faults.forget_crash(error.actor, error.tick)
            sim.recover()
    return sim


def _check_promises(blueprint: Blueprint, sim: Simulation, restarts: Sequence[int], key: int) -> Broken | None:
    history, end = History(sim.records()), sim.tick
    ledger = CauseCheck(sim.wiring)
    if execute_again(blueprint, history, until=end, observer=ledger).recorder.digest() != sim.digest:
        return Broken("P1", "executing the run again gives another digest: something outside the messages decides")
    if ledger.broken is not None:
        return Broken("P3", ledger.broken)
    shuffled = _shuffled(blueprint, key)
    if execute_again(shuffled, history, until=end).recorder.digest() != sim.digest:
        return Broken("P1", "another order of the actors in a tick gives another digest: actors share something")
    for tick in restarts:
        if tick < end and _resumed(blueprint, history, tick, end) != sim.digest:
            return Broken(
                "P2", f"stopping at the end of tick {tick} and resuming gives another digest: state is missing"
            )
    return None


def _shuffled(blueprint: Blueprint, key: int) -> Blueprint:
    def shuffle(tick: int, order: Sequence[int]) -> Sequence[int]:
        mixed = list(order)
        random.Random(f"{key}/{tick}").shuffle(mixed)
        return mixed

    def arm(scheduler: Scheduler) -> None:
        if blueprint.arm is not None:
            blueprint.arm(scheduler)
        scheduler.shuffle = shuffle

    return replace(blueprint, arm=arm)


def _resumed(blueprint: Blueprint, history: History, at: int, end: int) -> str:
    """Return the digest of the run when it is captured at the end of `at`, as bytes, and resumed."""
    stopped = execute_again(blueprint, history, until=at)
    messages = blueprint.messages(stopped.wiring)
    captured = codec.unpack(codec.pack(state.capture(stopped)), messages)
    snapshot = Snapshot(facts={"tick": at}, state=captured)
    return execute_again(blueprint, history, until=end, snapshot=snapshot).recorder.digest()


@final
class CauseCheck:
    """Checks that every delivered message names causes that were delivered before it.

    Attributes:
        broken: The first message that does not, in a sentence; None if all do.
    """

    def __init__(self, wiring: Wiring) -> None:
        self.broken: str | None = None
        self._paths = wiring.paths
        self._roots = {wiring.position[INPUT], wiring.position[STARTER]}
        self._delivered: set[int] = set()
        self._activations: set[tuple[int, int]] = set()

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        for receiver in order:
            for _, message, port, _, cause in mail[receiver]:
                causes = causes_of(cause)
                if source_of(message) not in self._roots and not all(map(self._is_known, causes or (0.5,))):
                    name = f"{self._paths[receiver]}.{port}"
                    self.broken = self.broken or f"a message to {name} at tick {tick} has no known cause"
        for receiver in order:
            self._activations.add((receiver, tick))
            self._delivered.update(envelope[1] for envelope in mail[receiver])

    def _is_known(self, cause: float) -> bool:
        return cause in self._delivered or (cause < 0 and activation_of(int(cause)) in self._activations)
