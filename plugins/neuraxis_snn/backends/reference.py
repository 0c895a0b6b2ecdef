"""The oracle: one neuron and one synapse at a time, one line an equation, in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis_snn import expressions, noise
from neuraxis_snn.engine import Engine
from neuraxis_snn.functions import functions
from neuraxis_snn.network import MAGIC, network_of
from neuraxis_snn.rule import COUNTED, TRACE_FLOOR
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
        self._fixed = {each.name: self.fixed_weights(each) for each in network.projections.values() if not each.rule}

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
        weights = self._fixed[each.name] if each.rule is None else self.arrays[f"{each.name}.weights"]
        kind = self.network.kind
        magic, scale = kind(MAGIC[self.network.precision]), kind(self.scales[each.target, each.input])
        for bundle, delay in enumerate(each.delays):
            for neuron in self._spiked(each.source, step - delay):
                for place, target in self._synapses_from(each, bundle, neuron):
                    if each.rule is None:
                        sums[target] += int(weights[place])
                        continue
                    sums[target] += int((weights[place] * scale + magic) - magic)
                    if learning:
                        self._rules[each.name].on_pre(self.arrays, weights, place, neuron, target)
        if each.rule is not None and learning:
            for neuron in self._spiked(each.source, step - each.delays[0]):
                self._rules[each.name].bump_pre(self.arrays, neuron)

    def _learn_from_spikes(self, each: Projection, step: int) -> None:
        weights, rule = self.arrays[f"{each.name}.weights"], self._rules[each.name]
        spiked = set(self._spiked(each.target, step))
        if not spiked:
            return
        for neuron in range(self.network.populations[each.source].size):
            for place, target in self._synapses_from(each, 0, neuron):
                if target in spiked:
                    rule.on_post(self.arrays, weights, place, neuron, target)
        for target in sorted(spiked):
            rule.bump_post(self.arrays, target)

    def _decay_traces(self, projection: str) -> None:
        each = self.network.projections[projection]
        assert each.rule is not None, "only plastic projections have traces"
        for trace, factor in {**each.rule.pre_traces, **each.rule.post_traces}.items():
            values = self.arrays[f"{projection}.{trace}"]
            for neuron in np.flatnonzero(values):  # zero stays zero
                decayed = values[neuron] * each.numbers[factor]
                values[neuron] = decayed if abs(decayed) >= TRACE_FLOOR else 0


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
        program, name, numbers = projection.program, projection.name, projection.numbers
        pre, post = tuple(projection.rule.pre_traces), tuple(projection.rule.post_traces)
        self._pre, self._post = [f"{name}.{each}" for each in pre], [f"{name}.{each}" for each in post]
        self._clips = f"{name}.clips"
        changed = _results(["w", *COUNTED])
        self._on_pre = _function(["w", *pre, *post], _lines(program.on_pre), changed, numbers, kind)
        self._on_post = _function(["w", *pre, *post], _lines(program.on_post), changed, numbers, kind)
        self._bump_pre = _function(pre, _lines(program.bump_pre), _results(pre), numbers, kind)
        self._bump_post = _function(post, _lines(program.bump_post), _results(post), numbers, kind)

    def on_pre(self, arrays: Mapping[str, np.ndarray], weights: np.ndarray, place: Any, pre: int, post: int) -> None:
        self._change(self._on_pre, arrays, weights, place, pre, post)

    def on_post(self, arrays: Mapping[str, np.ndarray], weights: np.ndarray, place: Any, pre: int, post: int) -> None:
        self._change(self._on_post, arrays, weights, place, pre, post)

    def _change(
        self, code: Any, arrays: Mapping[str, np.ndarray], weights: np.ndarray, place: Any, pre: int, post: int
    ) -> None:
        traces = [arrays[each][pre] for each in self._pre] + [arrays[each][post] for each in self._post]
        weights[place], *clipped = code(weights[place], *traces)
        arrays[self._clips] += np.array(clipped, np.int64)

    def bump_pre(self, arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        self._bump(self._bump_pre, self._pre, arrays, neuron)

    def bump_post(self, arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        self._bump(self._bump_post, self._post, arrays, neuron)

    def _bump(self, code: Any, traces: list[str], arrays: Mapping[str, np.ndarray], neuron: int) -> None:
        for each, value in zip(traces, code(*(arrays[each][neuron] for each in traces)), strict=True):
            arrays[each][neuron] = value
