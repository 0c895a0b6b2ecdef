"""The process of a conductor that a campaign may kill.

It begins a run, or goes on with one whose conductor was killed, as `neuraxis run` and `neuraxis resume` do. Its workers
are those that a campaign can strike; it says which processes it started, and at the end what the run came to.

    ORDERS/task          what to run
    ORDERS/processes     a line for each process of a worker: its number and its process id
    ORDERS/7.stopped     process 7 was stopped by the campaign, which lets it go on later
    ORDERS/7.given-up    its conductor took it for dead meanwhile, and left it alone
    ORDERS/came-to       what the run came to
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any, Final, final

import msgspec
from msgspec import Struct

from neuraxis.cluster.epoch import NO_SHARDS, Epoch, Wish, begin, resume
from neuraxis.cluster.launchers import LEASH, Process, spawn
from neuraxis.cluster.worker import leashed
from neuraxis.errors import NeuraxisError, WorkerLost, told
from neuraxis.files import write_atomically
from neuraxis.journal.record import End
from neuraxis.launch import open_scenario
from neuraxis.logs import set_up

LOOK_S: Final = 0.05
ENDS_S: Final = 15.0
"""Seconds, beside the patience, that a process has to end by itself once its run is over or its conductor gone."""


@final
class Task(Struct, frozen=True):
    """What to run.

    Attributes:
        scenario: The scenario file.
        overrides, backend: As for `neuraxis run`.
        folder: The run folder.
        wish: How the run is distributed; its URL holds no secret.
        seed: Decides which frames are struck.
    """

    scenario: str
    overrides: list[str]
    backend: str | None
    folder: str
    wish: Wish
    seed: int


@final
class CameTo(Struct, frozen=True):
    """What a run came to.

    Attributes:
        summary: Of the result; None if there is none.
        error: Why there is none.
        exit_code: Of that error.
    """

    summary: dict[str, Any] | None
    error: str = ""
    exit_code: int = 0


def task_path(orders: Path) -> Path:
    """Return where the task lies."""
    return orders / "task"


def processes_path(orders: Path) -> Path:
    """Return where the processes are listed."""
    return orders / "processes"


def stopped_path(orders: Path, pid: int) -> Path:
    """Return what is there while a process is stopped."""
    return orders / f"{pid}.stopped"


def given_up_path(orders: Path, pid: int) -> Path:
    """Return what is there once a stopped process was taken for dead."""
    return orders / f"{pid}.given-up"


def came_to_path(orders: Path) -> Path:
    """Return where the end is told."""
    return orders / "came-to"


@final
class _Soldier:
    """A process of a worker, which may be out of reach for its conductor."""

    def __init__(self, process: Process, orders: Path) -> None:
        self._process = process
        self._orders = orders

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_stopped(self) -> bool:
        return stopped_path(self._orders, self.pid).exists()

    def ended(self) -> int | None:
        return self._process.ended()

    def kill(self) -> None:
        if self.is_stopped:
            given_up_path(self._orders, self.pid).touch()
        else:
            self._process.kill()


@final
class _Launcher:
    """Starts workers whose links can be struck, and lists their processes."""

    name: Final = "campaign"
    replaces: Final = True

    def __init__(self, orders: Path, seed: int) -> None:
        self.started: list[_Soldier] = []
        self._orders = orders
        self._command = [sys.executable, "-m", "neuraxis.explore.struck_worker"]
        self._command += ["--orders", str(orders), "--frame-seed", str(seed)]

    def start(self, arguments: list[str], log: Path) -> _Soldier:
        process = spawn([*self._command, *arguments], log, {**os.environ, LEASH: "1"})
        with processes_path(self._orders).open("a") as listed:
            listed.write(f"{arguments[arguments.index('--index') + 1]} {process.pid}\n")
        self.started.append(_Soldier(process, self._orders))
        return self.started[-1]

    def await_ends(self, seconds: float) -> None:
        """See that every process ends by itself, those too whose place another one took, while its conductor lives.

        Raises:
            WorkerLost: One does not.
        """
        until = time.monotonic() + seconds
        for each in self.started:
            while each.ended() is None and not each.is_stopped:  # what is stopped ends once it goes on
                if time.monotonic() > until:
                    raise WorkerLost(
                        worker=0,
                        reason=f"process {each.pid} of a worker does not end, though its run is over",
                        remedy="Look at its log.",
                    )
                time.sleep(LOOK_S)


def conduct(task: Task, orders: Path, *, anew: bool) -> dict[str, Any]:
    """Conduct a run to its end, and return the summary of its result.

    Raises:
        NeuraxisError: As `begin`, `resume` and `Epoch.run`.
    """
    launcher = _Launcher(orders, task.seed)
    folder = Path(task.folder)
    going: Epoch | End
    if anew:
        opened = open_scenario(Path(task.scenario), overrides=task.overrides, backend=task.backend, shards=NO_SHARDS)
        going = begin(opened, folder, task.wish, launcher=launcher)
    else:
        going = resume(folder, task.wish, launcher=launcher)
    if isinstance(going, End):
        return going.result
    try:
        merged = going.run(lambda _tick, _note: None)
        launcher.await_ends(task.wish.patience + ENDS_S)
        return going.conclude(merged, report=None).summary
    finally:
        going.close()


def main() -> None:
    """Conduct the run of a task, and tell what it came to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=Path, required=True)
    parser.add_argument("--anew", action="store_true")
    given = parser.parse_args()
    leashed()
    set_up("INFO")
    task = msgspec.msgpack.decode(task_path(given.orders).read_bytes(), type=Task)
    try:
        came_to = CameTo(conduct(task, given.orders, anew=given.anew))
    except NeuraxisError as error:
        came_to = CameTo(None, told(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever a run under faults raises is what was looked for
        came_to = CameTo(None, f"it ended with {told(error)}", 1)
    write_atomically(came_to_path(given.orders), [msgspec.msgpack.encode(came_to)])


if __name__ == "__main__":
    main()
