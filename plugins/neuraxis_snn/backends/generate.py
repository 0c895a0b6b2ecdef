"""Writes a whole network as one Python function, to be compiled.

The function's text depends on the structure of the network (models, rules, joints), not on sizes or parameters:
these are arguments. So a compiled function serves every network of that structure, and is kept on disk.

Names in the text: `p0`, `p1`, … are populations, `j0`, `j1`, … projections, in the order of the network.

Memory is laid out for the compiler. The states of a population lie in one flat array, in blocks of `LANES`
neurons: all first states of a block, then all second ones, and so on. Their distances are constants, so loops over
the lanes are vectorised without any check whether arrays overlap. Sums of synaptic input lie in such blocks
too, one set for each step of the near future: a spike is pushed at once to the steps in which it will arrive. Where
synapses have delays of their own, it is noted in a calendar of events, which is smaller and is read in order. Where
the shortest delay is several steps, a block of neurons is computed for all these steps while it is in the
processor's cache. None of this changes a bit: sums are integers, and neurons meet only through sums.

Synapses with plasticity, short or long, are read when the spike arrives, as what they deliver is known only then; such
networks go step by step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from neuraxis_snn import expressions, functions
from neuraxis_snn.backends.plan import LANES, PART
from neuraxis_snn.network import MAGIC
from neuraxis_snn.noise import DROPPED_BITS
from neuraxis_snn.rule import TRACE_FLOOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis_snn.backends.plan import Plan
    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Network, Population, Projection
    from neuraxis_snn.rule import RuleProgram

PRIMITIVES: Final = (Path(__file__).parent / "primitives.py").read_text(encoding="utf-8")
INLINE: Final = '@numba.njit(forceinline=True, nogil=True, error_model="numpy")'

HEAD: Final = """{primitives}

F = np.float{bits}
I = np.int{bits}
U = np.uint{bits}
MAGIC = F({magic!r})
FLOOR = F({floor!r})
{functions}


