"""The built-in models.

`model` says what a model is; `nonlinear` holds the models that are not linear below their threshold.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from neuraxis_snn.model import GIVEN, Constants, Model, Program, Value, no_constants
from neuraxis_snn.nonlinear import ADEX, HODGKIN_HUXLEY, IZHIKEVICH, LIF_COBA, TRAUB_MILES
from neuraxis_snn.numbers import DIGITS, decay, ratio

_MEMBRANE: Final = {
    "tau": Value("20 ms", "ms", "membrane time constant", above=0),
    "rest": Value("-70 mV", "mV", "resting potential"),
    "reset": Value("-65 mV", "mV", "potential after a spike"),
    "threshold": Value("-50 mV", "mV", "potential above which it spikes"),
    "refractory": Value("2 ms", "ms", "time after a spike in which the potential stands still"),
}

LIF_DELTA: Final = Model(
    name="lif_delta",
    parameters=_MEMBRANE,
    states={"v": "rest"},
    inputs=("input",),
    constants=lambda p, dt: {"decay_v": decay(dt, p["tau"])},
    update="v = where(active, rest + (v - rest) * decay_v, v)",
    threshold="active & (v > threshold)",
    after="""
        v = where(active & ~spiked, v + input, v)
        v = where(spiked, reset, v)
    """,
    refractory="refractory",
    scheme="exact",
    order=0,
    source="Leaky integrate-and-fire; every input is a jump of v in mV. A refractory neuron drops its inputs. "
    "Exact between inputs: Rotter & Diesmann, Biol. Cybern. 81 (1999).",
)


def _currents(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    decay_v = decay(dt, p["tau"])
    numbers = {"decay_v": decay_v}
    for name in ("exc", "inh"):
        tau = p[f"tau_{name}"]
        numbers[f"decay_{name}"] = decay(dt, tau)
        if tau == p["tau"]:  # the limit for equal time constants
            numbers[f"from_{name}"] = DIGITS.multiply(ratio(dt, tau), decay_v)
        else:
            gain = ratio(tau, tau - p["tau"])
            numbers[f"from_{name}"] = DIGITS.multiply(gain, numbers[f"decay_{name}"] - decay_v)
    return numbers


LIF_EXP: Final = Model(
    name="lif_exp",
    parameters={
        **_MEMBRANE,
        "tau_exc": Value("5 ms", "ms", "time constant of excitatory currents", above=0),
        "tau_inh": Value("10 ms", "ms", "time constant of inhibitory currents", above=0),
    },
    states={"v": "rest", "i_exc": 0.0, "i_inh": 0.0},
    inputs=("exc", "inh"),
    constants=_currents,
    update="""
        drive = i_exc * from_exc + i_inh * from_inh
        v = where(active, rest + (v - rest) * decay_v + drive, v)
        i_exc = i_exc * decay_exc
        i_inh = i_inh * decay_inh
    """,
    threshold="active & (v > threshold)",
    after="""
        i_exc = i_exc + exc
        i_inh = i_inh + inh
        v = where(spiked, reset, v)
    """,
    refractory="refractory",
    scheme="exact",
    order=0,
    source="Leaky integrate-and-fire with exponential currents, in mV of the potential they would hold (current times "
    "resistance). Exact: Rotter & Diesmann, Biol. Cybern. 81 (1999).",
)

LIF_NIR: Final = Model(
    name="lif_nir",
    parameters={
        "tau": Value("2.5 ms", "ms", "membrane time constant", above=0),
        "resistance": Value(1.0, None, "factor of the input current"),
        "leak": Value(0.0, None, "resting value of v"),
        "threshold": Value(0.1, None, "value above which it spikes"),
        "reset": Value(0.0, None, "value after a spike"),
    },
    states={"v": "leak"},
    inputs=("current",),
    constants=lambda p, dt: {"rate": ratio(dt, p["tau"])},
    update="v = v + rate * ((leak - v) + resistance * current)",
    threshold="v > threshold",
    after="v = where(spiked, reset, v)",
    scheme="forward Euler",
    order=1,
    source="The LIF of the Neuromorphic Intermediate Representation, forward Euler: Pedersen et al., Nat. Commun. 15 "
    "(2024).",
)

_DIGITS_MEMBRANE: Final = """
        g_exc = g_exc + exc
        g_inh = g_inh + inh
        pull_exc = g_exc * (reversal_exc - v)
        pull_inh = g_inh * (reversal_inh - v)
        v = v + rate * (((rest - v) + pull_exc) + pull_inh)
        v = where(v < floor, floor, v)
        g_exc = g_exc * decay_exc
        g_inh = g_inh * decay_inh
