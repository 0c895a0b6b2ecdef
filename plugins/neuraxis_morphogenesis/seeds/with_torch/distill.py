"""Knowledge distillation: what the network knew before a graft teaches it while the seed is blended in.

Source: Hinton, Vinyals & Dean, Distilling the Knowledge in a Neural Network (2015); the loss is scaled by T², so that
its gradient does not shrink with the temperature.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE: Final = 4.0


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return T² KL(teacher ‖ student) of softened outputs, a scalar.

    Args:
        student: (batch, classes) logits, with their graph.
        teacher: (batch, classes) logits; no gradient ever reaches them.
    """
    soft = functional.log_softmax(student / TEMPERATURE, dim=-1)
    target = functional.softmax(teacher.detach() / TEMPERATURE, dim=-1)
    return functional.kl_div(soft, target, reduction="batchmean") * TEMPERATURE**2


def margins(logits: Tensor) -> Tensor:
    """Return the lead of the best over the second class: (batch, classes), (batch,)."""
    best = torch.topk(logits.detach(), 2, dim=-1).values
    return best[:, 0] - best[:, 1]
