"""What the digest costs: a run with it, less the same run without."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from xxhash import xxh3_128_digest

import neuraxis as nx
from bench import ours
from bench.measure import Row, alternate, at_least, at_most
from neuraxis.codec import ArrayHasher

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES = 60_000


def measure(rounds: int) -> list[Row]:
    rows = []
    for shape, ticks, bar in (("ring", MESSAGES, 1_000.0), ("exchange", MESSAGES // 1_000, 300.0)):
        costs = alternate(
            {"with": _cost(shape, ticks, digest=True), "without": _cost(shape, ticks, digest=False)}, rounds * 2
        )
        extra = min(costs["with"]) - min(costs["without"])
        where = "a message, one-message ticks" if shape == "ring" else "a message, ticks of 1,000 messages"
        rows.append(at_most(f"digest: {where}", extra, bar, "ns", note=f" of {min(costs['with']):.0f}"))
    rows += _arrays()
    return rows


def _cost(shape: str, ticks: int, *, digest: bool) -> Callable[[], float]:
    def run() -> float:
        graph, inputs, _ = getattr(ours, shape)()
        with nx.Simulation(graph) as sim:
            if not digest:
                _silence(sim)
            for target, value in inputs:
                sim.inject(target, value)
            before = sim.statistics.messages
            began = time.process_time()
            sim.advance(ticks=ticks)
            return (time.process_time() - began) / (sim.statistics.messages - before) * 1e9

    return run


def _silence(sim: nx.Simulation) -> None:
    recorder: Any = sim._scheduler.recorder
    recorder.encode = lambda _value: b""
    recorder.record = lambda _tick, _order, _mail: None


def _arrays() -> list[Row]:
    blocks = [np.full(1 << 20, i, np.uint8) for i in range(64)]
    for block in blocks:
        block.setflags(write=False)
    bare, ours_s = [], []
    for _ in range(9):
        began = time.perf_counter()
        for block in blocks:
            xxh3_128_digest(block.data)
        bare.append(time.perf_counter() - began)
        hasher = ArrayHasher()
        began = time.perf_counter()
        for block in blocks:
            hasher.digest(block)
        ours_s.append(time.perf_counter() - began)
    gigabytes = 64 * (1 << 20) / 1e9
    note = f" (bare xxh3: {gigabytes / statistics.median(bare):.3g})"
    return [at_least("digest: fresh 1 MB arrays", gigabytes / statistics.median(ours_s), 5.0, "GB/s", note=note)]
