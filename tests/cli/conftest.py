"""Runs the command line inside the test's process, and as one of its own that is treated roughly.

Whatever happens to it (`test_breakage_….py`), a command ends with the exit code that it promises and one screen that
says what to do, and the run goes on to the digest of one that nothing happened to.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from neuraxis.cli import main

ROOT = Path(__file__).parents[2]
RING = str(ROOT / "scenarios" / "ring.toml")


class Told(Struct, frozen=True):
    """What a command came to: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


Cli = Callable[..., Told]

SCENARIO = """
neuraxis = 1

[scenario]
name = "odd"
until = 40
plugins = ["odd.py"]

[run]
trace = "full"
snapshot_every = 15

[actors.odd]
kind = "odd"

[actors.ear]
kind = "ear"

[[channels]]
from = "odd.told"
to = "ear.heard"
"""

WIDTH_MAX = 700
LINES_MAX = 30


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Cli]:
    """Run `neuraxis …` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger("neuraxis")
    handlers, level = list(root.handlers), root.level

    def run(*arguments: object) -> Told:
        monkeypatch.setattr(sys, "argv", ["neuraxis", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        captured = capsys.readouterr()
        return Told(code if isinstance(code, int) else 0, captured.out, captured.err)

    yield run
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def ring_run(cli: Cli, tmp_path: Path) -> Path:
    """Return the folder of a finished run of ring."""
    folder = tmp_path / "ring-run"
    assert cli("run", RING, "--folder", folder, "--set", "run.snapshot_every=4_000").code == 0
    return folder


@pytest.fixture
def odd(cli: Cli, tmp_path: Path) -> Iterator[Cli]:
    """Run commands in a folder with the scenario `odd.toml`, whose actors do what they are told by ODD."""
    shutil.copy(ROOT / "tests" / "cli" / "odd.py", tmp_path)
    (tmp_path / "odd.toml").write_text(SCENARIO)
    yield cli
    sys.modules.pop("neuraxis_scenario_odd", None)


@pytest.fixture
def digest(odd: Cli) -> str:
    """Run the scenario without any trouble, in the folder `sound`, and return its digest."""
    return str(odd("run", "odd.toml", "--folder", "sound", "--json").json["digest"])


def command(*arguments: object, env: Mapping[str, str] = {}, shell: str = '"$@"', **options: Any) -> Told:
    """Run `neuraxis …` as a process of its own; `shell` says with what around it."""
    words = [sys.executable, "-m", "neuraxis", *map(str, arguments)]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *words],
        env={**os.environ, "PYTHONUNBUFFERED": "", **env},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
        **options,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def one_screen(text: str) -> str:
    """Check that an error fits on a screen and is no traceback of ours."""
    assert "Traceback" not in text
    assert len(text.splitlines()) <= LINES_MAX
    assert max(map(len, text.splitlines()), default=0) <= WIDTH_MAX, text
    return text


def leftovers(folder: Path) -> list[str]:
    """Return what is no whole file of a run."""
    whole = {"journal.nxj", "report.html", "trace.jsonl", "odd.py", "ring.py"}
    return [
        str(each) for each in folder.rglob("*") if each.is_file() and each.name not in whole and each.suffix != ".nxs"
    ]
