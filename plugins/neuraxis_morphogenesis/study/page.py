"""Results of a study: tables for the terminal, one JSON object, and a page with pictures.

Determinism: exact; pictures are matplotlib's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np

from neuraxis.report import Chart, Report, render, render_chart
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.picture import picture
from neuraxis_morphogenesis.seeds.plots import COLOURS as STAGE_COLOURS
from neuraxis_morphogenesis.study.analysis import (
    LEVEL,
    MARGIN,
    RESAMPLES,
    Difference,
    Interval,
    differences,
    growth_helps,
    interval,
)
from neuraxis_morphogenesis.study.outcomes import Outcome, ordered
from neuraxis_morphogenesis.study.runs import EXAMPLE, HELD, Result

POINTS: Final = 200
"""Places at which learning curves are averaged."""

HEIGHT: Final = 4.0
"""Of a picture, inches."""

ROW: Final = 0.13
"""Of a life in a picture, inches."""

COLOURS: Final = ("#7a7a7a", "#1f4e79", "#8a4f9e", "#c8641b", "#2a8c82", "#b03a48")
HEAD: Final = (
    *("arm", "test accuracy", "95 % interval", "validation", "parameters", "multiply-adds", "epochs"),
    *("tried", "kept", "contribution per kept seed"),
)


def arms_table(results: Sequence[Result]) -> tuple[tuple[str, ...], ...]:
    """Return means over seeds, a row for each arm."""
    rows = [HEAD]
    for arm in ordered(results[0].arms):
        held = [each.arms[arm] for each in results]
        found = interval([each.accuracy for each in held])
        given = [life.contribution for each in held for life in each.kept if life.contribution is not None]
        rows.append(
            (
                *(arm, f"{found.mean:.4f}", _ends(found), f"{_mean(held, 'validated'):.4f}"),
                *(f"{_mean(held, 'parameters'):.0f}", f"{_mean(held, 'multiply_adds'):.4g}"),
                *(f"{_mean(held, 'epochs'):.1f}", f"{sum(each.tried for each in held)}"),
                *(f"{sum(len(each.kept) for each in held)}", f"{np.mean(given):+.4f}" if given else "-"),
            )
        )
    return tuple(rows)


def differences_table(found: Sequence[Difference]) -> tuple[tuple[str, ...], ...]:
    """Return paired differences, a row for each."""
    head = ("difference", "mean, points", "95 % interval", "seeds above", "verdict")
    return (
        head,
        *(
            (
                f"{each.arm} − {each.other}",
                f"{100 * each.found.mean:+.2f}",
                f"{100 * each.found.low:+.2f} … {100 * each.found.high:+.2f}",
                str(each.wins),
                each.verdict,
            )
            for each in found
        ),
    )


def blueprints_table(results: Sequence[Result]) -> tuple[tuple[str, ...], ...]:
    """Return what became of each blueprint in each arm."""
    lives: dict[tuple[str, str], list[Any]] = {}
    for each in results:
        for arm, outcome in each.arms.items():
            for life in outcome.lives:
                lives.setdefault((arm, life.blueprint), []).append(life)
    rows = [("arm", "blueprint", "tried", "kept", "culled", "contribution where kept")]
    for (arm, blueprint), held in sorted(lives.items()):
        stages = [each.stage for each in held]
        given = [each.contribution for each in held if each.stage == "FOSSILIZED" and each.contribution is not None]
        told = f"{np.mean(given):+.4f}" if given else "-"
        kept, culled = stages.count("FOSSILIZED"), stages.count("CULLED")
        rows.append((arm, blueprint, str(len(held)), str(kept), str(culled), told))
    return tuple(rows)


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return everything as plain values: means, differences, and the results of all seeds."""
    found = differences(each_arms(results))
    return {
        "seeds": [each.seed for each in results],
        "arms": {
            arm: msgspec.to_builtins(interval([each.arms[arm].accuracy for each in results]))
            for arm in ordered(results[0].arms)
        },
        "differences": msgspec.to_builtins(found),
        "growth_helps": growth_helps(found),
        "margin": MARGIN,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "grafts_unequal": unequal(results),
        "results": msgspec.to_builtins(results),
    }


def each_arms(results: Sequence[Result]) -> list[Mapping[str, Outcome]]:
    """Return the arms of each seed."""
    return [each.arms for each in results]


def unequal(results: Sequence[Result]) -> list[int]:
    """Return seeds with which the arm that is held to as many grafts made another number."""
    return [
        each.seed
        for each in results
        if {HELD, EXAMPLE} <= set(each.arms) and each.arms[HELD].tried != each.arms[EXAMPLE].tried
    ]


