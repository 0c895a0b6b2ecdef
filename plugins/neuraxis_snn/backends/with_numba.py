"""The whole network compiled into one function.

The function is written by `generate`, kept as a file in the user's cache folder, and compiled by Numba, which
keeps the machine code beside it: a network of a known structure starts in a fraction of a second.
"""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.generate import VARYING, Source
from neuraxis_snn.backends.kept import Kept, called
from neuraxis_snn.backends.plan import LANES, Plan, begins, drives_of
from neuraxis_snn.connect.with_numba import compiles
from neuraxis_snn.engine import Engine
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.network import network_of
from neuraxis_snn.spikes import Spikes, cut, in_a_row
from neuraxis_snn.synapses import by_target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis_snn.backends.plan import Form, Group, Jobs
    from neuraxis_snn.network import Drive, Network, Projection
    from neuraxis_snn.rule import Rule, RuleProgram

NAME: Final = "numba"

THREADS_VARIABLE: Final = "NEURAXIS_THREADS"

THREADS_MAX: Final = 256

EVENTS_MIN: Final = 256
"""Events of a step that a new calendar has room for; it grows."""

SPIKES_MIN: Final = 256
"""Spikes that a new record has room for; it grows."""

APART: Final = 16
"""Numbers of 8 bytes between what two threads write often: else they would wait for each other's lines of memory."""

STEPS_MAX: Final = 1 << 20
"""Steps of one call of compiled code: single precision counts so many without a gap."""


@final
class NumbaBackend:
    """Computes networks with code compiled by Numba."""

    name: str = NAME

    def __init__(self, threads: int | None = None) -> None:
        """Make sure that Numba is installed.

        Args:
            threads: How many compute a network whose synapses never change; the bits are the same. By default as
                many as `NEURAXIS_THREADS` says, or one.

        Raises:
            ExtraMissing: It is not.
            NetworkInvalid: That is no number of threads.
        """
        self._threads = _threads() if threads is None else threads
        if importlib.util.find_spec("numba") is None:
            raise ExtraMissing(library="numba", extra="snn", purpose="the backend 'numba'")

    def build(self, network: Any) -> NumbaEngine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return NumbaEngine(network_of(network, NAME), self._threads)


