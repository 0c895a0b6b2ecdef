"""The exchange of 1,000 actors as one population: the same fingerprint, one array a tick."""

from __future__ import annotations

import time

import numpy as np

import neuraxis as nx
from bench import work
from bench.measure import Row, at_least
from bench.work import FACTOR, MASK

TICKS = 20_000


class Relays(nx.Population):
    """All relays of the exchange: folds what arrives, sends the next numbers to the partners."""

    token = nx.Input(nx.array("int64", "size"))
    onward = nx.Output(nx.array("int64", "size"))
    seen: np.ndarray = nx.state()

    def setup(self) -> None:
        self.seen = np.zeros(self.size, np.int64)
        self._from = np.argsort([work.partner(i, self.size) for i in range(self.size)])

    @nx.on(token)
    def pass_on(self, context: nx.Context, token: np.ndarray) -> None:
        self.seen = (self.seen * FACTOR ^ token) & MASK
        context.send("onward", (token + 1)[self._from])


def measure(rounds: int) -> list[Row]:
    rates = [_rate() for _ in range(rounds)]
    return [at_least("population: exchange of 1,000 members", max(rates) / 1e6, 50.0, "M messages/s, digest on")]


def _rate() -> float:
    graph = nx.Graph("population")
    graph.add("relays", Relays, size=work.EXCHANGE_ACTORS)
    graph.connect("relays.onward", "relays.token")
    with nx.Simulation(graph) as sim:
        sim.inject("relays.token", np.arange(work.EXCHANGE_ACTORS))
        sim.advance(ticks=200)
        began = time.perf_counter()
        sim.advance(ticks=TICKS)
        wall = time.perf_counter() - began
    _same_work_as_single_actors()
    return TICKS * work.EXCHANGE_ACTORS / wall


def _same_work_as_single_actors(ticks: int = 30) -> None:
    """Compare with the rule itself, member by member."""
    count = work.EXCHANGE_ACTORS
    graph = nx.Graph("population")
    graph.add("relays", Relays, size=count)
    graph.connect("relays.onward", "relays.token")
    with nx.Simulation(graph) as sim:
        sim.inject("relays.token", np.arange(count))
        sim.advance(ticks=ticks)
        got = sim.actor("relays").capture()["seen"].tolist()
    seen, mail = [0] * count, list(range(count))
    for _ in range(ticks):
        seen = [(a * FACTOR ^ v) & MASK for a, v in zip(seen, mail, strict=True)]
        following = [0] * count
        for i, value in enumerate(mail):
            following[work.partner(i, count)] = value + 1
        mail = following
    if got != seen:
        raise SystemExit("the population does not do the work of its members")
