"""Models of neurons as data: parameters, state, and the equations of one step as text.

A step of a population runs, neuron by neuron: `update`, then `threshold`, then `after`. They may read

    parameters and constants   numbers of the population
    states                     numbers of the neuron; `update` and `after` write them
    inputs                     what arrives at the neuron in this step, the sum over all synapses
    active                     whether the neuron is not refractory
    spiked                     (`after` only) whether it crossed the threshold in this step
    learning                   whether the network learns
    draw                       a fresh uniform whole number 0 … 2**24 - 1; see `noise`
    step                       the number of the step, from 0

`slowly` runs once every `period`, before `update`: for what changes over minutes.
A refractory neuron is one that spiked less than `refractory` ago.

Determinism: exact. See `expressions` for the language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, final

from msgspec import Struct

from neuraxis.errors import InputError, suggestion
from neuraxis_snn import expressions
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.numbers import DIGITS, decay, decimal_of, ratio

Constants = Callable[[Mapping[str, Decimal], Decimal], Mapping[str, Decimal]]

GIVEN: Final = ("active", "spiked", "learning", "draw", "step")


@final
class Value(Struct, frozen=True):
    """A parameter of a model: its default (a quantity as text, or a number), its unit, and what it is."""

    default: str | float
    unit: str | None
    help: str

    @property
    def description(self) -> str:
        """What to write."""
        return f'a quantity such as "{self.default}"' if self.unit is not None else "a number"


def no_constants(_parameters: Mapping[str, Decimal], _dt: Decimal) -> Mapping[str, Decimal]:
    """Derive nothing."""
    return {}


@final
class Model(Struct, frozen=True):
    """A model of neurons.

    Attributes:
        name: For people and errors.
        parameters: By name.
        states: Name to initial value: a number, or the name of a parameter or constant.
        inputs: Names of the kinds of input that synapses may deliver.
        update, threshold, after: The equations of a step.
        constants: Derives further numbers from the parameters and the step in ms.
        refractory: Parameter with the refractory time in ms; empty if there is none.
        slowly, period: What runs now and then, and the parameter with its period in ms.
        source: Where the model comes from.
    """

    name: str
    parameters: Mapping[str, Value]
    states: Mapping[str, float | str]
    inputs: tuple[str, ...]
    update: str
    threshold: str
    after: str = ""
    constants: Constants = no_constants
    refractory: str = ""
    slowly: str = ""
    period: str = ""
    source: str = ""

    def numbers(self, written: Mapping[str, Any], dt: Decimal) -> dict[str, Decimal]:
        """Return parameters and constants as decimals, in the units of the model.

        Args:
            written: Parameters that differ from their defaults: quantities as text, or numbers in the model's units.
            dt: Length of a step, ms.

        Raises:
            NetworkInvalid: A parameter is unknown, or no such quantity.
        """
        for name in written:
            if name not in self.parameters:
                raise NetworkInvalid(
                    subject=f"model {self.name}",
                    reason=f"it has no parameter {name!r}",
                    remedy=suggestion(name, self.parameters),
                )
        found = {}
        for name, value in self.parameters.items():
            try:
                found[name] = decimal_of(written.get(name, value.default), value.unit)
            except (InputError, ValueError) as error:
                raise NetworkInvalid(
                    subject=f"model {self.name}, parameter {name}",
                    reason=str(error),
                    remedy=f"Write {value.description}.",
                ) from error
        return {**found, **self.constants(found, dt)}

    def program(self, numbers: Mapping[str, Decimal]) -> Program:
        """Parse the equations.

        Raises:
            NetworkInvalid: An equation is none, or names something unknown.
        """
        subject = f"model {self.name}"
        given = {*numbers, "active", "learning", "draw", "step"}
        during = {*given, *self.inputs}
        update = expressions.statements(self.update, subject=subject, known=during, writable=self.states)
        local = {each.target for each in update}
        names = {*during, *self.states, *local}
        after = expressions.statements(
            self.after, subject=subject, known={*during, "spiked"}, writable={*self.states, *local}
        )
        return Program(
            slowly=expressions.statements(self.slowly, subject=subject, known=given, writable=self.states),
            update=update,
            threshold=expressions.condition(self.threshold, subject=subject, known=names),
            after=after,
        )


@final
class Program(Struct, frozen=True):
    """The parsed equations of a model."""

    slowly: tuple[expressions.Statement, ...]
    update: tuple[expressions.Statement, ...]
    threshold: Any
    after: tuple[expressions.Statement, ...]

    @property
    def names(self) -> set[str]:
        """All names that the equations read."""
        nodes = [each.value for each in (*self.slowly, *self.update, *self.after)]
        return expressions.names_in([*nodes, self.threshold])


# ---------------------------------------------------------------------------------- built in

_MEMBRANE: Final = {
    "tau": Value("20 ms", "ms", "membrane time constant"),
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
        "tau_exc": Value("5 ms", "ms", "time constant of excitatory currents"),
        "tau_inh": Value("10 ms", "ms", "time constant of inhibitory currents"),
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
    source="Leaky integrate-and-fire with exponential currents, in mV of the potential they would hold (current times "
    "resistance). Exact: Rotter & Diesmann, Biol. Cybern. 81 (1999).",
)

LIF_NIR: Final = Model(
    name="lif_nir",
    parameters={
        "tau": Value("2.5 ms", "ms", "membrane time constant"),
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
    return {name: Value(values[name], units[name], text) for name, text in helps.items()}


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
        "tau_theta": Value("10000 s", "ms", "time constant with which that wears off"),
        "theta_period": Value("50 ms", "ms", "how often the wearing off is computed"),
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
    source="Excitatory neurons of Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015): every spike raises the neuron's "
    "own threshold, while the network learns.",
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
    each.name: each for each in (LIF_DELTA, LIF_EXP, LIF_NIR, LIF_CONDUCTANCE, LIF_ADAPTIVE, RELAY, POISSON, TIMED)
}
"""The built-in models by name."""
