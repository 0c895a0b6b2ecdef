"""What a finished run came to: figures, expectations, the summary that `--json` prints, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
from msgspec import Struct

from neuraxis.report import Chart, Report, render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis.scenario.resolve import Expectation
    from neuraxis.simulation import Simulation


@final
class Judged(Struct, frozen=True):
    """One expectation and what came of it."""

    figure: str
    expected: str
    got: str
    holds: bool


@final
class Result(Struct, frozen=True):
    """What a run came to.

    Attributes:
        summary: The object that `--json` prints.
        judged: The scenario's expectations.
    """

    summary: dict[str, Any]
    judged: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        """Whether all expectations hold."""
        return all(each.holds for each in self.judged)


def conclude(
    sim: Simulation, expectations: Iterable[Expectation], *, backend: str, wall_s: float, workers: int = 1
) -> Result:
    """Return what a simulation has come to, where it stands.

    Args:
        sim: The simulation.
        expectations: What the scenario expects.
        backend: Name of the backend that computed networks.
        wall_s: Wall-clock seconds that it took.
        workers: Processes that took part.
    """
    statistics = sim.statistics
    figures = {name: _plain(value) for name, value in sim.figures().items()}
    known = {"ticks": sim.tick, "messages": statistics.messages, **figures}
    judged = tuple(_judge(each, known) for each in expectations)
    summary = {
        "scenario": sim.name,
        "run": str(sim.folder) if sim.folder is not None else None,
        "seed": sim.blueprint.seed,
        "ticks": sim.tick,
        "time": sim.time,
        "messages": statistics.messages,
        "digest": sim.digest,
        "digests": sim.digests,
        "determinism": sim.determinism,
        "workers": workers,
        "transport": "in-process",
        "backend": backend,
        "wall_s": round(wall_s, 3),
        "figures": figures,
        "dead_letters": statistics.dead_letters,
        "failures": statistics.failures,
        "waiting": statistics.waiting,
        "passed": all(each.holds for each in judged),
    }
    return Result(summary, judged)


def _judge(expectation: Expectation, known: dict[str, Any]) -> Judged:
    value = known.get(expectation.figure)
    if expectation.figure not in known:
        return Judged(expectation.figure, expectation.wanted(), "no such figure", holds=False)
    return Judged(expectation.figure, expectation.wanted(), str(value), holds=expectation.judge(value) is None)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def html_report(sim: Simulation, result: Result, *, summary: str) -> str:
    """Return the report of a run as an HTML page.

    Args:
        sim: The simulation, still open.
        result: What it came to.
        summary: What the scenario is about.
    """
    facts = result.summary
    charts: list[tuple[str, Chart]] = [(path, chart) for path, actor in sim.actors() for chart in actor.charts()]
    return render(
        Report(
            title=sim.name,
            summary=summary,
            passed=result.passed,
            facts={
                "seed": str(facts["seed"]),
                "ticks": f"{facts['ticks']:,} ({facts['time']})",
                "messages": f"{facts['messages']:,}",
                "digest": facts["digest"],
                "determinism": facts["determinism"],
                "backend": facts["backend"] or "none",
                "wall time": f"{facts['wall_s']:.1f} s",
            },
            figures=facts["figures"],
            expectations=[(each.figure, each.expected, each.got, each.holds) for each in result.judged],
            charts=charts,
        )
    )
