"""Saving and restoring 100 MB of state, beside copying and hashing the same bytes; each in a fresh process.

    python -m bench.section_snapshot save|restore|yardstick noise|sparse FILE      one measurement, as JSON

A fresh process touches its memory for the first time, in the yardstick as in the restored state.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

import neuraxis as nx
from bench.measure import Row, alternate, at_most, ratio, run_json
from neuraxis.scheduler import state
from neuraxis.snapshot.container import Snapshot, read_snapshot, write_snapshot

MEGABYTES = 100
MEMORY = Path("/dev/shm")


class Store(nx.Actor):
    """Holds arrays: noise, which does not compress, and sparse counts, which do."""

    sparse: bool = nx.parameter(bool)
    blocks: list[np.ndarray] = nx.state()

    def setup(self) -> None:
        rng = np.random.default_rng(1)
        size = (MEGABYTES << 20) // 8 // 10
        self.blocks = [
            (rng.random(size) < 0.02).astype(np.float64) if self.sparse else rng.normal(size=size) for _ in range(10)
        ]


def measure(rounds: int) -> list[Row]:
    rows = []
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        for kind in ("noise", "sparse"):
            path = str(Path(folder) / f"{kind}.nxs")
            results = alternate({what: partial(_in_a_process, what, kind, path) for what in WORK}, rounds)
            note = f" (copy + SHA-256: {statistics.median(results['yardstick']) * 1000:.0f} ms)"
            for what in ("save", "restore"):
                times = ratio(results[what], results["yardstick"])
                rows.append(at_most(f"snapshot: {what} {MEGABYTES} MB of {kind}", times, 2.5, "x", note=note))
    return rows


def _in_a_process(what: str, kind: str, path: str) -> float:
    return float(str(run_json(["-m", "bench.section_snapshot", what, kind, path])["s"]))


def _save(sim: nx.Simulation, path: Path) -> float:
    path.unlink(missing_ok=True)
    began = time.perf_counter()
    write_snapshot(path, Snapshot(facts={"tick": 0}, state=state.capture(sim._scheduler)))
    return time.perf_counter() - began


def _restore(sim: nx.Simulation, path: Path) -> float:
    began = time.perf_counter()
    snapshot = read_snapshot(path, {})
    sim.actor("store").restore(snapshot.state["actors"]["store"]["state"])
    return time.perf_counter() - began


def _yardstick(sim: nx.Simulation, _: Path) -> float:
    store = sim.actor("store")
    assert isinstance(store, Store)
    began = time.perf_counter()
    copies = [block.copy() for block in store.blocks]  # all at once: a restored state is there as a whole too
    for copied in copies:
        hashlib.sha256(copied.data).digest()
    return time.perf_counter() - began


WORK = {"save": _save, "restore": _restore, "yardstick": _yardstick}


def main(what: str, kind: str, path: str) -> None:
    graph = nx.Graph("store")
    graph.add("store", Store, sparse=kind == "sparse")
    with nx.Simulation(graph) as sim:
        print(json.dumps({"s": WORK[what](sim, Path(path))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
