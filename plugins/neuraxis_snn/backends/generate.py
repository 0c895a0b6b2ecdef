"""Writes a whole network as one Python function, to be compiled.

The function's text depends on the forms of populations and synapses and on the plastic projections, not on sizes,
parameters, or how many populations and projections have one form: these are arguments. So a compiled function serves
every network of that structure, and is kept on disk. `plan` says how the arguments are laid out.

Names in the text: `g0`, `g1`, … are groups of populations, `x0`, `x1`, … forms of synapses, `p` the number of a
population, `k` its number in its group; `j0`, `j1`, … are projections with plasticity, short or long.

Memory is laid out for the compiler. The states of a group lie in one flat array, in blocks of `LANES` neurons: all
first states of a block, then all second ones, and so on. Their distances are constants, so loops over the lanes are
vectorised without any check whether arrays overlap. Sums of synaptic input lie in such blocks too, one set for each
step of the near future: a spike is pushed at once to the steps in which it will arrive. Where synapses have delays of
their own, it is noted in a calendar of events, which is smaller and is read in order. Where the shortest delay is
several steps, a block of neurons is computed for all these steps while it is in the processor's cache. None of this
changes a bit: sums are integers, and neurons meet only through sums.

Threads run the function side by side, each for its own blocks and the synapses onto them. They list their spikes, and
meet once for all steps that are computed at once; then each delivers the spikes of all. There are two sets of lists,
so a thread that goes on does not touch what another still reads.

The record of spikes has a fixed size. Where it may not take those of the next steps, the function returns early and is
called again: an array that grew inside would be counted as used and unused again in every step.

Synapses with plasticity, short or long, are read when the spike arrives, as what they deliver is known only then; such
networks go step by step, on one thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from neuraxis_snn import functions
from neuraxis_snn.backends.generate_pulled import Pulled
from neuraxis_snn.backends.plan import LANES, PART
from neuraxis_snn.backends.writer import Indent, Writer
from neuraxis_snn.network import MAGIC
from neuraxis_snn.noise import DROPPED_BITS
from neuraxis_snn.rule import TRACE_FLOOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis_snn.backends.plan import Form, Group, Plan
    from neuraxis_snn.network import Network, Projection

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

COMMON: Final = (
    *("first", "steps", "learning", "key0", "key1", "clock", "out", "part", "events", "at_once", "parts", "meeting"),
    *(
        "sizes",
        "slots",
        "ring_at",
        "count_at",
        "list_at",
        "recorded",
        "recorded_most",
        "cut",
        "list_size",
        "ring",
        "counts",
    ),
    *("spikes", "all_spikes", "own_size", "found", "found_size", "flags", "words"),
)
"""Arguments of every function: those of a call, of a thread, and of the network."""

VARYING: Final = 9
"""How many of them differ from call to call or from thread to thread."""


@final
class Source(Writer):
    """Writes one function.

    Attributes:
        text: The module.
    """

    def __init__(self, network: Network, plan: Plan, forms: Iterable[Form]) -> None:
        super().__init__(COMMON)
        self.network = network
        self.plan = plan
        self._forms = {f"x{number}": form for number, form in enumerate(forms)}
        self._groups = {f"g{number}": group for number, group in enumerate(plan.groups)}
        self._pulled = {
            f"j{number}": each for number, each in enumerate(network.projections.values()) if each.is_pulled
        }
        self._plastic = {j: each for j, each in self._pulled.items() if each.rule is not None}
        self._pull = Pulled(self, plan)
        self._write_function()
        bits = network.precision.removeprefix("float")
        self.text = HEAD.format(
            primitives=PRIMITIVES,
            bits=bits,
            magic=MAGIC[network.precision],
            floor=TRACE_FLOOR,
            functions=functions.decorated(network.precision, INLINE, choice="select"),
            arguments=", ".join(self.arguments),
            body=self.body(),
        )

    # ------------------------------------------------------------------------------ function

    def _write_function(self) -> None:
        self.line("u_learning = learning")
        self.line("populations = sizes.shape[0]")
        if self._pulled:  # known here, so loops over parts and steps vanish
            self.line("part, parts, at_once = 0, 1, 1")
        self.line("room_out, recorded_spikes = out.shape[0] // 3, 0")
        if self.plan.calendar:
            self.take("now", "now_size")
            self.line("filled, due_places, due_weights = events")
            self.line("most_due = most(filled)")
        for g, group in self._groups.items():
            self._head_of_group(g, group)
        for x in self._forms:
            columns = ("first", "row", "base", "stride", "ahead", "delay", "weight")
            self.take(*(f"{x}_{each}" for each in (*columns, "begins", "places", "weights", "delays")))
        if any(not form.later for form in self._forms.values()) or any(each.sums for each in self.plan.groups):
            self.take("sums")
        if self._pulled:
            self.take("pulled")
        for j, projection in self._pulled.items():
            self._head_of_projection(j, projection)
        for g, group in self._groups.items():
            self._load_states(g, group)
        for name, population in self.network.populations.items():
            if population.model is None:
                p = f"p{self.plan.numbers[name]}"
                self.take(f"{p}_in_steps", f"{p}_in")
                self.line(f"{p}_taken = 0")
        self.line("begin, half = first, 0")
        with self.block("while begin < first + steps and recorded_spikes + recorded_most <= room_out:"):
            self._write_window()
        for g, group in self._groups.items():
            self._store_states(g, group)
        events = "(filled, due_places, due_weights)" if self.plan.calendar else "events"
        self.line(f"return begin - first, recorded_spikes, {events}")

    def _write_window(self) -> None:
        """Write what is done for the steps that are computed at once."""
        self.line("count = 1" if self._pulled else "count = min(at_once, first + steps - begin)")
        if any(each.draws for each in self.network.populations.values()) or self.network.drives:
            with self.block("if count > 4:"):  # noise comes for four steps at once
                self.line("count -= (begin + count) & 3")
        for name, population in self.network.populations.items():
            if population.model is None:
                self._take_in(self.plan.numbers[name])
        if self._plastic:
            self.line("now_learned = clock + begin - first + 1 if learning else clock")
            with self.block("if learning:"):
                for j, projection in self._plastic.items():
                    self._pull.decay_traces(j, projection)
        for j, projection in self._pulled.items():
            self._pull.pull(j, projection)
        if self.plan.calendar:
            with self.block("for t in range(count):"):
                self.line("arrive(begin + t, filled, due_places, due_weights, now, t * now_size)")
        for g, group in self._groups.items():
            self._compute(g, group)
        if not self._pulled:
            with self.block("if parts > 1:"):
                self.line("meet(meeting, parts)")
        self._hand_over()
        if self._plastic:
            with self.block("if learning:"):
                for j, projection in self._plastic.items():
                    self._pull.learn_from_spikes(j, projection)
        self.line("begin += count")
        if not self._pulled:
            self.line("half = 1 - half")

    def _head_of_group(self, g: str, group: Group) -> None:
        population = group.populations[0]
        assert population.model is not None, "groups have models"
        self.take(f"{g}_of", f"{g}_first", f"{g}_at", f"{g}_numbers", f"{g}_f")
        self.take(*(f"{g}_s_{state}" for state in population.model.states))
        if population.refractory:
            self.take(f"{g}_hold", f"{g}_refractory")
        if population.period:
            self.take(f"{g}_period")
        if population.model.inputs:
            self.take(f"{g}_unscale")
        for kind, inputs in (("sum", group.sums), ("now", group.now), ("pulled", group.pulled)):
            if inputs:
                self.take(f"{g}_{kind}_at")
        if group.sums:
            self.take(f"{g}_ahead", f"{g}_stride")
        for index, _ in enumerate(group.drives):
            self.take(*(f"{g}_d{index}_{what}" for what in ("limits", "surely", "weight", "word")))
        if population.draws:
            self.take(f"{g}_word")
        self.take(*(f"{g}_{noise}" for noise in self._noises(group)))

    def _noises(self, group: Group) -> dict[str, tuple[str, int]]:
        """Return the words of noise that a group needs: name to (counter words of its populations, bits dropped)."""
        found = {"draws": ("word", DROPPED_BITS)} if group.populations[0].draws else {}
        return found | {f"d{index}_draws": (f"d{index}_word", 0) for index, _ in enumerate(group.drives)}

    def _head_of_projection(self, j: str, projection: Projection) -> None:
        self.take(f"{j}_weights", f"{j}_delays", f"{j}_scale", f"{j}_high", f"{j}_wide", f"{j}_pulled_at")
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

    def _load_states(self, g: str, group: Group) -> None:
        with self._blocks_of_states(g, group):
            for name, row in group.rows.items():
                value = f"F(get({g}_hold, start + i))" if name == "hold" else f"get({g}_s_{name}, start + i)"
                with self.block("for i in range(wide):"):
                    self.line(f"put({g}_f, base + {LANES * row} + i, {value})")

    def _store_states(self, g: str, group: Group) -> None:
        written = self._written(group)
        with self._blocks_of_states(g, group):
            for name, row in group.rows.items():
                value = f"get({g}_f, base + {LANES * row} + i)"
                if name == "hold":
                    with self.block("for i in range(wide):"):
                        self.line(f"put({g}_hold, start + i, np.int32(max(np.int64({value}) - (begin - first), 0)))")
                elif name in written:
                    with self.block("for i in range(wide):"):
                        self.line(f"put({g}_s_{name}, start + i, {value})")

    def _blocks_of_states(self, g: str, group: Group) -> Indent:
        self.line(f"for k in range({g}_of.shape[0]):")
        self.line(f"    p = {g}_of[k]")
        self.line("    for b in range(cut[part, p], cut[part + 1, p]):")
        self.line(f"        start = {g}_at[k] + b * {LANES}")
        self.line(f"        base = ({g}_first[k] + b) * {LANES * len(group.rows)}")
        self.line(f"        wide = min({LANES}, sizes[p] - b * {LANES})")
        return Indent(self, 2)

    def _written(self, group: Group) -> set[str]:
        program = group.populations[0].program
        assert program is not None, "groups have models"
        return {each.target for each in (*program.slowly, *program.update, *program.after)} & group.rows.keys()

    # -------------------------------------------------------------------------------- inputs

    def _take_in(self, number: int) -> None:
        """Put spikes from outside into the ring, and push those that go through synapses that never change."""
        p = f"p{number}"
        with self.block("for t in range(count):"):
            self.line(f"low = {p}_taken")
            self.line(f"high = taken_until(begin + t - first, {p}_in_steps, low)")
            self.line(f"{p}_taken = high")
            with self.block("if part == 0:"):
                self._write_ring(str(number), "begin + t", "high - low")
                with self.block("for q in range(high - low):"):
                    self.line(f"put(ring, place + q, get({p}_in, low + q))")
            self._push(str(number), "begin + t", f"{p}_in", f"{p}_in.shape[0]")

    def _write_ring(self, p: str, step: str, size: str) -> None:
        """Strike what the ring has of an old step, and find the `place` for the spikes of a new one."""
        self.line(f"slot = ({step}) % slots[{p}]")
        self.line(f"place = ring_at[{p}] + slot * sizes[{p}]")
        with self.block(f"for q in range({size}, counts[count_at[{p}] + slot]):"):
            self.line("put(ring, place + q, np.int32(0))")
        self.line(f"counts[count_at[{p}] + slot] = {size}")

    def _push(self, p: str, step: str, spikes: str, until: str) -> None:
        """Push the spikes `low … high - 1` of a list, all of a step, to the sums of all their targets.

        Args:
            p: Number of their population.
            step: Their step.
            spikes: The list.
            until: Where those end that the next steps will push.
        """
        which = f"{spikes}, low, high"
        self.line("spiked = high > low")
        for x, form in self._forms.items():
            weight = f"I({x}_weight[job])" if form.one_weight else f"{x}_weights"
            function = f"push_{'same' if form.one_weight else 'each'}"
            jobs = f"{x}_first[part * populations + {p}], {x}_first[part * populations + {p} + 1]"
            with self.block("if spiked:"), self.block(f"for job in range({jobs}):"):
                self.line(f"row = {x}_row[job]")
                if form.later:
                    self._make_room(x, which)
                    calendar = f"filled, due_places, due_weights, {x}_base[job]"
                    given = f"{x}_begins, row, {x}_places, {x}_delays, {weight}, {which}, {until}, {step}, {calendar}"
                    self.line(f"{function}_later({given})")
                else:
                    base = f"{x}_base[job] + ({step} + {x}_delay[job]) % {x}_ahead[job] * {x}_stride[job]"
                    self.line(f"{function}({x}_begins, row, {x}_places, {weight}, {which}, {until}, sums, {base})")

    def _make_room(self, x: str, which: str) -> None:
        """Make sure that the calendar takes all events of these spikes, were they due in one step."""
        self.line(f"coming = count_events({x}_begins, row, {which})")
        with self.block("if most_due + coming > due_places.shape[1]:"):
            self.line("most_due = most(filled)")
            with self.block("if most_due + coming > due_places.shape[1]:"):
                for each in ("places", "weights"):
                    self.line(f"due_{each} = grown(due_{each}, 2 * (most_due + coming))")
        self.line("most_due += coming")

    # ------------------------------------------------------------------------------- neurons

    def _compute(self, g: str, group: Group) -> None:
        population = group.populations[0]
        program = population.program
        assert program is not None, "groups have models"
        rows, written = group.rows, self._written(group)
        names = {name: f"{g}_c_{name}" for name in population.numbers}
        with self.block(f"for k in range({g}_of.shape[0]):"):
            self.line(f"p = {g}_of[k]")
            for number, name in enumerate(population.numbers):
                self.line(f"{g}_c_{name} = {g}_numbers[k, {number}]")
            if population.refractory:
                self.line(f"pause = F({g}_refractory[k])")
            with self.block("for t in range(count):"):
                self.line("found[(half * parts + part) * found_size + t * populations + p] = 0")
            with self.block("for b in range(cut[part, p], cut[part + 1, p]):"):
                self.line(f"base = ({g}_first[k] + b) * {LANES * len(rows)}")
                self.line(f"pieces = min({LANES // PART}, (sizes[p] - b * {LANES} + {PART - 1}) // {PART})")
                with self.block("for t in range(count):"):
                    self.line("step = begin + t")
                    self.line("u_step = step")
                    if population.period:
                        with (
                            self.block(f"if step % {g}_period[k] == 0:"),
                            self.block(f"for i in range(pieces * {PART}):"),
                        ):
                            self._load(g, rows)
                            self.assign(program.slowly, names)
                            self._store(g, rows, {each.target for each in program.slowly} & written)
                    self._draw(g, group)
                    self._find_sums(g, group)
                    if population.refractory:
                        self.line("tick = F(step - first + 1)")
                    with self.block(f"for i in range(pieces * {PART}):"):
                        self._load(g, rows)
                        self.line("u_active = u_hold <= tick" if population.refractory else "u_active = True")
                        for noise in self._noises(group):
                            self.line(f"u_{noise.removesuffix('s')} = get({g}_{noise}, drawn + i)")
                        self._read_sums(g, group)
                        self.assign(program.update, names)
                        self.line(f"u_spiked = {self.code(program.threshold, names)}")
                        self.assign(program.after, names)
                        self.line(f"put(flags, part * {2 * LANES} + i, np.uint8(u_spiked))")
                        self._store(g, rows, written)
                    self._gather(g, group)

    def _find_sums(self, g: str, group: Group) -> None:
        """Find where the sums of a block begin."""
        if group.sums:
            self.line(f"near = {g}_sum_at[k] + step % {g}_ahead[k] * {g}_stride[k] + b * {LANES * len(group.sums)}")
        if group.now:
            self.line(f"here = {g}_now_at[k] + t * now_size + b * {LANES * len(group.now)}")
        if group.pulled:
            self.line(f"read = {g}_pulled_at[k] + b * {LANES * len(group.pulled)}")

    def _read_sums(self, g: str, group: Group) -> None:
        model = group.populations[0].model
        assert model is not None, "groups have models"
        kept = (("sums", "near", group.sums), ("now", "here", group.now), ("pulled", "read", group.pulled))
        for number, name in enumerate(model.inputs):
            parts = []
            for array, place, inputs in kept:
                if name in inputs:
                    at = f"{array}, {place} + {LANES * inputs.index(name)} + i"
                    parts.append(f"get({at})")
                    self.line(f"{array}_{name} = {parts[-1]}")
                    self.line(f"put({at}, I(0))")
                    parts[-1] = f"{array}_{name}"
            for index, (input, limits) in enumerate(group.drives):
                if input == name:
                    d = f"{g}_d{index}"
                    self.line(f"count_of = {d}_surely[k]")
                    for limit in range(limits):
                        self.line(f"count_of = I(count_of + I(u_d{index}_draw > {d}_limits[k, {limit}]))")
                    self.line(f"drive_{index} = I(count_of * {d}_weight[k])")
                    parts.append(f"drive_{index}")
            total = parts[0] if parts else "I(0)"
            for part in parts[1:]:
                total = f"I({total} + {part})"
            self.line(f"u_{name} = F({total}) * {g}_unscale[k, {number}]")

    def _load(self, g: str, rows: dict[str, int]) -> None:
        for name, row in rows.items():
            self.line(f"u_{name} = get({g}_f, base + {LANES * row} + i)")

    def _store(self, g: str, rows: dict[str, int], names: set[str]) -> None:
        for name, row in rows.items():
            if name in names:
                self.line(f"put({g}_f, base + {LANES * row} + i, u_{name})")

    def _draw(self, g: str, group: Group) -> None:
        """Make the noise of four steps for a block; where steps go one by one, it is kept for all blocks."""
        noises = self._noises(group)
        if not noises:
            return
        self.line(f"room = {5 * LANES} * (({g}_first[k] + b) if at_once < 4 else part)")
        with self.block("if t == 0 and (at_once >= 4 or step == first) or step & 3 == 0:"):
            for noise, (word, dropped) in noises.items():
                given = f"room, b * {LANES}, pieces, step >> 2, {g}_{word}[k], key0, key1, {dropped}"
                self.line(f"philox({g}_{noise}, {given})")
        self.line(f"drawn = room + (step & 3) * {LANES}")

    def _gather(self, g: str, group: Group) -> None:
        """Look at eight flags at a time: few neurons spike in a step."""
        self.line("mark = (half * parts + part) * found_size + t * populations + p")
        self.line("m = found[mark]")
        self.line(f"listed = (half * at_once + t) * list_size + list_at[p] + cut[part, p] * {LANES}")
        with (
            self.block(f"for q in range(pieces * {PART // 8}):"),
            self.block(f"if get(words, part * {LANES // 4} + q):"),
            self.block("for i in range(8 * q, 8 * q + 8):"),
            self.block(f"if get(flags, part * {2 * LANES} + i) and b * {LANES} + i < sizes[p]:"),
        ):
            self.line(f"put(spikes, listed + m, np.int32(b * {LANES} + i))")
            self.line("m += 1")
            if group.populations[0].refractory:
                self.line(f"put({g}_f, base + {LANES * group.rows['hold']} + i, tick + pause)")
        self.line("found[mark] = m")

    def _hand_over(self) -> None:
        """Write the spikes of these steps into the ring and the record, and push them on.

        A thread lists them once more, those of all parts and steps behind one another: so the synapses of the next
        spike can always be fetched ahead.
        """
        self.line("own = part * own_size")
        with self.block("for p in range(populations):"):
            with self.block("if list_at[p] < 0:"):
                self.line("continue")
            self.line("high = own")
            with self.block("for t in range(count):"):
                self.line("listed = (half * at_once + t) * list_size + list_at[p]")
                self.line("mark = half * parts * found_size + t * populations + p")
                with self.block("for q in range(parts):"):
                    self.line(f"low = listed + cut[q, p] * {LANES}")
                    with self.block("for i in range(found[mark + q * found_size]):"):
                        self.line("put(all_spikes, high, get(spikes, low + i))")
                        self.line("high += 1")
            self.line("until, high = high, own")
            with self.block("for t in range(count):"):
                self.line("step = begin + t")
                self.line("mark = half * parts * found_size + t * populations + p")
                self.line("m = 0")
                with self.block("for q in range(parts):"):
                    self.line("m += found[mark + q * found_size]")
                self.line("low, high = high, high + m")
                with self.block("if part == 0:"):
                    self._record()
                with self.block("if recorded[p]:"):
                    self.line("recorded_spikes += m")
                self._push("p", "step", "all_spikes", "until")

    def _record(self) -> None:
        self._write_ring("p", "step", "m")
        with self.block("for q in range(m):"):
            self.line("put(ring, place + q, get(all_spikes, low + q))")
        with self.block("if recorded[p]:"), self.block("for q in range(m):"):
            self.line("put(out, recorded_spikes + q, np.int32(step - first))")
            self.line("put(out, room_out + recorded_spikes + q, get(all_spikes, low + q))")
            self.line("put(out, 2 * room_out + recorded_spikes + q, np.int32(p))")
