"""What the theory of large networks of attractors expects of a load.

With y = xi - a for the patterns, C the susceptibility and s² the variance of what other patterns add, in units in which
a whole pattern adds 1,

    up, down = share of a pattern's, and of other units that are active
    up   = Phi(((1 - a) m - t) / s)         down = Phi((-a m - t) / s)        m = up - down
    C    = (a phi(..up) + (1 - a) phi(..down)) / s
    s²   = load * mean of (x - a)² / (1 - C)²
    t    = threshold - load C / (1 - C) (1/2 - a)

Phi is the normal distribution, phi its density; t has half of what a neuron's own spikes bring back to it.
For a = 1/2 these are the equations of Amit, Gutfreund & Sompolinsky.

Sources: as `hopfield`; the part of own spikes: Shiino & Fukai, J. Phys. A 25 (1992).
"""

from __future__ import annotations

from math import erfc, exp, pi, sqrt
from typing import Final

ROUNDS: Final = 3_000
"""Of a damped iteration from the whole pattern; at the critical load it moves slowly."""


def expected(load: float, share: float, threshold: float) -> float:
    """Return the overlap m of an attractor with its pattern, and 0 if there is none.

    Args:
        load: Patterns for each neuron, above 0.
        share: Share of units that a pattern has, above 0 and at most 1/2.
        threshold: In units of what a whole pattern adds.
    """
    up, down, slope = 1.0, 0.0, 0.0
    spread = sqrt(load * share * (1.0 - share))
    for _ in range(ROUNDS):
        shift = load * slope / (1.0 - slope) * (0.5 - share) - threshold
        above = ((1.0 - share) * (up - down) + shift) / spread
        below = (-share * (up - down) + shift) / spread
        up, down = (up + _normal(above)) / 2.0, (down + _normal(below)) / 2.0
        slope = (slope + (share * _density(above) + (1.0 - share) * _density(below)) / spread) / 2.0
        if slope >= 0.999:
            return 0.0
        mean = share * (up * (1.0 - share) ** 2 + (1.0 - up) * share**2)
        mean += (1.0 - share) * (down * (1.0 - share) ** 2 + (1.0 - down) * share**2)
        spread = sqrt(load * mean) / (1.0 - slope)
    return up - down


def critical(share: float, threshold: float, *, lost: float = 0.5) -> float:
    """Return the largest load whose attractors have an overlap above `lost`, to three digits.

    Args:
        share, threshold: As for `expected`.
        lost: An overlap that is no recall any more.
    """
    low, high = 0.0, 2.0 / share
    while high - low > 1e-3 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if expected(middle, share, threshold) > lost else (low, middle)
    return low


def _normal(x: float) -> float:
    return erfc(-x / sqrt(2.0)) / 2.0


def _density(x: float) -> float:
    return exp(-x * x / 2.0) / sqrt(2.0 * pi)
