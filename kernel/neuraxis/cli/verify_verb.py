"""`neuraxis verify RUN`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def verify(
    target: Annotated[Path, typer.Argument(help="A run folder, or one snapshot file.")],
    signed_by: Annotated[
        str | None, typer.Option(help="Public key (64 hexadecimal digits) that must have signed the snapshots.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check every byte of a run: the chain of its journal, its blobs, its snapshots and their signatures.

    Exit code 4 names the damaged file, part and byte.
    """
    from neuraxis.cli.terminal import say, table
    from neuraxis.files import is_file
    from neuraxis.integrity import check_run, check_snapshot

    findings = check_snapshot(target, signed_by) if is_file(target) else check_run(target, signed_by)
    if json:
        say(
            {"target": str(target), "sound": True, "checked": [{"file": name, "what": what} for name, what in findings]}
        )
    else:
        table(f"{target} is sound", [[name, what] for name, what in findings])
