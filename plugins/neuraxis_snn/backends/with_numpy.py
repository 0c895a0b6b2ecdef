"""Arrays: each equation is computed for all neurons of a population at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis_snn import expressions, noise
from neuraxis_snn.engine import Engine
from neuraxis_snn.network import MAGIC, network_of, synapses_by_target
from neuraxis_snn.rule_arrays import RuleArrays, array_code, space_of
from neuraxis_snn.spikes import NO_SPIKES, Spikes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis_snn.network import Drive, Network, Population, Projection

NAME: Final = "numpy"


@final
class NumpyBackend:
    """Computes networks with numpy."""

    name: str = NAME

    def build(self, network: Any) -> NumpyEngine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return NumpyEngine(network_of(network, NAME))


class NumpyEngine(Engine):
    """Loops over steps, populations and spiking neurons; everything below is an array."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._neurons = [self._neurons_of(each) for each in network.populations.values()]
        projections = network.projections.values()
        self._rules = {each.name: RuleArrays(each, self.arrays, network.kind) for each in projections if each.rule}
        self._gates = {each.name: _Gate(each, self.arrays, network.kind) for each in projections if each.short_term}
        self._sums = {key: np.zeros(network.populations[key[0]].size, network.sum_kind) for key in self.scales}
        self._fixed = {each.name: self.fixed_weights(each) for each in projections if not each.is_pulled}
        self._unlearned = {each.name: each.weights.astype(network.kind) for each in projections if not each.rule}
        sparse = [each for each in projections if each.rule and not each.is_dense]
        self._reversed = {each.name: synapses_by_target(each, network) for each in sparse}

    def _neurons_of(self, population: Population) -> Any:
        """Return what computes the neurons of a population; a backend may put its own in place of the equations."""
        return _Neurons(population, self.network.kind) if population.model is not None else None

    @np.errstate(all="ignore")  # infinities are values here, as in compiled code
    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        populations = list(self.network.populations.values())
        ends = {name: np.searchsorted(spikes.steps, np.arange(steps + 1)) for name, spikes in inputs.items()}
        found: dict[str, list[tuple[int, np.ndarray]]] = {each.name: [] for each in populations if each.record}
        for offset in range(steps):
            step = self.step + offset
            for name, spikes in inputs.items():
                begin, end = ends[name][offset : offset + 2]
                self._remember(name, step, spikes.neurons[begin:end])
            if learning:
                self._decay_traces()
            for projection in self.network.projections.values():
                self._deliver(projection, step, learning=learning)
            for drive in self.network.drives.values():
                self._drive(drive, step)
            for population, compute in zip(populations, self._neurons, strict=True):
                if compute is not None:
                    spiked = self._compute(population, compute, step, learning=learning)
                    self._remember(population.name, step, spiked)
                    if population.record and len(spiked):
                        found[population.name].append((offset, spiked))
            if learning:
                for name in self._rules:
                    self._learn_from_spikes(self.network.projections[name], step)
        return {name: _joined(parts) for name, parts in found.items()}

    # ---------------------------------------------------------------------------------- spikes

    def _remember(self, population: str, step: int, spiked: np.ndarray) -> None:
        ring, count = self.arrays[f"{population}.ring"], self.arrays[f"{population}.count"]
        slot = step % len(count)
        ring[slot, len(spiked) : count[slot]] = 0
        ring[slot, : len(spiked)] = spiked
        count[slot] = len(spiked)

    def _spiked(self, population: str, step: int) -> np.ndarray:
        ring, count = self.arrays[f"{population}.ring"], self.arrays[f"{population}.count"]
        slot = step % len(count)
        neurons: np.ndarray = ring[slot, : count[slot]]
        return neurons

    # --------------------------------------------------------------------------------- neurons

    def _compute(self, population: Population, compute: _Neurons, step: int, *, learning: bool) -> np.ndarray:
        name, model = population.name, population.model
        assert model is not None, "places without a model compute nothing"
        states = {state: self.arrays[f"{name}.{state}"] for state in model.states}
        values = {**population.numbers, **states, "learning": np.bool_(learning), "step": np.int64(step)}
        if population.period and step % population.period == 0:
            compute.slowly(values)
        hold = self.arrays.get(f"{name}.hold")
        if hold is not None:
            np.maximum(hold - 1, 0, out=hold)
        values["active"] = hold == 0 if hold is not None else np.ones(population.size, np.bool_)
        if population.draws:
            values["draw"] = noise.draws(self.key, population.index, population.size, step)
        for each in model.inputs:
            sums = self._sums[name, each]
            values[each] = sums.astype(self.network.kind) * self.network.kind(1.0 / self.scales[name, each])
            sums[:] = 0
        compute.update(values)
        crossed = values["spiked"] = compute.crosses(values)
        compute.after(values)
        for state, array in states.items():
            array[:] = values[state]
        if hold is not None:
            hold[crossed] = population.refractory
        return np.flatnonzero(crossed).astype(np.int32)

    # -------------------------------------------------------------------------------- synapses

    def _drive(self, drive: Drive, step: int) -> None:
        sums = self._sums[drive.target, drive.input]
        words = noise.words_of(self.key, drive.word, len(sums), step)
        counts = np.searchsorted(drive.limits, words, side="right")
        sums += (counts * self.fixed_weight(drive)).astype(sums.dtype)

    def _deliver(self, each: Projection, step: int, *, learning: bool) -> None:
        sums, rule = self._sums[each.target, each.input], self._rules.get(each.name)
        for bundle, delay in enumerate(each.delays):
            for neuron in self._spiked(each.source, step - delay):
                if each.indptr is None or each.indices is None:
                    place: Any = neuron
                    targets: Any = slice(None)
                else:
                    place = slice(each.indptr[bundle, neuron], each.indptr[bundle, neuron + 1])
                    targets = each.indices[place]
                if not each.is_pulled:
                    arriving = self._fixed[each.name][place]
                else:
                    weights = (
                        self._unlearned[each.name][place]
                        if rule is None
                        else rule.arrive(
                            place, neuron, targets, self._clock(step, learning=learning), learning=learning
                        )
                    )
                    gate = self._gates.get(each.name)
                    arriving = self._integers(
                        each, weights if gate is None else weights * gate.on_spike((bundle, neuron), step)
                    )
                if each.indices is None:
                    sums += arriving
                else:
                    np.add.at(sums, targets, arriving)
        if rule is not None and learning:
            rule.bump_pre(self._spiked(each.source, step - each.delays[0]))

    def _integers(self, each: Projection, weights: np.ndarray) -> np.ndarray:
        kind = self.network.kind
        magic, scale = kind(MAGIC[self.network.precision]), kind(self.scales[each.target, each.input])
        integers: np.ndarray = ((weights * scale + magic) - magic).astype(self.network.sum_kind)
        return integers

    def _learn_from_spikes(self, each: Projection, step: int) -> None:
        rule, clock = self._rules[each.name], self._clock(step, learning=True)
        spiked = self._spiked(each.target, step)
        for neuron in spiked:
            if each.indices is None:
                rule.leave((slice(None), neuron), slice(None), neuron, clock)
            else:
                ends, synapses, sources = self._reversed[each.name]
                span = slice(ends[neuron], ends[neuron + 1])
                rule.leave(synapses[span], sources[span], neuron, clock)
        rule.bump_post(spiked)

    def _decay_traces(self) -> None:
        for rule in self._rules.values():
            rule.decay()


