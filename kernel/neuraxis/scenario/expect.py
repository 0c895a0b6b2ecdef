"""Expectations: what a figure of a run should come to."""

from __future__ import annotations

import math
from typing import Any, final

from msgspec import Struct


@final
class Expectation(Struct, frozen=True):
    """What a scenario expects of one figure.

    Attributes:
        figure: `ticks`, `messages`, or `PATH.FIGURE` of an actor.
        equals: The value; None expects none.
        at_least, at_most: Bounds, inclusive; None is no bound.
    """

    figure: str
    equals: bool | int | float | str | None = None
    at_least: float | None = None
    at_most: float | None = None

    def wanted(self) -> str:
        """Return what is expected, as a phrase: `>= 0.75`."""
        parts = [f"= {self.equals}"] if self.equals is not None else []
        parts += [f">= {self.at_least:g}"] if self.at_least is not None else []
        parts += [f"<= {self.at_most:g}"] if self.at_most is not None else []
        return " and ".join(parts)

    def judge(self, value: Any) -> str | None:
        """Return what is wrong with a value, or None if it is as expected."""
        if self.equals is not None and value != self.equals:
            return f"is {value}, expected {self.wanted()}"
        if self.at_least is None and self.at_most is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return f"is {value}, expected a number {self.wanted()}"
        below = self.at_least is not None and value < self.at_least
        above = self.at_most is not None and value > self.at_most
        return f"is {value}, expected {self.wanted()}" if below or above else None


def expectations(table: dict[str, Any]) -> tuple[Expectation, ...]:
    """Return the expectations of `[expect]` or `[always]`, whose form was checked when it was read."""
    return tuple(
        Expectation(figure, **wanted) if isinstance(wanted, dict) else Expectation(figure, equals=wanted)
        for figure, wanted in sorted(table.items())
    )
