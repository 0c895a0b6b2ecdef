"""The layers: what they show, learn, answer and draw."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from neuraxis import Graph, Resource, Simulation
from neuraxis.launch import open_scenario
from neuraxis_cognition.associative import PLASTIC, Associative
from neuraxis_cognition.data import ImagesUnusable, load
from neuraxis_cognition.executive import answer, score, stands_for
from neuraxis_cognition.sensory import Eye
from neuraxis_snn.backends.with_numpy import NumpyBackend

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "scenarios" / "digits.toml"
SHORT = ("actors.sensory.train=6", "actors.sensory.label=3", "actors.sensory.test=3", "scenario.until=130")


@pytest.fixture(scope="module")
def ran() -> Simulation:
    sim = Simulation.from_scenario(DIGITS, overrides=SHORT)
    return sim.advance(until=130)


def test_every_picture_is_shown_for_seven_ticks_and_followed_by_three_of_rest(ran: Simulation) -> None:
    assert ran.figures()["sensory.showings"] == 12
    assert ran.figures()["executive.answered"] == 3


def test_the_layer_that_never_learns_sleeps_while_the_other_trains(ran: Simulation) -> None:
    frozen, learner = ran.actor("frozen"), ran.actor("associative")
    assert isinstance(frozen, Associative)
    assert isinstance(learner, Associative)
    assert frozen.engine.step == 6 * 10 * 100
    assert learner.engine.step == 12 * 10 * 100


def test_both_layers_are_scored_beside_shuffled_labels(ran: Simulation) -> None:
    figures = ran.figures()
    for name in ("accuracy", "shuffled", "frozen"):
        assert 0 <= figures[f"executive.{name}"] <= 1


def test_learning_changes_weights_and_thresholds_and_exams_change_nothing() -> None:
    sim = Simulation.from_scenario(DIGITS, overrides=SHORT)
    layer = sim.actor("associative")
    assert isinstance(layer, Associative)
    before = layer.engine.weights(PLASTIC)
    sim.advance(until=62)
    trained, theta = layer.engine.weights(PLASTIC), layer.engine.read("excitatory", "theta")
    assert not np.array_equal(before, trained)
    assert theta.max() > 20
    sim.advance(until=130)
    assert np.array_equal(trained, layer.engine.weights(PLASTIC))
    assert np.array_equal(theta, layer.engine.read("excitatory", "theta"))


def test_a_picture_that_few_neurons_answer_is_shown_again_and_stronger() -> None:
    sim = Simulation.from_scenario(DIGITS, overrides=[*SHORT, "actors.sensory.enough=1_000_000"])
    eye = sim.actor("sensory")
    assert isinstance(eye, Eye)
    sim.advance(until=35)
    assert eye.picture == 0
    assert eye.strength == 2 + 3


def test_the_report_shows_raster_and_receptive_fields(ran: Simulation) -> None:
    charts = {chart.title: chart for chart in ran.actor("monitor").charts()}
    assert {"Raster", "Receptive fields"} <= set(charts)
    assert all(chart.picture for chart in charts.values())


def test_neurons_stand_for_the_class_they_answer_most_on_average() -> None:
    responses = np.array([[5, 0, 0], [4, 1, 0], [0, 9, 0], [1, 8, 0], [0, 3, 0]])
    labels = np.array([0, 0, 1, 1, 2])
    classes = stands_for(responses, labels)
    assert classes.tolist() == [0, 1, -1]
    assert answer(np.array([[3, 1, 0], [1, 3, 9], [0, 0, 5]]), classes).tolist() == [0, 1, -1]
    assert score(list(responses), labels, [responses[0], responses[2]], np.array([0, 0])) == 0.5


def test_data_that_is_no_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    for content in (b"nothing", b""):
        path.write_bytes(content)
        with pytest.raises(ImagesUnusable, match=r"Name an \.npz file"):
            load(Resource(str(path), ""))
    np.savez(path, train_images=np.zeros((2, 4), np.uint8))
    with pytest.raises(ImagesUnusable):
        load(Resource(str(path), ""))
    parts = {name: np.zeros((2, 4)) for name in ("train_images", "train_labels", "test_images", "test_labels")}
    np.savez(path, **parts)
    with pytest.raises(ImagesUnusable, match="do not belong together"):
        load(Resource(str(path), ""))


def test_pickled_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    names = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(path, **{name: np.array([{}], dtype=object) for name in names})
    with pytest.raises(ImagesUnusable):
        load(Resource(str(path), ""))


def test_more_pictures_than_there_are_is_a_mistake_in_the_scenario() -> None:
    from neuraxis.errors import ScenarioInvalid

    with pytest.raises(ScenarioInvalid, match="fewer than are to be shown"):
        open_scenario(DIGITS, overrides=["actors.sensory.test=2_000"])


def test_the_shipped_data_is_what_the_scenario_pins() -> None:
    data = ROOT / "scenarios" / "data" / "mnist-part.npz"
    assert hashlib.sha256(data.read_bytes()).hexdigest() in DIGITS.read_text()


def test_a_state_goes_on_in_another_simulation() -> None:
    graph = Graph("layer", tick="50 ms")
    graph.add("layer", Associative, neurons=5, backend=NumpyBackend())
    first = Simulation(graph, seed=1)
    captured = first.advance(ticks=3).actor("layer").capture()
    second = Associative(neurons=5, backend=NumpyBackend())
    second.restore(captured)
    assert second.capture()["engine"]["arrays"].keys() == captured["engine"]["arrays"].keys()


def test_the_rest_after_a_picture_of_the_examination_may_be_longer() -> None:
    sim = Simulation.from_scenario(DIGITS, overrides=(*SHORT, 'actors.sensory.exam_rest="500 ms"'))
    sim.advance(until=6 * 10 + 6 * 17)
    assert sim.figures()["sensory.showings"] == 12
