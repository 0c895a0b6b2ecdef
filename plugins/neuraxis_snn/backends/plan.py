"""How a network lies in memory for compiled code: groups of populations, blocks of neurons, jobs of delivery.

All populations of one form, with the same equations and kinds of input, are a group: they share code, and their states
lie behind one another. So do the synapses of all projections of one form. What differs from population to population
is a number in a table. So code and its compilation do not grow with the number of populations and projections.

Sums for one step lie behind one another for all populations of a group. So synapses that begin at the same neurons and
differ in nothing but the population where they end are one job: a spike has one long row there instead of several.

Neurons are cut into parts, one for each thread; a part has whole blocks, and the synapses onto its neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis_snn.connect.ends import require
from neuraxis_snn.synapses import NARROW, Drawn, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from neuraxis_snn.network import Drive, Network, Population, Projection
    from neuraxis_snn.synapses import Rows

LANES: Final = 256
"""Neurons of a block; `primitives` knows it too."""

PART: Final = 32
"""A block that is not full is computed up to a multiple of so many neurons; `primitives` knows it too."""

STEPS_AT_ONCE: Final = 32
"""Most steps for which a block is computed at once."""


@final
class Group(Struct, frozen=True):
    """Populations that share code.

    Attributes:
        populations: They.
        rows: Row of each state in a block; `hold` stands for the first step in which a neuron is free again.
        sums: Kinds of input whose sums are kept for the steps of the near future.
        now: Kinds of input to which single events arrive, from synapses with delays of their own.
        pulled: Kinds of input to which synapses with plasticity deliver.
        drives: Input and most limits of each drive.
    """

    populations: tuple[Population, ...]
    rows: dict[str, int]
    sums: tuple[str, ...]
    now: tuple[str, ...]
    pulled: tuple[str, ...]
    drives: tuple[tuple[str, int], ...]


@final
class Form(Struct, frozen=True, order=True):
    """How synapses that never change are delivered.

    Attributes:
        later: Whether they have delays of their own, and are noted in the calendar.
        one_weight: Whether all synapses of a job have the same weight.
    """

    later: bool
    one_weight: bool


@final
class Jobs(Struct, frozen=True, eq=False):
    """All synapses of one form: rows of all jobs behind one another, and what differs from job to job.

    A job is what spikes of one population do to one slice of one or several others. Jobs are in the order of (part,
    source).

    Attributes:
        first: (parts * populations + 1,) the first job of each part and source.
        row, base, stride, ahead, delay, weight: (jobs,) int64: where its rows begin in `begins`; where its places
            begin in the sums, how far steps lie apart there, and how many there are; delay and weight if all its
            synapses have the same.
        begins: Where the row of each source begins, of all jobs.
        places, weights, delays: (synapses,); weights or delays are (1,) if each job has its own.
    """

    first: np.ndarray
    row: np.ndarray
    base: np.ndarray
    stride: np.ndarray
    ahead: np.ndarray
    delay: np.ndarray
    weight: np.ndarray
    begins: np.ndarray
    places: np.ndarray
    weights: np.ndarray
    delays: np.ndarray


@final
class Plan:
    """What the code of a network and its arguments have in common.

    Attributes:
        numbers: Number of each population, by name.
        groups: Populations with models, by form.
        parts: Into how many parts neurons are cut.
        at_once: Steps that are computed at once.
        cut: (parts + 1, populations) int64: first block of each part.
        blocks: (populations,) number of blocks; 0 where spikes come in from outside.
        ahead, stride, sum_at: (populations,) int64: steps for which sums are kept, size of one step, the same for all
            populations of a group; where they begin.
        now_at, now_size: (populations,) int64: where arriving events are summed; size of all for one step.
        pulled_at, pulled_size: The same for what synapses with plasticity deliver.
        sum_size: Size of all sums.
        group_of: By the name of a population.
        calendar: Steps for which single events are noted; 0 if there are none.
        list_at: (populations,) int64: where spikes of a population are listed, -1 for those from outside.
        list_size: Room for the spikes of one step.
    """

    def __init__(self, network: Network, threads: int) -> None:
        self._network = network
        populations = list(network.populations.values())
        self.numbers = {each.name: number for number, each in enumerate(populations)}
        self.parts = 1 if any(each.is_pulled for each in network.projections.values()) else threads
        self.at_once = _steps_at_once(network)
        self.groups = self._grouped()
        self.blocks = np.array([-(-each.size // LANES) if each.model else 0 for each in populations], np.int64)
        self.cut = np.array(
            [[(count * part + number % self.parts) // self.parts for number, count in enumerate(self.blocks)]
             for part in range(self.parts)] + [self.blocks], np.int64,
        )  # fmt: skip
        static = [each for each in network.projections.values() if not each.is_pulled]
        self.calendar = self._ahead(each for each in static if each.synapses.has_own_delays)
        self.group_of = {each.name: group for group in self.groups for each in group.populations}
        plane = self.blocks * LANES
        self.ahead, self.stride, wide_now, wide_pulled = (np.zeros(len(populations), np.int64) for _ in range(4))
        for number, each in enumerate(populations):
            group = self.group_of.get(each.name)
            if group is not None:
                wide_now[number] = plane[number] * len(group.now)
                wide_pulled[number] = plane[number] * len(group.pulled)
        self.sum_at, self.sum_size = np.zeros(len(populations), np.int64), 0
        for group in self.groups:
            mine = [self.numbers[each.name] for each in group.populations]
            *at, size = begins(plane[mine] * len(group.sums)).tolist()
            arriving = (one for one in static if not one.synapses.has_own_delays and self.numbers[one.target] in mine)
            self.sum_at[mine] = self.sum_size + np.array(at)
            self.stride[mine], self.ahead[mine] = size, max(self.at_once, self._ahead(arriving))
            self.sum_size += size * int(self.ahead[mine[0]])
        *at, self.now_size = begins(wide_now).tolist()
        self.now_at = np.array(at, np.int64)
        *at, self.pulled_size = begins(wide_pulled).tolist()
        self.pulled_at = np.array(at, np.int64)
        sizes = np.array([each.size if each.model else 0 for each in populations], np.int64)
        self.list_at = np.where(self.blocks > 0, begins(sizes)[:-1], -1)
        self.list_size = int(sizes.sum())

    def _grouped(self) -> tuple[Group, ...]:
        network = self._network
        alike: dict[Any, list[Population]] = {}
        for each in network.populations.values():
            model = each.model
            if model is not None:
                texts = (model.update, model.slowly, model.threshold, model.after, model.inputs)
                flags = (each.refractory > 0, each.period > 0, each.draws)
                drives = tuple(drive.input for drive in drives_of(network, each))
                key = (*texts, tuple(model.states), tuple(each.numbers), flags, drives)
                alike.setdefault(key, []).append(each)
        return tuple(self._group(tuple(each)) for each in alike.values())

    def _group(self, populations: tuple[Population, ...]) -> Group:
        first, names = populations[0], {each.name for each in populations}
        assert first.model is not None, "the caller checked it"
        incoming = [each for each in self._network.projections.values() if each.target in names]
        kinds: dict[str, set[str]] = {"sums": set(), "now": set(), "pulled": set()}
        for each in incoming:
            kinds["pulled" if each.is_pulled else "now" if each.synapses.has_own_delays else "sums"].add(each.input)
        drives = [drives_of(self._network, each) for each in populations]
        return Group(
            populations=populations,
            rows={name: row for row, name in enumerate([*first.model.states, *(["hold"] if first.refractory else [])])},
            drives=tuple((same[0].input, max(len(each.limits) for each in same)) for same in zip(*drives, strict=True)),
            **{kind: tuple(each for each in first.model.inputs if each in found) for kind, found in kinds.items()},
        )

    def _ahead(self, projections: Iterable[Projection]) -> int:
        """Return for how many steps what these will deliver must be kept; spikes from outside come in early."""
        outside = {name for name, each in self._network.populations.items() if each.model is None}
        longest = [each.synapses.span[1] + (self.at_once if each.source in outside else 0) for each in projections]
        return max(longest, default=0)

    # ----------------------------------------------------------------------------------- jobs

    def jobs(self, scales: dict[tuple[str, str], float]) -> dict[Form, Jobs]:
        """Return the synapses that never change, as integers, by form.

        Raises:
            MemoryShort: There is too little memory for them.
        """
        sorts: dict[Form, list[_Job]] = {}
        for part in range(self.parts):
            for each in self._network.projections.values():
                if not each.is_pulled:
                    for job in self._jobs_of(each, part, scales[each.target, each.input]):
                        sorts.setdefault(job.form, []).append(job)
        kind = np.dtype(self._network.weight_kind).itemsize
        room = {form: 2 + form.later + (0 if form.one_weight else kind) for form in sorts}
        require("synapses", sum(room[form] * job.count for form, jobs in sorts.items() for job in jobs))
        return {form: self._laid_out(form, self._joined(sorts[form])) for form in sorted(sorts)}

    def _joined(self, jobs: list[_Job]) -> list[list[_Job]]:
        """Bring together jobs of one form that may be one, in the order of (part, source).

        Jobs with delays of their own stay apart: so many synapses would be in memory twice.
        """
        groups = {each.name: number for number, group in enumerate(self.groups) for each in group.populations}

        def alike(job: _Job) -> tuple[int, ...]:
            ends = self.numbers[job.projection.source], groups[job.projection.target]
            return job.part, *ends, job.delay, job.weight

        found: list[list[_Job]] = []
        for job in sorted(jobs, key=lambda job: (*alike(job), job.base)):
            last = found[-1] if found else []
            if last and not job.form.later and alike(job) == alike(last[0]) and job.end - last[0].base <= NARROW:
                last.append(job)
            else:
                found.append([job])
        return found

    def _jobs_of(self, each: Projection, part: int, scale: float) -> Iterable[_Job]:
        """Yield a projection's jobs in a part, as many as 16 bits need."""
        target, kind = self.numbers[each.target], self._network.weight_kind
        group, later = self.group_of[each.target], each.synapses.has_own_delays
        kinds = group.now if later else group.sums
        size = self._network.populations[each.target].size
        begin, end = (int(cut) * LANES for cut in self.cut[part : part + 2, target])
        most = NARROW // len(kinds) // LANES * LANES
        at = int(self.now_at[target] if later else self.sum_at[target]) + LANES * kinds.index(each.input)

        def fixed(weights: np.ndarray) -> np.ndarray:
            scaled: np.ndarray = np.rint(weights * scale)
            return scaled.astype(kind)

        def places(neurons: np.ndarray) -> np.ndarray:
            found: np.ndarray = neurons // LANES * (LANES * len(kinds)) + neurons % LANES
            return found

        for lo in range(begin, end, most):
            hi = min(lo + most, end, size)
            drawn = each.synapses if isinstance(each.synapses, Drawn) else None
            rows = None if drawn else each.synapses.rows(lo, hi, fixed, places)
            yield _Job(part, each, lo, hi, at + lo * len(kinds), len(kinds), rows, fixed, places)

    def _laid_out(self, form: Form, jobs: list[list[_Job]]) -> Jobs:
        populations, firsts = len(self.numbers), [each[0] for each in jobs]
        owners = [job.part * populations + self.numbers[job.projection.source] for job in firsts]
        targets = [self.numbers[job.projection.target] for job in firsts]
        row = begins([self._network.populations[job.projection.source].size + 1 for job in firsts])
        at = begins([sum(job.count for job in each) for each in jobs])
        whole, synapses = row[-1], at[-1]
        long = form.later and any(job.projection.synapses.span[1] > 255 for job in firsts)
        row_begins = np.empty(whole, np.int64)
        places = np.empty(synapses, np.uint16)
        weights = np.empty(1 if form.one_weight else synapses, self._network.weight_kind)
        delays = np.empty(synapses if form.later else 1, np.uint16 if long else np.uint8)
        for number, each in enumerate(jobs):
            made = [(job.made(), job.base - each[0].base) for job in each]
            rows = side_by_side(made, one_weight=form.one_weight)
            row_begins[row[number] : row[number + 1]] = rows.begins + at[number]
            here = slice(at[number], at[number + 1])
            places[here] = rows.places
            if not form.one_weight:
                weights[here] = rows.weights
            if form.later:
                delays[here] = rows.delays
        first = np.searchsorted(owners, np.arange(self.parts * populations + 1)).astype(np.int64)
        return Jobs(
            first=first,
            row=row[:-1],
            base=np.array([job.base for job in firsts], np.int64),
            stride=self.stride[targets],
            ahead=self.ahead[targets],
            delay=np.array([job.delay for job in firsts], np.int64),
            weight=np.array([job.weight for job in firsts], np.int64),
            begins=row_begins,
            places=places,
            weights=weights,
            delays=delays,
        )


