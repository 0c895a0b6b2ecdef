"""What trainer and seeds tell each other. It never leaves the process, so it has no wire form."""

from __future__ import annotations

from typing import Literal, final

from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import Numbers, SeedLifecycleStage, SeedState

Act = Literal["attach", "stage", "fade", "detach", "pause", "resume"]


@final
@message("morphogenesis.slot_order")
class SlotOrder(Struct, frozen=True, kw_only=True):
    """What the trainer is to do with a slot at the next boundary of a block.

    Attributes:
        slot: Name of the slot.
        act: `attach`: make a fresh module. `stage`: treat it by another stage. `detach`: empty the slot. `fade`: ramp
            the module down, then empty the slot. `pause`, `resume`: take the module out of the way, and back.
        stage: The stage from then on.
        blueprint_id, parameters: For `attach`.
        blend: For `attach`: how outputs are mixed.
        epochs: For `stage` BLENDING: in how many epochs alpha rises. For `fade`: in how many it falls from 1 to 0.
    """

    slot: str
    act: Act
    stage: SeedLifecycleStage = SeedLifecycleStage.UNKNOWN
    blueprint_id: str = ""
    parameters: Numbers = ()
    blend: str = ""
    epochs: int = 0


@final
@message("morphogenesis.orders")
class Orders(Struct, frozen=True, kw_only=True):
    """What the seeds actor wants of the trainer.

    Attributes:
        kind: `states`: the stages after the gates of an epoch, so that the trainer can report them. `settled`: the
            decisions about the epoch are in; go on. `urgent`: in the middle of an epoch.
        epoch: The epoch it is about.
        orders: For slots, in order.
        states: Of all seeds, for `states`.
        learning_rate_factor: What all learning rates are multiplied by from now on; 1 for no change.
        rollback: `fast` or `full`, or empty.
        purge: Drop everything that can be had again.
        decisions: Commands that arrived in time, for `settled`.
        is_missed: Whether a decision was due and none arrived, for `settled`.
    """

    kind: Literal["states", "settled", "urgent"]
    epoch: int
    orders: tuple[SlotOrder, ...] = ()
    states: tuple[SeedState, ...] = ()
    learning_rate_factor: float = 1.0
    rollback: str = ""
    purge: bool = False
    decisions: int = 0
    is_missed: bool = False


@final
@message("morphogenesis.slot_evidence")
class SlotEvidence(Struct, frozen=True, kw_only=True):
    """What was measured about a slot since the last evidence of its kind.

    Attributes:
        slot: Name of the slot.
        site: Its shape contract.
        depth: Blocks of the host before it.
        is_attached: Whether it holds a module.
        parameters: Numbers that the module learns.
        trouble: Why it could not be attached; empty if it could.
        violations: Breaches of isolation and of the registry, by name.
        measured: Measurements by name. What is absent was not measured.
    """

    slot: str
    site: Site
    depth: int
    is_attached: bool
    parameters: int = 0
    trouble: str = ""
    violations: tuple[str, ...] = ()
    measured: Numbers = ()


@final
@message("morphogenesis.evidence")
class Evidence(Struct, frozen=True, kw_only=True):
    """What the trainer measured in a block, or in an epoch.

    Attributes:
        epoch: Epochs done.
        step: Optimiser steps done.
        ends_epoch: Whether the block was the last of its epoch; then it holds validation.
        is_conservative: Whether nobody is to be asked for decisions.
        validation_accuracy, validation_loss: On data that nothing was trained on.
        training_loss: Mean of the block or epoch.
        memory_share: Share of the memory budget in use.
        slots: Of all slots, in the order of the host.
    """

    epoch: int
    step: int
    ends_epoch: bool
    is_conservative: bool = False
    validation_accuracy: float = 0.0
    validation_loss: float = 0.0
    training_loss: float = 0.0
    memory_share: float = 0.0
    slots: tuple[SlotEvidence, ...] = ()
