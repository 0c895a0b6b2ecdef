"""Import and start, as whole processes beside `import numpy`."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from bench.measure import Row, alternate, at_most, ratio, wall_s


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
    ]
