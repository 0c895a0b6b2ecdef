"""Networks: populations and projections as data, checked, with every number made ready for the backends.

A `Network` says what is computed. `Backend.build` turns it into an engine, which says how. Populations are
computed in the order in which they were added, and so are projections; sums of synaptic input do not depend on any
order, because they are sums of integers.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import InputError, suggestion
from neuraxis_snn.connect.values import Constant, Distribution
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.numbers import DIGITS, Precision, decimal_of, ratio, rounded
from neuraxis_snn.synapses import Drawn, Listed
from neuraxis_snn.upkeep import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis_snn.connect import Ends
    from neuraxis_snn.expressions import Statement
    from neuraxis_snn.models import Model, Program
    from neuraxis_snn.rule import Rule, RuleProgram
    from neuraxis_snn.short_term import ShortTerm
    from neuraxis_snn.synapses import Synapses
    from neuraxis_snn.upkeep import Upkeep, UpkeepPlan

SUM_BITS: Final = {"float32": 30, "float64": 52}
"""Bits of a sum of synaptic input, by precision; int32 and int64 hold one more."""

WEIGHT_BITS: Final = {"float32": 21, "float64": 50}
"""Bits of a single weight, so that adding and subtracting 1.5 * 2**(mantissa bits) rounds it to an integer."""

REFRACTORY_MAX: Final = 2**22
"""Steps for which a neuron may be refractory; single precision counts them with a call's steps without a gap."""

DRIVE_MEAN_MAX: Final = 32
"""Mean number of spikes that a drive may deliver in a step."""

DRIVE_WORDS: Final = 2**31
"""Counter words of the noise of drives begin here; those of populations begin at 0."""

MAGIC: Final = {"float32": 1.5 * 2.0**23, "float64": 1.5 * 2.0**52}
"""Adding and then subtracting it rounds a float to the nearest integer, ties to even, in plain IEEE arithmetic."""


@final
class Population(Struct, frozen=True):
    """Alike neurons, or a place where spikes come in from outside.

    Attributes:
        name: Name in the network.
        size: Number of neurons.
        model: What they are; None for spikes from outside.
        program: Its parsed equations, or None.
        numbers: Parameters and constants, rounded to the precision of the network.
        record: Whether their spikes are returned.
        refractory: Steps for which a neuron is refractory, counted from its spike.
        period: Steps between two runs of `slowly`; 0 if there is nothing slow.
        index: Number of the population, for its noise.
        draws: Whether its neurons need noise.
    """

    name: str
    size: int
    model: Model | None
    program: Program | None
    numbers: dict[str, Any]
    record: bool
    refractory: int
    period: int
    index: int
    draws: bool


@final
class Projection(Struct, frozen=True, eq=False):
    """Synapses from one population to another, with one set of delays.

    Attributes:
        name, source, target: Names in the network.
        input: Kind of input at the target.
        synapses: Listed one by one, or drawn when they are needed.
        rule, program, numbers: Plasticity; None and empty if there is none.
        short_term, short_program, short_numbers: Short-term plasticity; None and empty if there is none.
        upkeep: What is done once a window, or None.
    """

    name: str
    source: str
    target: str
    input: str
    synapses: Synapses
    rule: Rule | None
    program: RuleProgram | None
    numbers: dict[str, Any]
    short_term: ShortTerm | None = None
    short_program: tuple[Statement, ...] = ()
    short_numbers: dict[str, Any] = {}
    upkeep: UpkeepPlan | None = None

    @property
    def weights(self) -> np.ndarray:
        """(pre, post) for all-to-all synapses, else (synapses,) in the order of `indices`; float64."""
        return self.synapses.weights

    @property
    def delays(self) -> tuple[int, ...]:
        """Steps, rising, one for each bundle of synapses."""
        return self.synapses.delays

    @property
    def indptr(self) -> np.ndarray | None:
        """(bundles, pre + 1) int64: where the synapses of a neuron begin; None for all-to-all."""
        return self.synapses.indptr

    @property
    def indices(self) -> np.ndarray | None:
        """(synapses,) int32: targets; None for all-to-all."""
        return self.synapses.indices

    @property
    def order(self) -> np.ndarray | None:
        """For each synapse, its number in the caller's order; None for all-to-all."""
        return self.synapses.order

    @property
    def is_pulled(self) -> bool:
        """Whether what a spike delivers is known only when it arrives."""
        return self.rule is not None or self.short_term is not None

    @property
    def is_dense(self) -> bool:
        """Whether every neuron is joined to every other, without indices."""
        return isinstance(self.synapses, Listed) and self.indices is None


