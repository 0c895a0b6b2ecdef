"""The lives of seeds, read from the moves that the book of seeds noted.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from msgspec import Struct

from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage


@final
class Stay(Struct, frozen=True):
    """A stay of a slot in a stage.

    Attributes:
        slot: Which slot.
        stage: Which stage.
        blueprint_id: What grew there; empty for nothing.
        born: Epoch in which it germinated; -1 for nothing.
        entered, left: Epochs in which the stay began and ended; `left` is the newest epoch where it goes on.
        is_last: Whether it ends a life: what grew there is kept, culled, or has come no further yet.
    """

    slot: str
    stage: Stage
    blueprint_id: str
    born: int
    entered: int
    left: int
    is_last: bool


def life(slot: str, born: int) -> str:
    """Return the name of the life of a seed: no two seeds germinate in a slot in one epoch."""
    return f"{slot}/{born}"


def stays(history: Sequence[Sequence[Any]], epoch: int) -> tuple[Stay, ...]:
    """Return all stays, slot by slot in the order of the host, and in order of time.

    Args:
        history: Slot, stage, epoch and blueprint of each move, in order.
        epoch: The newest.
    """
    found = []
    for slot in dict.fromkeys(move[0] for move in history):
        moves = [move for move in history if move[0] == slot]
        born = -1
        for number, (_, stage, entered, blueprint) in enumerate(moves):
            after = moves[number + 1] if number + 1 < len(moves) else None
            if stage == Stage.GERMINATED:
                born = entered
            elif stage == Stage.DORMANT:
                born = -1
            has_ended = stage in (Stage.FOSSILIZED, Stage.CULLED) or after is None
            left = epoch if after is None else after[2]
            found.append(Stay(slot, Stage(stage), blueprint, born, entered, left, born >= 0 and has_ended))
    return tuple(found)


def told(credits: Mapping[str, float], stay: Stay) -> str:
    """Return what a seed contributed by the newest measurement, percentage points of accuracy; empty if unmeasured."""
    value = credits.get(life(stay.slot, stay.born))
    return "" if value is None else f"{100 * value:+.1f}"
