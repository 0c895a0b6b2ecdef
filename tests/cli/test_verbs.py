"""Every verb: what it prints, what it writes, and its exit code."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neuraxis.cli import VERBS
from neuraxis.cli.front import front
from tests.cli.conftest import RING, ROOT, Cli

# ------------------------------------------------------------------------------------- front


def test_the_front_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert front(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(verb in told for verb in VERBS)


def test_no_verb_at_all_is_help_and_exit_code_2(cli: Cli) -> None:
    told = cli()
    assert told.code == 2
    assert "Usage" in told.out


def test_an_unknown_verb_is_met_with_the_nearest_one(cli: Cli) -> None:
    told = cli("rnu")
    assert told.code == 2
    assert "Did you mean 'run'" in told.err


def test_the_version_is_told(cli: Cli) -> None:
    assert cli("--version").out.startswith("neuraxis 0.")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(cli: Cli, verb: str) -> None:
    told = cli(verb, "--help")
    assert told.code == 0
    assert "Usage: neuraxis" in told.out


# --------------------------------------------------------------------------------------- run


def test_a_run_prints_a_table_and_leaves_a_folder(cli: Cli, tmp_path: Path) -> None:
    told = cli("run", RING)
    assert told.code == 0
    for word in ("ring, seed 0", "20,000 (20 s)", "digest", "exact", "relay/00.passed", "ok      messages"):
        assert word in told.out
    (folder,) = (tmp_path / "runs").iterdir()
    assert {each.name for each in folder.iterdir()} >= {"journal.nxj", "report.html", "plugins", "snapshots"}
    assert "<h1>ring</h1>" in (folder / "report.html").read_text()


def test_two_runs_in_one_second_get_two_folders(cli: Cli, tmp_path: Path) -> None:
    for _ in range(3):
        assert cli("run", RING, "--until", 5, "--json").code == 1
    assert len(list((tmp_path / "runs").iterdir())) == 3


def test_json_is_exactly_one_object_with_the_promised_keys(cli: Cli, tmp_path: Path) -> None:
    found = cli("run", RING, "--json", "--seed", 3, "--folder", tmp_path / "r").json
    promised = "scenario run seed ticks messages digest determinism workers transport backend wall_s figures passed"
    assert set(promised.split()) <= set(found)
    assert found["seed"] == 3
    assert found["passed"] is True


def test_options_change_the_run(cli: Cli, tmp_path: Path) -> None:
    found = cli(
        "run", RING, "--json", "--until", "50 ms", "--set", "actors.relay.count=5", "--folder", tmp_path / "r"
    ).json
    assert found["ticks"] == 50
    assert len(found["figures"]) == 5
    assert found["passed"] is False


def test_a_report_can_be_written_elsewhere_too(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", RING, "--report", tmp_path / "page.html").code == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_expectations_that_fail_are_exit_code_1(cli: Cli) -> None:
    told = cli("run", RING, "--set", "expect.messages=3")
    assert told.code == 1
    assert "FAILED  messages = 3: 20000" in told.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing.toml"], "Name a scenario file"),
        (["run", RING, "--set", "actors.relay.limti=3"], "Did you mean 'limit'"),
        (["run", RING, "--until", "5 apples"], "unknown unit 'apples'"),
        (["run", RING, "--folder", "/proc/nowhere"], "Choose a folder"),
        (["resume", "nothing"], "nothing"),
        (["verify", "nothing"], "nothing"),
        (["replay", "nothing"], "nothing"),
        (["diff", "nothing", "either"], "nothing"),
        (["why", "nothing", "a#1"], "nothing"),
        (["graph", "nothing.toml"], "Name a scenario file"),
        (["explore", RING, "--plan", "crush a at 3"], "crash PATH at TICK"),
        (["explore", RING, "--plan", "lose relay/00 -> relay/01.token at 3"], "tolerates"),
        (["golden", "check", "nothing.json"], "nothing.json"),
        (["golden", "update", "new.json", "--reason", "x"], "--scenario"),
        (["snapshot", "inspect", "nothing.nxs"], "nothing.nxs"),
        (["plugins", "check", "nobody"], "no installed package"),
        (["conform", "json"], "conformance.py"),
        (["new", "plugin", "Big Name"], "small letters"),
        (["schema", "nobody"], "no installed package"),
    ],
)
def test_bad_input_is_one_screen_with_a_remedy_and_exit_code_2(cli: Cli, arguments: list[str], words: str) -> None:
    told = cli(*arguments)
    assert told.code == 2, told.err
    assert words in told.err
    assert len(told.err.splitlines()) < 30
    assert "Traceback" not in told.err


def test_bad_input_in_json_is_one_object_too(cli: Cli) -> None:
    told = cli("run", "nothing.toml", "--json")
    assert told.json["error"]["code"] == "NX102"
    assert told.json["exit_code"] == told.code == 2


def test_a_run_refuses_a_folder_that_holds_one_and_leaves_it_alone(cli: Cli, ring_run: Path) -> None:
    before = (ring_run / "journal.nxj").read_bytes()
    told = cli("run", RING, "--folder", ring_run)
    assert told.code == 2
    assert f"neuraxis resume {ring_run}" in told.err
    assert (ring_run / "journal.nxj").read_bytes() == before


def test_an_actor_that_fails_ends_the_run_with_the_place_and_the_line(cli: Cli, tmp_path: Path) -> None:
    text = (ROOT / "scenarios" / "ring.py").read_text().replace("self.passed += 1", "self.passed += 1 // (5 - value)")
    (tmp_path / "ring.py").write_text(text)
    (tmp_path / "ring.toml").write_text(Path(RING).read_text())
    told = cli("run", "ring.toml")
    assert told.code == 1
    for words in ("relay/04 failed at tick 5", "ZeroDivisionError", "on_failure", "ring.py"):
        assert words in told.err


# -------------------------------------------------------------------- resume, replay, verify, why


def test_resuming_a_finished_run_prints_its_result(cli: Cli, ring_run: Path) -> None:
    told = cli("resume", ring_run, "--json")
    assert told.code == 0
    assert told.json["messages"] == 20_000


def test_a_killed_run_is_resumed_to_the_same_digest(cli: Cli, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neuraxis", "run", RING, "--folder", "killed", "--until", "3000000"]
    process = subprocess.Popen(
        [*command, "--set", "run.snapshot_every=20000", "--json"], stdout=subprocess.DEVNULL, cwd=tmp_path
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob("killed/snapshots/*.nxs")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    resumed = cli("resume", "killed", "--json")
    assert resumed.code == 1, resumed.err  # the expectations are those of the short run
    assert resumed.json["ticks"] == 3_000_000
    assert resumed.json["digest"] == cli("run", RING, "--until", 3_000_000, "--json").json["digest"]
    assert cli("verify", "killed").code == 0


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "neuraxis", "run", RING, "--folder", "stopped", "--until", "90000000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("stopped/journal.nxj")) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "go on with: neuraxis resume stopped" in told
    assert "Traceback" not in told


def test_a_replay_compares_every_digest(cli: Cli, ring_run: Path) -> None:
    told = cli("replay", ring_run)
    assert told.code == 0
    assert "all the same" in told.out


def test_a_replay_with_other_code_diverges_or_is_refused(cli: Cli, ring_run: Path) -> None:
    kept = ring_run / "plugins" / "ring.py"
    kept.write_text(kept.read_text().replace("value + 1)", "value + 2)"))
    assert cli("replay", ring_run).code == 3
    assert cli("resume", ring_run).code in (0, 2)


def test_verify_finds_a_flipped_bit_and_says_where(cli: Cli, ring_run: Path) -> None:
    assert cli("verify", ring_run).code == 0
    journal = ring_run / "journal.nxj"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 4
    journal.write_bytes(data)
    told = cli("verify", ring_run)
    assert told.code == 4
    assert "journal.nxj" in told.err + told.out
    assert "byte" in told.err + told.out
    assert cli("resume", ring_run).code == 4


def test_why_walks_back_to_the_input(cli: Cli, ring_run: Path) -> None:
    told = cli("why", ring_run, "relay/03#5", "--limit", 5)
    assert told.code == 0
    assert "begins with: @input#0" in told.out
    assert cli("why", ring_run, "relay/03#5", "--json").json["roots"] == ["@input#0"]
    assert cli("why", ring_run, "relay/33#5").code == 2


def test_diff_names_the_first_difference(cli: Cli, ring_run: Path, tmp_path: Path) -> None:
    assert cli("run", RING, "--folder", tmp_path / "same").code == 0
    told = cli("diff", ring_run, tmp_path / "same")
    assert told.code == 0
    cli("run", RING, "--folder", tmp_path / "other", "--set", "inputs[0].value=2")
    told = cli("diff", ring_run, tmp_path / "other")
    assert told.code == 3
    assert "relay/00" in told.out + told.err
    assert "tick 1" in told.out + told.err


# --------------------------------------------------------------------------- graph and schema


@pytest.mark.parametrize(("form", "word"), [("text", "ring.relay"), ("mermaid", "flowchart"), ("dot", "digraph")])
def test_a_graph_has_three_forms(cli: Cli, form: str, word: str) -> None:
    assert word in cli("graph", RING, "--form", form).out


def test_a_graph_in_json_lists_actors_and_channels(cli: Cli) -> None:
    found = cli("graph", RING, "--json").json
    assert len(found["actors"]) == len(found["channels"]) == 10


def test_the_schema_is_json(cli: Cli) -> None:
    assert json.loads(cli("schema").out)["title"] == "Neuraxis scenario"


# ---------------------------------------------------------------------------------- snapshots


def test_snapshots_are_listed_inspected_and_verified(cli: Cli, ring_run: Path) -> None:
    told = cli("snapshot", "list", ring_run)
    assert told.code == 0
    assert "sound" in told.out
    newest = cli("snapshot", "list", ring_run, "--json").json["snapshots"][0]["file"]
    assert cli("snapshot", "inspect", newest, "--json").json["facts"]["tick"] == 20_000
    assert "scenario" in cli("snapshot", "inspect", newest).out
    assert cli("snapshot", "verify", newest).code == 0
    data = bytearray(Path(newest).read_bytes())
    data[-20] ^= 1
    Path(newest).write_bytes(data)
    assert cli("snapshot", "verify", newest).code == 4
    assert "DAMAGED" in cli("snapshot", "list", ring_run).out


def test_a_snapshot_that_needs_no_migration_is_left_alone(cli: Cli, ring_run: Path) -> None:
    newest = cli("snapshot", "list", ring_run, "--json").json["snapshots"][0]["file"]
    told = cli("snapshot", "migrate", newest, "--scenario", RING)
    assert told.code == 0
    assert "nothing written" in told.out
    assert cli("snapshot", "migrate", newest, "--scenario", RING, "--dry-run", "--json").json["changes"] == []
    assert cli("snapshot", "migrate", newest, "--scenario", RING, "--out", newest).code == 2


# ------------------------------------------------------------------------------------ goldens


def test_a_golden_is_made_checked_and_changed_only_with_a_reason(cli: Cli, tmp_path: Path) -> None:
    golden = tmp_path / "golden" / "ring.json"
    golden.parent.mkdir()
    assert cli("golden", "update", golden, "--scenario", RING, "--until", 300, "--reason", "first").code == 0
    assert cli("golden", "check", golden).code == 0
    assert cli("golden", "check", "--json").json["goldens"][0]["same"] is True
    text = golden.read_text()
    stored = json.loads(text)
    stored["digests"]["exact"] = "0" * 64
    golden.write_text(json.dumps(stored))
    told = cli("golden", "check", golden)
    assert told.code in (3, 4)
    assert cli("golden", "update", golden).code == 2
    golden.write_text(text)
    assert "the same as before" in cli("golden", "update", golden, "--reason", "again").err


# ------------------------------------------------------------------------------------ explore


def test_explore_finds_nothing_in_ring(cli: Cli) -> None:
    told = cli("explore", RING, "--cases", 15, "--until", 60)
    assert told.code == 0, told.out
    assert "no promise broke" in told.out
    assert cli("explore", RING, "--cases", 3, "--until", 30, "--json").json["passed"] is True


def _ring_with(folder: Path, *changes: tuple[str, str], tolerates: str = "") -> None:
    """Write ring into a folder, with changes in its code."""
    text = (ROOT / "scenarios" / "ring.py").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "ring.py").write_text(text)
    scenario = Path(RING).read_text()
    scenario = scenario.replace('pattern = "ring"', f'pattern = "ring"\ntolerates = [{tolerates}]')
    (folder / "ring.toml").write_text(scenario)


INVARIANT = "    def invariant(self):\n        return 'broken' if {} else None\n\n    def figures"


def test_explore_tells_when_an_invariant_breaks_without_any_fault(cli: Cli, tmp_path: Path) -> None:
    _ring_with(tmp_path, ("    def figures", INVARIANT.format("self.passed > 2")))
    told = cli("explore", "ring.toml", "--cases", 10, "--until", 60)
    assert told.code == 1
    assert "invariant does not hold" in told.out
    assert "smallest plan: no faults at all" in told.out


def test_explore_shrinks_a_failure_and_prints_the_command_that_repeats_it(cli: Cli, tmp_path: Path) -> None:
    _ring_with(
        tmp_path,
        ("passed: int = state(0)", "passed: int = state(0)\n    last: int = state(0)\n    twice: bool = state(False)"),
        ("self.passed += 1", "self.passed += 1; self.twice |= value == self.last; self.last = value"),
        ("    def figures", INVARIANT.format("self.twice")),
        tolerates='"duplication"',
    )
    told = cli("explore", "ring.toml", "--cases", 60, "--until", 40)
    assert told.code == 1, told.out
    (smallest,) = (line for line in told.out.splitlines() if line.startswith("smallest plan"))
    assert smallest.count("duplicate") == 1
    assert ";" not in smallest
    command = told.out.strip().splitlines()[-1].strip()
    again = cli(*shlex.split(command)[1:])
    assert again.code == 1
    assert "broken" in again.out


# -------------------------------------------------------------------------- plugins, conform, new


def test_plugins_are_listed_and_checked(cli: Cli) -> None:
    names = {each["name"] for each in cli("plugins", "list", "--json").json["plugins"]}
    assert {"snn", "cognition"} <= names
    assert "snn.neurons" in cli("plugins", "list").out
    assert cli("plugins", "check").code == 0


def test_a_new_scenario_runs_and_its_golden_test_passes(cli: Cli, tmp_path: Path) -> None:
    told = cli("new", "scenario", "first-steps", "--folder", "mine")
    assert told.code == 0
    assert cli("run", "mine/first-steps.toml").code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "mine"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = cli("new", "scenario", "first-steps", "--folder", "mine")
    assert told.code == 2
    assert "nothing was written" in told.err


# --------------------------------------------------------------------------- disk full, read-only


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="needs /dev/full")
def test_a_report_that_cannot_be_written_is_told(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "no" / "such" / "folder" / "page.html"
    told = cli("run", RING, "--report", target)
    assert told.code == 2
    assert str(target.parent) in told.err


def test_a_pipe_that_closes_early_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m neuraxis schema | head -c 10"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
