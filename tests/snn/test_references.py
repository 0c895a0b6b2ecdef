"""The engine against what other simulators computed."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import numpy as np
import pytest

from neuraxis.seams.backend import Backend
from neuraxis_snn import MODELS, PAIR_STDP, Network, Spikes
from tests.snn.data import reference
from tests.snn.devices import needs_torch

BACKENDS = ("reference", "numpy", "numba", pytest.param("torch", marks=needs_torch))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    from neuraxis_snn.plugin import neuraxis_register_backends

    return neuraxis_register_backends()[request.param]()


def _pairs(steps: np.ndarray, neurons: np.ndarray) -> Iterator[tuple[int, int]]:
    return zip(steps.tolist(), neurons.tolist(), strict=True)


def test_the_lif_of_the_nir_paper_spikes_exactly_at_the_published_steps(backend: Backend) -> None:
    with reference("nir_lif/lif_norse.csv").open() as file:
        rows = [[float(cell) for cell in row] for row in csv.reader(file)]
    network = Network(dt="0.1 ms")
    network.inputs("inputs", 1)
    network.population("neuron", 1, MODELS["lif_nir"])
    network.connect("inputs", "neuron", "current", weights=1.0, delay=0)
    given = Spikes.of((step, 0) for step, row in enumerate(rows) if row[0])
    spikes = backend.build(network).advance(len(rows), {"inputs": given})["neuron"]
    assert spikes.steps.tolist() == [460, 510, 710, 760]
    assert [step for step, row in enumerate(rows) if row[2]] == [460, 510, 710, 760]


def test_lif_with_jumps_and_a_delay_per_synapse_gives_the_spikes_of_brian2(backend: Backend) -> None:
    data = np.load(reference("brian2_ref/lif_delta.npz"))
    network = Network(dt="0.1 ms", precision="float64")
    network.inputs("inputs", 40)
    network.population("layer", 10, MODELS["lif_delta"], tau="20 ms", rest="-70 mV", threshold="-50 mV", reset="-65 mV")
    pre, post = np.nonzero(np.ones((40, 10)))
    delays = data["delay_steps"].ravel()
    network.connect("inputs", "layer", "input", weights=data["w_mV"].ravel(), pre=pre, post=post, delay=delays)
    given = Spikes.of(_pairs(data["in_step"], data["in_index"]))
    spikes = backend.build(network).advance(5_000, {"inputs": given})["layer"]
    assert spikes.pairs() == sorted(_pairs(data["out_step"], data["out_index"]))
    assert len(spikes) == 458


def test_lif_with_exponential_currents_gives_the_spikes_of_brian2(backend: Backend) -> None:
    data = np.load(reference("brian2_ref/lif_exp.npz"))
    network = Network(dt="0.1 ms", precision="float64")
    network.inputs("inputs", 40)
    network.population(
        "layer", 10, MODELS["lif_exp"], rest="-52 mV", threshold="-50 mV", reset="-60 mV", refractory="5 ms"
    )
    network.connect("inputs", "layer", "exc", weights=np.maximum(data["w_mV"], 0), delay=0, name="excitatory")
    network.connect("inputs", "layer", "inh", weights=np.minimum(data["w_mV"], 0), delay=0, name="inhibitory")
    engine = backend.build(network)
    engine.write("layer", "v", -60.0)
    spikes = engine.advance(5_000, {"inputs": Spikes.of(_pairs(data["in_step"], data["in_index"]))})["layer"]
    assert spikes.pairs() == sorted(_pairs(data["out_step"], data["out_index"]))
    assert len(spikes) == 41


def test_pair_plasticity_gives_the_weights_of_brian2_to_one_in_a_billion(backend: Backend) -> None:
    data = np.load(reference("brian2_ref/stdp_pairs.npz"))
    network = Network(dt="0.1 ms", precision="float64")
    network.inputs("pre", 20)
    network.inputs("post", 20)
    network.population("layer", 20, MODELS["relay"])
    each = np.arange(20)
    network.connect("post", "layer", "fire", weights=1.0, pre=each, post=each, delay=0)
    network.connect(
        "pre", "layer", "hear", weights=data["w0"], pre=each, post=each, delay=0, rule=PAIR_STDP, tau_post="25 ms"
    )
    engine = backend.build(network)
    trace = []
    for begin in range(0, 20_000, 100):
        trace.append(engine.weights("pre->layer"))
        given = {}
        for name in ("pre", "post"):
            steps, neurons = data[f"{name}_step"], data[f"{name}_index"]
            inside = (steps >= begin) & (steps < begin + 100)
            given[name] = Spikes.of(_pairs(steps[inside] - begin, neurons[inside]))
        engine.advance(100, given)
    assert np.abs(np.array(trace).T - data["w_trace"]).max() < 1e-9
    assert np.abs(engine.weights("pre->layer") - data["w_end"]).max() < 1e-9
