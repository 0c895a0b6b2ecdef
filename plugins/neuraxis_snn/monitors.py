"""Actors that watch a run in bounded memory: spikes, states, weights.

A monitor changes nothing and keeps a fixed maximum, however long the run.

Times are those of the engine that is watched: its first step lies at 0, is computed in tick 1, and tick t ends at t
times the length of a tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from neuraxis import Actor, Chart, Context, Inbox, Input, on_inbox, parameter, state
from neuraxis_snn import plots
from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.network import steps_per_tick
from neuraxis_snn.sampling import Samples, Weights
from neuraxis_snn.spike_monitor import SpikeMonitor

__all__ = ["SpikeMonitor", "StateMonitor", "WeightMonitor"]

SAMPLE_BYTES_MAX: Final = 2**28
"""Most bytes of samples that a monitor keeps."""

SHOWN_NEURONS: Final = 6
"""Neurons whose states are drawn."""


class StateMonitor(Actor):
    """Keeps the newest samples of states. It holds 8 bytes for each value and for each time, 256 MiB at most.

    Determinism: exact.
    """

    dt: float = parameter(float, "0.1 ms", unit="ms", help="step of the neurons that are watched")
    keep: int = parameter(int, 10_000, help="most samples to keep", at_least=1)
    units: tuple[str, ...] = parameter(tuple[str, ...], (), help="units of the states, in their order, for the picture")

    samples = Input(Samples, "states of neurons, by tick")

    taken: int = state(0)
    states: list[str] = state(factory=list)
    neurons: np.ndarray = state(factory=lambda: np.zeros(0, np.int32))
    steps: np.ndarray = state(factory=lambda: np.zeros(0, np.int64))
    values: np.ndarray = state(factory=lambda: np.zeros((0, 0, 0)))

    @on_inbox
    def watch(self, context: Context, inbox: Inbox) -> None:
        """Keep samples.

        Raises:
            EngineMisuse: They are of other states or neurons than before, or would take too much memory.
        """
        for each in inbox:
            self._keep((each.sent - 1) * steps_per_tick(context.tick_length, self.dt), each.payload)

    def _keep(self, begin: int, samples: Samples) -> None:
        if not len(self.steps):
            self._lay_out(samples)
        if list(samples.states) != self.states or not np.array_equal(samples.neurons, self.neurons):
            reason = "samples of other states or neurons came than before"
            raise EngineMisuse(subject="monitor", reason=reason, remedy="Give each sender a monitor of its own.")
        newest = min(len(samples.steps), self.keep)
        at = (self.taken + len(samples.steps) - newest + np.arange(newest)) % self.keep
        self.steps[at] = begin + samples.steps[len(samples.steps) - newest :]
        self.values[at] = samples.values[len(samples.steps) - newest :]
        self.taken += len(samples.steps)

    def _lay_out(self, samples: Samples) -> None:
        self.states, self.neurons = list(samples.states), samples.neurons.copy()
        need = 8 * self.keep * len(self.states) * len(self.neurons)
        if need > SAMPLE_BYTES_MAX:
            reason = f"{self.keep:,} samples of this size take {need:,} bytes, more than {SAMPLE_BYTES_MAX:,}"
            raise EngineMisuse(subject="monitor", reason=reason, remedy="Keep fewer samples, or watch fewer neurons.")
        self.steps = np.zeros(self.keep, np.int64)
        self.values = np.zeros((self.keep, len(self.states), len(self.neurons)))

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the times of the kept samples, ms, (n,); and their values, (n, states, neurons)."""
        number = min(self.taken, self.keep)
        order = np.arange(self.taken - number, self.taken) % self.keep
        return self.steps[order] * self.dt, self.values[order]

    def figures(self) -> Mapping[str, int]:
        """How many samples there were."""
        return {"samples": self.taken}

    def charts(self) -> Iterable[Chart]:
        """Draw the states of the first neurons."""
        if not self.taken:
            return []
        times, values = self.kept()
        shown = values[:, :, :SHOWN_NEURONS]
        names = [
            f"{name} ({self.units[i]})" if i < len(self.units) and self.units[i] else name
            for i, name in enumerate(self.states)
        ]
        labels = [f"neuron {each}" for each in self.neurons[:SHOWN_NEURONS].tolist()]
        caption = f"{len(times):,} of {self.taken:,} samples of {', '.join(labels)}."
        return [plots.traces("States", caption, times, shown, labels, names=names)]


