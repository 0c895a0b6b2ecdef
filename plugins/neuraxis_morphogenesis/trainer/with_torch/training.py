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
from torch import Tensor, nn

from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.distill import distillation
from neuraxis_morphogenesis.seeds.with_torch.isolation import WATCHED, shared, watch
from neuraxis_morphogenesis.seeds.with_torch.registry import HOST, TEACHER, Registry
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.data import DataSet
from neuraxis_morphogenesis.trainer.health import IN_A_ROW, WINDOW, Fault, stands_out
from neuraxis_morphogenesis.trainer.rates import host_rate, seed_rate
from neuraxis_morphogenesis.trainer.with_torch.counting import multiply_adds
from neuraxis_morphogenesis.trainer.with_torch.gradients import count, flat, norm, spread
from neuraxis_morphogenesis.trainer.with_torch.growth import Config, Growth, parameters_of
from neuraxis_morphogenesis.trainer.with_torch.hosts import host
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
class Training(Growth):
    """A network, its data and its optimisers.

    Attributes:
        network: Host and slots.
        data: What it learns from.
        optimisers: One for each owner.
        step: Optimiser steps done, also those that were refused.
        macs: Multiply-adds of training so far: three times those of the forward pass, for forward and backward, and
            those of the teacher, which has no backward pass.
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
        self.macs += len(indices) * self.cost
        self.step += 1
        self.network.train(True)
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

    @property
    def cost(self) -> float:
        """Multiply-adds of a sample in the next step, over all of its passes."""
        slots = self.network.slots
        live = self._live() if self.config.aggregation == "pcgrad" else []
        in_each = self._host_macs + sum(self._macs_of(each) for each in slots if each.computes and each not in live)
        forward = (1 + len(live)) * in_each + sum(map(self._macs_of, live))
        cost = 3.0 * forward
        if any(each.is_weighed for each in slots):  # by one more look in each pass, with every module
            modules = sum(self._macs_of(each) for each in slots if each.module is not None)
            cost += (1 + len(live)) * (self._host_macs + modules)
        return cost + (self._macs_of_teacher() if self._teaches(self.step + 1) else 0)

    def _live(self) -> list[Slot]:
        return [each for each in self.network.slots if each.learns and each.stage in LIVE]

    def _teaches(self, step: int) -> bool:
        """Whether the teacher is asked in a step. Not in each: that would make training a third slower."""
        return self.teacher is not None and step % self.config.distil_every == 0

    def _macs_of_teacher(self) -> int:
        assert self.teacher is not None, "only who teaches is counted"
        if self.teacher.macs is None:
            self.teacher.macs = multiply_adds(self.teacher, torch.from_numpy(self.data.train.inputs[:1]))
        return self.teacher.macs

    def _macs_of(self, slot: Slot) -> int:
        """Return the multiply-adds of a seed, counted when it first computes: a graft must not hold up the boundary."""
        if slot.name not in self._seed_macs:
            assert slot.module is not None, "only what computes is counted"
            module = slot.module.eval()
            self._seed_macs[slot.name] = multiply_adds(module, torch.zeros(1, *slot.site.shape))
        return self._seed_macs[slot.name]

    def _backward(self, inputs: Tensor, labels: Tensor, orders: Any) -> float:
        """Fill in all gradients. Returns the loss."""
        known = self._known(inputs)
        live = self._live()
        if self.config.aggregation == "pcgrad" and live:
            return self._backward_apart(inputs, labels, known, live, orders)
        logits = self.network.logits(inputs)
        loss = loss_of(logits, labels)
        total = loss + self._taught(logits, known)
        value = float(loss.detach())
        if math.isfinite(float(total.detach())):
            total.backward()
            return value
        return math.nan

    def _known(self, inputs: Tensor) -> Tensor | None:
        """Return the logits of the teacher, in steps in which it is asked."""
        if self.teacher is None or not self._teaches(self.step):
            return None
        with torch.no_grad():
            known: Tensor = self.teacher(inputs)
        return known

    def _taught(self, logits: Tensor, known: Tensor | None) -> Tensor | float:
        """Return the loss beside what the teacher knows."""
        if known is None:
            return 0.0
        beside = distillation(logits.reshape(-1, logits.shape[-1]), known.reshape(-1, known.shape[-1]))
        return self.config.distil * self.config.distil_every * beside

    def _backward_apart(
        self, inputs: Tensor, labels: Tensor, known: Tensor | None, live: list[Slot], orders: Any
    ) -> float:
        """Fill in gradients of a loss with each live seed alone, and one without any, which the host must not set off.

        Seeds in TRAINING learn in the pass without any live seed.
        """
        shared_parameters = [each for each in self.network.host.parameters() if each.requires_grad]
        gradients, losses = [], []
        for alone in [None, *live]:
            hidden = [each for each in live if each is not alone]
            own = [] if alone is None or alone.module is None else list(alone.module.parameters())
            if alone is None:
                own = [p for s in self.network.slots if s.learns and s not in live for p in parameters_of(s)]
            for each in hidden:
                each.is_paused = True
            logits = self.network.logits(inputs)
            loss = loss_of(logits, labels)
            for each in hidden:
                each.is_paused = False
            losses.append(float(loss.detach()))
            total = loss + self._taught(logits, known)
            found = torch.autograd.grad(total, [*shared_parameters, *own], allow_unused=True)
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
        return bool(torch.isfinite(made).all()) and all(bool(torch.isfinite(p).all()) for p in parameters_of(slot))

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
        held = {slot.name: parameters_of(slot) for slot in self.network.slots}
        for block, slot in zip(self.network.host.blocks, self.network.slots, strict=True):
            x = block(x)
            if slot in watched and not slot.is_paused:
                own = set(map(id, held[slot.name]))
                others = [each for name, owned in held.items() if name != slot.name for each in owned]
                others = [each for each in others if each.requires_grad and id(each) not in own]
                margins, slot.margins = slot.margins, None
                self.tallies[slot.name].watched(watch(slot, x, others, [f for f in foreign if id(f) not in own]))
                slot.margins = margins
            if slot is watched[-1]:
                break
            x = slot(x) if slot.margins is None or len(slot.margins) == len(x) else x
        self.network.train(True)


@final
class _Whole(nn.Module):
    """A network as a module, to be run once."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        return self._network.logits(inputs)
