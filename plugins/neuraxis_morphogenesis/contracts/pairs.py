"""Maps as messages carry them: pairs in the order of their names, because a message cannot hold what can change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

Numbers = tuple[tuple[str, float], ...]
"""Numbers by name, in the order of the names."""

Texts = tuple[tuple[str, str], ...]
"""Texts by name, in the order of the names."""


def pairs(values: Mapping[str, T]) -> tuple[tuple[str, T], ...]:
    """Return a map as a message carries it. `dict(…)` leads back."""
    return tuple(sorted(values.items()))


def numbers(values: Mapping[str, float]) -> Numbers:
    """Return numbers by name as a message carries them, all of them as floats."""
    return tuple((name, float(value)) for name, value in sorted(values.items()))
