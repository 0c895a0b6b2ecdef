"""Synapses that are drawn where they are needed, their memory, and networks that threads share."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from neuraxis_snn import MODELS, PAIR_STDP, Engine, Network, Spikes
from neuraxis_snn.backends.plan import STEPS_AT_ONCE
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numba import NumbaBackend, NumbaEngine
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.connect import Constant, Normal, Uniform, fixed_in_degree, fixed_probability, weights
from neuraxis_snn.encoders import poisson
from neuraxis_snn.errors import MemoryShort, NetworkInvalid

SEED = (5, 6)
STEPS = 120


def crowd(size: int = 600, *, precision: str = "float32", weight_bits: Any = None) -> Network:
    """Return two populations of one model and one of another, with synapses of every form, drives and noise."""
    network = Network(dt="0.1 ms", precision=precision, weight_bits=weight_bits)  # type: ignore[arg-type]
    network.inputs("lines", 20)
    network.population("left", size, MODELS["lif_exp"], tau="10 ms", tau_exc="2 ms", tau_inh="3 ms", refractory="1 ms")
    network.population("right", 300, MODELS["lif_exp"], tau="8 ms", tau_exc="2 ms", tau_inh="3 ms", refractory="2 ms")
    network.population("noise", 40, MODELS["poisson"], record=False)
    network.drive("left", "exc", rate="6 kHz", weight=2.0)
    network.drive("right", "exc", rate="9 kHz", weight=1.6)
    pairs = (("left", "right"), ("right", "left"), ("right", "right"), ("noise", "left"))
    for number, (source, target) in enumerate(pairs):
        sizes = network.populations[source].size, network.populations[target].size
        ends = partial(fixed_probability, *sizes, probability=0.1, seed=SEED, projection=number)
        spread: Any = Normal("1.5 ms", "0.7 ms", low="0.3 ms") if number % 2 else "0.8 ms"
        strength: Any = Normal(1.0, 0.2) if number < 3 else 2.5
        network.connect(source, target, "inh" if number == 2 else "exc", synapses=ends, weights=strength, delay=spread)
    lines = partial(fixed_in_degree, 20, 300, degree=2, seed=SEED, projection=9)
    network.connect("lines", "right", "exc", synapses=lines, weights=4.0, delay=0)
    return network


def spoken(engine: Engine, parts: tuple[int, ...] = (STEPS,)) -> tuple[Any, ...]:
    """Return everything that an engine says of a run in some calls: spikes and states."""
    engine.key = (7, 8)
    engine.write("noise", "chance", poisson(np.full(40, 200.0), "0.1 ms"))
    found, begin = [], 0
    for steps in parts:
        given = [(step, line) for step in range(begin, begin + steps) for line in range(20) if (step * line) % 31 == 5]
        spikes = engine.advance(steps, {"lines": Spikes.of([(step - begin, line) for step, line in given])})
        found += [
            (name, begin + step, neuron)
            for name, each in spikes.items()
            for step, neuron in zip(each.steps.tolist(), each.neurons.tolist(), strict=True)
        ]
        begin += steps
    states = {name: array.tobytes() for name, array in engine.arrays.items()}
    return sorted(found), states


@pytest.mark.parametrize(
    ("precision", "weight_bits"), [pytest.param("float32", None, marks=pytest.mark.prove), ("float64", 16)]
)
def test_drawn_synapses_give_the_same_bits_on_every_backend(precision: str, weight_bits: Any) -> None:
    network = crowd(40, precision=precision, weight_bits=weight_bits)
    wanted = spoken(ReferenceBackend().build(network))
    assert len({name for name, _, _ in wanted[0]}) == 2
    assert spoken(NumpyBackend().build(network)) == wanted
    assert spoken(NumbaBackend().build(network)) == wanted


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [2, 3, 4, 7])
def test_threads_give_the_same_bits(threads: int) -> None:
    network = crowd()
    wanted = spoken(NumpyBackend().build(network))
    assert spoken(NumbaBackend(threads).build(network)) == wanted
    assert spoken(NumbaBackend(threads).build(network), (1, 50, 3, 66)) == wanted


@pytest.mark.compiled
def test_a_state_goes_from_one_thread_to_three_and_to_numpy() -> None:
    network = crowd()
    wanted = spoken(NumbaBackend().build(network), (60, 60))
    first, *others = (NumbaBackend().build(network), NumbaBackend(3).build(network), NumpyBackend().build(network))
    begun = spoken(first, (60,))[0]
    state = first.capture()
    for engine in others:
        engine.restore(state)
        given = [(step, line) for step in range(60, 120) for line in range(20) if (step * line) % 31 == 5]
        spikes = engine.advance(60, {"lines": Spikes.of([(step - 60, line) for step, line in given])})
        found = [
            (name, 60 + int(step), int(neuron))
            for name, each in spikes.items()
            for step, neuron in zip(each.steps, each.neurons, strict=True)
        ]
        assert sorted(begun + found) == wanted[0]
        assert {name: array.tobytes() for name, array in engine.arrays.items()} == wanted[1]


@pytest.mark.compiled
@pytest.mark.parametrize("threads", [1, 2])
def test_more_spikes_than_a_record_has_room_for_are_all_recorded(threads: int) -> None:
    network = Network(dt="1 ms")
    network.population("busy", 600, MODELS["poisson"])
    network.population("other", 300, MODELS["poisson"])
    found = []
    for backend in (NumpyBackend(), NumbaBackend(threads)):
        engine = backend.build(network)
        engine.key = (7, 8)
        for name, size in (("busy", 600), ("other", 300)):
            engine.write(name, "chance", poisson(np.full(size, 900.0), "1 ms"))
        spikes = [engine.advance(steps) for steps in (200, 10, 200)]
        found.append([{name: each.pairs() for name, each in call.items()} for call in spikes])
    assert len(found[0][0]["busy"]) > 2 * STEPS_AT_ONCE * 900, "the first record takes fewer"
    assert found[0] == found[1]


@pytest.mark.compiled
def test_a_network_with_plasticity_keeps_its_bits_however_many_threads_are_allowed() -> None:
    def learned(threads: int) -> bytes:
        network = Network(dt="0.1 ms")
        network.population("sources", 50, MODELS["poisson"])
        network.population("neurons", 300, MODELS["lif_exp"], rest="-51 mV")
        ends = partial(fixed_probability, 50, 300, probability=0.3, seed=SEED, projection=1)
        network.connect("sources", "neurons", "exc", synapses=ends, weights=Uniform(0, 1), rule=PAIR_STDP, w_max=2.0)
        engine = NumbaBackend(threads).build(network)
        engine.write("sources", "chance", poisson(np.full(50, 200.0), "0.1 ms"))
        engine.advance(200)
        return engine.weights("sources->neurons").tobytes()

    assert learned(1) == learned(4)


@pytest.mark.compiled
@pytest.mark.parametrize(("weight_bits", "most"), [(None, 7.5), (16, 5.5)])
def test_a_drawn_synapse_takes_place_weight_and_delay_and_no_more(weight_bits: Any, most: float) -> None:
    network = Network(dt="0.1 ms", weight_bits=weight_bits)
    network.population("neurons", 1000, MODELS["lif_exp"])
    ends = partial(fixed_in_degree, 1000, 1000, degree=200, seed=SEED, projection=0)
    network.connect("neurons", "neurons", "exc", synapses=ends, weights=Normal(1, 0.1), delay=Uniform("1 ms", "5 ms"))
    engine = NumbaBackend().build(network)
    assert engine.degrees("neurons").sum() == 200_000
    assert engine.synapse_bytes / 200_000 <= most


@pytest.mark.compiled
def test_a_drawn_synapse_that_learns_takes_16_bytes() -> None:
    network = Network(dt="0.1 ms")
    network.population("neurons", 1000, MODELS["lif_exp"])
    ends = partial(fixed_in_degree, 1000, 1000, degree=200, seed=SEED, projection=0)
    network.connect("neurons", "neurons", "exc", synapses=ends, weights=Uniform(0, 1), rule=PAIR_STDP, w_max=1.0)
    engine = NumbaBackend().build(network)
    assert engine.synapse_bytes / 200_000 <= 16.3, "what belongs to neurons is little beside it"


@pytest.mark.compiled
@pytest.mark.parametrize("backend", [NumpyBackend, NumbaBackend, partial(NumbaBackend, 3)])
def test_targets_beyond_what_16_bits_can_name_are_reached(backend: Any) -> None:
    size = 70_000
    network = Network(dt="0.1 ms")
    network.inputs("line", 1)
    network.population("neurons", size, MODELS["lif_exp"], rest="-60 mV", threshold="-59 mV", tau_exc="5 ms")
    post = np.array([0, 32_767, 32_768, 65_535, 65_536, size - 1])
    network.connect("line", "neurons", "exc", weights=80.0, pre=np.zeros(6, int), post=post, delay=1)
    spikes = backend().build(network).advance(20, {"line": Spikes.of([(0, 0)])})["neurons"]
    assert sorted(set(spikes.neurons.tolist())) == post.tolist()


def test_weights_of_16_bits_are_those_asked_for_to_a_16384th() -> None:
    network = Network(dt="0.1 ms", weight_bits=16)
    network.population("neurons", 50, MODELS["lif_exp"])
    ends = partial(fixed_in_degree, 50, 50, degree=9, seed=SEED, projection=0)
    network.connect("neurons", "neurons", "exc", synapses=ends, weights=Normal(1, 0.2, low=0.5, high=2))
    asked = np.sort(weights(ends(), Normal(1, 0.2, low=0.5, high=2)))
    kept = np.sort(NumbaBackend().build(network).weights("neurons->neurons"))
    assert np.abs(kept - asked).max() <= 2 / 16_384 / 2
    assert np.abs(kept - asked).max() > 1e-6


def test_a_largest_weight_that_is_a_power_of_two_fits_into_16_bits() -> None:
    network = Network(dt="0.1 ms", weight_bits=16)
    network.population("neurons", 4, MODELS["lif_exp"])
    network.connect("neurons", "neurons", "exc", weights=np.array([1, -1, 0.5]), pre=[0, 1, 2], post=[1, 2, 3])  # type: ignore[arg-type]
    assert NumbaBackend().build(network).weights("neurons->neurons").tolist() == [1, -1, 0.5]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"weights": Normal(1, 1)}, "distributions are for synapses that are drawn"),
        ({"weights": 1.0, "delay": Constant("1 ms")}, "distributions are for synapses that are drawn"),
        ({"weights": np.ones(3), "synapses": "ends"}, "its weights are no finite number"),
        ({"weights": float("inf"), "synapses": "ends"}, "its weights are no finite number"),
        ({"weights": 1.0, "synapses": "ends", "delay": np.array([1, 2])}, "delays are an array"),
        ({"weights": 1.0, "synapses": "ends", "delay": Uniform(0, 3)}, "a delay may fall below a step"),
        ({"weights": 1.0, "synapses": "ends", "delay": 0}, "is too short"),
        ({"weights": 1.0, "synapses": "other"}, "synapses join 9 to 5 neurons"),
    ],
)
def test_synapses_that_cannot_be_are_refused_with_the_remedy(given: dict[str, Any], says: str) -> None:
    ends = {
        "ends": partial(fixed_in_degree, 5, 5, degree=1, seed=SEED, projection=0),
        "other": partial(fixed_in_degree, 9, 5, degree=1, seed=SEED, projection=0),
    }
    network = Network(dt="0.1 ms")
    network.population("neurons", 5, MODELS["lif_exp"])
    made = {**given, **({"synapses": ends[given["synapses"]]} if "synapses" in given else {})}
    with pytest.raises(NetworkInvalid, match=says):
        network.connect("neurons", "neurons", "exc", **made)


def test_other_bits_of_weights_are_refused() -> None:
    with pytest.raises(NetworkInvalid, match=r"weight_bits: it is 8\. Use 16, or None"):
        Network(dt="0.1 ms", weight_bits=8)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5", "257"])
def test_an_unusable_number_of_threads_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAXIS_THREADS", text)
    with pytest.raises(NetworkInvalid, match=rf"NEURAXIS_THREADS: it is '{text}'\. Use a whole number from 1 to 256"):
        NumbaBackend()


def test_the_environment_chooses_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAXIS_THREADS", "2")
    engine = NumbaBackend().build(crowd())
    assert isinstance(engine, NumbaEngine)
    assert engine.threads == 2


def test_too_little_memory_for_the_synapses_is_said_before_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    network = crowd()
    monkeypatch.setattr("neuraxis_snn.connect.ends.available_bytes", lambda: 100_000)
    with pytest.raises(MemoryShort, match="synapses"):
        NumbaBackend().build(network)
