"""What a rule of plasticity is: traces of spikes, and what a spike does to a weight, as data.

`on_pre` runs for each synapse of a neuron whose spike arrives, `on_post` for each synapse onto a neuron that
spikes; both may read and write `w`, and read parameters, constants and the traces of the two neurons. After that
the weight is brought back into [w_min, w_max], and `bump_pre` or `bump_post` changes the neuron's own traces.
So rules read traces as they were before the spike itself. In one step, arrivals come before spikes. Every trace
decays once a step, before everything else; below 2**-100 it is zero. While a network does not learn, weights and
traces stand still.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
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

COUNTED: Final = ("w_low", "w_high")
"""Conditions of `BRING_BACK` that engines count."""


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
        pre_traces, post_traces: Name of the trace to the constant by which it decays in a step.
        on_pre, on_post: What arriving and outgoing spikes do to a weight.
        bump_pre, bump_post: What they do to the neuron's own traces.
        constants: Derives further numbers from the parameters and the step in ms.
        source: Where the rule comes from.
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

    def numbers(self, written: Mapping[str, Any], dt: Decimal) -> dict[str, Decimal]:
        """Return parameters and constants as decimals. Raises `NetworkInvalid` like `numbers_of`."""
        subject = f"rule {self.name}"
        found = numbers_of(subject, {**BOUNDS, **self.parameters}, written, lambda p, _: _checked(subject, p), dt)
        return {**found, **self.constants(found, dt)}

    def program(self, numbers: Mapping[str, Decimal]) -> RuleProgram:
        """Parse the rule. Raises `NetworkInvalid` if a text is none, or names something unknown."""
        subject, traces = f"rule {self.name}", {**self.pre_traces, **self.post_traces}
        known = {*numbers, *traces}

        def parsed(text: str, writable: set[str]) -> tuple[expressions.Statement, ...]:
            return expressions.statements(text, subject=subject, known=known, writable=writable)

        return RuleProgram(
            on_pre=parsed(self.on_pre + "\n" + BRING_BACK, {"w"}),
            on_post=parsed(self.on_post + "\n" + BRING_BACK, {"w"}),
            bump_pre=parsed(self.bump_pre, set(self.pre_traces)),
            bump_post=parsed(self.bump_post, set(self.post_traces)),
        )


@final
class RuleProgram(Struct, frozen=True):
    """The parsed texts of a rule; a weight is brought back into its bounds at the end of `on_pre` and `on_post`."""

    on_pre: tuple[expressions.Statement, ...]
    on_post: tuple[expressions.Statement, ...]
    bump_pre: tuple[expressions.Statement, ...]
    bump_post: tuple[expressions.Statement, ...]


def _checked(subject: str, found: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    if found["w_max"] <= found["w_min"]:
        reason = f"w_min is {found['w_min']}, w_max is {found['w_max']}"
        raise NetworkInvalid(subject=subject, reason=reason, remedy="Use w_min < w_max.")
    return {}
