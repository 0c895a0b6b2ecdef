"""From a training to evidence: what the seeds actor is told about each slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.contracts import numbers
from neuraxis_morphogenesis.messages import SlotEvidence
from neuraxis_morphogenesis.seeds.schedule import alpha
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.with_torch.gradients import count
from neuraxis_morphogenesis.trainer.with_torch.network import size_of
from neuraxis_morphogenesis.trainer.with_torch.training import Training
from neuraxis_morphogenesis.trainer.with_torch.validation import Validation


def slot_evidence(training: Training, slot: Slot, *, validation: Validation | None, trouble: str = "") -> SlotEvidence:
    """Return what was measured about a slot in its stage.

    Args:
        training: The training.
        slot: One of its slots.
        validation: Of the epoch that ended; None in the middle of one.
        trouble: Why a module could not be attached.
    """
    if slot.module is None:
        clean = {"clean": float(training.is_clean(slot.name))}
        return SlotEvidence(
            slot=slot.name,
            site=slot.site,
            depth=slot.depth,
            is_attached=False,
            trouble=trouble,
            measured=numbers(clean),
        )
    tally = training.tallies[slot.name]
    measured = {
        **tally.measured(),
        "alpha": slot.alpha,
        "learning_rate": training.seed_rate(slot) if slot.learns else 0.0,
        "parameters": float(count(list(slot.module.parameters()))),
    }
    if tally.is_watched:
        measured["isolation_violations"] = float(len(tally.violations))
    if slot.stage is Stage.BLENDING:
        expected = alpha(slot.schedule, tally.present, slot.blend_steps, (slot.blend_begin, slot.blend_end))
        measured["alpha_error"] = abs(slot.alpha - expected)
        measured["alpha_steps"] = float(slot.blend_step)
        measured["alpha_total_steps"] = float(slot.blend_steps)
    if validation is not None and slot.name in validation.contribution:
        measured["contribution"] = validation.contribution[slot.name]
        measured["seed_loss"] = validation.seed_loss[slot.name]
        if slot.name in validation.correlation:
            measured["shadow_correlation"] = validation.correlation[slot.name]
            measured |= interface(training, slot)
    return SlotEvidence(
        slot=slot.name,
        site=slot.site,
        depth=slot.depth,
        is_attached=True,
        parameters=int(measured["parameters"]),
        violations=tuple(tally.violations),
        measured=numbers(measured),
    )


def interface(training: Training, slot: Slot) -> dict[str, float]:
    """Return whether a seed keeps its shape contract, and whether it can be paused and resumed without a trace.

    The module is run on a probe, taken out, put back and run again: the same bits must come back, and the host's own
    while it was out.
    """
    assert slot.module is not None, "only seeds in SHADOWING are asked"
    probe = torch.linspace(-1, 1, 4 * slot.site.places * slot.site.channels).reshape(4, *slot.site.shape)
    slot.module.train(False)
    with torch.no_grad():
        before = slot.module(probe)
        slot.is_paused = True
        out = slot(probe)
        slot.is_paused = False
        after = slot.module(probe)
    fits = before.shape == probe.shape and before.dtype == probe.dtype and bool(torch.isfinite(before).all())
    return {"interface": float(fits), "resumable": float(torch.equal(before, after) and torch.equal(out, probe))}


def memory(training: Training, healthy: Sequence[Mapping[str, Any]]) -> int:
    """Return the bytes that a training holds: weights, gradients, optimisers, teacher, and states kept.

    Args:
        training: The training.
        healthy: States that are kept to go back to.
    """
    weights = sum(map(size_of, training.network.tensors().values()))
    teacher = 0 if training.teacher is None else size_of(training.teacher.parameters())
    learned = [each for owned in training.network.owners().values() for each in owned if each.requires_grad]
    gradients = size_of(learned)  # as large as what they change
    return weights + gradients + teacher + training.optimisers.size() + sum(map(_bytes, healthy))


def _bytes(tree: Any) -> int:
    if isinstance(tree, np.ndarray):
        return int(tree.nbytes)
    if isinstance(tree, Mapping):
        return sum(map(_bytes, tree.values()))
    return sum(map(_bytes, tree)) if isinstance(tree, list) else 0
