"""Looking into an engine while it runs: states of chosen neurons, and how weights are spread. Changes nothing.

What is seen travels as messages: `Samples` and `Weights`. Any actor that computes a network can send them, and
`neuraxis_snn.monitors` keeps them.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis import array, message
from neuraxis.errors import suggestion
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.network import steps_per_tick
from neuraxis_snn.spikes import Spikes, cut, in_a_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.network import Network

QUANTILES: Final = 5
"""Minimum, lower quartile, median, upper quartile, maximum."""

WEIGHT_BINS: Final = 50
"""Bins of a histogram of weights."""

SUM_BITS: Final = 62
"""Bits of the sum from which a mean is made."""


@final
@message("snn.samples")
class Samples(Struct, frozen=True, eq=False):
    """States of some neurons at some times.

    Attributes:
        states: Names of the states, (s,).
        neurons: (m,) int32, whose.
        steps: (n,) int32, ascending: how many steps of the tick had been computed when the sample was taken.
        values: (n, s, m) float64, in the unit of the model.
    """

    states: tuple[str, ...]
    neurons: Annotated[np.ndarray, array("int32", None)]
    steps: Annotated[np.ndarray, array("int32", None)]
    values: Annotated[np.ndarray, array("float64", None, None, None)]


@final
@message("snn.weights")
class Weights(Struct, frozen=True, eq=False):
    """How the weights of a projection are spread at the end of a tick.

    Attributes:
        projection: Its name.
        low, high: Ends of the histogram: the bounds of the rule, or the extremes of weights that never change;
            one apart where all are alike.
        counts: (bins,) int64, synapses in bins of equal width between `low` and `high`.
        quantiles: (5,) float64: minimum, lower quartile, median, upper quartile, maximum. Each is a weight.
        mean: The mean weight.
        at_low, at_high: Synapses exactly at the ends.
    """

    projection: str
    low: float
    high: float
    counts: Annotated[np.ndarray, array("int64", None)]
    quantiles: Annotated[np.ndarray, array("float64", QUANTILES)]
    mean: float
    at_low: int
    at_high: int


@final
class Plan(Struct, frozen=True):
    """What to sample. Made by `plan`.

    Attributes:
        population: Name of a population.
        states: Names of states of its model.
        neurons: Numbers of neurons.
        every: Steps between two samples.
    """

    population: str
    states: tuple[str, ...]
    neurons: tuple[int, ...]
    every: int


def plan(
    network: Network, population: str, *, states: Sequence[str], neurons: Sequence[int], every_ms: float, dt_ms: float
) -> Plan:
    """Return what to sample, checked.

    Args:
        network: The network.
        population: Name of a population of it.
        states: Names of states of its model.
        neurons: Numbers of neurons, ascending.
        every_ms: Time between two samples, a whole number of steps.
        dt_ms: The step.

    Raises:
        NetworkInvalid: There is no such state or neuron, or the time is no whole number of steps.
    """
    known = network.populations[population]
    names = known.model.states if known.model is not None else {}
    for state in states:
        if state not in names:
            remedy = suggestion(state, names)
            raise NetworkInvalid(subject=population, reason=f"it has no state {state!r} to sample", remedy=remedy)
    ascending = all(a < b for a, b in itertools.pairwise(neurons))
    if not ascending or any(not 0 <= each < known.size for each in neurons):
        reason = "the neurons to sample are not some of its neurons in ascending order"
        raise NetworkInvalid(subject=population, reason=reason, remedy=f"Choose from 0 … {known.size - 1}.")
    return Plan(population, tuple(states), tuple(neurons), whole_steps(every_ms, dt_ms, "the time between samples"))


def whole_steps(span_ms: float, dt_ms: float, what: str) -> int:
    """Return how many steps a time is.

    Raises:
        NetworkInvalid: It is no whole number of them.
    """
    try:
        return steps_per_tick(Fraction(repr(span_ms)) / 1000, dt_ms)
    except NetworkInvalid:
        reason = f"{what} is {span_ms:g} ms, a step {dt_ms:g} ms"
        raise NetworkInvalid(subject="dt", reason=reason, remedy="Use a whole number of steps.") from None


def advance_sampled(
    engine: Engine, steps: int, inputs: Mapping[str, Spikes], looked_at: Plan, *, learning: bool = True
) -> tuple[dict[str, Spikes], Samples]:
    """Compute steps, and sample states on the way.

    A sample is taken whenever the steps that the engine has computed since it was made are a multiple of
    `looked_at.every`. The call is cut there, which changes no bit of what is computed.

    Args:
        engine: The engine.
        steps: How many.
        inputs, learning: As in `Engine.advance`.
        looked_at: What to sample.

    Returns:
        Spikes of each recorded population, and the samples.
    """
    fired: list[tuple[int, dict[str, Spikes]]] = []
    at: list[int] = []
    rows: list[list[np.ndarray]] = []
    chosen = np.array(looked_at.neurons, np.int64)
    done = 0
    while done < steps:
        length = min(looked_at.every - engine.step % looked_at.every, steps - done)
        piece = {name: cut(given, done, done + length) for name, given in inputs.items()}
        fired.append((done, engine.advance(length, piece, learning=learning)))
        done += length
        if engine.step % looked_at.every == 0:
            at.append(done)
            rows.append([engine.read(looked_at.population, state)[chosen] for state in looked_at.states])
    shape = (len(at), len(looked_at.states), len(chosen))
    values = np.array(rows, np.float64).reshape(shape)
    samples = Samples(looked_at.states, chosen.astype(np.int32), np.array(at, np.int32), values)
    return in_a_row(fired), samples


def weigh(engine: Engine, projection: str, *, bins: int = WEIGHT_BINS) -> Weights:
    """Return how the weights of a projection are spread.

    Nothing in it depends on the order of synapses or on the machine: quantiles are weights, and the mean is that of
    integers.

    Raises:
        EngineMisuse: There is no such projection.
    """
    weights = engine.weights(projection).astype(np.float64).ravel()
    numbers: Mapping[str, Any] = engine.network.projections[projection].numbers
    ends = (weights.min(), weights.max()) if len(weights) else (0.0, 0.0)
    low, high = float(numbers.get("w_min", ends[0])), float(numbers.get("w_max", ends[1]))
    high = high if high > low else low + 1.0
    width = (high - low) / bins
    at = np.clip(np.floor((weights - low) / width), 0, bins - 1).astype(np.int64)
    places = [(len(weights) - 1) * k // (QUANTILES - 1) for k in range(QUANTILES)]
    quantiles = np.partition(weights, places)[places] if len(weights) else np.zeros(QUANTILES)
    return Weights(
        projection,
        low,
        high,
        np.bincount(at, minlength=bins).astype(np.int64),
        quantiles,
        _mean(weights),
        int((weights == low).sum()),
        int((weights == high).sum()),
    )


def _mean(values: np.ndarray) -> float:
    """Return the mean as a sum of integers, so that it does not depend on the order."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    unit = 2.0 ** (SUM_BITS - len(values).bit_length() - math.frexp(largest)[1])
    return int(np.rint(values * unit).astype(np.int64).sum()) / unit / len(values)