def page(name: str, results: Sequence[Result]) -> str:
    """Return one HTML page that needs nothing else.

    Args:
        name: Of the scenario.
        results: Of at least one seed.
    """
    found = differences(each_arms(results))
    helps = growth_helps(found)
    caption = (
        f"Means over seeds with {100 * LEVEL:.0f} % percentile intervals of a bootstrap, {RESAMPLES:,} resamples. "
        "Tried and kept seeds are sums. Every arm spends the same multiply-adds on training, up to two samples."
    )
    beside = f"Test accuracy, seed by seed. Not inferior to large: less than {100 * MARGIN:g} point worse."
    charts = [
        Chart("Arms", caption, rows=arms_table(results)),
        Chart("Differences", beside, rows=differences_table(found)),
        picture(
            "Test accuracy",
            "A dot for each seed; mean and interval beside it.",
            lambda axes: _draw_accuracy(axes, results),
            height=HEIGHT,
        ),
        picture(
            "Learning",
            "Mean accuracy on validation against multiply-adds.",
            lambda axes: _draw_curves(axes, results),
            height=HEIGHT,
        ),
        *_lives(results),
        Chart("Blueprints", "What became of every seed that germinated.", rows=blueprints_table(results)),
    ]
    facts = {
        "seeds": ", ".join(str(each.seed) for each in results),
        "growth helps": {True: "yes", False: "not shown", None: "not asked"}[helps],
        "wall time per seed": f"{np.mean([each.wall_s for each in results]):.0f} s, all arms",
        "expectations failed": str(sum(not each.passed for each in results)),
        f"{HELD} ran again for equal grafts": str(sum(each.rerun for each in results)),
        "seeds with unequal grafts": ", ".join(map(str, unequal(results))) or "none",
    }
    return render(
        Report(
            title=f"Study of {name}",
            summary="Networks that grow, beside networks that do not, at equal multiply-adds of training.",
            passed=all(each.passed for each in results),
            facts=facts,
            figures={},
            expectations=(),
            charts=[render_chart("", each) for each in charts],
        )
    )


def _ends(found: Interval) -> str:
    return f"{found.low:.4f} … {found.high:.4f}"


def _mean(held: Sequence[Outcome], name: str) -> float:
    return float(np.mean([getattr(each, name) for each in held]))


# ------------------------------------------------------------------------------------ pictures


def _lives(results: Sequence[Result]) -> Iterator[Chart]:
    """Return a picture for each arm in which something grew."""
    for arm in ordered(results[0].arms):
        slots = sorted({life.slot for each in results for life in each.arms[arm].lives})
        if slots:
            yield picture(
                f"Lives of the seeds of {arm}",
                f"A row for each seed of the study{' and slot' if len(slots) > 1 else ''}. Blue while a module grows, "
                "green where it stays for good, a cross where it is taken out.",
                partial(_draw_lives, arm=arm, slots=slots, results=results),
                height=1.0 + ROW * len(results) * len(slots),
            )


def _draw_lives(axes: Any, *, arm: str, slots: Sequence[str], results: Sequence[Result]) -> None:
    for place, each in enumerate(results):
        found = each.arms[arm]
        for life in found.lives:
            row = place + (slots.index(life.slot) + 0.5) / len(slots) - 0.5
            ended = found.epochs if life.ended is None else life.ended
            spans = [(life.born, ended, Stage.BLENDING)]
            if life.stage == Stage.FOSSILIZED.name:
                spans.append((ended, found.epochs, Stage.FOSSILIZED))
            elif life.ended is not None:
                axes.plot(ended, row, "x", color=STAGE_COLOURS[Stage.CULLED], markersize=4)
            for begin, end, stage in spans:
                axes.barh(row, end - begin, left=begin, height=0.8 / len(slots), color=STAGE_COLOURS[stage])
    axes.set_yticks(range(len(results)), [str(each.seed) for each in results], fontsize=6)
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.set_xlim(0, max(each.arms[arm].epochs for each in results))
    axes.set_xlabel("epoch")


def _draw_accuracy(axes: Any, results: Sequence[Result]) -> None:
    arms = ordered(results[0].arms)
    for place, arm in enumerate(arms):
        values = [each.arms[arm].accuracy for each in results]
        found, colour = interval(values), COLOURS[place % len(COLOURS)]
        spread = place - 0.25 + np.linspace(-0.1, 0.1, len(values))
        axes.plot(spread, values, "o", color=colour, alpha=0.4, markersize=3)
        ends = [[found.mean - found.low], [found.high - found.mean]]
        axes.errorbar([place + 0.1], [found.mean], yerr=ends, fmt="s", color=colour, capsize=5)
    axes.set_xticks(range(len(arms)), arms)
    axes.set_ylabel("test accuracy")


def _draw_curves(axes: Any, results: Sequence[Result]) -> None:
    for place, arm in enumerate(ordered(results[0].arms)):
        curves = [np.array(each.arms[arm].curve) for each in results]
        spent = np.linspace(max(each[0, 3] for each in curves), min(each[-1, 3] for each in curves), POINTS)
        mean = np.mean([np.interp(spent, each[:, 3], each[:, 1]) for each in curves], axis=0)
        axes.plot(spent, mean, color=COLOURS[place % len(COLOURS)], label=arm)
    axes.set_xlabel("multiply-adds of training")
    axes.set_ylabel("accuracy on validation")
    axes.legend(frameon=False)
