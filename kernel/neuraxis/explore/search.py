"""The search: plans from one seed, until one fails or enough have passed; then the smallest that still fails."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct

from neuraxis.blueprint import History, execute_again
from neuraxis.errors import ExtraMissing
from neuraxis.explore.trial import Trial, run_trial
from neuraxis.faults import Fault, Plan, tolerates
from neuraxis.journal.record import IntentRecord
from neuraxis.scheduler.envelope import sequence_of, source_of
from neuraxis.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis.blueprint import Blueprint
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.wiring import Wiring

FAULTS_MAX: Final = 5
"""Faults in one plan at most."""


@final
class Found(Struct, frozen=True):
    """What a search came to.

    Attributes:
        cases: Plans that were tried, without shrinking.
        fired: How often each kind of fault happened.
        silent: Faults that were planned and did not happen.
        failure: The smallest trial that breaks a promise, or None.
    """

    cases: int
    fired: dict[str, int]
    silent: int
    failure: Trial | None


def search(
    blueprint: Blueprint,
    *,
    until: int,
    cases: int,
    seed: int,
    invariant: Callable[[Simulation], str | None],
    show: Callable[[int], None] = lambda _case: None,
) -> Found:
    """Search for a plan of faults under which a promise does not hold.

    Args:
        blueprint: What to run.
        until: Last tick of every run.
        cases: Plans to try.
        seed: Decides all plans.
        invariant: Returns a sentence if the scenario's invariants do not hold.
        show: Called with the number of plans tried so far.

    Raises:
        ExtraMissing: hypothesis is not installed.
    """
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError as error:
        raise ExtraMissing(library="hypothesis", extra="explore", purpose="searching for failures") from error
    check_every = max(1, until // 20)

    def trial(plan: Plan) -> Trial:
        return run_trial(blueprint, plan, until=until, check_every=check_every, invariant=invariant, key=seed)

    without = trial(())
    if without.broken is not None:
        return Found(1, {}, 0, without)
    candidates = possible_faults(blueprint, until)
    plans = strategies.lists(strategies.sampled_from(candidates), min_size=1, max_size=FAULTS_MAX, unique=True)
    tally = _Tally(show)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    @hypothesis.given(plans)
    def every_plan_keeps_the_promises(faults: list[Fault]) -> None:
        tally.take(trial(tuple(sorted(faults))))

    try:
        every_plan_keeps_the_promises()
    except _PromiseBroken as broken:
        return Found(tally.cases, dict(tally.fired), tally.silent, broken.trial)
    return Found(tally.cases, dict(tally.fired), tally.silent, None)


@final
class _PromiseBroken(Exception):
    """Tells hypothesis that a plan fails."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(trial.broken.promise if trial.broken is not None else "")
        self.trial = trial


@final
class _Tally:
    """Counts trials and fired faults until the first failure; shrinking is not counted."""

    def __init__(self, show: Callable[[int], None]) -> None:
        self.cases = 0
        self.fired: Counter[str] = Counter()
        self.silent = 0
        self._shrinking = False
        self._show = show

    def take(self, trial: Trial) -> None:
        if not self._shrinking:
            self.cases += 1
            self.fired.update(fault.kind for fault in trial.fired)
            self.silent += len(set(trial.plan) - trial.fired)
            self._show(self.cases)
        if trial.broken is not None:
            self._shrinking = True
            raise _PromiseBroken(trial)


def possible_faults(blueprint: Blueprint, until: int) -> list[Fault]:
    """Return the faults that can happen in a run without faults: where there was mail, and where it is tolerated."""
    with Simulation(blueprint) as sim:
        sim.advance(until=until)
        activity = _Activity()
        history = History(sim.records())
        wiring = execute_again(blueprint, history, until=until, observer=activity).wiring
        intents = [record for record in sim.records() if isinstance(record, IntentRecord)]
    faults = {Fault(tick, "restart") for tick in range(1, until)}
    faults |= {
        Fault(tick, "crash", wiring.paths[position])
        for position, tick in activity.activations
        if tick > 0 and position > 2
    }
    faults |= {Fault(sequence_of(each.ticket), kind, each.path) for each in intents for kind in ("miss", "fail")}
    faults |= _channel_faults(wiring, activity)
    return sorted(faults)


def _channel_faults(wiring: Wiring, activity: _Activity) -> set[Fault]:
    channels: dict[tuple[int, int, str], Any] = {
        (wiring.position[each.source], wiring.position[each.target], each.input): each for each in wiring.channels
    }
    faults = set()
    for source, target, port, tick in activity.deliveries:
        channel = channels.get((source, target, port))
        for kind in ("lose", "duplicate", "overflow"):
            if channel is not None and tolerates(channel, kind):
                faults.add(Fault(tick, kind, channel.target, channel.source, port))
    return faults


@final
class _Activity:
    """Notes where there was mail."""

    def __init__(self) -> None:
        self.activations: set[tuple[int, int]] = set()
        self.deliveries: set[tuple[int, int, str, int]] = set()

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        for receiver in order:
            self.activations.add((receiver, tick))
            self.deliveries |= {(source_of(m), receiver, port, tick) for _, m, port, _, _ in mail[receiver]}
