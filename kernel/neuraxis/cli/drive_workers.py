"""Driving a run on workers from the command line."""

from __future__ import annotations

import shlex
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from neuraxis.cli.drive import show_result
from neuraxis.cli.progress import progress
from neuraxis.cli.terminal import exit_code_of, tell_operator, tell_stop
from neuraxis.cluster.epoch import Wish
from neuraxis.errors import NeuraxisError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neuraxis.cluster.conductor import Conductor
    from neuraxis.cluster.epoch import Epoch
    from neuraxis.launch import Opened


def wish_of(
    opened: Opened, scenario: Path, workers: int, transport: str, launcher: str, partition: str | None, patience: float
) -> Wish:
    """Return how a run is to be distributed, as the command line says.

    Raises:
        UsageInvalid, FileUnusable: The partition cannot be used.
    """
    del opened, scenario, partition
    return Wish(workers, transport, launcher, patience=patience)


def complete_on_workers(epoch: Epoch, opened: Opened, *, report: Path | None, as_json: bool) -> int:
    """Run on workers to the end, tell what it came to, and return the exit code."""
    how = f"go on with: neuraxis resume {shlex.quote(str(epoch.folder))}"
    plan = epoch.plan
    if not as_json:
        count = len(plan.workers)
        tell_operator(
            f"{opened.scenario.name}: {count} worker{'s' if count > 1 else ''}, windows of {plan.window:,} ticks, "
            f"{plan.transport}; neuraxis top {epoch.folder} watches them"
        )
    try:
        try:
            with progress(opened.scenario.name, plan.until, hidden=as_json) as show, _restarts(epoch.conductor):
                merged = epoch.run(show)
            result = epoch.conclude(merged, report=report)
        finally:
            epoch.close()
    except KeyboardInterrupt as error:
        return tell_stop(f"stopped; {how}", exit_code_of(error), as_json=as_json)
    except NeuraxisError as error:
        error.add_note(f"The run stands at its newest snapshot; {how}")
        raise
    show_result(result, as_json=as_json)
    return 0 if result.passed else 1


@contextmanager
def _restarts(conductor: Conductor) -> Iterator[None]:
    """While it lasts, SIGUSR1 replaces all workers, one after the other."""

    def restart(_number: int, _frame: Any) -> None:
        conductor.restart_all()

    before = signal.signal(signal.SIGUSR1, restart)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
