"""Credit: what each seed contributes, found by switching it off, and what it pays for its parameters.

A host that still learns grows better by itself; that is not the merit of its seeds. So all scores here are taken
in one state of the training, on one held-out batch, with some seeds switched off: all configurations in one pass,
each sample with switches of its own.

    plan = credit.plan(3, context.stream("credit"))
    switches = credit.switches(plan, batch=len(x))                  # (configurations · batch, seeds)
    right = trainer.is_right(repeat(x), switches)                   # (configurations · batch,) 0 or 1
    credit.credits(plan, credit.scores(plan, right))

Determinism: exact.
"""

from __future__ import annotations

import itertools
import math
from typing import Final, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import UsageInvalid
from neuraxis.rng import Stream

EXACT_SEEDS_MAX: Final = 4
"""Up to here every configuration is scored, and Shapley values are exact."""

PERMUTATIONS: Final = 20
"""Orders that are drawn for more seeds than that."""


@final
class Plan(Struct, frozen=True, eq=False):
    """Which configurations are to be scored.

    Attributes:
        on: (configurations, seeds) bool, no row twice; the first is all on, the second all off.
        orders: (orders, seeds) int64: orders in which seeds join; all of them up to `EXACT_SEEDS_MAX` seeds.
    """

    on: np.ndarray
    orders: np.ndarray


@final
class Credit(Struct, frozen=True):
    """What one seed contributes, in units of the score.

    Attributes:
        leave_one_out: Score of all seeds less the score without this one.
        shapley: Mean of what it adds when seeds join in an order; these sum to `Credits.total`.
    """

    leave_one_out: float
    shapley: float


@final
class Credits(Struct, frozen=True):
    """What all seeds contribute.

    Attributes:
        seeds: By number.
        total: Score with all seeds less the score without any.
    """

    seeds: tuple[Credit, ...]
    total: float


def plan(seeds: int, stream: Stream) -> Plan:
    """Return the configurations that tell what each of some seeds contributes.

    Args:
        seeds: How many there are, at least 1.
        stream: Draws the orders, where not all are taken.

    Raises:
        UsageInvalid: There is no seed.

    Source: Castro et al., Polynomial calculation of the Shapley value based on sampling (2009).
    """
    if seeds < 1:
        raise UsageInvalid(what="credit of no seed", remedy="Ask when there is at least one.")
    if seeds <= EXACT_SEEDS_MAX:
        orders = np.array(list(itertools.permutations(range(seeds))), np.int64)
    else:
        orders = np.stack([stream.permutation(seeds) for _ in range(PERMUTATIONS)])
    everything = (1 << seeds) - 1
    codes = [everything, 0, *(everything & ~(1 << seed) for seed in range(seeds)), *_joined(orders)]
    distinct = list(dict.fromkeys(codes))
    on = np.array([[bool(code >> seed & 1) for seed in range(seeds)] for code in distinct])
    return Plan(on, orders)


def switches(plan: Plan, *, batch: int) -> np.ndarray:
    """Return (configurations · batch, seeds) float32: what each sample's alpha of each seed is multiplied by.

    Samples are the batch, repeated once for each configuration.
    """
    return np.repeat(plan.on.astype(np.float32), batch, axis=0)


def scores(plan: Plan, values: np.ndarray) -> np.ndarray:
    """Return (configurations,) float64: the mean over the batch of what the samples of `switches` scored.

    Raises:
        UsageInvalid: `values` is not (configurations · batch,).
    """
    if values.ndim != 1 or not len(values) or len(values) % len(plan.on):
        raise UsageInvalid(
            what=f"{values.shape} scores for {len(plan.on)} configurations", remedy="Score every sample of `switches`."
        )
    result: np.ndarray = values.astype(np.float64).reshape(len(plan.on), -1).mean(axis=1)
    return result


def credits(plan: Plan, scored: np.ndarray) -> Credits:
    """Return what each seed contributes.

    Args:
        plan: The configurations.
        scored: (configurations,) their scores; more is better.
    """
    seeds = plan.on.shape[1]
    weights = 1 << np.arange(seeds, dtype=object)
    value = {int((row * weights).sum()): float(score) for row, score in zip(plan.on, scored, strict=True)}
    everything = (1 << seeds) - 1
    gains = np.zeros((len(plan.orders), seeds))
    for index, order in enumerate(plan.orders):
        joined = 0
        for seed in order.tolist():
            gains[index, seed] = value[joined | 1 << seed] - value[joined]
            joined |= 1 << seed
    shapley = [math.fsum(gains[:, seed]) / len(gains) for seed in range(seeds)]
    alone = [value[everything] - value[everything & ~(1 << seed)] for seed in range(seeds)]
    found = tuple(Credit(out, mean) for out, mean in zip(alone, shapley, strict=True))
    return Credits(found, value[everything] - value[0])


def rent(parameters: int, host_parameters: int, *, rate: float) -> float:
    """Return what a seed owes for an epoch, in units of the score: `rate` for as many parameters as the host has.

    Raises:
        UsageInvalid: The host has no parameters.
    """
    if host_parameters < 1:
        raise UsageInvalid(what=f"a host of {host_parameters} parameters", remedy="Count those of the host alone.")
    return rate * parameters / host_parameters


def worth_keeping(credit: Credit | None, *, owed: float, least: float, gained: float) -> bool:
    """Return whether a seed may become permanent.

    It must have been measured, contribute at least `least` beyond its rent, and the host must have gained since
    the seed came: a host that was made dependent on a seed, and is the worse for it, does not pay.

    Args:
        credit: What it contributes; None if that was not measured.
        owed: Its rent.
        least: Smallest contribution, in units of the score.
        gained: Score now less the score before the seed came.
    """
    return credit is not None and credit.leave_one_out - owed >= least and gained >= 0


def _joined(orders: np.ndarray) -> list[int]:
    """Return the codes of all sets that come up while seeds join."""
    codes = []
    for order in orders.tolist():
        joined = 0
        for seed in order:
            joined |= 1 << seed
            codes.append(joined)
    return codes
