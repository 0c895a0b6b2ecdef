"""The one owner of learning rates: the host's falls on a cosine, a seed's is a tenth of it and warms up.

Determinism: machine (cosines of the C library).
"""

from __future__ import annotations

import math
from typing import Final

SEED_SHARE: Final = 0.1
WARMUP_EPOCHS: Final = 10
WARMUP_FROM: Final = 0.01
FLOOR: Final = 0.01
"""Share of the first rate at which the cosine ends."""


def host_rate(base: float, progress: float) -> float:
    """Return the host's learning rate.

    Args:
        base: At the start.
        progress: Share of the training that is done, 0 to 1.
    """
    return base * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))))


def seed_rate(host: float, age: float, *, share: float = SEED_SHARE, warmup: float = WARMUP_EPOCHS) -> float:
    """Return a seed's learning rate.

    Args:
        host: The host's.
        age: Epochs for which the seed has learned.
        share: Of the host's, when warm.
        warmup: Epochs until it is warm.
    """
    warm = min(age / warmup, 1.0) if warmup > 0 else 1.0
    return host * share * (WARMUP_FROM + (1 - WARMUP_FROM) * warm)
