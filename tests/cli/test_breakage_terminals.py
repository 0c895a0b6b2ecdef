"""Commands whose output nobody takes, or on a poor terminal: no run is harmed, and the exit code is as promised."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, command, one_screen

FULL = "neuraxis: [NX102] standard output: No space left on device. Send it to another place.\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "redirection", "err"),
    [
        (["run", "odd.toml", "--folder", "run"], "> /dev/full", FULL),
        (["run", "odd.toml", "--folder", "run", "--json"], "> /dev/full", FULL),
        (["run", "odd.toml", "--folder", "run", "--json"], ">&-", ""),
        (["run", "odd.toml", "--folder", "run"], "<&- >&- 2>&-", ""),
        (["run", "odd.toml", "--folder", "run"], "> /dev/full 2> /dev/full", ""),
    ],
)
def test_output_that_nobody_takes_does_not_harm_a_run(
    odd: Cli, digest: str, tmp_path: Path, arguments: list[str], redirection: str, err: str, unbuffered: str
) -> None:
    told = command(*arguments, env={"PYTHONUNBUFFERED": unbuffered}, shell=f'"$@" {redirection}', cwd=tmp_path)
    assert told.code == (2 if "full" in redirection else 0)
    assert told.out == ""
    assert told.err == err or (told.err.startswith(err) and "resume run" in told.err)
    assert odd("verify", "run").code == 0
    assert odd("resume", "run", "--json").json["digest"] == digest


@pytest.mark.parametrize("arguments", [["--help"], ["schema"], ["run", "--help"], ["verify", "sound"]])
def test_output_that_is_full_is_one_line(odd: Cli, digest: str, tmp_path: Path, arguments: list[str]) -> None:
    told = command(*arguments, shell='"$@" > /dev/full', cwd=tmp_path)
    assert (told.code, told.err) == (2, FULL)


def test_a_reader_that_goes_away_is_no_error(odd: Cli, tmp_path: Path) -> None:
    for unbuffered in ("", "1"):
        told = command("run", "--help", env={"PYTHONUNBUFFERED": unbuffered}, shell='"$@" | true', cwd=tmp_path)
        assert (told.code, told.err) == (0, "")


def test_errors_that_nobody_takes_change_no_exit_code(cli: Cli, tmp_path: Path) -> None:
    for redirection in ("2> /dev/full", "2>&-"):
        told = command("run", "nothing.toml", "--json", shell=f'"$@" {redirection}', cwd=tmp_path)
        assert told.code == told.json["exit_code"] == 2


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "1", "LINES": "1"},
        {"COLUMNS": "nonsense"},
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "/proc/nowhere"},
    ],
)
def test_poor_surroundings_are_enough(odd: Cli, digest: str, tmp_path: Path, env: dict[str, str]) -> None:
    toml = (tmp_path / "odd.toml").read_text()
    (tmp_path / "odd.toml").write_text(toml.replace('"odd"\nuntil', '"élan 😀"\nuntil'), encoding="utf-8")
    told = command("run", "odd.toml", env=env, cwd=tmp_path)
    assert (told.code, told.err) == (0, "")
    assert digest in told.out
    assert "lan" in told.out.splitlines()[0]
    (tmp_path / "odd.toml").write_text(toml.replace('kind = "odd"', 'kind = "ödd"'), encoding="utf-8")
    told = command("run", "odd.toml", "--json", env=env, cwd=tmp_path)
    assert told.code == told.json["exit_code"] == 2
    assert "Did you mean" in one_screen(told.err)
    assert "ödd" in told.json["error"]["message"]


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"COLUMNS": "2"}, {"TERM": "xterm", "PYTHONIOENCODING": "ascii"}])
def test_a_progress_bar_fits_any_terminal(odd: Cli, digest: str, tmp_path: Path, env: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "neuraxis", "run", "odd.toml"],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        text=True,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0, shown
    assert digest in done.stdout
    assert "Traceback" not in shown
