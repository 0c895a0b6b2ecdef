"""Encoders: from values to what makes neurons spike.

Determinism: exact; `exp` and `log` are computed in decimal arithmetic.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import numpy as np

from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.noise import DROPPED_BITS
from neuraxis_snn.numbers import DIGITS, decimal_of

DRAWS: Final = 2 ** (32 - DROPPED_BITS)


def poisson(rates: np.ndarray, dt: str) -> np.ndarray:
    """Return the state `chance` of a `poisson` population: 2**24 (1 - exp(-rate dt)).

    The probability of a spike in a step is not rate * dt: that would be too high where it is not small.

    Args:
        rates: (n,) Hz, not negative. Equal rates are computed once.
        dt: Length of a step.

    Returns:
        (n,) float64.

    Raises:
        EngineMisuse: A rate is negative or not finite.
    """
    rates = np.asarray(rates, dtype=np.float64)
    if not np.isfinite(rates).all() or (rates < 0).any():
        raise EngineMisuse(subject="poisson", reason="a rate is negative or not finite", remedy="Use rates in Hz.")
    distinct, which = np.unique(rates, return_inverse=True)
    seconds = decimal_of(dt, "s")
    chances = [float(DRAWS * (1 - DIGITS.exp(-Decimal(repr(float(rate))) * seconds))) for rate in distinct]
    return np.array(chances)[which.reshape(rates.shape)]


def latency(values: np.ndarray, dt: str, tau: str, threshold: float) -> np.ndarray:
    """Return the state `wait` of a `timed` population: the step of the first spike of a neuron under a constant input.

    A leaky integrator with time constant tau crosses `threshold` after tau ln(x / (x - threshold)).

    Args:
        values: (n,) constant inputs x.
        dt: Length of a step.
        tau: Time constant.
        threshold: What must be reached; values at or below it never spike.

    Returns:
        (n,) float64: steps to wait, at least 1; -1 for neurons that stay silent.

    Raises:
        EngineMisuse: The threshold is not above 0, or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if threshold <= 0 or not np.isfinite(values).all():
        reason = "the threshold is not above 0, or a value is not finite"
        raise EngineMisuse(subject="latency", reason=reason, remedy="Use finite values and a threshold above 0.")
    steps = DIGITS.divide(decimal_of(tau, "ms"), decimal_of(dt, "ms"))
    limit = Decimal(repr(float(threshold)))
    distinct, which = np.unique(values, return_inverse=True)

    def wait(value: float) -> float:
        exact = Decimal(repr(value))
        if exact <= limit:
            return -1.0
        log = DIGITS.ln(DIGITS.divide(exact, exact - limit))
        return float(max((steps * log).to_integral_value(), Decimal(1)))

    return np.array([wait(float(value)) for value in distinct])[which.reshape(values.shape)]
