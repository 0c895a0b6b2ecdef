"""`neuraxis replay RUN`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    backend: Annotated[str | None, typer.Option(help="What computes networks, instead of what the run used.")] = None,
    json: JsonOption = False,
) -> None:
    """Execute a recorded run again, calling nothing outside, and compare it with its digests.

    Exit code 3 if it diverges; the message names the first block of ticks that differs.
    """
    from neuraxis.cli.progress import progress
    from neuraxis.cli.terminal import say
    from neuraxis.errors import counted
    from neuraxis.recorded import Recorded

    recorded = Recorded.open(run, backend=backend)
    with progress(f"replay {run.name}", recorded.end, hidden=json) as show:
        outcome = recorded.replay(lambda tick: show(tick, ""))
    if json:
        say(
            {
                "run": str(run),
                "ticks": outcome.ticks,
                "blocks": outcome.blocks,
                "digests": outcome.digests,
                "same": True,
            }
        )
    else:
        again, compared = counted(outcome.ticks, "tick"), counted(outcome.blocks, "recorded digest")
        print(f"{run}: {again} executed again, {compared}, all the same")
