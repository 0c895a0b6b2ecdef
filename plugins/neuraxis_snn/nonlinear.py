"""Built-in models that are not linear below their threshold.

All of them use exponential Euler: whatever multiplies the potential is held still for a step, and the linear equation
that remains is solved exactly. It is stable at any step, and its order is 1. For conductances it is the same scheme as
Brian2's `exponential_euler`. What arrives in a step acts from the next step on.

Determinism: exact; `exp` is the engine's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from neuraxis_snn import expressions
from neuraxis_snn.model import Model, Value
from neuraxis_snn.numbers import decay, ratio

_SYNAPSES: Final = {
    "tau_exc": Value("5 ms", "ms", "time constant of excitatory synapses", above=0),
    "tau_inh": Value("10 ms", "ms", "time constant of inhibitory synapses", above=0),
}

_REVERSALS: Final = {
    "reversal_exc": Value("0 mV", "mV", "reversal potential of excitatory synapses"),
    "reversal_inh": Value("-80 mV", "mV", "reversal potential of inhibitory synapses"),
}


def _decays(p: Mapping[str, Decimal], dt: Decimal) -> dict[str, Decimal]:
    return {f"decay_{name}": decay(dt, p[f"tau_{name}"]) for name in ("exc", "inh")}


# ------------------------------------------------------------------------------- conductances

LIF_COBA: Final = Model(
    name="lif_coba",
    parameters={
        "tau": Value("20 ms", "ms", "membrane time constant", above=0),
        "rest": Value("-60 mV", "mV", "resting potential"),
        "reset": Value("-60 mV", "mV", "potential after a spike"),
        "threshold": Value("-50 mV", "mV", "potential above which it spikes"),
        "refractory": Value("5 ms", "ms", "time after a spike in which the potential stands still"),
        **_SYNAPSES,
        **_REVERSALS,
        "drive": Value("0 mV", "mV", "constant current times resistance"),
    },
    states={"v": "rest", "g_exc": 0.0, "g_inh": 0.0},
    inputs=("exc", "inh"),
    constants=lambda p, dt: {**_decays(p, dt), "rate": ratio(dt, p["tau"]), "pull": p["rest"] + p["drive"]},
    update="""
        total = (1 + g_exc) + g_inh
        goal = ((pull + g_exc * reversal_exc) + g_inh * reversal_inh) / total
        v = where(active, goal + (v - goal) * exp(-(total * rate)), v)
        g_exc = g_exc * decay_exc
        g_inh = g_inh * decay_inh
    """,
    threshold="active & (v > threshold)",
    after="""
        g_exc = g_exc + exc
        g_inh = g_inh + inh
        v = where(spiked, reset, v)
    """,
    refractory="refractory",
    scheme="exponential Euler for the potential, exact conductances",
    order=1,
    source="Leaky integrate-and-fire with exponential conductances, in units of the leak: tau dv/dt = (rest - v) + "
    "drive + g_exc (reversal_exc - v) + g_inh (reversal_inh - v). Vogels & Abbott, J. Neurosci. 25 (2005); benchmark 1 "
    "of Brette et al., J. Comput. Neurosci. 23 (2007), whose weights of 6 and 67 nS at a leak of 10 nS are 0.6, 6.7.",
)

# -------------------------------------------------------------------------------- exponential

ADEX: Final = Model(
    name="adex",
    parameters={
        "capacitance": Value("281 pF", "pF", "membrane capacitance", above=0),
        "leak": Value("30 nS", "nS", "leak conductance", above=0),
        "rest": Value("-70.6 mV", "mV", "resting potential"),
        "reset": Value("-70.6 mV", "mV", "potential after a spike"),
        "threshold": Value("-50.4 mV", "mV", "potential at which spikes begin, V_T"),
        "slope": Value("2 mV", "mV", "how sharply they begin, Delta_T", above=0),
        "peak": Value("20 mV", "mV", "potential above which a spike is over"),
        "refractory": Value("0 ms", "ms", "time after a spike in which the potential stands still"),
        "a": Value("4 nS", "nS", "adaptation below the threshold"),
        "b": Value("80.5 pA", "pA", "adaptation by a spike"),
        "tau_w": Value("144 ms", "ms", "time constant of adaptation", above=0),
        **_SYNAPSES,
        "drive": Value("0 pA", "pA", "constant current: the first value of `current`"),
    },
    states={"v": "rest", "w": 0.0, "i_exc": 0.0, "i_inh": 0.0, "current": "drive"},
    inputs=("exc", "inh"),
    constants=lambda p, dt: {
        **_decays(p, dt),
        "decay_v": decay(dt, ratio(p["capacitance"], p["leak"])),
        "decay_w": decay(dt, p["tau_w"]),
        "resistance": ratio(Decimal(1), p["leak"]),
        "steepness": ratio(Decimal(1), p["slope"]),
    },
    update="""
        flow = ((current + i_exc) + i_inh) - w
        goal = (rest + flow * resistance) + slope * exp((v - threshold) * steepness)
        aim = a * (v - rest)
        v = where(active, goal + (v - goal) * decay_v, v)
        w = aim + (w - aim) * decay_w
        i_exc = i_exc * decay_exc
        i_inh = i_inh * decay_inh
    """,
    threshold="active & (v > peak)",
    after="""
        i_exc = i_exc + exc
        i_inh = i_inh + inh
        v = where(spiked, reset, v)
        w = where(spiked, w + b, w)
    """,
    refractory="refractory",
    scheme="exponential Euler, exact currents",
    order=1,
    source="Adaptive exponential integrate-and-fire, Brette & Gerstner, J. Neurophysiol. 94 (2005), with their values; "
    "synapses are exponential currents in pA. `current` (pA) may be written from outside.",
)

# --------------------------------------------------------------------------------- Izhikevich

IZHIKEVICH: Final = Model(
    name="izhikevich",
    parameters={
        "a": Value(0.02, None, "how fast u follows v, 1/ms"),
        "b": Value(0.2, None, "how much u follows v"),
        "c": Value("-65 mV", "mV", "potential after a spike"),
        "d": Value(8.0, None, "how much a spike raises u"),
        "peak": Value("30 mV", "mV", "potential at which a spike is over"),
        "start": Value("-65 mV", "mV", "first value of v; u begins at b v"),
        "drive": Value(0.0, None, "constant current, mV/ms: the first value of `current`"),
    },
    states={"v": "start", "u": "u_start", "current": "drive"},
    inputs=("input",),
    constants=lambda p, dt: {"half": ratio(dt, Decimal(2)), "rate": p["a"] * dt, "u_start": p["b"] * p["start"]},
    update="""
        push = input * 0.5
        v = v + (half * ((((0.04 * v + 5) * v + 140) - u) + current) + push)
        v = v + (half * ((((0.04 * v + 5) * v + 140) - u) + current) + push)
        v = where(v > peak, peak, v)
        u = u + rate * (b * v - u)
    """,
    threshold="v >= peak",
    after="""
        v = where(spiked, c, v)
        u = where(spiked, u + d, u)
    """,
    scheme="forward Euler, two half steps for v and then one for u, as published with a step of 1 ms",
    order=1,
    source="Izhikevich, IEEE Trans. Neural Netw. 14 (2003). An input raises v by its weight in mV, spread over the "
    "step in which it arrives, as the published network does at 1 ms. u sees v at most at its peak. `current` (mV/ms) "
    "may be written from outside. `IZHIKEVICH_KINDS` has the published parameters.",
)

IZHIKEVICH_KINDS: Final = MappingProxyType(
    {
        "regular_spiking": {"a": 0.02, "b": 0.2, "c": "-65 mV", "d": 8.0},
        "intrinsically_bursting": {"a": 0.02, "b": 0.2, "c": "-55 mV", "d": 4.0},
        "chattering": {"a": 0.02, "b": 0.2, "c": "-50 mV", "d": 2.0},
        "fast_spiking": {"a": 0.1, "b": 0.2, "c": "-65 mV", "d": 2.0},
        "low_threshold_spiking": {"a": 0.02, "b": 0.25, "c": "-65 mV", "d": 2.0},
        "thalamo_cortical": {"a": 0.02, "b": 0.25, "c": "-65 mV", "d": 0.05},
        "resonator": {"a": 0.1, "b": 0.26, "c": "-65 mV", "d": 2.0},
    }
)
"""Parameters of the kinds of neurons in figure 2 of the paper."""

# ----------------------------------------------------------------------------------- channels

_SQUID_RATES: Final = """
        alpha_m = 1 / exprel(-(now + 40) / 10)
        beta_m = 4 * exp(-(now + 65) / 18)
        alpha_h = 0.07 * exp(-(now + 65) / 20)
        beta_h = 1 / (1 + exp(-(now + 35) / 10))
        alpha_n = 0.1 / exprel(-(now + 55) / 10)
        beta_n = 0.125 * exp(-(now + 65) / 80)
