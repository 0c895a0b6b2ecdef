"""The oracle: one neuron and one synapse at a time, one line an equation, in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis_snn import expressions, noise
from neuraxis_snn.engine import Engine
from neuraxis_snn.functions import functions
from neuraxis_snn.network import MAGIC, network_of
from neuraxis_snn.rule import TRACE_FLOOR
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Drive, Network, Population, Projection

NAME: Final = "reference"


@final
class ReferenceBackend:
    """Computes networks slowly and obviously."""

    name: str = NAME

    def build(self, network: Any) -> ReferenceEngine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return ReferenceEngine(network_of(network, NAME))


@final
class ReferenceEngine(Engine):
    """Follows the description of a step word by word."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._code = {each.name: _NeuronCode(each, network.kind) for each in network.populations.values() if each.model}
        self._rules = {each.name: _RuleCode(each, network.kind) for each in network.projections.values() if each.rule}
        projections = network.projections.values()
        self._gates = {each.name: _GateCode(each, network.kind) for each in projections if each.short_term}
        self._fixed = {each.name: self.fixed_weights(each) for each in projections if not each.is_pulled}
        self._unlearned = {each.name: each.weights.astype(network.kind) for each in projections if not each.rule}

    @np.errstate(all="ignore")  # infinities are values here, as in compiled code
    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        found: dict[str, list[tuple[int, int]]] = {p.name: [] for p in self.network.populations.values() if p.record}
        given: dict[tuple[str, int], list[int]] = {}
        for name, spikes in inputs.items():
            for offset, neuron in spikes.pairs():
                given.setdefault((name, offset), []).append(neuron)
        for offset in range(steps):
            step = self.step + offset
            for name in inputs:
                self._remember(name, step, given.get((name, offset), []))
            if learning:
                for projection in self._rules:
                    self._decay_traces(projection)
            sums: dict[tuple[str, str], list[int]] = {
                (target, kind): [0] * self.network.populations[target].size for target, kind in self.scales
            }
            for each in self.network.projections.values():
                self._deliver(each, step, sums[each.target, each.input], learning=learning)
            for drive in self.network.drives.values():
                self._drive(drive, step, sums[drive.target, drive.input])
            for population in self.network.populations.values():
                if population.model is not None:
                    spiked = self._compute(population, step, sums, learning=learning)
                    self._remember(population.name, step, spiked)
                    if population.record:
                        found[population.name] += [(offset, neuron) for neuron in spiked]
            if learning:
                for projection in self._rules:
                    self._learn_from_spikes(self.network.projections[projection], step)
        return {name: Spikes.of(pairs) for name, pairs in found.items()}

    # ---------------------------------------------------------------------------------- spikes

    def _remember(self, population: str, step: int, spiked: list[int]) -> None:
        ring, count = self.arrays[f"{population}.ring"], self.arrays[f"{population}.count"]
        slot = step % len(count)
        ring[slot] = 0
        ring[slot, : len(spiked)] = spiked
        count[slot] = len(spiked)

    def _spiked(self, population: str, step: int) -> list[int]:
        ring, count = self.arrays[f"{population}.ring"], self.arrays[f"{population}.count"]
        slot = step % len(count)
        neurons: list[int] = ring[slot, : count[slot]].tolist()
        return neurons

    # --------------------------------------------------------------------------------- neurons

    def _compute(
        self, population: Population, step: int, sums: Mapping[tuple[str, str], list[int]], *, learning: bool
    ) -> list[int]:
        code, kind, name = self._code[population.name], self.network.kind, population.name
        assert population.model is not None, "places without a model compute nothing"
        inputs = [(sums[name, each], kind(1.0 / self.scales[name, each])) for each in population.model.inputs]
        states = [self.arrays[f"{name}.{state}"] for state in population.model.states]
        hold = self.arrays.get(f"{name}.hold")
        slow = population.period and step % population.period == 0
        spiked = []
        for neuron in range(population.size):
            values = [array[neuron] for array in states]
            if slow:
                values = code.slowly(learning, np.int64(step), *values)
            active = True
            if hold is not None:
                hold[neuron] = max(hold[neuron] - 1, 0)
                active = bool(hold[neuron] == 0)
            draw = np.uint32(noise.draw(self.key, population.index, neuron, step)) if population.draws else None
            arriving = [kind(integers[neuron]) * unscale for integers, unscale in inputs]
            has_spiked, *values = code.step(learning, np.int64(step), active, draw, *arriving, *values)
            if has_spiked:
                spiked.append(neuron)
                if hold is not None:
                    hold[neuron] = population.refractory
            for array, value in zip(states, values, strict=True):
                array[neuron] = value
        return spiked

    # -------------------------------------------------------------------------------- synapses

    def _synapses_from(self, each: Projection, bundle: int, neuron: int) -> Iterator[tuple[Any, int]]:
        """Yield (place of the weight, target) of the synapses of a neuron."""
        if each.indptr is None or each.indices is None:
            for target in range(self.network.populations[each.target].size):
                yield (neuron, target), target
        else:
            for synapse in range(each.indptr[bundle, neuron], each.indptr[bundle, neuron + 1]):
                yield synapse, int(each.indices[synapse])

    def _drive(self, drive: Drive, step: int, sums: list[int]) -> None:
        weight = self.fixed_weight(drive)
        for neuron in range(len(sums)):
            word = noise.word(self.key, drive.word, neuron, step)
            sums[neuron] += weight * sum(word >= int(limit) for limit in drive.limits)

    def _deliver(self, each: Projection, step: int, sums: list[int], *, learning: bool) -> None:
        kind, rule, gate = self.network.kind, self._rules.get(each.name), self._gates.get(each.name)
        magic, scale = kind(MAGIC[self.network.precision]), kind(self.scales[each.target, each.input])
        for bundle, delay in enumerate(each.delays):
            for neuron in self._spiked(each.source, step - delay):
                efficacy = gate.on_spike(self.arrays, (bundle, neuron), step) if gate is not None else None
                for place, target in self._synapses_from(each, bundle, neuron):
                    if not each.is_pulled:
                        sums[target] += int(self._fixed[each.name][place])
                        continue
                    if rule is not None:
                        clock = self._clock(step, learning=learning)
                        weight = rule.arrive(self.arrays, place, neuron, target, clock, learning=learning)
                    else:
                        weight = self._unlearned[each.name][place]
                    if efficacy is not None:
                        weight = weight * efficacy
                    sums[target] += int((weight * scale + magic) - magic)
        if rule is not None and learning:
            for neuron in self._spiked(each.source, step - each.delays[0]):
                rule.bump_pre(self.arrays, neuron)

    def _learn_from_spikes(self, each: Projection, step: int) -> None:
        rule, clock = self._rules[each.name], self._clock(step, learning=True)
        spiked = set(self._spiked(each.target, step))
        if not spiked:
            return
        for neuron in range(self.network.populations[each.source].size):
            for place, target in self._synapses_from(each, 0, neuron):
                if target in spiked:
                    rule.leave(self.arrays, place, neuron, target, clock)
        for target in sorted(spiked):
            rule.bump_post(self.arrays, target)

    def _decay_traces(self, projection: str) -> None:
        each = self.network.projections[projection]
        assert each.rule is not None, "only plastic projections have traces"
        for trace, factor in {**each.rule.pre_traces, **each.rule.post_traces, **each.rule.signals}.items():
            values = self.arrays[f"{projection}.{trace}"]
            for place in np.flatnonzero(values) if factor else ():  # zero stays zero
                values[place] = values[place] * each.numbers[factor]
        if each.rule.drift_pre:
            for neuron in range(self.network.populations[each.source].size):
                self._rules[projection].drift_pre(self.arrays, neuron)
        if each.rule.drift_post:
            for neuron in range(self.network.populations[each.target].size):
                self._rules[projection].drift_post(self.arrays, neuron)
        for trace in (*each.rule.pre_traces, *each.rule.post_traces, *each.rule.signals):
            values = self.arrays[f"{projection}.{trace}"]
            values[abs(values) < TRACE_FLOOR] = 0


