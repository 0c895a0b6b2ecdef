"""Means, paired differences and verdicts. Intervals are percentile intervals of a bootstrap over seeds.

Determinism: exact; resamples come from the stream `bootstrap` of `study`, so the same results give the same intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, final

import numpy as np
from msgspec import Struct

from neuraxis.rng import Stream, stream_key
from neuraxis_morphogenesis.study.outcomes import Outcome, ordered

RESAMPLES: Final = 10_000
LEVEL: Final = 0.95
MARGIN: Final = 0.01
"""Accuracy by which a network that grew may be worse than a large one, and still be called not inferior."""

REFERENCE: Final = "large"
GROWN: Final = ("plateau", "policy")

Verdict = Literal["better", "worse", "not inferior", "undecided", ""]


@final
class Interval(Struct, frozen=True):
    """A mean over seeds with its interval.

    Attributes:
        mean: The mean.
        low, high: Ends of the 95 % interval; the mean itself for a single seed.
    """

    mean: float
    low: float
    high: float


@final
class Difference(Struct, frozen=True):
    """How two arms differ in accuracy, seed by seed.

    Attributes:
        arm, other: The difference is `arm` less `other`.
        found: Its mean and interval.
        wins: Seeds with `arm` above `other`.
        verdict: `better` or `worse` if the interval does not hold 0; beside the large network `not inferior` if it lies
            above the margin; else `undecided`. Empty for a single seed.
    """

    arm: str
    other: str
    found: Interval
    wins: int
    verdict: Verdict


def interval(values: Sequence[float]) -> Interval:
    """Return the mean and its interval.

    Args:
        values: One for each seed, at least one.
    """
    held = np.asarray(values, np.float64)
    count = len(held)
    picks = Stream(stream_key(0, "study", "bootstrap")).at(0).integers(0, count, RESAMPLES * count)
    means = held[picks].reshape(RESAMPLES, count).mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(held.mean()), float(low), float(high))


def difference(arm: str, other: str, pairs: Sequence[tuple[float, float]]) -> Difference:
    """Compare two arms.

    Args:
        arm, other: Their names.
        pairs: Accuracy of `arm` and of `other` with each seed.
    """
    found = interval([one - two for one, two in pairs])
    wins = sum(one > two for one, two in pairs)
    return Difference(arm, other, found, wins, _verdict(found, other) if len(pairs) > 1 else "")


def _verdict(found: Interval, other: str) -> Verdict:
    if found.low > 0:
        return "better"
    if other == REFERENCE and found.low > -MARGIN:
        return "not inferior"
    return "worse" if found.high < 0 else "undecided"


def differences(results: Sequence[Mapping[str, Outcome]]) -> list[Difference]:
    """Compare every arm that decides on growth with every other arm, each pair once.

    Args:
        results: Arms of each seed.
    """
    arms = ordered(results[0])
    return [
        difference(arm, other, [(each[arm].accuracy, each[other].accuracy) for each in results])
        for arm in GROWN
        for other in arms
        if arm in arms and other not in GROWN[: GROWN.index(arm) + 1]
    ]


def growth_helps(found: Sequence[Difference]) -> bool | None:
    """Return whether the plateau arm is better than small and random, and not inferior to large; None without them."""
    verdicts = {each.other: each.verdict for each in found if each.arm == "plateau"}
    if not {"small", "random", REFERENCE} <= set(verdicts):
        return None
    is_better = verdicts["small"] == verdicts["random"] == "better"
    return is_better and verdicts[REFERENCE] in ("better", "not inferior")
