"""What a rule of plasticity is: traces of spikes, and what a spike does to a weight, as data.

A step of a rule, while the network learns:

    first                 traces and signals decay, then `drift_pre` and `drift_post` change traces of every neuron
    a spike arrives       for each synapse: `evolve`, the weight is delivered, `on_pre`; then `bump_pre`
    a neuron has spiked   for each synapse onto it: `evolve`, `on_post`; then `bump_post`

`on_pre` and `on_post` may read and write `w` and the synapse's own traces, and read parameters, constants, signals and
the traces of the two neurons. Neurons' traces are read as they were before the spike itself. Arrivals come before
spikes. After every change the weight is brought back into [w_min, w_max].

Synapses are looked at only when something happens to them. `evolve` makes up for the `since` steps that have passed
since then: it may use `exp(since * rate)`. A signal is one value for the whole projection, such as a reward.

Traces of neurons below 2**-100 are zero. While a network does not learn, weights, traces, signals and the clock that
counts `since` stand still.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, final

from msgspec import Struct

from neuraxis.errors import InputError, suggestion
from neuraxis_snn import expressions
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import Constants, Value
from neuraxis_snn.numbers import decimal_of

TRACE_FLOOR: Final = 2.0**-100

BOUNDS: Final = {
    "w_min": Value(0.0, None, "smallest weight"),
    "w_max": Value(1.0, None, "largest weight"),
}

BRING_BACK: Final = """
    w_low = w < w_min
    w_high = w > w_max
    w = where(w_low, w_min, where(w_high, w_max, w))
"""
"""What follows every change of a weight."""

FIRED: Final = "fired"
"""Trace that counts the spikes of a receiving neuron, where upkeep asks for it."""

CAP: Final = """
    w_room = where(spent < change_max, change_max - spent, 0)
    w_moved = w - w_before
    w_capped = (w_moved > w_room) | (w_moved < -w_room)
    w = where(w_moved > w_room, w_before + w_room, where(w_moved < -w_room, w_before - w_room, w))
    w = where(w < w_min, w_min, where(w > w_max, w_max, w))
    spent = where(w_capped, change_max, spent + where(w_moved < 0, -w_moved, w_moved))
