"""Writes what synapses do whose delivery is known only when a spike arrives: plasticity, short and long.

It belongs to the function that `generate` writes, and uses its names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from neuraxis_snn.backends.plan import LANES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis_snn.backends.plan import Plan
    from neuraxis_snn.backends.writer import Writer
    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Projection
    from neuraxis_snn.rule import RuleProgram


@final
class Pulled:
    """Writes the parts of one function that concern such synapses."""

    def __init__(self, writer: Writer, plan: Plan) -> None:
        self._line, self._block, self._assign = writer.line, writer.block, writer.assign
        self._plan = plan

    def pull(self, j: str, each: Projection) -> None:
        """Deliver the spikes that arrive in this step, and learn from them."""
        p = self._plan.numbers[each.source]
        with self._block(f"for bundle in range({j}_delays.shape[0]):"):
            self._line(f"slot = (begin - {j}_delays[bundle] + slots[{p}]) % slots[{p}]")
            self._line(f"place = ring_at[{p}] + slot * sizes[{p}]")
            with self._block(f"for q in range(counts[count_at[{p}] + slot]):"):
                self._line("pre = np.int64(get(ring, place + q))")
                if each.short_term is not None:
                    self._gate(each, j)
                if each.rule is None:
                    self._arrive(each, j, learning=False)
                else:
                    with self._block("if learning:"):
                        self._arrive(each, j, learning=True)
                        self._bump(j, each.rule.pre_traces, each.program.bump_pre if each.program else (), each, "pre")
                    with self._block("else:"):
                        self._arrive(each, j, learning=False)

    def _gate(self, each: Projection, j: str) -> None:
        """Compute the efficacy of a spike of `pre`."""
        assert each.short_term is not None, "the caller checked it"
        self._line(f"u_since = F(begin - {j}_last[bundle, pre])")
        for state in each.short_term.states:
            self._line(f"u_{state} = {j}_{state}[bundle, pre]")
        self._assign(each.short_program, {name: f"{j}_k_{name}" for name in each.short_numbers})
        for state in each.short_term.states:
            self._line(f"{j}_{state}[bundle, pre] = u_{state}")
        self._line(f"{j}_last[bundle, pre] = begin")

    def _arrive(self, each: Projection, j: str, *, learning: bool) -> None:
        """Deliver a spike of `pre` to its targets `i` through synapses at `s`."""
        rule, program = each.rule, each.program
        looks = rule is not None and program is not None and (learning or bool(program.evolve))
        if rule is not None and looks:
            for trace in rule.pre_traces:
                self._line(f"u_{trace} = {j}_{trace}[pre]")
            for signal in rule.signals:
                self._line(f"u_{signal} = {j}_{signal}[0]")
        if program is not None and learning:
            self._begin_counting(program)
        if each.is_dense:
            self._line(f"row = pre * {j}_wide")
            head = f"for i in range({j}_wide):"
        else:
            head = f"for s in range({j}_indptr[bundle, pre], {j}_indptr[bundle, pre + 1]):"
        with self._block(head):
            self._line("s = row + i" if each.is_dense else f"i = np.int64(get({j}_indices, s))")
            self._line(f"u_w = get({j}_weights, s)")
            if rule is not None and program is not None and looks:
                for trace in rule.post_traces:
                    self._line(f"u_{trace} = get({j}_{trace}, i)")
                self._evolve(each, j, learning=learning)
            weight = "(u_w * u_efficacy)" if each.short_term is not None else "u_w"
            self._line(f"to = {self._pulled_place(each, j)}")
            self._line(f"put(pulled, to, I(get(pulled, to) + I(({weight} * {j}_scale + MAGIC) - MAGIC)))")
            if program is not None and learning:
                self._assign(program.on_pre, self._names(each, j))
                self._keep(program, j)
        if program is not None and learning:
            self._end_counting(program, j)

    def _pulled_place(self, each: Projection, j: str) -> str:
        """Return where the target `i` gets what plastic synapses deliver: in blocks, if there are several inputs."""
        group = next(group for group in self._plan.groups if each.target in {one.name for one in group.populations})
        kinds = len(group.pulled)
        if kinds == 1:
            return f"{j}_pulled_at + i"
        return f"{j}_pulled_at + (i >> {LANES.bit_length() - 1}) * {LANES * kinds} + (i & {LANES - 1})"

    def learn_from_spikes(self, j: str, each: Projection) -> None:
        """Change the synapses onto neurons that spiked in this step."""
        rule, program, target = each.rule, each.program, self._plan.numbers[each.target]
        assert rule is not None, "the caller checked it"
        assert program is not None, "a rule is parsed with its projection"
        with self._block(f"for q in range(found[half * found_size + {target}]):"):  # one part, one step at once
            self._line(f"post = np.int64(get(spikes, half * list_size + list_at[{target}] + q))")
            for trace in rule.post_traces:
                self._line(f"u_{trace} = {j}_{trace}[post]")
            for signal in rule.signals:
                self._line(f"u_{signal} = {j}_{signal}[0]")
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
        with self._block(f"for begin_of in range(0, {j}_high, {LANES}):"):
            self._line(f"lanes = min({LANES}, {j}_high - begin_of)")
            self._line(f"corner = begin_of * {j}_wide + post")
            with self._block("for i in range(lanes):"):
                self._line(f"put({j}_column, i, get({j}_weights, corner + i * {j}_wide))")
            with self._block("for i in range(lanes):"):
                self._line(f"u_w = get({j}_column, i)")
                for trace in each.rule.pre_traces:
                    self._line(f"u_{trace} = get({j}_{trace}, begin_of + i)")
                self._assign(each.program.on_post, self._names(each, j))
                self._line(f"put({j}_column, i, u_w)")
                self._count(each.program)
            with self._block("for i in range(lanes):"):
                self._line(f"put({j}_weights, corner + i * {j}_wide, get({j}_column, i))")

    def _change_onto(self, each: Projection, j: str) -> None:
        """Change the synapses onto `post` one after the other."""
        assert each.rule is not None, "the caller checked it"
        assert each.program is not None, "the caller checked it"
        dense, sparse = f"for i in range({j}_high):", f"for at in range({j}_ends[post], {j}_ends[post + 1]):"
        with self._block(dense if each.is_dense else sparse):
            if each.is_dense:
                self._line(f"s = i * {j}_wide + post")
            else:
                self._line(f"i = np.int64(get({j}_sources, at))")
                self._line(f"s = get({j}_synapses, at)")
            self._line(f"u_w = get({j}_weights, s)")
            for trace in each.rule.pre_traces:
                self._line(f"u_{trace} = get({j}_{trace}, i)")
            self._evolve(each, j, learning=True)
            self._assign(each.program.on_post, self._names(each, j))
            self._keep(each.program, j)

    def _evolve(self, each: Projection, j: str, *, learning: bool) -> None:
        """Read what a synapse has of its own, and bring it up to date."""
        assert each.program is not None, "the caller checked it"
        for own in each.program.synapse[1:]:
            self._line(f"u_{own} = get({j}_{own}, s)")
        if each.program.evolve:
            self._line(f"u_since = F(now_learned - get({j}_seen, s))")
            self._assign(each.program.evolve, self._names(each, j))
            if learning:
                self._count(each.program)

    def _keep(self, program: RuleProgram, j: str) -> None:
        """Store what became of a synapse."""
        self._line(f"put({j}_weights, s, u_w)")
        for own in program.synapse[1:]:
            self._line(f"put({j}_{own}, s, u_{own})")
        if program.evolve:
            self._line(f"put({j}_seen, s, now_learned)")
        self._count(program)

    def _bump(
        self, j: str, traces: Iterable[str], statements: Iterable[Statement], each: Projection, neuron: str
    ) -> None:
        for trace in traces:
            self._line(f"u_{trace} = {j}_{trace}[{neuron}]")
        self._assign(statements, self._names(each, j))
        for trace in traces:
            self._line(f"{j}_{trace}[{neuron}] = u_{trace}")

    def _names(self, each: Projection, j: str) -> dict[str, str]:
        return {name: f"{j}_c_{name}" for name in each.numbers}

    def _begin_counting(self, program: RuleProgram) -> None:
        for each in program.counted:
            self._line(f"n_{each} = np.int32(0)")

    def _count(self, program: RuleProgram) -> None:
        for each in program.counted:
            self._line(f"n_{each} = np.int32(n_{each} + np.int32(u_{each}))")

    def _end_counting(self, program: RuleProgram, j: str) -> None:
        for number, each in enumerate(program.counted):
            self._line(f"{j}_clips[{number}] += n_{each}")

    def decay_traces(self, j: str, each: Projection) -> None:
        """Let traces and signals fade by one step."""
        rule, program = each.rule, each.program
        assert rule is not None, "only plastic projections have traces"
        assert program is not None, "a rule is parsed with its projection"
        for traces, drift in ((rule.pre_traces, program.drift_pre), (rule.post_traces, program.drift_post)):
            if drift:
                with self._block(f"for i in range({j}_{next(iter(traces))}.shape[0]):"):
                    for trace, factor in traces.items():
                        self._line(f"u_{trace} = {j}_{trace}[i]{f' * {j}_c_{factor}' if factor else ''}")
                    self._assign(drift, self._names(each, j))
                    for trace in traces:
                        self._line(f"{j}_{trace}[i] = select(abs(u_{trace}) < FLOOR, F(0), u_{trace})")
        drifting = {*(rule.pre_traces if program.drift_pre else ()), *(rule.post_traces if program.drift_post else ())}
        for trace, factor in {**rule.pre_traces, **rule.post_traces, **rule.signals}.items():
            if trace not in drifting:
                with self._block(f"for i in range({j}_{trace}.shape[0]):"):
                    self._line(f"x = {j}_{trace}[i]{f' * {j}_c_{factor}' if factor else ''}")
                    self._line(f"{j}_{trace}[i] = select(abs(x) < FLOOR, F(0), x)")
