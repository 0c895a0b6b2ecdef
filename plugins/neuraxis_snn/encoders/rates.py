"""Values as rates, which stay or change with time, and rates as chances of a spike.

Determinism: exact; `exp` is computed in decimal arithmetic or by the engine's own function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NoReturn, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import InputError
from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.functions import functions
from neuraxis_snn.noise import DROPPED_BITS
from neuraxis_snn.numbers import DIGITS, decimal_of
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from neuraxis_snn.engine import Engine

DRAWS: Final = 2 ** (32 - DROPPED_BITS)


def poisson(rates: np.ndarray, dt: str) -> np.ndarray:
    """Return the state `chance` of a `poisson` population: 2**24 (1 - exp(-rate dt)).

    The probability of a spike in a step is not rate * dt: that would be too high where it is not small.

    Args:
        rates: (n,) Hz, not negative. Equal rates are computed once.
        dt: Length of a step.

    Returns:
        (n,) float64.

    Raises:
        EngineMisuse: A rate is negative or not finite.
    """
    rates = np.asarray(rates, dtype=np.float64)
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise EngineMisuse(subject="poisson", reason="a rate is negative or not finite", remedy="Use rates in Hz.")
    distinct, which = np.unique(rates, return_inverse=True)
    seconds = decimal_of(dt, "s")
    chances = [float(DRAWS * (1 - DIGITS.exp(-Decimal(repr(float(rate))) * seconds))) for rate in distinct]
    return np.array(chances)[which.reshape(rates.shape)]


def linear(values: np.ndarray, low: float = 0.0, high: float = 100.0) -> np.ndarray:
    """Return rates that grow with the values: low + (high - low) x.

    Args:
        values: Any shape, each from 0 to 1.
        low, high: Rates at 0 and at 1, Hz.

    Returns:
        Rates, Hz, float64, of the same shape.

    Raises:
        EngineMisuse: A value lies outside 0 … 1, or a rate is negative or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        _refuse("linear", "a value lies outside 0 … 1", "Scale the values to that range.")
    if not (np.isfinite([low, high]).all() and min(low, high) >= 0):
        _refuse("linear", f"its rates are {low:g} and {high:g} Hz", "Use finite rates from 0 on.")
    return low + (high - low) * values


