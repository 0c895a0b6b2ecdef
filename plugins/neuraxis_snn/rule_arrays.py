"""Rules of plasticity on arrays: many synapses of a projection at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from neuraxis_snn import expressions
from neuraxis_snn.functions import functions
from neuraxis_snn.rule import TRACE_FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Projection


def space_of(kind: Any) -> dict[str, Any]:
    """Return what equations on arrays of `kind` may call."""
    return {**functions(np.dtype(kind).name, "array"), "F": kind, "where": np.where, "__builtins__": {}}


def array_code(statements: tuple[Statement, ...], kind: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that executes statements on a dictionary of arrays."""
    lines = [f"{each.target} = {expressions.code(each.value, 'array')}" for each in statements]
    compiled = compile("\n".join(lines) or "pass", "<equations>", "exec")
    space = space_of(kind)

    def execute(values: dict[str, Any]) -> None:
        exec(compiled, space, values)

    return execute


@final
class RuleArrays:
    """A rule, to be computed for many synapses or neurons of a projection at once."""

    def __init__(self, projection: Projection, arrays: Mapping[str, np.ndarray], kind: Any) -> None:
        """Take the projection's arrays out of all state; they are changed in place."""
        assert projection.rule is not None, "only plastic projections have rules"
        assert projection.program is not None, "a rule is parsed with its projection"
        rule, program, name = projection.rule, projection.program, projection.name
        self._numbers, self._program, self._kind = projection.numbers, program, kind
        self._decays = {**rule.pre_traces, **rule.post_traces, **rule.signals}
        self._traces = {each: arrays[f"{name}.{each}"] for each in self._decays}
        self._pre, self._post, self._signals = tuple(rule.pre_traces), tuple(rule.post_traces), tuple(rule.signals)
        self._synapses = {each: arrays[f"{name}.{'weights' if each == 'w' else each}"] for each in program.synapse}
        self._clips, self._seen = arrays[f"{name}.clips"], arrays.get(f"{name}.seen")
        self._on_pre, self._on_post = array_code(program.on_pre, kind), array_code(program.on_post, kind)
        self._bump_pre, self._bump_post = array_code(program.bump_pre, kind), array_code(program.bump_post, kind)
        self._drift_pre, self._drift_post = array_code(program.drift_pre, kind), array_code(program.drift_post, kind)
        self._evolve, self._on_reward = array_code(program.evolve, kind), array_code(program.on_reward, kind)

    def arrive(self, place: Any, pre: Any, post: Any, clock: int, *, learning: bool) -> np.ndarray:
        """Return the weights of synapses at which spikes arrive, as they are delivered; then learn from the spikes.

        Args:
            place: Where they lie among the weights.
            pre, post: Neurons that they join: numbers, or anything that picks them.
            clock: Steps in which the network has learned, with this one if it learns.
            learning: Whether it learns.
        """
        values = self.evolved(place, pre, post, clock, counting=learning)
        delivered: np.ndarray = values["w"].copy()  # it may be a view of what is about to change
        if learning:
            self._on_pre(values)
            self._count(values)
            self._store(values, place, clock)
        return delivered

    def leave(self, place: Any, pre: Any, post: Any, clock: int) -> None:
        """Learn from spikes of the receiving neurons."""
        values = self.evolved(place, pre, post, clock, counting=True)
        self._on_post(values)
        self._count(values)
        self._store(values, place, clock)

    def reward(self, signal: str, amount: float, pre: Any, post: Any, clock: int) -> None:
        """Bring all synapses up to date, raise a signal, and let the synapses know."""
        everything = slice(None)
        values = self.evolved(everything, pre, post, clock, counting=True)
        self._traces[signal] += self._kind(amount)
        values[signal] = self._traces[signal][0]
        self._on_reward(values)
        self._store(values, everything, clock)

    def settle(self, pre: Any, post: Any, clock: int) -> None:
        """Bring all synapses up to date."""
        values = self.evolved(slice(None), pre, post, clock, counting=True)
        self._store(values, slice(None), clock)

    def evolved(self, place: Any, pre: Any, post: Any, clock: int, *, counting: bool) -> dict[str, Any]:
        """Return everything that concerns synapses, brought up to date; nothing is changed but counters."""
        values = dict(self._numbers)
        values |= {each: self._traces[each][pre] for each in self._pre}
        values |= {each: self._traces[each][post] for each in self._post}
        values |= {each: self._traces[each][0] for each in self._signals}
        values |= {each: array[place] for each, array in self._synapses.items()}
        if self._seen is not None:
            values["since"] = (clock - self._seen[place]).astype(self._kind)
            self._evolve(values)
            if counting:
                self._count(values)
        return values

    def bump_pre(self, neurons: np.ndarray) -> None:
        """Change the traces of neurons whose spikes arrive."""
        self._bump(self._bump_pre, self._pre, neurons)

    def bump_post(self, neurons: np.ndarray) -> None:
        """Change the traces of neurons that spiked."""
        self._bump(self._bump_post, self._post, neurons)

    def decay(self) -> None:
        """Begin a step: traces and signals decay, and drift."""
        for name, factor in self._decays.items():
            if factor:
                self._traces[name] *= self._numbers[factor]
        if self._program.drift_pre:
            self._bump(self._drift_pre, self._pre, slice(None))
        if self._program.drift_post:
            self._bump(self._drift_post, self._post, slice(None))
        for values in self._traces.values():
            values[np.abs(values) < TRACE_FLOOR] = 0

    def _bump(self, code: Any, traces: tuple[str, ...], neurons: Any) -> None:
        values = dict(self._numbers) | {each: self._traces[each][neurons] for each in traces}
        code(values)
        for each in traces:
            self._traces[each][neurons] = values[each]

    def _count(self, values: dict[str, Any]) -> None:
        for number, each in enumerate(self._program.counted):
            self._clips[number] += np.count_nonzero(values[each])

    def _store(self, values: dict[str, Any], place: Any, clock: int) -> None:
        for each, array in self._synapses.items():
            array[place] = values[each]
        if self._seen is not None:
            self._seen[place] = clock
