"""The actor `snn.nir`: it computes a NIR file in a scenario, goes on from a snapshot, and names what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuraxis import Graph, Resource, Simulation
from neuraxis.errors import ScenarioInvalid
from neuraxis_snn import Spikes
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.nir_graphs import read_nir
from neuraxis_snn.nir_graphs.actor import NirNeurons
from tests.snn.nir_graphs import MS, chain, cuba, full, graph_of, lif, nir, recurrent

SCENARIO = """
neuraxis = 1

[scenario]
name = "from_nir"
tick = "5 ms"
until = "40 ms"
plugins = ["snn"]

[resources.graph]
path = "graph.nir"
sha256 = "{sha256}"

[actors.net]
kind = "snn.nir"
file = "graph"
dt = "1 ms"

[actors.raster]
kind = "snn.raster"
size = 2
dt = "1 ms"

[[channels]]
from = "net.spikes"
to = "raster.spikes"

[[inputs]]
at = "5 ms"
to = "net.spikes_in"
value = {{ steps = [0, 1, 3], neurons = [0, 1, 0] }}

[[inputs]]
at = "20 ms"
to = "net.spikes_in"
value = {{ steps = [0, 0, 2, 2], neurons = [0, 1, 0, 1] }}

[expect]
"net.came" = 7
"""


def test_a_scenario_runs_a_nir_file(tmp_path: Path) -> None:
    graph = chain(2, nir.Linear(np.array([[3.0, 0.0], [1.0, 2.5]])), lif(2), nir.Linear(np.eye(2) * 4), cuba(2))
    nir.write(tmp_path / "graph.nir", graph)
    sha256 = hashlib.sha256((tmp_path / "graph.nir").read_bytes()).hexdigest()
    (tmp_path / "scenario.toml").write_text(SCENARIO.format(sha256=sha256))
    with Simulation.from_scenario(tmp_path / "scenario.toml") as sim:
        figures = sim.advance(until="40 ms").figures()
    made = read_nir(graph, dt="1 ms")
    at = [(5, 0), (6, 1), (8, 0), (20, 0), (20, 1), (22, 0), (22, 1)]
    truth = made.build(NumpyBackend()).advance(40, {"input": Spikes.of(at)})["n3"]
    assert figures["net.spikes"] == len(truth) > 2
    assert figures["net.lag"] == 1


def test_an_actor_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    nir.write(tmp_path / "graph.nir", recurrent(MS))

    def graph() -> Graph:
        made = Graph("nir", tick="5 ms")
        made.add("net", NirNeurons, file=Resource(str(tmp_path / "graph.nir"), ""), dt="1 ms", backend=NumpyBackend())
        return made

    with Simulation(graph()) as sim:
        sim.inject("net.spikes_in", Spikes.of([(0, 0), (1, 1), (2, 0)]))
        sim.inject("net.spikes_in", Spikes.of([(3, 1)]))
        sim.advance(ticks=3)
        kept = sim.actor("net").capture()
        sim.advance(ticks=5)
        truth = sim.actor("net").capture()
    with Simulation(graph()) as sim:
        sim.actor("net").restore(kept)
        sim.advance(ticks=5)
        again = sim.actor("net").capture()
    assert again["engine"]["step"] == truth["engine"]["step"] == 40
    assert {name: each.tobytes() for name, each in again["engine"]["arrays"].items()} == {
        name: each.tobytes() for name, each in truth["engine"]["arrays"].items()
    }
    assert again["spiked"] == truth["spiked"] > 1


@pytest.mark.parametrize(
    ("graph", "changes", "complaint"),
    [
        (lambda: chain(1, lif(1)), {"entry": "nowhere"}, "no such entry"),
        (lambda: chain(1, nir.I(r=full(1, 1.0))), {}, "never spikes"),
        (lambda: recurrent(None), {}, "cycle"),
        (lambda: chain(1, nir.Threshold(full(1, 1.0))), {}, "no such nodes"),
    ],
)
def test_a_file_that_an_actor_cannot_use_is_a_mistake_of_the_graph(
    tmp_path: Path, graph: Callable[[], Any], changes: dict[str, Any], complaint: str
) -> None:
    nir.write(tmp_path / "graph.nir", graph())
    made = Graph("nir", tick="5 ms")
    resource = Resource(str(tmp_path / "graph.nir"), "")
    made.add("net", NirNeurons, file=resource, dt="1 ms", backend=NumpyBackend(), **changes)
    with pytest.raises(ScenarioInvalid, match=complaint):
        Simulation(made)


def test_a_graph_with_two_inputs_needs_to_be_told_which(tmp_path: Path) -> None:
    nodes = chain(1, lif(1)).nodes
    graph = graph_of(
        {**nodes, "other": nir.Input({"input": np.array([1])})}, ("input", "n0"), ("other", "n0"), ("n0", "output")
    )
    nir.write(tmp_path / "graph.nir", graph)
    resource = Resource(str(tmp_path / "graph.nir"), "")
    made = Graph("nir", tick="5 ms")
    made.add("net", NirNeurons, file=resource, dt="1 ms", backend=NumpyBackend())
    with pytest.raises(ScenarioInvalid, match="Write entry = one of"):
        Simulation(made)
    told = Graph("nir", tick="5 ms")
    told.add("net", NirNeurons, file=resource, dt="1 ms", backend=NumpyBackend(), entry="other")
    with Simulation(told) as sim:
        sim.inject("net.spikes_in", Spikes.of([(0, 0)]))
        assert sim.advance(ticks=2).figures()["net.came"] == 1
