"""What a command may say about how alpha rises: annotations, judged.

| annotation | meaning |
|---|---|
| `blending_method` | name of the schedule |
| `blending_schedule_start`, `blending_schedule_end` | from when to when alpha rises |
| `blending_schedule_units` | of the two; `fraction`, of the epochs of BLENDING |

Determinism: exact.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import final

from msgspec import Struct

from neuraxis_morphogenesis.seeds.schedule import WHOLE, WINDOW_MIN


@final
class Rise(Struct, frozen=True, kw_only=True):
    """How alpha is to rise.

    Attributes:
        schedule: Name of the schedule; empty for as usual.
        window: From which share of its time to which.
        refusal: Why it may not be like that; empty if it may.
    """

    schedule: str = ""
    window: tuple[float, float] = WHOLE
    refusal: str = ""


def rise(annotations: Mapping[str, str], allowed: Collection[str]) -> Rise | None:
    """Return how a command wants alpha to rise; None if it does not say.

    Args:
        annotations: Of the command.
        allowed: Schedules that may be chosen.
    """
    if not any(name.startswith("blending_") for name in annotations):
        return None
    schedule = annotations.get("blending_method", "")
    if schedule and schedule not in allowed:
        return Rise(refusal=f"schedule_not_allowed: {schedule}")
    units = annotations.get("blending_schedule_units", "fraction")
    if units != "fraction":
        return Rise(refusal=f"unknown_unit: {units}")
    texts = [annotations.get(f"blending_schedule_{name}", usual) for name, usual in (("start", "0"), ("end", "1"))]
    try:
        begin, end = (float(text) for text in texts)
    except ValueError:
        return Rise(refusal=f"out_of_range: blending_schedule {' to '.join(texts)}")
    width = end - begin
    if not (math.isfinite(width) and begin >= 0 and end <= 1 and width >= WINDOW_MIN):
        return Rise(refusal=f"out_of_range: blending_schedule {begin:g} to {end:g}")
    return Rise(schedule=schedule, window=(begin, end))
