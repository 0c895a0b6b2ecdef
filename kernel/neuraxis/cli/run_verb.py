"""`neuraxis run SCENARIO`"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from neuraxis.cli.terminal import JsonOption, LogOption

NAME_CHARACTERS: Final = 80
"""Characters of a scenario's name that the name of its run folder takes over."""

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="The scenario file (TOML).")],
    seed: Annotated[int | None, typer.Option(help="Seed of all random streams, instead of the scenario's.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value: --set actors.relay.limit=5. May be repeated.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="What computes networks: numba, numpy, torch, cupy, reference.")
    ] = None,
    until: Annotated[str | None, typer.Option(help='Last tick, or model time: 5000 or "2 s".')] = None,
    trace: Annotated[str | None, typer.Option(help='"full" writes every delivery to trace.jsonl.')] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the HTML report here.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Run folder, instead of runs/SCENARIO-TIME.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --folder if it has begun, as `neuraxis resume`.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that share the run; the bits stay.", show_default=False)
    ] = None,
    transport: Annotated[
        str, typer.Option(help="The way between workers: local:, nats://HOST:PORT, redis://HOST:PORT.")
    ] = "local:",
    launcher: Annotated[str, typer.Option(help="What starts workers: local, slurm, or join for nobody.")] = "local",
    partition: Annotated[
        Path | None,
        typer.Option(help="Who owns what: a file of `neuraxis partition`; else by the graph.", show_default=False),
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds of silence after which a worker counts as lost.")] = 60.0,
    json: JsonOption = False,
    log: LogOption = "INFO",
) -> None:
    """Run a scenario.

    Writes a run folder with journal, snapshots and report, and ends with a short table. A killed run
    goes on with `neuraxis resume`.
    """
    from neuraxis.cli.drive import complete
    from neuraxis.launch import open_scenario
    from neuraxis.logs import set_up
    from neuraxis.simulation import Simulation
    from neuraxis.snapshot.sign import Signer

    set_up(log)
    if resume and _has_begun(folder):
        from neuraxis.cli.resume_verb import resume as go_on

        assert folder is not None, "it holds a run"
        go_on(
            folder,
            backend=backend,
            workers=workers,
            transport=transport,
            launcher=launcher,
            patience=patience,
            json=json,
            log=log,
        )
        return
    overrides = [*(set_ or []), *_as_overrides(until, trace)]
    if workers is not None:
        from neuraxis.cli.drive_workers import complete_on_workers, places_in
        from neuraxis.cluster.epoch import NO_SHARDS, Wish, begin

        opened = open_scenario(scenario, seed=seed, overrides=overrides, backend=backend, shards=NO_SHARDS)
        places = places_in(partition) if partition is not None else {}
        wish = Wish(workers, transport, launcher, places, patience)
        signer = Signer.from_environment()
        epoch = begin(opened, folder or _fresh_folder(opened.scenario.name), wish, signer=signer)
        raise typer.Exit(complete_on_workers(epoch, opened, report=report, as_json=json))
    opened = open_scenario(scenario, seed=seed, overrides=overrides, backend=backend)
    signer = Signer.from_environment()
    target = folder or _fresh_folder(opened.scenario.name)
    sim = Simulation(
        opened.blueprint,
        folder=target,
        plugins=opened.plugins,
        settings=opened.settings,
        wiring=opened.resolved.wiring,
    )
    sim.signer = signer
    raise typer.Exit(complete(sim, opened, opened.resolved.until, report=report, as_json=json))


def _has_begun(folder: Path | None) -> bool:
    from neuraxis.errors import UsageInvalid
    from neuraxis.launch import JOURNAL_NAME, has_begun

    if folder is None:
        raise UsageInvalid(what="--resume does not say which run to go on with", remedy="Name its --folder, too.")
    return has_begun(folder / JOURNAL_NAME)


def _as_overrides(until: str | None, trace: str | None) -> list[str]:
    overrides = []
    if until is not None:
        overrides.append(f"scenario.until={until}" if until.isdecimal() else f'scenario.until="{until}"')
    if trace is not None:
        overrides.append(f'run.trace="{trace}"')
    return overrides


def _fresh_folder(name: str) -> Path:
    """Make a folder below `runs` that was not there yet, named so that any shell and file system takes it."""
    from neuraxis.files import make_folder

    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:NAME_CHARACTERS] or "run"
    stem = f"{plain}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = Path("runs") / stem, 1
    make_folder(folder.parent)
    while not make_folder(folder, anew=True):  # made at once, so that of two runs in one second each has its own
        number += 1
        folder = Path("runs") / f"{stem}-{number}"
    return folder
