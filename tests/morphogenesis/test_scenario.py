"""The scenario `grow_signals`, as it is shipped: it runs, and a run that was killed ends with the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "grow_signals.toml"
ARMS = ("small", "large", "plateau_trainer", "random_trainer")
SHORT = [f"--set=actors.{arm}.budget=3.0e7" for arm in ARMS]
RUN = [sys.executable, "-m", "neuraxis", "run", str(SCENARIO), *SHORT, "--until", "160", "--json"]


def told(words: list[str], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(subprocess.run(words, capture_output=True, text=True, **options).stdout)
    return result


@pytest.mark.slow
def test_every_arm_has_the_same_budget_and_a_killed_run_ends_with_the_same_digest(tmp_path: Path) -> None:
    whole = told([*RUN, "--folder", str(tmp_path / "whole")], check=False)
    spent = [whole["figures"][f"{arm}.multiply_adds"] for arm in ARMS]
    assert min(spent) >= 3.0e7
    assert max(spent) <= 1.02 * min(spent)
    assert whole["determinism"] == "machine"
    folder = tmp_path / "killed"
    process = subprocess.Popen([*RUN, "--folder", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not list(folder.glob("snapshots/*")):
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = told([sys.executable, "-m", "neuraxis", "resume", str(folder), "--json"], check=False)
    assert resumed["digest"] == whole["digest"]
    assert resumed["figures"] == whole["figures"]
