"""The four shapes on Neuraxis, through its public API, with digests, causes and limits on."""

from __future__ import annotations

import sys
import time

import numpy as np

import neuraxis as nx
from bench import work
from bench.work import FACTOR, MASK


class Relay(nx.Actor):
    """Folds a number and passes the next one on, up to a limit."""

    limit: int = nx.parameter(int)
    token = nx.Input(int)
    onward = nx.Output(int)
    seen: int = nx.state(0)

    @nx.on(token)
    def pass_on(self, context: nx.Context, value: int) -> None:
        self.seen = (self.seen * FACTOR ^ value) & MASK
        if value < self.limit:
            context.send("onward", value + 1)


class Sink(nx.Actor):
    """Folds numbers."""

    value = nx.Input(int)
    seen: int = nx.state(0)

    @nx.on(value)
    def take(self, context: nx.Context, value: int) -> None:
        self.seen = (self.seen * FACTOR ^ value) & MASK


class Source(nx.Actor):
    """Sends one number to all sinks, round by round."""

    rounds: int = nx.parameter(int)
    again = nx.Input(int)
    value = nx.Output(int)
    myself = nx.Output(int)

    @nx.on(again)
    def go(self, context: nx.Context, number: int) -> None:
        context.send("value", number)
        if number + 1 < self.rounds:
            context.send("myself", number + 1)


class Carrier(nx.Actor):
    """Looks at one byte of an array and passes the array on, by reference."""

    block = nx.Input(nx.array("uint8", work.BULK_BYTES))
    onward = nx.Output(nx.array("uint8", work.BULK_BYTES))
    seen: int = nx.state(0)
    taken: int = nx.state(0)

    @nx.on(block)
    def carry(self, context: nx.Context, block: np.ndarray) -> None:
        self.seen = (self.seen * FACTOR ^ int(block[self.taken % 64])) & MASK
        self.taken += 1
        context.send("onward", block)


LIMITED = nx.Options(messages_per_tick=1_000)
"""Every channel has a capacity and every inbox a limit, as in a scenario that must not overrun."""


def ring() -> tuple[nx.Graph, list[tuple[str, object]], int]:
    graph = nx.Graph("ring")
    names = [f"relay/{i:03}" for i in range(work.RING_ACTORS)]
    for i, name in enumerate(names):
        graph.add(name, Relay, limit=work.RING_HOPS, options=LIMITED)
        graph.connect(f"{name}.onward", f"{names[(i + 1) % len(names)]}.token", capacity=1_000)
    return graph, [(names[0], 1)], work.RING_HOPS + 2


def fan_out() -> tuple[nx.Graph, list[tuple[str, object]], int]:
    graph = nx.Graph("fan-out")
    graph.add("source", Source, rounds=work.FAN_ROUNDS)
    graph.connect("source.myself", "source.again")
    for i in range(work.FAN_SINKS):
        graph.add(f"sink/{i:03}", Sink, options=LIMITED)
        graph.connect("source.value", f"sink/{i:03}.value", capacity=1_000)
    return graph, [("source", 0)], work.FAN_ROUNDS + 3


def exchange() -> tuple[nx.Graph, list[tuple[str, object]], int]:
    graph = nx.Graph("exchange")
    count = work.EXCHANGE_ACTORS
    names = [f"relay/{i:04}" for i in range(count)]
    for i, name in enumerate(names):
        graph.add(name, Relay, limit=2**62, options=LIMITED)
        graph.connect(f"{name}.onward", f"{names[work.partner(i, count)]}.token", capacity=1_000)
    return graph, [(name, i) for i, name in enumerate(names)], work.EXCHANGE_TICKS


def arrays() -> tuple[nx.Graph, list[tuple[str, object]], int]:
    graph = nx.Graph("arrays")
    names = [f"carrier/{i}" for i in range(work.BULK_ACTORS)]
    for i, name in enumerate(names):
        graph.add(name, Carrier, options=LIMITED)
        graph.connect(f"{name}.onward", f"{names[(i + 1) % len(names)]}.block", capacity=1_000)
    blocks = [np.full(work.BULK_BYTES, i, np.uint8) for i in range(work.BULK_ACTORS)]
    return graph, list(zip(names, blocks, strict=True)), work.BULK_TICKS


def main(shape: str) -> None:
    graph, inputs, ticks = {"ring": ring, "fan-out": fan_out, "exchange": exchange, "arrays": arrays}[shape]()
    with nx.Simulation(graph) as sim:
        for target, value in inputs:
            sim.inject(target, value)
        before = sim.statistics.messages
        began = time.perf_counter()
        sim.advance(ticks=ticks)
        wall = time.perf_counter() - began
        seen = [actor.seen for path, actor in sim.actors() if path != "source"]
        work.report(sim.statistics.messages - before, wall, seen)
        assert sim.statistics.copies == 0, "arrays go by reference"


if __name__ == "__main__":
    main(sys.argv[1])
