"""What the seeds actor knows about each slot, and how it is told to others.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis import message
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import Numbers, SeedState, numbers
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.lifecycle import moved

STATE_METRICS: Final = (
    *("alpha", "alpha_steps", "alpha_total_steps"),
    *("contribution", "gradient_health", "isolation_violations", "parameters"),
)
"""Measurements that a seed's state tells the policy, where they were made."""


@final
@message("morphogenesis.entry")
class Entry(Struct, frozen=True, kw_only=True):
    """What is known about one slot. Each change gives a new one.

    Attributes:
        slot, site, depth: Which slot.
        stage: Where its seed is in its life.
        blueprint_id: What grows there; empty for nothing.
        risk: Of the blueprint.
        born, entered: Epochs in which the seed germinated, and in which its stage began.
        entered_step: Optimiser steps when its stage began.
        accuracy, loss: Of validation when the stage began.
        embargo_tick, embargo_epoch: Until when nothing may germinate.
        is_paused: Whether it is out of the way.
        is_fading: Whether it was culled and is still being ramped down.
        measured: The newest measurements.
    """

    slot: str
    site: Site
    depth: int
    stage: Stage = Stage.UNKNOWN
    blueprint_id: str = ""
    risk: float = 0.0
    born: int = 0
    entered: int = 0
    entered_step: int = 0
    accuracy: float = 0.0
    loss: float = 0.0
    embargo_tick: int = 0
    embargo_epoch: int = 0
    is_paused: bool = False
    is_fading: bool = False
    measured: Numbers = ()

    def to(self, stage: Stage, *, epoch: int, step: int, accuracy: float, loss: float) -> Entry:
        """Return the entry with its seed in another stage.

        Raises:
            IllegalTransition: Its stage does not lead there.
        """
        moved(self.slot, self.stage, stage)
        changed = replace(self, stage=stage, entered=epoch, entered_step=step, accuracy=accuracy, loss=loss)
        return replace(changed, measured=()) if stage is not Stage.CULLED else changed

    def judged(self, *, accuracy: float, loss: float) -> dict[str, float]:
        """Return the measurements, with those that follow from what they were when the stage began.

        Args:
            accuracy, loss: Of the newest validation.
        """
        found = dict(self.measured)
        found["regression"] = self.accuracy - accuracy
        if self.loss > 0:
            found["drift"] = max(0.0, loss / self.loss - 1)
        return found

    def state(self, epoch: int) -> SeedState:
        """Return what the policy is told about the seed."""
        measured = dict(self.measured)
        known: dict[str, float] = {name: measured[name] for name in STATE_METRICS if name in measured}
        grows = self.stage not in (Stage.DORMANT, Stage.EMBARGOED, Stage.RESETTING)
        return SeedState(
            seed_id=self.slot,
            stage=self.stage,
            gradient_norm=measured.get("gradient_norm", 0.0),
            learning_rate=measured.get("learning_rate", 0.0),
            layer_depth=self.depth,
            metrics=numbers(known),
            age_epochs=max(0, epoch - self.born) if grows and self.blueprint_id else 0,
            risk_score=self.risk,
        )


def complete(measured: Mapping[str, Any], names: tuple[str, ...]) -> float:
    """Return 1 if everything that must be told was measured, else 0."""
    return float(all(name in measured for name in names))
