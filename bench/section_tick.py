"""The cost of a tick: three actors that exchange two arrays."""

from __future__ import annotations

import time

import numpy as np

import neuraxis as nx
from bench.measure import Row, at_most

TICKS = 20_000


class Clock(nx.Actor):
    """Sends a fresh array every tick."""

    spikes = nx.Output(nx.array("uint16", None))
    pattern: np.ndarray = nx.state(factory=lambda: np.arange(100, dtype=np.uint16))

    @nx.on_start
    def begin(self, context: nx.Context) -> None:
        context.wake(1, "next")

    @nx.on_timer("next")
    def go_on(self, context: nx.Context) -> None:
        context.send("spikes", self.pattern.copy())
        context.wake(1, "next")


class Layer(nx.Actor):
    """Takes an array and sends another."""

    spikes = nx.Input(nx.array("uint16", None))
    fired = nx.Output(nx.array("uint16", None))

    @nx.on(spikes)
    def step(self, context: nx.Context, spikes: np.ndarray) -> None:
        context.send("fired", spikes.copy())


class Reader(nx.Actor):
    """Counts."""

    fired = nx.Input(nx.array("uint16", None))
    total: int = nx.state(0)

    @nx.on(fired)
    def read(self, context: nx.Context, fired: np.ndarray) -> None:
        self.total += len(fired)


def measure(rounds: int) -> list[Row]:
    costs = []
    for _ in range(rounds):
        graph = nx.Graph("three")
        graph.add("clock", Clock)
        graph.add("layer", Layer)
        graph.add("reader", Reader)
        graph.connect("clock.spikes", "layer.spikes")
        graph.connect("layer.fired", "reader.fired")
        with nx.Simulation(graph) as sim:
            began = time.perf_counter()
            sim.advance(ticks=TICKS)
            costs.append((time.perf_counter() - began) / TICKS * 1e6)
    what = "tick: three actors, two fresh arrays, one timer, digest on"
    return [at_most(what, sorted(costs)[len(costs) // 2], 12.0, "µs a tick")]
