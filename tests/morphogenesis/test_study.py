"""Studies: what is read from a run, what is computed from results, and that nothing is run twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuraxis.errors import UsageInvalid
from neuraxis_morphogenesis.study.__main__ import main, seeds_of
from neuraxis_morphogenesis.study.analysis import Difference, difference, growth_helps, interval
from neuraxis_morphogenesis.study.outcomes import Life, Outcome, outcomes
from neuraxis_morphogenesis.study.page import page, summary
from neuraxis_morphogenesis.study.runs import Result, Study, fingerprint

torch = pytest.importorskip("torch", reason="torch is not installed")

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "grow_signals.toml"


def outcome(accuracy: float, *lives: Life) -> Outcome:
    curve = tuple((float(n), accuracy * n / 4, 2.0 / n, 100.0 * n) for n in range(1, 5))
    return Outcome(accuracy, accuracy, 100, 400.0, 4, curve, lives)


def life(stage: str, contribution: float | None = None) -> Life:
    return Life("block1", "BP009", 1, 3, stage, contribution)


def result(seed: int, **arms: Outcome) -> Result:
    return Result(seed, arms, 1.0, True, False)


# -------------------------------------------------------------------------------- analysis


def test_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(0.5, 0.1, (200, 30))
    covered = np.mean([found.low <= 0.5 <= found.high for found in map(interval, draws.tolist())])
    assert 0.88 <= covered <= 0.98
    assert interval([0.25]) == interval([0.25, 0.25])
    assert interval([0.1, 0.4, 0.3]) == interval([0.1, 0.4, 0.3])


@pytest.mark.parametrize(
    ("other", "gaps", "verdict"),
    [
        ("small", (0.02, 0.03, 0.01), "better"),
        ("small", (-0.02, -0.03, -0.01), "worse"),
        ("small", (-0.02, 0.03, 0.01), "undecided"),
        ("large", (-0.004, -0.006, -0.002), "not inferior"),
        ("large", (-0.02, 0.02, -0.03), "undecided"),
        ("large", (-0.02, -0.03, -0.01), "worse"),
        ("large", (0.02,), ""),
    ],
)
def test_verdict_follows_from_the_interval_of_differences(other: str, gaps: tuple[float, ...], verdict: str) -> None:
    found = difference("plateau", other, [(0.5 + gap, 0.5) for gap in gaps])
    assert found.verdict == verdict
    assert found.wins == sum(gap > 0 for gap in gaps)
    assert found.found.mean == pytest.approx(np.mean(gaps))


@pytest.mark.parametrize(
    ("verdicts", "helps"),
    [
        (("better", "better", "not inferior"), True),
        (("better", "better", "better"), True),
        (("better", "undecided", "not inferior"), False),
        (("better", "better", "undecided"), False),
    ],
)
def test_growth_helps_only_if_all_three_hypotheses_hold(verdicts: tuple[Any, ...], helps: bool) -> None:
    pairs = zip(("small", "random", "large"), verdicts, strict=True)
    found = [Difference("plateau", other, interval([0.0]), 0, verdict) for other, verdict in pairs]
    assert growth_helps(found) is helps
    assert growth_helps(found[:2]) is None


def test_intervals_are_of_pairs_and_not_of_arms() -> None:
    ground = np.linspace(0.2, 0.8, 20)  # seeds differ much more than arms do
    found = difference("plateau", "small", [(each + 0.01, each) for each in ground.tolist()])
    assert found.verdict == "better"
    assert found.found.high - found.found.low < 1e-9


# ------------------------------------------------------------------------------------ told


def test_results_and_page_tell_every_arm_and_which_grafts_are_unequal() -> None:
    kept, culled = life("FOSSILIZED", 0.025), life("CULLED")
    results = [
        result(1, plateau=outcome(0.6, kept, culled), random=outcome(0.5, culled), small=outcome(0.4)),
        result(2, plateau=outcome(0.7, kept), random=outcome(0.5, culled), small=outcome(0.5)),
    ]
    told = summary(results)
    assert told["grafts_unequal"] == [1]
    assert told["arms"]["plateau"]["mean"] == pytest.approx(0.65)
    assert told["growth_helps"] is None  # nothing large was run
    html = page("made_up", results)
    assert all(word in html for word in ("plateau − random", "+15.00", "+0.0250", "<svg"))
    assert "Lives of the seeds of plateau" in html
    assert "Lives of the seeds of small" not in html
    assert html == page("made_up", results)


def test_arm_that_did_not_come_to_its_end_counts_as_nothing() -> None:
    figures = {"test_accuracy": None, "accuracy": 0.5, "parameters": 1, "multiply_adds": 1.0, "epochs": 1}
    found = outcomes({"a": {"figures": figures, "curve": [[1.0, 0.5, 1.0, 1.0]]}})
    assert found["a"].accuracy == 0.0


@pytest.mark.parametrize(("text", "seeds"), [("0-2", [0, 1, 2]), ("7", [7]), ("4,1,3-4", [1, 3, 4])])
def test_seeds_are_read(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-2-3", "3-1", "1,,2"])
def test_text_that_names_no_seeds_is_refused(text: str) -> None:
    with pytest.raises(UsageInvalid):
        seeds_of(text)


# ------------------------------------------------------------------------------------ runs


def test_folder_of_another_study_is_refused(tmp_path: Path) -> None:
    Study(SCENARIO, tmp_path).begin()
    Study(SCENARIO, tmp_path).begin()
    with pytest.raises(UsageInvalid, match="another scenario, or with other changes"):
        Study(SCENARIO, tmp_path, ("scenario.until=10",)).begin()


def test_fingerprint_follows_what_is_included(tmp_path: Path) -> None:
    (tmp_path / "part.toml").write_text("neuraxis = 1")
    (tmp_path / "whole.toml").write_text('include = ["part.toml"]')
    before = fingerprint(tmp_path / "whole.toml")
    (tmp_path / "part.toml").write_text("neuraxis = 1  # changed")
    assert fingerprint(tmp_path / "whole.toml") != before
    with pytest.raises(UsageInvalid, match="cannot be read"):
        fingerprint(tmp_path / "none.toml")


def test_run_that_fails_is_told_with_its_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(SCENARIO), "--seeds", "3", "--folder", str(tmp_path), "--set", "actors.small.width=0"]
    assert main(words) == 1
    assert "seed 3" in capsys.readouterr().err
    assert not (tmp_path / "3" / "result.json").exists()


@pytest.mark.slow
def test_random_growth_is_held_to_the_grafts_of_the_plateau_arm_and_nothing_runs_twice(tmp_path: Path) -> None:
    arms = ("small", "large", "plateau_trainer", "random_trainer", "policy_trainer")
    sets = [f"--set=actors.{arm}.budget=4.0e7" for arm in arms]
    early = ["--set=actors.plateau_policy.first_epoch=1", "--set=actors.plateau_policy.seeds_max=1"]
    early += ["--set=actors.plateau_policy.patience=1", "--set=actors.plateau_policy.gain_points=100"]
    few = ["--set=actors.random_policy.grafts_max=0", "--set=actors.random_policy.moments_until=0.2"]
    words = ["-m", "neuraxis_morphogenesis.study", str(SCENARIO), "--seeds", "5", "--folder", str(tmp_path), "--json"]

    def run() -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, *words, *sets, *early, *few]
        return subprocess.run(asked, capture_output=True, text=True, check=True)

    first = run()
    told = json.loads(first.stdout)
    (found,) = told["results"]
    tried = {arm: len(each["lives"]) for arm, each in found["arms"].items()}
    assert tried["plateau"] == tried["random"] == 1
    assert found["rerun"]
    assert told["grafts_unequal"] == []
    assert all(0.99 * 4.0e7 < each["multiply_adds"] <= 4.0e7 for each in found["arms"].values())
    again = run()
    assert "was there" in again.stderr
    assert again.stdout == first.stdout
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