@final
class _Job:
    """What spikes of one population do to the neurons lo … hi - 1 of another.

    Attributes:
        base, end: Where its places begin in the sums, and where they end.
        delay, weight: Those of all its synapses, 0 if they have their own; weights are scaled.
    """

    def __init__(
        self,
        part: int,
        projection: Projection,
        lo: int,
        hi: int,
        base: int,
        kinds: int,
        rows: Rows | None,
        fixed: Callable[[np.ndarray], np.ndarray],
        places: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self.part, self.projection, self.lo, self.hi, self.base = part, projection, lo, hi, base
        self.end = base + -(-(hi - lo) // LANES) * LANES * kinds
        self._rows, self._fixed, self._places = rows, fixed, places
        synapses, one = projection.synapses, np.zeros(1)
        if isinstance(synapses, Drawn):
            self.count = synapses.count_onto(lo, hi)
            has_one = synapses.one_weight is not None
            one = fixed(np.array([synapses.one_weight])) if has_one else one
        else:
            assert rows is not None, "the caller made them"
            self.count = len(rows.places)
            has_one = len(rows.weights) <= 1
            one = rows.weights if len(rows.weights) == 1 else one
        self.form = Form(synapses.has_own_delays, has_one)
        self.weight = int(one[0])
        self.delay = 0 if self.form.later else synapses.span[0]

    def made(self) -> Rows:
        """Return the rows, once; drawn ones are made now."""
        synapses, rows, self._rows = self.projection.synapses, self._rows, None
        if isinstance(synapses, Drawn):
            return synapses.rows(self.lo, self.hi, self._fixed, self._places)
        assert rows is not None, "they are asked for once"
        return rows


def drives_of(network: Network, population: Population) -> list[Drive]:
    """Return the drives of a population."""
    return [each for each in network.drives.values() if each.target == population.name]


def begins(sizes: Any) -> np.ndarray:
    """Return where each of some things begins that lie behind one another, and where the last one ends: int64."""
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, np.int64))]).astype(np.int64)


def _steps_at_once(network: Network) -> int:
    """Return for how many steps neurons cannot hear of each other."""
    projections = network.projections.values()
    if any(each.is_pulled for each in projections):
        return 1
    inside = [each.synapses.span[0] for each in projections if network.populations[each.source].model is not None]
    return min([STEPS_AT_ONCE, *inside])