def sign_split(values: np.ndarray, top: float = 100.0) -> np.ndarray:
    """Return two rates for every value, one for what is positive and one for what is negative, so no sign is lost.

    With m the largest |x| of a vector, they are top max(x, 0) / m and top max(-x, 0) / m; both are 0 where all is 0.
    So the difference of both rates is x, up to its length: directions are kept, lengths are not.

    Args:
        values: (..., n) such as embeddings.
        top: Largest rate, Hz.

    Returns:
        (..., 2 n) rates, Hz, float64: n for positive, then n for negative values.

    Raises:
        EngineMisuse: A value is not finite, or the top is negative or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or not np.isfinite(values).all():
        _refuse("sign_split", "a value is not finite, or there is no vector", "Use vectors of finite numbers.")
    if not (np.isfinite(top) and top >= 0):
        _refuse("sign_split", f"the top is {top:g} Hz", "Use a finite rate from 0 on.")
    largest = np.abs(values).max(axis=-1, keepdims=True, initial=0.0)
    share = values / np.where(largest > 0, largest, 1.0)
    return top * np.concatenate([np.maximum(share, 0.0), np.maximum(-share, 0.0)], axis=-1)


def tuning(values: np.ndarray, centres: np.ndarray, width: float, top: float = 100.0) -> np.ndarray:
    """Return the rates of a population of neurons with Gaussian tuning curves: top exp(-((x - c) / width)**2 / 2).

    Args:
        values: (n,) what is encoded.
        centres: (neurons,) the value that each neuron prefers.
        width: Standard deviation of the curves, in units of the values; above 0.
        top: Rate at the centre, Hz.

    Returns:
        (n, neurons) rates, Hz, float64.

    Raises:
        EngineMisuse: A number is not finite, the width is not above 0, or the top is negative.

    Source: Pouget, Dayan & Zemel, Nat. Rev. Neurosci. 1 (2000): population codes.
    """
    values, centres = np.asarray(values, dtype=np.float64), np.asarray(centres, dtype=np.float64)
    if values.ndim != 1 or centres.ndim != 1:
        _refuse("tuning", f"values and centres have the shapes {values.shape} and {centres.shape}", "Use vectors.")
    if not (np.isfinite(values).all() and np.isfinite(centres).all()):
        _refuse("tuning", "a value or centre is not finite", "Use finite numbers.")
    if not (np.isfinite([width, top]).all() and width > 0 and top >= 0):
        _refuse("tuning", f"the width is {width:g} and the top {top:g} Hz", "Use a width above 0 and a top from 0 on.")
    distance = (values[:, None] - centres[None, :]) / width
    return np.asarray(top * functions("float64", "array")["exp"](distance * distance * -0.5))


@final
class RateTable(Struct, frozen=True, eq=False):
    """Rates that change with time in straight lines from knot to knot; after the last one they stand still.

    Attributes:
        steps: (knots,) step of each knot, rising. Before the first one nothing is written.
        rates: (knots, n) Hz.
        slopes: (knots, n) Hz per second, from each knot to the next.
    """

    steps: tuple[int, ...]
    rates: np.ndarray
    slopes: np.ndarray

    @classmethod
    def of(cls, times: Sequence[str], rates: np.ndarray, dt: str, *, stairs: bool = False) -> RateTable:
        """Make a table.

        Args:
            times: (knots,) times such as `"20 ms"`, rising, multiples of the step.
            rates: (knots,) for all neurons alike, or (knots, n), Hz.
            dt: Length of a step.
            stairs: Whether rates stay as they are until the next knot.

        Raises:
            EngineMisuse: Times do not rise or are no steps, shapes differ, or a rate is negative or not finite.
        """
        given = np.asarray(rates, dtype=np.float64)
        given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2 or len(given) != len(times) or not len(times):
            _refuse("rate table", f"it has {len(times)} times and rates of shape {np.shape(rates)}", "Give each a row.")
        if not np.isfinite(given).all() or (given < 0).any():
            _refuse("rate table", "a rate is negative or not finite", "Use rates in Hz.")
        try:
            length = decimal_of(dt, "ms")
            exact = [DIGITS.divide(decimal_of(time, "ms"), length) for time in times]
        except (InputError, ArithmeticError) as error:
            raise EngineMisuse(subject="rate table", reason=str(error), remedy='Write times such as "1 ms".') from error
        steps = [int(each) for each in exact]
        if steps != exact or steps[0] < 0 or any(b <= a for a, b in pairwise(steps)):
            _refuse("rate table", f"its knots are the steps {[float(e) for e in exact]}", "Use rising whole steps.")
        slopes = np.zeros_like(given)
        if not stairs:
            seconds = [float(DIGITS.multiply(b - a, length) / 1000) for a, b in pairwise(steps)]
            slopes[:-1] = np.diff(given, axis=0) / np.array(seconds)[:, None]
        return cls(tuple(steps), given, slopes)

    def write(self, engine: Engine, population: str) -> None:
        """Write what begins at the engine's step, if a knot lies there."""
        if engine.step in self.steps:
            row = self.steps.index(engine.step)
            for state, values in (("rate", self.rates[row]), ("slope", self.slopes[row])):
                engine.write(population, state, values if len(values) > 1 else values[0])


def follow(
    engine: Engine,
    tables: Mapping[str, RateTable],
    steps: int,
    inputs: Mapping[str, Spikes] | None = None,
    *,
    learning: bool = True,
) -> dict[str, Spikes]:
    """Advance an engine, while the rates of `poisson_rate` populations follow their tables.

    Values are written at knots only, so a run may be cut anywhere.

    Args:
        engine: The engine.
        tables: By population.
        steps, inputs, learning: As in `Engine.advance`.

    Returns:
        As `Engine.advance`.

    Raises:
        EngineMisuse: A population is none of that kind, or inputs do not fit.
    """
    if steps == 0:
        return engine.advance(0, inputs, learning=learning)
    first, last = engine.step, engine.step + steps
    knots = {knot for table in tables.values() for knot in table.steps if first < knot < last}
    found: dict[str, list[Spikes]] = {}
    for begin, end in pairwise(sorted({first, *knots, last})):
        for population, table in tables.items():
            table.write(engine, population)
        span = (begin - first, end - first)
        given = {name: _between(each, *span, steps) for name, each in (inputs or {}).items()}
        for name, spikes in engine.advance(end - begin, given, learning=learning).items():
            found.setdefault(name, []).append(Spikes(spikes.steps + np.int32(begin - first), spikes.neurons))
    return {name: _joined(parts) for name, parts in found.items()}


def _between(spikes: Spikes, begin: int, end: int, steps: int) -> Spikes:
    low, high = np.searchsorted(spikes.steps, [begin, end])  # what lies outside all steps is the engine's to refuse
    inside = slice(low if begin > 0 else None, high if end < steps else None)
    return Spikes(spikes.steps[inside] - np.int32(begin), spikes.neurons[inside])


def _joined(parts: list[Spikes]) -> Spikes:
    steps, neurons = [each.steps for each in parts], [each.neurons for each in parts]
    return Spikes(np.concatenate(steps), np.concatenate(neurons))


def _refuse(subject: str, reason: str, remedy: str) -> NoReturn:
    raise EngineMisuse(subject=subject, reason=reason, remedy=remedy)
