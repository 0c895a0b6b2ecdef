"""`neuraxis schema [PLUGIN…]`"""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def schema(
    plugins: Annotated[
        list[str] | None, typer.Argument(help="Plugins whose kinds of actors to include; default: all installed ones.")
    ] = None,
) -> None:
    """Print the JSON Schema of scenario files, by which editors complete and check them.

    Save it, and name it in the first line of a scenario: #:schema ./scenario.schema.json
    """
    import json

    from neuraxis.plugins.discover import installed
    from neuraxis.plugins.manager import Plugins
    from neuraxis.scenario.schema import schema as build

    print(json.dumps(build(Plugins(plugins or list(installed())).actors), indent=2, ensure_ascii=False))
