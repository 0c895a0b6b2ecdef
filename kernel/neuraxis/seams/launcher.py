"""The seam of launchers: what starts the processes of workers, and ends them.

The command of a worker is the same everywhere (`neuraxis worker RUN --index 3 …`); a launcher decides where it runs.
It never carries messages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Started(Protocol):
    """One process of a worker."""

    def ended(self) -> int | None:
        """Return its exit code, or None while it runs or nobody can tell."""

    def kill(self) -> None:
        """End it at once, if that is possible; harmless if it has ended."""


@runtime_checkable
class Launcher(Protocol):
    """Starts workers."""

    @property
    def name(self) -> str:
        """The name by which `--launcher` asks for it."""

    @property
    def replaces(self) -> bool:
        """Whether it can start another process for a worker that is lost."""

    def start(self, arguments: list[str], log: Path) -> Started:
        """Start one worker.

        Args:
            arguments: Of the command `neuraxis`: `["worker", RUN, "--index", "3", …]`.
            log: Where its output goes.

        Raises:
            UsageInvalid: It cannot be started here; the remedy says what lacks.
        """
