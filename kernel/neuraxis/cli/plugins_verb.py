"""`neuraxis plugins list|check`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", no_args_is_help=True, help="List or check installed plugins."
)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the installed plugins and what they offer. A broken one is shown, and breaks nothing else."""
    from neuraxis.cli.terminal import say, table
    from neuraxis.errors import NeuraxisError, counted
    from neuraxis.plugins.discover import installed
    from neuraxis.plugins.manager import Plugins

    found: list[dict[str, Any]] = []
    for name, point in installed().items():
        entry: dict[str, Any] = {"name": name, "distribution": point.dist.name if point.dist else "", "error": None}
        try:
            plugins = Plugins([name])
        except NeuraxisError as error:
            entry["error"] = error.message()
        else:
            mine = next(each for each in plugins.loaded if each.source.name == name)
            used = Plugins(mine.manifest.uses)  # what they offer is listed with them
            entry |= {
                "version": mine.source.version,
                "api": mine.manifest.api,
                "actors": sorted(plugins.actors.keys() - used.actors.keys()),
                "backends": sorted(plugins.backends.keys() - used.backends.keys()),
            }
        found.append(entry)
    if json:
        say({"plugins": found})
        return
    rows = [
        [e["name"], e["distribution"], e.get("version", ""), e["error"] or ", ".join([*e["actors"], *e["backends"]])]
        for e in found
    ]
    table(counted(len(found), "plugin"), rows, head=["name", "distribution", "version", "offers"] if rows else ())


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Plugins; default: all installed ones.")] = None,
    json: JsonOption = False,
) -> None:
    """Load plugins and call their registering hooks. Exit code 2 and the reason if one is broken."""
    from neuraxis.cli.terminal import say
    from neuraxis.errors import counted
    from neuraxis.plugins.discover import installed
    from neuraxis.plugins.manager import Plugins

    chosen = names or list(installed())
    for name in chosen:
        Plugins([name])
    if json:
        say({"plugins": chosen, "sound": True})
    else:
        print(f"{counted(len(chosen), 'plugin')} loaded and registered: {', '.join(chosen)}")
