"""Runs the command line inside the test's process."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., Told]]:
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
def ring_run(cli: Callable[..., Told], tmp_path: Path) -> Path:
    """Return the folder of a finished run of ring."""
    folder = tmp_path / "ring-run"
    assert cli("run", RING, "--folder", folder, "--set", "run.snapshot_every=4_000").code == 0
    return folder
