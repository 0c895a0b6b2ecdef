"""Parameters: values of an actor that a scenario sets, declared once and checked everywhere."""

from __future__ import annotations

import math
import typing
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct

from neuraxis import units
from neuraxis.errors import UnitInvalid, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRED: Final = object()
KINDS: Final = (bool, int, float, str)
TICKS: Final = "ticks"

TICKS_MAX: Final = 2**44 - 1
"""The last tick: the id of an activation has 44 bits for it."""


@final
class Resource(Struct, frozen=True):
    """A data file that the scenario pins by its SHA-256, checked when the simulation opens.

    Attributes:
        path: Where it lies, absolute.
        sha256: Checksum of its content, hexadecimal.
    """

    path: str
    sha256: str


@final
class Unfit(Exception):
    """A value does not fit a parameter: `got` is what it is, `expected` a sentence on what to write."""

    def __init__(self, got: str, expected: str) -> None:
        super().__init__(got, expected)
        self.got = got
        self.expected = expected


@final
class Parameter(Struct, frozen=True, eq=False):
    """A value that the scenario sets. Made by `parameter`, which explains the fields."""

    kind: Any
    default: Any
    unit: str | None
    help: str
    at_least: float | None
    at_most: float | None
    choices: tuple[Any, ...]
    semantic: bool

    @property
    def is_required(self) -> bool:
        """Whether the scenario must set it."""
        return self.default is REQUIRED

    @property
    def element(self) -> Any:
        """The kind itself, or the kind of a tuple's items."""
        return typing.get_args(self.kind)[0] if self.is_list else self.kind

    @property
    def is_list(self) -> bool:
        """Whether it holds any number of items."""
        return typing.get_origin(self.kind) is tuple

    @property
    def is_seam(self) -> bool:
        """Whether it takes an object that a plugin supplies, such as a backend, by the name of that object."""
        return getattr(self.kind, "_is_protocol", False) is True

    def description(self) -> str:
        """Return what to write, as a phrase: `a time such as "1 ms", at least 0`."""
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return ", ".join([("a list, each " if self.is_list else "") + self._noun(), *bounds])

    def _noun(self) -> str:
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        if self.unit == TICKS:
            return 'a time such as "10 ms", or a whole number of ticks'
        if self.unit is not None:
            return f'a {units.dimension_of(self.unit)} such as "1 {self.unit}"'
        if self.kind is Resource:
            return "the name of a resource"
        if self.is_seam:
            return f"the name of a {self.kind.__name__.lower()}"
        return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[self.element]

    def accept(self, value: Any, tick: Fraction | None = None) -> Any:
        """Return the value that the actor sees.

        Args:
            value: What the scenario or program wrote.
            tick: Length of a tick in seconds, for parameters in ticks.

        Raises:
            Unfit: The value is of another type, dimension or range.
        """
        if not self.is_list:
            return self._accept_one(value, tick)
        if not isinstance(value, list | tuple):
            raise Unfit(repr(value), f"Write {self.description()}.")
        return tuple(self._accept_one(item, tick) for item in value)

    def _accept_one(self, value: Any, tick: Fraction | None) -> Any:
        number = self._quantity(value, tick) if self.unit is not None else self._scalar(value)
        if self.choices and number not in self.choices:
            hint = suggestion(number, map(str, self.choices)) if isinstance(number, str) else ""
            raise Unfit(repr(value), f"Write {self.description()}. {hint}".rstrip())
        below = self.at_least is not None and number < self.at_least
        above = self.at_most is not None and number > self.at_most
        if below or above or (isinstance(number, float) and not math.isfinite(number)):
            raise Unfit(repr(value), f"Write {self.description()}.")
        return number

    def _scalar(self, value: Any) -> Any:
        kind = self.element
        if type(value) is kind or (self.is_seam and isinstance(value, kind)):
            return value
        if kind is float and type(value) is int:
            try:
                return float(value)
            except OverflowError:
                raise Unfit("a number beyond 1e308", f"Write {self.description()}.") from None
        raise Unfit(repr(value), f"Write {self.description()}.")

    def _quantity(self, value: Any, tick: Fraction | None) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Unfit(repr(value), f"Write {self.description()}.")
        try:
            if self.unit == TICKS:
                return self._ticks(value, tick)
            if isinstance(value, str):
                assert self.unit is not None, "the caller checked it"
                return units.parse(value).to(self.unit)
        except UnitInvalid as error:
            raise Unfit(repr(error.text), f"It {error.reason}. {error.remedy}") from None
        raise Unfit(repr(value), f'A bare number has no unit. Write {self.description()}: "{value} {self.unit}"?')

    def _ticks(self, value: float | str, tick: Fraction | None) -> int:
        if isinstance(value, float) or (tick is None and isinstance(value, str)):
            raise Unfit(repr(value), f"Write {self.description()}.")
        return whole_ticks(value, tick or Fraction(1))


def parameter(
    kind: Any,
    default: Any = REQUIRED,
    *,
    unit: str | None = None,
    help: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Iterable[Any] = (),
    semantic: bool = True,
) -> Any:
    """Declare a parameter of an actor.

    Args:
        kind: `bool`, `int`, `float`, `str`, `tuple[int, ...]` (or of another of these), `Resource`, or the
            protocol of a seam, such as `Backend`.
        default: Value when the scenario is silent; none makes the parameter mandatory. With a unit,
            write it as text: `"20 ms"`.
        unit: Unit of the number that the actor sees, such as `"ms"`; the scenario then writes a quantity
            of that dimension. `"ticks"` turns a time into a whole number of ticks.
        help: One sentence for the schema and for error messages.
        at_least, at_most: Bounds, inclusive, in `unit`.
        choices: The only values allowed.
        semantic: False keeps the value out of the digest: for what cannot change a result.
    """
    return Parameter(
        kind=kind,
        default=default,
        unit=unit,
        help=help,
        at_least=at_least,
        at_most=at_most,
        choices=tuple(choices),
        semantic=semantic,
    )


def whole_ticks(value: int | str, tick: Fraction) -> int:
    """Return a number of ticks from a count, or from a time that is a whole number of ticks.

    Raises:
        UnitInvalid: It is a text, but no such time; or it is beyond `TICKS_MAX`.
    """
    exact = Fraction(value) if isinstance(value, int) else units.parse(value).exactly("s") / tick
    if abs(exact) > TICKS_MAX:
        text = value if isinstance(value, str) else f"{float(value):g}" if value.bit_length() < 1_000 else "the number"
        raise UnitInvalid(text=text, reason="is too many ticks", remedy=f"Write at most {TICKS_MAX:,} ticks.")
    if exact.denominator != 1:
        raise UnitInvalid(
            text=str(value),
            reason=f"is {float(exact):g} ticks, not a whole number",
            remedy=f"One tick is {duration(tick)}; use a multiple of it.",
        )
    return exact.numerator


def duration(seconds: Fraction) -> str:
    """Return a time as a text in the largest unit that gives a number of at least 1."""
    for symbol in ("h", "min", "s", "ms", "us", "ns"):
        amount = seconds / units.UNITS[symbol][1]
        if amount >= 1 or symbol == "ns":
            return f"{float(amount):g} {symbol}"
    raise AssertionError("the last unit always fits")
