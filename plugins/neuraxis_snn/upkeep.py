"""What keeps learning within bounds for as long as it lasts: upkeep of weights once a window, and caps of states.

An `Upkeep` says what is done to the synapses of one projection at the end of every window. Windows are counted in
steps in which the network learns. In this order, where it is asked for:

    scaling        w = w * factor, where factor = 1 + window * (beta * (goal - rate) + gamma * integral) lies in
                   1 / `FACTOR_MAX` … `FACTOR_MAX`; rate is that of the receiving neuron with a memory of tau, and
                   integral that of goal - rate over time
    total          weights onto each neuron are scaled so that they sum to it
    bounds         weights are brought back into [w_min, w_max]
    prune_below    weights below it become 0
    synapses_max   onto each neuron so many weights stay, the largest, of equal ones those of the first sources; the
                   others become 0
    change_max     a new window begins: the sum of |changes| of a weight by its rule may not exceed it in one window

A weight of 0 is a silent synapse: its rule may make it grow again. Every weight that is held back is counted.

It is computed by the same code for every backend, on the host, with sums of integers: it depends on no order.

Determinism: exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct, structs

from neuraxis.errors import InputError
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import Model, Value
from neuraxis_snn.numbers import DIGITS, decay, decimal_of
from neuraxis_snn.rule import FIRED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from neuraxis_snn.network import Projection
    from neuraxis_snn.rule import Rule

FACTOR_MAX: Final = 2.0
"""Scaling multiplies a weight by at most this, and divides it by at most this, in one window."""

COUNTED: Final = ("upkeep_low", "upkeep_high", "factor_capped", "pruned")
"""What upkeep counts: weights held at w_min and w_max, neurons whose factor was held back, weights set to 0."""

CLIPS: Final = "_clips"
"""A state of neurons whose name ends so counts how often another one was held back; see `capped`."""


@final
class Scaling(Struct, frozen=True, kw_only=True):
    """Homeostatic scaling: weights grow where a neuron is too quiet, and shrink where it is too busy.

    Attributes:
        goal: Rate of the receiving neurons, as text or in Hz.
        beta: Speed, 1 / (s Hz).
        gamma: Speed of the integral, 1 / (s s Hz).
        tau: Memory of the rate, a time.

    Source: van Rossum, Bi & Turrigiano, J. Neurosci. 20 (2000); here w changes in proportion to itself once a window.
    """

    goal: str | float
    beta: float = 4e-5
    gamma: float = 0.0
    tau: str = "100 s"


@final
class Upkeep(Struct, frozen=True, kw_only=True):
    """What is done to the synapses of a projection at the end of every window.

    Attributes:
        window: Length of a window, a time.
        change_max: Largest sum of |changes| of a weight by its rule in one window.
        scaling: Homeostatic scaling.
        total: Sum of the weights onto each neuron.
        prune_below: Weights below it become 0.
        synapses_max: Weights above 0 onto one neuron.
    """

    window: str
    change_max: float | None = None
    scaling: Scaling | None = None
    total: float | None = None
    prune_below: float | None = None
    synapses_max: int | None = None

    def rule(self, rule: Rule) -> Rule:
        """Return the rule with the traces that upkeep needs."""
        if self.scaling is None:
            return rule
        return structs.replace(
            rule, post_traces={**rule.post_traces, FIRED: ""}, bump_post=f"{rule.bump_post}\n{FIRED} = {FIRED} + 1"
        )


@final
class UpkeepPlan(Struct, frozen=True):
    """An upkeep with its numbers made ready.

    Attributes:
        upkeep: What is done.
        steps: Steps of a window.
        seconds: Length of a window.
        goal: Rate of the neurons, Hz.
        memory: Share of the rate that is kept from one window to the next.
    """

    upkeep: Upkeep
    steps: int
    seconds: float
    goal: float
    memory: float


def planned(upkeep: Upkeep, subject: str, steps: int, dt: Decimal, numbers: Mapping[str, Decimal]) -> UpkeepPlan:
    """Check an upkeep, and make its numbers ready.

    Args:
        upkeep: What is done.
        subject: Name of the projection, for errors.
        steps: Steps of a window.
        dt: Length of a step, ms.
        numbers: Of the rule.

    Raises:
        NetworkInvalid: A number makes no sense.
    """

    def require(holds: bool, reason: str, remedy: str) -> None:
        if not holds:
            raise NetworkInvalid(subject=f"{subject}, upkeep", reason=reason, remedy=remedy)

    require(steps >= 1, f"its window is {upkeep.window}", "Use at least one step.")
    for name in ("change_max", "total", "prune_below"):
        value = getattr(upkeep, name)
        require(value is None or 0 < value < float("inf"), f"{name} is {value}", "Use a finite number above 0.")
    most = upkeep.synapses_max
    require(most is None or most >= 1, f"synapses_max is {most}", "Use at least 1.")
    if most is not None or upkeep.prune_below is not None:
        remedy = "Use w_min = 0 and w_max above it."
        require(numbers["w_min"] == 0, f"weights cannot become 0, w_min is {numbers['w_min']}", remedy)
    goal, memory = 0.0, 0.0
    window = DIGITS.multiply(dt, steps)
    if upkeep.scaling is not None:
        scaling = upkeep.scaling
        try:
            exact, tau = decimal_of(scaling.goal, "Hz"), decimal_of(scaling.tau, "ms")
        except (InputError, ValueError) as error:
            raise NetworkInvalid(
                subject=f"{subject}, upkeep",
                reason=str(error),
                remedy='Write a rate such as "5 Hz", a time such as "100 s".',
            ) from error
        require(exact.is_finite() and exact >= 0, f"goal is {scaling.goal}", "Use a finite rate, 0 or more.")
        require(tau.is_finite() and tau > 0, f"tau is {scaling.tau}", "Use a time above 0.")
        for name in ("beta", "gamma"):
            value = getattr(scaling, name)
            require(0 <= value < float("inf"), f"{name} is {value}", "Use a finite number, 0 or more.")
        goal, memory = float(exact), float(decay(window, tau))
    return UpkeepPlan(upkeep, steps, float(window) / 1000, goal, memory)


def scaled(plan: UpkeepPlan, each: Projection, arrays: Mapping[str, np.ndarray], kind: Any) -> None:
    """Scale weights towards the goal of their neurons; then the count of spikes begins anew."""
    scaling = plan.upkeep.scaling
    assert scaling is not None, "the caller checked it"
    name = each.name
    rate, integral, fired = (arrays[f"{name}.{what}"] for what in ("rate", "integral", FIRED))
    rate[:] = rate * plan.memory + (fired.astype(np.float64) / plan.seconds) * (1.0 - plan.memory)
    integral += (plan.goal - rate) * plan.seconds
    wish = 1.0 + plan.seconds * (scaling.beta * (plan.goal - rate) + scaling.gamma * integral)
    factor = np.minimum(np.maximum(wish, 1.0 / FACTOR_MAX), FACTOR_MAX)
    arrays[f"{name}.upkeep"][COUNTED.index("factor_capped")] += np.count_nonzero(factor != wish)
    narrow = factor.astype(kind)
    arrays[f"{name}.weights"] *= narrow if each.indices is None else narrow[each.indices]
    fired[:] = 0


def bounded(each: Projection, arrays: Mapping[str, np.ndarray]) -> None:
    """Bring weights back into their bounds."""
    weights, counts = arrays[f"{each.name}.weights"], arrays[f"{each.name}.upkeep"]
    low, high = each.numbers["w_min"], each.numbers["w_max"]
    counts[COUNTED.index("upkeep_low")] += np.count_nonzero(weights < low)
    counts[COUNTED.index("upkeep_high")] += np.count_nonzero(weights > high)
    np.minimum(np.maximum(weights, low, out=weights), high, out=weights)


def pruned(plan: UpkeepPlan, each: Projection, arrays: Mapping[str, np.ndarray], size: int) -> None:
    """Set weights to 0 that are too small, or too many."""
    weights, counts = arrays[f"{each.name}.weights"], arrays[f"{each.name}.upkeep"]
    before = np.count_nonzero(weights)
    if plan.upkeep.prune_below is not None:
        weights[weights < plan.upkeep.prune_below] = 0
    if plan.upkeep.synapses_max is not None:
        flat = weights.reshape(-1)
        post = np.tile(np.arange(size), weights.shape[0]) if each.indices is None else each.indices
        order = np.lexsort((np.arange(flat.size), -flat, post))  # onto each neuron: the largest first, then by source
        rank = np.arange(flat.size) - np.searchsorted(post[order], post[order])
        flat[order[rank >= plan.upkeep.synapses_max]] = 0
    counts[COUNTED.index("pruned")] += before - np.count_nonzero(weights)


def capped(model: Model, **limits: tuple[str | float, str | float]) -> Model:
    """Return a model whose states are held between limits, and that counts how often they were.

    After `update`, a state below or above its limits is set to them. So an input that arrives later in the step may
    lift it for the rest of that step. `Engine.counters` shows the counts; in single precision each neuron's stops
    at 2**24.

    Args:
        model: Any model.
        limits: Name of a state to its lower and upper limit: quantities as text, or numbers in the model's units.
            They become parameters `STATE_low` and `STATE_high`.

    Raises:
        NetworkInvalid: The model has no such state, or the limits are none.

    Example:
        >>> capped(LIF_EXP, v=("-100 mV", "-40 mV"))
    """
    parameters, states, update = dict(model.parameters), dict(model.states), [model.update]
    for state, (low, high) in limits.items():
        subject = f"model {model.name}, cap of {state}"
        if state not in model.states:
            raise NetworkInvalid(
                subject=subject, reason="there is no such state", remedy=f"Choose from {', '.join(model.states)}."
            )
        first = model.states[state]
        unit = model.parameters[first].unit if isinstance(first, str) and first in model.parameters else None
        if not decimal_of(low, unit) < decimal_of(high, unit):
            raise NetworkInvalid(subject=subject, reason=f"its limits are {low} and {high}", remedy="Use low < high.")
        parameters[f"{state}_low"] = Value(low, unit, f"lower limit of {state}")
        parameters[f"{state}_high"] = Value(high, unit, f"upper limit of {state}")
        states[f"{state}{CLIPS}"] = 0.0
        update += [
            f"{state}_below = {state} < {state}_low",
            f"{state}_above = {state} > {state}_high",
            f"{state}{CLIPS} = where({state}_below | {state}_above, {state}{CLIPS} + 1, {state}{CLIPS})",
            f"{state} = where({state}_below, {state}_low, where({state}_above, {state}_high, {state}))",
        ]
    return structs.replace(
        model, name=f"{model.name}_capped", parameters=parameters, states=states, update="\n".join(update)
    )
