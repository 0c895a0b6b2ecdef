"""Weights and delays of synapses: constant, or drawn for each synapse by its target and its number there.

The normal quantile is Wichura's AS 241 with a logarithm of our own, all in single IEEE operations: within 1e-15 of
the true quantile, relative, and the same bits everywhere. A draw has 52 bits, so |z| stays below 8.3.

Determinism: exact.
Source: Wichura, Algorithm AS 241: the percentage points of the normal distribution, Appl. Stat. 37 (1988).
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import InputError
from neuraxis_snn.connect import loops
from neuraxis_snn.connect.ends import PIECE, require
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.numbers import DIGITS, Precision, decimal_of

if TYPE_CHECKING:
    from neuraxis_snn.connect.ends import Ends

Z_MOST: Final = 8.3
"""No normal draw is as far from 0: the most extreme one is 8.21."""

KEPT_LEAST: Final = 1e-3
"""Least chance that a redrawn value lies within its bounds."""

DELAY_MOST: Final = 2**16 - 1
"""Steps of the longest delay."""

Value: TypeAlias = "float | str"


@final
class Constant(Struct, frozen=True):
    """The same value for every synapse."""

    value: Value


@final
class Uniform(Struct, frozen=True):
    """Every value from `low` to `high` alike."""

    low: Value
    high: Value


@final
class Normal(Struct, frozen=True):
    """Normal, perhaps within bounds.

    Attributes:
        mean, sd: Of the distribution without bounds.
        low, high: Bounds, or None.
        outside: What becomes of a value outside: it is drawn again (`redraw`: a truncated normal), or put onto the
            bound (`clip`).
    """

    mean: Value
    sd: Value
    low: Value | None = None
    high: Value | None = None
    outside: Literal["redraw", "clip"] = "redraw"


Distribution: TypeAlias = Constant | Uniform | Normal


def weights(ends: Ends, values: Distribution, *, precision: Precision = "float64") -> np.ndarray:
    """Draw the weights of synapses.

    Args:
        ends: The synapses.
        values: Numbers, in the unit of the input at the target.
        precision: Of the result; draws are made in float64 and rounded once.

    Returns:
        (synapses,) of that precision, in the order of `ends`.

    Raises:
        NetworkInvalid: A value is not finite, a deviation is negative, or bounds do not fit.
        MemoryShort: There is too little memory.

    Determinism: exact; a part has the weights that the whole projection has there.
    """
    if precision not in ("float32", "float64"):
        raise NetworkInvalid(subject="weights", reason=f"precision is {precision!r}", remedy="Use float32 or float64.")
    kind = np.dtype(precision)
    return in_pieces(ends, Recipe("weights", values, None), kind)


def delays(ends: Ends, values: Distribution, *, dt: str) -> np.ndarray:
    """Draw the delays of synapses, as whole steps of at least 1.

    A delay is rounded to the nearest step, halves up. So bounds must keep every delay at half a step or more.

    Args:
        ends: The synapses.
        values: Times, such as `Normal("1.5 ms", "0.75 ms", low="0.1 ms")`, or numbers of steps.
        dt: Length of a step, as a time.

    Returns:
        (synapses,) int32, in the order of `ends`.

    Raises:
        NetworkInvalid: As for `weights`, or a delay may fall below a step or be longer than 65,535.
        MemoryShort: There is too little memory.

    Determinism: exact; a part has the delays that the whole projection has there.
    """
    return in_pieces(ends, Recipe("delays", values, dt), np.int32)


@final
class Recipe:
    """A checked distribution, with numbers made ready for the loops."""

    def __init__(
        self, drawn: Literal["weights", "delays"], values: Distribution, dt: str | None, *, least: int = 1
    ) -> None:
        """Check it; a delay has at least `least` steps. Raises `NetworkInvalid`."""
        self.drawn, self._least = drawn, least
        self._step = self._step_of(dt) if dt is not None else None
        self.low, self.high = -math.inf, math.inf
        if isinstance(values, Constant):
            self.kind, self.base, self.spread = None, self._number("value", values.value), 0.0
        elif isinstance(values, Uniform):
            self.kind, self.base = loops.UNIFORM, self._number("low", values.low)
            self.spread = self._number("high", values.high) - self.base
            if self.spread < 0 or not math.isfinite(self.spread):
                self._refuse("low lies above high, or too far below it", "Give the lower bound first.")
        elif isinstance(values, Normal):
            self._take_normal(values)
        else:
            self._refuse(f"{values!r} is no distribution", "Use Constant, Uniform or Normal.")
        if drawn == "delays":
            self._check_delays()

    def draw(self, ends: Ends, begin: int, end: int) -> np.ndarray:
        """Return the values of all synapses onto the targets begin … end - 1, counted from the first: float64."""
        starts = ends.starts[begin : end + 1]
        if self.kind is None:
            found = np.full(int(starts[-1] - starts[0]), self.base)
        else:
            found = np.empty(int(starts[-1] - starts[0]))
            bounds = (self.low, self.high)
            draw = ends.functions()["draw_values"]
            draw(found, starts, ends.lo + begin, self.kind, self.base, self.spread, *bounds, *ends.words(self.drawn))
        return np.floor(found + 0.5) if self.drawn == "delays" else found

    def _take_normal(self, values: Normal) -> None:
        self.base, self.spread = self._number("mean", values.mean), self._number("sd", values.sd)
        if self.spread < 0:
            self._refuse(f"sd is {values.sd!r}", "Use a standard deviation of at least 0.")
        if not math.isfinite(abs(self.base) + Z_MOST * self.spread):
            self._refuse("a value would not be finite", "Use smaller numbers.")
        if values.outside not in ("redraw", "clip"):
            self._refuse(f"outside is {values.outside!r}", "Use 'redraw' or 'clip'.")
        self.low = self._number("low", values.low) if values.low is not None else -math.inf
        self.high = self._number("high", values.high) if values.high is not None else math.inf
        if self.low > self.high:
            self._refuse("low lies above high", "Give the lower bound first.")
        is_free = math.isinf(self.low) and math.isinf(self.high)
        self.kind = loops.NORMAL if is_free else loops.CLIPPED if values.outside == "clip" else loops.REDRAWN
        if self.kind == loops.REDRAWN and self._kept() < KEPT_LEAST:
            reason = f"fewer than one in {round(1 / KEPT_LEAST)} draws would lie within the bounds"
            self._refuse(reason, "Use outside='clip', other bounds, or Uniform.")

    def _kept(self) -> float:
        """Return the chance that a draw lies within the bounds."""
        if self.spread == 0:
            return float(self.low <= self.base <= self.high)
        below, above = ((bound - self.base) / self.spread / math.sqrt(2) for bound in (self.low, self.high))
        return (math.erf(above) - math.erf(below)) / 2

    @property
    def range(self) -> tuple[float, float]:
        """Bounds of what can be drawn, before delays are rounded."""
        low, high = {
            None: (self.base, self.base),
            loops.UNIFORM: (self.base, self.base + self.spread),
        }.get(self.kind, (self.base - Z_MOST * self.spread, self.base + Z_MOST * self.spread))
        if self.kind in (loops.CLIPPED, loops.REDRAWN):
            low, high = max(low, self.low), min(high, self.high)
        return low, high

    def _check_delays(self) -> None:
        low, high = self.range
        if low < self._least - 0.5:
            self._refuse("a delay may fall below a step", "Use low=… of at least one step, or a shorter step.")
        if high >= DELAY_MOST + 0.5:
            self._refuse(f"a delay may exceed {DELAY_MOST} steps", "Use high=…, shorter delays or a longer step.")

    def _number(self, name: str, value: Any) -> float:
        """Return a number, or a time in steps."""
        if isinstance(value, bool) or not isinstance(value, int | float | str | np.integer | np.floating):
            self._refuse(f"{name} is {value!r}", "Use a number" + (" of steps, or a time." if self._step else "."))
        if isinstance(value, str):
            if self._step is None:
                self._refuse(f"{name} is {value!r}", "Use a number, in the unit of the input.")
            return float(DIGITS.divide(self._time(name, value), self._step))
        if not math.isfinite(value):
            self._refuse(f"{name} is {value!r}", "Use a finite number.")
        return float(value)

    def _step_of(self, dt: str) -> Decimal:
        step = self._time("dt", dt)
        if step <= 0:
            self._refuse(f"dt is {dt!r}", 'Write a time above 0, such as "0.1 ms".')
        return step

    def _time(self, name: str, value: Any) -> Decimal:
        try:
            return decimal_of(str(value), "ms")
        except InputError as error:
            text = f"{name} is {value!r}: {error}"
            raise NetworkInvalid(subject=self.drawn, reason=text, remedy='Write a time such as "0.1 ms".') from error

    def _refuse(self, reason: str, remedy: str) -> NoReturn:
        raise NetworkInvalid(subject=self.drawn, reason=reason, remedy=remedy)


def pieces(ends: Ends, synapses: int) -> list[tuple[int, int]]:
    """Return ranges of targets, counted from the first, with about so many synapses each."""
    found, begin, rows = [], 0, len(ends.starts) - 1
    while begin < rows:
        end = int(np.searchsorted(ends.starts, ends.starts[begin] + synapses, side="right")) - 1
        found.append((begin, min(max(end, begin + 1), rows)))
        begin = found[-1][1]
    return found


def in_pieces(ends: Ends, recipe: Recipe, kind: Any) -> np.ndarray:
    """Return what a recipe draws for all synapses: (synapses,) of some type. Raises `MemoryShort`."""
    require(recipe.drawn, np.dtype(kind).itemsize * len(ends.pre))
    out = np.empty(len(ends.pre), kind)
    for begin, end in pieces(ends, PIECE):
        out[ends.starts[begin] : ends.starts[end]] = recipe.draw(ends, begin, end)
    return out
