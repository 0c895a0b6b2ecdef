"""`neuraxis conform PACKAGE`"""

from __future__ import annotations

from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def conform(
    package: Annotated[str, typer.Argument(help="Import name of the package, such as neuraxis_snn.")],
    json: JsonOption = False,
) -> None:
    """Run the conformance suites that a plugin package declares in its module `conformance`.

    Prints a table of clauses for the package's README. Exit code 1 if a clause fails.
    """
    import importlib

    from msgspec.structs import asdict

    from neuraxis.cli.terminal import say, table
    from neuraxis.errors import PluginUnusable, UsageInvalid, counted, told
    from neuraxis.testing.suite import assert_uses_public_doors, run_suite, suites_of

    if not all(part.isidentifier() for part in package.split(".")):
        what = f"{package!r} is no import name"
        raise UsageInvalid(what=what, remedy="Write the name of an installed package, such as neuraxis_snn.")
    try:
        importlib.import_module(package)
        suites = suites_of(package)
    except ImportError as error:
        raise PluginUnusable(
            plugin=package,
            reason=f"it has no suites to run: {error}",
            remedy=f"Write {package}/conformance.py with subclasses of neuraxis.testing suites; "
            "`neuraxis new plugin` shows one.",
        ) from error
    except (Exception, SystemExit) as error:
        raise PluginUnusable(
            plugin=package, reason=f"it fails to import: {told(error)}", remedy="Repair or reinstall it."
        ) from error
    clauses = [clause for suite in suites for clause in run_suite(suite)]
    foreign = ""
    try:
        assert_uses_public_doors(package)
    except AssertionError as error:
        foreign = str(error)
    failed = [clause for clause in clauses if clause.state == "fails"]
    if json:
        say({"package": package, "clauses": [asdict(c) for c in clauses], "private_import": foreign or None})
    else:
        rows = [[clause.suite, clause.state, clause.sentence, clause.note] for clause in clauses]
        rows.append(["doors", "fails" if foreign else "holds", "imports only public rooms", foreign])
        table(f"{package}: {counted(len(clauses), 'clause')}", rows, head=["suite", "state", "clause", "note"])
    raise typer.Exit(1 if failed or foreign or not clauses else 0)
