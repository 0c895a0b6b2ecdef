"""`python -m bench.snn PEERS_PYTHON [NETWORK…]`: spiking networks beside Brian2 and NEST, on the same graphs.

PEERS_PYTHON is an interpreter that has what `peers.txt` names; `make bench-snn` makes one. Brian2 runs as a C++
program of its own, built once; only run phases count, in seconds of processor time, as Brian2 counts them. Runs
alternate, so that a machine whose speed drifts drifts for all; NEST, which is slower by far, runs once, for a second
of model time. All use one thread. Brian2 and NEST compute in double precision, ours in single precision with integer
sums of 30 bits. All spikes are recorded everywhere, and ours digests every message.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.__main__ import as_markdown, heading
from bench.measure import ROOT, Row, at_least, ratio, spread
from bench.snn import graphs

HERE = Path(__file__).parent
SPEED = ("cuba", "coba", "brunel", "delays", "drawn")
"""Networks of the geometric mean."""

BRIAN2_MEAN, NEST_MEAN, BRIAN2_LEAST = 4.0, 25.0, 2.0
STDP_BRIAN2, STDP_NEST = 2.5, 20.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snn", description=__doc__)
    parser.add_argument("peers", help="Python of the environment with the peers")
    parser.add_argument("networks", nargs="*", help=f"default: {', '.join((*SPEED, 'stdp'))}")
    parser.add_argument("--rounds", type=int, default=3, help="alternating runs")
    parser.add_argument("--seed", type=int, default=2026, help="of the network that is drawn")
    parser.add_argument("--without-nest", action="store_true", help="leave NEST out: it takes most of the time")
    arguments = parser.parse_args()
    known = {"cuba": graphs.CUBA, "coba": graphs.COBA, "brunel": graphs.BRUNEL, "delays": graphs.DELAYS}
    known |= {"drawn": graphs.drawn(arguments.seed), "stdp": graphs.STDP}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        means: dict[str, list[float]] = {"Brian2": [], "NEST": []}
        for name in arguments.networks or known:
            print(f"{name} …", file=sys.stderr, flush=True)
            path = Path(folder) / f"{name}.npz"
            graphs.write(known[name], path)
            found = _measure(name, path, arguments)
            rows += _rows(name, found)
            for peer in means:
                if name in SPEED and peer in found:
                    means[peer].append(ratio(_seconds(found[peer]), _seconds(found["ours"])))
    for peer, bar in (("Brian2", BRIAN2_MEAN), ("NEST", NEST_MEAN)):
        if means[peer]:
            mean = math.prod(means[peer]) ** (1 / len(means[peer]))
            rows.append(
                at_least(f"geometric mean of {len(means[peer])} networks: times faster than {peer}", mean, bar, "x")
            )
    print(heading())
    print(as_markdown(rows))


def _measure(name: str, path: Path, arguments: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Return what each simulator printed, round by round."""
    program = path.with_suffix("")
    brian2 = [arguments.peers, str(HERE / "with_brian2.py"), str(path), str(program)]
    subprocess.run([*brian2, "build"], check=True, capture_output=True)
    commands = {
        "Brian2": [*brian2, "run"],
        "ours": [sys.executable, "-m", "bench.snn.with_ours", str(path)],
        "NEST": [arguments.peers, str(HERE / "with_nest.py"), str(path)],
    }
    if arguments.without_nest:
        del commands["NEST"]
    _json(commands["ours"])  # compiles
    found: dict[str, list[dict[str, Any]]] = {each: [] for each in commands}
    for number in range(arguments.rounds):
        for each, command in commands.items():
            if each != "NEST" or number == 0:  # it is slow by far, and its ratio large
                found[each].append(_json(command))
    if len({each["digest"] for each in found["ours"]}) != 1:
        raise SystemExit(f"{name}: two runs gave different digests")
    if "NEST" in found:
        found["NEST"] *= arguments.rounds
    return found


def _json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _seconds(runs: list[dict[str, Any]]) -> list[float]:
    return [float(each["run_s"]) for each in runs]


def _rows(name: str, found: dict[str, list[dict[str, Any]]]) -> list[Row]:
    ours = found["ours"][0]
    seconds = statistics.median(_seconds(found["ours"]))
    rows = [
        Row(
            f"{name}: seconds, rate and CV",
            "; ".join(f"{who} {spread(_seconds(runs))} s, {_statistics(runs[0])}" for who, runs in found.items()),
        ),
        Row(
            f"{name}: synaptic events/s, emitted spikes/s (ours)",
            f"{ours['events'] / seconds / 1e6:.0f} M, {ours['spikes'] / seconds / 1e6:.2f} M",
            "≥ 10 M",
            ours["events"] / seconds >= 1e7,
        ),
    ]
    bars = {"Brian2": STDP_BRIAN2, "NEST": STDP_NEST} if name == "stdp" else {"Brian2": BRIAN2_LEAST}
    for peer, runs in found.items():
        if peer == "ours":
            continue
        value = ratio(_seconds(runs), _seconds(found["ours"]))
        what = f"{name}: times faster than {peer}"
        rows.append(at_least(what, value, bars[peer], "x") if peer in bars else Row(what, f"{value:.3g} x"))
    return rows


def _statistics(run: dict[str, Any]) -> str:
    text = f"{run['rate_hz']:.2f} Hz, {run['cv']:.3f}"
    return text + (f", mean weight {run['w_mean']:.4f}" if "w_mean" in run else "")


if __name__ == "__main__":
    main()
