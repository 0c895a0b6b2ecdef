"""Rules that say which neurons are joined. Every draw is a pure function of (seed, projection, neuron, number).

All rules take:

* `sources`, `targets`: sizes of the two populations.
* `seed`: two words of 32 bits; `projection`: a number of its own for each projection of a network, below 2**24.
* `part`: (lo, hi) draws only the synapses onto the targets lo … hi - 1: exactly those that the whole projection has
  onto them, in the same order. So the parts of any division, one after the other, are the whole.
* `by`: what computes: `numba` (the default where it is installed), `numpy` or `reference`. All give the same bits.

All return `Ends`, in the order of targets, and raise `NetworkInvalid` for what cannot work and `MemoryShort`, before
anything is allocated, for what does not fit into memory.

A *multapse* is a second synapse between the same two neurons, an *autapse* one of a neuron with itself. Forbidding
autapses takes one population at both ends. The chance of every outcome is exact to 2**-32 of itself, or to 2**-52
where a probability is given.

Determinism: exact.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from neuraxis.errors import suggestion
from neuraxis_snn.connect import loops
from neuraxis_snn.connect.ends import NEURONS_MAX, NO_SYNAPSES, PIECE, Ends, Plan
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.numbers import DIGITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis_snn.connect.ends import By

KERNELS: Final = {"gaussian": loops.GAUSSIAN, "exponential": loops.EXPONENTIAL, "box": loops.BOX}

SYNAPSES_MAX: Final = 2**42
"""Synapses that a total may name: so many can be numbered."""


def all_to_all(
    sources: int,
    targets: int,
    *,
    autapses: bool = True,
    seed: tuple[int, int] = (0, 0),
    projection: int = 0,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Join every neuron to every other. Seed and projection matter only for weights and delays."""
    plan = Plan("all_to_all", sources, targets, seed, projection, part, by, autapses=autapses)
    starts = plan.equal(plan.sources - plan.skip_self)
    pre = plan.room(int(starts[-1]))
    rows = pre.reshape(plan.rows, plan.sources - plan.skip_self)
    rows[:] = np.arange(rows.shape[1], dtype=np.int32)
    if plan.skip_self:
        for row in range(plan.rows):
            rows[row, plan.lo + row :] += 1
    return plan.ends(pre, starts)