@numba.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
def run({arguments}):
{body}
"""


@final
class Source:
    """Collects the text of one function and the order of its arguments.

    Attributes:
        arguments: Names of the function's arguments, in order.
        text: The module.
    """

    def __init__(self, network: Network, plan: Plan) -> None:
        self.network = network
        self.plan = plan
        self.arguments = ["first", "steps", "learning", "key0", "key1", "at_once", "clock"]
        self._lines: list[str] = []
        self._depth = 1
        self._populations = {name: f"p{number}" for number, name in enumerate(network.populations)}
        self._projections = {name: f"j{number}" for number, name in enumerate(network.projections)}
        self._plastic = [each for each in network.projections.values() if each.rule is not None]
        self._pulled = [each for each in network.projections.values() if each.is_pulled]
        self._write_function()
        bits = network.precision.removeprefix("float")
        self.text = HEAD.format(
            primitives=PRIMITIVES,
            bits=bits,
            magic=MAGIC[network.precision],
            floor=TRACE_FLOOR,
            functions=functions.decorated(network.precision, INLINE, choice="select"),
            arguments=", ".join(self.arguments),
            body="\n".join(self._lines),
        )

    # ------------------------------------------------------------------------------- writing

    def line(self, text: str) -> None:
        self._lines.append("    " * self._depth + text)

    def block(self, text: str) -> _Indent:
        self.line(text)
        return _Indent(self)

    def deeper(self, by: int) -> None:
        self._depth += by

    def take(self, *names: str) -> None:
        self.arguments += names

    def assign(self, statements: Iterable[Statement], names: dict[str, str]) -> None:
        for each in statements:
            self.line(f"u_{each.target} = {self._code(each.value, names)}")

    def _code(self, node: Any, names: dict[str, str]) -> str:
        """Return code in which constants have their own names, and all other names begin with `u_`."""
        return expressions.code(node, "compiled", lambda name: names.get(name, f"u_{name}"))

    # ------------------------------------------------------------------------------ function

    def _write_function(self) -> None:
        populations, projections = self.network.populations.values(), self.network.projections.values()
        neurons = [each for each in populations if each.model is not None]
        self.line("u_learning = learning")
        for population in populations:
            self._head_of_population(population)
        for projection in projections:
            self._head_of_projection(projection)
        for population in neurons:
            self._load_states(population)
        self.line("begin = first")
        with self.block("while begin < first + steps:"):
            self.line("count = min(at_once, first + steps - begin)")
            if any(each.draws for each in neurons) or self.network.drives:
                with self.block("if count > 4:"):  # noise comes for four steps at once
                    self.line("count -= (begin + count) & 3")
            for population in populations:
                if population.model is None:
                    self._take_in(population)
            if self._plastic:
                self.line("now = clock + begin - first + 1 if learning else clock")
                with self.block("if learning:"):
                    for projection in self._plastic:
                        self._decay_traces(projection)
            for projection in self._pulled:
                self._pull(projection)
            for population in neurons:
                self._compute(population)
            for population in neurons:
                self._hand_over(population)
            if self._plastic:
                with self.block("if learning:"):
                    for projection in self._plastic:
                        self._learn_from_spikes(projection)
            self.line("begin += count")
        for population in neurons:
            self._store_states(population)
        recorded = [self._populations[each.name] for each in populations if each.record]
        found = [f"{p}_out_s[:{p}_out], {p}_out_n[:{p}_out], " for p in recorded]
        found += [f"{name}, " for name in self.plan.calendars(self._populations)]
        self.line(f"return ({''.join(found)})")

    def _head_of_population(self, population: Population) -> None:
        p, model = self._populations[population.name], population.model
        self.take(f"{p}_ring", f"{p}_count")
        self.line(f"{p}_slots = {p}_ring.shape[0]")
        if model is None:
            self.take(f"{p}_in_steps", f"{p}_in")
            self.line(f"{p}_taken = 0")
            return
        layout = self.plan.layouts[population.name]
        self.take(f"{p}_n", f"{p}_numbers", *(f"{p}_s_{state}" for state in model.states))
        self.take(f"{p}_f", f"{p}_flags", f"{p}_words", f"{p}_list", f"{p}_m")
        self.line(f"{p}_blocks = ({p}_n + {LANES - 1}) // {LANES}")
        for number, name in enumerate(population.numbers):
            self.line(f"{p}_c_{name} = {p}_numbers[{number}]")
        if population.refractory:
            self.take(f"{p}_hold", f"{p}_refractory")
            self.line(f"{p}_pause = F({p}_refractory)")
        if population.period:
            self.take(f"{p}_period")
        if model.inputs:
            self.take(f"{p}_unscale", f"{p}_sums")
            self.line(f"{p}_stride = {p}_blocks * {LANES * len(model.inputs)}")
            self.line(f"{p}_ahead = {p}_sums.shape[0] // {p}_stride")
        if layout.calendar:
            self.take(f"{p}_filled", f"{p}_due_places", f"{p}_due_weights")
            self.line(f"{p}_most = most({p}_filled)")
        for each in layout.plastic_inputs:
            self.line(f"{p}_now_{each} = np.zeros({p}_blocks * {LANES}, I)")
        for index, drive in enumerate(self._drives(population)):
            self.take(f"{p}_d{index}_limits", f"{p}_d{index}_weight")
            for number in range(len(drive.limits)):
                self.line(f"{p}_d{index}_{number} = {p}_d{index}_limits[{number}]")
        for noise in self._noises(population):
            self.line(f"{p}_{noise} = np.empty({4 * LANES} * ({p}_blocks if at_once < 4 else 1), np.uint32)")
        if population.record:
            self.line(f"{p}_out = 0")
            self.line(f"{p}_out_s = np.empty(256, np.int32)")
            self.line(f"{p}_out_n = np.empty(256, np.int32)")

    def _drives(self, population: Population) -> list[Any]:
        return [each for each in self.network.drives.values() if each.target == population.name]

    def _noises(self, population: Population) -> dict[str, tuple[int, int]]:
        """Return the words of noise that a population needs: name to (counter word, bits dropped)."""
        found = {"draws": (population.index, DROPPED_BITS)} if population.draws else {}
        return found | {f"d{number}_draws": (each.word, 0) for number, each in enumerate(self._drives(population))}

    def _head_of_projection(self, projection: Projection) -> None:
        j = self._projections[projection.name]
        if not projection.is_pulled:
            self.take(f"{j}_begins", f"{j}_places", f"{j}_weights", f"{j}_delays")
            return
        self.take(f"{j}_weights", f"{j}_delays", f"{j}_scale", f"{j}_high", f"{j}_wide")
        if not projection.is_dense:
            self.take(f"{j}_indptr", f"{j}_indices")
        self._head_of_short_term(projection, j)
        rule, program = projection.rule, projection.program
        if rule is None or program is None:
            return
        self.take(f"{j}_numbers", f"{j}_clips")
        if projection.is_dense:
            self.line(f"{j}_column = np.empty({LANES}, F)")
        else:
            self.take(f"{j}_ends", f"{j}_synapses", f"{j}_sources")
        self.take(*(f"{j}_{each}" for each in (*rule.pre_traces, *rule.post_traces, *rule.signals)))
        self.take(*(f"{j}_{each}" for each in (*program.synapse[1:], *(["seen"] if program.evolve else []))))
        for number, name in enumerate(projection.numbers):
            self.line(f"{j}_c_{name} = {j}_numbers[{number}]")

    def _head_of_short_term(self, projection: Projection, j: str) -> None:
        if projection.short_term is None:
            return
        self.take(f"{j}_short", f"{j}_last", *(f"{j}_{state}" for state in projection.short_term.states))
        for number, name in enumerate(projection.short_numbers):
            self.line(f"{j}_k_{name} = {j}_short[{number}]")

    # -------------------------------------------------------------------------------- states

    def _rows(self, population: Population) -> dict[str, int]:
        """Return the row of each state in a block; a refractory neuron's first free step is one more."""
        return self.plan.layouts[population.name].rows

    def _load_states(self, population: Population) -> None:
        p = self._populations[population.name]
        with self._blocks_of_states(population):
            for name, row in self._rows(population).items():
                value = f"F(get({p}_hold, start + i))" if name == "hold" else f"get({p}_s_{name}, start + i)"
                with self.block("for i in range(wide):"):
                    self.line(f"put({p}_f, base + {LANES * row} + i, {value})")

    def _store_states(self, population: Population) -> None:
        p, written = self._populations[population.name], self._written(population)
        with self._blocks_of_states(population):
            for name, row in self._rows(population).items():
                value = f"get({p}_f, base + {LANES * row} + i)"
                if name == "hold":
                    with self.block("for i in range(wide):"):
                        self.line(f"put({p}_hold, start + i, np.int32(max(np.int64({value}) - steps, 0)))")
                elif name in written:
                    with self.block("for i in range(wide):"):
                        self.line(f"put({p}_s_{name}, start + i, {value})")

    def _blocks_of_states(self, population: Population) -> _Indent:
        p = self._populations[population.name]
        indent = self.block(f"for b in range({p}_blocks):")
        for line in (
            f"start = b * {LANES}",
            f"base = start * {len(self._rows(population))}",
            f"wide = min({LANES}, {p}_n - start)",
        ):
            self._lines.append("    " * (self._depth + 1) + line)
        return indent

    def _written(self, population: Population) -> set[str]:
        assert population.program is not None, "only populations with a model have states"
        program, states = population.program, self._rows(population).keys()
        return {each.target for each in (*program.slowly, *program.update, *program.after)} & states

    # -------------------------------------------------------------------------------- inputs

    def _take_in(self, population: Population) -> None:
        """Put spikes from outside into the ring, and push those that go through synapses that never change."""
        p = self._populations[population.name]
        with self.block("for t in range(count):"):
            self.line(f"low = {p}_taken")
            self.line(f"high = taken_until(begin + t - first, {p}_in_steps, low)")
            self.line(f"{p}_taken = high")
            self.line(f"slot = (begin + t) % {p}_slots")
            with self.block(f"for q in range(high - low, {p}_count[slot]):"):
                self.line(f"{p}_ring[slot, q] = 0")
            with self.block("for q in range(high - low):"):
                self.line(f"{p}_ring[slot, q] = {p}_in[low + q]")
            self.line(f"{p}_count[slot] = high - low")
            self._push(population, f"{p}_in", "low", "high")

    def _push(self, population: Population, spikes: str, low: str, high: str) -> None:
        """Push spikes of step `begin + t` to the sums of all their targets."""
        for each in self.network.projections.values():
            if each.source != population.name or each.is_pulled:
                continue
            j, t = self._projections[each.name], self._populations[each.target]
            form = self.plan.forms[each.name]
            weight = f"I({j}_weights[0])" if form.one_weight else f"{j}_weights"
            function = f"push_{'same' if form.one_weight else 'each'}"
            which = f"{spikes}, {low}, {high}"
            with self.block(f"if {high} > {low}:"):
                if form.later:
                    self._make_room(j, t, which)
                    calendar = f"{t}_filled, {t}_due_places, {t}_due_weights"
                    given = f"{j}_begins, {j}_places, {j}_delays, {weight}, {which}, begin + t, {calendar}"
                    self.line(f"{function}_later({given})")
                else:
                    base = f"(begin + t + {j}_delays[0]) % {t}_ahead * {t}_stride"
                    self.line(f"{function}({j}_begins, {j}_places, {weight}, {which}, {t}_sums, {base})")

    def _make_room(self, j: str, t: str, which: str) -> None:
        """Make sure that the calendar takes all events of these spikes, were they due in one step."""
        self.line(f"events = count_events({j}_begins, {which})")
        with self.block(f"if {t}_most + events > {t}_due_places.shape[1]:"):
            self.line(f"{t}_most = most({t}_filled)")
            with self.block(f"if {t}_most + events > {t}_due_places.shape[1]:"):
                for each in ("places", "weights"):
                    self.line(f"{t}_due_{each} = grown({t}_due_{each}, 2 * ({t}_most + events))")
        self.line(f"{t}_most += events")

    # ------------------------------------------------------------------------------- neurons

    def _compute(self, population: Population) -> None:
        p, model, program = self._populations[population.name], population.model, population.program
        assert model is not None, "the caller checked it"
        assert program is not None, "a model is parsed with its population"
        rows, written = self._rows(population), self._written(population)
        names = {name: f"{p}_c_{name}" for name in population.numbers}
        with self.block("for t in range(count):"):
            self.line(f"{p}_m[t] = 0")
            if self.plan.layouts[population.name].calendar:
                self.line(f"near = (begin + t) % {p}_ahead * {p}_stride")
                self.line(f"arrive(begin + t, {p}_filled, {p}_due_places, {p}_due_weights, {p}_sums, near)")
        with self.block(f"for b in range({p}_blocks):"):
            self.line(f"base = b * {LANES * len(rows)}")
            self.line(f"parts = min({LANES // PART}, ({p}_n - b * {LANES} + {PART - 1}) // {PART})")
            with self.block("for t in range(count):"):
                self.line("step = begin + t")
                self.line("u_step = step")
                if population.period:
                    with self.block(f"if step % {p}_period == 0:"), self.block(f"for i in range(parts * {PART}):"):
                        self._load(p, rows, rows)
                        self.assign(program.slowly, names)
                        self._store(p, rows, {each.target for each in program.slowly} & written)
                self._draw(population, p)
                if model.inputs:
                    wide = LANES * len(model.inputs)
                    self.line(f"near = step % {p}_ahead * {p}_stride + b * {wide}")
                if population.refractory:
                    self.line("tick = F(step - first + 1)")
                with self.block(f"for i in range(parts * {PART}):"):
                    self._load(p, rows, rows)
                    self.line("u_active = u_hold <= tick" if population.refractory else "u_active = True")
                    for noise in self._noises(population):
                        self.line(f"u_{noise.removesuffix('s')} = get({p}_{noise}, drawn + i)")
                    for number, each in enumerate(model.inputs):
                        self._read_sum(population, p, number, each)
                    self.assign(program.update, names)
                    self.line(f"u_spiked = {self._code(program.threshold, names)}")
                    self.assign(program.after, names)
                    self.line(f"put({p}_flags, i, np.uint8(u_spiked))")
                    self._store(p, rows, written)
                self._gather(population, p)

    def _read_sum(self, population: Population, p: str, number: int, name: str) -> None:
        place = f"near + {LANES * number} + i"
        value = f"get({p}_sums, {place})"
        self.line(f"sum_{name} = {value}")
        self.line(f"put({p}_sums, {place}, I(0))")
        if name in self.plan.layouts[population.name].plastic_inputs:
            self.line(f"sum_{name} = I(sum_{name} + get({p}_now_{name}, b * {LANES} + i))")
            self.line(f"put({p}_now_{name}, b * {LANES} + i, I(0))")
        for index, drive in enumerate(self._drives(population)):
            if drive.input == name:
                self.line("count_of = I(0)")
                for limit in range(len(drive.limits)):
                    self.line(f"count_of = I(count_of + I(u_d{index}_draw >= {p}_d{index}_{limit}))")
                self.line(f"sum_{name} = I(sum_{name} + I(count_of * {p}_d{index}_weight))")
        self.line(f"u_{name} = F(sum_{name}) * {p}_unscale[{number}]")

    def _load(self, p: str, rows: dict[str, int], names: Iterable[str]) -> None:
        for name in names:
            self.line(f"u_{name} = get({p}_f, base + {LANES * rows[name]} + i)")

    def _store(self, p: str, rows: dict[str, int], names: set[str]) -> None:
        for name, row in rows.items():
            if name in names:
                self.line(f"put({p}_f, base + {LANES * row} + i, u_{name})")

    def _draw(self, population: Population, p: str) -> None:
        """Make the noise of four steps for a block; where steps go one by one, it is kept for all blocks."""
        noises = self._noises(population)
        if not noises:
            return
        self.line(f"room = b * {4 * LANES} if at_once < 4 else 0")
        with self.block("if t == 0 and (at_once >= 4 or step == first) or step & 3 == 0:"):
            for noise, (word, dropped) in noises.items():
                self.line(f"philox({p}_{noise}, room, b * {LANES}, parts, step >> 2, {word}, key0, key1, {dropped})")
        self.line(f"drawn = room + (step & 3) * {LANES}")

    def _gather(self, population: Population, p: str) -> None:
        """Look at eight flags at a time: few neurons spike in a step."""
        rows = self._rows(population)
        self.line(f"m = {p}_m[t]")
        with self.block(f"for q in range(parts * {PART // 8}):"), self.block(f"if get({p}_words, q):"):  # noqa: SIM117
            with self.block("for i in range(8 * q, 8 * q + 8):"):
                with self.block(f"if {p}_flags[i] and b * {LANES} + i < {p}_n:"):
                    self.line(f"{p}_list[t, m] = b * {LANES} + i")
                    self.line("m += 1")
                    if population.refractory:
                        self.line(f"put({p}_f, base + {LANES * rows['hold']} + i, tick + {p}_pause)")
        self.line(f"{p}_m[t] = m")

    def _hand_over(self, population: Population) -> None:
        """Write the spikes of these steps into the ring and the record, and push them on."""
        p = self._populations[population.name]
        with self.block("for t in range(count):"):
            self.line("step = begin + t")
            self.line(f"m = {p}_m[t]")
            self.line(f"slot = step % {p}_slots")
            with self.block(f"for q in range(m, {p}_count[slot]):"):
                self.line(f"{p}_ring[slot, q] = 0")
            with self.block("for q in range(m):"):
                self.line(f"{p}_ring[slot, q] = {p}_list[t, q]")
            self.line(f"{p}_count[slot] = m")
            if population.record:
                with self.block(f"if {p}_out + m > {p}_out_s.shape[0]:"):
                    for each in ("s", "n"):
                        self.line(f"{p}_out_{each} = longer({p}_out_{each}, 2 * ({p}_out + m))")
                with self.block("for q in range(m):"):
                    self.line(f"{p}_out_s[{p}_out + q] = step - first")
                    self.line(f"{p}_out_n[{p}_out + q] = {p}_list[t, q]")
                self.line(f"{p}_out += m")
            self._push(population, f"{p}_list[t]", "0", "m")

    # ---------------------------------------------------------------------- plastic synapses

    def _pull(self, each: Projection) -> None:
        """Deliver the spikes that arrive in this step, and learn from them."""
        j, p, t = self._projections[each.name], self._populations[each.source], self._populations[each.target]
        sums = f"{t}_now_{each.input}"
        with self.block(f"for bundle in range({j}_delays.shape[0]):"):
            self.line(f"slot = (begin - {j}_delays[bundle] + {p}_slots) % {p}_slots")
            with self.block(f"for q in range({p}_count[slot]):"):
                self.line(f"pre = {p}_ring[slot, q]")
                if each.short_term is not None:
                    self._gate(each, j)
                if each.rule is None:
                    self._arrive(each, j, sums, learning=False)
                else:
                    with self.block("if learning:"):
                        self._arrive(each, j, sums, learning=True)
                        self._bump(j, each.rule.pre_traces, each.program.bump_pre if each.program else (), each, "pre")
                    with self.block("else:"):
                        self._arrive(each, j, sums, learning=False)

    def _gate(self, each: Projection, j: str) -> None:
        """Compute the efficacy of a spike of `pre`."""
        assert each.short_term is not None, "the caller checked it"
        self.line(f"u_since = F(begin - {j}_last[bundle, pre])")
        for state in each.short_term.states:
            self.line(f"u_{state} = {j}_{state}[bundle, pre]")
        self.assign(each.short_program, {name: f"{j}_k_{name}" for name in each.short_numbers})
        for state in each.short_term.states:
            self.line(f"{j}_{state}[bundle, pre] = u_{state}")
        self.line(f"{j}_last[bundle, pre] = begin")

    def _arrive(self, each: Projection, j: str, sums: str, *, learning: bool) -> None:
        """Deliver a spike of `pre` to its targets `i` through synapses at `s`."""
        rule, program = each.rule, each.program
        looks = rule is not None and program is not None and (learning or bool(program.evolve))
        if rule is not None and looks:
            for trace in rule.pre_traces:
                self.line(f"u_{trace} = {j}_{trace}[pre]")
            for signal in rule.signals:
                self.line(f"u_{signal} = {j}_{signal}[0]")
        if program is not None and learning:
            self._begin_counting(program)
        if each.is_dense:
            self.line(f"row = pre * {j}_wide")
            head = f"for i in range({j}_wide):"
        else:
            head = f"for s in range({j}_indptr[bundle, pre], {j}_indptr[bundle, pre + 1]):"
        with self.block(head):
            self.line("s = row + i" if each.is_dense else f"i = np.int64(get({j}_indices, s))")
            self.line(f"u_w = get({j}_weights, s)")
            if rule is not None and program is not None and looks:
                for trace in rule.post_traces:
                    self.line(f"u_{trace} = get({j}_{trace}, i)")
                self._evolve(each, j, learning=learning)
            weight = "(u_w * u_efficacy)" if each.short_term is not None else "u_w"
            self.line(f"put({sums}, i, I(get({sums}, i) + I(({weight} * {j}_scale + MAGIC) - MAGIC)))")
            if program is not None and learning:
                self.assign(program.on_pre, self._names(each, j))
                self._keep(program, j)
        if program is not None and learning:
            self._end_counting(program, j)

    def _learn_from_spikes(self, each: Projection) -> None:
        j, t, rule, program = self._projections[each.name], self._populations[each.target], each.rule, each.program
        assert rule is not None, "the caller checked it"
        assert program is not None, "a rule is parsed with its projection"
        with self.block(f"for q in range({t}_m[0]):"):
            self.line(f"post = {t}_list[0, q]")
            for trace in rule.post_traces:
                self.line(f"u_{trace} = {j}_{trace}[post]")
            for signal in rule.signals:
                self.line(f"u_{signal} = {j}_{signal}[0]")
            self._begin_counting(program)
            if each.is_dense and program.synapse == ("w",) and not program.evolve:
                self._change_column(each, j)
            else:
                self._change_onto(each, j)
            self._end_counting(program, j)
            self._bump(j, rule.post_traces, program.bump_post, each, "post")

    def _change_column(self, each: Projection, j: str) -> None:
        """Change the weights onto `post`: fetched, changed where they lie side by side, and put back."""
        assert each.rule is not None, "the caller checked it"
        assert each.program is not None, "the caller checked it"
        with self.block(f"for begin_of in range(0, {j}_high, {LANES}):"):
            self.line(f"lanes = min({LANES}, {j}_high - begin_of)")
            self.line(f"corner = begin_of * {j}_wide + post")
            with self.block("for i in range(lanes):"):
                self.line(f"put({j}_column, i, get({j}_weights, corner + i * {j}_wide))")
            with self.block("for i in range(lanes):"):
                self.line(f"u_w = get({j}_column, i)")
                for trace in each.rule.pre_traces:
                    self.line(f"u_{trace} = get({j}_{trace}, begin_of + i)")
                self.assign(each.program.on_post, self._names(each, j))
                self.line(f"put({j}_column, i, u_w)")
                self._count(each.program)
            with self.block("for i in range(lanes):"):
                self.line(f"put({j}_weights, corner + i * {j}_wide, get({j}_column, i))")

    def _change_onto(self, each: Projection, j: str) -> None:
        """Change the synapses onto `post` one after the other."""
        assert each.rule is not None, "the caller checked it"
        assert each.program is not None, "the caller checked it"
        dense, sparse = f"for i in range({j}_high):", f"for at in range({j}_ends[post], {j}_ends[post + 1]):"
        with self.block(dense if each.is_dense else sparse):
            if each.is_dense:
                self.line(f"s = i * {j}_wide + post")
            else:
                self.line(f"i = np.int64(get({j}_sources, at))")
                self.line(f"s = get({j}_synapses, at)")
            self.line(f"u_w = get({j}_weights, s)")
            for trace in each.rule.pre_traces:
                self.line(f"u_{trace} = get({j}_{trace}, i)")
            self._evolve(each, j, learning=True)
            self.assign(each.program.on_post, self._names(each, j))
            self._keep(each.program, j)

    def _evolve(self, each: Projection, j: str, *, learning: bool) -> None:
        """Read what a synapse has of its own, and bring it up to date."""
        assert each.program is not None, "the caller checked it"
        for own in each.program.synapse[1:]:
            self.line(f"u_{own} = get({j}_{own}, s)")
        if each.program.evolve:
            self.line(f"u_since = F(now - get({j}_seen, s))")
            self.assign(each.program.evolve, self._names(each, j))
            if learning:
                self._count(each.program)

    def _keep(self, program: RuleProgram, j: str) -> None:
        """Store what became of a synapse."""
        self.line(f"put({j}_weights, s, u_w)")
        for own in program.synapse[1:]:
            self.line(f"put({j}_{own}, s, u_{own})")
        if program.evolve:
            self.line(f"put({j}_seen, s, now)")
        self._count(program)

    def _bump(
        self, j: str, traces: Iterable[str], statements: Iterable[Statement], each: Projection, neuron: str
    ) -> None:
        for trace in traces:
            self.line(f"u_{trace} = {j}_{trace}[{neuron}]")
        self.assign(statements, self._names(each, j))
        for trace in traces:
            self.line(f"{j}_{trace}[{neuron}] = u_{trace}")

    def _names(self, each: Projection, j: str) -> dict[str, str]:
        return {name: f"{j}_c_{name}" for name in each.numbers}

    def _begin_counting(self, program: RuleProgram) -> None:
        for each in program.counted:
            self.line(f"n_{each} = np.int32(0)")

    def _count(self, program: RuleProgram) -> None:
        for each in program.counted:
            self.line(f"n_{each} = np.int32(n_{each} + np.int32(u_{each}))")

    def _end_counting(self, program: RuleProgram, j: str) -> None:
        for number, each in enumerate(program.counted):
            self.line(f"{j}_clips[{number}] += n_{each}")

    def _decay_traces(self, each: Projection) -> None:
        j, rule, program = self._projections[each.name], each.rule, each.program
        assert rule is not None, "only plastic projections have traces"
        assert program is not None, "a rule is parsed with its projection"
        for traces, drift in ((rule.pre_traces, program.drift_pre), (rule.post_traces, program.drift_post)):
            if drift:
                with self.block(f"for i in range({j}_{next(iter(traces))}.shape[0]):"):
                    for trace, factor in traces.items():
                        self.line(f"u_{trace} = {j}_{trace}[i]{f' * {j}_c_{factor}' if factor else ''}")
                    self.assign(drift, self._names(each, j))
                    for trace in traces:
                        self.line(f"{j}_{trace}[i] = select(abs(u_{trace}) < FLOOR, F(0), u_{trace})")
        drifting = {*(rule.pre_traces if program.drift_pre else ()), *(rule.post_traces if program.drift_post else ())}
        for trace, factor in {**rule.pre_traces, **rule.post_traces, **rule.signals}.items():
            if trace not in drifting:
                with self.block(f"for i in range({j}_{trace}.shape[0]):"):
                    self.line(f"x = {j}_{trace}[i]{f' * {j}_c_{factor}' if factor else ''}")
                    self.line(f"{j}_{trace}[i] = select(abs(x) < FLOOR, F(0), x)")


@final
class _Indent:
    """Indents what is written inside a `with`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None:
        self._source.deeper(1)

    def __exit__(self, *_: object) -> None:
        self._source.deeper(-1)
