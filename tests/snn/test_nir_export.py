"""Networks become NIR graphs and files, and come back with the same bits, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis.seams.backend import Backend
from neuraxis_snn import MODELS, PAIR_STDP, Network, Spikes
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.nir_graphs import NirNetwork, NirUnusable, nir_graph, read_nir, write_nir
from tests.snn.nir_graphs import MS, chain, full, layered, lif, nir, recurrent, run, volleys


def bits(made: NirNetwork | Network, spikes: Spikes, steps: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    given = made if isinstance(made, NirNetwork) else NirNetwork(made, {}, {}, {})
    return run(given, spikes, steps)


@settings(deadline=None, max_examples=40)
@given(graph=layered(), seed=st.integers(0, 1000), precision=st.sampled_from(["float32", "float64"]))
def test_a_graph_that_was_read_and_written_comes_back_with_the_same_bits(graph: Any, seed: int, precision: Any) -> None:
    first = read_nir(graph, dt="1 ms", precision=precision)
    second = read_nir(nir_graph(first), dt="1 ms", precision=precision)
    lines = int(graph.nodes["input"].input_type["input"][0])
    spikes = volleys(lines, 30, 40, seed)
    assert bits(first, spikes, 34) == bits(second, spikes, 34)
    assert first.outputs["output"].lag == second.outputs["output"].lag


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Return a network of `lif_nir`, with sparse synapses of any weight and delay."""
    dt = draw(st.sampled_from(["0.1 ms", "0.5 ms", "1 ms"]))
    network = Network(dt=dt, precision=draw(st.sampled_from(["float32", "float64"])))
    network.inputs("in", draw(st.integers(1, 4)))
    names = ["in"]
    for number in range(draw(st.integers(1, 3))):
        values = {
            "tau": f"{draw(st.integers(20, 400)) / 10} ms",
            "threshold": draw(st.floats(0.01, 1.0)),
            "resistance": draw(st.floats(0.5, 30.0)),
            "reset": draw(st.floats(-1.0, 0.0)),
        }
        network.population(f"p{number}", draw(st.integers(1, 4)), MODELS["lif_nir"], **values)
        names.append(f"p{number}")
    for number in range(draw(st.integers(1, 5))):
        source = "in" if number == 0 else draw(st.sampled_from(names))
        target = names[1] if number == 0 else draw(st.sampled_from(names[1:]))
        sizes = [network.populations[each].size for each in (source, target)]
        count = draw(st.integers(1, 8))
        pre, post = (draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count)) for n in sizes)
        delays = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
        weights = draw(st.lists(st.floats(-2.0, 4.0).map(lambda each: round(each, 12)), min_size=count, max_size=count))
        network.connect(
            source,
            target,
            "current",
            weights=np.array(weights),
            pre=np.array(pre),
            post=np.array(post),
            delay=np.array(delays),
            name=f"j{number}",
        )
    return network


@settings(deadline=None, max_examples=60)
@given(network=networks(), seed=st.integers(0, 1000))
@pytest.mark.compiled
def test_a_network_that_was_written_and_read_comes_back_with_the_same_bits(network: Network, seed: int) -> None:
    again = read_nir(nir_graph(network), dt=f"{network.dt} ms", precision=network.precision)
    spikes = volleys(network.populations["in"].size, 60, 80, seed)
    found = []
    for each in (NirNetwork(network, {}, {}, {}), again):
        found.append(run(each, spikes, 60, "in"))
    assert found[0] == found[1]


def test_a_file_is_written_alike_twice_and_read_again(tmp_path: Path, backend: Backend) -> None:
    made = read_nir(recurrent(MS), dt="1 ms")
    write_nir(made, tmp_path / "a.nir")
    write_nir(made, tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    again = read_nir(tmp_path / "a.nir", dt="1 ms")
    spikes = volleys(2, 40, 30, 1)
    found = [each.build(backend).advance(40, {"input": spikes})["n1"].pairs() for each in (made, again)]
    assert found[0] == found[1]
    assert found[0]
    assert nir.read(tmp_path / "a.nir").nodes["n1"].tau.tolist() == [0.004, 0.004], "other tools read it"


@pytest.mark.parametrize("model", ["lif_delta", "lif_exp"])
def test_exact_models_become_nodes_with_the_same_trajectory(model: str) -> None:
    network = Network(dt="0.1 ms", precision="float64")
    network.inputs("in", 5)
    values = {"rest": "-60 mV", "threshold": "-50 mV", "reset": "-62 mV", "refractory": "0 ms"}
    network.population("a", 6, MODELS[model], **values)
    network.population("b", 4, MODELS[model], **values)
    kind = MODELS[model].inputs[0]
    rng = np.random.default_rng(1)
    strength = 1.0 if model == "lif_delta" else 4.0
    network.connect("in", "a", kind, weights=rng.uniform(1, 4, (5, 6)) * strength, delay=0)
    pre, post = np.nonzero(rng.random((6, 4)) < 0.7)
    network.connect("a", "b", kind, weights=6.0 * strength, pre=pre, post=post, delay=2 * rng.integers(1, 5, len(pre)))
    again = read_nir(nir_graph(network), dt="0.1 ms", precision="float64")
    # lif_delta drops what arrives in the step of a spike: here a hears in even steps and spikes in odd ones
    spikes = Spikes.of((2 * step, line) for step, line in volleys(5, 1500, 1200, 2).pairs())
    first, second = NumpyBackend().build(network), again.build(NumpyBackend())
    found = [each.advance(3100, {"in": spikes}) for each in (first, second)]
    for name in ("a", "b"):
        assert found[0][name].pairs() == found[1][name].pairs()
        assert len(found[0][name]) > 20
        assert np.abs(first.read(name, "v") - second.read(name, "v")).max() < 1e-9


def test_a_network_without_counterpart_is_refused() -> None:
    def network(model: str = "lif_nir", **values: Any) -> Network:
        made = Network(dt="0.1 ms")
        made.inputs("in", 1)
        made.population("p", 1, MODELS[model], **values)
        return made

    exp = network("lif_exp", refractory="0 ms")
    exp.connect("in", "p", "exc", weights=1.0)
    exp.connect("in", "p", "inh", weights=-1.0, name="other")
    plastic = network()
    plastic.connect("in", "p", "current", weights=0.5, rule=PAIR_STDP)
    silent = Network(dt="1 ms")
    silent.population("p", 1, MODELS["lif_nir"], record=False)
    biased = read_nir(chain(1, nir.Affine(np.eye(1), full(1, 1.0)), lif(1)), dt="1 ms").network
    varying = read_nir(chain(2, lif(2, tau=[4 * MS, 8 * MS])), dt="1 ms").network
    driven = network()
    driven.drive("p", "current", rate="10 Hz", weight=1.0)
    slash = Network(dt="1 ms")
    slash.inputs("a/b", 1)
    cases = [
        (network("lif_conductance"), "no node for this model"),
        (network("lif_delta"), "no refractory time"),
        (exp, "one time constant"),
        (plastic, "no plasticity"),
        (silent, "records no population"),
        (biased, "constant current is not known"),
        (varying, "differs from neuron to neuron"),
        (driven, "no noise"),
        (slash, "cannot hold that name"),
    ]
    for made, complaint in cases:
        with pytest.raises(NirUnusable, match=complaint):
            nir_graph(made)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = read_nir(chain(1, lif(1)), dt="1 ms")
    with pytest.raises(NirUnusable, match="cannot be written"):
        write_nir(made, tmp_path / "nowhere" / "x.nir")
