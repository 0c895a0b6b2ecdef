"""What the trainer is doing: epochs as a state machine.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from neuraxis_morphogenesis.errors import PhaseSkipped

Phase = Literal[
    "idle", "training", "validating", "assembling", "awaiting", "applying", "checkpointing", "halted", "done"
]

LEGAL: Final[Mapping[Phase, tuple[Phase, ...]]] = {
    "idle": ("training",),
    "training": ("validating", "halted"),
    "validating": ("assembling", "applying", "halted"),
    "assembling": ("awaiting", "halted"),
    "awaiting": ("applying", "halted"),
    "applying": ("checkpointing", "halted"),
    "checkpointing": ("training", "done", "halted"),
    "halted": (),
    "done": (),
}
"""Where a phase leads. `validating` goes straight to `applying` where nothing grows."""


def entered(phase: Phase, target: Phase) -> Phase:
    """Return `target`.

    Raises:
        PhaseSkipped: `phase` does not lead there.
    """
    if target not in LEGAL[phase]:
        raise PhaseSkipped(phase=phase, target=target, legal=LEGAL[phase])
    return target
