"""Training: blocks of steps on host and seeds, with the guards around every step.

Determinism: machine.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor, nn

from neuraxis_morphogenesis.blueprints.catalogue import grant
from neuraxis_morphogenesis.blueprints.errors import BlueprintRefused, BlueprintUnknown
from neuraxis_morphogenesis.blueprints.with_torch import build
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.blend import Isolation
from neuraxis_morphogenesis.seeds.with_torch.distill import distillation
from neuraxis_morphogenesis.seeds.with_torch.isolation import WATCHED, shared, watch
from neuraxis_morphogenesis.seeds.with_torch.registry import HOST, TEACHER, Registry
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.data import DataSet
from neuraxis_morphogenesis.trainer.health import IN_A_ROW, WINDOW, Fault, stands_out
from neuraxis_morphogenesis.trainer.rates import host_rate, seed_rate
from neuraxis_morphogenesis.trainer.with_torch.counting import multiply_adds
from neuraxis_morphogenesis.trainer.with_torch.gradients import count, flat, norm, spread
from neuraxis_morphogenesis.trainer.with_torch.hosts import Design, host
from neuraxis_morphogenesis.trainer.with_torch.measure import Tally
from neuraxis_morphogenesis.trainer.with_torch.network import Network, loss_of
from neuraxis_morphogenesis.trainer.with_torch.optimiser import Optimisers
from neuraxis_morphogenesis.trainer.with_torch.pcgrad import combine
from neuraxis_morphogenesis.trainer.with_torch.teacher import Teacher

LIVE: Final = (Stage.BLENDING, Stage.PROBATIONARY)
PROBE: Final = 8
"""Samples on which isolation is checked."""

TRAINING_WEIGHT: Final = 0.1
STABILISING_WEIGHT: Final = 0.5
"""Of the loss of a seed in TRAINING, and in its first epoch of PROBATIONARY."""


@final
class Config(Struct, frozen=True, kw_only=True):
    """How to train.

    Attributes:
        design: The host.
        optimiser, rate, momentum, decay: Of the optimiser; `rate` is the host's first learning rate.
        seed_rate_share, seed_warmup_epochs: A seed's learning rate, as a share of the host's, and until it is warm.
        gradient_max: Norm of a gradient above which it explodes.
        isolation, schedule: Of all slots.
        aggregation: `sum`, or `pcgrad` for a loss of each live seed on the host.
        distil: Weight of what the network knew before a graft; 0 for off.
    """

    design: Design
    optimiser: str = "sgd"
    rate: float = 0.05
    momentum: float = 0.9
    decay: float = 0.0
    seed_rate_share: float = 0.1
    seed_warmup_epochs: float = 10
    gradient_max: float = 100.0
    isolation: Isolation = "strict"
    schedule: str = "sigmoid"
    aggregation: str = "sum"
    distil: float = 0.0


@final
class Training:
    """A network, its data and its optimisers.

    Attributes:
        network: Host and slots.
        data: What it learns from.
        optimisers: One for each owner.
        step: Optimiser steps done, also those that were refused.
        macs: Multiply-adds of training so far: three times those of the forward pass, for forward and backward.
        faults: What went wrong, by name, and how often.
        rate_factor: What all learning rates are multiplied by.
    """

    def __init__(self, config: Config, data: DataSet, *, seed: int) -> None:
        """Make a host with fresh weights and empty slots."""
        self.config = config
        self.data = data
        made = host(config.design, seed=seed)
        slots = [
            Slot(f"block{number + 1}", site, number + 1, config.isolation, config.schedule)
            for number, site in enumerate(made.sites)
        ]
        self.network = Network(made, slots)
        self.registry = Registry()
        self.optimisers = Optimisers(
            config.optimiser, momentum=config.momentum, decay=config.decay, registry=self.registry
        )
        self.optimisers.add(HOST, list(made.parameters()))
        self.step = 0
        self.macs = 0.0
        self.faults: dict[str, int] = {}
        self.rate_factor = 1.0
        self.rate = 0.0
        self.losses: deque[float] = deque(maxlen=WINDOW)
        self.standing_out = 0
        self.tallies: dict[str, Tally] = {each.name: Tally() for each in slots}
        self.host_tally = Tally()
        self.ages: dict[str, float] = {each.name: 0.0 for each in slots}
        self.teacher: Teacher | None = None
        self._host_macs = multiply_adds(_Whole(self.network), torch.from_numpy(data.train.inputs[:1]))
        self._seed_macs: dict[str, int] = {}

    # ------------------------------------------------------------------------------- steps

    def train(self, indices: np.ndarray, *, progress: float, epoch_share: float, orders: Any = None) -> Fault | None:
        """Take one step on a batch.

        Args:
            indices: (batch,) numbers of training samples.
            progress: Share of the whole training that is done, for learning rates.
            epoch_share: Share of an epoch that a step is, for the age of seeds.
            orders: For `pcgrad`: called with a count, it returns that many permutations.

        Returns:
            What went wrong; then nothing was changed.
        """
        inputs = torch.from_numpy(self.data.train.inputs[indices])
        labels = torch.from_numpy(self.data.train.labels[indices])
        self.network.train(True)
        self.step += 1
        self.macs += 3.0 * len(indices) * (self._host_macs + sum(self._macs_in_step()))
        owners = self.network.owners()
        for parameters in owners.values():
            for each in parameters:
                each.grad = None
        loss = self._backward(inputs, labels, orders)
        fault = self._judge(loss, owners)
        if fault is None:
            self._update(owners, progress, epoch_share)
        for slot in self.network.slots:
            if slot.learns:
                self.ages[slot.name] += epoch_share
                self.tallies[slot.name].present += 1
            slot.advance()
        if fault is not None:
            self.faults[fault] = self.faults.get(fault, 0) + 1
        return fault

    def _macs_in_step(self) -> list[int]:
        return [self._seed_macs[each.name] for each in self.network.slots if each.computes]

    def _backward(self, inputs: Tensor, labels: Tensor, orders: Any) -> float:
        """Fill in all gradients. Returns the loss."""
        live = [each for each in self.network.slots if each.module is not None and each.stage in LIVE]
        if self.config.aggregation == "pcgrad" and live:
            return self._backward_apart(inputs, labels, live, orders)
        logits = self.network.logits(inputs)
        loss = loss_of(logits, labels)
        total = loss
        if self.teacher is not None:
            with torch.no_grad():
                known = self.teacher(inputs)
            total = loss + self.config.distil * distillation(
                logits.reshape(-1, logits.shape[-1]), known.reshape(-1, known.shape[-1])
            )
        value = float(total.detach())
        if math.isfinite(value):
            total.backward()
        return value

    def _backward_apart(self, inputs: Tensor, labels: Tensor, live: list[Slot], orders: Any) -> float:
        """Fill in gradients of a loss with each live seed alone, and one without any, which the host must not set off.

        Seeds in TRAINING learn in the pass without any live seed.
        """
        shared_parameters = [each for each in self.network.host.parameters() if each.requires_grad]
        gradients, losses = [], []
        for alone in [None, *live]:
            hidden = [each for each in live if each is not alone]
            own = [] if alone is None or alone.module is None else list(alone.module.parameters())
            if alone is None:
                own = [p for s in self.network.slots if s.learns and s not in live for p in _parameters(s)]
            for each in hidden:
                each.is_paused = True
            loss = loss_of(self.network.logits(inputs), labels)
            for each in hidden:
                each.is_paused = False
            losses.append(float(loss.detach()))
            found = torch.autograd.grad(loss, [*shared_parameters, *own], allow_unused=True)
            cut = len(shared_parameters)
            gradients.append(flat(found[:cut], shared_parameters))
            for parameter, gradient in zip(own, found[cut:], strict=True):
                parameter.grad = gradient
        combined = combine(gradients, orders(len(gradients)))
        self.host_tally.conflicts = combined.conflict_rate
        spread(combined.gradient / len(gradients), shared_parameters)
        return sum(losses) / len(losses)

    def _judge(self, loss: float, owners: dict[str, list[nn.Parameter]]) -> Fault | None:
        """Measure the gradients, and tell what is wrong with them or with the loss."""
        if not math.isfinite(loss):
            for slot in self.network.slots:
                if slot.computes:
                    self.tallies[slot.name].finite = self.tallies[slot.name].finite and self._is_finite(slot)
            return "nan_loss"
        norms = {owner: norm(parameters) for owner, parameters in owners.items()}
        for slot in self.network.slots:
            if slot.learns:
                roots = (math.sqrt(count(owners[slot.name])), math.sqrt(count(owners[HOST])))
                self.tallies[slot.name].gradient(norms[slot.name], norms[HOST], roots, self.config.gradient_max)
        self.host_tally.gradient(norms[HOST], norms[HOST], (1.0, 1.0), self.config.gradient_max)
        if not norms[HOST] <= self.config.gradient_max:
            return "exploding_gradient"
        self.host_tally.loss(loss)
        self.standing_out = self.standing_out + 1 if stands_out(loss, self.losses) else 0
        if self.standing_out:
            return "runaway_loss" if self.standing_out >= IN_A_ROW else None
        self.losses.append(loss)
        return None

    def _is_finite(self, slot: Slot) -> bool:
        """Whether a seed itself still makes numbers."""
        assert slot.module is not None, "only what computes is asked"
        with torch.no_grad():
            made = slot.branch(torch.ones(1, *slot.site.shape))
        return bool(torch.isfinite(made).all()) and all(bool(torch.isfinite(p).all()) for p in _parameters(slot))

    def _update(self, owners: dict[str, list[nn.Parameter]], progress: float, epoch_share: float) -> None:
        """Let every optimiser take its step that may."""
        self.rate = host_rate(self.config.rate, progress) * self.rate_factor
        breach = self.optimisers.step(HOST, self.rate)
        if breach is not None:
            self.host_tally.violations.append(breach)
        for slot in self.network.slots:
            tally = self.tallies[slot.name]
            if not slot.learns or tally.is_exploding:
                continue
            weight = self._weight(slot, tally.present * epoch_share)
            for each in owners[slot.name]:
                if each.grad is not None:
                    each.grad.mul_(weight)
            breach = self.optimisers.step(slot.name, self.seed_rate(slot))
            if breach is not None:
                tally.violations.append(breach)

    def seed_rate(self, slot: Slot) -> float:
        """Return the learning rate of the seed in a slot."""
        share, warmup = self.config.seed_rate_share, self.config.seed_warmup_epochs
        return seed_rate(self.rate, self.ages[slot.name], share=share, warmup=warmup)

    def _weight(self, slot: Slot, epochs: float) -> float:
        """Return the weight of a seed's loss after some epochs in its stage."""
        if slot.stage is Stage.TRAINING:
            return TRAINING_WEIGHT
        if slot.stage is Stage.BLENDING:
            return slot.alpha
        return STABILISING_WEIGHT if epochs < 1 else 1.0

    # ------------------------------------------------------------------------------- slots

    def attach(self, name: str, blueprint_id: str, parameters: dict[str, float], blend: str, *, seed: int) -> None:
        """Put a fresh module into a slot, in GERMINATED: it changes nothing yet.

        Raises:
            BlueprintUnknown, BlueprintRefused: The catalogue does not grant it.
        """
        slot = self.network.slot(name)
        granted = grant(blueprint_id, slot.site, parameters, approved=(blueprint_id,))
        module = build(granted, seed=seed)
        slot.grant = {"blueprint": blueprint_id, "parameters": dict(granted.parameters)}
        self.put(slot, module)
        slot.blend, slot.stage, slot.blend_step, slot.is_paused = blend, Stage.GERMINATED, 0, False
        self.ages[name] = 0.0
        self.tallies[name] = Tally()

    def try_attach(self, name: str, blueprint_id: str, parameters: dict[str, float], blend: str, *, seed: int) -> str:
        """Attach a module. Returns why it cannot be, or nothing; then the slot stays empty."""
        try:
            self.attach(name, blueprint_id, parameters, blend, seed=seed)
        except (BlueprintUnknown, BlueprintRefused) as error:
            return error.message()
        return ""

    def is_finite(self) -> bool:
        """Whether every weight of host and seeds is a number."""
        owned = self.network.owners().values()
        return all(bool(torch.isfinite(each).all()) for parameters in owned for each in parameters)

    def parameters(self) -> int:
        """Return how many numbers host and seeds hold."""
        return sum(each.numel() for owned in self.network.owners().values() for each in owned)

    def put(self, slot: Slot, module: nn.Module) -> None:
        """Fill a slot with a module, and give it an optimiser."""
        slot.module = module
        breach = self.optimisers.add(slot.name, list(module.parameters()))
        if breach is not None:
            self.tallies[slot.name].violations.append(breach)
        self._seed_macs[slot.name] = multiply_adds(module.eval(), torch.zeros(1, *slot.site.shape))

    def enter(self, name: str, stage: Stage, *, blend_steps: int = 1) -> None:
        """Treat a slot's module by another stage from now on."""
        slot = self.network.slot(name)
        slot.stage, slot.blend_step, slot.blend_steps = stage, 0, max(1, blend_steps)
        self.tallies[name] = Tally()
        if stage in (Stage.FOSSILIZED, Stage.TERMINATED):
            self.freeze(slot)
        if stage is Stage.BLENDING and self.config.distil > 0:
            self._teach()

    def freeze(self, slot: Slot) -> None:
        """Make a module part of the host that learns no more."""
        for each in _parameters(slot):
            each.requires_grad_(False)
            each.grad = None
        self.optimisers.remove(slot.name)

    def fade(self, name: str, steps: int) -> None:
        """Ramp a culled seed down in so many steps; it learns no more. `clear` empties the slot afterwards."""
        slot = self.network.slot(name)
        slot.fade(steps)
        self.tallies[name] = Tally()
        self.freeze(slot)

    def clear(self) -> None:
        """Empty the slots whose seeds were ramped down to nothing."""
        for slot in self.network.slots:
            if slot.is_faded:
                self.detach(slot.name)

    def detach(self, name: str) -> None:
        """Empty a slot: its module, its optimiser and its parameters' registration are gone."""
        slot = self.network.slot(name)
        self.optimisers.remove(name)
        slot.module, slot.grant, slot.stage, slot.is_paused, slot.margins = None, None, Stage.DORMANT, False, None
        self.tallies[name], self.ages[name] = Tally(), 0.0
        self._seed_macs.pop(name, None)

    def is_clean(self, name: str) -> bool:
        """Whether nothing is left in a slot."""
        return self.network.slot(name).module is None and not self.optimisers.holds(name)

    # ----------------------------------------------------------------------------- teacher

    def _teach(self) -> None:
        """Keep the network as it is now as a teacher."""
        self.adopt(Teacher(self.network))

    def adopt(self, teacher: Teacher) -> None:
        """Take a teacher; the one before it is dropped."""
        self.forget_teacher()
        self.teacher = teacher
        self.registry.register(TEACHER, teacher.parameters())

    def forget_teacher(self) -> None:
        """Drop the teacher."""
        self.teacher = None
        self.registry.forget(TEACHER)

    # --------------------------------------------------------------------------- isolation

    def watch(self) -> None:
        """Look for leaks, and note them with the slots."""
        tensors: dict[str, Sequence[Tensor]] = dict(self.network.tensors())
        if self.teacher is not None:
            tensors[TEACHER] = [*self.teacher.parameters(), *self.teacher.buffers()]
        for owner, other in sorted(shared(tensors).items()):
            tally = self.tallies.get(owner if owner in self.tallies else other)
            if tally is not None:
                tally.violations.append("shared_tensor")
        watched = [each for each in self.network.slots if each.module is not None and each.stage in WATCHED]
        if not watched:
            return
        self.network.train(False)
        x = self.network.host.entry(torch.from_numpy(self.data.validation.inputs[:PROBE]))
        foreign = list(self.network.host.parameters())
        for block, slot in zip(self.network.host.blocks, self.network.slots, strict=True):
            x = block(x)
            if slot in watched and not slot.is_paused:
                others = [p for each in self.network.slots if each is not slot for p in _parameters(each)]
                own = set(map(id, _parameters(slot)))
                others = [each for each in others if each.requires_grad and id(each) not in own]
                margins, slot.margins = slot.margins, None
                self.tallies[slot.name].watched(watch(slot, x, others, [f for f in foreign if id(f) not in own]))
                slot.margins = margins
            x = slot(x) if slot.margins is None or len(slot.margins) == len(x) else x
        self.network.train(True)


def _parameters(slot: Slot) -> list[nn.Parameter]:
    return [] if slot.module is None else list(slot.module.parameters())


@final
class _Whole(nn.Module):
    """A network as a module, to be run once."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        return self._network.logits(inputs)
