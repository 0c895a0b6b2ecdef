"""Throughput of the kernel beside SimPy and asyncio queues on the same work."""

from __future__ import annotations

from functools import partial

from bench import work
from bench.measure import Row, alternate, at_least, ratio, run_json, spread

BARS = {
    "ring": {"simpy": 3.0, "asyncio": 2.5},
    "fan-out": {"simpy": 5.0},
    "exchange": {"simpy": 5.0},
    "arrays": {},
}


def measure(rounds: int) -> list[Row]:
    rows = []
    for shape in work.SHAPES:
        fingerprints: set[object] = set()

        def cost(module: str, shape: str = shape, seen: set[object] = fingerprints) -> float:
            facts = run_json(["-m", f"bench.{module}", shape])
            seen.add(facts["fingerprint"])
            return float(str(facts["wall_s"])) / int(str(facts["messages"]))

        peers = {"ours": "ours", "simpy": "with_simpy", "asyncio": "with_asyncio"}
        results = alternate({name: partial(cost, module) for name, module in peers.items()}, rounds)
        if len(fingerprints) != 1:
            raise SystemExit(f"{shape}: the frameworks did not do the same work: {fingerprints}")
        ours = results["ours"]
        rows.append(Row(f"{shape}: messages/s, digests, causes and limits on", f"{1 / spread_median(ours):,.0f}"))
        for peer in ("simpy", "asyncio"):
            times = ratio(results[peer], ours)
            what = f"{shape}: times faster than {peer} ({spread([x * 1e6 for x in results[peer]])} µs a message)"
            bar = BARS[shape].get(peer)
            rows.append(at_least(what, times, bar, "x") if bar is not None else Row(what, f"{times:.3g} x"))
    return rows


def spread_median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
