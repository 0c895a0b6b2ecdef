"""Driving a run on workers from the command line."""

from __future__ import annotations

import shlex
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from neuraxis.cli.drive import show_result
from neuraxis.cli.progress import progress
from neuraxis.cli.terminal import exit_code_of, tell_operator, tell_stop
from neuraxis.errors import NeuraxisError, UsageInvalid
from neuraxis.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from neuraxis.cluster.conductor import Conductor
    from neuraxis.cluster.epoch import Epoch
    from neuraxis.launch import Opened


def places_in(partition: Path) -> dict[str, int]:
    """Return who is placed where, as a file of `neuraxis partition` or of a person says: `{"places": {"relay": 1}}`.

    Raises:
        UsageInvalid, FileUnusable: It cannot be used.
    """
    data = read_bytes(partition, remedy="Write one with: neuraxis partition SCENARIO --workers N --out FILE")
    try:
        return msgspec.json.decode(data, type=_Places).places
    except msgspec.MsgspecError as error:
        raise UsageInvalid(
            what=f"{partition} is no partition: {error}", remedy='Write {"places": {"ACTOR OR GROUP": WORKER}}.'
        ) from error


class _Places(msgspec.Struct):
    places: dict[str, int]


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
