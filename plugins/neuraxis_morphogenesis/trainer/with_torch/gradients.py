"""Gradients as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def count(parameters: Sequence[nn.Parameter]) -> int:
    """Return how many numbers parameters hold, at least 1."""
    return max(1, sum(each.numel() for each in parameters))


def flat(gradients: Sequence[Tensor | None], like: Sequence[nn.Parameter]) -> Tensor:
    """Return gradients as one vector, with zeros where there is none."""
    parts = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, like, strict=True)]
    return torch.cat([each.flatten() for each in parts])


def spread(vector: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    """Give parameters their parts of a vector as gradients. The way back of `flat`."""
    place = 0
    for each in parameters:
        each.grad = vector[place : place + each.numel()].reshape(each.shape).clone()
        place += each.numel()


def norm(parameters: Sequence[nn.Parameter]) -> float:
    """Return the Euclidean norm of all gradients."""
    found = [each.grad for each in parameters if each.grad is not None]
    return float(torch.linalg.vector_norm(torch.stack([each.norm() for each in found]))) if found else 0.0
