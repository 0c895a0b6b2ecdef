"""The lives of seeds as a picture.

Determinism: machine (fonts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from neuraxis import Chart
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.picture import picture
from neuraxis_morphogenesis.seeds.lives import Stay, told

COLOURS: Final[Mapping[Stage, str]] = {
    Stage.DORMANT: "#f2f2f2",
    Stage.GERMINATED: "#f0d264",
    Stage.TRAINING: "#a6cee3",
    Stage.BLENDING: "#5b9bd0",
    Stage.SHADOWING: "#b79ad1",
    Stage.PROBATIONARY: "#1f4e79",
    Stage.FOSSILIZED: "#2a8c82",
    Stage.CULLED: "#c8641b",
    Stage.EMBARGOED: "#edcdb0",
    Stage.RESETTING: "#d9d9d9",
    Stage.TERMINATED: "#5a5a5a",
}
"""Stages, told apart also by those who do not see red and green."""

MARKS: Final[Mapping[Stage, tuple[str, str]]] = {
    Stage.GERMINATED: ("^", "graft"),
    Stage.FOSSILIZED: ("*", "fossil"),
    Stage.CULLED: ("X", "cull"),
    Stage.TERMINATED: ("s", "retired"),
}
"""Moments that are marked above a bar: symbol and name."""

TITLE: Final = "Lives of the seeds"
CAPTION: Final = (
    "Stages of each slot over the epochs. The number behind a blueprint is what the seed contributed when it was last "
    "measured, in percentage points of validation accuracy."
)
BAR: Final = 0.5
MARK: Final = 0.36
"""Height of a bar, and of marks above its middle, as shares of the room of a slot."""

TEXT: Final = 0.1
"""Room for a text, as a share of all epochs."""


def lives_chart(stays: Sequence[Stay], credits: Mapping[str, float]) -> Chart:
    """Return a picture with a bar for each slot. Without matplotlib the chart says so instead.

    Args:
        stays: Of all slots.
        credits: Contribution of each life, as `seeds.lives.life` names it; share of accuracy.
    """
    slots = list(dict.fromkeys(each.slot for each in stays))
    return picture(TITLE, CAPTION, lambda axes: _draw(axes, stays, slots, credits), height=1.5 + 0.6 * len(slots))


def _draw(axes: Any, stays: Sequence[Stay], slots: Sequence[str], credits: Mapping[str, float]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    for each in stays:
        row = slots.index(each.slot)
        width = each.left - each.entered
        axes.barh(
            row, width, left=each.entered, height=BAR, color=COLOURS[each.stage], edgecolor="white", linewidth=0.5
        )
        if each.stage in MARKS:
            symbol, colour = MARKS[each.stage][0], COLOURS[each.stage]
            axes.plot(each.entered, row - MARK, symbol, color=colour, ms=6, mec="black", mew=0.4, clip_on=False)
    _write(axes, stays, slots, credits)
    axes.set_yticks(range(len(slots)), slots)
    axes.set_ylim(len(slots) - 0.5, -0.7)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    shown = {each.stage for each in stays if each.left > each.entered}
    keys: list[Any] = [Patch(color=COLOURS[stage], label=stage.name.lower()) for stage in COLOURS if stage in shown]
    marked = {each.stage for each in stays}
    keys += [
        Line2D([], [], marker=symbol, ls="", color=COLOURS[stage], mec="black", mew=0.4, label=name)
        for stage, (symbol, name) in MARKS.items()
        if stage in marked
    ]
    axes.figure.legend(handles=keys, loc="outside right upper", frameon=False, fontsize=8)


def _write(axes: Any, stays: Sequence[Stay], slots: Sequence[str], credits: Mapping[str, float]) -> None:
    """Write what each life came to where there is room; fossils first. The table beside the picture has all."""
    end = max((each.left for each in stays), default=0)
    room = TEXT * max(end, 1)
    taken: list[tuple[str, float, float]] = []
    for each in sorted(stays, key=lambda stay: stay.stage is not Stage.FOSSILIZED):
        is_late = each.entered + room > end
        begin = each.entered - is_late * room
        is_crowded = any(slot == each.slot and begin < b and a < begin + room for slot, a, b in taken)
        if not each.is_last or is_crowded:
            continue
        taken.append((each.slot, begin, begin + room))
        text = f"{each.blueprint_id} {told(credits, each)}".rstrip()
        axes.annotate(
            text,
            (each.entered, slots.index(each.slot) - MARK),
            (-5 if is_late else 5, 0),
            textcoords="offset points",
            ha="right" if is_late else "left",
            va="center",
            fontsize=7,
        )
