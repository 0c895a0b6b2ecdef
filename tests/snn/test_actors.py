"""Neurons and a raster as actors."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraxis import Graph, Simulation
from neuraxis.errors import ScenarioInvalid
from neuraxis_snn import Spikes
from neuraxis_snn.actors import Neurons, Raster
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.plots import raster

ROOT = Path(__file__).parents[2]
RASTER = ROOT / "scenarios" / "raster.toml"


@pytest.mark.compiled
def test_the_raster_scenario_has_spikes_from_every_volley() -> None:
    with Simulation.from_scenario(RASTER) as sim:
        before = 0
        for until in ("50 ms", "100 ms", "150 ms", "200 ms"):
            after = sim.advance(until=until).figures()["neurons.spikes"]
            assert after > before
            before = after
        seen = sim.advance(ticks=1).figures()["raster.spikes"]  # it hears of spikes one tick later
        assert seen == before


def _neurons(**changes: object) -> Graph:
    graph = Graph("neurons", tick="1 ms")
    parameters = {"size": 3, "lines": 3, "backend": ReferenceBackend(), **changes}
    graph.add("neurons", Neurons, **parameters)
    return graph


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lines": 2}, "one-to-one"),
        ({"model": "poisson"}, "takes no input"),
        ({"values": ("tau",)}, "sets nothing"),
        ({"values": ("tua = 3 ms",)}, "no parameter 'tua'"),
        ({"values": ("tau = 3 mV",)}, "tau"),
    ],
)
def test_a_wrong_parameter_is_a_mistake_of_the_graph(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ScenarioInvalid, match=complaint):
        Simulation(_neurons(**changes))


def test_spikes_of_several_senders_are_taken_together() -> None:
    graph = _neurons(model="relay")
    with Simulation(graph) as sim:
        sim.inject("neurons.spikes_in", Spikes.of([(3, 0)]))
        sim.inject("neurons.spikes_in", Spikes.of([(3, 0), (1, 2)]))
        assert sim.advance(ticks=2).figures() == {"neurons.spikes": 2}


def test_a_step_that_is_no_fraction_of_the_tick_fails_with_the_remedy() -> None:
    from neuraxis.errors import ActorFailed

    with (
        Simulation(_neurons(dt="0.3 ms", values=("refractory = 3 ms",))) as sim,
        pytest.raises(ActorFailed, match="whole fraction"),
    ):
        sim.advance(ticks=2)


def test_a_raster_keeps_only_its_window() -> None:
    graph = Graph("raster", tick="1 ms")
    graph.add("raster", Raster, size=4, window="3 ms")
    with Simulation(graph) as sim:
        for _ in range(10):
            sim.inject("raster.spikes", Spikes.of([(0, 1), (5, 2)]))
            sim.advance(ticks=1)
        actor = sim.actor("raster")
        assert isinstance(actor, Raster)
        assert len(actor.kept) == 3
        assert sim.figures() == {"raster.spikes": 20}
        (chart,) = actor.charts()
        assert chart.picture is not None
        assert b"<svg" in chart.picture


def test_a_picture_of_many_spikes_is_drawn_as_pixels() -> None:
    import numpy as np

    times = np.linspace(0, 100, 30_000)
    assert raster("Many", "", times, np.zeros(30_000), 1).form == "png"


def test_pictures_are_the_same_bytes_every_time() -> None:
    import numpy as np

    charts = [raster("Few", "", np.array([1.0, 2.0]), np.array([0, 1]), 2) for _ in range(2)]
    assert charts[0].picture == charts[1].picture
