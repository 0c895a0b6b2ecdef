"""The processes of the workers of a round, as the campaign sees them: children of a conductor, which may be killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from neuraxis.explore.struck_conductor import given_up_path, processes_path, stopped_path

AWAKE_AFTER_S: Final = 1.0
"""Seconds from when a stopped process was taken for dead to when it goes on."""


@final
class Soldiers:
    """Processes that a campaign strikes. They are known by the list that their conductors write.

    Args:
        orders: The folder of the round; its path is in the command line of each of them, so that another process
            that got the same number later is left alone.
    """

    def __init__(self, orders: Path) -> None:
        self._orders = orders
        self._struck: set[int] = set()
        self._stopped: dict[int, float | None] = {}

    def _listed(self) -> list[tuple[int, int]]:
        """Worker and process id of all that were started, oldest first."""
        try:
            lines = processes_path(self._orders).read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(int(worker), int(pid)) for worker, pid in map(str.split, lines)]

    def living(self) -> list[int]:
        """Return those that have not ended."""
        return [pid for _, pid in self._listed() if self._is_alive(pid)]

    def _is_alive(self, pid: int) -> bool:
        try:
            return os.fsencode(self._orders) in Path(f"/proc/{pid}/cmdline").read_bytes()  # empty once it has ended
        except OSError:
            return False

    def strike(self, worker: int, *, stop: bool) -> bool:
        """Kill or stop the newest process of a worker, and return whether there was one that was not struck yet."""
        pid = dict(self._listed()).get(worker)
        if pid is None or pid in self._struck or not self._is_alive(pid):
            return False
        self._struck.add(pid)
        if stop:
            self._stopped[pid] = None
            stopped_path(self._orders, pid).touch()
        os.kill(pid, signal.SIGSTOP if stop else signal.SIGKILL)
        return True

    def wake(self, now: float) -> None:
        """Let those go on that were stopped, and taken for dead a while ago."""
        for pid, given_up in list(self._stopped.items()):
            if given_up is not None and now - given_up >= AWAKE_AFTER_S:
                self._go_on(pid)
            elif given_up is None and given_up_path(self._orders, pid).exists():
                self._stopped[pid] = now

    def wake_all(self) -> None:
        """Let all go on that were stopped."""
        for pid in list(self._stopped):
            self._go_on(pid)

    def _go_on(self, pid: int) -> None:
        del self._stopped[pid]
        stopped_path(self._orders, pid).unlink()
        if self._is_alive(pid):
            os.kill(pid, signal.SIGCONT)

    def kill_all(self) -> None:
        """End all that live."""
        for pid in self.living():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
