"""Runs over real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `neuraxis …` as a process of its own; what still runs at the end is killed."""
    begun: list[subprocess.Popen[str]] = []

    def run(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "neuraxis", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Wait for a command with `--json`; return its exit code, its object and its standard error."""
    out, err = process.communicate(timeout=240)
    return process.returncode, json.loads(out) if out.strip() else {}, err


def status_of(run: Path) -> dict[str, Any] | None:
    """Return what the conductor of a run wrote last; None if there is nothing."""
    try:
        found: dict[str, Any] = json.loads((run / "workers" / "status.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def wait_until(holds: Callable[[], Any], *, what: str) -> Any:
    """Wait until something holds, and return it."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


def reaches(run: Path, tick: int) -> Callable[[], Any]:
    """Return a condition: all workers have reached a tick."""

    def holds() -> bool:
        status = status_of(run)
        return status is not None and status["tick"] >= tick

    return holds


def processes_of(run: Path, worker: int) -> list[int]:
    """Return the process ids of a worker of a run."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(run).encode() in words and b"worker" in words:
            index = words[words.index(b"--index") + 1] if b"--index" in words else b""
            if index == str(worker).encode():
                found.append(int(entry.name))
    return found