# ------------------------------------------------------------------------------------- code


def _function(arguments: Iterable[str], lines: Iterable[str], results: str, given: Mapping[str, Any], kind: Any) -> Any:
    """Return a function of the arguments that executes the lines; `given` are the numbers that they may read."""
    body = "\n    ".join([*lines, f"return {results}"])
    own = functions(np.dtype(kind).name, "scalar")
    space = {**own, **given, "F": kind, "bool": bool, "__builtins__": {}}
    exec(compile(f"def function({', '.join(arguments)}):\n    {body}", "<equations>", "exec"), space)
    return space["function"]


def _lines(statements: Iterable[Statement]) -> list[str]:
    return [f"{each.target} = {expressions.code(each.value, 'scalar')}" for each in statements]


def _results(names: Iterable[str]) -> str:
    return "(" + "".join(f"{name}, " for name in names) + ")"


@final
class _NeuronCode:
    """The equations of a model as functions for one neuron.

    Attributes:
        step: (learning, step, active, draw, inputs…, states…) to (whether it spikes, states…).
        slowly: (learning, step, states…) to (states…).
    """

    def __init__(self, population: Population, kind: Any) -> None:
        program, model = population.program, population.model
        assert program is not None, "places without a model have no equations"
        assert model is not None, "places without a model have no equations"
        crossing = f"spiked = bool({expressions.code(program.threshold, 'scalar')})"
        arguments = ["learning", "step", "active", "draw", *model.inputs, *model.states]
        lines = [*_lines(program.update), crossing, *_lines(program.after)]
        self.step = _function(arguments, lines, _results(["spiked", *model.states]), population.numbers, kind)
        slow = ["learning", "step", *model.states]
        self.slowly = _function(slow, _lines(program.slowly), _results(model.states), population.numbers, kind)


