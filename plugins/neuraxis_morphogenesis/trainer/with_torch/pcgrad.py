"""Gradients of several losses on the same parameters, made not to work against each other.

Source: Yu et al., Gradient Surgery for Multi-Task Learning (2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from msgspec import Struct
from torch import Tensor


@final
class Combined(Struct, frozen=True):
    """What became of several gradients.

    Attributes:
        gradient: (n,) their sum after projection.
        conflict_rate: Share of pairs that pointed against each other; 0 of a single gradient.
    """

    gradient: Tensor
    conflict_rate: float


def combine(gradients: Sequence[Tensor], orders: Sequence[Sequence[int]]) -> Combined:
    """Project every gradient onto the normal plane of each one that it conflicts with, and add them up.

    g_i loses (g_i · g_j / |g_j|²) g_j for each j, in a random order, where g_i as it is by then points against g_j.

    Args:
        gradients: (n,) each; at least one.
        orders: For each gradient, a permutation of all numbers.
    """
    conflicts, pairs = 0, 0
    projected = []
    for number, gradient in enumerate(gradients):
        result = gradient.clone()
        for other in orders[number]:
            if other == number:
                continue
            pairs += 1
            conflicts += bool(torch.dot(gradient, gradients[other]) < 0)
            product = torch.dot(result, gradients[other])
            if product < 0:
                result -= product / torch.dot(gradients[other], gradients[other]) * gradients[other]
        projected.append(result)
    total = projected[0]
    for each in projected[1:]:
        total = total + each
    return Combined(total, conflicts / pairs if pairs else 0.0)
