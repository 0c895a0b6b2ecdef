"""An actor that watches spikes in bounded memory: it counts them all, and keeps the newest.

What it tells of the whole run it counts as it goes: rates, regularity, synchrony and the course of the rate need no
kept spikes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np

from neuraxis import Actor, Chart, Context, Inbox, Input, on_inbox, on_start, on_timer, parameter, state
from neuraxis_snn import plots
from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.network import steps_per_tick
from neuraxis_snn.sampling import whole_steps
from neuraxis_snn.spikes import Spikes
from neuraxis_snn.statistics import INTERVALS_LEAST, Trains

COURSE_BINS: Final = 512
"""Bins of the course of the rate. When a run outgrows them, neighbours are joined, and each is twice as long."""

BINS_A_DECADE: Final = 32
DECADES: Final = 8
"""Bins of the histogram of intervals, in steps; the last one takes all that is longer."""


WAITING_MAX: Final = 8_192
"""Spikes that may wait to be counted: numpy counts many at once as fast as a few."""


def _interval_edges() -> np.ndarray:
    exact = (Decimal(10) ** (Decimal(k) / BINS_A_DECADE) for k in range(BINS_A_DECADE * DECADES + 1))
    return np.array(sorted({int(each.to_integral_value()) for each in exact}), np.int64)


INTERVAL_EDGES: Final = _interval_edges()
"""Edges of the histogram of intervals, steps: 1, 2, 3, … and then 32 a decade."""


class SpikeMonitor(Actor):
    """Counts the spikes of a population, and keeps the newest.

    It holds 12 bytes for each spike that it may keep, 32 for each neuron, and some 7 KiB. While it runs, the spikes of
    a few ticks wait to be counted. All channels to it have one delay. Determinism: exact.
    """

    size: int = parameter(int, help="number of neurons", at_least=1)
    dt: float = parameter(float, "0.1 ms", unit="ms", help="step of the neurons that are watched")
    keep: int = parameter(int, 100_000, help="most spikes to keep; the others are counted", at_least=0)
    window: int = parameter(int, 0, unit="ticks", help="keep only spikes as young as this; 0 for any age", at_least=0)
    skip: int = parameter(int, 0, unit="ticks", help="how much of the beginning statistics leave out", at_least=0)
    bin: float = parameter(float, "5 ms", unit="ms", help="bins of the Fano factor; a whole number of steps")

    spikes = Input(Spikes, "spikes of the neurons, by tick")

    seen: int = state(0)
    newest: int = state(0)
    until: int = state(0)
    lag: int = state(1)
    tick_steps: int = state(0)
    taken: int = state(0)
    bins: list[int] = state(factory=lambda: [0, 0, 0, 0])
    course_ticks: int = state(1)
    course: np.ndarray = state(factory=lambda: np.zeros(COURSE_BINS, np.int64))
    intervals: np.ndarray = state(factory=lambda: np.zeros(len(INTERVAL_EDGES), np.int64))
    counts: np.ndarray = state()
    last: np.ndarray = state()
    sums: np.ndarray = state()
    squares: np.ndarray = state()
    kept_steps: np.ndarray = state()
    kept_neurons: np.ndarray = state()

    def setup(self) -> None:
        """Lay out the counters: `bins` are the open bin, its spikes, and sum and squares of those closed."""
        self.counts, self.sums = np.zeros(self.size, np.int64), np.zeros(self.size, np.int64)
        self.last, self.squares = np.full(self.size, -1, np.int64), np.zeros(self.size)
        self.kept_steps, self.kept_neurons = np.zeros(self.keep, np.int64), np.zeros(self.keep, np.int32)
        self._bin_steps = whole_steps(self.bin, self.dt, "a bin")
        self._waiting: list[np.ndarray] = []
        self._waiting_count = 0

    # ------------------------------------------------------------------------------ watching

    @on_start
    def begin(self, context: Context) -> None:
        """Count ticks, also those without spikes."""
        self.tick_steps = steps_per_tick(context.tick_length, self.dt)
        context.wake(1, "tick")

    @on_timer("tick")
    def go_on(self, context: Context) -> None:
        """Be there in the next tick too."""
        context.wake(1, "tick")

    @on_inbox
    def watch(self, context: Context, inbox: Inbox) -> None:
        """Count and keep the spikes that arrived.

        Raises:
            EngineMisuse: A spike is of no neuron or step that there is, or older than spikes that came before.
        """
        by_tick: dict[int, list[np.ndarray]] = {}
        for each in inbox:
            if each.port == "spikes" and len(each.payload):
                self.lag = max(self.lag, context.tick - each.sent)
                by_tick.setdefault(each.sent, []).append(self._checked(each.sent, each.payload))
        for sent, parts in by_tick.items():
            self.newest = sent
            self._waiting.append(parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts)))
            self._waiting_count += len(self._waiting[-1])
        self.until = max(self.newest, context.tick - self.lag)
        if self._waiting_count > WAITING_MAX:
            self._fold()

    def _checked(self, sent: int, spikes: Spikes) -> np.ndarray:
        """Return the spikes as step * size + neuron, with steps counted from the first tick; ascending."""
        steps, who = spikes.steps, spikes.neurons
        # read as unsigned, negative numbers are too large, so that one comparison is enough
        if who.view(np.uint32).max() >= self.size or steps.view(np.uint32).max() >= self.tick_steps:
            reason = f"a spike is not of one of {self.size:,} neurons in one of the {self.tick_steps:,} steps of a tick"
            remedy = "Give the monitor the `size` and `dt` of the neurons."
            raise EngineMisuse(subject="monitor", reason=reason, remedy=remedy)
        if sent <= self.newest:
            reason = f"spikes of tick {sent} came when those of tick {self.newest} were counted already"
            remedy = "Give all channels to the monitor one delay, and send no spikes in tick 0."
            raise EngineMisuse(subject="monitor", reason=reason, remedy=remedy)
        found: np.ndarray = ((sent - 1) * self.tick_steps + steps.astype(np.int64)) * self.size + who
        if (found[1:] <= found[:-1]).any():
            reason = "the spikes of a message are not in order, or one is there twice"
            raise EngineMisuse(subject="monitor", reason=reason, remedy="Make messages with Spikes.of(pairs).")
        return found

    def _fold(self) -> None:
        """Count what waits. When that happens changes no count, so nobody can tell when it was."""
        while self.until > self.course_ticks * COURSE_BINS:
            self._join_course()
        if not self._waiting:
            return
        steps, who = np.divmod(np.concatenate(self._waiting), self.size)
        self._waiting, self._waiting_count = [], 0
        self.seen += len(steps)
        self._keep(steps, who)
        np.add.at(self.course, steps // (self.tick_steps * self.course_ticks), 1)
        begin = self.skip * self.tick_steps
        counted = steps >= begin
        if counted.any():
            self._measure(steps[counted], who[counted])
            self._bin(steps[counted] - begin)

    def _keep(self, steps: np.ndarray, who: np.ndarray) -> None:
        newest = min(len(steps), self.keep)
        if newest:
            at = (self.taken + len(steps) - newest + np.arange(newest)) % self.keep
            self.kept_steps[at], self.kept_neurons[at] = steps[-newest:], who[-newest:]
        self.taken += len(steps)

    def _measure(self, steps: np.ndarray, who: np.ndarray) -> None:
        """Count spikes and the intervals that they end, by neuron."""
        # numpy sorts numbers of 16 bits by their digits, seven times as fast; the order is the same
        order = np.argsort(who.astype(np.uint16) if self.size <= 2**16 else who, kind="stable")
        who, steps = who[order], steps[order]
        first = np.append(True, who[1:] != who[:-1])
        before = np.append(-1, steps[:-1])
        before[first] = self.last[who[first]]
        ends = before >= 0
        owner, length = who[ends], (steps - before)[ends]
        np.add.at(self.counts, who, 1)
        np.add.at(self.sums, owner, length)
        np.add.at(self.squares, owner, length.astype(np.float64) ** 2)
        np.add.at(self.intervals, np.searchsorted(INTERVAL_EDGES, length, side="right") - 1, 1)
        final = np.append(first[1:], True)
        self.last[who[final]] = steps[final]

    def _bin(self, steps: np.ndarray) -> None:
        """Count the spikes of all neurons in bins; all but the newest bin are closed."""
        place = steps // self._bin_steps
        starts = np.flatnonzero(np.append(True, place[1:] != place[:-1]))
        number = np.diff(np.append(starts, len(place)))
        if place[0] == self.bins[0]:
            number[0] += self.bins[1]
        else:
            number = np.append(self.bins[1], number)
        total, squares = int(number[:-1].sum()), int((number[:-1] ** 2).sum())
        self.bins = [int(place[-1]), int(number[-1]), self.bins[2] + total, self.bins[3] + squares]

    def _join_course(self) -> None:
        self.course[: COURSE_BINS // 2] = self.course.reshape(-1, 2).sum(axis=1)
        self.course[COURSE_BINS // 2 :] = 0
        self.course_ticks *= 2

    def capture(self) -> dict[str, Any]:
        """Return the state, with everything counted."""
        self._fold()
        return super().capture()

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state."""
        self._waiting, self._waiting_count = [], 0
        super().restore(captured)

    # ------------------------------------------------------------------------------- telling

    @property
    def span_ms(self) -> float:
        """Model time that statistics cover, ms."""
        return max(self.until - self.skip, 0) * self.tick_steps * self.dt

    def rates(self) -> np.ndarray:
        """Return the rate of each neuron after the skipped beginning, Hz. (size,)."""
        self._fold()
        return self.counts / (self.span_ms / 1000.0) if self.span_ms else np.zeros(self.size)

    def cv(self) -> float | None:
        """Return the coefficient of variation of intervals, as `statistics.cv`, of the whole run."""
        self._fold()
        number = self.counts - (self.last >= 0)
        enough = number >= INTERVALS_LEAST
        if not enough.any():
            return None
        mean = self.sums[enough] / number[enough]
        variance = np.maximum(self.squares[enough] / number[enough] - mean * mean, 0.0)
        return float((np.sqrt(variance) / mean).mean())

    def fano(self) -> float | None:
        """Return the Fano factor of population counts, as `statistics.fano`, of the whole run."""
        self._fold()
        place, count, total, squares = self.bins
        whole = max(self.until - self.skip, 0) * self.tick_steps // self._bin_steps
        if place < whole:
            total, squares = total + count, squares + count**2
        return (squares * whole - total**2) / (whole * total) if total else None

    def summary(self) -> dict[str, float | int | None]:
        """Return what it counted over the whole run, with the names of `statistics.summary`."""
        self._fold()
        counted = int(self.counts.sum())
        return {
            "spikes": counted,
            "rate_hz": counted / self.size / (self.span_ms / 1000.0) if self.span_ms else 0.0,
            "rate_median_hz": float(np.median(self.rates())),
            "active": float((self.counts > 0).mean()),
            "cv": self.cv(),
            "fano": self.fano(),
        }

    def trains(self) -> Trains:
        """Return the spikes that it kept, over the time from the first of them, or from the window's begin."""
        self._fold()
        number = min(self.taken, self.keep)
        order = np.arange(self.taken - number, self.taken) % max(self.keep, 1)
        steps, who = self.kept_steps[order], self.kept_neurons[order]
        begin = max(self.until - self.window, 0) * self.tick_steps if self.window else 0
        if self.taken > self.keep:
            begin = max(begin, int(steps[0]) if number else self.until * self.tick_steps)
        end = max(self.until * self.tick_steps, begin + 1)
        return Trains.of(steps * self.dt, who, size=self.size, until_ms=end * self.dt, skip_ms=begin * self.dt)

    def figures(self) -> Mapping[str, int | float | None]:
        """What it counted: rate, regularity and synchrony are those after the skipped beginning."""
        self._fold()
        told = self.summary()
        return {"spikes": self.seen, **{name: told[name] for name in ("rate_hz", "active", "cv", "fano")}}

    def charts(self) -> Iterable[Chart]:
        """Draw the kept spikes, and what was counted over the whole run."""
        self._fold()
        kept = self.trains()
        caption = f"{len(kept):,} of {self.seen:,} spikes of {self.size:,} neurons."
        found = [plots.overview("Spikes", caption, kept)] if self.keep else []
        if len(kept) < self.seen:
            found.append(self._course_chart())
        edges = np.append(INTERVAL_EDGES, INTERVAL_EDGES[-1] * 2) * self.dt
        caption = f"Intervals between the spikes of a neuron; {int(self.intervals.sum()):,} of them."
        found.append(plots.interval_histogram("Intervals", caption, edges, self.intervals, cv=self.cv()))
        caption = f"Rates of {self.size:,} neurons over {self.span_ms / 1000:g} s."
        found.append(plots.rate_distribution("Rates", caption, self.rates()))
        return found

    def _course_chart(self) -> Chart:
        tick_ms = self.tick_steps * self.dt
        number = -(-self.until // self.course_ticks)
        edges = np.minimum(np.arange(number + 1) * self.course_ticks, self.until) * tick_ms
        rate = self.course[:number] / self.size / (np.diff(edges) / 1000.0)
        caption = f"Mean rate of all neurons over the whole run, in bins of {self.course_ticks * tick_ms:g} ms."
        return plots.rate_course("Rate", caption, edges, rate)
