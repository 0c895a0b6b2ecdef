"""Import and start, as whole processes beside `import numpy`, or `import numba, numpy` where code is compiled."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench.measure import Row, alternate, at_most, ratio, wall_s

FIRST_STEP = """
from neuraxis import Simulation

with Simulation.from_scenario("scenarios/cuba.toml") as simulation:
    simulation.advance(1)
"""
"""Draws the network at tick 0 and computes its first steps in tick 1."""


def measure(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch) / "runs"

        def run_ring() -> float:
            shutil.rmtree(runs, ignore_errors=True)
            return wall_s(
                [sys.executable, "-m", "neuraxis", "run", "scenarios/ring.toml", "--folder", str(runs / "ring")]
            )

        results = alternate(
            {
                "numpy": lambda: wall_s([sys.executable, "-c", "import numpy"]),
                "neuraxis": lambda: wall_s([sys.executable, "-c", "import neuraxis"]),
                "ring": run_ring,
                "numba": lambda: wall_s([sys.executable, "-c", "import numba, numpy"]),
                "cuba": lambda: wall_s([sys.executable, "-c", FIRST_STEP]),
            },
            rounds * 2,
        )
    numpy_s = statistics.median(results["numpy"])
    note = f" of import numpy ({numpy_s * 1000:.0f} ms)"
    return [
        at_most("start: import neuraxis", ratio(results["neuraxis"], results["numpy"]), 1.5, "x", note=note),
        at_most(
            "start: neuraxis run scenarios/ring.toml", ratio(results["ring"], results["numpy"]), 4.0, "x", note=note
        ),
        at_most(
            "start: scenarios/cuba.toml to its first step, machine code from the cache",
            ratio(results["cuba"], results["numba"]),
            4.0,
            "x",
            note=f" of import numba, numpy ({statistics.median(results['numba']) * 1000:.0f} ms)",
        ),
    ]
