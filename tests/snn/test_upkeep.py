"""Upkeep of weights, caps of states, and states that are no numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuraxis_snn import MODELS, PAIR_STDP, EngineMisuse, Model, Network, NetworkInvalid, Spikes, Value
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.errors import StateNotFinite
from neuraxis_snn.upkeep import Scaling, Upkeep, capped

STILL = {"gain_pre": 0.0, "gain_post": 0.0}
"""A rule with these gains changes nothing: what changes is upkeep."""


def _network(weights: Any, upkeep: Upkeep, **parameters: Any) -> Network:
    """Return lines `pre`, all joined to neurons that spike when told by `post`."""
    given = np.asarray(weights, float)
    network = Network(dt="1 ms", precision="float64")
    network.inputs("pre", given.shape[0])
    network.inputs("post", given.shape[1])
    network.population("layer", given.shape[1], MODELS["relay"])
    each = np.arange(given.shape[1])
    network.connect("post", "layer", "fire", weights=1.0, pre=each, post=each, delay=0)
    numbers = {"rule": PAIR_STDP, "upkeep": upkeep, **parameters}
    network.connect("pre", "layer", "hear", weights=given, delay=0, **numbers)
    return network


def _pairings(count: int, gap: int) -> dict[str, Spikes]:
    at = range(5, 5 + count * gap, gap)
    return {"pre": Spikes.of((step, 0) for step in at), "post": Spikes.of((step + 2, 0) for step in at)}


def test_a_weight_changes_by_no_more_than_its_cap_in_one_window() -> None:
    network = _network([[0.5]], Upkeep(window="100 ms", change_max=0.015), w_max=9.0)
    engine = NumpyBackend().build(network)
    found = []
    for _ in range(3):
        engine.advance(100, _pairings(4, 25))
        found.append(float(engine.weights("pre->layer")[0, 0]))
    free = NumpyBackend().build(_network([[0.5]], Upkeep(window="100 ms"), w_max=9.0))
    free.advance(100, _pairings(4, 25))
    moved = np.abs(np.diff([0.5, *found]))
    assert abs(float(free.weights("pre->layer")[0, 0]) - 0.5) > 0.016
    assert (moved <= 0.015 + 1e-15).all()
    assert (moved > 0.001).all(), "a new window has room again"
    assert engine.counters()["pre->layer.w_capped"] > 0


def test_the_cap_counts_changes_in_both_directions() -> None:
    network = _network([[0.5]], Upkeep(window="1 s", change_max=0.012), w_max=9.0)
    engine = NumpyBackend().build(network)
    engine.advance(30, {"pre": Spikes.of([(5, 0)]), "post": Spikes.of([(5, 0)])})
    assert engine.weights("pre->layer")[0, 0] == pytest.approx(0.51)
    engine.advance(30, {"pre": Spikes.of([(0, 0)])})
    assert engine.weights("pre->layer")[0, 0] == pytest.approx(0.508), "0.01 up leaves 0.002 for the way down"


def test_only_the_largest_weights_stay() -> None:
    weights = [[0.1, 0.5], [0.4, 0.2], [0.3, 0.5], [0.2, 0.5]]
    engine = NumpyBackend().build(_network(weights, Upkeep(window="10 ms", synapses_max=2), **STILL))
    engine.advance(10)
    assert engine.weights("pre->layer").tolist() == [[0, 0.5], [0.4, 0], [0.3, 0.5], [0, 0]]
    assert engine.counters()["pre->layer.pruned"] == 4


def test_small_weights_become_zero_and_may_grow_again() -> None:
    engine = NumpyBackend().build(_network([[0.05], [0.2]], Upkeep(window="10 ms", prune_below=0.1)))
    engine.advance(10)
    assert engine.weights("pre->layer").tolist() == [[0.0], [0.2]]
    engine.advance(9, _pairings(1, 1))
    assert engine.weights("pre->layer")[0, 0] > 0


def test_weights_are_normalised_at_the_end_of_every_window() -> None:
    weights = np.random.default_rng(1).uniform(0.1, 0.9, (20, 3))
    engine = NumpyBackend().build(_network(weights, Upkeep(window="10 ms", total=5.0), **STILL))
    engine.advance(9)
    assert np.array_equal(engine.weights("pre->layer"), weights)
    engine.advance(1)
    assert engine.weights("pre->layer").sum(axis=0) == pytest.approx(5.0, rel=1e-9)


def test_scaling_follows_its_equation() -> None:
    scaling = Scaling(goal="5 Hz", beta=0.02, gamma=0.001, tau="2 s")
    engine = NumpyBackend().build(_network([[0.2, 0.2]], Upkeep(window="1 s", scaling=scaling), w_max=99.0, **STILL))
    busy = Spikes.of((step, 1) for step in range(0, 1_000, 100))  # 10 Hz
    weights, rate, integral = np.full(2, 0.2), np.zeros(2), np.zeros(2)
    for _ in range(5):
        engine.advance(1_000, {"post": busy})
        rate = rate * np.exp(-0.5) + np.array([0.0, 10.0]) * (1 - np.exp(-0.5))
        integral += 5 - rate
        weights *= 1 + 0.02 * (5 - rate) + 0.001 * integral
    assert engine.weights("pre->layer")[0] == pytest.approx(weights, rel=1e-12)
    assert weights[0] > 0.2 > weights[1]


def test_scaling_is_held_back_where_it_would_leap() -> None:
    scaling = Scaling(goal="50 Hz", beta=1.0)
    engine = NumpyBackend().build(_network([[0.2]], Upkeep(window="1 s", scaling=scaling), w_max=0.7, **STILL))
    engine.advance(3_000)
    assert engine.weights("pre->layer")[0, 0] == 0.7
    counters = engine.counters()
    assert counters["pre->layer.factor_capped"] == 3
    assert counters["pre->layer.upkeep_high"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 2.0])
def test_scaling_makes_up_for_half_and_for_twice_the_input(share: float) -> None:
    network = Network(dt="1 ms", precision="float64")
    network.population("source", 50, MODELS["poisson"])
    network.population("neuron", 20, MODELS["lif_delta"], rest="-65 mV")
    upkeep = Upkeep(window="1 s", scaling=Scaling(goal="10 Hz", beta=0.02, tau="3 s"))
    network.connect("source", "neuron", "input", weights=1.4, rule=PAIR_STDP, w_max=50.0, upkeep=upkeep, **STILL)
    engine = NumbaBackend().build(network)
    engine.key = (1, 2)
    for rate in (10.0, 10.0 * share):
        engine.write("source", "chance", 2**24 * rate / 1000)
        engine.advance(60_000)
        assert len(engine.advance(10_000)["neuron"]) / 200 == pytest.approx(10, rel=0.2)


def test_upkeep_counts_only_steps_in_which_the_network_learns() -> None:
    engine = NumpyBackend().build(_network([[0.2]], Upkeep(window="10 ms", total=0.8), **STILL))
    engine.advance(50, learning=False)
    engine.advance(9)
    assert engine.weights("pre->layer")[0, 0] == 0.2
    engine.advance(1)
    assert engine.weights("pre->layer")[0, 0] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"window": "0 ms"}, "window"),
        ({"window": "0.5 ms"}, "multiple of the step"),
        ({"window": "1 s", "change_max": 0.0}, "change_max"),
        ({"window": "1 s", "change_max": float("nan")}, "change_max"),
        ({"window": "1 s", "total": -1.0}, "total"),
        ({"window": "1 s", "prune_below": float("inf")}, "prune_below"),
        ({"window": "1 s", "synapses_max": 0}, "synapses_max"),
        ({"window": "1 s", "scaling": Scaling(goal="5 ms")}, "upkeep"),
        ({"window": "1 s", "scaling": Scaling(goal=float("nan"))}, "goal"),
        ({"window": "1 s", "scaling": Scaling(goal=5, tau="0 s")}, "tau"),
        ({"window": "1 s", "scaling": Scaling(goal=5, beta=-1.0)}, "beta"),
    ],
)
def test_upkeep_that_makes_no_sense_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(NetworkInvalid, match=complaint):
        _network([[0.5]], Upkeep(**wrong))


def test_upkeep_needs_a_rule_and_pruning_a_smallest_weight_of_zero() -> None:
    with pytest.raises(NetworkInvalid, match="a rule changes"):
        _network([[0.5]], Upkeep(window="1 s"), rule=None)
    with pytest.raises(NetworkInvalid, match="cannot become 0"):
        _network([[0.5]], Upkeep(window="1 s", synapses_max=1), w_min=0.1)


# ---------------------------------------------------------------------------------- states


@pytest.mark.parametrize("backend", [NumpyBackend, NumbaBackend])
def test_a_capped_state_stays_within_its_limits_and_is_counted(backend: Any) -> None:
    network = Network(dt="1 ms", precision="float64")
    network.inputs("inputs", 1)
    network.population("neuron", 1, capped(MODELS["lif_exp"], v=("-75 mV", "-60 mV")))
    network.connect("inputs", "neuron", "exc", weights=90.0, delay=0)
    network.connect("inputs", "neuron", "inh", weights=-200.0, delay="30 ms", name="later")
    engine = backend().build(network)
    found = []
    for step in range(80):
        engine.advance(1, {"inputs": Spikes.of([(0, 0)] if step == 3 else [])})
        found.append(float(engine.read("neuron", "v")[0]))
    assert max(found) == -60
    assert min(found) == -75
    assert engine.counters()["neuron.v_clips"] == sum(v in (-60, -75) for v in found)


def test_a_cap_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(NetworkInvalid, match="no such state"):
        capped(MODELS["lif_exp"], vv=("-75 mV", "-60 mV"))
    with pytest.raises(NetworkInvalid, match="limits"):
        capped(MODELS["lif_exp"], v=("-60 mV", "-75 mV"))


EXPLODING = Model(
    name="exploding",
    parameters={"much": Value(1e30, None, "factor")},
    states={"x": 1.0},
    inputs=("input",),
    update="x = x * much",
    threshold="x < 0",
)


@pytest.mark.parametrize("backend", [NumpyBackend, NumbaBackend])
def test_a_state_that_becomes_infinite_stops_the_engine(backend: Any) -> None:
    network = Network(dt="1 ms")
    network.population("neuron", 3, EXPLODING)
    engine = backend().build(network)
    engine.write("neuron", "x", np.array([0.0, 1.0, 0.0]))
    engine.advance(1)
    engine.require_finite()
    engine.advance(1)
    with pytest.raises(StateNotFinite, match=r"neuron\.x: entry 1 is not finite after 2 steps") as caught:
        engine.require_finite()
    assert caught.value.subject == "neuron.x"
    engine.advance(1_000)
    with pytest.raises(StateNotFinite, match="after 1,024 steps"):
        engine.advance(22)


def test_weights_that_are_no_numbers_are_found_when_one_looks() -> None:
    engine = NumpyBackend().build(_network([[0.5], [0.5]], Upkeep(window="10 ms")))
    engine.require_finite()
    engine.arrays["pre->layer.weights"][1] = np.nan
    with pytest.raises(StateNotFinite, match="weights: entry 1"):
        engine.require_finite()
    with pytest.raises(StateNotFinite):
        engine.advance(10)
    with pytest.raises(EngineMisuse, match="the sum would be nan"):
        engine.normalise("pre->layer", float("nan"))
