"""How a network lies in memory for compiled code: blocks of neurons, rows of synapses, steps computed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from neuraxis_snn.network import Network, Population, Projection

LANES: Final = 256
"""Neurons of a block; `primitives` knows it too."""

PART: Final = 32
"""A block that is not full is computed up to a multiple of so many neurons; `primitives` knows it too."""

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
        calendar: Steps for which single events are noted, from synapses with delays of their own; 0 if there are none.
    """

    rows: dict[str, int]
    blocks: int
    plastic_inputs: tuple[str, ...]
    ahead: int
    calendar: int


@final
class Form(Struct, frozen=True):
    """How synapses that never change are delivered.

    Attributes:
        one_weight: Whether all have the same weight.
        later: Whether they have delays of their own.
    """

    one_weight: bool
    later: bool


@final
class Rows(Struct, frozen=True, eq=False):
    """Synapses that never change, in rows by source.

    Attributes:
        begins: (pre + 1,) int64: where the row of a neuron begins.
        places: (synapses,) uint16 or int32: where in the sums of a step the target lies.
        weights: (synapses,) integers; (1,) if all are the same.
        delays: (synapses,) uint8 or uint16, steps; (1,) if all are the same.
    """

    begins: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


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
            if not each.is_pulled
        }
        self.forms = {
            name: Form(len(rows.weights) == 1, len(network.projections[name].delays) > 1)
            for name, rows in self.rows.items()
        }

    def calendars(self, names: Mapping[str, str]) -> list[str]:
        """Return the names in the code of calendars of events, which may grow; `names` are those of populations."""
        found = [names[each] for each, layout in self.layouts.items() if layout.calendar]
        return [f"{p}_due_{what}" for p in found for what in ("places", "weights")]

    def _layout(self, population: Population) -> Layout:
        assert population.model is not None, "the caller checked it"
        names = [*population.model.states, *(["hold"] if population.refractory else [])]
        incoming = [each for each in self._network.projections.values() if each.target == population.name]
        plastic = {each.input for each in incoming if each.is_pulled}
        static = [each for each in incoming if not each.is_pulled]
        return Layout(
            rows={name: row for row, name in enumerate(names)},
            blocks=-(-population.size // LANES),
            plastic_inputs=tuple(each for each in population.model.inputs if each in plastic),
            ahead=max(self.at_once, self._ahead(each for each in static if len(each.delays) == 1)),
            calendar=self._ahead(each for each in static if len(each.delays) > 1),
        )

    def _ahead(self, projections: Iterable[Projection]) -> int:
        """Return for how many steps what these will deliver must be kept; spikes from outside come in early."""
        outside = {name for name, each in self._network.populations.items() if each.model is None}
        longest = [max(each.delays) + (self.at_once if each.source in outside else 0) for each in projections]
        return max(longest, default=0)

    def _rows(self, each: Projection, scale: float) -> Rows:
        layout, kinds = self.layouts[each.target], self._kinds(each.target)
        stride = layout.blocks * LANES * len(kinds)
        base = LANES * kinds.index(each.input)

        def places(targets: np.ndarray) -> np.ndarray:
            wide = targets.astype(np.int32)
            return wide // LANES * np.int32(LANES * len(kinds)) + wide % LANES + np.int32(base)

        weights = np.rint(each.weights * scale).astype(self._network.sum_kind)
        delays = np.array(each.delays[:1], np.uint16)
        if each.indptr is None or each.indices is None:
            pre, post = np.nonzero(weights)
            begins = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=len(weights)))]).astype(np.int64)
            found, values = places(post), weights[pre, post]
        elif len(each.delays) == 1:
            begins, found, values = each.indptr[0], places(each.indices), weights
        else:
            begins, order, delays = _by_source(each.indptr, each.delays)
            found, values = places(each.indices)[order], weights[order]
        if stride <= NARROW:
            found = found.astype(np.uint16)
        if len(values) and (values == values[0]).all():
            values = values[:1].copy()
        return Rows(begins, np.ascontiguousarray(found), np.ascontiguousarray(values), delays)

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
    steps = np.empty(int(begins[-1]), np.uint8 if max(delays) < 256 else np.uint16)
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
    if any(each.is_pulled for each in projections):
        return 1
    inside = [min(each.delays) for each in projections if network.populations[each.source].model is not None]
    return min([STEPS_AT_ONCE, *inside])
