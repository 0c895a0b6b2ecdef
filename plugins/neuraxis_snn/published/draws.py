"""Numbers drawn for single neurons when a network begins: a pure function of (seed, number, neuron).

Determinism: exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from neuraxis_snn.noise import words_of

if TYPE_CHECKING:
    import numpy as np

DRAWN_AT_BEGIN: Final = 3 * 2**30
"""Counter words of these draws begin here, beyond those of populations and drives."""


def uniform(seed: tuple[int, int], number: int, neurons: int, low: float, high: float) -> np.ndarray:
    """Return values spread evenly between `low` and `high`: (neurons,) float64.

    Args:
        seed: Two words of 32 bits.
        number: Tells sets of draws under one seed apart, below 2**20.
        neurons: How many.
        low, high: Ends; `high` is never reached.
    """
    words = words_of(seed, DRAWN_AT_BEGIN + number, neurons, 0).astype("float64")
    found: np.ndarray = low + (high - low) * (words * 2.0**-32)
    return found
