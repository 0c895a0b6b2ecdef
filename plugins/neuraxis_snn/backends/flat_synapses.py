"""Synapses on flat arrays; see `flat`.

Of m rows of synapses that spikes reach, one after the other, `which` is the row of each synapse, `place` where it lies
in its projection, and `other` the neuron at its other end: (synapses,) each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from neuraxis_snn.network import MAGIC
from neuraxis_snn.rule import TRACE_FLOOR
from neuraxis_snn.synapses import by_target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis_snn.backends.arrays import Arrays
    from neuraxis_snn.backends.flat import Fired, Flat
    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.network import Projection

Joined = tuple[Any, Any, Any]
"""Synapses that were reached: which, place, other."""


@final
class Numbers:
    """Numbers of all copies, by name: without dimension where they are alike, else (copies,)."""

    def __init__(self, xp: Arrays, copies: Sequence[Mapping[str, Any]]) -> None:
        self._alike: dict[str, Any] = {}
        self._own: dict[str, Any] = {}
        for name, value in copies[0].items():
            values = np.array([each[name] for each in copies])
            alike = bool((values == values[0]).all())
            (self._alike if alike else self._own)[name] = xp.put(np.array(value) if alike else values)

    def rows(self) -> dict[str, Any]:
        """Return them for arrays of (copies, any)."""
        return self._alike | {name: values[:, None] for name, values in self._own.items()}

    def picked(self, copy: Any) -> dict[str, Any]:
        """Return them for the copies (n,) of some events."""
        return self._alike | {name: values[copy] for name, values in self._own.items()}


class _Index:
    """Which synapses leave a neuron, or reach it."""

    def __init__(self, xp: Arrays, begins: np.ndarray, others: np.ndarray, places: np.ndarray | None = None) -> None:
        """Take an index in rows: `places` is where the synapses lie, if not in the order of the index."""
        self._xp, self._begins = xp, xp.put(begins.astype(np.int64).reshape(-1))
        self._others, self._places = xp.put(others), None if places is None else xp.put(places)

    def of(self, rows: Any) -> Joined:
        """Return the synapses of some rows."""
        xp, begin = self._xp, self._begins[rows]
        counts = self._begins[rows + 1] - begin
        ends = xp.summed_up(counts)
        which = xp.repeated(xp.numbered(len(rows)), counts)
        at = xp.numbered(len(which)) + (begin - (ends - counts))[which]
        return which, at if self._places is None else self._places[at], xp.wide(self._others[at])


@final
class _DenseIndex:
    """The same where every neuron is joined to every other."""

    def __init__(self, xp: Arrays, count: int, stride: int, step: int) -> None:
        """Take the number of others, and how places grow with rows and with others."""
        self._xp, self._others, self._stride, self._step = xp, xp.numbered(count), stride, step

    def of(self, rows: Any) -> Joined:
        """Return the synapses of some rows."""
        count, size = len(self._others), len(rows)
        which = self._xp.repeated(self._xp.numbered(size), count)
        other = self._xp.broadcast(self._others, (size, count)).reshape(-1)
        return which, rows[which] * self._stride + other * self._step, other


def _leaving(flat: Flat, each: Projection) -> _Index | _DenseIndex:
    """Return the index by bundle and source: row `bundle * (sources + 1) + source`."""
    if each.indptr is None or each.indices is None:
        return _DenseIndex(flat.xp, flat.size(each.target), flat.size(each.target), 1)
    return _Index(flat.xp, each.indptr, each.indices)


def _reaching(flat: Flat, each: Projection) -> _Index | _DenseIndex:
    """Return the index by target."""
    if each.is_dense:
        return _DenseIndex(flat.xp, flat.size(each.source), 1, flat.size(each.target))
    ends, synapses, sources = by_target(each.synapses, flat.network.populations[each.target].size)
    return _Index(flat.xp, ends, sources, synapses)


@final
class Pushed:
    """Synapses that never change.

    Attributes:
        source: Name of the population that sends.
        longest: Their longest delay.
    """

    def __init__(self, flat: Flat, each: Projection) -> None:
        self.source, self.longest = each.source, max(each.delays)
        self._copies, self._xp, self._target_size = flat.copies, flat.xp, flat.size(each.target)
        self._weights, self._apart = flat.fixed(each.name, lambda engine, own: engine.fixed_weights(own))
        self._index, self._stride = _leaving(flat, each), flat.size(each.source) + 1
        self._delays = flat.xp.put(np.array(each.delays, np.int64))
        self._sums = flat.sums(each.target, each.input)

    def push(self, step: int, fired: Fired, *, at_least: int = 0) -> None:
        """Add what spikes of a step deliver to the sums of the steps in which it arrives.

        Args:
            step: When they left.
            fired: They.
            at_least: Shortest delay of the synapses that are meant.
        """
        xp, (copy, neuron) = self._xp, fired
        bundles, count = len(self._delays), len(copy)
        bundle = xp.repeated(xp.numbered(bundles), count)
        if bundles > 1:
            copy, neuron = xp.joined([copy] * bundles), xp.joined([neuron] * bundles)
        delay = self._delays[bundle]
        if at_least:
            due = delay >= at_least
            copy, neuron, bundle, delay = copy[due], neuron[due], bundle[due], delay[due]
        which, place, target = self._index.of(bundle * self._stride + neuron)
        sums = ((step + delay) % len(self._sums) * self._copies + copy) * self._target_size
        if self._apart:
            place = place + (copy * self._apart)[which]
        xp.add_at(self._sums.reshape(-1), sums[which] + target, self._weights[place])


@final
class Pulled:
    """Synapses with plasticity, long or short."""

    def __init__(self, flat: Flat, each: Projection) -> None:
        self._flat, self._xp, self._each = flat, flat.xp, each
        self._index, self._stride = _leaving(flat, each), flat.size(each.source) + 1
        self._scale, self._sums = flat.scales(each.target, each.input), flat.sums(each.target, each.input)
        self._magic = flat.xp.put(np.array(flat.network.kind(MAGIC[flat.network.precision])))
        self._rule = _Rule(flat, each) if each.rule is not None else None
        self._gate = _Gate(flat, each) if each.short_term is not None else None
        self._weights: Any = None
        self._apart = 0
        if self._rule is None:
            kind = flat.network.kind
            self._weights, self._apart = flat.fixed(each.name, lambda _, own: own.weights.astype(kind))

    def decay(self) -> None:
        """Begin a step: traces and signals decay, and drift."""
        if self._rule is not None:
            self._rule.decay()

    def deliver(self, step: int, now: Any, *, learning: bool) -> None:
        """Deliver the spikes that arrive in a step, and learn from them.

        Args:
            step: The step.
            now: (copies,) steps in which each copy has learned, with this one if it learns; None if none ever does.
            learning: Whether they learn.
        """
        xp, each = self._xp, self._each
        arriving = [self._flat.fired(each.source, step - delay) for delay in each.delays if delay <= step]
        counts = [len(copy) for copy, _ in arriving]
        if not any(counts):
            return
        copy, neuron = arriving[0]
        bundle = xp.repeated(xp.numbered(len(counts)), xp.put(np.array(counts)))
        if len(counts) > 1:
            copy, neuron = (xp.joined([part[which] for part in arriving]) for which in (0, 1))
        which, place, target = self._index.of(bundle * self._stride + neuron if len(counts) > 1 else neuron)
        copies = copy[which]
        if self._rule is not None:
            ends = neuron[which], target
            weights = self._rule.arrive(copies, place, *ends, now, learning=learning)
        else:
            weights = self._weights[place + copies * self._apart if self._apart else place]
        if self._gate is not None:
            weights = weights * self._gate.on_spike(copy, bundle, neuron, step)[which]
        scale = self._scale.picked(copies)["scale"]
        due = self._sums[step % len(self._sums)]
        integers = xp.integer((weights * scale + self._magic) - self._magic)
        xp.add_at(due.reshape(-1), copies * due.shape[1] + target, integers)
        if self._rule is not None and learning:
            self._rule.bump_pre(copy, neuron)

    def learn_from_spikes(self, step: int, now: Any) -> None:
        """Learn from the spikes of the receiving neurons."""
        fired = self._flat.fired(self._each.target, step)
        if self._rule is not None and len(fired[0]):
            self._rule.leave(fired, now)


@final
class _Rule:
    """A rule of plasticity, for events."""

    def __init__(self, flat: Flat, each: Projection) -> None:
        rule, program = each.rule, each.program
        assert rule is not None, "the caller checked it"
        assert program is not None, "a rule is parsed with its projection"
        name, xp = each.name, flat.xp
        self._xp, self._program, self._reaching = xp, program, _reaching(flat, each)
        self._numbers = Numbers(xp, [own.numbers for own in flat.each("projections", name)])
        self._rows, self._decays = self._numbers.rows(), {**rule.pre_traces, **rule.post_traces, **rule.signals}
        self._pre, self._post, self._signals = tuple(rule.pre_traces), tuple(rule.post_traces), tuple(rule.signals)
        self._traces = {trace: flat.mirror(f"{name}.{trace}") for trace in self._decays}
        own = {what: flat.mirror(f"{name}.{'weights' if what == 'w' else what}") for what in program.synapse}
        self._synapses = {what: array.reshape(-1) for what, array in own.items()}
        self._apart = each.weights.size
        self._clips = flat.mirror(f"{name}.clips").reshape(-1)
        self._seen = flat.mirror(f"{name}.seen").reshape(-1) if program.evolve else None
        self._floor = xp.put(np.array(flat.network.kind(TRACE_FLOOR)))
        self._zero = xp.put(np.array(flat.network.kind(0)))
        after, counted = {*own, *program.counted}, program.counted
        self._on_pre, self._on_post = xp.equations(program.on_pre, after), xp.equations(program.on_post, after)
        self._evolve = xp.equations(program.evolve, after)
        self._bump_pre, self._bump_post = self._on_traces(program.bump_pre), self._on_traces(program.bump_post)
        self._drift_pre, self._drift_post = self._on_traces(program.drift_pre), self._on_traces(program.drift_post)
        self._counters = {what: number for number, what in enumerate(counted)}

    def _on_traces(self, statements: Iterable[Statement]) -> Any:
        return self._xp.equations(statements, {*self._pre, *self._post})

    def arrive(self, copy: Any, place: Any, pre: Any, post: Any, now: Any, *, learning: bool) -> Any:
        """Return the weights of synapses at which spikes arrive, as they are delivered; then learn from the spikes."""
        own = place + copy * self._apart
        values = self._evolved(copy, own, pre, post, now, counting=learning)
        delivered = self._xp.broadcast(values["w"], copy.shape)
        if learning:
            self._on_pre(values)
            self._count(values, copy)
            self._keep(values, own, copy, now)
        return delivered

    def leave(self, fired: Fired, now: Any) -> None:
        """Learn from spikes of the receiving neurons."""
        which, place, pre = self._reaching.of(fired[1])
        copy, post = fired[0][which], fired[1][which]
        own = place + copy * self._apart
        values = self._evolved(copy, own, pre, post, now, counting=True)
        self._on_post(values)
        self._count(values, copy)
        self._keep(values, own, copy, now)
        self._bump(self._bump_post, self._post, *fired)

    def _evolved(self, copy: Any, own: Any, pre: Any, post: Any, now: Any, *, counting: bool) -> dict[str, Any]:
        """Return all that concerns synapses, brought up to date; nothing is changed but counters."""
        values = self._numbers.picked(copy)
        values |= {trace: self._traces[trace][copy, pre] for trace in self._pre}
        values |= {trace: self._traces[trace][copy, post] for trace in self._post}
        values |= {signal: self._traces[signal][copy, 0] for signal in self._signals}
        values |= {what: array[own] for what, array in self._synapses.items()}
        if self._seen is not None:
            values["since"] = self._xp.real(now[copy] - self._seen[own])
            self._evolve(values)
            if counting:
                self._count(values, copy)
        return values

    def bump_pre(self, copy: Any, neuron: Any) -> None:
        """Change the traces of neurons whose spikes arrive."""
        self._bump(self._bump_pre, self._pre, copy, neuron)

    def decay(self) -> None:
        """Begin a step: traces and signals decay, and drift."""
        for name, factor in self._decays.items():
            if factor:
                self._traces[name] *= self._rows[factor]
        for drift, traces, code in (
            (self._program.drift_pre, self._pre, self._drift_pre),
            (self._program.drift_post, self._post, self._drift_post),
        ):
            if drift:
                values = self._rows | {each: self._traces[each] for each in traces}
                code(values)
                for each in traces:
                    self._traces[each][...] = values[each]
        for trace in self._traces.values():
            trace[...] = self._xp.where(abs(trace) < self._floor, self._zero, trace)

    def _bump(self, code: Any, traces: tuple[str, ...], copy: Any, neuron: Any) -> None:
        values = self._numbers.picked(copy) | {each: self._traces[each][copy, neuron] for each in traces}
        code(values)
        for each in traces:
            self._traces[each][copy, neuron] = self._xp.real(values[each])

    def _count(self, values: dict[str, Any], copy: Any) -> None:
        for what, number in self._counters.items():
            counts = self._xp.broadcast(self._xp.wide(values[what]), copy.shape)
            self._xp.add_at(self._clips, copy * len(self._counters) + number, counts)

    def _keep(self, values: dict[str, Any], own: Any, copy: Any, now: Any) -> None:
        for what, array in self._synapses.items():
            array[own] = self._xp.real(values[what])
        if self._seen is not None:
            self._seen[own] = now[copy]


@final
class _Gate:
    """Short-term plasticity, for spikes."""

    def __init__(self, flat: Flat, each: Projection) -> None:
        assert each.short_term is not None, "the caller checked it"
        self._xp, self._numbers = (
            flat.xp,
            Numbers(flat.xp, [own.short_numbers for own in flat.each("projections", each.name)]),
        )
        self._states = {state: flat.mirror(f"{each.name}.{state}") for state in each.short_term.states}
        self._last = flat.mirror(f"{each.name}.last")
        self._on_spike = flat.xp.equations(each.short_program, {*self._states, "efficacy"})

    def on_spike(self, copy: Any, bundle: Any, neuron: Any, step: int) -> Any:
        """Return the efficacy of spikes: the share of each weight that is delivered."""
        at = copy, bundle, neuron
        values = self._numbers.picked(copy) | {state: array[at] for state, array in self._states.items()}
        values["since"] = self._xp.real(step - self._last[at])
        self._on_spike(values)
        for state, array in self._states.items():
            array[at] = self._xp.real(values[state])
        self._last[at] = step
        return self._xp.broadcast(self._xp.real(values["efficacy"]), copy.shape)