@final
class Drive(Struct, frozen=True, eq=False):
    """Independent Poisson spikes onto every neuron of a population, as if each had a source of its own.

    Attributes:
        name, target, input: Names in the network.
        weight: Of each spike.
        limits: (n,) uint32, rising: a word of noise at or above `limits[k]` means more than k spikes in a step.
        word: Counter word of its noise.
    """

    name: str
    target: str
    input: str
    weight: float
    limits: np.ndarray
    word: int


@final
class Network:
    """Populations, projections and drives.

    Example:
        >>> net = Network(dt="0.1 ms")
        >>> net.inputs("pixels", 784)
        >>> net.population("layer", 100, LIF_EXP, tau="10 ms")
        >>> net.connect("pixels", "layer", "exc", weights=np.full((784, 100), 0.3))
    """

    def __init__(self, *, dt: str, precision: Precision = "float32", weight_bits: Literal[16] | None = None) -> None:
        """Start an empty network.

        Args:
            dt: Length of a step, as a time.
            precision: Of states, weights and traces.
            weight_bits: 16 rounds weights to a 16,384th of the largest one onto the same input, or finer, so that
                those that never change take 2 bytes; by default they take 4 or 8, as the precision says.

        Raises:
            NetworkInvalid: `dt` is no time above 0, or the precision or the bits are unknown.
        """
        if precision not in SUM_BITS:
            raise NetworkInvalid(subject="precision", reason=f"it is {precision!r}", remedy="Use float32 or float64.")
        if weight_bits not in (None, 16):
            raise NetworkInvalid(subject="weight_bits", reason=f"it is {weight_bits!r}", remedy="Use 16, or None.")
        self.weight_kind: Any = np.int16 if weight_bits else np.int32 if precision == "float32" else np.int64
        self._weight_bits = weight_bits - 1 if weight_bits else WEIGHT_BITS[precision]
        self.precision: Precision = precision
        self.kind: Any = np.dtype(precision).type
        self.sum_kind: Any = np.int32 if precision == "float32" else np.int64
        try:
            self.dt: Decimal = decimal_of(dt, "ms")
        except InputError as error:
            raise NetworkInvalid(subject="dt", reason=str(error), remedy='Write a time such as "0.1 ms".') from error
        if self.dt <= 0:
            raise NetworkInvalid(subject="dt", reason=f"it is {dt!r}", remedy='Write a time such as "0.1 ms".')
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}
        self.drives: dict[str, Drive] = {}

    # ------------------------------------------------------------------------------- building

    def inputs(self, name: str, size: int) -> None:
        """Add a place where spikes come in from outside: `size` lines.

        Raises:
            NetworkInvalid: The name is taken, or the size is below 1.
        """
        self._add(Population(name, size, None, None, {}, False, 0, 0, len(self.populations), False))

    def population(self, name: str, size: int, model: Model, *, record: bool = True, **parameters: Any) -> None:
        """Add alike neurons.

        Args:
            name: Name in the network.
            size: Number of neurons.
            model: What they are.
            record: Whether their spikes are returned by the engine.
            parameters: Of the model: quantities as text, or numbers in the model's units.

        Raises:
            NetworkInvalid: The name is taken, the size is below 1, or a parameter does not fit.
        """
        exact = model.numbers(parameters, self.dt)
        program = model.program(exact)
        numbers = {each: rounded(value, self.precision) for each, value in exact.items()}
        refractory = self.steps(exact[model.refractory], f"{name}.{model.refractory}") if model.refractory else 0
        if refractory > REFRACTORY_MAX:
            reason = f"it is refractory for {refractory:,} steps"
            self._refuse(f"{name}.{model.refractory}", reason, f"Use at most {REFRACTORY_MAX:,} steps.")
        period = self.steps(exact[model.period], f"{name}.{model.period}") if model.period else 0
        index = len(self.populations)
        self._add(
            Population(name, size, model, program, numbers, record, refractory, period, index, "draw" in program.names)
        )

    def connect(
        self,
        source: str,
        target: str,
        input: str,
        *,
        weights: np.ndarray | float | Distribution,
        pre: np.ndarray | None = None,
        post: np.ndarray | None = None,
        synapses: Callable[..., Ends] | None = None,
        delay: str | int | np.ndarray | Distribution = 1,
        rule: Rule | None = None,
        short_term: ShortTerm | None = None,
        upkeep: Upkeep | None = None,
        name: str = "",
        **parameters: Any,
    ) -> None:
        """Add synapses.

        Args:
            source, target: Names of populations.
            input: Kind of input at the target.
            weights: (pre, post) for all-to-all synapses; with `pre` and `post`, one for each synapse, or one for all;
                with `synapses` one for all, or a distribution.
            pre, post: (synapses,) neurons that each synapse joins.
            synapses: A rule of `connect` that lacks nothing but its `part`, such as `partial(fixed_total, 100, 200,
                total=500, seed=(1, 2), projection=0)`. Such synapses are drawn where they are needed; unless
                they learn, they take no memory here. Without them, and without `pre` and `post`, all are joined to all.
            delay: Steps, or a time; with `pre` and `post` also an array of steps; with `synapses` also a
                distribution. Spikes from outside may have delay 0: they act in the step in which they are given.
            rule: Plasticity, or None.
            short_term: Short-term plasticity, or None.
            upkeep: What keeps a rule within bounds, or None.
            name: Name in the network; default `source->target`.
            parameters: Of the rule and of short-term plasticity.

        Raises:
            NetworkInvalid: A name is unknown or taken, or shapes, delays, weights or parameters do not fit.
        """
        name = name or f"{source}->{target}"
        if name in self.projections:
            self._refuse(name, "the name is taken", "Give it another name=….")
        sender, receiver = self._known(source, name), self._known(target, name)
        self._require_input(name, receiver, input)
        theirs = {
            each: parameters.pop(each) for each in list(parameters) if short_term and each in short_term.parameters
        }
        exact = rule.numbers(parameters, self.dt) if rule is not None else {}
        if rule is None and parameters:
            self._refuse(name, f"it has no rule for {sorted(parameters)}", "Pass rule=….")
        rule, plan = self._with_upkeep(name, rule, exact, upkeep)
        exact_short = short_term.numbers(theirs, self.dt) if short_term is not None else {}
        self._require_own_names(name, rule, short_term)
        ends = (sender, receiver)
        if synapses is not None:
            made: Synapses = self._drawn(name, *ends, synapses, weights, delay)
        else:
            made = self._listed(name, *ends, weights, pre, post, delay)
        numbers, short_numbers = self._rounded(name, exact), self._rounded(name, exact_short)
        program = rule.program(exact, capped="change_max" in exact) if rule is not None else None
        short_program = short_term.program(exact_short) if short_term is not None else ()
        short = (short_term, short_program, short_numbers)
        projection = Projection(name, source, target, input, made, rule, program, numbers, *short, plan)
        if rule is not None and len(projection.delays) > 1:
            self._refuse(name, "plastic synapses have one delay", "Add one projection for each delay.")
        if rule is not None:
            low, high = float(numbers["w_min"]), float(numbers["w_max"])
            if projection.weights.size and not (low <= projection.weights.min() <= projection.weights.max() <= high):
                self._refuse(name, f"weights lie outside {low:g} … {high:g}", "Change w_min, w_max or the weights.")
        self.projections[name] = projection

    def drive(self, target: str, input: str, *, rate: str | float, weight: float, name: str = "") -> None:
        """Add independent Poisson spikes onto every neuron of a population.

        The number of spikes in a step has the Poisson distribution of mean rate * dt, from one word of 32 bits; what
        is rarer than 2**-33 does not happen.

        Args:
            target: Name of the population.
            input: Kind of input.
            rate: Of all spikes onto one neuron, as text, or in Hz.
            weight: Of each spike.
            name: Name in the network; default `drive->target`.

        Raises:
            NetworkInvalid: A name is unknown or taken, the weight is not finite, or there are more than
                `DRIVE_MEAN_MAX` spikes in a step.
        """
        name = name or f"drive->{target}"
        if name in self.drives:
            self._refuse(name, "the name is taken", "Give it another name=….")
        self._require_input(name, self._known(target, name), input)
        if not math.isfinite(weight):
            self._refuse(name, "its weight is not finite", "Use a finite weight.")
        try:
            mean = DIGITS.multiply(decimal_of(rate, "Hz"), self.dt) / 1000
        except (InputError, ValueError) as error:
            raise NetworkInvalid(subject=name, reason=str(error), remedy='Write a rate such as "2 kHz".') from error
        if not 0 <= mean <= DRIVE_MEAN_MAX:
            reason = f"{float(mean):g} spikes are due in a step"
            self._refuse(name, reason, f"Use a rate of 0 to {DRIVE_MEAN_MAX} spikes a step, or a shorter step.")
        word = DRIVE_WORDS + len(self.drives)
        self.drives[name] = Drive(name, target, input, float(weight), _poisson_limits(mean), word)

    def steps(self, duration: str | Decimal, subject: str) -> int:
        """Return a time as a whole number of steps.

        Raises:
            NetworkInvalid: It is no such time.
        """
        exact = decimal_of(duration, "ms")
        count = ratio(exact, self.dt)
        if count != count.to_integral_value() or count < 0:
            reason = f"{exact} ms are {count} steps of {self.dt} ms"
            raise NetworkInvalid(subject=subject, reason=reason, remedy="Use a multiple of the step.")
        return int(count)

    # ------------------------------------------------------------------------------- numbers

    def scale(self, target: str, input: str) -> float:
        """Return the factor by which weights become integers, a power of two.

        It follows from the largest sum that can arrive in one step: every source fires at most once a step, and
        every drive as often as its limits allow.
        """
        bound = largest = 0.0
        for each in self.projections.values():
            if (each.target, each.input) == (target, input):
                limits = [abs(float(each.numbers[name])) for name in ("w_min", "w_max")] if each.rule else []
                sums, top = each.synapses.bound(self.populations[target].size, max(limits, default=None))
                bound, largest = bound + sums, max(largest, top)
        for drive in self.drives.values():
            if (drive.target, drive.input) == (target, input):
                bound, largest = bound + abs(drive.weight) * len(drive.limits), max(largest, abs(drive.weight))
        if bound == 0:
            return 1.0
        over = largest * (1 + 2.0**-15) if self.weight_kind is np.int16 else largest  # 2**15 is no int16
        bits = min(SUM_BITS[self.precision] - power_above(bound), self._weight_bits - power_above(over))
        return math.ldexp(1.0, bits)

    def slots(self, source: str) -> int:
        """Return for how many steps the spikes of a population must be kept."""
        delays = [each.synapses.span[1] for each in self.projections.values() if each.source == source]
        return max(delays, default=0) + 1

    # --------------------------------------------------------------------------------- parts

    def _rounded(self, name: str, exact: Mapping[str, Decimal]) -> dict[str, Any]:
        found = {each: rounded(value, self.precision) for each, value in exact.items()}
        for each, value in found.items():
            if not np.isfinite(value):
                self._refuse(f"{name}.{each}", f"it is beyond {self.precision}", "Use a smaller number, or float64.")
        return found

    def _with_upkeep(
        self, name: str, rule: Rule | None, exact: dict[str, Decimal], upkeep: Upkeep | None
    ) -> tuple[Rule | None, UpkeepPlan | None]:
        """Return the rule with what upkeep needs, and the upkeep's numbers; a cap joins the numbers of the rule."""
        if upkeep is None:
            return rule, None
        if rule is None:
            self._refuse(name, "upkeep is for weights that a rule changes", "Pass rule=….")
        plan = planned(upkeep, name, self.steps(upkeep.window, f"{name}.window"), self.dt, exact)
        if upkeep.change_max is not None:
            exact["change_max"] = decimal_of(upkeep.change_max)
        return upkeep.rule(rule), plan

    def _require_own_names(self, name: str, rule: Rule | None, short_term: ShortTerm | None) -> None:
        """Refuse a rule and short-term plasticity that use a name for two things."""
        if rule is None or short_term is None:
            return
        mine = {*rule.declared, *rule.pre_traces, *rule.post_traces, *rule.synapse_traces, *rule.signals}
        shared = sorted(mine & {*short_term.parameters, *short_term.states})
        if shared:
            self._refuse(name, f"its rule and its short-term plasticity both have {shared[0]!r}", "Rename one of them.")

    def _add(self, population: Population) -> None:
        if population.name in self.populations:
            self._refuse(population.name, "the name is taken", "Use another one.")
        if population.size < 1:
            self._refuse(population.name, f"its size is {population.size}", "Use at least 1.")
        self.populations[population.name] = population

    def _known(self, name: str, subject: str) -> Population:
        if name not in self.populations:
            self._refuse(subject, f"there is no population {name!r}", suggestion(name, self.populations))
        return self.populations[name]

    def _require_input(self, subject: str, receiver: Population, input: str) -> None:
        kinds = receiver.model.inputs if receiver.model is not None else ()
        if input not in kinds:
            self._refuse(subject, f"{receiver.name} takes no input {input!r}", suggestion(input, kinds))

    def _refuse(self, subject: str, reason: str, remedy: str) -> NoReturn:
        raise NetworkInvalid(subject=subject, reason=reason, remedy=remedy)

    def _listed(
        self,
        name: str,
        sender: Population,
        receiver: Population,
        weights: Any,
        pre: np.ndarray | None,
        post: np.ndarray | None,
        delay: Any,
    ) -> Listed:
        if isinstance(weights, Distribution) or isinstance(delay, Distribution):
            self._refuse(name, "distributions are for synapses that are drawn", "Pass synapses=….")
        given = np.asarray(weights, dtype=np.float64)
        if not np.isfinite(given).all():
            self._refuse(name, "a weight is not finite", "Use finite weights.")
        if pre is None or post is None:
            shape = (sender.size, receiver.size)
            if given.shape not in ((), shape):
                self._refuse(name, f"weights have the shape {given.shape}", f"Use one number, or the shape {shape}.")
            steps = self._delays(name, sender, delay)
            if steps.shape != ():
                self._refuse(name, "all-to-all synapses have one delay", "Pass pre and post for many delays.")
            return Listed(np.array(np.broadcast_to(given, shape)), (int(steps),))
        pre, post = np.asarray(pre), np.asarray(post)
        if pre.shape != post.shape or pre.ndim != 1 or given.shape not in ((), pre.shape):
            self._refuse(name, "pre, post and weights differ in length", "Give each synapse one entry in each.")
        for which, ends, size in (("pre", pre, sender.size), ("post", post, receiver.size)):
            if ends.size and not (0 <= ends.min() <= ends.max() < size):
                self._refuse(name, f"{which} names neurons outside 0 … {size - 1}", "Use numbers of neurons.")
        steps = np.broadcast_to(self._delays(name, sender, delay), pre.shape)
        values = np.broadcast_to(given, pre.shape)
        return Listed.of(pre, post, values, steps, sender.size)

    def _drawn(
        self,
        name: str,
        sender: Population,
        receiver: Population,
        ends: Callable[..., Ends],
        weights: Any,
        delay: Any,
    ) -> Drawn:
        if not isinstance(weights, Distribution):
            if np.ndim(weights) != 0 or not np.isfinite(weights):
                self._refuse(name, "its weights are no finite number", "Use one number, or a distribution.")
            weights = Constant(float(weights))
        if not isinstance(delay, Distribution):
            steps = self._delays(name, sender, delay)
            if steps.shape != ():
                self._refuse(name, "delays are an array", "Use one delay, or a distribution.")
            delay = Constant(int(steps))
        found = Drawn(ends, weights, delay, f"{self.dt} ms", least=0 if sender.model is None else 1)
        if (found.sources, found.targets) != (sender.size, receiver.size):
            reason = f"synapses join {found.sources} to {found.targets} neurons"
            self._refuse(name, reason, f"{sender.name} has {sender.size}, and {receiver.name} {receiver.size}.")
        return found

    def _delays(self, name: str, sender: Population, delay: str | int | np.ndarray) -> np.ndarray:
        steps = np.asarray(self.steps(delay, f"{name}.delay") if isinstance(delay, str) else delay)
        least = 0 if sender.model is None else 1
        if steps.dtype.kind not in "iu" or (steps.size and steps.min() < least):
            reason = "a delay is no whole number of steps, or is too short"
            self._refuse(name, reason, f"From {sender.name} use at least {least} step{'s' if least != 1 else ''}.")
        return steps