"""

_TRAUB_RATES: Final = """
        above = now - offset
        alpha_m = 1.28 / exprel((13 - above) / 4)
        beta_m = 1.4 / exprel((above - 40) / 5)
        alpha_h = 0.128 * exp((17 - above) / 18)
        beta_h = 4 / (1 + exp((40 - above) / 5))
        alpha_n = 0.16 / exprel((15 - above) / 5)
        beta_n = 0.5 * exp((10 - above) / 40)
"""

_GATES: Final = ("m", "h", "n")

_CHANNELS: Final = """
        now = v
        sodium = g_sodium * (((m * m) * m) * h)
        potassium = g_potassium * ((n * n) * (n * n))
        total = ((sodium + potassium) + leak) + (g_exc + g_inh)
        flow = ((sodium * reversal_sodium + potassium * reversal_potassium) + leak * reversal_leak) + current
        goal = (flow + (g_exc * reversal_exc + g_inh * reversal_inh)) / total
        v = goal + (v - goal) * exp(-(total * rate))
"""
_GATE: Final = """
        speed = alpha_{0} + beta_{0}
        goal = alpha_{0} / speed
        {0} = goal + ({0} - goal) * exp(-(speed * step_ms))
"""
_TAIL: Final = """
        g_exc = g_exc * decay_exc
        g_inh = g_inh * decay_inh
