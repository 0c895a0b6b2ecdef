"""`neuraxis snapshot list|inspect|verify|migrate`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="List, inspect, verify or migrate snapshots.",
)

RunArgument = Annotated[Path, typer.Argument(help="The run folder.")]
FileArgument = Annotated[Path, typer.Argument(help="The snapshot file, *.nxs.")]


@app.command("list")
def list_(run: RunArgument, json: JsonOption = False) -> None:
    """List the snapshots of a run, newest first, and whether they are sound."""
    from neuraxis.cli.terminal import say, table
    from neuraxis.errors import FileUnusable, counted
    from neuraxis.files import is_file
    from neuraxis.launch import JOURNAL_NAME
    from neuraxis.snapshot.shelf import Shelf, tick_of

    if not is_file(run / JOURNAL_NAME):
        remedy = f"Name the folder of a run, which holds {JOURNAL_NAME}."
        raise FileUnusable(path=str(run), reason="there is no run", remedy=remedy)
    entries = Shelf(run).entries()
    if json:
        found = [
            {"file": str(e.path), "tick": tick_of(e.path), "bytes": e.bytes, "damage": e.damage and e.damage.message()}
            for e in entries
        ]
        say({"run": str(run), "snapshots": found})
        return
    rows = [
        [
            e.path.name,
            f"{tick_of(e.path):,}",
            f"{e.bytes:,}",
            "sound" if e.damage is None else f"DAMAGED: {e.damage.message()}",
        ]
        for e in entries
    ]
    table(counted(len(entries), "snapshot"), rows, head=["file", "tick", "bytes", "state"])


@app.command()
def inspect(file: FileArgument, json: JsonOption = False) -> None:
    """Show what a snapshot holds: its facts and its parts."""
    from neuraxis.cli.terminal import say, table
    from neuraxis.files import read_bytes
    from neuraxis.snapshot.container import verify_snapshot

    manifest = verify_snapshot(file, read_bytes(file, remedy="Name a snapshot file, *.nxs."))
    parts = [{name: part[name] for name in part if name != "blocks"} for part in manifest.parts]
    if json:
        say({"file": str(file), "facts": manifest.facts, "parts": parts, "signed": any(manifest.signature)})
        return
    table(str(file), [[name, _short(value)] for name, value in manifest.facts.items()])
    rows = [
        [p["name"], p.get("dtype", ""), _shape(p), f"{p['size']:,}", f"{p['stored']:,}", p["encoding"]] for p in parts
    ]
    table("parts", rows, head=["part", "type", "shape", "bytes", "stored", "as"])


@app.command()
def verify(
    file: FileArgument,
    signed_by: Annotated[str | None, typer.Option(help="Public key that must have signed it.")] = None,
    json: JsonOption = False,
) -> None:
    """Check every byte of a snapshot, and its signature. Exit code 4 names the damaged part and byte."""
    from neuraxis.cli.verify_verb import verify as verify_any

    verify_any(file, signed_by, json)


@app.command()
def migrate(
    file: FileArgument,
    scenario: Annotated[Path, typer.Option(help="Scenario whose actors the state is for.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; never the source.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    json: JsonOption = False,
) -> None:
    """Bring the states in a snapshot up to the versions that the actors' classes declare now."""
    from neuraxis.cli.terminal import say, table
    from neuraxis.errors import UsageInvalid, counted
    from neuraxis.launch import open_scenario
    from neuraxis.snapshot.container import read_snapshot, write_snapshot
    from neuraxis.snapshot.migrate import migrate_snapshot

    opened = open_scenario(scenario)
    wiring = opened.resolved.wiring
    snapshot = read_snapshot(file, opened.blueprint.messages(wiring))
    wanted = {spec.kind: spec.cls.state_version for spec in wiring.specs if spec is not None}
    migrated, changes = migrate_snapshot(snapshot, wanted, opened.plugins.migrations)
    target = out or file.with_name(f"{file.stem}-migrated.nxs")
    if target.resolve() == file.resolve():
        raise UsageInvalid(what="the migrated snapshot would replace its source", remedy="Choose another --out.")
    written = not dry_run and bool(changes)
    if written:
        write_snapshot(target, migrated)
    if json:
        changed = [{"actor": c.actor, "field": c.field, "before": c.before, "after": c.after} for c in changes]
        say({"file": str(file), "written": str(target) if written else None, "changes": changed})
        return
    rows = [[c.actor, c.field, c.before, c.after] for c in changes]
    table(counted(len(changes), "change"), rows, head=["actor", "field", "before", "after"] if rows else ())
    print(f"written: {target}" if written else "nothing written")


def _shape(part: dict[str, Any]) -> str:
    return " x ".join(str(n) for n in part.get("shape", []))


def _short(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