@final
class _RuleCode:
    """A rule as functions for one synapse or neuron."""

    def __init__(self, projection: Projection, kind: Any) -> None:
        assert projection.rule is not None, "only plastic projections have rules"
        assert projection.program is not None, "a rule is parsed with its projection"
        rule, program, name, numbers = projection.rule, projection.program, projection.name, projection.numbers
        pre, post = tuple(rule.pre_traces), tuple(rule.post_traces)
        self._pre, self._post = [f"{name}.{each}" for each in pre], [f"{name}.{each}" for each in post]
        self._signals = [f"{name}.{each}" for each in rule.signals]
        self._synapse = [f"{name}.{'weights' if each == 'w' else each}" for each in program.synapse]
        self._clips, self._seen, self._kind = f"{name}.clips", f"{name}.seen", kind
        self._evolves = bool(program.evolve)
        reads, changed = [*pre, *post, *rule.signals, *program.synapse], _results([*program.synapse, *program.counted])
        self._evolve = _function(
            ["since", *reads], _lines(program.evolve), changed if program.evolve else "()", numbers, kind
        )
        self._on_pre = _function(reads, _lines(program.on_pre), changed, numbers, kind)
        self._on_post = _function(reads, _lines(program.on_post), changed, numbers, kind)
        self._bump_pre = _function(pre, _lines(program.bump_pre), _results(pre), numbers, kind)
        self._bump_post = _function(post, _lines(program.bump_post), _results(post), numbers, kind)
        self._drift_pre = _function(pre, _lines(program.drift_pre), _results(pre), numbers, kind)
        self._drift_post = _function(post, _lines(program.drift_post), _results(post), numbers, kind)

    def arrive(
        self, arrays: Mapping[str, np.ndarray], place: Any, pre: int, post: int, clock: int, *, learning: bool
    ) -> Any:
        """Return the weight of a synapse at which a spike arrives, as it is delivered; then learn from the spike."""
        traces, synapse = self._evolved(arrays, place, pre, post, clock, counting=learning)
        if learning:
            self._store(arrays, place, clock, self._on_pre(*traces, *synapse))
        return synapse[0]

    def leave(self, arrays: Mapping[str, np.ndarray], place: Any, pre: int, post: int, clock: int) -> None:
        """Learn from a spike of the receiving neuron."""
        traces, synapse = self._evolved(arrays, place, pre, post, clock, counting=True)
        self._store(arrays, place, clock, self._on_post(*traces, *synapse))

    def _evolved(
        self, arrays: Mapping[str, np.ndarray], place: Any, pre: int, post: int, clock: int, *, counting: bool
    ) -> tuple[list[Any], list[Any]]:
        traces = [arrays[each][pre] for each in self._pre] + [arrays[each][post] for each in self._post]
        traces += [arrays[each][0] for each in self._signals]
        synapse = [arrays[each][place] for each in self._synapse]
        if self._evolves:
            since = self._kind(clock - arrays[self._seen][place])
            found = self._evolve(since, *traces, *synapse)
            synapse = list(found[: len(synapse)])
            if counting:
                arrays[self._clips] += np.array(found[len(synapse) :], np.int64)
        return traces, synapse

    def _store(self, arrays: Mapping[str, np.ndarray], place: Any, clock: int, found: tuple[Any, ...]) -> None:
        for each, value in zip(self._synapse, found, strict=False):
            arrays[each][place] = value
        arrays[self._clips] += np.array(found[len(self._synapse) :], np.int64)
        if self._evolves:
            arrays[self._seen][place] = clock

    def bump_pre(self, arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        self._bump(self._bump_pre, self._pre, arrays, neuron)

    def bump_post(self, arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        self._bump(self._bump_post, self._post, arrays, neuron)

    def drift_pre(self, arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        self._bump(self._drift_pre, self._pre, arrays, neuron)

    def drift_post(self, arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        self._bump(self._drift_post, self._post, arrays, neuron)

    def _bump(self, code: Any, traces: list[str], arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        for each, value in zip(traces, code(*(arrays[each][neuron] for each in traces)), strict=True):
            arrays[each][neuron] = value


@final
class _GateCode:
    """Short-term plasticity as a function for one spike."""

    def __init__(self, projection: Projection, kind: Any) -> None:
        assert projection.short_term is not None, "the caller checked it"
        states, self._kind = tuple(projection.short_term.states), kind
        self._states, self._last = [f"{projection.name}.{each}" for each in states], f"{projection.name}.last"
        lines, results = _lines(projection.short_program), _results(["efficacy", *states])
        self._on_spike = _function(["since", *states], lines, results, projection.short_numbers, kind)

    def on_spike(self, arrays: Mapping[str, np.ndarray], place: tuple[int, int], step: int) -> Any:
        """Return the efficacy of a spike: the share of each weight that is delivered."""
        since = self._kind(step - arrays[self._last][place])
        efficacy, *states = self._on_spike(since, *(arrays[each][place] for each in self._states))
        for each, value in zip(self._states, states, strict=True):
            arrays[each][place] = value
        arrays[self._last][place] = step
        return self._kind(efficacy)
