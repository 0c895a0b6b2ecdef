"""Statistics of spikes: rates, intervals, regularity, synchrony, oscillation, distances.

All of them take `Trains`: the spikes of a number of neurons within a span of time. Times are in ms, rates in Hz.
What is not defined, such as the regularity of neurons that hardly spiked, is None.

Variances are those of the whole population (divided by n, not by n - 1). A bin begins at the start of the span; bins
that do not fit into the span as a whole are left out. Statistics are for people: no digest covers them, and their
last bits may differ between machines.

Sources: interval statistics, Holt, Softky, Koch & Douglas (1996) and Shinomoto et al. (2009); distances between
spike trains, Kreuz et al. (2007, 2015).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Self, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import UsageInvalid

if TYPE_CHECKING:
    from neuraxis import Array

INTERVALS_LEAST: Final = 5
"""Intervals that a neuron must have for its regularity to count."""

BIN_MS: Final = 5.0
"""Bins in which spikes are counted for synchrony, ms."""

REFRACTORINESS_MS: Final = 5.0
"""The constant R of LvR, ms, as in Shinomoto et al. (2009)."""

SAMPLED_NEURONS: Final = 100
"""Neurons whose pairs are correlated."""

SLACK: Final = 1e-6
"""Part of a bin by which a time may lie below an edge and still count as on it: times are rounded products of steps."""


@final
class Trains(Struct, frozen=True, eq=False):
    """Spikes of some neurons in a span of time, in order of (neuron, time). Made by `Trains.of`.

    Attributes:
        times: (n,) float64, ms.
        neurons: (n,) int64, from 0 to `size` - 1.
        size: Number of neurons, with those that never spiked.
        begin, end: The span, ms.
    """

    times: Array
    neurons: Array
    size: int
    begin: float
    end: float

    @classmethod
    def of(cls, times_ms: Any, neurons: Any, *, size: int, until_ms: float, skip_ms: float = 0.0) -> Self:
        """Return the spikes from `skip_ms` on and before `until_ms`; the others are left out.

        Args:
            times_ms: (n,) times in ms, in any order.
            neurons: (n,) who spiked.
            size: Number of neurons.
            until_ms: End of the span.
            skip_ms: Start of the span: how much to skip at the beginning, where a network has not settled.

        Raises:
            UsageInvalid: The span is empty, shapes differ, times are not finite, or a neuron does not exist.
        """
        times, who = np.asarray(times_ms, np.float64), np.asarray(neurons, np.int64)
        if not (math.isfinite(until_ms) and math.isfinite(skip_ms) and skip_ms < until_ms):
            what = f"there is no time between {skip_ms:g} ms and {until_ms:g} ms"
            raise UsageInvalid(what=what, remedy="Choose a smaller skip, or a later end.")
        if times.shape != who.shape or times.ndim != 1:
            what = f"times have the shape {times.shape}, neurons {who.shape}"
            raise UsageInvalid(what=what, remedy="Pass one time and one neuron for each spike.")
        if size < 1 or (len(who) and (who.min() < 0 or who.max() >= size)):
            raise UsageInvalid(what=f"a neuron is not one of {size:,}", remedy="Pass size=… of the whole population.")
        if not np.isfinite(times).all():
            raise UsageInvalid(what="a time is not finite", remedy="Pass times in ms.")
        inside = (times >= skip_ms - SLACK) & (times < until_ms - SLACK)
        order = np.lexsort((times[inside], who[inside]))
        return cls(times[inside][order], who[inside][order], size, float(skip_ms), float(until_ms))

    def __len__(self) -> int:
        return len(self.times)

    @property
    def span(self) -> float:
        """Length of the span, ms."""
        return self.end - self.begin

    def train(self, neuron: int) -> Array:
        """Return the times of one neuron, ascending, ms."""
        first, last = np.searchsorted(self.neurons, [neuron, neuron + 1])
        return self.times[first:last]


# ------------------------------------------------------------------------------------- rates


def rates(trains: Trains) -> Array:
    """Return the rate of each neuron, Hz: spikes divided by the span. (size,) float64."""
    return np.bincount(trains.neurons, minlength=trains.size) / (trains.span / 1000.0)


def mean_rate(trains: Trains) -> float:
    """Return the mean rate of all neurons, Hz: spikes / neurons / span."""
    return len(trains) / trains.size / (trains.span / 1000.0)


def counts(trains: Trains, bin_ms: float = BIN_MS) -> Array:
    """Return how many spikes all neurons together have in each whole bin of the span. (bins,) int64."""
    bins, at = _binned(trains, bin_ms)
    return np.bincount(at[at < bins], minlength=bins).astype(np.int64)


def population_rate(trains: Trains, bin_ms: float = 1.0) -> tuple[Array, Array]:
    """Return the middles of the bins, ms, and the rate of a neuron in each bin, Hz."""
    found = counts(trains, bin_ms)
    middles = trains.begin + (np.arange(len(found)) + 0.5) * bin_ms
    return middles, found / trains.size / (bin_ms / 1000.0)


def _binned(trains: Trains, bin_ms: float) -> tuple[int, Array]:
    """Return the number of whole bins, and the bin of each spike."""
    if not bin_ms > 0:
        raise UsageInvalid(what=f"a bin of {bin_ms} ms has no length", remedy="Pass a positive one.")
    at = np.floor((trains.times - trains.begin) / bin_ms + SLACK).astype(np.int64)
    return int(trains.span / bin_ms + SLACK), at


# --------------------------------------------------------------------------------- intervals


def intervals(trains: Trains) -> tuple[Array, Array]:
    """Return all intervals between one spike of a neuron and its next.

    Returns:
        (m,) int64, whose interval it is, ascending; and (m,) float64, its length in ms, in order of time.
    """
    same = trains.neurons[1:] == trains.neurons[:-1]
    return trains.neurons[1:][same], np.diff(trains.times)[same]


def cv(trains: Trains, *, least: int = INTERVALS_LEAST) -> float | None:
    """Return the coefficient of variation of intervals, averaged over neurons.

    For one neuron it is the standard deviation of its intervals, divided by their mean: 0 for a clock, 1 for a
    Poisson process.

    Args:
        trains: The spikes.
        least: Neurons with fewer intervals do not count.
    """
    found = cv_of_each(trains, least=least)
    return float(found.mean()) if len(found) else None


def cv_of_each(trains: Trains, *, least: int = INTERVALS_LEAST) -> Array:
    """Return the coefficient of variation of every neuron that has at least `least` intervals, in their order."""
    who, lengths = intervals(trains)
    number = np.bincount(who, minlength=trains.size)
    total = np.bincount(who, lengths, minlength=trains.size)
    enough = (number >= max(least, 1)) & (total > 0)
    mean = total[enough] / number[enough]
    # deviations from the mean, not a difference of squares, which would lose digits where neurons are regular
    means = np.zeros(trains.size)
    means[enough] = mean
    squares = np.bincount(who, (lengths - means[who]) ** 2, minlength=trains.size)[enough]
    return np.sqrt(squares / number[enough]) / mean


def cv2(trains: Trains, *, least: int = INTERVALS_LEAST) -> float | None:
    """Return CV2, averaged over neurons: the mean of 2 |I' - I| / (I' + I) over neighbouring intervals I and I'.

    It compares neighbours only, so slow changes of the rate do not count as irregular (Holt et al. 1996).
    """
    return _of_neighbours(trains, lambda a, b: 2.0 * np.abs(b - a) / (b + a), least)


def lvr(trains: Trains, *, refractoriness_ms: float = REFRACTORINESS_MS, least: int = INTERVALS_LEAST) -> float | None:
    """Return the revised local variation LvR, averaged over neurons (Shinomoto et al. 2009).

    It is the mean of 3 (1 - 4 I I' / (I + I')²) (1 + 4 R / (I + I')) over neighbouring intervals I and I', with the
    refractoriness R.
    """

    def term(a: Array, b: Array) -> Array:
        both = a + b
        found: Array = 3.0 * (1.0 - 4.0 * a * b / both**2) * (1.0 + 4.0 * refractoriness_ms / both)
        return found

    return _of_neighbours(trains, term, least)


def _of_neighbours(trains: Trains, term: Any, least: int) -> float | None:
    who, lengths = intervals(trains)
    same = (who[1:] == who[:-1]) & (lengths[1:] + lengths[:-1] > 0)
    owner, terms = who[1:][same], term(lengths[:-1][same], lengths[1:][same])
    number = np.bincount(owner, minlength=trains.size)
    enough = number >= max(least - 1, 1)
    if not enough.any():
        return None
    return float((np.bincount(owner, terms, minlength=trains.size)[enough] / number[enough]).mean())


# ---------------------------------------------------------------------------------- synchrony


def fano(trains: Trains, bin_ms: float = BIN_MS) -> float | None:
    """Return variance / mean of the counts of all neurons together in bins: 1 for independent Poisson processes."""
    found = counts(trains, bin_ms)
    mean = found.mean() if len(found) else 0.0
    return float(found.var() / mean) if mean > 0 else None


def correlations(trains: Trains, bin_ms: float = BIN_MS, *, neurons: int = SAMPLED_NEURONS) -> Array:
    """Return Pearson's correlation of binned counts for every pair of a sample of neurons.

    Args:
        trains: The spikes.
        bin_ms: Length of a bin.
        neurons: Largest number of neurons in the sample. They are evenly spread over those that spiked, so nothing
            is drawn; a neuron with the same count in all bins is in no pair.

    Returns:
        (pairs,) float64, in the order (first, second), (first, third), …
    """
    bins, at = _binned(trains, bin_ms)
    active = np.unique(trains.neurons)
    chosen = active[np.arange(min(neurons, len(active))) * len(active) // max(min(neurons, len(active)), 1)]
    place = np.full(trains.size, -1)
    place[chosen] = np.arange(len(chosen))
    row = place[trains.neurons]
    inside = (row >= 0) & (at < bins)
    table = np.zeros((len(chosen), bins))
    np.add.at(table, (row[inside], at[inside]), 1.0)
    table = table[(table != table[:, :1]).any(axis=1)]
    if len(table) < 2:
        return np.empty(0)
    table -= table.mean(axis=1, keepdims=True)
    table /= np.sqrt((table**2).sum(axis=1, keepdims=True))
    found: Array = (table @ table.T)[np.triu_indices(len(table), 1)]
    return found


def correlation(trains: Trains, bin_ms: float = BIN_MS, *, neurons: int = SAMPLED_NEURONS) -> float | None:
    """Return the mean of `correlations`."""
    found = correlations(trains, bin_ms, neurons=neurons)
    return float(found.mean()) if len(found) else None


# -------------------------------------------------------------------------------- oscillation


def spectrum(trains: Trains, bin_ms: float = 0.5, *, segment_ms: float = 500.0) -> tuple[Array, Array]:
    """Return the power spectrum of the population rate.

    Welch's method: segments that overlap by half, each without its mean and under a Hann window, averaged. A span
    shorter than a segment is one segment. The scale is that of a density, Hz² / Hz, one-sided.

    Returns:
        Frequencies, Hz, without 0; and the power at each. Empty if there are fewer than 4 bins.
    """
    return spectrum_of(population_rate(trains, bin_ms)[1], bin_ms, segment_ms=segment_ms)


def spectrum_of(rate: Array, bin_ms: float, *, segment_ms: float = 500.0) -> tuple[Array, Array]:
    """Return the power spectrum of a rate that is known bin by bin, as `spectrum` does.

    Args:
        rate: (bins,) Hz.
        bin_ms: Length of a bin.
        segment_ms: Length of a segment.
    """
    length = min(int(segment_ms / bin_ms + SLACK), len(rate))
    if length < 4:
        return np.empty(0), np.empty(0)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
    starts = range(0, len(rate) - length + 1, max(length // 2, 1))
    power = np.zeros(length // 2 + 1)
    for start in starts:
        segment = rate[start : start + length]
        power += np.abs(np.fft.rfft((segment - segment.mean()) * window)) ** 2
    second = bin_ms / 1000.0
    power *= 2.0 * second / (window**2).sum() / len(starts)
    return np.fft.rfftfreq(length, second)[1:], power[1:]


def oscillation(trains: Trains, *, above_hz: float = 4.0, below_hz: float = 500.0) -> tuple[float, float] | None:
    """Return where the population rate oscillates most: frequency in Hz, and how much it stands out.

    Args:
        trains: The spikes.
        above_hz, below_hz: Where to look.

    Returns:
        The frequency with the largest power, and that power divided by the median of all powers looked at: below 10
        for neurons that fire independently (the less, the longer the span), hundreds for a network that oscillates.
        None without any spikes.
    """
    return peak(*spectrum(trains), above_hz=above_hz, below_hz=below_hz)


def peak(
    frequencies: Array, power: Array, *, above_hz: float = 4.0, below_hz: float = 500.0
) -> tuple[float, float] | None:
    """Return the peak of a spectrum, as `oscillation` does."""
    looked = (frequencies >= above_hz) & (frequencies <= below_hz)
    if not looked.any() or not power[looked].max() > 0:
        return None
    highest = int(power[looked].argmax())
    median = float(np.median(power[looked]))
    return float(frequencies[looked][highest]), float(power[looked][highest] / median) if median > 0 else math.inf


# ---------------------------------------------------------------------------------- distances


def isi_distance(trains: Trains, first: int, second: int) -> float:
    """Return the ISI-distance of two neurons: the time average of |x - y| / max(x, y) over the span.

    x and y are the lengths of the intervals in which the two neurons are at a time. Before the first spike and after
    the last one, an interval reaches to the edge of the span, but is not shorter than its neighbour (Kreuz et al.
    2007).

    Raises:
        UsageInvalid: One of them has no spike.
    """
    edges_a, lengths_a = _profile(trains, first)
    edges_b, lengths_b = _profile(trains, second)
    edges = np.unique(np.concatenate([edges_a, edges_b]))
    middles = (edges[1:] + edges[:-1]) / 2.0
    x = lengths_a[np.searchsorted(edges_a, middles, side="right") - 1]
    y = lengths_b[np.searchsorted(edges_b, middles, side="right") - 1]
    return float((np.diff(edges) * np.abs(x - y) / np.maximum(x, y)).sum() / trains.span)


def _profile(trains: Trains, neuron: int) -> tuple[Array, Array]:
    """Return where the intervals of a neuron begin and the last ends, and how long each counts."""
    train = np.unique(trains.train(neuron))
    if not len(train):
        raise UsageInvalid(what=f"neuron {neuron} never spiked", remedy="Choose another one.")
    edges = np.unique(np.concatenate([[trains.begin], train, [trains.end]]))
    lengths = np.diff(edges)
    if len(train) > 1:
        if train[0] > trains.begin:
            lengths[0] = max(lengths[0], train[1] - train[0])
        if train[-1] < trains.end:
            lengths[-1] = max(lengths[-1], train[-1] - train[-2])
    return edges, lengths


def synchrony(trains: Trains, first: int, second: int) -> float:
    """Return SPIKE-synchronization of two neurons: the share of their spikes that coincide (Kreuz et al. 2015).

    Two spikes coincide if they are nearer to each other than half of the shortest of the intervals before and after
    each of them. 1 if neither has a spike.
    """
    a, b = np.unique(trains.train(first)), np.unique(trains.train(second))
    if not len(a) + len(b):
        return 1.0
    if not (len(a) and len(b)):
        return 0.0
    nearest = _nearest(a, b)
    gap = np.minimum(_shortest(a), _shortest(b)[nearest]) / 2.0
    met = np.abs(a - b[nearest]) < np.minimum(gap, trains.span)
    return 2.0 * int(met.sum()) / (len(a) + len(b))


def _nearest(a: Array, b: Array) -> Array:
    """Return for each of `a` the position of the nearest of `b`."""
    right = np.clip(np.searchsorted(b, a), 0, len(b) - 1)
    left = np.maximum(right - 1, 0)
    found: Array = np.where(np.abs(a - b[left]) <= np.abs(b[right] - a), left, right)
    return found


def _shortest(train: Array) -> Array:
    """Return for each spike the shorter one of the intervals on its sides."""
    gaps = np.concatenate([[np.inf], np.diff(train), [np.inf]])
    found: Array = np.minimum(gaps[:-1], gaps[1:])
    return found


# ------------------------------------------------------------------------------------ summary


def summary(trains: Trains) -> dict[str, float | int | None]:
    """Return what is usually told about spikes, by name; the last part of a name is the unit, where there is one."""
    found = rates(trains)
    wave = oscillation(trains)
    return {
        "spikes": len(trains),
        "rate_hz": mean_rate(trains),
        "rate_median_hz": float(np.median(found)),
        "active": float((found > 0).mean()),
        "cv": cv(trains),
        "cv2": cv2(trains),
        "lvr": lvr(trains),
        "fano": fano(trains),
        "correlation": correlation(trains),
        "peak_hz": wave[0] if wave else None,
        "peak_over_median": wave[1] if wave else None,
    }
