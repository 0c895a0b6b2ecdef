"""Synapses of a projection: listed one by one, or drawn when an engine needs them.

Engines that compile ask for `rows`: what lies in memory while they run. Where synapses learn, and on other engines,
`weights`, `indptr` and `indices` are read; drawn synapses draw them when they are asked, and keep no weights.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias, final

import numpy as np
from msgspec import Struct

from neuraxis_snn.connect.table import room, spread
from neuraxis_snn.connect.values import Recipe, in_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis_snn.connect import Ends
    from neuraxis_snn.connect.values import Distribution

BOUND_PARTS: Final = 2**20
"""Parts of the largest weight in which bounds are counted."""

NARROW: Final = 1 << 16
"""Places that an index of 16 bits can name."""

SOURCES_AT_ONCE: Final = 1 << 10
"""Neurons whose synapses are moved at once: what it takes beside them stays small."""

Function: TypeAlias = "Callable[[np.ndarray], np.ndarray]"


@final
class Rows(Struct, frozen=True, eq=False):
    """Synapses that never change, in rows by source.

    Attributes:
        begins: (pre + 1,) int64: where the row of a neuron begins.
        places: (synapses,) uint16: where the target lies, as the engine counts.
        weights: (synapses,) integers; (1,) if all are the same.
        delays: (synapses,) uint8 or uint16, steps; (1,) if all are the same.
    """

    begins: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


def side_by_side(found: Sequence[tuple[Rows, int]], *, one_weight: bool) -> Rows:
    """Return rows in which each neuron has its synapses of all these rows, one behind the other.

    Args:
        found: Rows of the same neurons, all with one delay; and how much is added to their places.
        one_weight: Whether all of them have one and the same weight.
    """
    first = found[0][0]
    if len(found) == 1:
        return first
    counts = [np.diff(rows.begins) for rows, _ in found]
    begins = np.concatenate([[0], np.cumsum(sum(counts))]).astype(np.int64)
    places = np.empty(begins[-1], np.uint16)
    weights = first.weights if one_weight else np.empty(begins[-1], first.weights.dtype)
    free = begins[:-1].copy()
    for (rows, shift), count in zip(found, counts, strict=True):
        for lo in range(0, len(count), SOURCES_AT_ONCE):
            these = slice(lo, lo + SOURCES_AT_ONCE)
            begin, end = rows.begins[lo], rows.begins[min(lo + SOURCES_AT_ONCE, len(count))]
            at = np.arange(begin, end) + np.repeat(free[these] - rows.begins[:-1][these], count[these])
            places[at] = rows.places[begin:end] + np.uint16(shift)
            if not one_weight:
                weights[at] = rows.weights[begin:end]
        free += count
    return Rows(begins, places, weights, first.delays)


@final
class Listed:
    """Synapses that the caller named.

    Attributes:
        weights: (pre, post) for all-to-all synapses, else (synapses,) in the order of `indices`; float64.
        delays: Steps, rising, one for each bundle of synapses.
        indptr: (bundles, pre + 1) int64: where the synapses of a neuron begin; None for all-to-all.
        indices: (synapses,) int32: targets; None for all-to-all.
        order: For each of these synapses, its number in the caller's order; None for all-to-all.
    """

    def __init__(
        self,
        weights: np.ndarray,
        delays: tuple[int, ...],
        indptr: np.ndarray | None = None,
        indices: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ) -> None:
        self.weights, self.delays = weights, delays
        self.indptr, self.indices, self.order = indptr, indices, order

    @classmethod
    def of(cls, pre: np.ndarray, post: np.ndarray, weights: np.ndarray, delays: np.ndarray, sources: int) -> Listed:
        """Bring synapses into bundles by delay, and within them into rows by source."""
        steps = tuple(int(each) for each in np.unique(delays)) or (1,)
        order = np.lexsort((np.arange(len(pre)), post, pre, delays))
        indptr = np.zeros((len(steps), sources + 1), np.int64)
        begin = 0
        for bundle, each in enumerate(steps):
            counts = np.bincount(pre[delays == each], minlength=sources)
            indptr[bundle, 1:] = np.cumsum(counts)
            indptr[bundle] += begin
            begin += int(counts.sum())
        return cls(np.array(weights[order]), steps, indptr, post[order].astype(np.int32), order.astype(np.int64))

    @property
    def has_own_delays(self) -> bool:
        """Whether delays differ."""
        return len(self.delays) > 1

    @property
    def span(self) -> tuple[int, int]:
        """The shortest and the longest delay."""
        return self.delays[0], self.delays[-1]

    def bound(self, targets: int, largest: float | None = None) -> tuple[float, float]:
        """Return the largest sum of absolute weights onto one neuron, and the largest one.

        Args:
            targets: Number of neurons.
            largest: Stands for every weight, where weights change.
        """
        sizes = np.abs(self.weights) if largest is None else np.full_like(self.weights, largest)
        top = float(sizes.max(initial=0.0))
        if top == 0:
            return 0.0, 0.0
        parts = np.ceil(sizes * (BOUND_PARTS / top)).astype(np.int64)  # integers: no order of summation
        sums = np.zeros(targets, np.int64) if self.indices is not None else parts.sum(axis=0)
        if self.indices is not None:
            np.add.at(sums, self.indices, parts)
        return int(sums.max()) * top / BOUND_PARTS, top

    def rows(self, lo: int, hi: int, fixed: Function, places: Function) -> Rows:
        """Return the synapses onto the neurons lo … hi - 1.

        Args:
            lo, hi: Whose places fit into 16 bits.
            fixed: Turns weights into scaled integers.
            places: Turns neurons, counted from `lo`, into places.
        """
        delays: np.ndarray = np.array(self.delays[:1], np.uint16)
        if self.indptr is None or self.indices is None:
            weights = fixed(self.weights[:, lo:hi])
            pre, post = np.nonzero(weights)
            return _rows(pre, places(post), weights[pre, post], delays, len(weights))
        bundles, sources = self.indptr.shape[0], self.indptr.shape[1] - 1
        pre = np.tile(np.arange(sources), bundles).repeat(np.diff(self.indptr, axis=1).reshape(-1))
        here = np.flatnonzero((lo <= self.indices) & (self.indices < hi))
        if self.has_own_delays:
            steps = np.array(self.delays, np.uint8 if self.delays[-1] < 256 else np.uint16)
            here = here[np.argsort(pre[here], kind="stable")]
            delays = steps.repeat(self.indptr[:, -1] - self.indptr[:, 0])[here]
        return _rows(pre[here], places(self.indices[here] - lo), fixed(self.weights[here]), delays, sources)


def _rows(pre: np.ndarray, places: np.ndarray, weights: np.ndarray, delays: np.ndarray, sources: int) -> Rows:
    begins = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=sources))]).astype(np.int64)
    if len(weights) and (weights == weights[0]).all():
        weights = weights[:1].copy()
    return Rows(begins, places.astype(np.uint16), np.ascontiguousarray(weights), delays)


@final
class Drawn:
    """Synapses that are drawn where they are needed, and nowhere kept: a part needs the memory of that part.

    A bound of their weights follows from their distributions, not from what was drawn.
    """

    def __init__(
        self,
        ends: Callable[..., Ends],
        weights: Distribution,
        delays: Distribution,
        dt: str,
        *,
        least: int = 1,
    ) -> None:
        """Check it, and draw which neurons are joined, once, for how many synapses end at a neuron.

        Args:
            ends: A rule of `connect` that lacks only its `part`: `partial(fixed_total, 100, 200, total=…, …)`.
            weights, delays: Distributions.
            dt: Length of a step.
            least: Steps of the shortest delay that may be.

        Raises:
            NetworkInvalid: A distribution or the rule cannot be.
        """
        self._draw = ends
        self._weight_recipe = Recipe("weights", weights, None)
        self._delay_recipe = Recipe("delays", delays, dt, least=least)
        whole = ends()
        self.sources, self.targets, self.count = whole.sources, whole.targets, len(whole.pre)
        self._starts = whole.starts
        low, high = self._delay_recipe.range
        self.span = (int(np.floor(low + 0.5)), int(np.floor(high + 0.5)))

    @property
    def has_own_delays(self) -> bool:
        """Whether delays differ."""
        return self.span[0] != self.span[1]

    @property
    def one_weight(self) -> float | None:
        """The weight that all have, or None."""
        low, high = self._weight_recipe.range
        return low if low == high else None

    def count_onto(self, lo: int, hi: int) -> int:
        """Return how many synapses end at the neurons lo … hi - 1."""
        return int(self._starts[hi] - self._starts[lo])

    order = None
    """Nobody gave them in an order."""

    @property
    def weights(self) -> np.ndarray:
        """Weights in the order of `indices`, drawn anew."""
        return self._listed().weights

    @property
    def delays(self) -> tuple[int, ...]:
        """Delays that occur."""
        return self._bundles[0]

    @property
    def indptr(self) -> np.ndarray:
        """Where the synapses of a neuron begin, as in `Listed`."""
        return self._bundles[1]

    @property
    def indices(self) -> np.ndarray:
        """Targets."""
        return self._bundles[2]

    @cached_property
    def _bundles(self) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
        found = self._listed()
        assert found.indptr is not None and found.indices is not None, "they are no all-to-all synapses"  # noqa: PT018
        return found.delays, found.indptr, found.indices

    def _listed(self) -> Listed:
        ends = self._draw()
        weights, delays = (
            in_pieces(ends, self._weight_recipe, np.float64),
            in_pieces(ends, self._delay_recipe, np.int32),
        )
        return Listed.of(ends.pre, ends.post, weights, delays, self.sources)

    def bound(self, targets: int, largest: float | None = None) -> tuple[float, float]:
        """Return bounds of the sum of absolute weights onto one neuron, and of a single one."""
        top = max(abs(each) for each in self._weight_recipe.range) if largest is None else largest
        return (int(np.diff(self._starts).max(initial=0)) * top, top) if self.count else (0.0, 0.0)

    def rows(self, lo: int, hi: int, fixed: Function, places: Function) -> Rows:
        """Return the synapses onto the neurons lo … hi - 1, drawn anew; see `Listed.rows`.

        Raises:
            MemoryShort: There is too little memory.
        """
        ends = self._draw(part=(lo, hi))
        low, _ = self._weight_recipe.range
        unit = fixed(np.array([low]))
        made = room(
            ends,
            targets=np.uint16,
            weights=None if self.one_weight is not None else unit.dtype,
            delays=(np.uint8 if self.span[1] < 256 else np.uint16) if self.has_own_delays else None,
        )
        draw_w, draw_d = self._weight_recipe.draw, self._delay_recipe.draw
        spread(ends, made, lambda *of: fixed(draw_w(*of)), draw_d, lambda neurons: places(neurons - lo))
        weights = made.weights if made.weights is not None else unit
        delays = made.delays if made.delays is not None else np.array(self.span[:1], np.uint16)
        return Rows(made.indptr, made.targets, weights, delays)


Synapses: TypeAlias = Listed | Drawn


def by_target(each: Synapses, targets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for sparse synapses with one delay, an index by target.

    Returns:
        (post + 1,) where the synapses onto a neuron begin, (synapses,) their numbers, (synapses,) their sources.
    """
    assert each.indptr is not None, "all-to-all synapses need no index"
    assert each.indices is not None, "all-to-all synapses need no index"
    pointers = each.indptr[0]
    sources = np.repeat(np.arange(len(pointers) - 1, dtype=np.int32), np.diff(pointers))
    order = np.argsort(each.indices, kind="stable")
    counts = np.bincount(each.indices, minlength=targets)
    narrow = np.int32 if len(order) < 2**31 else np.int64
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), order.astype(narrow), sources[order]
