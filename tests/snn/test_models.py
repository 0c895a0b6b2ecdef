"""Models against closed forms, against tables of others, and against what is known of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from neuraxis.seams.backend import Backend
from neuraxis_snn import MODELS, EngineMisuse, Model, Network, NetworkInvalid, Spikes, Value
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.convergence import measured_order
from neuraxis_snn.engine import Engine
from neuraxis_snn.nonlinear import IZHIKEVICH_KINDS
from neuraxis_snn.numbers import decay
from tests.snn.data import reference

NEST = {"tau": "10 ms", "rest": "-70 mV", "reset": "-70 mV", "threshold": "-55 mV"}
"""NEST's defaults for a membrane of 250 pF: 1 pA holds it 0.04 mV higher."""


def _engine(model: str, dt: str, size: int = 1, backend: Backend | None = None, **parameters: Any) -> Engine:
    network = Network(dt=dt, precision="float64")
    network.population("neurons", size, MODELS[model], **parameters)
    engine: Engine = (backend or NumpyBackend()).build(network)
    return engine


def _trace(engine: Engine, steps: int) -> np.ndarray:
    """Return v after every step of the first neuron."""
    found = []
    for _ in range(steps):
        engine.advance(1)
        found.append(engine.read("neurons", "v")[0])
    return np.array(found)


def _spike_times(engine: Engine, duration_ms: float, neuron: int = 0) -> np.ndarray:
    dt = float(engine.network.dt)
    spikes = engine.advance(round(duration_ms / dt))["neurons"]
    return spikes.steps[spikes.neurons == neuron] * dt


# ---------------------------------------------------------------------------- tables of NEST


def _table(within: str) -> dict[float, float]:
    text = reference("nest_reference/nest_reference_tables.json").read_text(encoding="utf-8")
    tables = json.loads(text)["neurons/test_iaf_psc_alpha.py"]["tables"]
    return {time: v for each in tables if each["within"] == within for time, v in each["rows"]}


@pytest.fixture(params=[ReferenceBackend, NumpyBackend, NumbaBackend])
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


@pytest.mark.parametrize("dt", ["0.1", "0.2", "0.5", "1.0"])
def test_alpha_neurons_give_the_table_of_nest_at_every_step(backend: Backend, dt: str) -> None:
    table, step = _table("test_iaf_psc_alpha_i0_refractory"), float(dt)
    # NEST's time counts from the end of the step with the spike, ours from its beginning
    engine = _engine("lif_alpha", f"{dt} ms", 1, backend, refractory=2 + step, drive="58 mV", **NEST)
    found = _trace(engine, int(6.9 / step + 1e-9))
    compared = 0
    for number, v in enumerate(found, start=1):
        time = round(number * step, 1)
        if time in table:
            assert v == pytest.approx(table[time], rel=1e-6), f"at {time} ms"
            compared += 1
    assert compared == len(found)


@pytest.mark.parametrize(("within", "delay"), [("test_iaf_psc_alpha_i0", 0), ("test_iaf_psc_alpha_basic", 2)])
def test_a_current_written_from_outside_gives_the_table_of_nest(within: str, delay: int) -> None:
    engine = _engine("lif_alpha", "0.1 ms", refractory="2.1 ms", **NEST)
    found = _trace(engine, delay)
    engine.write("neurons", "current", 40.0)
    found = np.concatenate([found, _trace(engine, 80 - delay)])
    for time, v in _table(within).items():
        assert found[round(time * 10) - 1] == pytest.approx(v, rel=1e-6), f"at {time} ms"


# ------------------------------------------------------------------------------ closed forms


def _psp(model: str, dt: str, weight: float, steps: int, **parameters: Any) -> np.ndarray:
    """Return how far v rises over rest after an excitatory spike in step 0, after each later step."""
    network = Network(dt=dt, precision="float64")
    network.inputs("line", 1)
    network.population("neurons", 1, MODELS[model], rest="0 mV", threshold="1000 mV", reset="0 mV", **parameters)
    network.connect("line", "neurons", "exc", weights=weight, delay=0)
    engine = NumpyBackend().build(network)
    engine.advance(1, {"line": Spikes.of([(0, 0)])})
    return _trace(engine, steps)


