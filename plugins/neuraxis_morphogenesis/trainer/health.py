"""What a fault is called, and when a loss has run away.

Determinism: machine (square roots of means).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

Fault = Literal["nan_loss", "exploding_gradient", "runaway_loss"]

WINDOW: Final = 20
"""Losses that a new one is compared with."""

LOSS_MIN: Final = 12.0
SIGMAS: Final = 6.0
TIMES: Final = 3.0
IN_A_ROW: Final = 3
"""A loss has run away if it is above 12, above mean + 6 sigma and above 3 times the mean, three times in a row."""


def stands_out(loss: float, window: Sequence[float]) -> bool:
    """Return whether a loss is far above those before it.

    Args:
        loss: The newest.
        window: Losses before it; fewer than `WINDOW` decide nothing.
    """
    if len(window) < WINDOW:
        return False
    mean = sum(window) / len(window)
    sigma = math.sqrt(sum((each - mean) ** 2 for each in window) / len(window))
    return loss > LOSS_MIN and loss > mean + SIGMAS * sigma and loss > TIMES * mean
