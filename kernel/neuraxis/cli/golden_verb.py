"""`neuraxis golden check|update`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuraxis.cli.terminal import JsonOption

if TYPE_CHECKING:
    from neuraxis.simulation import Simulation
    from neuraxis.trace.golden import Golden

app = typer.Typer(
    add_completion=False, rich_markup_mode="markdown", no_args_is_help=True, help="Check or update goldens."
)


@app.command()
def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Goldens; default: all below golden/.")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes networks.")] = None,
    json: JsonOption = False,
) -> None:
    """Run the scenario of each golden and compare. Exit code 3 and the first divergence if one differs."""
    from neuraxis.cli.progress import progress
    from neuraxis.cli.terminal import say
    from neuraxis.errors import counted
    from neuraxis.trace.golden import check as compare
    from neuraxis.trace.golden import read_golden

    chosen = files or sorted(Path("golden").glob("**/*.json"))
    checked = []
    with progress("goldens", len(chosen), hidden=json) as show:
        for number, file in enumerate(chosen):
            show(number, file.name)
            golden = read_golden(file)
            with _run(file, golden.scenario, golden.overrides, golden.seed, golden.until, backend) as sim:
                compare(sim, golden, command=f'neuraxis golden update {file} --reason "…"')
            checked.append({"golden": str(file), "scenario": golden.scenario, "ticks": golden.until, "same": True})
    if json:
        say({"goldens": checked})
    else:
        print(f"{counted(len(checked), 'golden')}, all the same")


@app.command()
def update(
    file: Annotated[Path, typer.Argument(help="The golden to make or change.")],
    reason: Annotated[str, typer.Option(help="Why; a sentence that stays in the file.")],
    scenario: Annotated[Path | None, typer.Option(help="Scenario, for a new golden.")] = None,
    until: Annotated[str | None, typer.Option(help="Last tick or model time; default: as before.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; default: as before, or the scenario's.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value, as for run.")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes networks.")] = None,
) -> None:
    """Make a golden, or change it on purpose."""
    from neuraxis.cli.terminal import tell_operator
    from neuraxis.errors import UsageInvalid
    from neuraxis.files import is_file, make_folder
    from neuraxis.trace.golden import read_golden, take, write_golden

    old: Golden | None = read_golden(file) if is_file(file) else None
    if scenario is None and old is None:
        raise UsageInvalid(what=f"{file} does not exist yet", remedy="Name its scenario with --scenario.")
    make_folder(file.parent)
    relative = old.scenario if scenario is None and old is not None else _relative(scenario or Path(), file)
    overrides = tuple(set_) if set_ else (old.overrides if old is not None else ())
    end = until if until is not None else (old.until if old is not None else None)
    with _run(
        file, relative, overrides, seed if seed is not None else (old.seed if old else None), end, backend
    ) as sim:
        golden = write_golden(file, take(sim, scenario=relative, overrides=overrides), reason=reason)
    if old is not None and old.digests == golden.digests:
        tell_operator("the digests are the same as before")
    print(
        f"{file}: {golden.until} ticks, {', '.join(f'{name} {value[:16]}' for name, value in golden.digests.items())}"
    )


def _relative(scenario: Path, golden: Path) -> str:
    import os

    return Path(os.path.relpath(scenario.resolve(), golden.resolve().parent)).as_posix()


def _run(
    golden: Path,
    scenario: str,
    overrides: tuple[str, ...],
    seed: int | None,
    until: int | str | None,
    backend: str | None,
) -> Simulation:
    from neuraxis.launch import open_scenario
    from neuraxis.simulation import Simulation

    opened = open_scenario(golden.parent / scenario, seed=seed, overrides=overrides, backend=backend)
    sim = Simulation(opened.blueprint, plugins=opened.plugins)
    end = opened.resolved.until if until is None else until
    return sim.advance(until=int(end) if isinstance(end, str) and end.isdecimal() else end)
