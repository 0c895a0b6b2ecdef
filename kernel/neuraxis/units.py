"""Quantities with units: read, checked and converted exactly.

A scenario writes `"1 ms"` or `"-60 mV"`, never a bare number, so that nobody has to guess. Values are
kept as fractions of SI base units and rounded once, to the float nearest to the exact result.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Final, final

from msgspec import Struct

from neuraxis.errors import UnitInvalid, suggestion

_DIMENSIONS: Final = {
    "time": {
        "s": "1",
        "ms": "1e-3",
        "us": "1e-6",
        "µs": "1e-6",
        "ns": "1e-9",
        "min": "60",
        "h": "3600",
        "d": "86400",
    },
    "voltage": {"V": "1", "mV": "1e-3", "uV": "1e-6", "µV": "1e-6"},
    "current": {"A": "1", "mA": "1e-3", "uA": "1e-6", "µA": "1e-6", "nA": "1e-9", "pA": "1e-12"},
    "conductance": {"S": "1", "mS": "1e-3", "uS": "1e-6", "µS": "1e-6", "nS": "1e-9", "pS": "1e-12"},
    "resistance": {"ohm": "1", "kohm": "1e3", "Mohm": "1e6", "Gohm": "1e9"},
    "capacitance": {"F": "1", "uF": "1e-6", "µF": "1e-6", "nF": "1e-9", "pF": "1e-12"},
    "frequency": {"Hz": "1", "kHz": "1e3", "MHz": "1e6"},
    "length": {"m": "1", "mm": "1e-3", "um": "1e-6", "µm": "1e-6"},
    "memory": {"B": "1", "KiB": "1024", "MiB": "1048576", "GiB": "1073741824"},
    "ratio": {"%": "1e-2"},
}

UNITS: Final = MappingProxyType(
    {
        symbol: (dimension, Fraction(Decimal(factor)))
        for dimension, symbols in _DIMENSIONS.items()
        for symbol, factor in symbols.items()
    }
)
"""Symbol to (dimension, factor to the SI unit)."""

_QUANTITY: Final = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*([A-Za-zµ%]*)\s*")


@final
class Quantity(Struct, frozen=True):
    """An exact amount of one dimension.

    Attributes:
        si: Amount in SI units (second, volt, …), exact.
        dimension: `"time"`, `"voltage"`, …
        text: As it was written, for messages.
    """

    si: Fraction
    dimension: str
    text: str

    def to(self, unit: str) -> float:
        """Return the amount in `unit`, rounded once to the nearest float.

        Raises:
            UnitInvalid: `unit` is unknown or measures another dimension, or no float is so large.
        """
        try:
            return float(self.exactly(unit))
        except OverflowError:
            remedy = f"Write less than 1e308 {unit}."
            raise UnitInvalid(text=self.text, reason="is too large for a number", remedy=remedy) from None

    def exactly(self, unit: str) -> Fraction:
        """Return the amount in `unit` as an exact fraction.

        Raises:
            UnitInvalid: `unit` is unknown or measures another dimension.
        """
        dimension, factor = _unit(unit, self.text)
        if dimension != self.dimension:
            raise UnitInvalid(
                text=self.text,
                reason=f"is a {self.dimension}, not a {dimension}",
                remedy=f'Write a {dimension}, such as "1 {unit}".',
            )
        return self.si / factor


def parse(text: str) -> Quantity:
    """Read a quantity such as `"1 ms"`, `"-60 mV"`, `"1e-3 s"`.

    Raises:
        UnitInvalid: No number, no unit, or an unknown unit.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UnitInvalid(text=text, reason="is not a quantity", remedy='Write a number and a unit, such as "1 ms".')
    number, symbol = match.groups()
    if not symbol:
        raise UnitInvalid(text=text, reason="has no unit", remedy=f'Write the unit, such as "{number[:20]} ms".')
    dimension, factor = _unit(symbol, text)
    return Quantity(si=Fraction(Decimal(number)) * factor, dimension=dimension, text=text)


def dimension_of(unit: str) -> str:
    """Return the dimension that `unit` measures.

    Raises:
        UnitInvalid: The unit is unknown.
    """
    return _unit(unit, unit)[0]


def _unit(symbol: str, text: str) -> tuple[str, Fraction]:
    try:
        return UNITS[symbol]
    except KeyError:
        raise UnitInvalid(
            text=text, reason=f"has the unknown unit {symbol!r}", remedy=suggestion(symbol, UNITS)
        ) from None
