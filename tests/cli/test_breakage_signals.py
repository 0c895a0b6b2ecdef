"""Commands that are stopped by a signal or killed: what they leave behind goes on to the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, command, leftovers, one_screen

# ----------------------------------------------------------------------------------- signals


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_stops_a_run_which_then_goes_on_to_the_same_bits(
    odd: Cli, digest: str, tmp_path: Path, name: str, code: int
) -> None:
    told = command("run", "odd.toml", "--folder", "a run", env={"ODD": f"handler:{name}"}, cwd=tmp_path)
    assert (told.code, told.out) == (code, "")
    assert "stopped at tick 6; go on with: neuraxis resume 'a run'" in one_screen(told.err)
    assert odd("verify", "a run").code == 0
    resumed = odd("resume", "a run", "--json")
    assert (resumed.code, resumed.json["digest"]) == (0, digest)
    assert (tmp_path / "a run/trace.jsonl").read_bytes() == (tmp_path / "sound/trace.jsonl").read_bytes()


def test_a_signal_that_is_to_be_ignored_is_ignored(odd: Cli, tmp_path: Path) -> None:
    env = {"ODD": "handler:SIGHUP"}
    told = command("run", "odd.toml", "--json", env=env, cwd=tmp_path, shell="trap '' HUP; exec \"$@\"")
    assert (told.code, told.json["ticks"]) == (0, 40)


def test_a_stop_is_told_in_json_too(odd: Cli, tmp_path: Path) -> None:
    told = command("run", "odd.toml", "--folder", "run", "--json", env={"ODD": "handler:SIGTERM"}, cwd=tmp_path)
    assert told.json["exit_code"] == told.code == 143
    assert "neuraxis resume run" in told.json["error"]["message"]


def test_a_signal_stops_other_verbs_too(odd: Cli, digest: str, tmp_path: Path) -> None:
    told = command("replay", "sound", env={"ODD": "handler:SIGTERM"}, cwd=tmp_path)
    assert (told.code, told.out, told.err.strip()) == (143, "", "stopped")


# ------------------------------------------------------------------------------- the trace


@pytest.mark.parametrize("behind", [b"", b'{"tick": 39, "target"', b'{"tick": 7}\n{"tick": 8'])
def test_the_trace_is_continued_where_the_run_goes_on(
    odd: Cli, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bytes
) -> None:
    monkeypatch.setenv("ODD", "handler:interrupt")
    assert odd("run", "odd.toml", "--folder", "run", "--set", "run.snapshot_every=3").code == 130
    monkeypatch.delenv("ODD")
    trace = tmp_path / "run/trace.jsonl"
    kept = trace.read_bytes()
    trace.write_bytes(kept[:-9] + behind)
    first = trace.stat().st_ino
    assert odd("resume", "run", "--json").json["digest"] == digest
    assert trace.read_bytes() == (tmp_path / "sound/trace.jsonl").read_bytes()
    assert trace.stat().st_ino == first, "it is the same file, not another one"
    assert trace.read_bytes().startswith(kept[:-9])


# -------------------------------------------------------------------------------- kill -9


KILLER = """
import os, pathlib, signal, sys

def killed_before(function, wanted):
    def call(*arguments):
        if wanted(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call

moment = sys.argv.pop(1)
if moment.startswith("journal"):
    number, write = int(moment.removeprefix("journal")), os.pwrite
    def pwrite(file, data, at):
        global number
        number -= 1
        if number:
            return write(file, data, at)
        write(file, data[: len(data) // 2], at)
        os.kill(os.getpid(), signal.SIGKILL)
    os.pwrite = pwrite
else:
    pathlib.Path.replace = killed_before(pathlib.Path.replace, lambda _, target: moment in str(target))
from neuraxis.cli import main
main()
"""


@pytest.mark.parametrize("moment", ["000000000015.nxs", "000000000040.nxs", "report.html", "odd.py"])
def test_a_run_that_is_killed_while_it_writes_a_file_goes_on(
    odd: Cli, digest: str, tmp_path: Path, moment: str
) -> None:
    _killed(tmp_path, moment)
    assert leftovers(tmp_path / "run") != [], "it was killed with a file half written"
    again = ["resume", "run"] if moment != "odd.py" else ["run", "odd.toml", "--folder", "run"]
    assert odd(*again, "--json").json["digest"] == digest
    assert leftovers(tmp_path / "run") == []
    assert odd("verify", "run").code == 0


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_run_that_is_killed_within_a_record_goes_on(odd: Cli, digest: str, tmp_path: Path, number: int) -> None:
    _killed(tmp_path, f"journal{number}")
    has_begun = number > 2  # the first line, the header
    if not has_begun:
        told = odd("resume", "run")
        assert told.code == 2
        assert "the run ended before it began. Run it again." in told.err
    again = ["resume", "run"] if has_begun else ["run", "odd.toml", "--folder", "run"]
    assert odd(*again, "--json").json["digest"] == digest
    assert odd("verify", "run").code == 0


def _killed(folder: Path, moment: str) -> None:
    (folder / "killer.py").write_text(KILLER)
    words = [sys.executable, "killer.py", moment, "run", "odd.toml", "--folder", "run"]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
