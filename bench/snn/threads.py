"""`python -m bench.snn.threads`: two threads beside one, on Brunel's network and on the microcircuit.

Runs alternate; the pair with the median ratio counts, in seconds on the wall, as threads are to shorten these. Both
give the same bits, or it fails. It needs two cores that do nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from typing import Any

from bench.__main__ import as_markdown, heading
from bench.measure import Row, at_least
from neuraxis_snn import Network
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.published import brunel, microcircuit

SEED = (1, 2)
BAR = 1.7


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snn.threads", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the microcircuit")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    rows: list[Row] = []
    size = f"microcircuit, {chosen.scale:.0%} of its size"
    for name, network, ms in (
        ("brunel", brunel.build(seed=SEED, precision="float32"), 2000),
        (size, microcircuit.build(seed=SEED, scale=chosen.scale, precision="float32"), 300),
    ):
        rows += _rows(name, network, ms, chosen.rounds)
    print(heading())
    print(as_markdown(rows))


def _rows(name: str, network: Network, ms: int, rounds: int) -> list[Row]:
    engines = {threads: NumbaBackend(threads).build(network) for threads in (1, 2)}
    for engine in engines.values():
        engine.key = (3, 4)
        if name != "brunel":
            microcircuit.begin(engine, seed=SEED)
        engine.advance(1000)
    ratios, seconds = [], {1: [], 2: []}  # type: ignore[var-annotated]
    for _ in range(rounds):
        found = {threads: _run(engine, ms) for threads, engine in engines.items()}
        if found[1][1] != found[2][1]:
            raise SystemExit(f"{name}: two threads gave other spikes than one")
        ratios.append(found[1][0] / found[2][0])
        for threads, (took, _) in found.items():
            seconds[threads].append(took)
    told = ", ".join(f"{each:.2f}" for each in ratios)
    medians = {threads: statistics.median(each) for threads, each in seconds.items()}
    figures = f"{medians[1]:.2f} s, {medians[2]:.2f} s; ratios {told}"
    return [
        Row(f"{name}: {ms} ms of model time with one thread, with two", figures),
        at_least(f"{name}: times faster with two threads", statistics.median(ratios), BAR, "x"),
    ]


def _run(engine: Any, ms: int) -> tuple[float, str]:
    digest = hashlib.blake2b(digest_size=8)
    began = time.perf_counter()
    for _ in range(ms // 20):
        for spikes in engine.advance(200).values():
            digest.update(spikes.steps.tobytes() + spikes.neurons.tobytes())
    return time.perf_counter() - began, digest.hexdigest()


if __name__ == "__main__":
    main()
