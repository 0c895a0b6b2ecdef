"""Idle actors: what 100,000 of them add to the cost of a tick in which one token moves."""

from __future__ import annotations

import time

import neuraxis as nx
from bench.measure import Row, alternate, at_most, ratio
from bench.ours import Relay, Sink

HOPS = 100_000


def measure(rounds: int) -> list[Row]:
    results = alternate({"idle": lambda: _cost(100_000), "none": lambda: _cost(0)}, rounds)
    added = (ratio(results["idle"], results["none"]) - 1) * 100
    return [at_most("idle: 100,000 idle actors add to a tick with one token", added, 20.0, "%")]


def _cost(idle: int) -> float:
    graph = nx.Graph("idle")
    names = [f"relay/{i:03}" for i in range(100)]
    for i, name in enumerate(names):
        graph.add(name, Relay, limit=2**62)
        graph.connect(f"{name}.onward", f"{names[(i + 1) % 100]}.token")
    for i in range(idle):
        graph.add(f"idle/{i:06}", Sink)
    with nx.Simulation(graph) as sim:
        sim.inject(names[0], 1)
        began = time.perf_counter()
        sim.advance(ticks=HOPS)
        return (time.perf_counter() - began) / HOPS
