"""The whole network compiled into one function.

The function is written by `generate`, kept as a file in the user's cache folder, and compiled by Numba, which
keeps the machine code beside it: a network of a known structure starts in a fraction of a second.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.generate import Source
from neuraxis_snn.backends.kept import Kept
from neuraxis_snn.backends.plan import LANES, Plan
from neuraxis_snn.engine import Engine
from neuraxis_snn.network import network_of, synapses_by_target
from neuraxis_snn.spikes import Spikes, cut, in_a_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis_snn.network import Network, Population, Projection
    from neuraxis_snn.rule import Rule, RuleProgram

NAME: Final = "numba"

EVENTS_MIN: Final = 256
"""Events of a step that a new calendar has room for; it grows."""

STEPS_MAX: Final = 1 << 20
"""Steps of one call of compiled code: single precision counts so many without a gap."""


@final
class NumbaBackend:
    """Computes networks with code compiled by Numba."""

    name: str = NAME

    def __init__(self) -> None:
        """Make sure that Numba is installed.

        Raises:
            ExtraMissing: It is not.
        """
        if importlib.util.find_spec("numba") is None:
            raise ExtraMissing(library="numba", extra="snn", purpose="the backend 'numba'")

    def build(self, network: Any) -> NumbaEngine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return NumbaEngine(network_of(network, NAME))


@final
class NumbaEngine(Engine):
    """Calls the compiled function with all state as arguments.

    Sums of input of the near future are kept from call to call. They follow from the spikes of the last steps, so
    they are no state: `restore` makes them anew.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._plan = Plan(network, self.scales)
        source = Source(network, self._plan)
        self._kept = Kept(source.text)
        self._function: Callable[..., Any] = self._call_first
        self._recorded = [name for name, each in network.populations.items() if each.record]
        self._sums: dict[str, np.ndarray] = {}
        fixed: dict[str, Any] = {}
        for number, each in enumerate(network.populations.values()):
            fixed |= self._of_population(f"p{number}", each)
        for number, projection in enumerate(network.projections.values()):
            fixed |= self._of_projection(f"j{number}", projection)
        self._arguments = [fixed.get(name) for name in source.arguments]
        self._at = {name: index for index, name in enumerate(source.arguments)}
        names = {name: f"p{number}" for number, name in enumerate(network.populations)}
        self._names = names
        self._calendars = self._plan.calendars(names)
        self._has_clock = "clock" in self.arrays
        outside = [name for name, each in network.populations.items() if each.model is None]
        self._places_of_input = [(name, self._at[f"{names[name]}_in_steps"]) for name in outside]

    def _of_population(self, p: str, each: Population) -> dict[str, Any]:
        name, kind = each.name, self.network.kind
        found: dict[str, Any] = {
            f"{p}_{what}": self.arrays[f"{name}.{what}"]
            for what in ("ring", "count", "hold")
            if f"{name}.{what}" in self.arrays
        }
        if each.model is None:
            return found
        layout, at_once = self._plan.layouts[name], self._plan.at_once
        lanes = layout.blocks * LANES
        found |= {f"{p}_s_{state}": self.arrays[f"{name}.{state}"] for state in each.model.states}
        found[f"{p}_n"] = each.size
        found[f"{p}_numbers"] = np.array(list(each.numbers.values()), kind)
        found[f"{p}_refractory"], found[f"{p}_period"] = each.refractory, each.period
        found[f"{p}_unscale"] = np.array([1.0 / self.scales[name, one] for one in each.model.inputs], kind)
        found[f"{p}_f"] = np.zeros(lanes * len(layout.rows), kind)
        found[f"{p}_flags"] = np.zeros(LANES, np.uint8)
        found[f"{p}_words"] = found[f"{p}_flags"].view(np.uint64)
        found[f"{p}_list"], found[f"{p}_m"] = np.zeros((at_once, each.size), np.int32), np.zeros(at_once, np.int64)
        if each.model.inputs:
            self._sums[name] = np.zeros(layout.ahead * lanes * len(each.model.inputs), self.network.sum_kind)
            found[f"{p}_sums"] = self._sums[name]
        if layout.calendar:
            found[f"{p}_filled"] = np.zeros(layout.calendar, np.int64)
            found[f"{p}_due_places"] = np.empty((layout.calendar, EVENTS_MIN), np.int32)
            found[f"{p}_due_weights"] = np.empty((layout.calendar, EVENTS_MIN), self.network.sum_kind)
        drives = [drive for drive in self.network.drives.values() if drive.target == name]
        for index, drive in enumerate(drives):
            found[f"{p}_d{index}_limits"] = drive.limits
            found[f"{p}_d{index}_weight"] = self.network.sum_kind(self.fixed_weight(drive))
        return found

    def _of_projection(self, j: str, each: Projection) -> dict[str, Any]:
        if not each.is_pulled:
            rows = self._plan.rows[each.name]
            return {
                f"{j}_begins": rows.begins,
                f"{j}_places": rows.places,
                f"{j}_weights": rows.weights,
                f"{j}_delays": rows.delays,
            }
        kind = self.network.kind
        found: dict[str, Any] = {
            f"{j}_weights": each.weights.astype(kind).reshape(-1),
            f"{j}_high": self.network.populations[each.source].size,
            f"{j}_wide": self.network.populations[each.target].size,
            f"{j}_delays": np.array(each.delays, np.int64),
            f"{j}_indptr": each.indptr,
            f"{j}_indices": each.indices,
            f"{j}_scale": kind(self.scales[each.target, each.input]),
        }
        if each.short_term is not None:
            found[f"{j}_short"] = np.array(list(each.short_numbers.values()), kind)
            found |= {f"{j}_{name}": self.arrays[f"{each.name}.{name}"] for name in (*each.short_term.states, "last")}
        if each.rule is not None and each.program is not None:
            found |= self._of_rule(j, each, each.rule, each.program)
        return found

    def _of_rule(self, j: str, each: Projection, rule: Rule, program: RuleProgram) -> dict[str, Any]:
        kind, name = self.network.kind, each.name
        found: dict[str, Any] = {f"{j}_numbers": np.array(list(each.numbers.values()), kind)}
        own = (*program.synapse[1:], *(["seen"] if program.evolve else []))
        found |= {f"{j}_{what}": self.arrays[f"{name}.{what}"].reshape(-1) for what in ("weights", *own)}
        others = ("clips", *rule.pre_traces, *rule.post_traces, *rule.signals)
        found |= {f"{j}_{what}": self.arrays[f"{name}.{what}"] for what in others}
        if not each.is_dense:
            found[f"{j}_ends"], found[f"{j}_synapses"], found[f"{j}_sources"] = synapses_by_target(each, self.network)
        return found

    def _call_first(self, *values: Any) -> Any:
        found = self._kept.call_first(*values)
        self._function = self._kept.run
        return found

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state, and make what is due in the near future from the spikes of the last steps."""
        super().restore(captured)
        for name, sums in self._sums.items():
            sums[:] = 0
            if self._plan.layouts[name].calendar:
                self._argument(f"{self._names[name]}_filled")[:] = 0
        for each in self.network.projections.values():
            if not each.is_pulled:
                self._push_again(each)

    def _argument(self, name: str) -> np.ndarray:
        return np.asarray(self._arguments[self._at[name]])

    def _push_again(self, each: Projection) -> None:
        rows = self._plan.rows[each.name]
        ring, count = self.arrays[f"{each.source}.ring"], self.arrays[f"{each.source}.count"]
        for ago in range(1, min(max(each.delays), self.step) + 1):
            slot = (self.step - ago) % len(count)
            for neuron in ring[slot, : count[slot]]:
                row = slice(rows.begins[neuron], rows.begins[neuron + 1])
                places = rows.places[row].astype(np.int64)
                weights = np.broadcast_to(rows.weights if len(rows.weights) == 1 else rows.weights[row], places.shape)
                delays = np.broadcast_to(rows.delays if len(rows.delays) == 1 else rows.delays[row], places.shape)
                due = delays >= ago  # the others have arrived
                steps = self.step - ago + delays[due].astype(np.int64)
                self._push_once(each, steps, places[due], weights[due])

    def _push_once(self, each: Projection, steps: np.ndarray, places: np.ndarray, weights: np.ndarray) -> None:
        layout, sums = self._plan.layouts[each.target], self._sums[each.target]
        if len(each.delays) == 1:
            np.add.at(sums, steps % layout.ahead * (len(sums) // layout.ahead) + places, weights)
            return
        p = self._names[each.target]
        filled, due = self._argument(f"{p}_filled"), [f"{p}_due_places", f"{p}_due_weights"]
        room = int(filled.max()) + len(steps)
        for name in due:
            if self._argument(name).shape[1] < room:
                wider = np.empty((layout.calendar, 2 * room), self._argument(name).dtype)
                wider[:, : self._argument(name).shape[1]] = self._argument(name)
                self._arguments[self._at[name]] = wider
        for step, place, weight in zip((steps % layout.calendar).tolist(), places, weights, strict=True):
            self._argument(due[0])[step, filled[step]] = place
            self._argument(due[1])[step, filled[step]] = weight
            filled[step] += 1

    @np.errstate(all="ignore")  # where compilation is off: infinities are values here, and integers of 32 bits wrap
    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        if steps <= STEPS_MAX:
            return self._run_some(self.step, steps, inputs, learning=learning)
        parts = []
        for begin in range(0, steps, STEPS_MAX):
            end = min(steps, begin + STEPS_MAX)
            given = {name: cut(each, begin, end) for name, each in inputs.items()}
            parts.append((begin, self._run_some(self.step + begin, end - begin, given, learning=learning)))
        return in_a_row(parts)

    def _run_some(self, first: int, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        values, key = self._arguments, self.key
        clock = self._clock(first - 1, learning=learning) if self._has_clock else 0
        values[:7] = [first, steps, learning, np.uint64(key[0]), np.uint64(key[1]), self._plan.at_once, clock]
        for name, at in self._places_of_input:  # copies, as arrays that cannot be written are another type to Numba
            values[at] = np.array(inputs[name].steps, np.int32)
            values[at + 1] = np.array(inputs[name].neurons, np.int32)
        spiked = self._function(*values)
        for name, grown in zip(self._calendars, spiked[2 * len(self._recorded) :], strict=True):
            values[self._at[name]] = grown
        return {
            name: Spikes(spiked[2 * number].copy(), spiked[2 * number + 1].copy())
            for number, name in enumerate(self._recorded)
        }
