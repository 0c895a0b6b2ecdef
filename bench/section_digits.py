"""The scenario `digits` as a user starts it, and a tenth of a pass of the published protocol with 400 neurons."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Row, at_least, at_most

PASS = 60_000
TENTH = PASS // 10
TICKS_MAX = TENTH * 10 * 5


def measure(_rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        found = _run(Path(folder) / "digits", "scenarios/digits.toml")
        wall = time.perf_counter() - began
        figures = found["figures"]
        rows = [
            at_most("digits: the whole of `neuraxis run`", wall, 90, "s"),
            at_least("digits: right answers to 1,000 unseen images", 100 * figures["executive.accuracy"], 75, "%"),
            Row("digits: control, shuffled labels", f"{100 * figures['executive.shuffled']:.1f} %", "about 10 %"),
            at_most("digits: control, frozen weights", 100 * figures["executive.frozen"], 60, "%"),
        ]
        if not (ROOT / "scenarios" / "data" / "mnist.npz").exists():
            note = "not measured: scenarios/data/mnist.npz is absent; its README says how to make it"
            return [*rows, Row("digits_full: a pass with 400 neurons", note, "≤ 360 s")]
        actors = ("associative", "frozen", "executive", "monitor")
        options = [f"--set=actors.{actor}.neurons=400" for actor in actors]
        exam = ["--set=actors.sensory.label=0", "--set=actors.sensory.test=0"]
        until = f"--until={TICKS_MAX}"
        training = [f"--set=actors.sensory.train={TENTH}", *exam, until]
        found = _run(Path(folder) / "full", "scenarios/digits_full.toml", *options, *training)
        seconds = found["wall_s"] * PASS / TENTH
        rows.append(
            at_most("digits_full: a pass with 400 neurons", seconds, 360, "s", note=" (a tenth of it, times 10)")
        )
    return rows


def _run(folder: Path, scenario: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "neuraxis", "run", scenario, "--json", "--folder", str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout))
