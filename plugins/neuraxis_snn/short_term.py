"""Short-term plasticity as data: what the spikes before do to the strength of a spike.

Every neuron has states for each projection that leaves it. When one of its spikes arrives, `on_spike` is computed: it
may use `since`, the steps since the spike before, and writes the states and `efficacy`, the share of the weight that is
delivered. Efficacies lie in 0 … 1; what lies outside is brought back. This happens whether the network learns or not.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, final

from msgspec import Struct

from neuraxis_snn import expressions
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import Constants, Value
from neuraxis_snn.numbers import ratio
from neuraxis_snn.rule import numbers_of, require_names

BRING_BACK: Final = "efficacy = where(efficacy < 0, 0, where(efficacy > 1, 1, efficacy))"


@final
class ShortTerm(Struct, frozen=True):
    """A kind of short-term plasticity.

    Attributes:
        name: For people and errors.
        parameters: By name; those in ms are time constants.
        states: Of a sending neuron: name to first value, a number or the name of one.
        on_spike: What a spike does; reads `since`, the steps since the spike before.
        constants: Derives further numbers from the parameters and the step in ms.
        source: Where it comes from.
    """

    name: str
    parameters: Mapping[str, Value]
    states: Mapping[str, float | str]
    on_spike: str
    constants: Constants
    source: str = ""

    def numbers(self, written: Mapping[str, Any], dt: Decimal) -> dict[str, Decimal]:
        """Return parameters and constants as decimals. Raises `NetworkInvalid` like `numbers_of`."""
        subject = f"short-term plasticity {self.name}"
        found = numbers_of(subject, self.parameters, written, self.constants, dt)
        for name, value in self.parameters.items():
            if value.unit is None and not 0 <= found[name] <= 1:
                reason = f"{name} is {found[name]}"
                raise NetworkInvalid(subject=subject, reason=reason, remedy="Use a share from 0 to 1.")
        return found

    def program(self, numbers: Mapping[str, Decimal]) -> tuple[expressions.Statement, ...]:
        """Parse `on_spike`. Raises `NetworkInvalid` if it is none, names something unknown, or gives no `efficacy`."""
        subject = f"short-term plasticity {self.name}"
        require_names(subject, numbers, self.states)
        text = f"{self.on_spike}\n{BRING_BACK}"
        return expressions.statements(text, subject=subject, known={*numbers, "since"}, writable=self.states)


TSODYKS_MARKRAM: Final = ShortTerm(
    name="tsodyks_markram",
    parameters={
        "use": Value(0.2, None, "share of the resources that a spike uses after a long rest"),
        "tau_facilitation": Value("1500 ms", "ms", "time constant with which facilitation wears off"),
        "tau_recovery": Value("200 ms", "ms", "time constant with which resources come back"),
    },
    states={"u": "use", "x": 1.0},
    on_spike="""
        u = use + (u - use) * exp(since * rate_u)
        x = 1 - (1 - x) * exp(since * rate_x)
        u = u + use * (1 - u)
        efficacy = u * x
        x = x - efficacy
    """,
    constants=lambda p, dt: {"rate_u": ratio(-dt, p["tau_facilitation"]), "rate_x": ratio(-dt, p["tau_recovery"])},
    source="Facilitation and depression, u first: Mongillo, Barak & Tsodyks, Science 319 (2008); after Tsodyks & "
    "Markram, PNAS 94 (1997).",
)

DEPRESSION: Final = ShortTerm(
    name="depression",
    parameters={
        "use": Value(0.5, None, "share of the resources that a spike uses"),
        "tau_recovery": Value("800 ms", "ms", "time constant with which resources come back"),
    },
    states={"x": 1.0},
    on_spike="""
        x = 1 - (1 - x) * exp(since * rate_x)
        efficacy = use * x
        x = x - efficacy
    """,
    constants=lambda p, dt: {"rate_x": ratio(-dt, p["tau_recovery"])},
    source="Depression alone: Tsodyks & Markram, PNAS 94 (1997).",
)

SHORT_TERM: Final = {each.name: each for each in (TSODYKS_MARKRAM, DEPRESSION)}
"""The built-in kinds by name."""
