"""What the sections share: rows of the table, and alternating runs in fresh processes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    bar: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "**no**", None: ""}[self.met]


def at_least(what: str, value: float, bar: float, unit: str, *, note: str = "") -> Row:
    """Return a row for a value that must reach a bar."""
    return Row(what, f"{_number(value)} {unit}{note}", f"≥ {_number(bar)} {unit}", value >= bar)


def at_most(what: str, value: float, bar: float, unit: str, *, note: str = "") -> Row:
    """Return a row for a value that must not pass a bar."""
    return Row(what, f"{_number(value)} {unit}{note}", f"≤ {_number(bar)} {unit}", value <= bar)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def run_json(arguments: Sequence[str]) -> dict[str, object]:
    """Run a module of the benchmarks in a fresh process and return the JSON object that it prints last."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def wall_s(arguments: Sequence[str]) -> float:
    """Return the wall-clock seconds of a whole process."""
    began = time.perf_counter()
    subprocess.run(list(arguments), cwd=ROOT, capture_output=True, check=True)
    return time.perf_counter() - began


def alternate(measurements: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Make measurements in turn, A B C A B C …, after one that does not count."""
    results: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(rounds + 1):
        for name, measurement in measurements.items():
            value = measurement()
            if number:
                results[name].append(value)
    return results


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the median of the ratios a/b, pair by pair."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def spread(values: Sequence[float]) -> str:
    """Return median and range as a text."""
    return f"{statistics.median(values):.3g} [{min(values):.3g}-{max(values):.3g}]"