"""
"""What follows `BRING_BACK` where the sum of |changes| of a weight is capped; `w_before` is the weight before."""

RESERVED: Final = frozenset(
    {
        *("w", "weights", "clips", "seen", "spent", "fired", "since", "upkeep", "rate", "integral", "last", "efficacy"),
        *("delays", "scale", "high", "wide", "column", "numbers", "short", "learning", "change_max"),
        *("indptr", "indices", "ends", "synapses", "sources"),
    }
)
"""Names that engines use for a projection themselves; no trace, signal or state may have them."""


def require_names(subject: str, numbers: Iterable[str], *groups: Iterable[str]) -> None:
    """Refuse names that engines use themselves, and names that stand for two things.

    Args:
        subject: What has them, for errors.
        numbers: Parameters and constants, which may be named as they like.
        groups: Names of traces, signals or states.

    Raises:
        NetworkInvalid: There is one.
    """
    seen = set(numbers)
    for name in (each for group in groups for each in group):
        if name in RESERVED or name.startswith("w_") or name in seen:
            reason = f"the name {name!r} is {'used twice' if name in seen else 'reserved'}"
            raise NetworkInvalid(subject=subject, reason=reason, remedy="Use another name.")
        seen.add(name)


def numbers_of(
    subject: str, declared: Mapping[str, Value], written: Mapping[str, Any], constants: Constants, dt: Decimal
) -> dict[str, Decimal]:
    """Return parameters and constants as decimals. A parameter in ms is a time constant.

    Args:
        subject: What they belong to, for errors.
        declared: All parameters.
        written: Those that differ from their defaults.
        constants: Derives further numbers.
        dt: Length of a step, ms.

    Raises:
        NetworkInvalid: A parameter is unknown, no such quantity, not finite, or a time constant that is not above 0.
    """
    for name in written:
        if name not in declared:
            remedy = suggestion(name, declared)
            raise NetworkInvalid(subject=subject, reason=f"it has no parameter {name!r}", remedy=remedy)
    found = {}
    for name, value in declared.items():
        given, where = written.get(name, value.default), f"{subject}, parameter {name}"
        try:
            found[name] = decimal_of(given, value.unit)
        except (InputError, ValueError, TypeError) as error:
            raise NetworkInvalid(subject=where, reason=str(error), remedy=f"Write {value.description}.") from error
        if not found[name].is_finite():
            raise NetworkInvalid(subject=where, reason=f"it is {given}", remedy="Write a finite number.")
        if value.unit == "ms" and found[name] <= 0:
            remedy = "A time constant is above 0."
            raise NetworkInvalid(subject=where, reason=f"it is {given}", remedy=remedy)
    return {**found, **constants(found, dt)}


@final
class Rule(Struct, frozen=True):
    """A rule of plasticity.

    Attributes:
        name: For people and errors.
        parameters: By name; every rule also has `w_min` and `w_max`. Those in ms are time constants.
        pre_traces, post_traces: Name of the trace to the constant by which it decays in a step; "" if it does not.
        on_pre, on_post: What arriving and outgoing spikes do to a weight and its synapse's traces.
        bump_pre, bump_post: What they do to the neuron's own traces.
        constants: Derives further numbers from the parameters and the step in ms.
        source: Where the rule comes from.
        synapse_traces: Traces that every synapse has of its own, with their first value: a number, or the name of one.
        evolve: What steps without spikes do to a weight and its synapse's traces.
        signals: Name of the signal to the constant by which it decays in a step.
        on_reward: What every synapse does when a signal was raised from outside; see `Engine.reward`.
        drift_pre, drift_post: What every step does to traces of neurons, after they decayed.
    """

    name: str
    parameters: Mapping[str, Value]
    pre_traces: Mapping[str, str]
    post_traces: Mapping[str, str]
    on_pre: str
    on_post: str
    bump_pre: str
    bump_post: str
    constants: Constants
    source: str = ""
    synapse_traces: Mapping[str, float | str] = {}
    evolve: str = ""
    signals: Mapping[str, str] = {}
    on_reward: str = ""
    drift_pre: str = ""
    drift_post: str = ""

    def numbers(self, written: Mapping[str, Any], dt: Decimal) -> dict[str, Decimal]:
        """Return parameters and constants as decimals. Raises `NetworkInvalid` like `numbers_of`."""
        subject = f"rule {self.name}"
        found = numbers_of(subject, self.declared, written, lambda p, _: _checked(subject, p), dt)
        return {**found, **self.constants(found, dt)}

    @property
    def declared(self) -> dict[str, Value]:
        """All parameters, with the bounds of weights."""
        return {**BOUNDS, **self.parameters}

    def program(self, numbers: Mapping[str, Decimal], *, capped: bool = False) -> RuleProgram:
        """Parse the rule.

        Args:
            numbers: Parameters and constants.
            capped: Whether the sum of |changes| of a weight is capped by `change_max`.

        Raises:
            NetworkInvalid: A text is none, or names something unknown.
        """
        subject, neurons = f"rule {self.name}", {**self.pre_traces, **self.post_traces}
        own = [name for name in self.post_traces if name != FIRED]
        require_names(subject, numbers, self.pre_traces, own, self.signals, self.synapse_traces)
        known = {*numbers, *neurons, *self.signals}
        synapse = ("w", *self.synapse_traces, *(("spent",) if capped else ()))

        def parsed(text: str, writable: Iterable[str], *more: str) -> tuple[expressions.Statement, ...]:
            reads = {*known, *more} - set(writable)
            return expressions.statements(text, subject=subject, known=reads, writable=set(writable))

        def change(text: str, *more: str) -> tuple[expressions.Statement, ...]:
            if not text:
                return ()
            parts = ["w_before = w", text, BRING_BACK, CAP] if capped else [text, BRING_BACK]
            return parsed("\n".join(parts), synapse, *more)

        return RuleProgram(
            on_pre=change(self.on_pre),
            on_post=change(self.on_post),
            bump_pre=parsed(self.bump_pre, self.pre_traces),
            bump_post=parsed(self.bump_post, self.post_traces),
            evolve=change(self.evolve, "since"),
            on_reward=parsed(self.on_reward, self.synapse_traces),
            drift_pre=parsed(self.drift_pre, self.pre_traces),
            drift_post=parsed(self.drift_post, self.post_traces),
            synapse=synapse,
            counted=("w_low", "w_high", *(("w_capped",) if capped else ())),
        )


@final
class RuleProgram(Struct, frozen=True):
    """The parsed texts of a rule; a weight is brought back into its bounds at the end of each that changes it.

    Attributes:
        synapse: What a synapse has of its own: `w`, and its traces.
        counted: Conditions in the texts that engines count.
    """

    on_pre: tuple[expressions.Statement, ...]
    on_post: tuple[expressions.Statement, ...]
    bump_pre: tuple[expressions.Statement, ...]
    bump_post: tuple[expressions.Statement, ...]
    evolve: tuple[expressions.Statement, ...]
    on_reward: tuple[expressions.Statement, ...]
    drift_pre: tuple[expressions.Statement, ...]
    drift_post: tuple[expressions.Statement, ...]
    synapse: tuple[str, ...]
    counted: tuple[str, ...]


def _checked(subject: str, found: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    if found["w_max"] <= found["w_min"]:
        reason = f"w_min is {found['w_min']}, w_max is {found['w_max']}"
        raise NetworkInvalid(subject=subject, reason=reason, remedy="Use w_min < w_max.")
    return {}