"""


def _channels(name: str, rates: str, source: str, values: Mapping[str, Value]) -> Model:
    """Return a model with the channels of Hodgkin and Huxley, whose gates have these rates (1/ms, of v in mV)."""

    def constants(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
        found = expressions.evaluated(rates, subject=f"model {name}", given={**p, "now": p["start"]})
        steady = {f"{x}_start": ratio(found[f"alpha_{x}"], found[f"alpha_{x}"] + found[f"beta_{x}"]) for x in _GATES}
        return {**_decays(p, dt), "rate": ratio(dt, p["capacitance"]), "step_ms": dt, **steady}

    gates = {gate: f"{gate}_start" for gate in _GATES}
    return Model(
        name=name,
        parameters={**values, **_SYNAPSES, **_REVERSALS},
        states={"v": "start", **gates, "g_exc": 0.0, "g_inh": 0.0, "current": "drive"},
        inputs=("exc", "inh"),
        constants=constants,
        update="".join([_CHANNELS, rates, *(_GATE.format(gate) for gate in _GATES), _TAIL]),
        threshold="(v > threshold) & (now <= threshold)",
        after="""
            g_exc = g_exc + exc
            g_inh = g_inh + inh
        """,
        scheme="exponential Euler for the potential and the gates, exact conductances",
        order=1,
        source=f"{source} Gates begin where they rest at `start`. A spike is the step in which v rises above "
        "`threshold`; nothing is reset. `current` may be written from outside.",
    )


HODGKIN_HUXLEY: Final = _channels(
    "hodgkin_huxley",
    _SQUID_RATES,
    "The squid axon at 6.3 degrees Celsius: Hodgkin & Huxley, J. Physiol. 117 (1952), with the resting potential at "
    "-65 mV and today's sign. Capacitance, conductances and currents are those of one square centimetre.",
    {
        "capacitance": Value("1 uF", "uF", "membrane capacitance", above=0),
        "g_sodium": Value("120 mS", "mS", "largest conductance of sodium"),
        "g_potassium": Value("36 mS", "mS", "largest conductance of potassium"),
        "leak": Value("0.3 mS", "mS", "leak conductance", above=0),
        "reversal_sodium": Value("50 mV", "mV", "reversal potential of sodium"),
        "reversal_potassium": Value("-77 mV", "mV", "reversal potential of potassium"),
        "reversal_leak": Value("-54.387 mV", "mV", "reversal potential of the leak"),
        "threshold": Value("0 mV", "mV", "potential above which a spike counts"),
        "start": Value("-65 mV", "mV", "first value of v"),
        "drive": Value("0 uA", "uA", "constant current: the first value of `current`"),
    },
)

TRAUB_MILES: Final = _channels(
    "traub_miles",
    _TRAUB_RATES,
    "A hippocampal cell after Traub & Miles, Neuronal Networks of the Hippocampus (1991), as in benchmark 3 of Brette "
    "et al., J. Comput. Neurosci. 23 (2007): 20,000 square micrometres; synaptic weights in nS.",
    {
        "capacitance": Value("200 pF", "pF", "membrane capacitance", above=0),
        "g_sodium": Value("20000 nS", "nS", "largest conductance of sodium"),
        "g_potassium": Value("6000 nS", "nS", "largest conductance of potassium"),
        "leak": Value("10 nS", "nS", "leak conductance", above=0),
        "reversal_sodium": Value("50 mV", "mV", "reversal potential of sodium"),
        "reversal_potassium": Value("-90 mV", "mV", "reversal potential of potassium"),
        "reversal_leak": Value("-65 mV", "mV", "reversal potential of the leak"),
        "offset": Value("-63 mV", "mV", "potential from which the gates count, V_T"),
        "threshold": Value("-20 mV", "mV", "potential above which a spike counts"),
        "start": Value("-65 mV", "mV", "first value of v"),
        "drive": Value("0 pA", "pA", "constant current: the first value of `current`"),
    },
)
