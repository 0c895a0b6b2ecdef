"""Synapses by source, as an engine delivers them: indptr, targets, weights, delays.

A counting sort puts each synapse at its place. It works through the synapses in pieces, so it needs no temporary
array over all of them, and draws weights and delays where they are put.

Determinism: exact; the order within a source is that of targets, and then that of the synapses given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, final

import numpy as np
from msgspec import Struct

from neuraxis_snn.connect.ends import PIECE, require
from neuraxis_snn.connect.rules import ends_of
from neuraxis_snn.connect.values import DELAY_MOST, Recipe, pieces
from neuraxis_snn.errors import NetworkInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis_snn.connect.ends import By, Ends
    from neuraxis_snn.connect.values import Distribution
    from neuraxis_snn.numbers import Precision


@final
class Table(Struct, frozen=True, eq=False):
    """Synapses in the order of (source, target).

    Attributes:
        indptr: (sources + 1,) int64: where the synapses of a source begin.
        targets: (synapses,) int32; an engine may ask for uint16.
        weights: (synapses,) float32 or float64, or an engine's integers; None if none were asked for.
        delays: (synapses,) uint16 steps; an engine may ask for uint8; None if none were asked for.
    """

    indptr: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    delays: np.ndarray | None


def table(
    ends: Ends,
    *,
    weights: Distribution | None = None,
    delays: Distribution | None = None,
    dt: str | None = None,
    precision: Precision = "float32",
) -> Table:
    """Return synapses by source, with weights and delays as `weights(ends, …)` and `delays(ends, …)` draw them.

    Args:
        ends: The synapses: all of a projection, or a part.
        weights, delays, dt, precision: As there.

    Raises:
        NetworkInvalid: As there.
        MemoryShort: There is too little memory for 4 bytes a synapse, 4 or 8 for its weight and 2 for its delay.

    Determinism: exact. The tables of the parts hold, for each source, one after the other what the whole holds.
    """
    recipe_w = Recipe("weights", weights, None) if weights is not None else None
    if delays is not None and dt is None:
        raise NetworkInvalid(subject="delays", reason="dt is missing", remedy='Give the step, such as dt="0.1 ms".')
    recipe_d = Recipe("delays", delays, dt) if delays is not None else None
    made = room(
        ends,
        weights=precision if recipe_w is not None else None,
        delays=np.uint16 if recipe_d is not None else None,
    )
    draw_w = recipe_w.draw if recipe_w is not None else None
    draw_d = recipe_d.draw if recipe_d is not None else None
    return spread(ends, made, draw_w, draw_d)


def csr(
    pre: np.ndarray,
    post: np.ndarray,
    *,
    sources: int,
    targets: int,
    weights: np.ndarray | None = None,
    delays: np.ndarray | None = None,
    by: By | None = None,
) -> Table:
    """Return synapses of your own by source.

    Args:
        pre, post: (synapses,) whole numbers, in any order.
        sources, targets: Sizes of the two populations.
        weights: (synapses,) float32 or float64, or None.
        delays: (synapses,) whole steps from 0 to 65,535, or None.
        by: What computes; see `rules`.

    Raises:
        NetworkInvalid: Lengths differ, or a neuron, weight or delay cannot be.
        MemoryShort: There is too little memory.

    Determinism: exact; the sort is stable.
    """
    ends, order = ends_of(pre, post, sources=sources, targets=targets, by=by)
    if weights is not None:
        weights = np.asarray(weights)
        is_kind = weights.dtype in (np.float32, np.float64)
        if weights.shape != order.shape or not is_kind or not np.isfinite(weights).all():
            _refuse("weights", "Give one finite weight for each synapse, in float32 or float64.")
    if delays is not None:
        delays = np.asarray(delays)
        is_kind = delays.dtype.kind in "iu"
        if delays.shape != order.shape or not is_kind or ((delays < 0) | (delays > DELAY_MOST)).any():
            _refuse("delays", f"Give each synapse whole steps from 0 to {DELAY_MOST}.")
    made = room(
        ends,
        weights=weights.dtype if weights is not None else None,
        delays=np.uint16 if delays is not None else None,
    )
    return spread(ends, made, _given(weights, order), _given(delays, order))


# ------------------------------------------------------------------------------------- parts

Column: TypeAlias = "Callable[[Ends, int, int], np.ndarray]"
"""Gives the values of the synapses onto some targets, counted from the first."""


def room(ends: Ends, *, targets: Any = np.int32, weights: Any = None, delays: Any = None) -> Table:
    """Return a table with `indptr`, and room for all synapses of the given types; None leaves a column out.

    Raises:
        MemoryShort: There is too little memory.
    """
    synapses, kinds = len(ends.pre), [np.dtype(each) if each is not None else None for each in (weights, delays)]
    each = np.dtype(targets).itemsize + sum(kind.itemsize for kind in kinds if kind is not None)
    require("table", each * synapses + 16 * ends.sources)
    indptr = np.zeros(ends.sources + 1, np.int64)
    ends.functions()["count"](indptr[1:], ends.pre)
    np.cumsum(indptr, out=indptr)
    columns = [np.empty(synapses, kind) if kind is not None else None for kind in kinds]
    return Table(indptr, np.empty(synapses, targets), *columns)


def spread(
    ends: Ends,
    made: Table,
    weights: Column | None,
    delays: Column | None,
    places: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Table:
    """Put targets, weights and delays where they belong, some targets at a time; `places` are written for targets."""
    cursor = made.indptr[:-1].copy()
    place, put = ends.functions()["place"], ends.functions()["put"]
    for begin, end in pieces(ends, PIECE):
        a, b = int(ends.starts[begin]), int(ends.starts[end])
        there = np.empty(b - a, np.int64)
        place(there, cursor, ends.pre[a:b])
        lengths = np.diff(ends.starts[begin : end + 1])
        targets = places(np.arange(ends.lo + begin, ends.lo + end, dtype=np.int32))
        put(made.targets, there, np.repeat(targets, lengths))
        if made.weights is not None and weights is not None:
            put(made.weights, there, weights(ends, begin, end))
        if made.delays is not None and delays is not None:
            put(made.delays, there, delays(ends, begin, end))
    return made


def _given(values: np.ndarray | None, order: np.ndarray) -> Column | None:
    """Return a column of values that are there already, in the caller's order."""
    if values is None:
        return None
    return lambda ends, begin, end: values[order[ends.starts[begin] : ends.starts[end]]]


def _refuse(name: str, remedy: str) -> NoReturn:
    raise NetworkInvalid(subject="csr", reason=f"{name} do not fit", remedy=remedy)
