"""Commands with hostile scenarios, paths, options and settings: they are refused on one screen, or do no harm."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from neuraxis.cli.run_verb import _fresh_folder
from tests.cli.conftest import RING, ROOT, SCENARIO, Cli, one_screen
from tests.kernel.breakage import read_only

# ---------------------------------------------------------------------- scenarios that are hostile


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("scenario.seed=18446744073709551616", "an integer beyond 64 bits"),
        ("scenario.until=99999999999999999999", "an integer beyond 64 bits"),
        ("actors.relay.limit=-9223372036854775809", "an integer beyond 64 bits"),
        ("inputs[0].value=9223372036854775808", "an integer beyond 64 bits"),
        (f"scenario.until={'9' * 5000}", "has no unit"),
        (f"actors.relay.limit={'[' * 100}{']' * 100}", "nested too deeply"),
        (f"actors.relay.limit={'[' * 20_000}{']' * 20_000}", "whole number"),
        (f"{'deep.' * 5000}key=1", "nested too deeply"),
        ('scenario.name="ring\\u0000"', "No name holds a zero byte"),
        ('scenario.plugins=["ring.py\\u0000"]', "No name holds a zero byte"),
        ("include=['other.toml']", "Include files in the scenario file"),
        ("actors.relay.count=1_000_000_000", "At most 1,048,572 actors"),
        ("actors.relay.count=-1", "at least 1"),
        ("neuraxis=99", "Install a newer neuraxis"),
        ("scenario.tick='0 ms'", "above 0"),
        ("scenario.tick='-1 ms'", "above 0"),
        ("channels[7].delay=1", "a place that does not exist"),
        ("channels.delay=1", "table"),
        ("=", "--set KEY=VALUE"),
        ("actors.relay.limit=5\nscenario.seed=7", "whole number"),
    ],
)
def test_a_hostile_value_is_refused_on_one_screen(cli: Cli, change: str, words: str) -> None:
    told = cli("run", RING, "--set", change, "--json")
    assert told.code == told.json["exit_code"] == 2
    assert words in one_screen(told.err)
    assert not Path("runs").exists(), "nothing was written"


def test_too_many_channels_are_refused_before_they_fill_the_memory(cli: Cli) -> None:
    told = cli("run", RING, "--set", "actors.relay.count=2_000", "--set", 'channels[0].pattern="all"')
    assert told.code == 2
    assert "At most 2,000,000 in all" in one_screen(told.err)


def test_one_wrong_value_is_one_mistake(cli: Cli) -> None:
    told = cli("run", RING, "--until", "99999999999999999999")
    assert "1 mistake:" in told.err


def test_a_zero_byte_in_an_include_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('include = ["b\\u0000.toml"]\n' + SCENARIO)
    assert "No file name holds a zero byte" in one_screen(cli("run", "a.toml").err)


@pytest.mark.parametrize("seed", [-(2**63), 2**63 - 1])
def test_every_seed_of_64_bits_can_be_run_and_resumed(cli: Cli, seed: int) -> None:
    first = cli("run", RING, f"--seed={seed}", "--until", 50, "--folder", "run", "--json").json
    assert (first["seed"], first["messages"]) == (seed, 50)
    assert cli("resume", "run", "--json").json == first


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**63, 10**30])
def test_a_seed_of_more_bits_is_refused(cli: Cli, seed: int) -> None:
    assert "beyond 64 bits" in one_screen(cli("run", RING, f"--seed={seed}").err)


def test_a_newline_in_an_override_changes_nothing_else(cli: Cli) -> None:
    found = cli("run", RING, "--set", 'scenario.name="a"\nseed=7', "--until", 5, "--json").json
    assert (found["scenario"], found["seed"]) == ('"a"\nseed=7', 0)


@pytest.mark.parametrize(
    "name",
    [
        "../../above",
        "/etc/passwd",
        "..",
        ".",
        "~",
        "-rf",
        "a\nb",
        "a" * 10_000,
        "😀",
        "a;b $(c) `d`",
        "con\tx",
        "\u202e",
    ],
)
def test_a_run_folder_lies_below_runs_whatever_the_scenario_is_called(cli: Cli, tmp_path: Path, name: str) -> None:
    found = cli(
        "run", RING, "--set", f"scenario.name={json.dumps(name, ensure_ascii=False)}", "--until", 5, "--json"
    ).json
    assert found["scenario"] == name
    folder = Path(found["run"])
    assert folder.parts[0] == "runs"
    assert len(folder.parts) == 2
    assert folder.name.isascii()
    assert folder.name[0].isalnum()
    assert len(folder.name) < 120
    assert [each.name for each in tmp_path.iterdir()] == ["runs"]
    assert cli("verify", folder).code == cli("replay", folder).code == 0


def test_two_runs_that_begin_in_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "now")
    made = [_fresh_folder("ring") for _ in range(3)]
    assert [each.name for each in made] == ["ring-now", "ring-now-2", "ring-now-3"]
    assert all(each.is_dir() for each in made), "each is taken at once"


def test_a_log_level_that_does_not_exist_is_refused_with_those_that_do(cli: Cli) -> None:
    told = cli("run", RING, "--log", "nonsense")
    assert told.code == 2
    assert "Write one of DEBUG, INFO, WARNING, ERROR, CRITICAL." in told.err


# ------------------------------------------------------------------- paths that lead nowhere


@pytest.mark.parametrize("path", ["x" * 300, f"{'deep/' * 1000}x", "odd.toml/x", "/proc/self/mem"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "odd.toml", "--folder"],
        ["resume"],
        ["replay"],
        ["verify"],
        ["graph"],
        ["snapshot", "list"],
        ["snapshot", "verify"],
        ["golden", "check"],
        ["golden", "update", "--scenario", "odd.toml", "--reason", "x"],
        ["new", "scenario", "first", "--folder"],
    ],
)
def test_a_path_that_leads_nowhere_is_named(odd: Cli, arguments: list[str], path: str) -> None:
    told = odd(*arguments, path)
    assert told.code in (2, 4), told.out
    assert path.partition("/x")[0][:100] in told.err
    assert "should not happen" not in told.err


@pytest.mark.parametrize("name", ["x" * 300, "odd.toml/x", "locked/x"])
def test_a_file_that_a_scenario_names_and_nobody_can_reach_is_named(odd: Cli, tmp_path: Path, name: str) -> None:
    (tmp_path / "locked").mkdir(mode=0o700)
    resource = f'\n[resources.x]\npath = "{name}"\nsha256 = "{"0" * 64}"\n'
    for text in (
        SCENARIO.replace('"odd.py"', f'"{name}.py"'),
        f'include = ["{name}"]\n{SCENARIO}',
        SCENARIO.replace('kind = "ear"', 'kind = "ear"\ndata = "x"') + resource,
    ):
        (tmp_path / "odd.toml").write_text(text)
        with read_only(tmp_path):
            told = odd("run", "odd.toml", "--folder", "run")
        assert told.code == 2
        assert name in one_screen(told.err)
        assert "should not happen" not in told.err


# ---------------------------------------------------------------------- options and settings


def test_options_that_do_not_exist_are_told_in_json_too(cli: Cli) -> None:
    told = cli("run", RING, "--sede", 3, "--json")
    assert told.code == told.json["exit_code"] == 2
    assert "--sede" in told.json["error"]["message"]
    assert "neuraxis run --help" in told.err


@pytest.mark.parametrize("option", [["--cases", 0], ["--cases", -1], ["--until", 0]])
def test_explore_refuses_to_try_nothing(odd: Cli, option: list[object]) -> None:
    told = odd("explore", "odd.toml", *option)
    assert told.code == 2
    assert str(option[0]) in one_screen(told.err)


def test_a_signing_key_that_cannot_be_used_is_refused_before_anything_is_written(
    odd: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("@/nonexistent", "zz", "@."):
        monkeypatch.setenv("NEURAXIS_SIGNING_KEY", key)
        assert "NEURAXIS_SIGNING_KEY" in odd("run", "odd.toml", "--folder", "run").err
        assert not (tmp_path / "run").exists()


def test_an_unknown_backend_is_one_mistake(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAXIS_BACKEND", "xyz")
    told = cli("graph", ROOT / "scenarios/raster.toml")
    assert "1 mistake:" in told.err
    known = "cupy, norse, numba, numpy, reference, torch, torch-cuda"
    assert f"NEURAXIS_BACKEND is the unusable backend 'xyz'. Known: {known}." in told.err
