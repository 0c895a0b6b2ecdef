"""The monitor of isolation: it finds tensors that two parts share, and gradients that go where they must not.

It does not read marks that a leak could leave in place. It runs the slot as it is, and looks where gradients arrive:
from the seed's branch none may reach the host or another seed, and the mixture must give the host exactly what it would
give if the seed were a constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, final

import torch
from msgspec import Struct
from torch import Tensor, nn

from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot

Leak = Literal["shared_tensor", "gradient_into_host", "gradient_into_other_seed", "host_gradient_changed"]

WATCHED: Final = (Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING, Stage.PROBATIONARY, Stage.CULLED)
"""Stages in which a seed must not reach the host."""

EPSILON: Final = 1e-12


@final
class Watch(Struct, frozen=True):
    """What the monitor saw at one slot.

    Attributes:
        leaks: What is wrong.
        dot, host_norm, seed_norm: Product and norms of the two gradients at the graft: the one that the host gets, and
            the one that would flow back through the seed.
    """

    leaks: tuple[Leak, ...]
    dot: float
    host_norm: float
    seed_norm: float

    @property
    def cosine(self) -> float:
        """Cosine of the two gradients."""
        return self.dot / (self.host_norm * self.seed_norm + EPSILON)


def shared(owners: Mapping[str, Iterable[Tensor]]) -> dict[str, str]:
    """Return owners that share memory with another, each with the other's name.

    Args:
        owners: Tensors by owner: parameters and buffers.
    """
    first: dict[int, str] = {}
    found: dict[str, str] = {}
    for owner in sorted(owners):
        for tensor in owners[owner]:
            place = tensor.untyped_storage().data_ptr()
            if place == 0:
                continue  # an empty tensor lies nowhere
            other = first.setdefault(place, owner)
            if other != owner:
                found[owner], found[other] = other, owner
    return found


def watch(slot: Slot, host: Tensor, others: Sequence[Tensor], foreign: Sequence[nn.Parameter]) -> Watch:
    """Run a slot's seed on an activation, and look where gradients arrive.

    Args:
        slot: In a stage of `WATCHED`, with a module.
        host: (batch, *site.shape) activation, with its graph back into the host.
        others: Parameters of other seeds.
        foreign: Parameters of the host.
    """
    point = host if host.requires_grad else host.requires_grad_()
    taken = slot.taken(point)
    seed = slot.branch(taken)
    leaks: list[Leak] = []
    if _reaches(seed, [point, *foreign]):
        leaks.append("gradient_into_host")
    if _reaches(seed, others):
        leaks.append("gradient_into_other_seed")
    as_it_is = _at(slot(point), point)
    as_it_should_be = _at(_without_seed(slot, point), point)
    if not torch.equal(as_it_is, as_it_should_be):
        leaks.append("host_gradient_changed")
    back = _back_through(slot, point)
    dot, norms = float((as_it_is * back).sum()), (float(as_it_is.norm()), float(back.norm()))
    return Watch(tuple(leaks), dot, *norms)


def _without_seed(slot: Slot, point: Tensor) -> Tensor:
    """Return the slot's output as it would be if the seed were a constant."""
    if slot.stage not in (Stage.BLENDING, Stage.PROBATIONARY, Stage.CULLED) or slot.is_paused:
        return point.clone()
    with torch.no_grad():
        taken = point.detach().clone()
        seed = slot.branch(taken)
    share: Tensor | float = slot.alpha
    if slot.is_weighed and slot.margins is not None:
        share = slot.margins * share
    return slot.mixed(point, taken, seed, share)


def _reaches(output: Tensor, inputs: Sequence[Tensor]) -> bool:
    if not output.requires_grad or not inputs:
        return False
    gradients = torch.autograd.grad(output.sum(), inputs, allow_unused=True, retain_graph=True)
    return any(each is not None for each in gradients)


def _at(output: Tensor, point: Tensor) -> Tensor:
    """Return the gradient of a sum of outputs that arrives at the graft."""
    if not output.requires_grad:
        return torch.zeros_like(point)
    found = torch.autograd.grad(output.sum(), point, allow_unused=True, retain_graph=True)[0]
    return torch.zeros_like(point) if found is None else found


def _back_through(slot: Slot, point: Tensor) -> Tensor:
    """Return the gradient that would flow back through the seed if nothing stopped it."""
    start = point.detach().clone().requires_grad_()
    output = slot.branch(start)
    return torch.autograd.grad(output.sum(), start)[0] if output.requires_grad else torch.zeros_like(start)
