"""`neuraxis inspect WHAT RUN`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def inspect(
    what: Annotated[str, typer.Argument(help="What to look at: spikes, or what a plugin of the scenario offers.")],
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    actor: Annotated[str | None, typer.Option(help="Path of the only actor to look at.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a picture of it here.")] = None,
    neo: Annotated[Path | None, typer.Option(help="Write it here as a NIX file, for Neo and Elephant.")] = None,
    backend: Annotated[str | None, typer.Option(help="What builds networks, instead of what the run used.")] = None,
    json: JsonOption = False,
) -> None:
    """Look at what a run recorded, at its newest snapshot. Executes nothing, and changes nothing.

    `spikes` needs an actor that records them, such as `snn.spike_monitor`.
    """
    from neuraxis.cli.terminal import say, table
    from neuraxis.inspection import inspect_run, write_files

    inspected = inspect_run(run, what, actor=actor, backend=backend)
    wanted = {kind: path for kind, path in (("png", png), ("neo", neo)) if path is not None}
    write_files(inspected.found, what, wanted)
    if json:
        facts: dict[str, Any] = {"what": what, "run": str(run), "scenario": inspected.scenario}
        facts |= {"tick": inspected.tick, "time": inspected.time, "actors": dict(inspected.found.values)}
        say({**facts, "written": {kind: str(path) for kind, path in wanted.items()}, "notes": list(inspected.notes)})
        return
    for note in inspected.notes:
        print(f"note: {note}", file=sys.stderr)
    head, *rows = inspected.found.rows
    title = f"{what} of {inspected.scenario} at the end of tick {inspected.tick:,} ({inspected.time})"
    table(title, rows, head=head)
    for path in wanted.values():
        print(f"written: {path}")
