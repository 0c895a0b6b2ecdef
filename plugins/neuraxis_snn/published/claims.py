"""What a publication says about a network, as data, and the table that shows it beside our own figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from msgspec import Struct

from neuraxis.report import Chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@final
class Claim(Struct, frozen=True):
    """A published figure.

    Attributes:
        figure: Name of our figure that stands beside it.
        published: What the publication says, with its unit, as text.
        source: Who says so.
        at_least, at_most: What we accept, inclusive; None is no bound. A claim without bounds is only shown.
    """

    figure: str
    published: str
    source: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_gate(self) -> bool:
        """Whether there is a bound."""
        return self.at_least is not None or self.at_most is not None

    @property
    def told(self) -> str:
        """What is published, and what we accept, as one text."""
        return f"{self.published}; accepted: {self.accepted}" if self.is_gate else self.published

    @property
    def accepted(self) -> str:
        """The bounds as a phrase; empty without any."""
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}" if self.at_most is not None else ""

    def holds(self, value: float | None) -> bool:
        """Say whether our figure lies within the bounds; None never does."""
        if not self.is_gate:
            return True
        above = value is not None and (self.at_least is None or value >= self.at_least)
        return above and value is not None and (self.at_most is None or value <= self.at_most)


def around(figure: str, value: float, unit: str, source: str, *, share: float) -> Claim:
    """Return the claim that a figure is `value`, accepted within a share of it above and below."""
    margin = abs(value) * share
    published = f"{value:g} {unit}".strip()
    return Claim(figure, published, source, round(value - margin, 6), round(value + margin, 6))


def missed(claims: Iterable[Claim], measured: Mapping[str, float | int | str | None]) -> int:
    """Return how many of the claims with bounds our figures miss."""
    found = 0
    for each in claims:
        value = measured.get(each.figure)
        found += not each.holds(value if isinstance(value, int | float) else None)
    return found


def beside(claims: Iterable[Claim], measured: Mapping[str, float | int | str | None]) -> Chart:
    """Return the table that shows published figures beside ours."""
    rows = [("figure", "ours", "published", "accepted", "holds", "source")]
    for each in claims:
        value = measured.get(each.figure)
        number = value if isinstance(value, int | float) else None
        verdict = ("yes" if each.holds(number) else "NO") if each.is_gate else ""
        ours = f"{number:.4g}" if number is not None else "none"
        rows.append((each.figure, ours, each.published, each.accepted, verdict, each.source))
    caption = "Published figures beside those of this run. What has nothing under “accepted” is shown, not judged."
    return Chart("Published beside ours", caption, rows=tuple(rows))
