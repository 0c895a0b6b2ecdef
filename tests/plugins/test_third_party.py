"""A plugin by a third party: written by `new plugin`, built, installed in an environment of its own, and used there."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={**os.environ, "PYTEST_ADDOPTS": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plugin's sources, and an environment in which the built package is installed."""
    folder = tmp_path_factory.mktemp("third-party")
    call(sys.executable, "-m", "neuraxis", "new", "plugin", "low-pass", cwd=folder)
    venv.create(folder / "env", with_pip=False)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    # the environment sees what this one has installed: neuraxis and its libraries, with their own path files
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "beside.pth").write_text("\n".join(lines) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "env" / "bin" / "python"]
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    call(*pip, "install", *options, folder / "neuraxis-low-pass", cwd=folder)
    return folder


def python(home: Path, *arguments: str | Path) -> str:
    return call(home / "env" / "bin" / "python", *arguments, cwd=home / "neuraxis-low-pass")


@pytest.mark.slow
def test_it_is_installed_there_and_nowhere_else(home: Path) -> None:
    where = python(home, "-c", "import neuraxis_low_pass; print(neuraxis_low_pass.__file__)")
    assert str(home / "env") in where
    found = subprocess.run([sys.executable, "-c", "import neuraxis_low_pass"], capture_output=True, check=False)
    assert found.returncode != 0


@pytest.mark.slow
def test_its_own_tests_are_green_from_the_start(home: Path) -> None:
    told = python(home, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")
    assert "passed" in told


@pytest.mark.slow
def test_it_conforms(home: Path) -> None:
    told = python(home, "-m", "neuraxis", "conform", "neuraxis_low_pass")
    assert "holds" in told
    assert "fails" not in told


@pytest.mark.slow
def test_a_scenario_that_uses_it_runs_and_its_lock_names_it(home: Path) -> None:
    told = python(home, "-m", "neuraxis", "run", "scenarios/low-pass.toml", "--folder", "run")
    assert "ok      smoother.level" in told
    assert '"low-pass"' in python(home, "-m", "neuraxis", "plugins", "list", "--json")
    from neuraxis.journal.read import read_journal

    header = read_journal(home / "neuraxis-low-pass" / "run" / "journal.nxj", {}, header_only=True).header
    assert "low-pass" in [entry["name"] for entry in header.lock]
