"""`neuraxis worker RUN`"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import LogOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def worker(
    run: Annotated[Path, typer.Argument(help="The run folder, which all workers share.")],
    index: Annotated[
        int | None,
        typer.Option(help="Which worker, from 1; else from SLURM_PROCID, JOB_COMPLETION_INDEX or the host's name."),
    ] = None,
    incarnation: Annotated[
        int | None, typer.Option(help="How many processes this worker has had, with this one; else the next.")
    ] = None,
    from_tick: Annotated[
        int | None, typer.Option(help="The snapshot to begin from, -1 for none; else the newest that all have.")
    ] = None,
    transport: Annotated[str | None, typer.Option(help="Where to meet the others, instead of what the plan says.")] = (
        None
    ),
    wait: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds to wait for the run to begin, and for its merge at the end."),
    ] = None,
    log: LogOption = "INFO",
) -> None:
    """Work for a run that `neuraxis run --workers` conducts.

    Started by the conductor; or, with `--launcher join`, by whoever runs workers: a StatefulSet, a Slurm step, a
    person. Secrets of the transport come from the environment. With `--wait` it may start before the run, and
    whoever starts it again whenever it ends does no harm; where the run is over, it ends at once.
    """
    from neuraxis.cli.terminal import tell_operator
    from neuraxis.cluster.epoch import transport_of
    from neuraxis.cluster.folder import processes_of, read_plan
    from neuraxis.cluster.local import LOOKS_ALONE, Local
    from neuraxis.cluster.member import REPLACED
    from neuraxis.cluster.status import stable_tick
    from neuraxis.cluster.worker import await_merge, await_plan, leashed, pin, serve
    from neuraxis.logs import set_up

    is_child = leashed()
    set_up(log)
    if wait is not None and not await_plan(run, wait, tell_operator):
        tell_operator(f"the run in {run} is over")
        return
    plan = read_plan(run)
    me = index if index is not None else _own_index()
    _require_worker(me, len(plan.workers))
    number = incarnation if incarnation is not None else len(processes_of(run, me)) + 1
    tick = from_tick if from_tick is not None else stable_tick(run)
    way = transport_of(transport or plan.transport)
    if is_child and pin(me, len(plan.workers)) and isinstance(way, Local):
        way.looks = LOOKS_ALONE
    left = serve(run, me, number, tick, way)
    if left:
        print(f"worker {me} leaves: {left}")
    if wait is not None and left != REPLACED:
        await_merge(run, plan.epoch, wait)


def _own_index() -> int:
    """Return which worker this is, from what Slurm or Kubernetes say; they count from 0."""
    from neuraxis.errors import UsageInvalid

    for name in ("SLURM_PROCID", "JOB_COMPLETION_INDEX", "OMPI_COMM_WORLD_RANK"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name]) + 1
    ordinal = re.search(r"-(\d+)$", os.environ.get("HOSTNAME", ""))
    if ordinal is not None:
        return int(ordinal[1]) + 1
    raise UsageInvalid(what="it is not clear which worker this is", remedy="Write --index 1, 2, …")


def _require_worker(index: int, workers: int) -> None:
    from neuraxis.errors import UsageInvalid

    if not 1 <= index <= workers:
        raise UsageInvalid(what=f"the run has no worker {index}", remedy=f"Write --index 1 … {workers}.")
