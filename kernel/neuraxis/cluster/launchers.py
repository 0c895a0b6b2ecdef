"""Launchers: processes of this host, steps of a Slurm job, or whoever joins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final, final

from neuraxis.errors import UsageInvalid
from neuraxis.files import make_folder, unusable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis.seams.launcher import Launcher, Started

LEASH: Final = "NEURAXIS_WORKER_LEASH"
"""Environment variable of a worker that ends when its standard input does: with whoever started it."""


@final
class Process:
    """A child of this process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def spawn(command: list[str], log: Path, environment: dict[str, str]) -> Process:
    """Start a child process with its output in a file.

    Raises:
        FileUnusable: The file cannot be written, or the program not be started.
    """
    make_folder(log.parent)
    try:
        with log.open("ab") as output:
            return Process(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for the conductor, which ends its workers in order
                )
            )
    except OSError as error:
        raise unusable(log, error, "Check the permissions of the run folder.") from error


@final
class Local:
    """Processes of this host."""

    name: Final = "local"
    replaces: Final = True

    def start(self, arguments: list[str], log: Path) -> Started:
        """Start a child process; it ends when this process does, however that comes about."""
        command = [sys.executable, "-m", "neuraxis", *arguments]
        return spawn(command, log, {**os.environ, LEASH: "1"})


@final
class Slurm:
    """Steps of the Slurm job that the conductor runs in; one task each."""

    name: Final = "slurm"
    replaces: Final = True

    def start(self, arguments: list[str], log: Path) -> Started:
        """Start a job step with `srun`."""
        srun = shutil.which("srun")
        if srun is None or "SLURM_JOB_ID" not in os.environ:
            raise UsageInvalid(
                what="there is no Slurm job here",
                remedy="Run this command in one: salloc or sbatch first. Or leave out --launcher slurm.",
            )
        step = [srun, "--ntasks=1", "--nodes=1", "--exact", "--kill-on-bad-exit=0", "--job-name=neuraxis-worker"]
        return spawn([*step, sys.executable, "-m", "neuraxis", *arguments], log, dict(os.environ))


@final
class _Joined:
    """A worker that somebody else started."""

    def ended(self) -> int | None:
        return None

    def kill(self) -> None:
        """It is not ours to end; frames of it are refused from now on."""


@final
class Join:
    """Nobody is started: workers join with `neuraxis worker RUN`, from a StatefulSet, by hand, from anywhere."""

    name: Final = "join"
    replaces: Final = False

    def start(self, arguments: list[str], log: Path) -> Started:
        """Start nothing."""
        return _Joined()


LAUNCHERS: Final[dict[str, Callable[[], Launcher]]] = {"local": Local, "slurm": Slurm, "join": Join}
"""Those that the kernel brings; plugins offer others with the hook `register_launchers`."""
