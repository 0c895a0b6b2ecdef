"""`neuraxis explore SCENARIO`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuraxis.cli.terminal import JsonOption, LogOption

if TYPE_CHECKING:
    from neuraxis.explore.search import Found
    from neuraxis.launch import Opened
    from neuraxis.simulation import Simulation

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

UNTIL_MAX = 300


@app.command()
def explore(
    scenario: Annotated[Path, typer.Argument(help="The scenario file (TOML).")],
    seed: Annotated[int, typer.Option(help="Decides all plans of faults.")] = 0,
    cases: Annotated[int, typer.Option(help="Plans to try.", min=1)] = 100,
    until: Annotated[
        int | None, typer.Option(help=f"Last tick; default: the scenario's, at most {UNTIL_MAX}.", min=1)
    ] = None,
    plan: Annotated[str | None, typer.Option(help='Try this plan only: "crash a at 5; restart at 9".')] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value, as for run.")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes networks.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Search over real processes: strike runs on so many workers.", show_default=False),
    ] = None,
    transport: Annotated[
        str, typer.Option(help="With --workers: local:, nats://HOST:PORT, redis://HOST:PORT. A broker must run.")
    ] = "local:",
    faults: Annotated[int, typer.Option(help="With --workers: faults that must happen.", min=1)] = 20,
    patience: Annotated[
        float, typer.Option(help="With --workers: seconds of silence after which a worker counts as lost.", min=1.0)
    ] = 6.0,
    restart: Annotated[
        str | None,
        typer.Option(
            help="With --workers: the command that restarts the broker. Without it, the broker is not restarted.",
            show_default=False,
        ),
    ] = None,
    fill: Annotated[
        str | None,
        typer.Option(
            help="With --workers: the command after which the broker's disk is full. Without it, it is not filled.",
            show_default=False,
        ),
    ] = None,
    free: Annotated[
        str | None,
        typer.Option(help="With --fill: the command, two seconds later, that makes room again.", show_default=False),
    ] = None,
    json: JsonOption = False,
    log: LogOption = "ERROR",
) -> None:
    """Search for failures: perturb a scenario with seeded faults and check invariants and promises.

    A failure is shrunk to the fewest faults, and printed with the one command that reproduces it.
    Exit code 1 if an invariant breaks or an actor fails, 3 if two runs that must agree do not.

    With --workers, real processes are killed and stopped, the conductor too, frames between them are lost, repeated,
    delayed and cut, connections to a broker break, its disk is full, and every run is compared with one process: exit
    code 3 if a result differs, 1 after a hang or an error.
    """
    from neuraxis.cli.progress import progress
    from neuraxis.explore.search import Found, search
    from neuraxis.explore.trial import run_trial
    from neuraxis.faults import check_plan, parse_plan
    from neuraxis.launch import open_scenario
    from neuraxis.logs import set_up

    set_up(log)
    if workers is not None:
        from neuraxis.cli.explore_workers import Asked, explore_workers
        from neuraxis.cluster.epoch import Wish

        wish = Wish(workers, transport, patience=patience)
        asked = Asked(scenario, wish, seed, faults, until, plan, tuple(set_ or []), backend, restart, fill, free)
        raise typer.Exit(explore_workers(asked, as_json=json))
    opened = open_scenario(scenario, overrides=set_ or [], backend=backend)
    last = until if until is not None else min(opened.resolved.until, UNTIL_MAX)

    def invariant(sim: Simulation) -> str | None:
        return _broken_invariant(opened, sim)

    if plan is not None:
        planned = parse_plan(plan)
        check_plan(planned, opened.resolved.wiring)
        every = max(1, last // 20)
        trial = run_trial(opened.blueprint, planned, until=last, check_every=every, invariant=invariant, key=seed)
        silent = len(set(planned) - trial.fired)
        fired = {str(fault): 1 for fault in sorted(trial.fired)}
        found = Found(1, fired, silent, trial if trial.broken is not None else None)
    else:
        with progress(f"explore {opened.scenario.name}", cases, hidden=json) as show:
            found = search(
                opened.blueprint,
                until=last,
                cases=cases,
                seed=seed,
                invariant=invariant,
                show=lambda case: show(case, f"{case} plans"),
            )
    raise typer.Exit(_tell(found, scenario, last, seed, set_ or [], as_json=json))


def _broken_invariant(opened: Opened, sim: Simulation) -> str | None:
    from neuraxis.errors import told
    from neuraxis.result import figures_of

    for path, actor in sim.actors():
        try:
            broken = actor.invariant()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: what it raises is what was looked for
            broken = f"invariant() raised {told(error)}"
        if broken is not None:
            return f"{path}: {broken}"
    if opened.resolved.always:
        figures, troubles = figures_of(sim)
        if troubles:
            return troubles[0]
        known = {"ticks": sim.tick, "messages": sim.statistics.messages, **figures}
        for each in opened.resolved.always:
            broken = each.judge(known.get(each.figure))
            if broken is not None:
                return f"{each.figure}: {broken}"
    return None


def _tell(found: Found, scenario: Path, until: int, seed: int, overrides: list[str], *, as_json: bool) -> int:
    from neuraxis.cli.terminal import say, table
    from neuraxis.errors import counted
    from neuraxis.faults import plan_text

    failure = found.failure
    command = None
    if failure is not None:
        changes = "".join(f" --set '{each}'" for each in overrides)
        command = (
            f'neuraxis explore {scenario} --seed {seed} --until {until}{changes} --plan "{plan_text(failure.plan)}"'
        )
    if as_json:
        broken = failure.broken if failure is not None else None
        say(
            {
                "scenario": str(scenario),
                "cases": found.cases,
                "fired": found.fired,
                "silent": found.silent,
                "passed": failure is None,
                "promise": broken.promise if broken is not None else None,
                "finding": broken.finding if broken is not None else None,
                "plan": plan_text(failure.plan) if failure is not None else None,
                "command": command,
            }
        )
    else:
        rows = [[kind, str(count)] for kind, count in sorted(found.fired.items())]
        table(
            f"{counted(found.cases, 'plan')} of faults up to tick {until}",
            rows,
            head=["fault", "fired"] if rows else (),
        )
        if found.silent:
            print(f"  {counted(found.silent, 'planned fault')} did not fire: earlier faults left nothing to strike")
        if failure is None:
            print("no promise broke")
        else:
            assert failure.broken is not None, "a failure says what broke"
            print(f"\n{failure.broken.promise} does not hold: {failure.broken.finding}")
            print(f"smallest plan: {plan_text(failure.plan) or 'no faults at all'}\nreproduce with:\n  {command}")
    if failure is None or failure.broken is None:
        return 0
    return 3 if failure.broken.promise in ("P1", "P2") else 1
