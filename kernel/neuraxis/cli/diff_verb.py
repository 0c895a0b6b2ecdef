"""`neuraxis diff A B`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(help="A run folder.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    json: JsonOption = False,
) -> None:
    """Find the first difference between two runs: tick, actor, message, field.

    Executes both again where their journals do not tell. Exit code 3 if they differ.
    """
    from msgspec.structs import asdict

    from neuraxis.cli.terminal import say
    from neuraxis.errors import Divergence
    from neuraxis.recorded import Recorded, difference

    left, right = Recorded.open(a), Recorded.open(b)
    made = left.made_differently(right)
    found = difference(left, right)
    if json:
        say({"same": found is None, "made_differently": made, "difference": asdict(found) if found else None})
    else:
        for line in made:
            print(f"note: {line}")
        print(found if found is not None else f"no difference up to tick {min(left.end, right.end):,}")
    raise typer.Exit(Divergence.exit_code if found is not None else 0)
