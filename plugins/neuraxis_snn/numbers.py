"""Numbers made on the host: decay factors and other constants, correctly rounded.

`exp` of a mathematical library differs from machine to machine in the last bit. So every constant of a network
is computed here in decimal arithmetic and rounded once, to the precision of the network.

Determinism: exact.
"""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, Final, Literal

import numpy as np

from neuraxis.units import parse

Precision = Literal["float32", "float64"]

DIGITS: Final = Context(prec=50)


def decimal_of(value: float | str | Decimal, unit: str | None = None) -> Decimal:
    """Return a number, or a quantity such as `"20 ms"` in `unit`, as a decimal.

    Raises:
        UnitInvalid: A text is no quantity of the unit's dimension.
    """
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and unit is not None:
        exact = parse(value).exactly(unit)
        return DIGITS.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    return Decimal(repr(float(value)))


def decay(dt: Decimal, tau: Decimal) -> Decimal:
    """Return exp(-dt/tau)."""
    return DIGITS.exp(DIGITS.divide(-dt, tau))


def ratio(above: Decimal, below: Decimal) -> Decimal:
    """Return above/below."""
    return DIGITS.divide(above, below)


def rounded(value: Decimal, precision: Precision) -> Any:
    """Return the float of that precision which is nearest to a decimal; of two, the even one; infinity beyond all."""
    kind: Any = np.dtype(precision).type
    with np.errstate(over="ignore"):
        near = kind(float(value))
    if precision == "float64" or not np.isfinite(near):
        return near
    exact = Fraction(value)
    candidates = (np.nextafter(near, kind(-np.inf)), near, np.nextafter(near, kind(np.inf)))
    return min(candidates, key=lambda each: (abs(Fraction(float(each)) - exact), int(each.view(np.uint32)) & 1))
