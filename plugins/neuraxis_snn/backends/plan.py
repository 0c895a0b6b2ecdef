"""How a network lies in memory for compiled code: blocks of neurons, rows of synapses, steps computed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from neuraxis_snn.network import Network, Population, Projection

LANES: Final = 256
"""Neurons of a block; `primitives` knows it too."""

STEPS_AT_ONCE: Final = 32
"""Most steps for which a block is computed at once."""

NARROW: Final = 1 << 16
"""Places that an index of 16 bits can name."""


@final
class Layout(Struct, frozen=True):
    """How a population lies in memory.

    Attributes:
        rows: Row of each state in a block; `hold` stands for the first step in which a neuron is free again.
        blocks: Number of blocks.
        plastic_inputs: Kinds of input at which plastic synapses arrive.
        ahead: Steps for which sums of input are kept.
    """

    rows: dict[str, int]
    blocks: int
    plastic_inputs: tuple[str, ...]
    ahead: int


@final
class Form(Struct, frozen=True):
    """How synapses that never change are delivered.

    Attributes:
        one_weight: Whether all have the same weight.
        later: Whether they have delays of their own, so that a place names a step too.
    """

    one_weight: bool
    later: bool


@final
class Rows(Struct, frozen=True, eq=False):
    """Synapses that never change, in rows by source.

    Attributes:
        begins: (pre + 1,) int64: where the row of a neuron begins.
        places: (synapses,) uint16 or int32: where in the sums of a step the target lies; with delays of their own,
            counted from the step of the spike.
        weights: (synapses,) integers; (1,) if all are the same.
        delay: Steps; 0 if they have delays of their own.
    """

    begins: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    delay: int


@final
class Plan:
    """What the code of a network and its arguments have in common.

    Attributes:
        layouts: By population with a model.
        forms, rows: By projection that never changes.
        at_once: Steps that are computed at once.
    """

    def __init__(self, network: Network, scales: dict[tuple[str, str], float]) -> None:
        self._network = network
        self.at_once = _steps_at_once(network)
        self.layouts = {each.name: self._layout(each) for each in network.populations.values() if each.model}
        self.rows = {
            each.name: self._rows(each, scales[each.target, each.input])
            for each in network.projections.values()
            if each.rule is None
        }
        self.forms = {
            name: Form(len(rows.weights) == 1, rows.delay == 0 and len(network.projections[name].delays) > 1)
            for name, rows in self.rows.items()
        }

    def _layout(self, population: Population) -> Layout:
        assert population.model is not None, "the caller checked it"
        names = [*population.model.states, *(["hold"] if population.refractory else [])]
        incoming = [each for each in self._network.projections.values() if each.target == population.name]
        plastic = {each.input for each in incoming if each.rule is not None}
        outside = [max(each.delays) for each in incoming if self._network.populations[each.source].model is None]
        inside = [max(each.delays) for each in incoming if self._network.populations[each.source].model is not None]
        return Layout(
            rows={name: row for row, name in enumerate(names)},
            blocks=-(-population.size // LANES),
            plastic_inputs=tuple(each for each in population.model.inputs if each in plastic),
            ahead=max([self.at_once, *inside, *(self.at_once + each for each in outside)]),
        )

    def _rows(self, each: Projection, scale: float) -> Rows:
        layout, kinds = self.layouts[each.target], self._kinds(each.target)
        stride = layout.blocks * LANES * len(kinds)
        base = LANES * kinds.index(each.input)

        def places(targets: np.ndarray) -> np.ndarray:
            wide = targets.astype(np.int32)
            return wide // LANES * np.int32(LANES * len(kinds)) + wide % LANES + np.int32(base)

        weights = np.rint(each.weights * scale).astype(self._network.sum_kind)
        if each.indptr is None or each.indices is None:
            pre, post = np.nonzero(weights)
            begins = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=len(weights)))]).astype(np.int64)
            found, values, delay = places(post), weights[pre, post], each.delays[0]
        elif len(each.delays) == 1:
            begins, found, values, delay = each.indptr[0], places(each.indices), weights, each.delays[0]
        else:
            begins, order, steps = _by_source(each.indptr, each.delays)
            later = steps.astype(np.int64) * stride + places(each.indices)[order]
            found, values, delay = later.astype(np.int32), weights[order], 0
        if stride <= NARROW and (len(each.delays) == 1):
            found = found.astype(np.uint16)
        if len(values) and (values == values[0]).all():
            values = values[:1].copy()
        return Rows(begins, np.ascontiguousarray(found), np.ascontiguousarray(values), delay)

    def _kinds(self, population: str) -> tuple[str, ...]:
        model = self._network.populations[population].model
        assert model is not None, "synapses end at neurons"
        return model.inputs


def _by_source(indptr: np.ndarray, delays: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring bundles of synapses, one for each delay, into one row for each source.

    Returns:
        (pre + 1,) where rows begin; (synapses,) which synapse comes where; (synapses,) their delays, in that order.
    """
    counts = np.diff(indptr, axis=1)
    begins = np.concatenate([[0], np.cumsum(counts.sum(axis=0))]).astype(np.int64)
    order = np.empty(int(begins[-1]), np.int64)
    steps = np.empty(int(begins[-1]), np.int32)
    filled = begins[:-1].copy()
    for bundle, delay in enumerate(delays):
        given = np.arange(indptr[bundle, 0], indptr[bundle, -1])
        at = np.repeat(filled - indptr[bundle, :-1], counts[bundle]) + given
        order[at], steps[at] = given, delay
        filled += counts[bundle]
    return begins, order, steps


def _steps_at_once(network: Network) -> int:
    """Return for how many steps neurons cannot hear of each other."""
    projections = network.projections.values()
    if any(each.rule is not None for each in projections):
        return 1
    inside = [min(each.delays) for each in projections if network.populations[each.source].model is not None]
    return min([STEPS_AT_ONCE, *inside])
