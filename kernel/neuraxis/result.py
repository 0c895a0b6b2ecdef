"""What a finished run came to: figures, expectations, the summary that `--json` prints, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import told
from neuraxis.report import Report, render, render_chart

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
        """Whether all expectations hold, and every actor could tell its figures and charts."""
        return all(each.holds for each in self.judged) and not self.troubles

    @property
    def troubles(self) -> tuple[str, ...]:
        """What actors failed to tell at the end of the run, as sentences; the rest of the result stands."""
        return tuple(self.summary.get("troubles", ()))

    def with_troubles(self, more: Iterable[str]) -> Result:
        """Return this result with further troubles."""
        troubles = [*self.troubles, *more]
        if not troubles:
            return self
        return Result({**self.summary, "troubles": troubles, "passed": False}, self.judged)


def conclude(sim: Simulation, expectations: Iterable[Expectation], *, backend: str, wall_s: float) -> Result:
    """Return what a simulation has come to, where it stands.

    Args:
        sim: The simulation.
        expectations: What the scenario expects.
        backend: Name of the backend that computed networks.
        wall_s: Wall-clock seconds that it took.
    """
    statistics = sim.statistics
    figures, troubles = figures_of(sim)
    facts = {
        "scenario": sim.name,
        "run": str(sim.folder) if sim.folder is not None else None,
        "seed": sim.blueprint.seed,
        "ticks": sim.tick,
        "time": sim.time,
        "messages": statistics.messages,
        "digest": sim.digest,
        "digests": sim.digests,
        "determinism": sim.determinism,
        "workers": 1,
        "transport": "in-process",
        "backend": backend,
        "wall_s": round(wall_s, 3),
        "figures": figures,
        "dead_letters": statistics.dead_letters,
        "failures": statistics.failures,
        "waiting": statistics.waiting,
    }
    return result_of(facts, expectations, troubles)


def result_of(facts: dict[str, Any], expectations: Iterable[Expectation], troubles: Iterable[str]) -> Result:
    """Return the result of a run with these facts, judged.

    Args:
        facts: What `--json` prints, but for `passed`.
        expectations: What the scenario expects.
        troubles: What actors failed to tell.
    """
    known = {"ticks": facts["ticks"], "messages": facts["messages"], **facts["figures"]}
    judged = tuple(_judge(each, known) for each in expectations)
    return Result({**facts, "passed": all(each.holds for each in judged)}, judged).with_troubles(troubles)


def figures_of(sim: Simulation) -> tuple[dict[str, Any], list[str]]:
    """Return the figures of all actors, and what is wrong with those of some: a run is not lost for them."""
    figures: dict[str, Any] = {}
    troubles: list[str] = []
    for path, actor in sim.actors():
        try:
            own = {str(name): _plain(value) for name, value in actor.figures().items()}
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code, at the end of a run whose result must not be lost
            troubles.append(f"{path}: figures() raised {told(error).rstrip('.')}. Correct the actor.")
            continue
        for name, value in own.items():
            if isinstance(value, bool | float | str | None) or (isinstance(value, int) and abs(value) < 2**63):
                figures[f"{path}.{name}"] = value
            else:
                what = "an integer beyond 64 bits" if isinstance(value, int) else f"a {type(value).__qualname__}"
                troubles.append(f"{path}: figure {name!r} is {what}. Return numbers of 64 bits, texts or None.")
    return figures, troubles


def charts_of(sim: Simulation) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the charts of all actors with their paths, as HTML, and what is wrong with those of some."""
    charts: list[tuple[str, str]] = []
    troubles: list[str] = []
    for path, actor in sim.actors():
        try:
            charts += [(path, render_chart(path, chart)) for chart in actor.charts()]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            troubles.append(f"{path}: charts() raised {told(error).rstrip('.')}. Correct the actor.")
    return charts, troubles


def _judge(expectation: Expectation, known: dict[str, Any]) -> Judged:
    value = known.get(expectation.figure)
    if expectation.figure not in known:
        return Judged(expectation.figure, expectation.wanted(), "no such figure", holds=False)
    return Judged(expectation.figure, expectation.wanted(), str(value), holds=expectation.judge(value) is None)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def html_report(sim: Simulation, result: Result, *, summary: str) -> str:
    """Return the report of a run as an HTML page; a chart that cannot be drawn is replaced by the reason.

    Args:
        sim: The simulation, still open.
        result: What it came to.
        summary: What the scenario is about.
    """
    charts, troubles = charts_of(sim)
    return page_of(result.with_troubles(troubles), [chart for _, chart in charts], summary=summary)


def page_of(result: Result, charts: Iterable[str], *, summary: str) -> str:
    """Return the report of a run as an HTML page, with charts that are HTML already."""
    facts = result.summary
    return render(
        Report(
            title=facts["scenario"],
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
            troubles=result.troubles,
        )
    )
