"""What every engine does alike: its state, the checks of what comes in, capture and restore.

A backend subclasses `Engine` and writes `_run`: how the steps of one call are computed. All state lies in
`arrays`, by name; a call leaves nothing behind anywhere else. So calls may be cut anywhere: 40 steps give the
same bits as 15 and then 25.

    P.STATE          (size,)          states of the neurons of population P
    P.hold           (size,) int32    steps for which a neuron is still refractory
    P.ring, P.count  (slots, size), (slots,) int32   spikes of the last steps: slot `step % slots`
    J.weights        weights of synapses that learn, as in the projection
    J.TRACE          (size,)          traces of projection J; a signal has one value
    J.TRACE          as the weights   traces that every synapse has of its own
    J.seen           as the weights   int64; clock when a synapse was brought up to date, where its rule evolves
    J.clips          (2,) int64       how often its rule met w_min and w_max
    J.STATE, J.last  (delays, size), (delays, size) int64   short-term plasticity; step of the last spike that arrived
    J.upkeep         int64            what `upkeep.COUNTED` names
    J.rate, J.integral  (size,) float64   of homeostatic scaling
    clock            (1,) int64       steps in which the network has learned

What never changes is no state: weights of other synapses are scaled integers of the backend's own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from neuraxis.errors import suggestion
from neuraxis_snn.errors import EngineMisuse, StateNotFinite
from neuraxis_snn.network import power_above
from neuraxis_snn.rule_arrays import RuleArrays
from neuraxis_snn.spikes import NO_SPIKES, Spikes, cut, in_a_row
from neuraxis_snn.upkeep import CLIPS, COUNTED, bounded, pruned, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis_snn.network import Drive, Network, Population, Projection

NORMAL_BITS: Final = {"float32": 24, "float64": 40}
"""Bits of a weight that count when weights are summed to be normalised."""

LOOK_EVERY: Final = 1024
"""Steps after which states are looked at, whether they are finite numbers."""


class Engine(ABC):
    """A network that is ready to run.

    Attributes:
        network: What is computed.
        step: Steps computed so far.
        key: Key of the noise, two words of 32 bits.
        arrays: All state; backends may derive from it, but not add to it.
        scales: Factor from weights to integers, by (target, input).
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.step = 0
        self.key = (0, 0)
        self.scales: dict[tuple[str, str], float] = {}
        self.arrays: dict[str, np.ndarray] = {}
        for each in network.populations.values():
            self._lay_out_population(each)
        for projection in network.projections.values():
            self._lay_out_projection(projection)
            self._lay_out_short_term(projection)
        if any(each.rule is not None for each in network.projections.values()):
            self.arrays["clock"] = np.zeros(1, np.int64)
        self._outside = [each for each in network.populations.values() if each.model is None]
        self._windows = [(name, each.upkeep.steps) for name, each in network.projections.items() if each.upkeep]
        own = {f"{name}.{what}" for name, each in network.projections.items() for what in _own(each)}
        floats = [name for name, array in self.arrays.items() if array.dtype.kind == "f"]
        self._watched = [name for name in floats if name not in own]
        self._watched_synapses = [name for name in floats if name in own]

    def _lay_out_population(self, population: Population) -> None:
        name, size, model = population.name, population.size, population.model
        slots = self.network.slots(name)
        self.arrays[f"{name}.ring"] = np.zeros((slots, size), np.int32)
        self.arrays[f"{name}.count"] = np.zeros(slots, np.int32)
        if model is None:
            return
        for state, initial in model.states.items():
            value = population.numbers[initial] if isinstance(initial, str) else initial
            self.arrays[f"{name}.{state}"] = np.full(size, value, self.network.kind)
        if population.refractory:
            self.arrays[f"{name}.hold"] = np.zeros(size, np.int32)
        for each in model.inputs:
            self.scales[name, each] = self.network.scale(name, each)

    def _lay_out_projection(self, projection: Projection) -> None:
        name, kind = projection.name, self.network.kind
        if projection.rule is None or projection.program is None:
            return
        weights = self.arrays[f"{name}.weights"] = projection.weights.astype(kind)
        self.arrays[f"{name}.clips"] = np.zeros(len(projection.program.counted), np.int64)
        for trace in projection.program.synapse[1:]:
            first = projection.rule.synapse_traces.get(trace, 0.0)
            value = projection.numbers[first] if isinstance(first, str) else first
            self.arrays[f"{name}.{trace}"] = np.full(weights.shape, value, kind)
        if projection.program.evolve:
            self.arrays[f"{name}.seen"] = np.zeros(weights.shape, np.int64)
        for signal in projection.rule.signals:
            self.arrays[f"{name}.{signal}"] = np.zeros(1, kind)
        if projection.upkeep is not None:
            self.arrays[f"{name}.upkeep"] = np.zeros(len(COUNTED), np.int64)
        if projection.upkeep is not None and projection.upkeep.upkeep.scaling is not None:
            size = self.network.populations[projection.target].size
            self.arrays[f"{name}.rate"], self.arrays[f"{name}.integral"] = np.zeros(size), np.zeros(size)
        for trace in projection.rule.pre_traces:
            self.arrays[f"{name}.{trace}"] = np.zeros(self.network.populations[projection.source].size, kind)
        for trace in projection.rule.post_traces:
            self.arrays[f"{name}.{trace}"] = np.zeros(self.network.populations[projection.target].size, kind)

    def _lay_out_short_term(self, projection: Projection) -> None:
        if projection.short_term is None:
            return
        shape = len(projection.delays), self.network.populations[projection.source].size
        for state, first in projection.short_term.states.items():
            value = projection.short_numbers[first] if isinstance(first, str) else first
            self.arrays[f"{projection.name}.{state}"] = np.full(shape, value, self.network.kind)
        self.arrays[f"{projection.name}.last"] = np.zeros(shape, np.int64)

    def _clock(self, step: int, *, learning: bool) -> int:
        """Return in how many steps the network has learned, in a step of this call; with it, if it learns."""
        return int(self.arrays["clock"][0]) + (step - self.step + 1 if learning else 0)

    def fixed_weights(self, projection: Projection) -> np.ndarray:
        """Return the scaled integer weights of synapses that never change, in the order of the projection."""
        scaled: np.ndarray = np.rint(projection.weights * self.scales[projection.target, projection.input])
        return scaled.astype(self.network.sum_kind)

    def fixed_weight(self, drive: Drive) -> int:
        """Return the scaled integer weight of a drive."""
        return int(np.rint(drive.weight * self.scales[drive.target, drive.input]))

    # --------------------------------------------------------------------------------- running

    def advance(
        self, steps: int, inputs: Mapping[str, Spikes] | None = None, *, learning: bool = True
    ) -> dict[str, Spikes]:
        """Compute steps.

        Args:
            steps: How many.
            inputs: Spikes from outside by the name of the place where they come in, with steps counted from
                the first of this call.
            learning: Whether weights, traces and learning states of neurons change.

        Returns:
            Spikes of each recorded population, with steps counted from the first of this call.

        Raises:
            EngineMisuse: Spikes lie outside the steps or the population, or are not in order.
            StateNotFinite: A state or trace of a neuron became infinite or no number, which is found within
                `LOOK_EVERY` steps or at the end of the call. The steps were computed.
        """
        return advance_together([self], steps, [self.checked(steps, inputs)], self._run_one, learning=learning)[0]

    def _run_one(
        self, steps: int, inputs: Sequence[Mapping[str, Spikes]], *, learning: bool
    ) -> list[dict[str, Spikes]]:
        return [self._run(steps, inputs[0], learning=learning)]

    def checked(self, steps: int, inputs: Mapping[str, Spikes] | None) -> dict[str, Spikes]:
        """Return spikes from outside for every place where they come in. Raises `EngineMisuse` like `advance`."""
        given = dict(inputs or {})
        for name in given:
            if name not in self.network.populations or self.network.populations[name].model is not None:
                places = [each.name for each in self.network.populations.values() if each.model is None]
                self._misuse("inputs", f"no spikes come in at {name!r}", suggestion(name, places))
        return {each.name: self._checked(each, given.get(each.name, NO_SPIKES), steps) for each in self._outside}

    def steps_to_upkeep(self) -> int | None:
        """Return after how many steps of learning a window of upkeep ends; None if there is none."""
        if not self._windows:
            return None
        clock = int(self.arrays["clock"][0])
        return min(window - clock % window for _, window in self._windows)

    def count_steps(self, steps: int, *, learning: bool) -> None:
        """Note that steps were computed."""
        self.step += steps
        if learning and "clock" in self.arrays:
            self.arrays["clock"][0] += steps

    def look_after(self, steps: int, *, learning: bool) -> None:
        """After these steps, look whether states are finite, and do the upkeep that is due."""
        if self.step // LOOK_EVERY != (self.step - steps) // LOOK_EVERY:
            self.require_finite(of_synapses=False)
        if steps and learning:
            for name, window in self._windows:
                if int(self.arrays["clock"][0]) % window == 0:
                    self._keep_up(self.network.projections[name])

    def _keep_up(self, each: Projection) -> None:
        plan, name = each.upkeep, each.name
        assert plan is not None, "the caller chose those that have one"
        self._settle(each)
        self.require_finite(of_synapses=True)
        if plan.upkeep.scaling is not None:
            scaled(plan, each, self.arrays, self.network.kind)
        if plan.upkeep.total is not None:
            self._normalise(each, plan.upkeep.total)
        bounded(each, self.arrays)
        pruned(plan, each, self.arrays, self.network.populations[each.target].size)
        if plan.upkeep.change_max is not None:
            self.arrays[f"{name}.spent"][:] = 0

    def require_finite(self, *, of_synapses: bool = True) -> None:
        """Make sure that every state, trace and weight is a finite number.

        States and traces of neurons are looked at after every call to `advance` that completes another `LOOK_EVERY`
        steps, weights and traces of synapses at the end of every window of upkeep, and all whenever this is called.

        Args:
            of_synapses: Whether to look at weights and traces of synapses, too.

        Raises:
            StateNotFinite: One is not; the error names it.
        """
        with np.errstate(all="ignore"):
            for name in (*self._watched, *(self._watched_synapses if of_synapses else ())):
                values = self.arrays[name]
                if not math.isfinite(values.sum()) and not np.isfinite(values).all():  # any sum shows it, in any order
                    where = int(np.flatnonzero(~np.isfinite(values))[0])
                    raise StateNotFinite(subject=name, where=where, step=self.step)

    @abstractmethod
    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        """Compute steps from `self.step` on; `inputs` has checked spikes for every place where they come in."""

    def _checked(self, place: Population, spikes: Spikes, steps: int) -> Spikes:
        at, who = spikes.steps, spikes.neurons
        if len(at) == 0:
            return spikes
        if at[0] < 0 or at[-1] >= steps or who.min() < 0 or who.max() >= place.size:
            limits = f"Use steps 0 … {steps - 1} and lines 0 … {place.size - 1}."
            self._misuse(place.name, "a spike lies outside the steps or the lines", limits)
        order = at * np.int64(place.size) + who
        if np.count_nonzero(order[1:] <= order[:-1]):
            self._misuse(place.name, "spikes are not in order, or twice", "Use Spikes.of(pairs).")
        return spikes

    # ---------------------------------------------------------------------------------- access

    def read(self, population: str, state: str) -> np.ndarray:
        """Return a copy of a state: (size,).

        Raises:
            EngineMisuse: There is no such population or state.
        """
        return self._state(population, state).copy()

    def write(self, population: str, state: str, values: np.ndarray | float) -> None:
        """Set a state: one value for all neurons, or (size,).

        Raises:
            EngineMisuse: There is no such population or state, the shape differs, or a value is no finite number.
        """
        target, given = self._state(population, state), np.asarray(values)
        if given.dtype.kind not in "biuf":
            self._misuse(f"{population}.{state}", f"values are of the kind {given.dtype}", "Use numbers.")
        if given.shape not in ((), target.shape):
            self._misuse(f"{population}.{state}", f"values have the shape {given.shape}", f"Use {target.shape}.")
        with np.errstate(over="ignore"):
            narrow = given.astype(target.dtype)
        if not np.isfinite(narrow).all():
            reason = f"a value is not finite in {self.network.precision}"
            self._misuse(f"{population}.{state}", reason, "Use finite numbers within its range.")
        target[:] = narrow

    def weights(self, projection: str) -> np.ndarray:
        """Return a copy of the weights: (pre, post), or one a synapse in the order in which they were given.

        Raises:
            EngineMisuse: There is no such projection.
        """
        each = self._projection(projection)
        if each.rule is not None:
            stored = self._up_to_date(each)
        elif each.is_pulled:
            stored = each.weights.astype(self.network.kind)
        else:
            stored = self.fixed_weights(each) / self.scales[each.target, each.input]
        return self._as_given(each, stored)

    @staticmethod
    def _as_given(each: Projection, stored: np.ndarray) -> np.ndarray:
        """Return values of synapses in the order in which these were given."""
        if each.order is None:
            return stored.copy()
        values = np.empty_like(stored)
        values[each.order] = stored
        return values

    def counters(self) -> dict[str, int]:
        """Return how often something was held back, by what it was: `J.w_low` and `J.w_high` for a projection J.

        A weight counts each time when its rule would have left [w_min, w_max], or changed it by more than its upkeep
        allows (`w_capped`). `upkeep.COUNTED` lists what upkeep adds; `P.v_clips` counts for a state that is capped.
        Counters are state: they are captured and restored, and the same on every backend.
        """
        found = {}
        for name, each in self.network.populations.items():
            for state in each.model.states if each.model is not None else ():
                if state.endswith(CLIPS):
                    found[f"{name}.{state}"] = int(self.arrays[f"{name}.{state}"].sum(dtype=np.float64))
        for name, projection in self.network.projections.items():
            if projection.program is not None:
                counted = zip(projection.program.counted, self.arrays[f"{name}.clips"], strict=True)
                found |= {f"{name}.{what}": int(count) for what, count in counted}
            if projection.upkeep is not None:
                counted = zip(COUNTED, self.arrays[f"{name}.upkeep"], strict=True)
                found |= {f"{name}.{what}": int(count) for what, count in counted}
        return found

    def trace(self, projection: str, name: str) -> np.ndarray:
        """Return a copy of what a projection remembers, as of the end of the last step: a trace, signal or state.

        Returns:
            (pre,) or (post,) for traces of neurons; in the order of `weights` for those of synapses; (1,) for
            signals; (delays, pre) for states of short-term plasticity, as they were after the last spike.

        Raises:
            EngineMisuse: There is no such projection or trace.
        """
        each = self._projection(projection)
        own = {} if each.program is None else dict.fromkeys(each.program.synapse[1:])
        kept = () if each.short_term is None else each.short_term.states
        rule = each.rule
        others = () if rule is None else (*rule.pre_traces, *rule.post_traces, *rule.signals)
        if name not in (*own, *kept, *others):
            self._misuse(projection, f"it has no trace {name!r}", suggestion(name, (*own, *kept, *others)))
        if name in own:
            return self._as_given(each, self._up_to_date(each, name))
        return self.arrays[f"{projection}.{name}"].copy()

    def reward(self, projection: str, amount: float, *, signal: str = "") -> None:
        """Raise a signal of a projection, such as dopamine, before the next step.

        Args:
            projection: Its name; its rule has signals.
            amount: By how much.
            signal: Which one; the only one if there is one.

        Raises:
            EngineMisuse: There is no such projection or signal, or the amount is not finite.
        """
        each = self._projection(projection)
        signals = () if each.rule is None else tuple(each.rule.signals)
        name = signal or (signals[0] if len(signals) == 1 else "")
        if name not in signals:
            reason = f"it has no signal {name!r}" if name else f"it has {len(signals)} signals"
            self._misuse(
                projection, reason, f"Name one of {', '.join(signals)}." if signals else "Use rule=REWARD_STDP."
            )
        with np.errstate(over="ignore"):
            raised = self.arrays[f"{projection}.{name}"] + self.network.kind(amount)
        if not np.isfinite(raised).all():
            self._misuse(projection, f"a reward of {amount} leaves no finite {name}", "Use a finite, smaller amount.")
        self._rule_arrays(each).reward(name, amount, *self._ends(each), int(self.arrays["clock"][0]))

    def _rule_arrays(self, each: Projection) -> RuleArrays:
        return RuleArrays(each, self.arrays, self.network.kind)

    def _ends(self, each: Projection) -> tuple[np.ndarray, np.ndarray]:
        """Return the neurons that the synapses join, in a form that broadcasts to the shape of the weights."""
        if each.indptr is None or each.indices is None:
            return np.arange(each.weights.shape[0])[:, None], np.arange(each.weights.shape[1])[None, :]
        return np.repeat(np.arange(each.indptr.shape[1] - 1), np.diff(each.indptr[0])), each.indices

    def _up_to_date(self, each: Projection, name: str = "w") -> np.ndarray:
        """Return weights or a trace of synapses as of the end of the last step; nothing is changed."""
        stored = self.arrays[f"{each.name}.{'weights' if name == 'w' else name}"]
        if each.program is None or not each.program.evolve:
            return stored
        clock = int(self.arrays["clock"][0])
        found = self._rule_arrays(each).evolved(*self._ends(each), clock, counting=False)
        return np.asarray(found[name], stored.dtype)

    def normalise(self, projection: str, total: float) -> None:
        """Scale the weights onto each neuron so that they sum to `total`, then bring them back into their bounds.

        The sum is one of integers, so it does not depend on any order.

        Raises:
            EngineMisuse: There is no such projection, it does not learn, or the total is not finite.
        """
        each = self._projection(projection)
        if each.rule is None:
            self._misuse(projection, "its weights never change", "Normalise a projection that has a rule.")
        if not math.isfinite(total):
            self._misuse(projection, f"the sum would be {total}", "Use a finite number.")
        self._settle(each)
        self._normalise(each, total)
        weights = self.arrays[f"{projection}.weights"]
        np.minimum(np.maximum(weights, each.numbers["w_min"], out=weights), each.numbers["w_max"], out=weights)

    def _settle(self, each: Projection) -> None:
        if each.program is not None and each.program.evolve:
            self._rule_arrays(each).settle(*self._ends(each), int(self.arrays["clock"][0]))

    def _normalise(self, each: Projection, total: float) -> None:
        weights, kind = self.arrays[f"{each.name}.weights"], self.network.kind
        largest = max(abs(float(each.numbers[bound])) for bound in ("w_min", "w_max"))
        unit = 2.0 ** (NORMAL_BITS[self.network.precision] - power_above(largest))
        fixed = np.rint(weights * kind(unit)).astype(self.network.sum_kind)
        size = self.network.populations[each.target].size
        if each.indices is None:
            sums = fixed.sum(axis=0, dtype=np.int64)
        else:
            sums = np.zeros(size, np.int64)
            np.add.at(sums, each.indices, fixed)
        factor = np.ones(size, np.float64)
        np.divide(total * unit, sums, out=factor, where=sums > 0 if total >= 0 else sums < 0)
        narrow = factor.astype(kind)
        weights *= narrow if each.indices is None else narrow[each.indices]

    def capture(self) -> dict[str, Any]:
        """Return all state as a tree of plain values and arrays of its own."""
        return {"step": self.step, "key": list(self.key), "arrays": {k: v.copy() for k, v in self.arrays.items()}}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a state that `capture` returned, on this or another backend.

        Raises:
            EngineMisuse: It belongs to another network.
        """
        arrays, mine = captured["arrays"], self.arrays
        if {k: (v.shape, v.dtype) for k, v in arrays.items()} != {k: (v.shape, v.dtype) for k, v in mine.items()}:
            self._misuse("restore", "the state belongs to another network", "Restore the state of the same network.")
        self.step, self.key = int(captured["step"]), (int(captured["key"][0]), int(captured["key"][1]))
        for name, array in mine.items():
            array[:] = arrays[name]

    def _state(self, population: str, state: str) -> np.ndarray:
        known = self.network.populations.get(population)
        if known is None or known.model is None:
            self._misuse(
                "engine", f"it has no neurons {population!r}", suggestion(population, self.network.populations)
            )
        if state not in known.model.states:
            self._misuse(population, f"it has no state {state!r}", suggestion(state, known.model.states))
        return self.arrays[f"{population}.{state}"]

    def _projection(self, name: str) -> Projection:
        if name not in self.network.projections:
            self._misuse("engine", f"it has no projection {name!r}", suggestion(name, self.network.projections))
        return self.network.projections[name]

    def _misuse(self, subject: str, reason: str, remedy: str) -> NoReturn:
        raise EngineMisuse(subject=subject, reason=reason, remedy=remedy)


def _own(each: Projection) -> tuple[str, ...]:
    """Return the names of arrays with an entry for each synapse."""
    return ("weights", *each.program.synapse[1:]) if each.program is not None else ()


def advance_together(
    engines: Sequence[Engine],
    steps: int,
    inputs: Sequence[Mapping[str, Spikes]],
    run: Callable[..., list[dict[str, Spikes]]],
    *,
    learning: bool,
) -> list[dict[str, Spikes]]:
    """Compute steps of engines whose windows of upkeep end together, and do the upkeep.

    Args:
        engines: They.
        steps: How many.
        inputs: Checked spikes for each engine.
        run: Computes steps of all engines: called with steps, inputs and `learning`.
        learning: Whether they learn.

    Raises:
        StateNotFinite: Like `Engine.advance`.
    """
    begin, parts = 0, []  # of each span: where it begins, and the spikes of each engine
    while True:
        room = engines[0].steps_to_upkeep() if learning else None
        size = steps - begin if room is None else min(steps - begin, room)
        whole = size == steps
        given = inputs if whole else [{k: cut(v, begin, begin + size) for k, v in each.items()} for each in inputs]
        found = run(size, given, learning=learning)
        for engine in engines:
            engine.count_steps(size, learning=learning)
        for engine in engines:
            engine.look_after(size, learning=learning)
        if whole:
            return found
        parts.append((begin, found))
        begin += size
        if begin == steps:
            return [in_a_row([(begin, found[number]) for begin, found in parts]) for number in range(len(engines))]
