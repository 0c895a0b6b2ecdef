"""`neuraxis resume RUN`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption, LogOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    discard_damaged: Annotated[
        bool, typer.Option("--discard-damaged", help="Give up what lies behind a damaged record.")
    ] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on although the code changed; migrate older states.")
    ] = False,
    backend: Annotated[str | None, typer.Option(help="What computes networks, instead of what the run used.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the rest of the run.", show_default=False)
    ] = None,
    transport: Annotated[str, typer.Option(help="The way between workers.")] = "local:",
    launcher: Annotated[str, typer.Option(help="What starts workers: local, slurm, join.")] = "local",
    patience: Annotated[float, typer.Option(help="Seconds of silence after which a worker counts as lost.")] = 60.0,
    json: JsonOption = False,
    log: LogOption = "INFO",
) -> None:
    """Go on with a run that was stopped or killed, to the same bits.

    Starts from the newest sound snapshot and what the journal holds behind it. Resuming a finished run
    prints its result.
    """
    from neuraxis.cli.drive import complete, show_result
    from neuraxis.cli.terminal import tell_operator
    from neuraxis.cluster.epoch import merge_left_behind
    from neuraxis.launch import resume_run
    from neuraxis.logs import set_up
    from neuraxis.result import Judged, Result
    from neuraxis.snapshot.sign import Signer

    set_up(log)
    signer = Signer.from_environment()
    if workers is not None:
        from neuraxis.cli.drive_workers import complete_on_workers
        from neuraxis.cluster.epoch import Wish
        from neuraxis.cluster.epoch import resume as resume_on_workers
        from neuraxis.journal.record import End

        going = resume_on_workers(run, Wish(workers, transport, launcher, patience=patience), signer=signer)
        if not isinstance(going, End):
            raise typer.Exit(complete_on_workers(going, going.opened, report=None, as_json=json))
    merge_left_behind(run, signer=signer)
    resumption = resume_run(run, discard_damaged=discard_damaged, accept_changes=accept_changes, backend=backend)
    for note in resumption.notes:
        tell_operator(f"note: {note}")
    if resumption.end is not None:
        summary = {**resumption.end.result, "run": str(run)}  # it may have been moved since
        judged = tuple(Judged(*each) for each in summary.pop("judged", []))
        result = Result(summary, judged)
        show_result(result, as_json=json)
        raise typer.Exit(0 if result.passed else 1)
    assert resumption.simulation is not None, "a run is either complete or goes on"
    assert resumption.opened is not None, "resume_run opens the scenario"
    resumption.simulation.signer = signer
    opened = resumption.opened
    raise typer.Exit(complete(resumption.simulation, opened, opened.resolved.until, report=None, as_json=json))
