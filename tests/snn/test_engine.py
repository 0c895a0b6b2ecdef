"""Numbers, noise, encoders, the language of equations, and every way to describe a network wrongly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from neuraxis_snn import (
    MODELS,
    PAIR_STDP,
    TRIPLET_STDP,
    EngineMisuse,
    Model,
    Network,
    NetworkInvalid,
    Spikes,
    Value,
    expressions,
    noise,
)
from neuraxis_snn.backends import with_numba
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.encoders import DRAWS, latency, poisson
from neuraxis_snn.network import power_above, steps_per_tick
from neuraxis_snn.numbers import decay, decimal_of, rounded

# ---------------------------------------------------------------------------------- numbers


def test_philox_gives_the_published_known_answers() -> None:
    # Random123, kat_vectors, philox4x32 10
    assert noise.philox_of_integers(0, 0, 0, 0, 0, 0) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    ones = 0xFFFFFFFF
    assert noise.philox_of_integers(ones, ones, ones, ones, ones, ones) == (
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    )
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
    assert noise.philox_of_integers(*pi) == (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)


def test_noise_is_the_same_for_one_neuron_and_for_many() -> None:
    many = noise.draws((1, 2), 3, 50, 4_000_000_003)
    assert [noise.draw((1, 2), 3, neuron, 4_000_000_003) for neuron in range(50)] == many.tolist()


def test_a_constant_is_rounded_once_to_the_nearest_float() -> None:
    exact = decay(Decimal("0.5"), Decimal(20))
    assert rounded(exact, "float64") == float(exact)
    halfway = Decimal(1) + Decimal(2) ** -24 + Decimal(2) ** -60  # just above the middle of two floats
    assert rounded(halfway, "float32") == np.nextafter(np.float32(1), np.float32(2))
    assert np.float32(float(halfway)) == np.float32(1), "rounding twice goes wrong here"


def test_quantities_and_numbers_become_decimals() -> None:
    assert decimal_of("20 ms", "ms") == 20
    assert decimal_of(0.1) == Decimal("0.1")


@pytest.mark.parametrize(("value", "power"), [(1.0, 0), (1.5, 1), (2.0, 1), (784.0, 10), (1024.0, 10), (0.25, -2)])
def test_the_power_above_a_number_is_exact(value: float, power: int) -> None:
    assert power_above(value) == power


def test_a_tick_that_is_no_whole_number_of_steps_is_refused() -> None:
    from fractions import Fraction

    assert steps_per_tick(Fraction(1, 20), 0.5) == 100
    with pytest.raises(NetworkInvalid, match="whole fraction"):
        steps_per_tick(Fraction(1, 1000), 0.3)


# --------------------------------------------------------------------------------- encoders


@pytest.mark.compiled
@pytest.mark.parametrize("backend", [NumpyBackend, NumbaBackend])
def test_poisson_spikes_have_the_rate_and_the_regularity_of_chance(backend: Any) -> None:
    network = Network(dt="1 ms")
    network.population("source", 200, MODELS["poisson"])
    engine = backend().build(network)
    engine.key = (5, 6)
    engine.write("source", "chance", poisson(np.full(200, 40.0), "1 ms"))
    spikes = engine.advance(5_000)["source"]
    counts = np.bincount(spikes.neurons, minlength=200)
    expected = 5_000 * (1 - np.exp(-0.04))
    assert abs(counts.mean() / expected - 1) < 0.02
    assert abs(counts.var() / counts.mean() - (1 - expected / 5_000)) < 0.25  # Bernoulli steps
    trains = np.zeros((200, 5_000), np.int8)
    trains[spikes.neurons, spikes.steps] = 1
    correlation = np.corrcoef(trains[:20].astype(float))
    assert np.abs(correlation[~np.eye(20, dtype=bool)]).max() < 0.07


def test_the_chance_of_a_spike_follows_the_exponential() -> None:
    chances = poisson(np.array([0.0, 100.0, 1e6]), "1 ms")
    assert chances[0] == 0
    assert chances[1] / DRAWS == pytest.approx(1 - np.exp(-0.1), rel=1e-12)
    assert chances[2] == DRAWS


def test_latency_grows_as_the_input_falls_and_is_silent_below_the_threshold() -> None:
    waits = latency(np.array([0.5, 1.0, 1.1, 2.0, 10.0]), "0.1 ms", "10 ms", 1.0)
    assert waits[0] == waits[1] == -1
    assert waits[2] > waits[3] > waits[4] >= 1
    assert waits[3] == round(100 * np.log(2))


def test_encoders_refuse_what_is_no_rate_and_no_threshold() -> None:
    with pytest.raises(EngineMisuse, match="negative"):
        poisson(np.array([-1.0]), "1 ms")
    with pytest.raises(EngineMisuse, match="threshold"):
        latency(np.array([1.0]), "1 ms", "10 ms", 0.0)


# --------------------------------------------------------------------------------- language


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("v = v ** 2", "more than the language"),
        ("v = sin(v)", "more than the language"),
        ("v = exp(v, v)", "more than the language"),
        ("v = exp", "unknown here"),
        ("exp = v", "which is taken"),
        ("F = v", "which is taken"),
        ("v = w", "unknown here"),
        ("v = v if v > 0 else 0", "more than the language"),
        ("v = 1 < v < 2", "more than the language"),
        ("v += 1", "no assignment"),
        ("v = (", "cannot be read"),
        ("tau = 3", "which is given"),
        ("v = True", "more than the language"),
    ],
)
def test_a_wrong_equation_is_refused_with_the_text_and_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(NetworkInvalid, match=complaint):
        expressions.statements(text, subject="model x", known={"tau"}, writable={"v"})


def test_a_condition_is_one_expression() -> None:
    with pytest.raises(NetworkInvalid, match="no single expression"):
        expressions.condition("v = 3", subject="model x", known={"v"})


MINE = Model(
    name="mine",
    parameters={"tau": Value("10 ms", "ms", "time constant"), "limit": Value(1.0, None, "where it spikes")},
    states={"v": 0.0, "w": 0.0},
    inputs=("push",),
    constants=lambda p, dt: {"leak": decay(dt, p["tau"])},
    update="""
        half = v * 0.5
        v = where(active & ~(w > 3), v * leak + push, half)
        w = where(v > 0.5, w + 1, -w)
    """,
    threshold="(v > limit) | (w == 7)",
    after="v = where(spiked, v - limit, v)",
)


@pytest.mark.parametrize("backend", [NumpyBackend, NumbaBackend])
def test_a_users_own_model_runs_on_every_backend_with_the_same_bits(backend: Any) -> None:
    network = Network(dt="1 ms")
    network.inputs("inputs", 3)
    network.population("mine", 3, MINE, tau="5 ms")
    network.connect("inputs", "mine", "push", weights=np.array([[0.7, 0, 0.1], [0, 0.9, 0.3], [0.2, 0.2, 1]]), delay=0)
    given = {"inputs": Spikes.of([(step, step % 3) for step in range(40)])}
    truth, engine = ReferenceBackend().build(network), backend().build(network)
    expected = truth.advance(40, given)["mine"].pairs()
    assert expected
    assert engine.advance(40, given)["mine"].pairs() == expected
    assert engine.read("mine", "w").tobytes() == truth.read("mine", "w").tobytes()


# --------------------------------------------------------------------------------- networks


def _small() -> Network:
    network = Network(dt="1 ms")
    network.inputs("inputs", 3)
    network.population("layer", 2, MODELS["lif_delta"])
    return network


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        (lambda: Network(dt="1 mV"), "dt"),
        (lambda: Network(dt="0 ms"), "dt"),
        (lambda: Network(dt="1 ms", precision="float16"), "precision"),  # type: ignore[arg-type]
        (lambda: _small().inputs("layer", 1), "taken"),
        (lambda: _small().inputs("more", 0), "size is 0"),
        (lambda: _small().population("more", 2, MODELS["lif_delta"], tua="1 ms"), "no parameter 'tua'"),
        (lambda: _small().population("more", 2, MODELS["lif_delta"], tau="1 mV"), "tau"),
        (lambda: _small().population("more", 2, MODELS["lif_delta"], refractory="0.5 ms"), "multiple of the step"),
        (lambda: _small().connect("inputs", "nowhere", "input", weights=1.0), "no population 'nowhere'"),
        (lambda: _small().connect("inputs", "layer", "inptu", weights=1.0), "takes no input 'inptu'"),
        (lambda: _small().connect("layer", "inputs", "input", weights=1.0), "takes no input"),
        (lambda: _small().connect("inputs", "layer", "input", weights=np.ones((2, 3))), "shape"),
        (lambda: _small().connect("inputs", "layer", "input", weights=float("nan")), "not finite"),
        (lambda: _small().connect("layer", "layer", "input", weights=1.0, delay=0), "too short"),
        (lambda: _small().connect("inputs", "layer", "input", weights=1.0, delay=np.array([1, 2])), "one delay"),
        (lambda: _small().connect("inputs", "layer", "input", weights=1.0, pre=[0], post=[0, 1]), "differ in length"),
        (lambda: _small().connect("inputs", "layer", "input", weights=1.0, pre=[9], post=[0]), "outside 0"),
        (lambda: _small().connect("inputs", "layer", "input", weights=1.0, rate=3), "no rule"),
        (lambda: _small().connect("inputs", "layer", "input", weights=9.0, rule=PAIR_STDP), "outside 0"),
        (lambda: _small().connect("inputs", "layer", "input", weights=0.5, rule=PAIR_STDP, w_max=-1), "w_min"),
        (lambda: _small().connect("inputs", "layer", "input", weights=0.5, rule=PAIR_STDP, gain=1), "no parameter"),
        (lambda: _small().connect("inputs", "layer", "input", weights=0.5, rule=PAIR_STDP, tau_pre="x"), "tau_pre"),
        (
            lambda: _small().connect(
                "inputs", "layer", "input", weights=0.5, pre=[0, 1], post=[0, 1], delay=np.array([1, 2]), rule=PAIR_STDP
            ),
            "one delay",
        ),
    ],
)
def test_a_wrong_network_is_refused_with_what_is_wrong(mistake: Any, complaint: str) -> None:
    with pytest.raises(NetworkInvalid, match=complaint):
        mistake()


def test_a_second_projection_needs_another_name() -> None:
    network = _small()
    network.connect("inputs", "layer", "input", weights=1.0)
    with pytest.raises(NetworkInvalid, match="the name is taken"):
        network.connect("inputs", "layer", "input", weights=1.0)


def test_engines_say_what_they_do_not_have() -> None:
    network = _small()
    network.connect("inputs", "layer", "input", weights=1.0)
    engine = NumpyBackend().build(network)
    for call in (
        lambda: engine.read("layers", "v"),
        lambda: engine.read("layer", "vv"),
        lambda: engine.write("layer", "v", np.ones(5)),
        lambda: engine.weights("nothing"),
        lambda: engine.normalise("inputs->layer", 1.0),
        lambda: engine.restore(NumpyBackend().build(Network(dt="1 ms")).capture()),
    ):
        with pytest.raises(EngineMisuse):
            call()


def test_sums_of_input_do_not_depend_on_the_order_of_synapses() -> None:
    rng = np.random.default_rng(1)
    pre, post = np.nonzero(rng.random((30, 20)) < 0.5)
    weights = rng.uniform(-3, 3, len(pre))
    given = {"inputs": Spikes.of([(step, line) for step in range(30) for line in range(30) if (step * line) % 3 == 0])}
    bits = set()
    for order in (np.arange(len(pre)), rng.permutation(len(pre)), np.arange(len(pre))[::-1]):
        network = Network(dt="1 ms")
        network.inputs("inputs", 30)
        network.population("layer", 20, MODELS["lif_delta"])
        network.connect("inputs", "layer", "input", weights=weights[order], pre=pre[order], post=post[order], delay=0)
        engine = NumpyBackend().build(network)
        engine.advance(30, given)
        bits.add(engine.read("layer", "v").tobytes())
    assert len(bits) == 1


def test_calls_longer_than_compiled_code_takes_at_once_give_the_same_spikes(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"inputs": Spikes.of([(step, line) for step in range(30) for line in range(3) if (step + line) % 4])}
    found = []
    for at_once in (with_numba.STEPS_MAX, 7):
        monkeypatch.setattr(with_numba, "STEPS_MAX", at_once)
        network = _small()
        network.connect("inputs", "layer", "input", weights=9.0, pre=[0, 1, 2], post=[0, 1, 1], delay=0)
        found.append(NumbaBackend().build(network).advance(30, given)["layer"].pairs())
    assert found[0]
    assert found[1] == found[0]


def test_weights_come_back_in_the_order_in_which_they_were_given() -> None:
    network = _small()
    network.connect("inputs", "layer", "input", weights=[0.25, 0.5, 0.75], pre=[2, 0, 1], post=[0, 1, 1])
    engine = NumbaBackend().build(network)
    assert engine.weights("inputs->layer").tolist() == [0.25, 0.5, 0.75]


def test_normalised_weights_sum_to_what_was_asked() -> None:
    network = Network(dt="1 ms")
    network.inputs("inputs", 50)
    network.population("layer", 4, MODELS["lif_delta"])
    weights = np.random.default_rng(1).uniform(0, 0.3, (50, 4))
    network.connect("inputs", "layer", "input", weights=weights, rule=TRIPLET_STDP)
    engine = NumpyBackend().build(network)
    engine.normalise("inputs->layer", 5.0)
    assert engine.weights("inputs->layer").sum(axis=0) == pytest.approx(5.0, rel=1e-5)


def test_sparse_plastic_weights_normalise_like_dense_ones() -> None:
    weights = np.random.default_rng(1).uniform(0, 0.3, (50, 4))
    pre, post = np.nonzero(np.ones((50, 4)))
    found = []
    for ends in ({}, {"pre": pre, "post": post}):
        network = Network(dt="1 ms")
        network.inputs("inputs", 50)
        network.population("layer", 4, MODELS["lif_delta"])
        given = weights.ravel() if ends else weights
        network.connect("inputs", "layer", "input", weights=given, rule=TRIPLET_STDP, **ends)
        engine = NumpyBackend().build(network)
        engine.normalise("inputs->layer", 5.0)
        found.append(engine.weights("inputs->layer").reshape(50, 4))
    assert np.array_equal(*found)
