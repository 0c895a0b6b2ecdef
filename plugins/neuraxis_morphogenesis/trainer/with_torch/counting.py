"""Multiply-adds: those of products of matrices and of convolutions, counted while a module runs."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


@final
class _Counter(TorchDispatchMode):
    """Adds up multiply-adds of every operation that has some."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, and compute."""
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in ("mm", "bmm"):
            self.total += result.numel() * args[0].shape[-1]
        elif name in ("addmm", "baddbmm"):
            self.total += result.numel() * args[1].shape[-1]
        elif name == "convolution":
            self.total += result.numel() * math.prod(args[1].shape[1:])
        elif name.startswith("_scaled_dot_product"):
            query, key = args[0], args[1]
            self.total += 2 * query.numel() * key.shape[-2]
        return result


def multiply_adds(module: nn.Module, inputs: Tensor) -> int:
    """Return the multiply-adds of one forward pass.

    Args:
        module: Run once, without gradients.
        inputs: What it is run on.
    """
    with torch.no_grad(), _Counter() as counter:
        module(inputs)
    return counter.total
