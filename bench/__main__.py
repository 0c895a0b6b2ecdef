"""`python -m bench [SECTION…]`: measure, print one table, and say which bars are met.

Ratios compare medians of runs that alternate in fresh processes, so that a machine whose speed drifts
drifts for both. Nothing here asserts: a missed bar is a row that says so.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measure import Row

SECTIONS = ("kernel", "digest", "population", "tick", "idle", "start", "snapshot", "digits")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="alternating runs of each measurement")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for section in arguments.sections or SECTIONS:
        print(f"{section} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"bench.section_{section}").measure(arguments.rounds)
    print(heading())
    print(as_markdown(rows))


def heading() -> str:
    """Return what was measured where and when."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    today = datetime.now(UTC).date()
    return f"{today}, {model}, Python {platform.python_version()}, numpy {np.__version__}\n"


def as_markdown(rows: Sequence[Row]) -> str:
    lines = ["| what | measured | bar | met |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.measured} | {row.bar} | {row.verdict} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
