"""Spikes of many neurons over some steps: what engines take and return, and what actors send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self, final

import numpy as np
from msgspec import Struct

from neuraxis import array, message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


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


def cut(spikes: Spikes, begin: int, end: int) -> Spikes:
    """Return the spikes of the steps begin … end - 1, with steps counted from `begin`."""
    first, last = np.searchsorted(spikes.steps, [begin, end])
    return Spikes(spikes.steps[first:last] - np.int32(begin), spikes.neurons[first:last])


def in_a_row(parts: Sequence[tuple[int, Mapping[str, Spikes]]]) -> dict[str, Spikes]:
    """Return spikes by population of calls that follow each other as those of one call.

    Args:
        parts: Of each call, the step with which it began, and its spikes.
    """
    return {
        name: Spikes(
            np.concatenate([found[name].steps + np.int32(begin) for begin, found in parts]),
            np.concatenate([found[name].neurons for _, found in parts]),
        )
        for name in (parts[0][1] if parts else ())
    }
