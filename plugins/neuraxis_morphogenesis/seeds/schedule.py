"""How alpha rises from 0 to 1 while a seed is blended in.

All schedules begin at exactly 0 and end at exactly 1.

Determinism: machine (exponentials and cosines of the C library).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

STEEPNESS: Final = 12.0


def _linear(share: float) -> float:
    return share


def _cosine(share: float) -> float:
    """(1 - cos(pi t)) / 2."""
    return 0.5 * (1 - math.cos(math.pi * share))


def _sigmoid(share: float) -> float:
    """The logistic curve of steepness 12 around 1/2, stretched to run from 0 to 1."""
    low = 1 / (1 + math.exp(STEEPNESS / 2))
    return (1 / (1 + math.exp(-STEEPNESS * (share - 0.5))) - low) / (1 - 2 * low)


def _warmup_hold(share: float) -> float:
    """Linear to one half, a rest there for the middle third, and on to 1."""
    return min(share * 1.5, 0.5) if share < 2 / 3 else 0.5 + (share - 2 / 3) * 1.5


SCHEDULES: Final[Mapping[str, Callable[[float], float]]] = {
    "linear": _linear,
    "cosine": _cosine,
    "sigmoid": _sigmoid,
    "warmup_hold": _warmup_hold,
}
"""Curves by name: the share of alpha as a function of the share of time."""


WHOLE: Final = (0.0, 1.0)
"""All of the time in which alpha may rise."""

WINDOW_MIN: Final = 0.1
"""Shortest part of its time in which alpha may rise: it must not jump."""


def alpha(schedule: str, step: int, steps: int, window: tuple[float, float] = WHOLE) -> float:
    """Return alpha after `step` of `steps` steps: 0 at the start, 1 at the end and ever after.

    Args:
        schedule: Name of the curve.
        step, steps: How far it is.
        window: From which share of the steps to which it rises; 0 before, 1 after.
    """
    if step <= 0:
        return 0.0
    if step >= steps:
        return 1.0
    begin, end = window
    share = (step / steps - begin) / (end - begin)
    if share <= 0:
        return 0.0
    return 1.0 if share >= 1 else min(max(SCHEDULES[schedule](share), 0.0), 1.0)