"""


def _conductances(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    numbers = {"rate": ratio(dt, p["tau"]), "floor": p["reversal_inh"]}
    numbers |= {f"decay_{name}": decay(dt, p[f"tau_{name}"]) for name in ("exc", "inh")}
    if "tau_theta" in p:
        numbers["decay_theta"] = decay(p["theta_period"], p["tau_theta"])
    return numbers


def _conductance_parameters(**values: str) -> dict[str, Value]:
    helps = {
        "tau": "membrane time constant",
        "rest": "resting potential",
        "reset": "potential after a spike",
        "threshold": "potential above which it spikes",
        "refractory": "time after a spike in which it cannot spike",
        "tau_exc": "time constant of excitatory conductance",
        "tau_inh": "time constant of inhibitory conductance",
        "reversal_exc": "reversal potential of excitatory synapses",
        "reversal_inh": "reversal potential of inhibitory synapses; v never falls below it",
    }
    units = {name: "mV" if name.startswith(("re", "thr")) and name != "refractory" else "ms" for name in helps}
    return {
        name: Value(values[name], units[name], text, above=0 if name.startswith("tau") else None)
        for name, text in helps.items()
    }


LIF_CONDUCTANCE: Final = Model(
    name="lif_conductance",
    parameters=_conductance_parameters(
        tau="10 ms",
        rest="-60 mV",
        reset="-45 mV",
        threshold="-40 mV",
        refractory="2 ms",
        tau_exc="1 ms",
        tau_inh="2 ms",
        reversal_exc="0 mV",
        reversal_inh="-85 mV",
    ),
    states={"v": "rest", "g_exc": 0.0, "g_inh": 0.0},
    inputs=("exc", "inh"),
    constants=_conductances,
    update=_DIGITS_MEMBRANE,
    threshold="active & (v > threshold)",
    after="v = where(spiked, reset, v)",
    refractory="refractory",
    scheme="forward Euler for the potential, exact conductances",
    order=1,
    source="Inhibitory neurons of Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015); conductances in units of the "
    "leak. Forward Euler, v bounded by the inhibitory reversal potential. What arrives acts in the same step.",
)

LIF_ADAPTIVE: Final = Model(
    name="lif_adaptive",
    parameters={
        **_conductance_parameters(
            tau="100 ms",
            rest="-65 mV",
            reset="-65 mV",
            threshold="-72 mV",
            refractory="5 ms",
            tau_exc="1 ms",
            tau_inh="2 ms",
            reversal_exc="0 mV",
            reversal_inh="-100 mV",
        ),
        "theta_start": Value("20 mV", "mV", "initial height of the threshold above its base"),
        "theta_plus": Value("0.05 mV", "mV", "how much a spike raises the threshold"),
        "tau_theta": Value("10000 s", "ms", "time constant with which that wears off", above=0),
        "theta_period": Value("50 ms", "ms", "how often the wearing off is computed", above=0),
    },
    states={"v": "rest", "g_exc": 0.0, "g_inh": 0.0, "theta": "theta_start"},
    inputs=("exc", "inh"),
    constants=_conductances,
    slowly="theta = where(learning, theta * decay_theta, theta)",
    period="theta_period",
    update=_DIGITS_MEMBRANE,
    threshold="active & (v > threshold + theta)",
    after="""
        v = where(spiked, reset, v)
        theta = where(spiked & learning, theta + theta_plus, theta)
    """,
    refractory="refractory",
    scheme="forward Euler for the potential, exact conductances",
    order=1,
    source="Excitatory neurons of Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015): every spike raises the neuron's "
    "own threshold, while the network learns.",
)


def _alpha_currents(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    """Return the propagators of an alpha current I = rise t exp(-t/s) into a membrane.

    With z = dt (1/tau - 1/s), a current that begins as i and rises as r adds, after a step,

        dt/tau exp(-dt/tau) (i (e**z - 1)/z + r dt (z e**z - e**z + 1)/z**2)

    to v. Both fractions are computed by their series where z is small: equal time constants are no special case.
    """
    decay_v = decay(dt, p["tau"])
    numbers = {"decay_v": decay_v, "from_current": 1 - decay_v, "length": dt}
    for name in ("exc", "inh"):
        tau = p[f"tau_{name}"]
        z, arrived = dt / p["tau"] - dt / tau, dt / p["tau"] * decay_v
        numbers[f"decay_{name}"] = decay(dt, tau)
        numbers[f"from_{name}"] = arrived * _mean_of_powers(z, 0)
        numbers[f"from_rise_{name}"] = arrived * dt * _mean_of_powers(z, 1)
        numbers[f"kick_{name}"] = Decimal(1).exp() / tau
    return numbers


def _mean_of_powers(z: Decimal, power: int) -> Decimal:
    """Return the integral of s**power e**(z s) over 0 < s < 1, for power 0 or 1."""
    if abs(z) > 1:
        grown = z.exp()
        return (grown - 1) / z if power == 0 else ((z - 1) * grown + 1) / (z * z)
    total, term = Decimal(0), Decimal(1)
    for n in range(60):
        total += term / (n + power + 1)
        term *= z / (n + 1)
    return total


LIF_ALPHA: Final = Model(
    name="lif_alpha",
    parameters={
        **_MEMBRANE,
        "tau_exc": Value("2 ms", "ms", "time from the onset of an excitatory current to its peak", above=0),
        "tau_inh": Value("2 ms", "ms", "time from the onset of an inhibitory current to its peak", above=0),
        "drive": Value("0 mV", "mV", "constant current times resistance: the first value of `current`"),
    },
    states={"v": "rest", "rise_exc": 0.0, "i_exc": 0.0, "rise_inh": 0.0, "i_inh": 0.0, "current": "drive"},
    inputs=("exc", "inh"),
    constants=_alpha_currents,
    update="""
        flow = (rise_exc * from_rise_exc + i_exc * from_exc) + (rise_inh * from_rise_inh + i_inh * from_inh)
        v = where(active, rest + (v - rest) * decay_v + (flow + current * from_current), v)
        i_exc = (i_exc + rise_exc * length) * decay_exc
        i_inh = (i_inh + rise_inh * length) * decay_inh
        rise_exc = rise_exc * decay_exc
        rise_inh = rise_inh * decay_inh
    """,
    threshold="active & (v > threshold)",
    after="""
        rise_exc = rise_exc + exc * kick_exc
        rise_inh = rise_inh + inh * kick_inh
        v = where(spiked, reset, v)
    """,
    refractory="refractory",
    scheme="exact",
    order=0,
    source="Leaky integrate-and-fire with alpha currents w t/s exp(1 - t/s), in mV of the potential that their peak "
    "would hold (current times resistance). Exact: Rotter & Diesmann, Biol. Cybern. 81 (1999). `current` (mV) may be "
    "written from outside.",
)

RELAY: Final = Model(
    name="relay",
    parameters={},
    states={},
    inputs=("fire", "hear"),
    update="",
    threshold="fire > 0",
    source="Spikes whenever anything arrives at `fire`; what arrives at `hear` is ignored.",
)

POISSON: Final = Model(
    name="poisson",
    parameters={},
    states={"chance": 0.0},
    inputs=(),
    update="",
    threshold="draw < chance",
    source="Independent spikes: `chance` is the probability of one in a step, times 2**24; see `encoders.poisson`.",
)

POISSON_RATE: Final = Model(
    name="poisson_rate",
    parameters={},
    states={"rate": 0.0, "slope": 0.0},
    inputs=(),
    constants=lambda _, dt: {"seconds": ratio(dt, Decimal(1000)), "half": ratio(dt, Decimal(2000))},
    update="""
        middle = rate + slope * half
        expected = where(middle > 0, middle, 0) * seconds
        chance = (expected * exprel(-expected)) * 16777216
        rate = rate + slope * seconds
    """,
    threshold="draw < chance",
    scheme="exact for rates that change linearly",
    source="Inhomogeneous Poisson: `rate` (Hz) changes by `slope` (Hz per second), and may fall below 0, where nothing "
    "spikes. Both are written from outside, per tick or from a table: see `encoders.RateTable`. The chance of a spike "
    "in a step is 1 - exp(-expected number).",
)

TIMED: Final = Model(
    name="timed",
    parameters={},
    states={"wait": -1.0},
    inputs=(),
    update="wait = where(wait >= 0, wait - 1, wait)",
    threshold="wait == 0",
    source="One spike after `wait` steps, in the last of them; see `encoders.latency`.",
)

MODELS: Final = {
    each.name: each
    for each in (
        LIF_DELTA,
        LIF_EXP,
        LIF_ALPHA,
        LIF_NIR,
        LIF_COBA,
        LIF_CONDUCTANCE,
        LIF_ADAPTIVE,
        ADEX,
        IZHIKEVICH,
        HODGKIN_HUXLEY,
        TRAUB_MILES,
        RELAY,
        POISSON,
        POISSON_RATE,
        TIMED,
    )
}
"""The built-in models by name."""

__all__ = [
    "ADEX",
    "GIVEN",
    "HODGKIN_HUXLEY",
    "IZHIKEVICH",
    "LIF_ADAPTIVE",
    "LIF_ALPHA",
    "LIF_COBA",
    "LIF_CONDUCTANCE",
    "LIF_DELTA",
    "LIF_EXP",
    "LIF_NIR",
    "MODELS",
    "POISSON",
    "POISSON_RATE",
    "RELAY",
    "TIMED",
    "TRAUB_MILES",
    "Constants",
    "Model",
    "Program",
    "Value",
    "no_constants",
]