def _poisson_limits(mean: Decimal) -> np.ndarray:
    chance = DIGITS.exp(-mean)
    total, count = Decimal(0), 0
    limits: list[int] = []
    while True:
        total += chance
        limit = int((total * 2**32).to_integral_value())
        if limit >= 2**32:
            return np.array(limits, np.uint32)
        limits.append(limit)
        count += 1
        chance = DIGITS.multiply(chance, mean) / count


@lru_cache(maxsize=256)
def steps_per_tick(tick: Fraction, dt_ms: float) -> int:
    """Return how many steps make a tick.

    Args:
        tick: Length of a tick, second.
        dt_ms: Length of a step, ms.

    Raises:
        NetworkInvalid: It is no whole number.
    """
    exact = tick * 1000 / Fraction(repr(dt_ms))
    if exact.denominator != 1 or exact < 1:
        reason = f"a tick is {float(exact):g} steps of {dt_ms:g} ms"
        raise NetworkInvalid(subject="dt", reason=reason, remedy="Use a whole fraction of the tick.")
    return exact.numerator


def power_above(value: float) -> int:
    """Return the least k for which 2**k >= value."""
    mantissa, exponent = math.frexp(value)
    return exponent - 1 if mantissa == 0.5 else exponent


def network_of(value: Any, backend: str) -> Network:
    """Return `value` if it is a network of this engine.

    Raises:
        NetworkInvalid: It is something else.
    """
    if not isinstance(value, Network):
        raise NetworkInvalid(
            subject=f"backend {backend}", reason=f"it got a {type(value).__name__}", remedy="Build a Network."
        )
    return value
