"""NIR's neurons as models: the equations of NIR's definitions, forward Euler.

A parameter that is alike for all neurons of a node is a number of the population. One that differs from neuron to
neuron is a state that no equation writes; `NirNetwork.build` fills it in.

A spike acts in the step in which it arrives: on the current first, and with that on the potential.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final, final

from msgspec import Struct

from neuraxis_snn.models import LIF_NIR, Model, Value
from neuraxis_snn.numbers import DIGITS, ratio

INPUT: Final = "current"
"""The one kind of input of these models."""

_NEVER: Final = "v > v"

_TAU: Final = Value("10 ms", "ms", "membrane time constant")
_RESISTANCE: Final = Value(1.0, None, "factor of the input current")
_LEAK: Final = Value(0.0, None, "resting value of v")
_THRESHOLD: Final = Value(1.0, None, "value above which it spikes")
_RESET: Final = Value(0.0, None, "value after a spike")
_TAU_SYN: Final = Value("5 ms", "ms", "time constant of the current")
_WEIGHT: Final = Value(1.0, None, "factor of what arrives")


@final
class Kind(Struct, frozen=True):
    """A type of NIR neuron.

    Attributes:
        parameters: By name.
        attributes: What the NIR node calls each parameter; times are seconds there.
        constants: What a parameter becomes in the equations, where it is not itself: `tau` becomes dt/tau.
        states: Name to initial value, as in `Model`.
        update: State and its next value, in order; `drive` is what arrives.
        spikes: Whether it spikes.
        source: Its equations.
    """

    parameters: Mapping[str, Value]
    attributes: Mapping[str, str]
    constants: Mapping[str, str]
    states: Mapping[str, float | str]
    update: tuple[tuple[str, str], ...]
    spikes: bool
    source: str


_MEMBRANE: Final = "v + rate * ((leak - v) + resistance * {})"
_CURRENT: Final = ("i", "i + rate_syn * (weight * drive - i)")
_ENDS: Final = {"threshold": _THRESHOLD, "reset": _RESET}
_END_NAMES: Final = {"threshold": "v_threshold", "reset": "v_reset"}
_LEAKY: Final = {"tau": _TAU, "resistance": _RESISTANCE, "leak": _LEAK}
_CUBA: Final = {**_LEAKY, "tau_syn": _TAU_SYN, "weight": _WEIGHT}
_LEAKY_NAMES: Final = {"tau": "tau", "resistance": "r", "leak": "v_leak"}
_CUBA_NAMES: Final = {"tau": "tau_mem", "resistance": "r", "leak": "v_leak", "tau_syn": "tau_syn", "weight": "w_in"}

KINDS: Final = {
    "LIF": Kind(
        parameters={**_LEAKY, **_ENDS},
        attributes={**_LEAKY_NAMES, **_END_NAMES},
        constants={"tau": "rate"},
        states={"v": "leak"},
        update=(("v", _MEMBRANE.format("drive")),),
        spikes=True,
        source="tau dv/dt = (v_leak - v) + r I; a spike and v_reset where v > v_threshold",
    ),
    "LI": Kind(
        parameters=_LEAKY,
        attributes=_LEAKY_NAMES,
        constants={"tau": "rate"},
        states={"v": "leak"},
        update=(("v", _MEMBRANE.format("drive")),),
        spikes=False,
        source="tau dv/dt = (v_leak - v) + r I",
    ),
    "CubaLIF": Kind(
        parameters={**_CUBA, **_ENDS},
        attributes={**_CUBA_NAMES, **_END_NAMES},
        constants={"tau": "rate", "tau_syn": "rate_syn"},
        states={"v": "leak", "i": 0.0},
        update=(_CURRENT, ("v", _MEMBRANE.format("i"))),
        spikes=True,
        source="tau_syn dI/dt = -I + w_in S; tau_mem dv/dt = (v_leak - v) + r I; a spike and v_reset where v > "
        "v_threshold",
    ),
    "CubaLI": Kind(
        parameters=_CUBA,
        attributes=_CUBA_NAMES,
        constants={"tau": "rate", "tau_syn": "rate_syn"},
        states={"v": "leak", "i": 0.0},
        update=(_CURRENT, ("v", _MEMBRANE.format("i"))),
        spikes=False,
        source="tau_syn dI/dt = -I + w_in S; tau_mem dv/dt = (v_leak - v) + r I",
    ),
    "IF": Kind(
        parameters={"resistance": _RESISTANCE, **_ENDS},
        attributes={"resistance": "r", **_END_NAMES},
        constants={"resistance": "gain"},
        states={"v": 0.0},
        update=(("v", "v + gain * drive"),),
        spikes=True,
        source="dv/dt = r I, time in seconds; a spike and v_reset where v > v_threshold",
    ),
    "I": Kind(
        parameters={"resistance": _RESISTANCE},
        attributes={"resistance": "r"},
        constants={"resistance": "gain"},
        states={"v": 0.0},
        update=(("v", "v + gain * drive"),),
        spikes=False,
        source="dv/dt = r I, time in seconds",
    ),
}
"""Types of NIR neurons by name."""

TIMES: Final = ("tau", "tau_syn")


def constant(parameter: str, value: Decimal, dt: Decimal) -> Decimal:
    """Return what a parameter becomes in the equations: dt/tau for a time constant, r dt for a resistance.

    Args:
        parameter: `tau`, `tau_syn` or `resistance`.
        value: ms, or 1/s.
        dt: ms.
    """
    if parameter in TIMES:
        return ratio(dt, value)
    return DIGITS.divide(DIGITS.multiply(value, dt), Decimal(1000))


@lru_cache(maxsize=1024)
def model_of(name: str, *, varying: tuple[str, ...] = (), biased: bool = False, late: bool = False) -> Model:
    """Return the model of a type of NIR neuron.

    Args:
        name: The type.
        varying: Parameters that differ from neuron to neuron, in the order of the type's parameters.
        biased: Whether a constant current flows; it is the state `bias`.
        late: Whether it stands still before the step `lag`.
    """
    if name == "LIF" and not varying and not biased and not late:
        return LIF_NIR
    kind = KINDS[name]
    parameters = {each: value for each, value in kind.parameters.items() if each not in varying}
    states: dict[str, float | str] = {
        state: 0.0 if initial in varying else initial for state, initial in kind.states.items()
    }
    states |= {kind.constants.get(each, each): 0.0 for each in varying}
    fixed = {each: became for each, became in kind.constants.items() if each not in varying}
    drive = INPUT
    if biased:
        states["bias"], drive = 0.0, f"({INPUT} + bias)"
    lines = [(state, text.replace("drive", drive)) for state, text in kind.update]
    threshold = "v > threshold" if kind.spikes else _NEVER
    if late:
        parameters["lag"] = Value(0.0, None, "first step in which it changes")
        lines = [(state, f"where(step >= lag, {text}, {state})") for state, text in lines]
        threshold = f"(step >= lag) & ({threshold})"
    return Model(
        name=f"nir_{name.lower()}",
        parameters=parameters,
        states=states,
        inputs=(INPUT,),
        update="\n".join(f"{state} = {text}" for state, text in lines),
        threshold=threshold,
        after="v = where(spiked, reset, v)" if kind.spikes else "",
        constants=lambda p, dt: {became: constant(each, p[each], dt) for each, became in fixed.items()},
        source=f"NIR's {name}: {kind.source}. Forward Euler.",
    )
