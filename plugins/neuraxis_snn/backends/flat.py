"""Copies of a network on flat arrays: every operation computes all copies, and all spikes of a step, at once.

States of neurons are arrays of (copies, size). Spikes of a step are two arrays, copy and neuron, in that order. What a
spike does to synapses is computed for all synapses of all spikes at once, as *events*: no synapse meets two spikes of
the same kind in one step, so the events of a step are independent of each other, and sums are integers.

Synapses that never change push what they deliver to the sums of the step in which it will arrive, when the spike
leaves. Others are read when it arrives.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, final

import numpy as np

from neuraxis_snn import noise
from neuraxis_snn.backends.flat_synapses import Numbers, Pulled, Pushed
from neuraxis_snn.spikes import NO_SPIKES, Spikes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis_snn.backends.arrays import Arrays
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.network import Drive, Population, Projection

HOST_ONLY: Final = ("ring", "count", "upkeep", "rate", "integral")
"""Arrays that never leave the host: what they hold is worked out between calls."""

Kind = Literal["populations", "projections", "drives"]

Fired = tuple[Any, Any]
"""Spikes of one step: (n,) copies and (n,) neurons, sorted."""


@final
class Flat:
    """Computes all copies.

    Attributes:
        copies: How many there are.
        xp: The operations on arrays.
        engines: One for each copy.
        network: That of the first copy; those of the others are alike but for numbers.
    """

    def __init__(self, engines: Sequence[Engine], xp: Arrays) -> None:
        self.copies, self.xp, self.engines = len(engines), xp, engines
        self.network = network = engines[0].network
        self._stacks = {name: _stacked(engines, name) for name in engines[0].arrays}
        self._mirrors: dict[str, Any] = {}
        self._sums = {key: xp.zeros((self._ahead(*key), self.copies, self.size(key[0]))) for key in engines[0].scales}
        self._fired: dict[str, deque[tuple[int, Fired]]] = {}
        self._is_behind = False
        with xp.running():
            self._pushed = [Pushed(self, each) for each in network.projections.values() if not each.is_pulled]
            self._pulled = [Pulled(self, each) for each in network.projections.values() if each.is_pulled]
            self._neurons = [_Neurons(self, each) for each in network.populations.values() if each.model is not None]
            self._drives = [_Drive(self, each) for each in network.drives.values()]

    # ---------------------------------------------------------------------- for its parts

    def each(self, kind: Kind, name: str) -> list[Any]:
        """Return the population, projection or drive of this name in every copy."""
        return [getattr(engine.network, kind)[name] for engine in self.engines]

    def scales(self, target: str, input: str, *, inverse: bool = False) -> Any:
        """Return the factors from weights to integers, or back, as `Numbers` with the name `scale`."""
        found = [engine.scales[target, input] for engine in self.engines]
        return Numbers(self.xp, [{"scale": self.network.kind(1.0 / each if inverse else each)} for each in found])

    def fixed(self, name: str, of: Callable[[Engine, Projection], np.ndarray]) -> tuple[Any, int]:
        """Return values of the synapses of a projection, and how far apart those of two copies lie: 0 if shared.

        Args:
            name: Of the projection.
            of: Returns them for one copy.
        """
        shared = all(engine.network is self.network for engine in self.engines)
        chosen = self.engines[:1] if shared else self.engines
        values = [of(engine, engine.network.projections[name]).reshape(-1) for engine in chosen]
        return self.xp.put(np.concatenate(values)), 0 if shared else values[0].size

    def mirror(self, name: str) -> Any:
        """Return an array of all copies, where it is computed."""
        if name not in self._mirrors:
            self._mirrors[name] = self.xp.mirror(self._stacks[name])
        return self._mirrors[name]

    def sums(self, target: str, input: str) -> Any:
        """Return sums of input of the near future: (steps, copies, size)."""
        return self._sums[target, input]

    def fired(self, population: str, step: int) -> Fired:
        """Return the spikes of a step, in this call or the last steps before it."""
        for at, spikes in reversed(self._fired[population]):
            if at == step:
                return spikes
        ring, count = self._stacks[f"{population}.ring"], self._stacks[f"{population}.count"]
        slot = step % count.shape[1]
        inside = np.arange(ring.shape[2]) < count[:, slot, None]
        copy, _ = np.nonzero(inside)
        return self.xp.put(copy), self.xp.put(ring[:, slot][inside].astype(np.int64))

    def size(self, population: str) -> int:
        """Return how many neurons a population has."""
        return self.network.populations[population].size

    def _ahead(self, target: str, input: str) -> int:
        """Return for how many steps sums of input are kept."""
        projections = self.network.projections.values()
        onto = [each for each in projections if (each.target, each.input) == (target, input) and not each.is_pulled]
        return 1 + max((max(each.delays) for each in onto), default=0)

    # ----------------------------------------------------------------------------- running

    def forget(self) -> None:
        """Note that states were replaced: sums of the near future do not follow from them."""
        self._is_behind = True

    def run(self, steps: int, inputs: Sequence[Mapping[str, Spikes]], *, learning: bool) -> list[dict[str, Spikes]]:
        """Compute steps of all copies from the step at which they stand."""
        first, xp = self.engines[0].step, self.xp
        populations = self.network.populations
        self._fired = {name: deque(maxlen=self._stacks[f"{name}.count"].shape[1]) for name in populations}
        found: dict[str, list[tuple[int, Fired]]] = {name: [] for name, each in populations.items() if each.record}
        with xp.running():
            self._load()
            keys = [xp.put(np.array([[each.key[word]] for each in self.engines], np.int64)) for word in (0, 1)]
            for neurons in self._neurons:
                neurons.begin(keys, learning=learning)
            for drive in self._drives:
                drive.begin(keys)
            places = {name: self._merged([each[name] for each in inputs], steps) for name in inputs[0]}
            clocks = self._stacks["clock"][:, 0] if "clock" in self._stacks else None
            for offset in range(steps):
                step = first + offset
                for name, (copy, neuron, ends) in places.items():
                    begin, end = ends[offset : offset + 2]
                    self._leave(name, step, (copy[begin:end], neuron[begin:end]))
                now = xp.put(clocks + (offset + 1 if learning else 0)) if clocks is not None else None
                if learning:
                    for synapses in self._pulled:
                        synapses.decay()
                for synapses in self._pulled:
                    synapses.deliver(step, now, learning=learning)
                for drive in self._drives:
                    drive.deliver(step)
                for neurons in self._neurons:
                    spikes = neurons.compute(step)
                    self._leave(neurons.name, step, spikes)
                    if len(spikes[0]) and neurons.name in found:
                        found[neurons.name].append((offset, spikes))
                if learning:
                    for synapses in self._pulled:
                        synapses.learn_from_spikes(step, now)
            self._store()
            per_copy = {name: self._separate(parts) for name, parts in found.items()}
        return [{name: each[number] for name, each in per_copy.items()} for number in range(self.copies)]

    def _leave(self, name: str, step: int, spikes: Fired) -> None:
        self._fired[name].append((step, spikes))
        if len(spikes[0]):
            for synapses in self._pushed:
                if synapses.source == name:
                    synapses.push(step, spikes)

    def _load(self) -> None:
        """Bring all state where it is computed, and make the sums of the near future if they do not follow from it."""
        for name, mirror in self._mirrors.items():
            self.xp.load(mirror, self._stacks[name])
        if not self._is_behind:
            return
        for sums in self._sums.values():
            sums[...] = 0
        now = self.engines[0].step
        for synapses in self._pushed:
            for ago in range(1, min(synapses.longest, now) + 1):
                spikes = self.fired(synapses.source, now - ago)
                if len(spikes[0]):
                    synapses.push(now - ago, spikes, at_least=ago)  # the others have arrived
        self._is_behind = False

    def _store(self) -> None:
        for name, mirror in self._mirrors.items():
            self.xp.store(mirror, self._stacks[name])
        for name, recent in self._fired.items():
            ring, count = self._stacks[f"{name}.ring"], self._stacks[f"{name}.count"]
            for step, (copy, neuron) in recent:
                slot, copies = step % count.shape[1], self.xp.host(copy)
                counts = np.bincount(copies, minlength=self.copies)
                ring[:, slot] = 0
                ring[copies, slot, np.arange(len(copies)) - (np.cumsum(counts) - counts)[copies]] = self.xp.host(neuron)
                count[:, slot] = counts

    def _merged(self, spikes: Sequence[Spikes], steps: int) -> tuple[Any, Any, list[int]]:
        """Return copies and neurons of spikes from outside in the order of steps, and where each step ends."""
        at = np.concatenate([each.steps for each in spikes])
        order = np.argsort(at, kind="stable")
        copy = np.repeat(np.arange(len(spikes)), [len(each) for each in spikes])[order]
        neuron = np.concatenate([each.neurons for each in spikes])[order].astype(np.int64)
        return self.xp.put(copy), self.xp.put(neuron), np.searchsorted(at[order], np.arange(steps + 1)).tolist()

    def _separate(self, parts: list[tuple[int, Fired]]) -> list[Spikes]:
        """Return the spikes of each copy."""
        if not parts:
            return [NO_SPIKES] * self.copies
        steps = np.repeat(np.array([step for step, _ in parts], np.int32), [len(copy) for _, (copy, _) in parts])
        copy, neuron = (self.xp.host(self.xp.joined([each[which] for _, each in parts])) for which in (0, 1))
        order = np.argsort(copy, kind="stable")
        ends = np.searchsorted(copy[order], np.arange(1, self.copies))
        neurons = neuron.astype(np.int32)[order]
        return [Spikes(*each) for each in zip(np.split(steps[order], ends), np.split(neurons, ends), strict=True)]


def _stacked(engines: Sequence[Engine], name: str) -> np.ndarray:
    """Put the arrays of all engines into one, and let each keep its part of it."""
    if len(engines) == 1:
        return engines[0].arrays[name][None]
    stack = np.stack([each.arrays[name] for each in engines])
    for number, each in enumerate(engines):
        each.arrays[name] = stack[number]
    return stack


@final
class _Noise:
    """Words of noise for neurons of all copies."""

    def __init__(self, flat: Flat, counter: int, size: int) -> None:
        self._counter, self._neurons = counter, flat.xp.numbered(size)[None]
        self._block, self._words = -1, ()

    def begin(self, keys: Sequence[Any]) -> None:
        """Begin a call; each key is (copies, 1)."""
        self._keys, self._block = keys, -1

    def words(self, step: int) -> Any:
        """Return the words of a step: (copies, size) int64. Those of four steps are made at once."""
        block, at = divmod(step, noise.STEPS_PER_BLOCK)
        if block != self._block:
            high, low = divmod(block, 1 << 32)
            words = noise.philox_of_integers(self._neurons, low, high, self._counter, *self._keys)
            self._block, self._words = block, words
        return self._words[at]


@final
class _Neurons:
    """The neurons of a population."""

    def __init__(self, flat: Flat, population: Population) -> None:
        program, model = population.program, population.model
        assert program is not None, "a model is parsed with its population"
        assert model is not None, "the caller checked it"
        self._xp, self._population = flat.xp, population
        self.name, self._shape = population.name, (flat.copies, population.size)
        every = flat.each("populations", self.name)
        self._numbers = Numbers(self._xp, [each.numbers for each in every]).rows()
        self._pause = Numbers(self._xp, [{"pause": np.int32(each.refractory)} for each in every]).rows()["pause"]
        self._states = {state: flat.mirror(f"{self.name}.{state}") for state in model.states}
        self._hold = flat.mirror(f"{self.name}.hold") if population.refractory else None
        self._inputs = {each: flat.sums(self.name, each) for each in model.inputs}
        self._unscale = {each: flat.scales(self.name, each, inverse=True).rows()["scale"] for each in model.inputs}
        self._slowly = self._xp.equations(program.slowly, self._states)
        self._advance = self._xp.neurons(population)
        self._active = self._xp.everywhere((1, 1))
        self._reads_step = "step" in program.names
        self._noise = _Noise(flat, population.index, population.size)

    def begin(self, keys: Sequence[Any], *, learning: bool) -> None:
        """Begin a call."""
        self._learning = self._xp.put(np.array(learning))
        self._noise.begin(keys)

    def compute(self, step: int) -> Fired:
        """Compute a step, and return who spikes."""
        xp, values = self._xp, {**self._numbers, **self._states, "learning": self._learning}
        if self._reads_step:
            values["step"] = xp.put(np.array([[float(step)]]))
        if self._population.period and step % self._population.period == 0:
            self._slowly(values)
        if self._hold is not None:
            self._hold[...] = xp.where(self._hold > 0, self._hold - 1, self._hold)
        values["active"] = self._hold == 0 if self._hold is not None else self._active
        if self._population.draws:
            values["draw"] = xp.double(self._noise.words(step) >> noise.DROPPED_BITS)
        for name, sums in self._inputs.items():
            due = sums[step % len(sums)]
            values[name] = xp.real(due) * self._unscale[name]
            due[...] = 0
        self._advance(values)
        for state, array in self._states.items():
            array[...] = values[state]
        spiked = xp.broadcast(values["spiked"], self._shape)
        if self._hold is not None:
            self._hold[...] = xp.where(spiked, self._pause, self._hold)
        return xp.found(spiked)


@final
class _Drive:
    """Random spikes onto every neuron of a population."""

    def __init__(self, flat: Flat, drive: Drive) -> None:
        self._xp, self._sums = flat.xp, flat.sums(drive.target, drive.input)
        self._noise = _Noise(flat, drive.word, self._sums.shape[2])
        every, engines = flat.each("drives", drive.name), flat.engines
        limits = [each.limits for each in every]
        alike = all(np.array_equal(each, limits[0]) for each in limits)
        self._limits = [flat.xp.put(each.astype(np.int64)) for each in (limits[:1] if alike else limits)]
        weights = [{"w": np.int64(engine.fixed_weight(each))} for engine, each in zip(engines, every, strict=True)]
        self._weight = Numbers(flat.xp, weights).rows()["w"]

    def begin(self, keys: Sequence[Any]) -> None:
        """Begin a call."""
        self._noise.begin(keys)

    def deliver(self, step: int) -> None:
        """Add what arrives in a step to its sums."""
        xp, words = self._xp, self._noise.words(step)
        if len(self._limits) == 1:
            counts = xp.rank(self._limits[0], words)
        else:
            ranks = [xp.rank(limits, row) for limits, row in zip(self._limits, words, strict=True)]
            counts = xp.joined(ranks).reshape(words.shape)
        due = self._sums[step % len(self._sums)]
        due += xp.integer(counts * self._weight)