class WeightMonitor(Actor):
    """Keeps how the weights of a projection were spread, from the first message to the newest.

    When it is full it drops every second entry, and from then on keeps only every second of what comes; so it always
    covers the whole run. It holds `keep` entries of 64 bytes and 8 bytes a bin. Determinism: exact.
    """

    keep: int = parameter(int, 256, help="most entries to keep", at_least=2)
    unit: str = parameter(str, "", help="unit of the weights, for the picture")

    weights = Input(Weights, "how the weights are spread, now and then")

    taken: int = state(0)
    stride: int = state(1)
    tick_ms: float = state(0.0)
    newest: list[Any] = state(factory=list)
    rows: int = state(0)
    ticks: np.ndarray = state()
    means: np.ndarray = state()
    quantiles: np.ndarray = state()
    counts: np.ndarray = state(factory=lambda: np.zeros((0, 0), np.int64))

    def setup(self) -> None:
        """Lay out the entries."""
        self.ticks, self.means = np.zeros(self.keep, np.int64), np.zeros(self.keep)
        self.quantiles = np.zeros((self.keep, 5))

    @on_inbox
    def watch(self, context: Context, inbox: Inbox) -> None:
        """Keep an entry.

        Raises:
            EngineMisuse: It is of another projection than before, or has other bins.
        """
        self.tick_ms = float(context.tick_length * 1000)
        for each in inbox:
            self._take(each.sent, each.payload)

    def _take(self, tick: int, weights: Weights) -> None:
        if not self.taken:
            self.counts = np.zeros((self.keep, len(weights.counts)), np.int64)
        known = [weights.projection, weights.low, weights.high, self.counts.shape[1]]
        if self.taken and known != [*self.newest[:3], len(weights.counts)]:
            reason = f"weights of {weights.projection!r} came that differ in name or bins from those of before"
            raise EngineMisuse(subject="monitor", reason=reason, remedy="Give each projection a monitor of its own.")
        bounds = [weights.at_low, weights.at_high]
        self.newest = [*known[:3], *bounds, weights.mean, tick, weights.quantiles, weights.counts]
        if self.taken % self.stride == 0:
            self._keep(tick, weights)
        self.taken += 1

    def _keep(self, tick: int, weights: Weights) -> None:
        if self.rows == self.keep:
            half = -(-self.keep // 2)
            for each in (self.ticks, self.means, self.quantiles, self.counts):
                each[:half] = each[::2].copy()
            self.rows, self.stride = half, self.stride * 2
            if self.taken % self.stride:
                return
        self.ticks[self.rows], self.means[self.rows] = tick, weights.mean
        self.quantiles[self.rows], self.counts[self.rows] = weights.quantiles, weights.counts
        self.rows += 1

    def figures(self) -> Mapping[str, int | float | None]:
        """The newest mean and quartiles, and the share of weights at their bounds."""
        if not self.taken:
            return {"entries": 0}
        _, _, _, at_low, at_high, mean, _, quantiles, counts = self.newest
        total = max(int(counts.sum()), 1)
        names = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")
        told: dict[str, int | float | None] = {"entries": self.taken, "mean": mean}
        told |= dict(zip(names, quantiles.tolist(), strict=True))
        return {**told, "at_lower_bound": at_low / total, "at_upper_bound": at_high / total}

    def charts(self) -> Iterable[Chart]:
        """Draw the newest histogram, and how it came about."""
        if not self.taken:
            return []
        name, low, high, *_, counts = self.newest
        edges = np.linspace(low, high if high > low else low + 1.0, len(counts) + 1)
        times = self.ticks[: self.rows] * self.tick_ms
        rows = self.counts[: self.rows]
        quartiles = self.quantiles[: self.rows, 1:4]
        caption = f"Weights of {name}, {int(counts.sum()):,} synapses"
        return [
            plots.weight_histogram("Weights", f"{caption}, at the end.", edges, counts, unit=self.unit),
            plots.weight_evolution(
                "Weights over time",
                f"{caption}; {self.rows} of {self.taken:,} entries.",
                times,
                rows,
                edges,
                quartiles,
                unit=self.unit,
            ),
        ]
