"""The life of a seed: eleven stages, seventeen legal moves, and the gates that stand between some of them.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from neuraxis_morphogenesis.contracts import SeedLifecycleGate as Gate
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.contracts import SeedOperation as Operation
from neuraxis_morphogenesis.errors import IllegalTransition

LEGAL: Final[Mapping[Stage, tuple[Stage, ...]]] = {
    Stage.UNKNOWN: (Stage.DORMANT,),
    Stage.DORMANT: (Stage.GERMINATED, Stage.TERMINATED),
    Stage.GERMINATED: (Stage.TRAINING, Stage.CULLED),
    Stage.TRAINING: (Stage.BLENDING, Stage.CULLED),
    Stage.BLENDING: (Stage.SHADOWING, Stage.CULLED),
    Stage.SHADOWING: (Stage.PROBATIONARY, Stage.CULLED),
    Stage.PROBATIONARY: (Stage.FOSSILIZED, Stage.CULLED),
    Stage.FOSSILIZED: (Stage.TERMINATED,),
    Stage.CULLED: (Stage.EMBARGOED,),
    Stage.EMBARGOED: (Stage.RESETTING,),
    Stage.RESETTING: (Stage.DORMANT,),
    Stage.TERMINATED: (),
}
"""Where a stage may lead. Everything else is illegal."""

GATES: Final[Mapping[Stage, Gate]] = {
    Stage.DORMANT: Gate.G0_SANITY,
    Stage.TRAINING: Gate.G1_GRADIENT_HEALTH,
    Stage.BLENDING: Gate.G2_STABILITY,
    Stage.SHADOWING: Gate.G3_INTERFACE,
    Stage.PROBATIONARY: Gate.G4_SYSTEM_IMPACT,
    Stage.RESETTING: Gate.G5_RESET,
}
"""The gate at the exit of a stage, towards `NEXT`."""

NEXT: Final[Mapping[Stage, Stage]] = {
    Stage.DORMANT: Stage.GERMINATED,
    Stage.GERMINATED: Stage.TRAINING,
    Stage.TRAINING: Stage.BLENDING,
    Stage.BLENDING: Stage.SHADOWING,
    Stage.SHADOWING: Stage.PROBATIONARY,
    Stage.PROBATIONARY: Stage.FOSSILIZED,
    Stage.CULLED: Stage.EMBARGOED,
    Stage.EMBARGOED: Stage.RESETTING,
    Stage.RESETTING: Stage.DORMANT,
}
"""Where a stage leads if all goes well."""

LEADS_TO: Final[Mapping[Operation, Stage]] = {
    Operation.GERMINATE: Stage.GERMINATED,
    Operation.START_TRAINING: Stage.TRAINING,
    Operation.START_GRAFTING: Stage.BLENDING,
    Operation.STABILIZE: Stage.SHADOWING,
    Operation.EVALUATE: Stage.PROBATIONARY,
    Operation.FOSSILIZE: Stage.FOSSILIZED,
    Operation.CULL: Stage.CULLED,
}
"""The stage that an operation asks for. `FINE_TUNE` asks for none, `CANCEL` for what ends the present one."""

GROWING: Final = (Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING, Stage.PROBATIONARY)
"""Stages in which a seed may be culled."""

IN_FORWARD: Final = (Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING, Stage.PROBATIONARY, Stage.FOSSILIZED)
"""Stages in which the seed's module is computed."""


def moved(seed_id: str, stage: Stage, target: Stage) -> Stage:
    """Return `target`.

    Raises:
        IllegalTransition: `stage` does not lead there.
    """
    if target not in LEGAL[stage]:
        raise IllegalTransition(
            seed_id=seed_id, stage=stage.name, target=target.name, legal=tuple(each.name for each in LEGAL[stage])
        )
    return target
