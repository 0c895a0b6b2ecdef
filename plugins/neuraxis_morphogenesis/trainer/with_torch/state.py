"""The whole state of a training as a tree of plain values and arrays, and the way back, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from neuraxis_morphogenesis.blueprints.catalogue import grant
from neuraxis_morphogenesis.blueprints.with_torch import build
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.with_torch.measure import Tally
from neuraxis_morphogenesis.trainer.with_torch.teacher import Teacher
from neuraxis_morphogenesis.trainer.with_torch.training import Training

FIELDS = ("blend", "blend_step", "blend_steps", "fade_step", "fade_steps", "is_paused")
FROZEN = (Stage.FOSSILIZED, Stage.TERMINATED, Stage.CULLED)
"""Stages in which a module learns no more."""


def capture(training: Training) -> dict[str, Any]:
    """Return everything that decides how the training goes on."""
    return {
        "host": tensors(training.network.host),
        "slots": {each.name: _slot(training, each) for each in training.network.slots},
        "optimisers": training.optimisers.capture(),
        "teacher": _teacher(training),
        **{name: getattr(training, name) for name in ("step", "macs", "rate_factor", "rate", "standing_out")},
        "faults": dict(training.faults),
        "losses": list(training.losses),
        "host_tally": training.host_tally.capture(),
    }


def restore(training: Training, captured: Mapping[str, Any]) -> None:
    """Make a training what it was when `capture` returned this."""
    load(training.network.host, captured["host"])
    for slot in training.network.slots:
        training.detach(slot.name)
        _refill(training, slot, captured["slots"][slot.name])
    training.optimisers.restore(captured["optimisers"])
    for name in ("step", "macs", "rate_factor", "rate", "standing_out"):
        setattr(training, name, captured[name])
    training.faults = dict(captured["faults"])
    training.losses.clear()
    training.losses.extend(captured["losses"])
    training.host_tally = Tally.restored(captured["host_tally"])
    training.forget_teacher()
    if captured["teacher"] is not None:
        training.adopt(_taught(training, captured["teacher"]))


def roll_back(training: Training, healthy: Mapping[str, Any]) -> None:
    """Give host and seeds the weights and the optimisers of a healthy state.

    Stages, counters and the data go on as they are: a seed that has come, gone or changed since keeps what it is.

    Args:
        training: What is changed.
        healthy: What `capture` returned then.
    """
    load(training.network.host, healthy["host"])
    owners = ["host"]
    for slot in training.network.slots:
        kept = healthy["slots"][slot.name]
        if slot.module is not None and kept["grant"] == slot.grant:
            load(slot.module, kept["tensors"])
            owners.append(slot.name)
    held = training.optimisers.capture()
    memories = {each: healthy["optimisers"][each] for each in owners if each in held and each in healthy["optimisers"]}
    training.optimisers.restore(memories)
    training.losses.clear()
    training.standing_out = 0


def tensors(module: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of parameters and buffers by name."""
    return {name: np.array(value.detach().numpy()) for name, value in module.state_dict().items()}


def load(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Overwrite parameters and buffers."""
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})


def _slot(training: Training, slot: Slot) -> dict[str, Any]:
    return {
        **_content(slot),
        "age": training.ages[slot.name],
        "tally": training.tallies[slot.name].capture(),
    }


def _content(slot: Slot) -> dict[str, Any]:
    return {
        "stage": int(slot.stage),
        **{name: getattr(slot, name) for name in FIELDS},
        "grant": None if slot.grant is None else dict(slot.grant),
        "tensors": None if slot.module is None else tensors(slot.module),
    }


def _refill(training: Training, slot: Slot, kept: Mapping[str, Any]) -> None:
    _fill(slot, kept)
    if slot.module is not None:
        training.put(slot, slot.module)
        if slot.stage in FROZEN:
            training.freeze(slot)
    training.ages[slot.name] = kept["age"]
    training.tallies[slot.name] = Tally.restored(kept["tally"])


def _fill(slot: Slot, kept: Mapping[str, Any]) -> None:
    slot.stage = Stage(kept["stage"])
    for name in FIELDS:
        setattr(slot, name, kept[name])
    if kept["grant"] is not None:
        slot.grant = dict(kept["grant"])
        blueprint = kept["grant"]["blueprint"]
        granted = grant(blueprint, slot.site, kept["grant"]["parameters"], approved=(blueprint,))
        slot.module = build(granted, seed=0)
        load(slot.module, kept["tensors"])


def _teacher(training: Training) -> dict[str, Any] | None:
    if training.teacher is None:
        return None
    network = training.teacher.network
    return {"host": tensors(network.host), "slots": {each.name: _content(each) for each in network.slots}}


def _taught(training: Training, captured: Mapping[str, Any]) -> Teacher:
    network = copy.deepcopy(training.network)
    load(network.host, captured["host"])
    for slot in network.slots:
        slot.module = None
        _fill(slot, captured["slots"][slot.name])
    return Teacher(network)
