"""Snapshots of 100 MB, beside copying and SHA-256-ing the same bytes.

In a memory file system where there is one: what a disk adds is the disk's.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import neuraxis as nx
from bench.measure import Row, alternate, at_most, ratio
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
    for sparse in (False, True):
        graph = nx.Graph("store")
        graph.add("store", Store, sparse=sparse)
        place = MEMORY if MEMORY.is_dir() else None
        with nx.Simulation(graph) as sim, tempfile.TemporaryDirectory(dir=place) as folder:
            rows += _measure(sim, Path(folder) / "store.nxs", rounds, "sparse" if sparse else "noise")
    return rows


def _measure(sim: nx.Simulation, path: Path, rounds: int, kind: str) -> list[Row]:
    scheduler = sim._scheduler
    blocks = sim.actor("store").capture()["blocks"]

    def save() -> float:
        path.unlink(missing_ok=True)
        began = time.perf_counter()
        write_snapshot(path, Snapshot(facts={"tick": 0}, state=state.capture(scheduler)))
        return time.perf_counter() - began

    def restore() -> float:
        began = time.perf_counter()
        snapshot = read_snapshot(path, {})
        sim.actor("store").restore(snapshot.state["actors"]["store"]["state"])
        return time.perf_counter() - began

    def yardstick() -> float:
        began = time.perf_counter()
        for block in blocks:
            hashlib.sha256(block.copy().data).digest()
        return time.perf_counter() - began

    results = alternate({"save": save, "restore": restore, "yardstick": yardstick}, rounds)
    note = f" (copy + SHA-256: {statistics.median(results['yardstick']) * 1000:.0f} ms)"
    return [
        at_most(
            f"snapshot: save {MEGABYTES} MB of {kind}",
            ratio(results["save"], results["yardstick"]),
            2.5,
            "x",
            note=note,
        ),
        at_most(
            f"snapshot: restore {MEGABYTES} MB of {kind}",
            ratio(results["restore"], results["yardstick"]),
            2.5,
            "x",
            note=note,
        ),
    ]
