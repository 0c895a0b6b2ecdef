"""`neuraxis why RUN MESSAGE`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def why(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    message: Annotated[str, typer.Argument(help="PATH#SEQUENCE: message SEQUENCE of an actor, from 0.")],
    limit: Annotated[int, typer.Option(help="Lines to print.")] = 30,
    json: JsonOption = False,
) -> None:
    """Walk from a message back to the inputs that caused it. Executes the run again, calling nothing outside."""
    from neuraxis.cli.terminal import say
    from neuraxis.recorded import Recorded
    from neuraxis.trace.why import explain

    recorded = Recorded.open(run)
    explanation = explain(recorded.execute, message)
    if json:
        import msgspec

        say(msgspec.to_builtins(explanation))
    else:
        print("\n".join(explanation.lines(limit=limit)))
