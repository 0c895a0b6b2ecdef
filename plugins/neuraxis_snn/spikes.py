"""Spikes of many neurons over some steps: what engines take and return, and what actors send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self, final

import numpy as np
from msgspec import Struct

from neuraxis import array, message

if TYPE_CHECKING:
    from collections.abc import Iterable


@final
@message("snn.spikes")
class Spikes(Struct, frozen=True, eq=False):
    """Spikes in order of (step, neuron), none twice.

    Attributes:
        steps: (n,) int32, counted from the start of the tick or call.
        neurons: (n,) int32.
    """

    steps: Annotated[np.ndarray, array("int32", None)]
    neurons: Annotated[np.ndarray, array("int32", None)]

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Self:
        """Return spikes from (step, neuron) pairs in any order."""
        ordered = sorted(set(pairs))
        steps = np.array([step for step, _ in ordered], np.int32)
        return cls(steps, np.array([neuron for _, neuron in ordered], np.int32))

    def pairs(self) -> list[tuple[int, int]]:
        """Return them as (step, neuron) pairs."""
        return list(zip(self.steps.tolist(), self.neurons.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.steps)


NO_SPIKES = Spikes(np.empty(0, np.int32), np.empty(0, np.int32))
