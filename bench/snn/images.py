"""`python -m bench.snn.images PEERS_PYTHON`: learning from pictures, beside BindsNET, in pictures a second.

PEERS_PYTHON is an interpreter that has what `peers_images.txt` names; `make bench-images` makes one. Both show the
same 200 pictures to networks of Diehl & Cook with 784 inputs and 100 neurons which have not learned yet, one thread,
single precision; processor time counts, and runs alternate. They are not the same: BindsNET computes 350 steps of 1 ms
a picture, its inhibition and its rule are its own, and it resets all states after a picture. Ours is the scenario
`digits`: eye, layer, classifier, monitor, and the digest of every message; a picture is shown for 350 ms and nothing
for 150 ms, in steps of 1 ms like BindsNET's, and in steps of 0.5 ms as in the publication.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.__main__ import as_markdown, heading
from bench.measure import ROOT, Row, alternate, ratio, run_json, spread

PICTURES, TICKS_EACH = 200, 10
SCENARIO = ROOT / "scenarios" / "digits.toml"
DATA = ROOT / "scenarios" / "data" / "mnist-part.npz"


def main() -> None:
    """Measure, or, with `--ours DT`, run ours once and print its seconds."""
    parser = argparse.ArgumentParser(prog="python -m bench.snn.images", description=__doc__)
    parser.add_argument("peers", nargs="?", help="Python of the environment with BindsNET")
    parser.add_argument("--rounds", type=int, default=3, help="alternating runs")
    parser.add_argument("--ours", metavar="DT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ours:
        print(json.dumps(_ours(arguments.ours)))
        return
    if not arguments.peers:
        parser.error("name the Python of the environment with BindsNET")
    last: dict[str, dict[str, Any]] = {}

    def seconds_of(who: str, found: dict[str, Any]) -> float:
        last[who] = found
        return float(found["run_s"])

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npz"
        pictures = np.load(DATA)["train_images"][:PICTURES]
        np.savez(path, pictures=pictures.reshape(PICTURES, -1))
        theirs = [arguments.peers, str(ROOT / "bench" / "snn" / "with_bindsnet.py"), str(path)]
        ours = ["-m", "bench.snn.images", "--ours"]
        seconds = alternate(
            {
                "BindsNET": lambda: seconds_of("BindsNET", _json(theirs)),
                "ours, 1 ms": lambda: seconds_of("ours, 1 ms", run_json([*ours, "1 ms"])),
                "ours, 0.5 ms": lambda: seconds_of("ours, 0.5 ms", run_json([*ours, "0.5 ms"])),
            },
            arguments.rounds,
        )
    rows = [
        Row(f"{who}: pictures/s", f"{spread([PICTURES / each for each in found])}; spikes a picture "
            f"{last[who]['spikes']:.1f}")
        for who, found in seconds.items()
    ]  # fmt: skip
    rows += [
        Row(f"{who}: times faster than BindsNET", f"{ratio(seconds['BindsNET'], found):.3g} x")
        for who, found in seconds.items()
        if who != "BindsNET"
    ]
    print(heading())
    print(as_markdown(rows))


def _ours(dt: str) -> dict[str, float]:
    from neuraxis import Simulation

    actors = ("sensory", "associative", "frozen")
    with Simulation.from_scenario(
        SCENARIO, backend="numba", overrides=[f"actors.{each}.dt={dt}" for each in actors]
    ) as simulation:
        simulation.advance(2 * TICKS_EACH)  # compiles, or loads what was compiled
        before = _spikes(simulation)
        began = time.process_time()
        simulation.advance(PICTURES * TICKS_EACH)
        seconds = time.process_time() - began
        return {"run_s": seconds, "spikes": (_spikes(simulation) - before) / PICTURES}


def _spikes(simulation: Any) -> int:
    return int(dict(simulation.actors())["associative"].spiked)


def _json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
