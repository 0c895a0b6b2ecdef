"""One optimiser for each owner of parameters, and the checks before every step.

The learning rate is written here and nowhere else: what somebody else has written is found before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from neuraxis_morphogenesis.errors import RateTampered
from neuraxis_morphogenesis.seeds.with_torch.registry import Breach, Registry

FAMILIES: Final = ("sgd", "adam", "adamw")
"""In the order of their numbers in packets; AdamW without decay is Adam."""


@final
class Optimisers:
    """Optimisers by owner.

    Attributes:
        registry: Who owns which parameter.
    """

    def __init__(self, family: str, *, momentum: float, decay: float, registry: Registry) -> None:
        """Begin with none.

        Args:
            family: `sgd`, `adam` or `adamw`.
            momentum: Of `sgd`.
            decay: Weight decay.
            registry: Who owns which parameter.
        """
        self.registry = registry
        self._family = family
        self._momentum = momentum
        self._decay = decay
        self._held: dict[str, Optimizer] = {}
        self._rates: dict[str, float] = {}

    def add(self, owner: str, parameters: Sequence[nn.Parameter]) -> Breach | None:
        """Give an owner an optimiser of its own. Returns what is wrong, if others own a parameter."""
        breach = self.registry.register(owner, parameters)
        if breach is None and parameters:
            self._held[owner] = self._made(parameters)
            self._rates[owner] = 0.0
        return breach

    def _made(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        if self._family == "sgd":
            return SGD(parameters, lr=0.0, momentum=self._momentum, weight_decay=self._decay, foreach=False)
        decay = self._decay if self._family == "adamw" else 0.0
        return AdamW(parameters, lr=0.0, weight_decay=decay, foreach=False)

    def remove(self, owner: str) -> None:
        """Forget an owner: its optimiser, what that remembers, and its parameters."""
        self._held.pop(owner, None)
        self._rates.pop(owner, None)
        self.registry.forget(owner)

    def holds(self, owner: str) -> bool:
        """Whether anything is left of an owner."""
        return owner in self._held or self.registry.count(owner) > 0

    def group(self, owner: str) -> list[nn.Parameter]:
        """Return the parameters that the owner's optimiser would change."""
        held = self._held.get(owner)
        return [] if held is None else [each for group in held.param_groups for each in group["params"]]

    def step(self, owner: str, rate: float) -> Breach | None:
        """Take a step, unless it would change what is not the owner's. Returns what is wrong then.

        Raises:
            RateTampered: Somebody else wrote a learning rate.
        """
        held = self._held.get(owner)
        if held is None:
            return None
        breach = self.registry.breach(owner, self.group(owner))
        if breach is not None:
            return breach
        for group in held.param_groups:
            if group["lr"] != self._rates[owner]:
                raise RateTampered(owner=owner, expected=self._rates[owner], got=float(group["lr"]))
            group["lr"] = rate
        self._rates[owner] = rate
        held.step()
        return None

    def capture(self) -> dict[str, Any]:
        """Return what all optimisers remember."""
        return {
            owner: {
                "rate": self._rates[owner],
                "memory": [
                    {key: _plain(value) for key, value in sorted(held.state.get(each, {}).items())}
                    for each in self.group(owner)
                ],
            }
            for owner, held in self._held.items()
        }

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over what `capture` returned. Owners must have been added before."""
        for owner, kept in captured.items():
            held = self._held[owner]
            self._rates[owner] = kept["rate"]
            for group in held.param_groups:
                group["lr"] = kept["rate"]
            for parameter, memory in zip(self.group(owner), kept["memory"], strict=True):
                held.state[parameter] = {key: _tensor(value) for key, value in memory.items()}

    def size(self) -> int:
        """Return the bytes that optimisers remember."""
        memories = [memory for held in self._held.values() for memory in held.state.values()]
        return sum(v.numel() * v.element_size() for m in memories for v in m.values() if isinstance(v, torch.Tensor))


def _plain(value: Any) -> Any:
    return np.array(value.detach().numpy()) if isinstance(value, torch.Tensor) else value


def _tensor(value: Any) -> Any:
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
