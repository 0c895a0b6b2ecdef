"""`python -m bench.snn.gate [--record REASON]`: has the engine become slower? `make gate`

Seconds say little about a change: machines differ, and this one may do other work. So short runs of the benchmark's
networks alternate with plain loops for the same graphs (`yardstick`) in one process, both in processor time, and the
median of their ratios is compared with the recorded one in `ratios.json`. What falls short is measured again, for
longer, before it fails. One network may lose `ONE_LEAST` of its speed, all together `MEAN_LEAST`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.__main__ import as_markdown, heading
from bench.measure import Row, at_least
from bench.snn import graphs
from bench.snn.with_ours import Run
from bench.snn.yardstick import yardstick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Measurement = Callable[[int], float]

ONE_LEAST: Final = 0.6
"""Share of its recorded ratio that every network must reach."""

MEAN_LEAST: Final = 0.7
"""The same for the geometric mean, in which noise of single networks cancels."""

ROUNDS: Final = 7
RATIOS: Final = Path(__file__).parent.parent / "ratios.json"

NETWORKS: Final[dict[str, Any]] = {
    "cuba": replace(graphs.CUBA, seconds=2.0),
    "coba": replace(graphs.COBA, seconds=1.0),
    "brunel": {**graphs.BRUNEL, "seconds": 0.1},
    "delays": replace(graphs.DELAYS, seconds=1.0),
    "stdp": {**graphs.STDP, "seconds": 1.0},
}

REMEDY: Final = """
The engine is slower than what was recorded, twice in a row, beside the same plain loops in the same minutes.
Find the change that did it: python -m bench.snn.gate NETWORK on the commits before.
If the change is worth its price, or this machine is of another kind, record the new ratios, with the reason, and commit
bench/ratios.json:  python -m bench.snn.gate --record "REASON"
"""


def main(arguments: Sequence[str] | None = None, path: Path = RATIOS) -> int:
    """Measure, tell, and return the exit code: 1 if the engine is slower than it may be."""
    parser = argparse.ArgumentParser(prog="python -m bench.snn.gate", description=__doc__)
    parser.add_argument("networks", nargs="*", help=f"default: {', '.join(NETWORKS)}")
    parser.add_argument("--record", metavar="REASON", help="write the ratios that are measured, and why they changed")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="alternating runs of each network")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        made = {name: measurement(NETWORKS[name], Path(folder)) for name in given.networks or NETWORKS}
        if given.record:
            found = {name: round(each(3 * given.rounds), 3) for name, each in made.items()}
            facts = {"reason": given.record, "where": heading().strip(), "ratios": found}
            path.write_text(json.dumps(facts, indent=2) + "\n")
            print(f"recorded in {path}: {found}")
            return 0
        rows = judged(made, json.loads(path.read_text())["ratios"], given.rounds)
    print(heading())
    print(as_markdown(rows))
    if all(each.met for each in rows):
        return 0
    print(REMEDY)
    return 1


def judged(made: Mapping[str, Measurement], recorded: Mapping[str, float], rounds: int) -> list[Row]:
    """Measure each network, those that fall short twice, and return a row for each and one for all together.

    Args:
        made: A measurement by network: it takes the number of rounds and returns how many times faster than the plain
            loops the engine is.
        recorded: What it was.
        rounds: Alternating runs.
    """
    rows, shares = [], []
    for name, each in made.items():
        print(f"{name} …", file=sys.stderr, flush=True)
        ratio = each(rounds)
        if ratio < ONE_LEAST * recorded[name]:
            ratio = max(ratio, each(2 * rounds))
        shares.append(ratio / recorded[name])
        what = f"{name}: times faster than plain loops (recorded: {recorded[name]:.3g})"
        rows.append(at_least(what, ratio, ONE_LEAST * recorded[name], "x"))
    mean = math.prod(shares) ** (1 / len(shares))
    return [*rows, at_least("geometric mean of what is left of the recorded ratios", mean, MEAN_LEAST, "x")]


def measurement(network: Any, folder: Path, backend: str = "numba") -> Measurement:
    """Return a function that measures how many times faster than plain loops the engine computes a network."""
    path = folder / "graph.npz"
    graphs.write(network, path)
    ours, theirs = Run(path, backend), yardstick(*graphs.read(path))

    def measured(rounds: int) -> float:
        ratios = sorted(theirs()[0] / ours() for _ in range(rounds))
        return ratios[len(ratios) // 2]

    return measured


if __name__ == "__main__":
    sys.exit(main())
