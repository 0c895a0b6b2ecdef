"""Driving a simulation to its end from the command line: slices, progress, snapshots, result, report."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuraxis.cli.progress import progress
from neuraxis.cli.terminal import exit_code_of, say, table, tell_stop
from neuraxis.errors import FileUnusable, PluginUnusable
from neuraxis.files import write_atomically
from neuraxis.result import Result, charts_of, conclude, page_of

if TYPE_CHECKING:
    from neuraxis.launch import Opened
    from neuraxis.simulation import Simulation

SLICE_S: Final = 0.1
"""Wall-clock seconds between two looks at progress and snapshots."""

SNAPSHOT_S: Final = 2.0
"""Least wall-clock seconds between two snapshots, where the scenario does not say when to take them."""

SNAPSHOT_SHARE: Final = 0.05
"""Largest share of the time that such snapshots may take."""


def complete(sim: Simulation, opened: Opened, until: int, *, report: Path | None, as_json: bool) -> int:
    """Run a simulation to its end, tell what it came to, and return the exit code."""
    try:
        try:
            result = _result(sim, opened, until, report=report, as_json=as_json)
        finally:
            sim.close()
    except KeyboardInterrupt as error:
        text = f"stopped at tick {sim.tick}; {_how_to_go_on(sim)}"
        return tell_stop(text, exit_code_of(error), as_json=as_json)
    except SystemExit:  # an actor asked for it; its own exit code says nothing about the run
        return tell_stop(f"ended by an actor at tick {sim.tick}; {_how_to_go_on(sim)}", 1, as_json=as_json)
    except (FileUnusable, PluginUnusable) as error:
        error.add_note(f"The run stands at tick {sim.tick}; {_how_to_go_on(sim)}")
        raise
    show_result(result, as_json=as_json)
    return 0 if result.passed else 1


def _how_to_go_on(sim: Simulation) -> str:
    return f"go on with: neuraxis resume {shlex.quote(str(sim.folder))}"


def _result(sim: Simulation, opened: Opened, until: int, *, report: Path | None, as_json: bool) -> Result:
    """Run to the end and write down what it came to: last snapshot, report, end of the journal."""
    began = time.perf_counter()
    with progress(sim.name, until, start=sim.tick, hidden=as_json) as show:
        _slices(sim, until, show)
    result = conclude(sim, opened.resolved.expect, backend=opened.resolved.backend, wall_s=time.perf_counter() - began)
    charts, troubles = charts_of(sim)
    result = result.with_troubles(troubles)
    if sim.folder is not None:
        if not _has_just_been_taken(sim):
            sim.snapshot()
        page = page_of(result, [chart for _, chart in charts], summary=opened.scenario.summary).encode(errors="replace")
        for path in filter(None, (sim.folder / "report.html", report)):
            write_atomically(path, [page])
    sim.finish({**result.summary, "judged": [[j.figure, j.expected, j.got, j.holds] for j in result.judged]})
    return result


def _slices(sim: Simulation, until: int, show: Any) -> None:
    step, snapshot_cost = 1, 0.0
    last_snapshot = began = time.perf_counter()
    while sim.tick < until:
        before = time.perf_counter()
        sim.advance(until=min(sim.tick + step, until))
        now = time.perf_counter()
        speed = max(now - before, 1e-6)
        step = max(1, min(int(step * min(SLICE_S / speed, 8.0)), until))
        show(sim.tick, "")
        wants = sim.folder is not None and sim.settings.snapshot_every is None
        if wants and now - last_snapshot > SNAPSHOT_S and snapshot_cost <= SNAPSHOT_SHARE * (now - began):
            sim.snapshot()
            last_snapshot = time.perf_counter()
            snapshot_cost += last_snapshot - now


def _has_just_been_taken(sim: Simulation) -> bool:
    every = sim.settings.snapshot_every
    return every is not None and sim.tick > 0 and sim.tick % every == 0


def show_result(result: Result, *, as_json: bool) -> None:
    """Print what a run came to: a short table, or one JSON object."""
    facts = result.summary
    if as_json:
        say(facts)
        return
    speed = facts["messages"] / facts["wall_s"] if facts["wall_s"] else 0.0
    rows = [
        ["ticks", f"{facts['ticks']:,} ({facts['time']})"],
        ["messages", f"{facts['messages']:,}"],
        ["digest", facts["digest"]],
        ["determinism", facts["determinism"]],
        ["speed", f"{facts['wall_s']:.2f} s, {speed:,.0f} messages/s"],
    ]
    rows += [[name, _number(value)] for name, value in facts["figures"].items()][:20]
    hidden = len(facts["figures"]) - 20
    rows += [["…", f"{hidden} more figures in the report"]] if hidden > 0 else []
    rows += [[f"dead letters: {reason}", str(count)] for reason, count in facts["dead_letters"].items()]
    rows += [["failures of " + path, str(count)] for path, count in facts["failures"].items()]
    if facts["run"]:
        rows.append(["run", facts["run"]])
        rows.append(["report", str(Path(facts["run"]) / "report.html")])
    table(f"{facts['scenario']}, seed {facts['seed']}", rows)
    for trouble in result.troubles:
        print(f"  FAILED  {trouble}")
    for each in result.judged:
        verdict = "ok    " if each.holds else "FAILED"
        print(f"  {verdict}  {each.figure} {each.expected}: {each.got}")


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
