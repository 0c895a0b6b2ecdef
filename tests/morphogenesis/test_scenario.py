"""The scenarios of growth, as they are shipped: they run, and a run that was killed ends with the same bits."""

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
SCENARIOS = ROOT / "scenarios"
ARMS = ("small", "large", "plateau_trainer", "random_trainer", "policy_trainer")
PICTURES = SCENARIOS / "data" / "cifar10-part.npz"
HOW = "data/cifar10-part.npz is not part of the project; scenarios/data/README.md says how it is made"


def command(name: str, budget: str, ticks: int) -> list[str]:
    """Return the command that runs a scenario with a smaller budget."""
    sets = [f"--set=actors.{arm}.budget={budget}" for arm in ARMS]
    scenario = str(SCENARIOS / f"{name}.toml")
    return [sys.executable, "-m", "neuraxis", "run", scenario, *sets, "--until", str(ticks), "--json"]


EARLY = [f"--set=actors.plateau_policy.{each}" for each in ("first_epoch=1", "patience=1", "gain_points=100")]
BUDGET = 1.2e8
RUN = [*command("grow_signals", str(BUDGET), 160), *EARLY]


def told(words: list[str], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(subprocess.run(words, capture_output=True, text=True, **options).stdout)
    return result


@pytest.mark.slow
def test_every_arm_has_the_same_budget_and_a_killed_run_ends_with_the_same_digest(tmp_path: Path) -> None:
    whole = told([*RUN, "--folder", str(tmp_path / "whole")], check=False)
    spent = {arm: whole["figures"][f"{arm}.multiply_adds"] for arm in ARMS}
    assert all(0.995 * BUDGET < each <= BUDGET for each in spent.values())
    samples = {arm: 3 * macs for arm, macs in (("small", 32 * 50), ("large", 73 * 50))}
    assert all(spent[arm] > BUDGET - 2 * sample for arm, sample in samples.items())
    assert whole["figures"]["plateau_seeds.germinated"] == 1
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("grow_digits", "8.0e8"),
        pytest.param(
            "grow_images", "2.0e9", marks=pytest.mark.skipif(not PICTURES.exists(), reason=HOW), id="grow_images"
        ),
        ("grow_text", "1.5e9"),
    ],
)
def test_every_arm_learns_and_decides(tmp_path: Path, name: str, budget: str) -> None:
    found = told([*command(name, budget, 400), "--folder", str(tmp_path / "run")], check=False)["figures"]
    for arm in ARMS:
        assert 0.97 * float(budget) < found[f"{arm}.multiply_adds"] <= float(budget)
        assert found[f"{arm}.faults"] == found[f"{arm}.decisions_missed"] == 0
        assert found[f"{arm}.test_accuracy"] > 0.1
    assert found["large.parameters"] > found["small.parameters"]


def test_pictures_that_were_not_made_are_asked_for(tmp_path: Path) -> None:
    for folder in ("parts", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "demo.key").write_bytes((SCENARIOS / "data" / "demo.key").read_bytes())
    for name in ("grow_images.toml", "parts/growing.toml"):
        (tmp_path / name).write_text((SCENARIOS / name).read_text())
    words = [sys.executable, "-m", "neuraxis", "run", str(tmp_path / "grow_images.toml"), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    message = json.loads(done.stdout)["error"]["message"]
    assert "cifar10-part.npz" in message
    assert "MOR121" not in message  # five arms that cannot read it say nothing new


@pytest.mark.slow
def test_a_run_tells_the_life_of_every_seed_and_learning_curves(tmp_path: Path) -> None:
    sets = [f"--set=actors.{arm}.epochs=1" for arm in ARMS if arm != "plateau_trainer"]
    words = [*command("grow_signals", "1.0e8", 400), *sets, *EARLY, "--folder", str(tmp_path / "run")]
    ran = told(words, check=False)
    inspect = [sys.executable, "-m", "neuraxis", "inspect", "growth", str(tmp_path / "run"), "--json"]
    found = told(inspect, check=True)["actors"]
    lives = found["plateau_seeds"]["lives"]
    assert len(lives) == ran["figures"]["plateau_seeds.germinated"] >= 1
    assert {each["blueprint"] for each in lives} == {"BP004"}
    curve = found["plateau_trainer"]["curve"]
    assert [each[0] for each in curve] == list(range(1, ran["figures"]["plateau_trainer.epochs"] + 1))
    assert curve[-1][1] == ran["figures"]["plateau_trainer.accuracy"]
