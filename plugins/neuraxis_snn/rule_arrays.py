"""Equations on arrays, and rules of plasticity for all synapses of a projection at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from neuraxis_snn import expressions
from neuraxis_snn.functions import functions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Projection


def space_of(kind: Any) -> dict[str, Any]:
    """Return what equations on arrays of `kind` may call."""
    return {**functions(np.dtype(kind).name, "array"), "F": kind, "where": np.where, "__builtins__": {}}


def array_code(statements: Iterable[Statement], space: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Return a function that executes statements on a dictionary of arrays; `space` has what they may call."""
    lines = [f"{each.target} = {expressions.code(each.value, 'array')}" for each in statements]
    compiled = compile("\n".join(lines) or "pass", "<equations>", "exec")

    def execute(values: dict[str, Any]) -> None:
        exec(compiled, space, values)

    return execute


@final
class RuleArrays:
    """A rule, for what is done to all synapses of a projection at once between two steps."""

    def __init__(self, projection: Projection, arrays: Mapping[str, np.ndarray], kind: Any) -> None:
        """Take the projection's arrays out of all state; they are changed in place."""
        assert projection.rule is not None, "only plastic projections have rules"
        assert projection.program is not None, "a rule is parsed with its projection"
        rule, program, name = projection.rule, projection.program, projection.name
        self._numbers, self._program, self._kind = projection.numbers, program, kind
        self._pre, self._post, self._signals = tuple(rule.pre_traces), tuple(rule.post_traces), tuple(rule.signals)
        self._traces = {each: arrays[f"{name}.{each}"] for each in (*self._pre, *self._post, *self._signals)}
        self._synapses = {each: arrays[f"{name}.{'weights' if each == 'w' else each}"] for each in program.synapse}
        self._clips, self._seen = arrays[f"{name}.clips"], arrays.get(f"{name}.seen")
        space = space_of(kind)
        self._evolve, self._on_reward = array_code(program.evolve, space), array_code(program.on_reward, space)

    def reward(self, signal: str, amount: float, pre: Any, post: Any, clock: int) -> None:
        """Bring synapses up to date, raise a signal, and let the synapses know.

        Args:
            signal: Its name.
            amount: By how much.
            pre, post: The neurons that they join, so that they broadcast to the shape of the weights.
            clock: Steps in which the network has learned.
        """
        values = self.evolved(pre, post, clock, counting=True)
        self._traces[signal] += self._kind(amount)
        values[signal] = self._traces[signal][0]
        self._on_reward(values)
        self._store(values, clock)

    def settle(self, pre: Any, post: Any, clock: int) -> None:
        """Bring synapses up to date."""
        self._store(self.evolved(pre, post, clock, counting=True), clock)

    def evolved(self, pre: Any, post: Any, clock: int, *, counting: bool) -> dict[str, Any]:
        """Return everything that concerns synapses, brought up to date; nothing is changed but counters."""
        values = {**self._numbers, **self._synapses}
        values |= {each: self._traces[each][pre] for each in self._pre}
        values |= {each: self._traces[each][post] for each in self._post}
        values |= {each: self._traces[each][0] for each in self._signals}
        if self._seen is not None:
            values["since"] = (clock - self._seen).astype(self._kind)
            self._evolve(values)
            if counting:
                for number, each in enumerate(self._program.counted):
                    self._clips[number] += np.count_nonzero(values[each])
        return values

    def _store(self, values: dict[str, Any], clock: int) -> None:
        for each, array in self._synapses.items():
            array[...] = values[each]
        if self._seen is not None:
            self._seen[...] = clock