@pytest.mark.parametrize(("tau", "tau_s"), [(20.0, 5.0), (10.0, 0.5), (5.0, 5.0), (5.0, 8.0), (10.0, 10.000001)])
def test_postsynaptic_potentials_follow_their_closed_form(tau: float, tau_s: float) -> None:
    dt, weight, t = 0.1, 3.0, 0.1 * np.arange(1, 400)
    a, b = 1 / tau_s, 1 / tau
    times = {"tau": f"{tau} ms", "tau_exc": f"{tau_s} ms"}
    z = (b - a) * t  # where the two nearly agree the closed forms cancel: their series do not
    near = abs(b - a) < 1e-6
    mean = 1 + z / 2 + z * z / 6 if near else np.expm1(z) / np.where(z == 0, 1, z)
    late = 0.5 + z / 3 + z * z / 8 if near else (z * np.exp(z) - np.expm1(z)) / np.where(z == 0, 1, z * z)
    exponential = weight * b * t * np.exp(-b * t) * mean
    alpha = weight * np.e * a * b * t * t * np.exp(-b * t) * late
    assert _psp("lif_exp", f"{dt} ms", weight, len(t), **times) == pytest.approx(exponential, rel=1e-10)
    assert _psp("lif_alpha", f"{dt} ms", weight, len(t), **times) == pytest.approx(alpha, rel=1e-10)


def test_the_peak_of_a_potential_comes_when_and_as_high_as_the_formula_says() -> None:
    found = _psp("lif_exp", "0.01 ms", 87.81 * 0.04, 1_000, tau="10 ms", tau_exc="0.5 ms")
    assert found.max() == pytest.approx(0.15, abs=2e-5)  # 87.81 pA into 250 pF
    assert (found.argmax() + 1) * 0.01 == pytest.approx(10 * 0.5 / 9.5 * np.log(20), abs=0.01)


@pytest.mark.parametrize("drive", [15.5, 20.0, 40.0, 150.0])
def test_the_rate_under_a_constant_current_is_that_of_the_formula_within_a_step(drive: float) -> None:
    engine = _engine("lif_alpha", "0.1 ms", refractory="2 ms", drive=drive, **NEST)
    intervals = np.diff(_spike_times(engine, 1_000.0))
    exact = 2 + 10 * np.log(drive / (drive - 15))
    assert len(intervals) > 5
    assert np.abs(intervals - exact).max() <= 0.1


def test_a_membrane_with_constant_conductances_follows_its_closed_form() -> None:
    engine = _engine("lif_coba", "0.1 ms", tau_exc="1e12 ms", tau_inh="1e12 ms", threshold="100 mV", drive="3 mV")
    engine.write("neurons", "g_exc", 0.4)
    engine.write("neurons", "g_inh", 1.7)
    goal = (-60 + 3 + 0.4 * 0 + 1.7 * -80) / 3.1
    t = 0.1 * np.arange(1, 300)
    exact = goal + (-60 - goal) * np.exp(-t * 3.1 / 20)
    assert _trace(engine, len(t)) == pytest.approx(exact, rel=1e-10)