def _joined(parts: list[tuple[int, np.ndarray]]) -> Spikes:
    if not parts:
        return NO_SPIKES
    steps = np.concatenate([np.full(len(neurons), step, np.int32) for step, neurons in parts])
    return Spikes(steps, np.concatenate([neurons for _, neurons in parts]))


# ------------------------------------------------------------------------------------- code


@final
class _Neurons:
    """The equations of a model, to be computed for a population."""

    def __init__(self, population: Population, kind: Any) -> None:
        program = population.program
        assert program is not None, "places without a model have no equations"
        self.slowly = array_code(program.slowly, kind)
        self.update = array_code(program.update, kind)
        self.after = array_code(program.after, kind)
        self._threshold = compile(expressions.code(program.threshold, "array"), "<threshold>", "eval")
        self._space = space_of(kind)
        self._size = population.size

    def crosses(self, values: dict[str, Any]) -> np.ndarray:
        crossed = eval(self._threshold, self._space, values)  # noqa: S307 - the language calls nothing but its own functions
        return np.broadcast_to(crossed, self._size)


@final
class _Gate:
    """Short-term plasticity of the spikes that one neuron sends."""

    def __init__(self, projection: Projection, arrays: Mapping[str, np.ndarray], kind: Any) -> None:
        assert projection.short_term is not None, "the caller checked it"
        self._numbers, self._kind = projection.short_numbers, kind
        self._states = {each: arrays[f"{projection.name}.{each}"] for each in projection.short_term.states}
        self._last = arrays[f"{projection.name}.last"]
        self._on_spike = array_code(projection.short_program, kind)

    def on_spike(self, place: tuple[int, int], step: int) -> Any:
        """Return the efficacy of a spike: the share of each weight that is delivered."""
        values = {**self._numbers, **{each: array[place] for each, array in self._states.items()}}
        values["since"] = self._kind(step - self._last[place])
        self._on_spike(values)
        for each, array in self._states.items():
            array[place] = values[each]
        self._last[place] = step
        return self._kind(values["efficacy"])
