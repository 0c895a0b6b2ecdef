"""How a distributed run stands: what its conductor writes into the run folder, and `neuraxis top` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from neuraxis.cluster.folder import STATUS_NAME, WORKERS
from neuraxis.errors import UsageInvalid
from neuraxis.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path


class WorkerStatus(Struct, frozen=True):
    """How a worker stands, for `neuraxis top`.

    Attributes:
        worker, incarnation, state, window, tick: As reported.
        doing: What its heart says.
        messages, batches, bytes: Delivered, sent.
        messages_s, bytes_s, windows_s: The same over the last seconds.
        lag: Windows that it is behind the first.
        busiest: Its busiest actors with their share of the time.
        silent_s: Seconds since the last sign of life.
        memory: Largest resident memory so far, bytes.
    """

    worker: int
    incarnation: int
    state: str
    window: int
    tick: int
    doing: str
    messages: int
    batches: int
    bytes: int
    messages_s: float
    bytes_s: float
    windows_s: float
    lag: int
    busiest: list[tuple[str, float]]
    silent_s: float
    memory: int


class Status(Struct, frozen=True):
    """How a distributed run stands. Written into the run folder twice a second."""

    run: str
    epoch: int
    tick: int
    until: int
    window: int
    stable_tick: int
    transport: str
    window_ticks: int
    wall_s: float
    replaced: int
    workers: list[WorkerStatus] = field(default_factory=list)


def write_status(run: Path, status: Status) -> None:
    """Write how a run stands.

    Raises:
        FileUnusable: The disk is full.
    """
    write_atomically(run / WORKERS / STATUS_NAME, [msgspec.json.encode(status)])


def read_status(run: Path) -> Status:
    """Return how a run stands.

    Raises:
        UsageInvalid: Workers do not own the run, or do not yet.
    """
    try:
        return msgspec.json.decode((run / WORKERS / STATUS_NAME).read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageInvalid(
            what=f"no workers run at {run}",
            remedy="Begin a run with: neuraxis run SCENARIO --workers N. What a run came to says: neuraxis resume RUN",
        ) from error


def stable_tick(run: Path) -> int:
    """Return the tick of the newest snapshot that all workers of a run have, as its conductor wrote it; else -1."""
    try:
        return read_status(run).stable_tick
    except UsageInvalid:
        return -1