def test_a_refractory_membrane_stands_still_while_its_conductances_go_on() -> None:
    engine = _engine("lif_coba", "0.1 ms", refractory="1 ms")
    engine.write("neurons", "g_exc", 50.0)
    assert len(engine.advance(1)["neurons"]) == 1
    before = engine.read("neurons", "g_exc")[0]
    assert (_trace(engine, 5) == -60).all()
    assert engine.read("neurons", "g_exc")[0] == pytest.approx(before * np.exp(-0.1), rel=1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize(("mean", "deviation"), [(18.0, 3.0), (22.0, 2.0)])
def test_the_rate_under_noise_is_that_of_siegert(mean: float, deviation: float) -> None:
    tau, weight = 20.0, 0.1  # two drives of weights +-J: variance and mean are set apart
    both, net = 2 * deviation**2 / (tau * weight**2), mean / (tau * weight)
    network = Network(dt="0.02 ms", precision="float64")
    membrane = {"tau": "20 ms", "rest": "0 mV", "reset": "10 mV", "threshold": "20 mV", "refractory": "2 ms"}
    network.population("neurons", 256, MODELS["lif_delta"], **membrane)
    for name, rate, sign in (("up", (both + net) / 2, 1), ("down", (both - net) / 2, -1)):
        network.drive("neurons", "input", rate=1000 * rate, weight=sign * weight, name=name)
    engine = NumbaBackend().build(network)
    engine.key = (3, 4)
    engine.advance(10_000)
    counted = len(engine.advance(100_000)["neurons"]) / 256 / 2
    width = np.sqrt(2) * deviation
    u = np.linspace((10 - mean) / width, (20 - mean) / width, 20_001)
    inner = np.linspace(-12, u[0], 20_001)  # the integral of exp(u**2) (1 + erf u), without erf
    tail = np.trapezoid(np.exp(-inner * inner), inner)
    steps = np.concatenate([[0], np.cumsum((np.exp(-(u[1:] ** 2)) + np.exp(-(u[:-1] ** 2))) / 2 * np.diff(u))])
    integral = np.trapezoid(np.exp(u * u) * (tail + steps), u) * 2
    assert counted == pytest.approx(1000 / (2 + tau * integral), rel=0.03)


# ------------------------------------------------------------------------------- convergence

STARTS: dict[str, dict[str, Any]] = {
    "lif_delta": {"start": {"v": -55}},
    "lif_exp": {"start": {"v": -60, "i_exc": 20, "i_inh": -5}},
    "lif_alpha": {"start": {"v": -60, "i_exc": 10, "rise_exc": 4, "rise_inh": -3, "current": 5}},
    "lif_nir": {"start": {"v": 0.09}},
    "lif_coba": {"start": {"v": -55, "g_exc": 0.3, "g_inh": 2}},
    "lif_conductance": {"start": {"v": -55, "g_exc": 0.3, "g_inh": 2}},
    "lif_adaptive": {"start": {"v": -60, "g_exc": 0.3, "g_inh": 2}, "theta_period": "8 ms"},
    "adex": {"start": {"v": -60, "w": 30, "i_exc": 300, "current": 200}},
    "izhikevich": {"start": {"v": -60, "u": -10, "current": 3}},
    "hodgkin_huxley": {"start": {"v": -63, "g_exc": 0.01, "current": 1}},
    "traub_miles": {"start": {"v": -65, "g_exc": 4, "g_inh": 10}},
}
"""Where each model begins, so that it moves and does not spike."""


def test_every_model_that_names_an_order_is_measured() -> None:
    assert set(STARTS) == {name for name, model in MODELS.items() if model.order is not None}


@pytest.mark.parametrize("name", list(STARTS))
def test_a_model_converges_in_the_order_that_it_names(name: str) -> None:
    model = MODELS[name]
    found = measured_order(model, duration="4 ms", dt="0.0625 ms", halvings=4, **STARTS[name])
    assert found == pytest.approx(model.order, abs=0.05)


def test_an_order_is_not_measured_across_spikes() -> None:
    with pytest.raises(EngineMisuse, match="it spikes"):
        measured_order(MODELS["lif_delta"], start={"v": -40}, duration="8 ms", dt="1 ms")
    with pytest.raises(EngineMisuse, match="halvings"):
        measured_order(MODELS["lif_delta"], start={}, duration="8 ms", dt="1 ms", halvings=1)


# ------------------------------------------------------------------------------ known figures


@pytest.mark.compiled
@pytest.mark.parametrize(("share", "spikes"), [(0.99, False), (1.01, True)])
def test_adex_loses_its_rest_at_the_known_rheobase(share: float, spikes: bool) -> None:
    # Touboul & Brette, Biol. Cybern. 99 (2008): for a/g > tau/tau_w by a Hopf bifurcation, at this current
    g, a, rest, threshold, slope, tau, tau_w = 30.0, 4.0, -70.6, -50.4, 2.0, 281 / 30, 144.0
    assert a / g > tau / tau_w
    height = threshold - rest - slope + slope * np.log(1 + tau / tau_w)
    current = share * ((g + a) * height + slope * g * (a / g - tau / tau_w))
    v = -56.0
    for _ in range(50):  # the resting potential, by Newton's method
        bend = g * np.exp((v - threshold) / slope)
        v -= (current - (g + a) * (v - rest) + slope * bend) / (bend - g - a)
    engine = _engine("adex", "0.01 ms", 1, NumbaBackend(), drive=current)
    engine.write("neurons", "v", v + 0.01)
    engine.write("neurons", "w", a * (v - rest))
    assert bool(len(_spike_times(engine, 3_000.0))) == spikes


@pytest.mark.compiled
def test_adex_fires_slower_and_slower_under_a_constant_current() -> None:
    intervals = np.diff(_spike_times(_engine("adex", "0.02 ms", 1, NumbaBackend(), drive="1 nA"), 2_000.0))
    assert (np.diff(intervals[:5]) > 0).all()
    assert intervals[-1] > 2 * intervals[0]
    assert intervals[-1] == pytest.approx(intervals[-2], abs=0.1)


@pytest.mark.compiled
def test_the_squid_axon_rests_where_hodgkin_and_huxley_found_it() -> None:
    engine = _engine("hodgkin_huxley", "0.025 ms", 1, NumbaBackend())
    assert len(_spike_times(engine, 200.0)) == 0
    # Hodgkin & Huxley 1952 give the gates at rest as 0.05, 0.60 and 0.32
    for state, value, places in (("v", -65, 0.01), ("m", 0.0529, 2e-4), ("h", 0.596, 2e-4), ("n", 0.3177, 2e-4)):
        assert engine.read("neurons", state)[0] == pytest.approx(value, abs=places)


@pytest.mark.compiled
def test_the_squid_axon_begins_to_fire_again_and_again_between_6_2_and_6_3() -> None:
    # Rinzel & Miller, Math. Biosci. 49 (1980): periodic firing exists from 6.26 uA/cm2 on; about 68 Hz at 10
    currents = np.array([2.0, 6.2, 6.3, 10.0])
    engine = _engine("hodgkin_huxley", "0.02 ms", 4, NumbaBackend())
    engine.write("neurons", "current", currents)
    engine.advance(25_000)
    spikes = engine.advance(50_000)["neurons"]
    rates = np.bincount(spikes.neurons, minlength=4)
    assert rates[:2].tolist() == [0, 0]
    assert rates[2] == pytest.approx(52, abs=2)
    assert rates[3] == pytest.approx(68, abs=2)


@pytest.mark.compiled
def test_the_hippocampal_cell_rests_and_fires() -> None:
    assert len(_spike_times(_engine("traub_miles", "0.05 ms", 1, NumbaBackend()), 500.0)) == 0
    times = _spike_times(_engine("traub_miles", "0.05 ms", 1, NumbaBackend(), drive="300 pA"), 500.0)
    intervals = np.diff(times)
    assert len(times) > 10
    assert np.ptp(intervals[-5:]) <= 0.1


def _intervals(kind: str, dt: str) -> np.ndarray:
    engine = _engine("izhikevich", dt, drive=10.0, **IZHIKEVICH_KINDS[kind])
    return np.diff(_spike_times(engine, 1_000.0))


@pytest.mark.compiled
@pytest.mark.parametrize("dt", ["1 ms", "0.1 ms"])
def test_izhikevich_neurons_show_the_patterns_of_their_kinds(dt: str) -> None:
    regular, fast = _intervals("regular_spiking", dt), _intervals("fast_spiking", dt)
    assert regular[0] < 0.7 * regular[-1], "regular spiking cells adapt"
    assert np.ptp(regular[-5:]) <= float(dt[:-3]), "and then are regular"
    assert fast[-1] < regular[-1] / 3, "fast spiking cells are fast"
    chattering = _intervals("chattering", dt)
    short = chattering < 10
    assert short.sum() > 2 * (~short).sum() > 0, "chattering cells fire bursts of some spikes"
    assert chattering[~short].min() > 30, "with pauses between them"
    bursting = _intervals("intrinsically_bursting", dt)
    assert (bursting[:2] < 10).all(), "they begin with a burst"
    assert (bursting[2:] > 20).all(), "and go on with single spikes"


@pytest.mark.parametrize("dt", ["1 ms", "0.5 ms", "0.1 ms"])
def test_an_input_to_an_izhikevich_neuron_raises_it_by_its_weight_at_every_step(dt: str) -> None:
    ends = []
    for given in ([], [(0, 0)]):
        network = Network(dt=dt, precision="float64")
        network.inputs("line", 1)
        network.population("neurons", 1, MODELS["izhikevich"], start="-70 mV")
        network.connect("line", "neurons", "input", weights=2.0, delay=0)
        engine = NumpyBackend().build(network)
        engine.advance(1, {"line": Spikes.of(given)})
        ends.append(engine.read("neurons", "v")[0])
    assert ends[1] - ends[0] == pytest.approx(2, abs=0.4 * float(dt[:-3]))


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"tau": "0 ms"}, "more than 0 ms"),
        ({"tau": -3}, "more than 0 ms"),
        ({"tau_exc": "-1 ms"}, "more than 0 ms"),
        ({"tau": float("nan")}, "finite"),
        ({"rest": float("inf")}, "finite"),
        ({"rest": 1e39}, "finite"),
        ({"rest": "1e300 V"}, "finite|quantity"),
        ({"refractory": "-1 ms"}, "multiple of the step"),
    ],
)
def test_parameters_that_cannot_work_are_refused(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(NetworkInvalid, match=complaint):
        Network(dt="0.1 ms").population("neurons", 1, MODELS["lif_coba"], **parameters)


@pytest.mark.parametrize("name", list(MODELS))
def test_no_model_takes_a_time_constant_of_zero(name: str) -> None:
    for parameter in MODELS[name].parameters:
        if parameter.startswith("tau"):
            with pytest.raises(NetworkInvalid, match="more than 0"):
                Network(dt="0.1 ms").population("neurons", 1, MODELS[name], **{parameter: 0})


def _mine(**changes: Any) -> Model:
    made: dict[str, Any] = {
        "name": "mine",
        "parameters": {"tau": Value("10 ms", "ms", "time constant")},
        "states": {"v": 0.0},
        "inputs": ("push",),
        "update": "v = v + push",
        "threshold": "v > 1",
    }
    return Model(**(made | changes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"states": {"exp": 0.0}}, "'exp' is taken"),
        ({"states": {"v": 0.0, "hold": 0.0}}, "'hold' is taken"),
        ({"states": {"v": 0.0, "tau": 0.0}}, "'tau' is taken"),
        ({"states": {"v": 0.0, "push": 0.0}}, "'push' is taken"),
        ({"states": {"v": 0.0, "a-b": 0.0}}, "'a-b' is no name"),
        ({"states": {"v": 0.0, "if": 0.0}}, "'if' is taken"),
        ({"states": {"v": "rest"}}, "no parameter or constant"),
        ({"states": {"v": float("nan")}}, "begins as nan"),
        ({"constants": lambda p, dt: {"leak": decay(dt, p["tau"] - p["tau"])}}, "cannot be computed"),
        ({"constants": lambda p, dt: {"leak": dt / 0}}, "cannot be computed"),
        ({"constants": lambda p, dt: {"leak": dt * 10**40}}, "finite"),
    ],
)
def test_models_that_cannot_work_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(NetworkInvalid, match=complaint):
        Network(dt="0.1 ms").population("neurons", 1, _mine(**changes))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, "high", None, 1j])
def test_states_are_finite_numbers(value: Any) -> None:
    network = Network(dt="0.1 ms")
    network.population("neurons", 2, MODELS["lif_coba"])
    engine = NumpyBackend().build(network)
    with pytest.raises(EngineMisuse, match=r"neurons\.v"):
        engine.write("neurons", "v", value)
    with pytest.raises(EngineMisuse, match=r"neurons\.v"):
        engine.write("neurons", "v", np.array([0.0, value]))
    assert engine.read("neurons", "v").tolist() == [-60, -60]
