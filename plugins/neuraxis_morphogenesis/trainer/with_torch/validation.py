"""Validation, and credit: what each seed adds, asked by taking it out, or in, and by nothing else.

All questions about one batch are one pass: the batch is repeated once for each, with an alpha of its own for each row.

Determinism: machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

from neuraxis.rng import Stream
from neuraxis_morphogenesis import credit
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.data import Samples
from neuraxis_morphogenesis.trainer.with_torch.network import Network, loss_of

ROWS_MAX: Final = 2048
"""Rows of one pass."""

Config = tuple[float, ...]
"""Alpha of each slot that holds a module."""


@final
class Validation(Struct, frozen=True):
    """How good a network is, and what each seed adds.

    Attributes:
        accuracy: Share of right answers.
        loss: Mean cross entropy, nat.
        contribution: By slot: accuracy with the seed less accuracy without it; the Shapley value where more than four
            seeds are live.
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


def validate(network: Network, samples: Samples, stream: Stream | None = None) -> Validation:
    """Measure a network on samples that it was not trained on.

    Args:
        network: Left as it was.
        samples: At least one.
        stream: Draws orders in which seeds join, for more seeds than can be asked in every order; None asks for no
            credit.
    """
    held = [] if stream is None else [each for each in network.slots if each.module is not None and not each.is_paused]
    now = tuple(each.alpha for each in held)
    live = [number for number, alpha in enumerate(now) if alpha > 0]
    plan = credit.plan(len(live), stream) if live and stream is not None else None
    subsets = [] if plan is None else [_joined(now, live, row) for row in plan.on.tolist()]
    full = [_set(now, number, 1.0) for number in range(len(held))]
    wanted = list(dict.fromkeys([now, *subsets, *full]))
    network.train(False)
    with torch.no_grad():
        found = _answers(network, samples, held, wanted)
    network.train(True)
    base = found[now]
    contribution = {each.name: found[full[n]].accuracy - base.accuracy for n, each in enumerate(held) if n not in live}
    if plan is not None:
        credits = credit.credits(plan, np.array([found[each].accuracy for each in subsets]))
        for number, each in zip(live, credits.seeds, strict=True):
            is_exact = len(live) <= credit.EXACT_SEEDS_MAX
            contribution[held[number].name] = each.leave_one_out if is_exact else each.shapley
    correlation = {
        slot.name: _correlation(base.logits, found[full[number]].logits)
        for number, slot in enumerate(held)
        if slot.stage is Stage.SHADOWING
    }
    losses = {slot.name: found[full[number]].loss for number, slot in enumerate(held)}
    return Validation(base.accuracy, base.loss, contribution, losses, correlation)


def _set(config: Config, number: int, value: float) -> Config:
    return (*config[:number], value, *config[number + 1 :])


def _joined(now: Config, live: Sequence[int], row: Sequence[bool]) -> Config:
    """Return the configuration in which only some of the live seeds are in."""
    config = now
    for number, is_in in zip(live, row, strict=True):
        config = _set(config, number, now[number] if is_in else 0.0)
    return config


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
