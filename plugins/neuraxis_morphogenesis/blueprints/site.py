"""Where a seed sits in its host: the layout and shape that its module takes and gives."""

from __future__ import annotations

import math
from typing import Literal, final

from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.blueprints.errors import SiteInvalid

Layout = Literal["features", "sequence", "map"]
"""`features`: (batch, n). `sequence`: (batch, steps, channels), causal. `map`: (batch, channels, height, width)."""

AXES = {"features": 1, "sequence": 2, "map": 3}


@final
@message("morphogenesis.site")
class Site(Struct, frozen=True):
    """The shape contract of a seed slot: a module maps this shape onto itself.

    A `sequence` is causal: step t of the output depends on steps up to t of the input alone, and the module
    takes any number of steps up to `shape[0]`. A test holds every module to that.

    Attributes:
        layout: What the axes mean.
        shape: Lengths of all axes but the batch.
    """

    layout: Layout
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.layout not in AXES or len(self.shape) != AXES[self.layout]:
            raise SiteInvalid(site=str(self), reason=f"{len(self.shape)} axes do not make a {self.layout!r}")
        if min(self.shape) < 1:
            raise SiteInvalid(site=str(self), reason="an axis is shorter than 1")

    def __str__(self) -> str:
        return f"{self.layout} ({', '.join(map(str, self.shape))})"

    @classmethod
    def parse(cls, text: str) -> Site:
        """Return the site that a scenario writes as `map 16 8 8`.

        Raises:
            SiteInvalid: It is no site.
        """
        layout, *lengths = text.split() or [""]
        if layout not in AXES or not all(each.isdecimal() for each in lengths):
            raise SiteInvalid(site=repr(text), reason="it cannot be read")
        return cls(layout, tuple(int(each) for each in lengths))  # type: ignore[arg-type]  # checked just above

    @property
    def channels(self) -> int:
        """Numbers at one place: all of `features`, the last axis of a `sequence`, the first of a `map`."""
        return self.shape[0] if self.layout != "sequence" else self.shape[1]

    @property
    def places(self) -> int:
        """Places that hold a vector of channels: 1, steps, or height × width."""
        return {"features": 1, "sequence": self.shape[0]}.get(self.layout, math.prod(self.shape[1:]))
