"""Statistics of spikes while a network runs, in bounded memory however long it runs.

For each neuron: how many spikes, when the last one was, and the number, sum and sum of squares of its intervals. For
each group of neurons: spikes in fine bins, of which the newest `FINE_BINS` are kept, and in coarse bins over the
whole run, whose width doubles whenever there would be more than `COARSE_BINS`. All of it is integers, so nothing
depends on how the steps were cut into calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis_snn.statistics import INTERVALS_LEAST, peak, spectrum_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis import Array
    from neuraxis_snn.spikes import Spikes

FINE_BINS: Final = 20_000
COARSE_BINS: Final = 1_000
FINE_MS: Final = 0.1
"""Length of a fine bin, ms; of one step, where steps are longer."""

FANO_MS: Final = 5.0


@final
class Group(Struct, frozen=True):
    """Neurons `begin` … `end` - 1, numbered through all recorded populations."""

    name: str
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.end - self.begin


@final
class Tally:
    """Counts the spikes of some groups of neurons."""

    def __init__(self, groups: tuple[Group, ...], *, dt_ms: float, skip: int = 0) -> None:
        """Start with nothing.

        Args:
            groups: Of neurons; together they are all neurons, in ascending order without a gap.
            dt_ms: Length of a step.
            skip: Steps at the beginning that count for the picture of the rate only.
        """
        size = groups[-1].end
        self.groups = {each.name: each for each in groups}
        self.dt_ms, self.skip, self.step = dt_ms, skip, 0
        self.fine_steps = max(1, round(FINE_MS / dt_ms))
        self.coarse_steps = self.fine_steps
        self._edges = np.array([each.begin for each in groups], np.int64)
        self.arrays: dict[str, Array] = {
            "spikes": np.zeros(size, np.int64),
            "last": np.full(size, -1, np.int64),
            "intervals": np.zeros(size, np.int64),
            "sums": np.zeros(size, np.int64),
            "squares": np.zeros(size, np.int64),
            "fine": np.zeros((FINE_BINS, len(groups)), np.int64),
            "coarse": np.zeros((COARSE_BINS, len(groups)), np.int64),
        }

    def add(self, steps: int, spikes: Spikes) -> None:
        """Count the spikes of the next `steps` steps, whose steps are counted from the first of these."""
        begin, self.step = self.step, self.step + steps
        self._make_room(begin)
        at, who = spikes.steps.astype(np.int64) + begin, spikes.neurons.astype(np.int64)
        group = np.searchsorted(self._edges, who, side="right") - 1
        np.add.at(self.arrays["coarse"], (at // self.coarse_steps, group), 1)
        late = at >= self.skip
        at, who, group = at[late], who[late], group[late]
        fine = at // self.fine_steps
        kept = fine > (self.step - 1) // self.fine_steps - FINE_BINS  # one call may be longer than all that is kept
        np.add.at(self.arrays["fine"], (fine[kept] % FINE_BINS, group[kept]), 1)
        self.arrays["spikes"] += np.bincount(who, minlength=len(self.arrays["spikes"]))
        self._add_intervals(at, who)

    def _make_room(self, begin: int) -> None:
        first, last = -(-begin // self.fine_steps), (self.step - 1) // self.fine_steps
        new = np.arange(max(first, last - FINE_BINS + 1), last + 1)  # bins that begin in these steps
        self.arrays["fine"][new % FINE_BINS] = 0
        while (self.step - 1) // self.coarse_steps >= COARSE_BINS:
            coarse = self.arrays["coarse"]
            halves = coarse[0::2] + coarse[1::2]
            coarse[: len(halves)], coarse[len(halves) :] = halves, 0
            self.coarse_steps *= 2

    def _add_intervals(self, at: Array, who: Array) -> None:
        order = np.lexsort((at, who))
        at, who = at[order], who[order]
        first = np.ones(len(who), bool)
        first[1:] = who[1:] != who[:-1]
        before = np.empty_like(at)
        before[1:] = at[:-1]
        before[first] = self.arrays["last"][who[first]]
        known = before >= 0
        owner, length = who[known], at[known] - before[known]
        np.add.at(self.arrays["intervals"], owner, 1)
        np.add.at(self.arrays["sums"], owner, length)
        np.add.at(self.arrays["squares"], owner, length * length)
        self.arrays["last"][who] = at  # in ascending order: the newest stays

    # ---------------------------------------------------------------------------------- results

    @property
    def seconds(self) -> float:
        """Model time that counts."""
        return max(self.step - self.skip, 0) * self.dt_ms / 1000.0

    def spikes(self, group: str) -> int:
        """Return how many spikes a group had."""
        return int(self._of("spikes", group).sum())

    def rate(self, group: str) -> float | None:
        """Return the mean rate of a group, Hz; None before anything counts."""
        return self.spikes(group) / self.groups[group].size / self.seconds if self.seconds else None

    def rate_of_all(self) -> float | None:
        """Return the mean rate of all neurons, Hz; None before anything counts."""
        spikes = sum(self.spikes(each) for each in self.groups)
        return spikes / sum(each.size for each in self.groups.values()) / self.seconds if self.seconds else None

    def rates(self, group: str) -> Array:
        """Return the rate of each neuron of a group, Hz. (size,) float64."""
        found: Array = self._of("spikes", group) / (self.seconds or np.nan)
        return found

    def cvs(self, group: str, *, least: int = INTERVALS_LEAST) -> Array:
        """Return the coefficient of variation of each neuron of a group that has at least `least` intervals."""
        number, sums, squares = (self._of(name, group) for name in ("intervals", "sums", "squares"))
        enough = (number >= max(least, 1)) & (sums > 0)
        number, sums, squares = number[enough], sums[enough], squares[enough]
        found: Array = np.sqrt(np.maximum(number * squares - sums * sums, 0)) / sums  # n² var / (n mean)²
        return found

    def cv(self, group: str, *, least: int = INTERVALS_LEAST) -> float | None:
        """Return the mean of `cvs`, or None if there is none."""
        found = self.cvs(group, least=least)
        return float(found.mean()) if len(found) else None

    def cv_of_all(self, *, least: int = INTERVALS_LEAST) -> float | None:
        """Return the mean of `cvs` over all neurons."""
        found = np.concatenate([self.cvs(each, least=least) for each in self.groups])
        return float(found.mean()) if len(found) else None

    def fine(self, *groups: str) -> Array:
        """Return the spikes of groups in the newest whole fine bins that count. (bins,) int64."""
        first, end = -(-self.skip // self.fine_steps), self.step // self.fine_steps
        bins = np.arange(max(first, -(-self.step // self.fine_steps) - FINE_BINS), end) % FINE_BINS
        columns = np.array([list(self.groups).index(each) for each in groups])
        found: Array = self.arrays["fine"][np.ix_(bins, columns)].sum(axis=1)
        return found

    def fano(self, *groups: str) -> float | None:
        """Return variance / mean of the counts of groups in bins of `FANO_MS`."""
        width = max(1, round(FANO_MS / (self.fine_steps * self.dt_ms)))
        fine = self.fine(*groups)
        counts = fine[: len(fine) // width * width].reshape(-1, width).sum(axis=1)
        return float(counts.var() / counts.mean()) if len(counts) and counts.any() else None

    def oscillation(
        self, *groups: str, segment_ms: float = 500.0, above_hz: float = 4.0, below_hz: float = 500.0
    ) -> tuple[float, float] | None:
        """Return where the rate of groups oscillates most; see `statistics.oscillation`."""
        bin_ms = self.fine_steps * self.dt_ms
        size = sum(self.groups[each].size for each in groups)
        rate = self.fine(*groups) / size / (bin_ms / 1000.0)
        return peak(*spectrum_of(rate, bin_ms, segment_ms=segment_ms), above_hz=above_hz, below_hz=below_hz)

    def over_time(self, group: str) -> tuple[Array, Array]:
        """Return edges of the coarse bins from the beginning, ms, and the rate of a group in each, Hz."""
        column, bins = list(self.groups).index(group), self.step // self.coarse_steps
        width = self.coarse_steps * self.dt_ms
        counts = self.arrays["coarse"][:bins, column]
        return np.arange(bins + 1) * width, counts / self.groups[group].size / (width / 1000.0)

    def _of(self, name: str, group: str) -> Array:
        found: Array = self.arrays[name][self.groups[group].begin : self.groups[group].end]
        return found

    # ------------------------------------------------------------------------------------ state

    def capture(self) -> dict[str, Any]:
        """Return all state as a tree of plain values and arrays of its own."""
        arrays = {name: each.copy() for name, each in self.arrays.items()}
        return {"step": self.step, "coarse_steps": self.coarse_steps, "arrays": arrays}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state of a tally of the same groups."""
        self.step, self.coarse_steps = int(captured["step"]), int(captured["coarse_steps"])
        for name, array in self.arrays.items():
            array[:] = captured["arrays"][name]
