"""One optimiser for each owner of parameters, and the checks before every step.

The learning rate is written here and nowhere else: what somebody else has written is found before it is used.
The rules are written out: PyTorch's own optimisers load its compiler, which takes seconds.

Determinism: machine.
Source: SGD with momentum as in Sutskever et al. (2013); Adam: Kingma & Ba (2015); AdamW: Loshchilov & Hutter (2019).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from neuraxis_morphogenesis.errors import RateTampered
from neuraxis_morphogenesis.seeds.with_torch.registry import Breach, Registry
from neuraxis_morphogenesis.trainer.with_torch.network import size_of

BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8


@final
class Group:
    """Parameters of one owner, and what their optimiser remembers.

    Attributes:
        parameters: What a step changes.
        rate: The learning rate of the newest step.
        steps: Steps taken.
        memory: For each parameter, tensors by name.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        """Begin with nothing remembered."""
        self.parameters = list(parameters)
        self.rate = 0.0
        self.steps = 0
        self.memory: list[dict[str, Tensor]] = [{} for _ in self.parameters]


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
            decay: Weight decay; added to the gradient by `sgd` and `adam`, apart from it by `adamw`.
            registry: Who owns which parameter.
        """
        self.registry = registry
        self._family = family
        self._momentum = momentum
        self._decay = decay
        self._groups: dict[str, Group] = {}
        self._rates: dict[str, float] = {}

    def add(self, owner: str, parameters: Sequence[nn.Parameter]) -> Breach | None:
        """Give an owner an optimiser of its own. Returns what is wrong, if others own a parameter."""
        breach = self.registry.register(owner, parameters)
        if breach is None and parameters:
            self._groups[owner] = Group(parameters)
            self._rates[owner] = 0.0
        return breach

    def remove(self, owner: str) -> None:
        """Forget an owner: its optimiser, what that remembers, and its parameters."""
        self._groups.pop(owner, None)
        self._rates.pop(owner, None)
        self.registry.forget(owner)

    def holds(self, owner: str) -> bool:
        """Whether anything is left of an owner."""
        return owner in self._groups or self.registry.count(owner) > 0

    def group(self, owner: str) -> Group | None:
        """Return what the owner's optimiser would change, and what it remembers."""
        return self._groups.get(owner)

    def step(self, owner: str, rate: float) -> Breach | None:
        """Take a step, unless it would change what is not the owner's. Returns what is wrong then.

        Raises:
            RateTampered: Somebody else wrote a learning rate.
        """
        group = self._groups.get(owner)
        if group is None:
            return None
        breach = self.registry.breach(owner, group.parameters)
        if breach is not None:
            return breach
        if group.rate != self._rates[owner]:
            raise RateTampered(owner=owner, expected=self._rates[owner], got=group.rate)
        group.rate = self._rates[owner] = rate
        group.steps += 1
        with torch.no_grad():
            for parameter, memory in zip(group.parameters, group.memory, strict=True):
                if parameter.grad is not None:
                    self._change(parameter, parameter.grad, memory, rate, group.steps)
        return None

    def _change(self, weight: Tensor, gradient: Tensor, memory: dict[str, Tensor], rate: float, steps: int) -> None:
        if self._decay and self._family != "adamw":
            gradient = gradient + self._decay * weight
        if self._family == "sgd":
            velocity = memory.get("velocity")
            memory["velocity"] = gradient.clone() if velocity is None else velocity.mul_(self._momentum).add_(gradient)
            weight.sub_(rate * memory["velocity"])
            return
        if self._family == "adamw":
            weight.mul_(1 - rate * self._decay)
        first = memory.setdefault("first", torch.zeros_like(weight))
        second = memory.setdefault("second", torch.zeros_like(weight))
        first.mul_(BETAS[0]).add_(gradient, alpha=1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        scale = second.sqrt().div_(math.sqrt(1 - BETAS[1] ** steps)).add_(EPSILON)
        weight.addcdiv_(first, scale, value=-rate / (1 - BETAS[0] ** steps))

    def capture(self) -> dict[str, Any]:
        """Return what all optimisers remember."""
        return {
            owner: {
                "rate": self._rates[owner],
                "steps": group.steps,
                "memory": [{name: np.array(v.numpy()) for name, v in sorted(each.items())} for each in group.memory],
            }
            for owner, group in self._groups.items()
        }

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over what `capture` returned. Owners must have been added before."""
        for owner, kept in captured.items():
            group = self._groups[owner]
            group.rate = self._rates[owner] = kept["rate"]
            group.steps = kept["steps"]
            group.memory = [{name: torch.from_numpy(np.array(v)) for name, v in m.items()} for m in kept["memory"]]

    def size(self) -> int:
        """Return the bytes that optimisers remember."""
        return size_of([each for group in self._groups.values() for memory in group.memory for each in memory.values()])
