"""The few operations on arrays in which libraries differ, for `flat`.

`Arrays` are those of numpy, and of what has its names. Another library derives from it and writes its own. Everything
else that `flat` does are operators and indexing, which all of them share.

Numbers that are the same in all copies have no dimension, all other values have one or two. So types are promoted as
numpy does it, in every library.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from neuraxis_snn.expressions import Statement
from neuraxis_snn.rule_arrays import array_code, space_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from neuraxis_snn.network import Population
    from neuraxis_snn.numbers import Precision


class Arrays:
    """Operations on numpy's arrays.

    Attributes:
        kind: Type of states and weights.
        sum_kind: Type of sums of synaptic input.
        xp: The library.
    """

    def __init__(self, precision: Precision, xp: Any = np) -> None:
        """Take the precision of the network, and the library: numpy, or one with its names."""
        self.xp = xp
        self.precision: Precision = precision
        self.kind: Any = np.dtype(precision).type
        self.sum_kind: Any = np.int32 if precision == "float32" else np.int64

    def running(self) -> AbstractContextManager[Any]:
        """Return what surrounds all computing: infinities are values there."""
        return np.errstate(all="ignore")

    # ---------------------------------------------------------------------- to and from the host

    def mirror(self, host: np.ndarray) -> Any:
        """Return an array that stands for one of the host; the same memory, where it can be."""
        return host

    def load(self, mirror: Any, host: np.ndarray) -> None:
        """Bring the array of the host into its mirror."""

    def store(self, mirror: Any, host: np.ndarray) -> None:
        """Bring the mirror back into the array of the host."""

    def put(self, host: np.ndarray) -> Any:
        """Return a copy of what never changes."""
        return self.xp.array(host)

    def host(self, values: Any) -> np.ndarray:
        """Return values as an array of the host."""
        return np.asarray(values)

    # ------------------------------------------------------------------------------------ types

    def real(self, values: Any) -> Any:
        """Return values in the precision of the network, rounded to nearest."""
        return values.astype(self.kind)

    def double(self, values: Any) -> Any:
        """Return values as float64."""
        return values.astype(np.float64)

    def wide(self, values: Any) -> Any:
        """Return values as int64."""
        return values.astype(np.int64)

    def integer(self, values: Any) -> Any:
        """Return whole values in the type of sums."""
        return values.astype(self.sum_kind)

    # ----------------------------------------------------------------------------------- making

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """Return zeros in the type of sums."""
        return self.xp.zeros(shape, self.sum_kind)

    def everywhere(self, shape: tuple[int, ...]) -> Any:
        """Return conditions that hold."""
        return self.xp.ones(shape, np.bool_)

    def numbered(self, count: int) -> Any:
        """Return 0 … count - 1, int64."""
        return self.xp.arange(count)

    # ------------------------------------------------------------------------------- rearranging

    def repeated(self, values: Any, counts: Any) -> Any:
        """Return each value so often; `counts` is a number or an array."""
        return self.xp.repeat(values, counts)

    def joined(self, parts: Sequence[Any]) -> Any:
        """Return arrays of one dimension in one."""
        return self.xp.concatenate(parts)

    def summed_up(self, values: Any) -> Any:
        """Return running sums."""
        return self.xp.cumsum(values)

    def found(self, mask: Any) -> tuple[Any, Any]:
        """Return rows and columns at which a condition holds, in their order."""
        rows, columns = self.xp.nonzero(mask)
        return rows, columns

    def rank(self, limits: Any, values: Any) -> Any:
        """Return how many limits, which rise, are not above each value."""
        return self.xp.searchsorted(limits, values, side="right")

    def add_at(self, sums: Any, places: Any, values: Any) -> None:
        """Add integers to sums at places, which may come again."""
        self.xp.add.at(sums, places, values)

    def where(self, condition: Any, then: Any, otherwise: Any) -> Any:
        """Choose, by a condition."""
        return self.xp.where(condition, then, otherwise)

    def broadcast(self, values: Any, shape: tuple[int, ...]) -> Any:
        """Return values in this shape."""
        return self.xp.broadcast_to(values, shape)

    # --------------------------------------------------------------------------------- equations

    def space(self) -> dict[str, Any]:
        """Return what equations may call."""
        return space_of(self.kind)

    def equations(self, statements: Iterable[Statement], keep: Collection[str]) -> Callable[[dict[str, Any]], None]:
        """Return a function that executes statements on a dictionary of values.

        Args:
            statements: They.
            keep: Names that are looked at afterwards.
        """
        return array_code(statements, self.space())

    def neurons(self, population: Population) -> Callable[[dict[str, Any]], None]:
        """Return a function that takes a step of neurons: it reads and writes their states, and writes `spiked`."""
        program, model = population.program, population.model
        assert model is not None, "only populations with a model are computed"
        assert program is not None, "only populations with a model are computed"
        everything = (*program.update, Statement("spiked", program.threshold), *program.after)
        return self.equations(everything, {*model.states, "spiked"})
