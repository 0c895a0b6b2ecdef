"""`neuraxis partition SCENARIO`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuraxis.cli.terminal import JsonOption, LogOption

if TYPE_CHECKING:
    from neuraxis.cluster.measure import Measured
    from neuraxis.wiring import Wiring

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def partition(
    scenario: Annotated[Path, typer.Argument(help="The scenario file (TOML).")],
    workers: Annotated[int, typer.Option(min=1, help="How many workers are to share it.")] = 2,
    ticks: Annotated[int, typer.Option(min=1, help="Ticks to measure at most.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=0.0, help="Seconds to measure at most.")] = 10.0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value. May be repeated.")] = None,
    backend: Annotated[str | None, typer.Option(help="What computes networks.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the partition here, for `run --partition`.")] = None,
    json: JsonOption = False,
    log: LogOption = "INFO",
) -> None:
    """Measure what actors cost and send, and cut a scenario for several workers.

    The cut keeps channels of short delay inside a worker, so that windows are long; then it makes loads even, and
    sends little. No result depends on it.
    """
    from neuraxis.cli.terminal import say, table
    from neuraxis.cluster.measure import measure
    from neuraxis.cluster.plan import cut, window_of
    from neuraxis.errors import UsageInvalid
    from neuraxis.files import write_atomically
    from neuraxis.launch import open_scenario
    from neuraxis.logs import set_up
    from neuraxis.simulation import Simulation

    set_up(log)
    opened = open_scenario(scenario, overrides=set_ or [], backend=backend)
    wiring = opened.resolved.wiring
    with Simulation(opened.blueprint, plugins=opened.plugins, settings=opened.settings, wiring=wiring) as sim:
        found = measure(sim, ticks=min(ticks, opened.resolved.until), seconds=seconds)
    if not any(found.costs.values()):
        raise UsageInvalid(what="nothing happened in the ticks measured", remedy="Measure more: --ticks.")
    traffic = {(a, b): amount for a, b, amount in found.traffic}
    owners = cut(wiring, workers, costs=found.costs, traffic=traffic)
    told = _told(wiring, owners, found, window_of(wiring, owners), workers)
    if out is not None:
        import msgspec

        write_atomically(out, [msgspec.json.format(msgspec.json.encode(told), indent=1)])
    if json:
        say(told)
        return
    rows = [
        [str(each["worker"]), f"{100 * each['load']:.0f} %", str(each["actors"]), ", ".join(each["first"])]
        for each in told["workers"]
    ]
    table(f"{opened.scenario.name}: windows of {told['window']:,} ticks", rows, head=["worker", "load", "actors", ""])
    print(f"  between workers: {100 * told['sent_between']:.0f} % of what is sent")
    if out is None:
        print("  keep it with --out FILE, and use it: neuraxis run SCENARIO --workers N --partition FILE")


def _told(wiring: Wiring, owners: tuple[int, ...], found: Measured, window: int, workers: int) -> dict[str, Any]:
    owner = {wiring.paths[each]: owners[wiring.shards[each]] for each in wiring.real()}
    total = sum(found.costs.values())
    sent = sum(amount for _, _, amount in found.traffic)
    between = sum(amount for a, b, amount in found.traffic if owner.get(a, 0) != owner.get(b, 0))
    return {
        "scenario": wiring.name,
        "ticks": found.ticks,
        "window": window,
        "sent_between": between / sent if sent else 0.0,
        "workers": [
            {
                "worker": worker,
                "load": sum(found.costs[path] for path, its in owner.items() if its == worker) / total,
                "actors": sum(1 for its in owner.values() if its == worker),
                "first": [path for path, its in owner.items() if its == worker][:4],
            }
            for worker in range(1, workers + 1)
        ],
        "places": owner,
    }
