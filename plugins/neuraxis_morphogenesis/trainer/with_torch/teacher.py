"""A teacher: the network as it was before a graft, frozen."""

from __future__ import annotations

import copy
from typing import final

from torch import Tensor, nn

from neuraxis_morphogenesis.trainer.with_torch.network import Network


@final
class Teacher(nn.Module):
    """A frozen copy of a network, behind a fence: nothing updates it, and it shares no memory.

    Attributes:
        network: The copy.
        macs: Multiply-adds of a sample, once they were counted.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for slot in self.network.slots:
            slot.is_paused = slot.alpha == 0  # it would be computed, and change nothing
        self.host = self.network.host
        self.seeds = nn.ModuleDict({s.name: s.module for s in self.network.slots if s.module is not None})
        self.network.train(False)
        self.requires_grad_(False)
        self.macs: int | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        return self.network.logits(inputs)