@final
class NumbaEngine(Engine):
    """Calls the compiled function with all state as arguments.

    Sums of input of the near future are kept from call to call. They follow from the spikes of the last steps, so
    they are no state: `restore` makes them anew.
    """

    def __init__(self, network: Network, threads: int = 1) -> None:
        super().__init__(network)
        plan = self._plan = Plan(network, threads)
        self._lay_behind_one_another()
        self._jobs = plan.jobs(self.scales)
        source = Source(network, plan, self._jobs)
        self._kept = Kept(source.text)
        self._function: Callable[..., Any] | None = None
        self._compiles = compiles()
        self._recorded = {name: plan.numbers[name] for name, each in network.populations.items() if each.record}
        self._threads = ThreadPoolExecutor(plan.parts - 1) if plan.parts > 1 else None
        fixed = self._of_network()
        for number, group in enumerate(plan.groups):
            fixed |= self._of_group(f"g{number}", group)
        for number, jobs in enumerate(self._jobs.values()):
            fixed |= {f"x{number}_{name}": getattr(jobs, name) for name in jobs.__struct_fields__}
        for number, projection in enumerate(network.projections.values()):
            if projection.is_pulled:
                fixed |= self._of_projection(f"j{number}", projection)
        self._arguments = [fixed.get(name) for name in source.arguments]
        self._at = {name: index for index, name in enumerate(source.arguments)}
        self._out = np.empty(3 * max(SPIKES_MIN, 2 * fixed["recorded_most"]), np.int32)
        self._events: list[Any] = [self._calendar() if plan.calendar else 0 for _ in range(plan.parts)]
        self._has_clock = "clock" in self.arrays
        outside = [name for name, each in network.populations.items() if each.model is None]
        self._places_of_input = [(name, self._at[f"p{plan.numbers[name]}_in_steps"]) for name in outside]

    # --------------------------------------------------------------------------------- memory

    def _lay_behind_one_another(self) -> None:
        """Give states of a group, and rings of all populations, one array each; the engine's become views of them."""
        everything = list(self.network.populations.values())
        self._rings = self._as_one([f"{each.name}.ring" for each in everything])
        self._counts = self._as_one([f"{each.name}.count" for each in everything])
        self._states: dict[tuple[str, str], np.ndarray] = {}
        for group in self._plan.groups:
            first = group.populations[0]
            for name in group.rows:
                self._states[first.name, name] = self._as_one([f"{each.name}.{name}" for each in group.populations])

    def _as_one(self, names: list[str]) -> np.ndarray:
        found = [self.arrays[name] for name in names]
        one = np.concatenate([each.reshape(-1) for each in found])
        begin = 0
        for name, each in zip(names, found, strict=True):
            self.arrays[name] = one[begin : begin + each.size].reshape(each.shape)
            begin += each.size
        return one

    def _of_network(self) -> dict[str, Any]:
        plan, populations = self._plan, list(self.network.populations.values())
        counts = np.array([len(self.arrays[f"{each.name}.count"]) for each in populations], np.int64)
        sizes = np.array([each.size for each in populations], np.int64)
        found_size = plan.at_once * len(populations) + APART
        own_size = plan.at_once * max(each.size if each.model else 0 for each in populations) + 2 * APART
        flags = np.zeros(plan.parts * 2 * LANES, np.uint8)
        self._sums = np.zeros(plan.sum_size, self.network.sum_kind)
        return {
            "at_once": plan.at_once,
            "parts": plan.parts,
            "meeting": np.zeros(16, np.int64),
            "sizes": sizes,
            "slots": counts,
            "ring_at": begins(sizes * counts)[:-1],
            "count_at": begins(counts)[:-1],
            "list_at": plan.list_at,
            "recorded": np.array([each.record for each in populations]),
            "recorded_most": plan.at_once * sum(each.size for each in populations if each.record and each.model),
            "cut": plan.cut,
            "list_size": plan.list_size,
            "ring": self._rings,
            "counts": self._counts,
            "spikes": np.zeros(2 * plan.at_once * plan.list_size, np.int32),
            "all_spikes": np.zeros(plan.parts * own_size, np.int32),
            "own_size": own_size,
            "found": np.zeros(2 * plan.parts * found_size, np.int64),
            "found_size": found_size,
            "flags": flags,
            "words": flags.view(np.uint64),
            "sums": self._sums,
            "now": np.zeros(plan.at_once * plan.now_size, self.network.sum_kind),
            "now_size": plan.now_size,
            "pulled": np.zeros(plan.pulled_size, self.network.sum_kind),
        }

    def _of_group(self, g: str, group: Group) -> dict[str, Any]:
        plan, kind, populations = self._plan, self.network.kind, group.populations
        model = populations[0].model
        assert model is not None, "groups have models"
        numbers = [plan.numbers[each.name] for each in populations]
        blocks = plan.blocks[numbers]
        found: dict[str, Any] = {
            f"{g}_of": np.array(numbers, np.int64),
            f"{g}_first": begins(blocks)[:-1],
            f"{g}_at": begins([each.size for each in populations])[:-1],
            f"{g}_numbers": np.array([list(each.numbers.values()) for each in populations], kind),
            f"{g}_f": np.zeros(int(blocks.sum()) * LANES * len(group.rows), kind),
            f"{g}_refractory": np.array([each.refractory for each in populations], np.int64),
            f"{g}_period": np.array([each.period for each in populations], np.int64),
            f"{g}_unscale": np.array(
                [[1.0 / self.scales[each.name, one] for one in model.inputs] for each in populations], kind
            ),
            f"{g}_sum_at": plan.sum_at[numbers],
            f"{g}_now_at": plan.now_at[numbers],
            f"{g}_pulled_at": plan.pulled_at[numbers],
            f"{g}_ahead": plan.ahead[numbers],
            f"{g}_stride": plan.stride[numbers],
            f"{g}_word": np.array([each.index for each in populations], np.int64),
        }
        for name in group.rows:
            found[f"{g}_hold" if name == "hold" else f"{g}_s_{name}"] = self._states[populations[0].name, name]
        room = int(blocks.sum()) if plan.at_once < 4 else plan.parts
        for noise in ("draws", *(f"d{index}_draws" for index in range(len(group.drives)))):
            found[f"{g}_{noise}"] = np.empty(5 * LANES * room, np.uint32)
        for index, (_, most) in enumerate(group.drives):
            found |= self._of_drive(
                f"{g}_d{index}", most, [drives_of(self.network, each)[index] for each in populations]
            )
        return found

    def _of_drive(self, d: str, most: int, drives: list[Drive]) -> dict[str, Any]:
        """Return limits one lower, as all-ones can then be a limit that no word lies above; 0 itself always counts."""
        limits = np.full((len(drives), most), np.uint32(2**32 - 1))
        for row, each in zip(limits, drives, strict=True):
            above = each.limits[each.limits > 0] - np.uint32(1)
            row[: len(above)] = above
        kind = self.network.sum_kind
        return {
            f"{d}_limits": limits,
            f"{d}_surely": np.array([(each.limits == 0).sum() for each in drives], kind),
            f"{d}_weight": np.array([self.fixed_weight(each) for each in drives], kind),
            f"{d}_word": np.array([each.word for each in drives], np.int64),
        }

    def _calendar(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = (self._plan.calendar, EVENTS_MIN)
        return np.zeros(size[0], np.int64), np.empty(size, np.int32), np.empty(size, self.network.sum_kind)

    def _of_projection(self, j: str, each: Projection) -> dict[str, Any]:
        kind, plan = self.network.kind, self._plan
        kinds = plan.group_of[each.target].pulled
        found: dict[str, Any] = {
            f"{j}_weights": each.weights.astype(kind).reshape(-1),
            f"{j}_high": self.network.populations[each.source].size,
            f"{j}_wide": self.network.populations[each.target].size,
            f"{j}_delays": np.array(each.delays, np.int64),
            f"{j}_indptr": each.indptr,
            f"{j}_indices": each.indices,
            f"{j}_scale": kind(self.scales[each.target, each.input]),
            f"{j}_pulled_at": int(plan.pulled_at[plan.numbers[each.target]]) + LANES * kinds.index(each.input),
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
            size = self.network.populations[each.target].size
            found[f"{j}_ends"], found[f"{j}_synapses"], found[f"{j}_sources"] = by_target(each.synapses, size)
        return found

    # --------------------------------------------------------------------------------- access

    def degrees(self, population: str) -> np.ndarray:
        """Return how many synapses that never change begin at each neuron: (size,) int64."""
        found = np.zeros(self.network.populations[population].size, np.int64)
        source, count = self._plan.numbers[population], len(self._plan.numbers)
        for jobs in self._jobs.values():
            for at in range(source, len(jobs.first) - 1, count):
                for job in range(jobs.first[at], jobs.first[at + 1]):
                    found += np.diff(jobs.begins[jobs.row[job] : jobs.row[job] + len(found) + 1])
        return found

    @property
    def synapse_bytes(self) -> int:
        """Memory of all synapses, with what is kept for each neuron that they begin or end at."""
        of_synapses = [name for name in self._at if name[0] in "xj" and name[1].isdecimal()]
        found = (self._arguments[self._at[name]] for name in of_synapses)
        return sum(each.nbytes for each in found if isinstance(each, np.ndarray))

    @property
    def threads(self) -> int:
        """How many threads compute: one where synapses have plasticity, short or long."""
        return self._plan.parts

    # -------------------------------------------------------------------------------- restore

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state, and make what is due in the near future from the spikes of the last steps."""
        super().restore(captured)
        self._sums[:] = 0
        for filled, *_ in self._events if self._plan.calendar else ():
            filled[:] = 0
        for form, jobs in self._jobs.items():
            for part in range(self._plan.parts):
                for name, source in self._plan.numbers.items():
                    at = part * len(self._plan.numbers) + source
                    for job in range(jobs.first[at], jobs.first[at + 1]):
                        self._push_again(form, jobs, job, name, part)

    def _push_again(self, form: Form, jobs: Jobs, job: int, name: str, part: int) -> None:
        ring, count = self.arrays[f"{name}.ring"], self.arrays[f"{name}.count"]
        for ago in range(1, min(len(count) - 1, self.step) + 1):
            slot = (self.step - ago) % len(count)
            for neuron in ring[slot, : count[slot]]:
                row = slice(*jobs.begins[jobs.row[job] + neuron : jobs.row[job] + neuron + 2])
                places = jobs.places[row] + jobs.base[job]
                weights = np.full(len(places), jobs.weight[job]) if form.one_weight else jobs.weights[row]
                delays = jobs.delays[row].astype(np.int64) if form.later else np.full(len(places), jobs.delay[job])
                due = delays >= ago  # the others have arrived
                steps = self.step - ago + delays[due]
                if form.later:
                    self._note(part, steps, places[due], weights[due])
                else:
                    at = places[due] + steps % jobs.ahead[job] * jobs.stride[job]
                    np.add.at(self._sums, at, weights[due].astype(self._sums.dtype))

    def _note(self, part: int, steps: np.ndarray, places: np.ndarray, weights: np.ndarray) -> None:
        """Note events in the calendar of a part."""
        filled, *due = self._events[part]
        room = int(filled.max()) + len(steps)
        if due[0].shape[1] < room:
            wider = [np.empty((len(filled), 2 * room), each.dtype) for each in due]
            for new, old in zip(wider, due, strict=True):
                new[:, : old.shape[1]] = old
            due = wider
            self._events[part] = (filled, *due)
        for step, place, weight in zip((steps % len(filled)).tolist(), places, weights, strict=True):
            due[0][step, filled[step]], due[1][step, filled[step]] = place, weight
            filled[step] += 1

    # -------------------------------------------------------------------------------- running

    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        begin, parts = 0, []
        while True:
            given = {name: cut(each, begin, steps) for name, each in inputs.items()} if begin else inputs
            done, found = self._run_some(self.step + begin, steps - begin, given, learning=learning)
            if done == steps:
                return found
            parts.append((begin, found))
            begin += done
            if begin == steps:
                return in_a_row(parts)

    def _run_some(
        self, first: int, steps: int, inputs: Mapping[str, Spikes], *, learning: bool
    ) -> tuple[int, dict[str, Spikes]]:
        """Compute some of these steps: as many as there is surely room for their spikes. Returns how many."""
        values, key = self._arguments, self.key
        for name, at in self._places_of_input:  # copies, as arrays that cannot be written are another type to Numba
            values[at] = np.array(inputs[name].steps, np.int32)
            values[at + 1] = np.array(inputs[name].neurons, np.int32)
        clock = self._clock(first - 1, learning=learning) if self._has_clock else 0
        of_call = (first, min(steps, STEPS_MAX), learning, np.uint64(key[0]), np.uint64(key[1]), clock, self._out)
        of_parts = [(*of_call, part, events, *values[VARYING:]) for part, events in enumerate(self._events)]
        if self._function is None:  # before threads wait for each other
            self._function = self._kept.ready(*of_parts[0])
        call = called if self._compiles else _quietly
        others = [self._threads.submit(call, self._function, each) for each in of_parts[1:]] if self._threads else []
        done, count, self._events[0] = call(self._function, of_parts[0])
        for part, other in enumerate(others, 1):
            self._events[part] = other.result()[2]
        room = len(self._out) // 3
        at_steps, neurons, whose = (self._out[begin : begin + count] for begin in (0, room, 2 * room))
        if len(self._recorded) == 1:
            spikes = {name: Spikes(at_steps.copy(), neurons.copy()) for name in self._recorded}
        else:
            here = {name: np.flatnonzero(whose == number) for name, number in self._recorded.items()}
            spikes = {name: Spikes(at_steps[mine], neurons[mine]) for name, mine in here.items()}
        if done < min(steps, STEPS_MAX):
            self._out = np.empty(2 * len(self._out), np.int32)
        return done, spikes


@np.errstate(all="ignore")
def _quietly(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Call code that is not compiled: infinities are values there too, and integers of 32 bits wrap."""
    return function(*arguments)


def _threads() -> int:
    """Return the number of threads that the environment asks for."""
    text = os.environ.get(THREADS_VARIABLE, "") or "1"
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= THREADS_MAX:
        remedy = f"Use a whole number from 1 to {THREADS_MAX}."
        raise NetworkInvalid(subject=THREADS_VARIABLE, reason=f"it is {text!r}", remedy=remedy)
    return int(text)
