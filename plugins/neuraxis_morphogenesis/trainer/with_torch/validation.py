"""Validation, and credit: what each seed adds, asked by taking it out, or in, and by nothing else.

All questions about one batch are one pass: the batch is repeated once for each, with an alpha of its own for each row.

Source of the values for more than four seeds: Castro et al., Polynomial calculation of the Shapley value based on
sampling (2009).
Determinism: machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.slot import MIXED, Slot
from neuraxis_morphogenesis.trainer.data import Samples
from neuraxis_morphogenesis.trainer.with_torch.network import Network, loss_of

ROWS_MAX: Final = 2048
"""Rows of one pass."""

LEAVE_ONE_OUT_MAX: Final = 4
"""Seeds up to which each is taken out alone; above, values are sampled over orders of joining."""

Config = tuple[float, ...]
"""Alpha of each slot that holds a module."""


@final
class Validation(Struct, frozen=True):
    """How good a network is, and what each seed adds.

    Attributes:
        accuracy: Share of right answers.
        loss: Mean cross entropy, nat.
        contribution: By slot: accuracy with the seed less accuracy without it.
        seed_loss: By slot: the loss with the seed at alpha 1.
        correlation: By slot in SHADOWING: correlation of the outputs with and without the seed.
    """

    accuracy: float
    loss: float
    contribution: Mapping[str, float]
    seed_loss: Mapping[str, float]
    correlation: Mapping[str, float]


@final
class _Answers(Struct, frozen=True):
    """What one configuration gives: accuracy, loss, and all outputs if they are asked for."""

    accuracy: float
    loss: float
    logits: Tensor


def validate(network: Network, samples: Samples, orders: Sequence[Sequence[int]] = ()) -> Validation:
    """Measure a network on samples that it was not trained on.

    Args:
        network: Left as it was.
        samples: At least one.
        orders: Orders in which seeds join, for more than four of them; permutations of their numbers.
    """
    held = [each for each in network.slots if each.module is not None and not each.is_paused]
    now = tuple(each.alpha for each in held)
    switched = [_switched(now, number, each) for number, each in enumerate(held)]
    full = [_set(now, number, 1.0) for number in range(len(held))]
    chains = [_chain(now, held, order) for order in orders] if len(held) > LEAVE_ONE_OUT_MAX else []
    wanted = list(dict.fromkeys([now, *switched, *full, *(each for chain in chains for each in chain)]))
    network.train(False)
    with torch.no_grad():
        found = _answers(network, samples, held, wanted)
    network.train(True)
    base = found[now]
    contribution = {}
    for number, slot in enumerate(held):
        other = found[switched[number]].accuracy
        contribution[slot.name] = base.accuracy - other if now[number] > 0 else other - base.accuracy
    if chains:
        contribution = _sampled(held, orders, chains, found)
    correlation = {
        slot.name: _correlation(base.logits, found[full[number]].logits)
        for number, slot in enumerate(held)
        if slot.stage is Stage.SHADOWING
    }
    losses = {slot.name: found[full[number]].loss for number, slot in enumerate(held)}
    return Validation(base.accuracy, base.loss, contribution, losses, correlation)


def _set(config: Config, number: int, value: float) -> Config:
    return (*config[:number], value, *config[number + 1 :])


def _switched(now: Config, number: int, slot: Slot) -> Config:
    """Return the configuration with a seed taken out, or in where it is out."""
    return _set(now, number, 0.0 if now[number] > 0 else 1.0)


def _chain(now: Config, held: Sequence[Slot], order: Sequence[int]) -> list[Config]:
    """Return the configurations in which seeds join one after the other, from none to all."""
    config: Config = tuple(0.0 for _ in now)
    chain = [config]
    for number in order:
        config = _set(config, number, now[number] if held[number].stage in MIXED and now[number] > 0 else 1.0)
        chain.append(config)
    return chain


def _sampled(
    held: Sequence[Slot],
    orders: Sequence[Sequence[int]],
    chains: Sequence[Sequence[Config]],
    found: Mapping[Config, _Answers],
) -> dict[str, float]:
    """Return the mean over orders of what accuracy gains when a seed joins."""
    gains = dict.fromkeys((each.name for each in held), 0.0)
    for order, chain in zip(orders, chains, strict=True):
        for place, number in enumerate(order):
            gains[held[number].name] += found[chain[place + 1]].accuracy - found[chain[place]].accuracy
    return {name: total / len(orders) for name, total in gains.items()}


def _answers(
    network: Network, samples: Samples, held: Sequence[Slot], wanted: Sequence[Config]
) -> dict[Config, _Answers]:
    size = max(1, ROWS_MAX // len(wanted))
    outputs: list[list[Tensor]] = [[] for _ in wanted]
    for start in range(0, len(samples), size):
        inputs = torch.from_numpy(samples.inputs[start : start + size])
        repeated = inputs.repeat(len(wanted), *[1] * (inputs.dim() - 1))
        shares = {
            slot.name: torch.tensor([config[number] for config in wanted]).repeat_interleave(len(inputs))
            for number, slot in enumerate(held)
        }
        for place, part in enumerate(network.logits(repeated, shares).chunk(len(wanted))):
            outputs[place].append(part)
    labels = torch.from_numpy(samples.labels)
    found = {}
    for config, parts in zip(wanted, outputs, strict=True):
        logits = torch.cat(parts)
        right = float((logits.argmax(dim=-1) == labels).to(torch.float64).mean())
        found[config] = _Answers(right, float(loss_of(logits, labels)), logits)
    return found


def _correlation(one: Tensor, other: Tensor) -> float:
    """Return Pearson's correlation of all outputs."""
    a, b = one.double().flatten().numpy(), other.double().flatten().numpy()
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
