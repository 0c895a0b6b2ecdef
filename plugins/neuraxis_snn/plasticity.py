"""Rules of plasticity as data: traces of spikes, and what a spike does to a weight.

`on_pre` runs for each synapse of a neuron whose spike arrives, `on_post` for each synapse onto a neuron that
spikes; both may read and write `w`, and read parameters, constants and the traces of the two neurons. After that
the weight is brought back into [w_min, w_max], and `bump_pre` or `bump_post` changes the neuron's own traces.
In one step, arrivals come before spikes. Every trace decays once a step, before everything else; below 2**-100 it
is zero. While a network does not learn, weights and traces stand still.

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
from neuraxis_snn.numbers import decay, decimal_of

TRACE_FLOOR: Final = 2.0**-100


@final
class Rule(Struct, frozen=True):
    """A rule of plasticity.

    Attributes:
        name: For people and errors.
        parameters: By name; every rule also has `w_min` and `w_max`.
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
        """Return parameters and constants as decimals. Raises `NetworkInvalid` like `Model.numbers`."""
        declared = {**BOUNDS, **self.parameters}
        for name in written:
            if name not in declared:
                remedy = suggestion(name, declared)
                raise NetworkInvalid(subject=f"rule {self.name}", reason=f"it has no parameter {name!r}", remedy=remedy)
        found = {}
        for name, value in declared.items():
            try:
                found[name] = decimal_of(written.get(name, value.default), value.unit)
            except (InputError, ValueError) as error:
                subject = f"rule {self.name}, parameter {name}"
                raise NetworkInvalid(
                    subject=subject, reason=str(error), remedy=f"Write {value.description}."
                ) from error
        if found["w_min"] < 0 or found["w_max"] <= found["w_min"]:
            reason = f"w_min is {found['w_min']}, w_max is {found['w_max']}"
            raise NetworkInvalid(subject=f"rule {self.name}", reason=reason, remedy="Use 0 <= w_min < w_max.")
        return {**found, **self.constants(found, dt)}

    def program(self, numbers: Mapping[str, Decimal]) -> RuleProgram:
        """Parse the rule. Raises `NetworkInvalid` if a text is none, or names something unknown."""
        subject, traces = f"rule {self.name}", {**self.pre_traces, **self.post_traces}
        known = {*numbers, *traces}

        def parsed(text: str, writable: set[str]) -> tuple[expressions.Statement, ...]:
            return expressions.statements(text, subject=subject, known=known, writable=writable)

        return RuleProgram(
            on_pre=parsed(self.on_pre, {"w"}),
            on_post=parsed(self.on_post, {"w"}),
            bump_pre=parsed(self.bump_pre, set(self.pre_traces)),
            bump_post=parsed(self.bump_post, set(self.post_traces)),
        )


@final
class RuleProgram(Struct, frozen=True):
    """The parsed texts of a rule."""

    on_pre: tuple[expressions.Statement, ...]
    on_post: tuple[expressions.Statement, ...]
    bump_pre: tuple[expressions.Statement, ...]
    bump_post: tuple[expressions.Statement, ...]


BOUNDS: Final = {
    "w_min": Value(0.0, None, "smallest weight"),
    "w_max": Value(1.0, None, "largest weight"),
}

PAIR_STDP: Final = Rule(
    name="pair_stdp",
    parameters={
        "tau_pre": Value("20 ms", "ms", "time constant of the arriving spike's trace"),
        "tau_post": Value("20 ms", "ms", "time constant of the outgoing spike's trace"),
        "gain_pre": Value(0.01, None, "what an arriving spike adds to its trace: potentiation, for spikes that follow"),
        "gain_post": Value(-0.0105, None, "what an outgoing spike adds to its trace: depression, when negative"),
    },
    pre_traces={"pre": "decay_pre"},
    post_traces={"post": "decay_post"},
    on_pre="w = w + post",
    on_post="w = w + pre",
    bump_pre="pre = pre + gain_pre",
    bump_post="post = post + gain_post",
    constants=lambda p, dt: {"decay_pre": decay(dt, p["tau_pre"]), "decay_post": decay(dt, p["tau_post"])},
    source="Additive, all pairs of spikes: Song, Miller & Abbott, Nat. Neurosci. 3 (2000).",
)

TRIPLET_STDP: Final = Rule(
    name="triplet_stdp",
    parameters={
        "tau_pre": Value("20 ms", "ms", "time constant of the arriving spike's trace"),
        "tau_post": Value("20 ms", "ms", "time constant of the outgoing spike's fast trace"),
        "tau_slow": Value("40 ms", "ms", "time constant of the outgoing spike's slow trace"),
        "rate_pre": Value(1e-4, None, "how much an arriving spike weakens"),
        "rate_post": Value(1e-2, None, "how much an outgoing spike strengthens"),
    },
    pre_traces={"pre": "decay_pre"},
    post_traces={"fast": "decay_fast", "slow": "decay_slow"},
    on_pre="w = w - rate_pre * fast",
    on_post="w = w + rate_post * (pre * slow)",
    bump_pre="pre = 1",
    bump_post="""
        fast = 1
        slow = 1
    """,
    constants=lambda p, dt: {
        "decay_pre": decay(dt, p["tau_pre"]),
        "decay_fast": decay(dt, p["tau_post"]),
        "decay_slow": decay(dt, p["tau_slow"]),
    },
    source="Nearest spikes, as in Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015); after Pfister & Gerstner, "
    "J. Neurosci. 26 (2006).",
)

RULES: Final = {each.name: each for each in (PAIR_STDP, TRIPLET_STDP)}
"""The built-in rules by name."""
