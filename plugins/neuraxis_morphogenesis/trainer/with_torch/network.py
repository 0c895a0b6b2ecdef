"""A host with its slots: the network that grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuraxis_morphogenesis.seeds.with_torch.blend import confidence
from neuraxis_morphogenesis.seeds.with_torch.distill import margins
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.with_torch.hosts import Host


@final
class Network:
    """A host and the slots after its blocks.

    Attributes:
        host: The host; its parameters are its own.
        slots: One after each block, in order.
    """

    def __init__(self, host: Host, slots: list[Slot]) -> None:
        """Join them."""
        self.host = host
        self.slots = slots

    def slot(self, name: str) -> Slot:
        """Return the slot of that name."""
        return next(each for each in self.slots if each.name == name)

    def logits(self, inputs: Tensor, shares: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return (batch, classes), or (batch, steps, tokens).

        Args:
            inputs: (batch, …).
            shares: Alpha of each sample by slot, (batch,) each, to ask what would be if; None for what is.
        """
        if shares is None and any(each.is_weighed for each in self.slots):
            self._weigh(inputs)
        x = self.host.entry(inputs)
        for block, slot in zip(self.host.blocks, self.slots, strict=True):
            x = slot(block(x), None if shares is None else shares.get(slot.name))
        result: Tensor = self.host.head(x)
        return result

    def _weigh(self, inputs: Tensor) -> None:
        """Tell slots that blend by confidence how sure the host is without them."""
        with torch.no_grad():
            lead = confidence(
                margins(self.logits(inputs, {each.name: torch.zeros(len(inputs)) for each in self.slots}))
            )
        for each in self.slots:
            each.margins = lead if each.blend == "confidence" else None

    def train(self, training: bool) -> None:
        """Switch all modules to training or to evaluation. What is frozen stays in evaluation."""
        self.host.train(training)
        for slot in self.slots:
            if slot.module is not None:
                slot.module.train(training and slot.learns)

    def owners(self) -> dict[str, list[nn.Parameter]]:
        """Return all parameters by owner: the host and each slot that holds a module."""
        found = {"host": list(self.host.parameters())}
        for slot in self.slots:
            if slot.module is not None:
                found[slot.name] = list(slot.module.parameters())
        return found

    def tensors(self) -> dict[str, list[Tensor]]:
        """Return parameters and buffers by owner."""
        found: dict[str, list[Tensor]] = {"host": [*self.host.parameters(), *self.host.buffers()]}
        for slot in self.slots:
            if slot.module is not None:
                found[slot.name] = [*slot.module.parameters(), *slot.module.buffers()]
        return found


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy, nat: of (batch, classes) and (batch,), or with steps in between."""
    return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1))


def size_of(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(each.numel() * each.element_size() for each in tensors)