def one_to_one(
    sources: int,
    targets: int,
    *,
    seed: tuple[int, int] = (0, 0),
    projection: int = 0,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Join neuron i to neuron i. Seed and projection matter only for weights and delays."""
    plan = Plan("one_to_one", sources, targets, seed, projection, part, by)
    if plan.sources != plan.targets:
        plan.refuse(f"{sources} sources and {targets} targets differ", "Use populations of one size.")
    pre = plan.room(plan.rows)
    pre[:] = np.arange(plan.lo, plan.hi, dtype=np.int32)
    return plan.ends(pre, plan.equal(1))


def fixed_probability(
    sources: int,
    targets: int,
    *,
    probability: float,
    autapses: bool = True,
    seed: tuple[int, int],
    projection: int,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Join each pair of neurons with the same probability, at most once.

    The time goes with the number of synapses, not of pairs: the gaps between joined sources are geometric.
    """
    plan = Plan("fixed_probability", sources, targets, seed, projection, part, by, autapses=autapses)
    chance = plan.chance("probability", probability)
    choices = plan.sources - plan.skip_self
    expected = chance * choices
    deviation = expected * (1 - chance) / max(plan.rows, 1)
    plan.require(int(plan.rows * (expected + 6 * deviation**0.5)))
    at_once = int(min(loops.WORDS_AT_ONCE, max(8, expected + 3 * expected**0.5)))
    at_once += at_once % 2
    arguments = (plan.lo, plan.sources, plan.skip_self, _per_log(chance), at_once, *plan.words("sources"))
    return _counted(plan, "draw_by_chance", arguments)


def fixed_in_degree(
    sources: int,
    targets: int,
    *,
    degree: int,
    multapses: bool = True,
    autapses: bool = True,
    seed: tuple[int, int],
    projection: int,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Give each target `degree` synapses from sources drawn uniformly, with multapses or without."""
    plan = Plan("fixed_in_degree", sources, targets, seed, projection, part, by, autapses=autapses)
    degree = _degree(plan, degree, plan.sources, multapses, "sources")
    starts = plan.equal(degree)
    pre = plan.room(int(starts[-1]))
    draw = plan.function("draw_with" if multapses else "draw_without")
    draw(pre, starts, plan.lo, plan.sources, plan.skip_self, *plan.words("sources"))
    return plan.ends(pre, starts)


def fixed_out_degree(
    sources: int,
    targets: int,
    *,
    degree: int,
    multapses: bool = True,
    autapses: bool = True,
    seed: tuple[int, int],
    projection: int,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Give each source `degree` synapses onto targets drawn uniformly, with multapses or without.

    Its draws belong to sources. So a part draws those of the whole projection, and keeps its own.
    """
    plan = Plan("fixed_out_degree", sources, targets, seed, projection, part, by, autapses=autapses)
    degree = _degree(plan, degree, plan.targets, multapses, "targets")
    plan.require(plan.sources * degree * plan.rows // plan.targets)
    arguments = (plan.lo, plan.sources, plan.targets, degree, multapses, plan.skip_self, *plan.words("targets"))
    return _counted(plan, "draw_targets", arguments)


def fixed_total(
    sources: int,
    targets: int,
    *,
    total: int,
    autapses: bool = True,
    seed: tuple[int, int],
    projection: int,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Make `total` synapses, each between a source and a target drawn uniformly; multapses are allowed.

    First the targets of all synapses are drawn and counted, by the number of the synapse; then each target draws its
    sources. A part draws the targets of the whole projection, but only its own sources.
    Source of the rule: Potjans & Diesmann, Cereb. Cortex 24 (2014); see `total_of`.
    """
    plan = Plan("fixed_total", sources, targets, seed, projection, part, by, autapses=autapses)
    total = plan.whole("total", total, 0, SYNAPSES_MAX)
    _degree(plan, min(total, 1), plan.sources, True, "sources")
    plan.require(total * plan.rows // plan.targets)
    starts = np.zeros(plan.rows + 1, np.int64)
    plan.function("count_targets")(starts, plan.lo, total, plan.targets, *plan.words("targets"))
    np.cumsum(starts, out=starts)
    pre = plan.room(int(starts[-1]))
    plan.function("draw_with")(pre, starts, plan.lo, plan.sources, plan.skip_self, *plan.words("sources"))
    return plan.ends(pre, starts)


def distance_based(
    here: np.ndarray,
    there: np.ndarray,
    *,
    kernel: Literal["gaussian", "exponential", "box"],
    reach: float,
    probability: float = 1.0,
    box: Sequence[float] | None = None,
    autapses: bool = True,
    seed: tuple[int, int],
    projection: int,
    part: tuple[int, int] | None = None,
    by: By | None = None,
) -> Ends:
    """Join each pair of neurons with a probability that falls with their distance d, at most once.

    `gaussian`: probability * exp(-d**2 / (2 * reach**2)); `exponential`: probability * exp(-d / reach); `box`:
    probability where d <= reach. The chance of a pair is exact to 2**-51.

    Args:
        here: (sources, axes) positions of the sources, in any unit of length.
        there: (targets, axes) positions of the targets, in the same unit.
        kernel: How the probability falls.
        reach: Its width, in the unit of the positions; > 0.
        probability: At distance 0.
        box: Length of each axis of a periodic box, in which all positions lie within 0 … length; distances are then
            the shortest around it. None: space has no edge.
        autapses, seed, projection, part, by: As for all rules.
    """
    here, there = _positions("here", here), _positions("there", there)
    plan = Plan("distance_based", len(here), len(there), seed, projection, part, by, autapses=autapses)
    if here.shape[1] != there.shape[1]:
        plan.refuse(f"positions have {here.shape[1]} and {there.shape[1]} axes", "Give both the same number of axes.")
    if kernel not in KERNELS:
        plan.refuse(f"there is no kernel {kernel!r}", suggestion(str(kernel), KERNELS))
    chance, width = plan.chance("probability", probability), plan.number("reach", reach)
    if width <= 0 or not 0 < width * width < float("inf"):
        plan.refuse(f"reach is {reach!r}", "Use a length above 0, in the unit of the positions.")
    lengths = _box(plan, box, here, there)
    factor = {"gaussian": -1.0 / (2.0 * (width * width)), "exponential": -1.0 / width, "box": width * width}[kernel]
    arguments = (plan.lo, _by_axis(here), _by_axis(there), lengths, KERNELS[kernel], chance, factor, plan.skip_self)
    return _counted(plan, "draw_by_distance", (*arguments, *plan.words("sources")))


def total_of(probability: float, sources: int, targets: int) -> int:
    """Return how many synapses join two neurons with a given probability at least once, multapses allowed.

    K = ln(1 - p) / ln(1 - 1 / (sources * targets)), rounded to the nearest whole number; computed in decimals.
    Source: Potjans & Diesmann, Cereb. Cortex 24 (2014), equation 1.

    Raises:
        NetworkInvalid: The probability is not within 0 … 1, 1 excluded, or there is at most one pair.
    """
    plan = Plan("total_of", sources, targets, (0, 0), 0, None, "numpy")
    chance = plan.chance("probability", probability)
    pairs = plan.sources * plan.targets
    if chance == 1 or pairs == 1:
        plan.refuse("no number of random synapses joins a pair for certain", "Use a smaller probability.")
    above = DIGITS.ln(1 - Decimal(repr(chance)))
    below = DIGITS.ln(DIGITS.subtract(Decimal(1), DIGITS.divide(Decimal(1), Decimal(pairs))))
    return int(DIGITS.divide(above, below).to_integral_value())


def ends_of(
    pre: np.ndarray,
    post: np.ndarray,
    *,
    sources: int,
    targets: int,
    seed: tuple[int, int] = (0, 0),
    projection: int = 0,
    by: By | None = None,
) -> Ordered:
    """Return synapses of your own, in any order, as `Ends`, so that weights and delays can be drawn for them.

    Args:
        pre, post: (synapses,) whole numbers: the neurons that each synapse joins.
        sources, targets, seed, projection, by: As for all rules.

    Returns:
        The ends, in the order of targets, and (synapses,) int32: for each of them its number among those given.
    """
    plan = Plan("ends_of", sources, targets, seed, projection, None, by)
    pre, post = indices(plan, "pre", pre, plan.sources), indices(plan, "post", post, plan.targets)
    if len(pre) != len(post):
        plan.refuse(f"pre has {len(pre)} entries and post {len(post)}", "Give each synapse one entry in each.")
    plan.require(2 * len(pre))
    starts = np.zeros(plan.targets + 1, np.int64)
    plan.function("count")(starts[1:], post)
    np.cumsum(starts, out=starts)
    order = np.empty(len(pre), np.int32)
    cursor = starts[:-1].copy()
    for begin in range(0, len(pre), PIECE):
        some = post[begin : begin + PIECE]
        places = np.empty(len(some), np.int64)
        plan.function("place")(places, cursor, some)
        order[places] = np.arange(begin, begin + len(some), dtype=np.int32)
    return Ordered(plan.ends(pre[order], starts), order)


class Ordered(NamedTuple):
    """Synapses in the order of their targets, and where each came from."""

    ends: Ends
    order: np.ndarray


# ------------------------------------------------------------------------------------- parts


def indices(plan: Plan, name: str, value: Any, size: int) -> np.ndarray:
    """Return (synapses,) int32 numbers of neurons. Raises `NetworkInvalid`."""
    found = np.asarray(value)
    if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size):
        plan.refuse(f"{name} has the shape {found.shape} and holds {found.dtype}", "Give one whole number a synapse.")
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < size:
        plan.refuse(f"{name} names neurons outside 0 … {size - 1}", "Use numbers of neurons.")
    if found.size > NEURONS_MAX:
        plan.refuse(f"{name} has {found.size} entries", f"Give at most {NEURONS_MAX} at once.")
    return np.ascontiguousarray(found, dtype=np.int32)


def _counted(plan: Plan, rule: str, arguments: tuple[Any, ...]) -> Ends:
    """Count the synapses of each row, then draw them into room of just that size."""
    starts = np.zeros(plan.rows + 1, np.int64)
    draw = plan.function(rule)
    draw(NO_SYNAPSES, starts, True, *arguments)
    np.cumsum(starts, out=starts)
    pre = plan.room(int(starts[-1]))
    draw(pre, starts, False, *arguments)
    return plan.ends(pre, starts)


def _degree(plan: Plan, degree: int, size: int, multapses: bool, what: str) -> int:
    """Return a number of synapses that every neuron can have."""
    degree = plan.whole("degree", degree, 0, NEURONS_MAX)
    choices = size - plan.skip_self
    if degree and (choices == 0 or (degree > choices and not multapses)):
        remedy = f"Use at most {choices}" + (", or allow multapses." if choices else ", or allow autapses.")
        plan.refuse(f"degree is {degree}, but there are {choices} {what} to choose from", remedy)
    return degree


def _per_log(chance: float) -> float:
    """Return 1 / ln(1 - chance), rounded once; a large number stands for infinity."""
    if chance == 1:
        return -0.0
    if chance < 1e-300:
        return -1e300
    return float(DIGITS.divide(Decimal(1), DIGITS.ln(DIGITS.subtract(Decimal(1), Decimal(repr(chance))))))


def _positions(name: str, value: Any) -> np.ndarray:
    found = np.ascontiguousarray(value, dtype=np.float64)
    if found.ndim == 2 and found.shape[0] and found.shape[1] and np.isfinite(found).all():
        return found
    reason = f"{name} has the shape {found.shape}, or a position is not finite"
    raise NetworkInvalid(subject="distance_based", reason=reason, remedy="Give finite positions (neurons, axes).")


def _by_axis(positions: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(positions.T)


def _box(plan: Plan, box: Sequence[float] | None, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    if box is None:
        return np.empty(0)
    lengths = np.array([plan.number("box", each) for each in box])
    if lengths.shape != (here.shape[1],) or (lengths <= 0).any():
        plan.refuse(f"box is {box!r}", f"Give {here.shape[1]} lengths above 0, one for each axis.")
    if any((each < 0).any() or (each > lengths).any() for each in (here, there)):
        plan.refuse("a position lies outside the box", "Move all positions to 0 … length.")
    return lengths
