"""Associative memories, in small forms: each does what its publication says, and equals its ideal where it has one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuraxis import Graph, Simulation
from neuraxis.errors import ActorFailed, ScenarioInvalid
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.published import bcpnn_memory, hopfield, willshaw, willshaw_pairs
from neuraxis_snn.published.mean_field import critical, expected

SEED = (1, 2)

# ----------------------------------------------------------------------------------------- pairs


def test_pairs_join_the_first_layer_to_the_second_and_fill_half_of_it_at_capacity() -> None:
    units, active = 256, 8
    count = willshaw_pairs.capacity(units, active)
    first, second = (
        willshaw.patterns(seed=SEED, units=units, active=active, count=count, projection=each) for each in (0, 1)
    )
    assert (first != second).any()
    joined = willshaw_pairs.memory(first, second, units)
    wanted = {(a, b) for one, other in zip(first.tolist(), second.tolist(), strict=True) for a in one for b in other}
    assert {(int(a), int(b)) for a, b in zip(*np.nonzero(joined), strict=True)} == wanted
    assert joined.mean() == pytest.approx(1 - (1 - active**2 / units**2) ** count, abs=0.01)
    assert joined.mean() == pytest.approx(0.5, abs=0.01)


def test_what_a_synapse_tells_tends_to_the_logarithm_of_two() -> None:
    bits = [willshaw_pairs.bits_per_synapse(2**n, n, willshaw_pairs.capacity(2**n, n), [0]) for n in (10, 20, 40, 80)]
    assert bits == sorted(bits)
    assert bits[-1] < np.log(2)
    assert willshaw_pairs.bits_per_synapse(512, 9, 2_243, [1, 2]) == pytest.approx(0.495, abs=0.005)


def test_spikes_recall_what_the_ideal_memory_recalls_from_sentences_too() -> None:
    stored = [np.array(each) for each in ([1, 5, 9, 13], [2, 5, 8, 11, 14], [0, 3, 6])]  # of different lengths
    joined = willshaw.memory(stored, 16)
    engine = NumpyBackend().build(willshaw.build(joined))
    for pattern in stored:
        cue = pattern[:-1]
        found = willshaw.recall(engine, cue, np.zeros(len(cue), np.int64), 10, dt_ms=0.1, pause_ms=150.0)
        assert found.tolist() == np.nonzero(joined[cue].sum(axis=0) >= len(cue))[0].tolist()
    cue = np.array([1, 2, 3])
    assert len(willshaw.recall(engine, cue, np.zeros(3, np.int64), 10, dt_ms=0.1, pause_ms=150.0)) == 0, "unrelated"


# -------------------------------------------------------------------------------------- hopfield


def _ideal(joined: np.ndarray, active: int, pattern: np.ndarray, cycle: int, cycles: int, threshold: float) -> Any:
    """Update units in turn; those of one step together."""
    units = len(joined)
    states, turn = np.zeros(units), np.arange(units) * cycle // units
    states[pattern] = 1.0
    limit = threshold * (units / active - 1) * units
    for _ in range(cycles - 1):  # the first is the cue
        for step in range(cycle):
            field = joined @ states - active / units * joined.sum(axis=1)
            states = np.where(turn == step, field > limit, states)
    return np.flatnonzero(states)


@pytest.mark.parametrize("backend", [ReferenceBackend(), NumpyBackend()], ids=lambda each: each.name)
@pytest.mark.parametrize(("active", "load", "threshold"), [(24, 0.25, 0.0), (6, 0.5, 0.55)])
def test_neurons_that_take_turns_are_the_units_of_a_hopfield_network(
    backend: Any, active: int, load: float, threshold: float
) -> None:
    units, cycle, cycles = 48, 16, 4
    stored = willshaw.patterns(seed=SEED, units=units, active=active, count=int(load * units))
    joined = hopfield.weights(stored, units)
    engine = backend.build(hopfield.build(joined, active, cycle="1.6 ms"))
    hopfield.begin(engine, joined, active, threshold=threshold)
    rng, recalled = np.random.default_rng(3), []
    for pattern in stored[:4]:
        cue = np.sort(rng.permutation(units)[: active // 2]) if active > 6 else pattern
        fired = engine.advance(cycles * cycle, hopfield.cued(cue, units, cycle))["neurons"]
        last = fired.neurons[fired.steps >= (cycles - 1) * cycle]
        assert np.sort(last).tolist() == _ideal(joined, active, cue, cycle, cycles, threshold).tolist()
        recalled.append(hopfield.overlap(last, pattern, units))
    assert len(set(recalled)) > 1, "beyond the capacity it is not always the pattern"


def test_weights_are_those_of_units_of_plus_and_minus_one_for_half_of_all_units() -> None:
    stored = willshaw.patterns(seed=SEED, units=20, active=10, count=7)
    signs = -np.ones((7, 20))
    np.put_along_axis(signs, stored.astype(np.int64), 1.0, axis=1)
    wanted = signs.T @ signs
    np.fill_diagonal(wanted, 0.0)
    assert hopfield.weights(stored, 20).tolist() == wanted.tolist()


def test_inhibition_takes_nothing_while_as_many_spike_as_a_pattern_has() -> None:
    stored = willshaw.patterns(seed=SEED, units=96, active=8, count=20)
    joined, found = hopfield.weights(stored, 96), []
    for inhibition in (0.0, 0.5):
        engine = NumpyBackend().build(hopfield.build(joined, 8, inhibition=inhibition))
        hopfield.begin(engine, joined, 8, threshold=0.6, inhibition=inhibition)
        fired = engine.advance(500, hopfield.cued(stored[0], 96, 100))["neurons"]
        found.append(fired.neurons[fired.steps >= 400].tolist())
    assert found[0] == found[1] == stored[0].tolist()


def test_correlation_falls_with_others_that_are_active_too() -> None:
    pattern = np.arange(10)
    assert hopfield.correlation(pattern, pattern, 100) == pytest.approx(1.0)
    states = np.zeros((2, 100))
    states[0, :10] = states[1, 3:40] = 1.0
    found = hopfield.correlation(np.arange(3, 40), pattern, 100)
    assert found == pytest.approx(np.corrcoef(states)[0, 1])
    assert found < hopfield.overlap(np.arange(3, 40), pattern, 100)
    assert hopfield.correlation(np.array([], np.int64), pattern, 100) == 0.0


def test_theory_knows_the_critical_load_and_the_overlap_there() -> None:
    assert critical(0.5, 0.0) == pytest.approx(0.138, abs=0.0005)
    assert expected(0.1375, 0.5, 0.0) == pytest.approx(0.97, abs=0.005)
    assert expected(0.15, 0.5, 0.0) < 1e-6
    sparse = [critical(share, 0.65) * 2 * share * np.log(1 / share) for share in (2.0**-4, 2.0**-6, 2.0**-10)]
    assert sparse == sorted(sparse), "towards 1, slowly"
    assert sparse[-1] < 1


# ----------------------------------------------------------------------------------------- bcpnn


def test_weights_grow_between_units_that_were_shown_together() -> None:
    shown = bcpnn_memory.patterns(seed=SEED, hypers=4, minis=3, count=3, projection=0)
    weights, bias = bcpnn_memory.learned(shown, 3, NumpyBackend(), seed=SEED)
    pre, post = bcpnn_memory.synapses(4, 3)
    together = np.zeros((12, 12), bool)
    for each in shown:
        active = np.arange(4) * 3 + each
        together[np.ix_(active, active)] = True
    assert weights[together[pre, post]].min() > weights[~together[pre, post]].max()
    ever = np.zeros(12, bool)
    ever[(np.arange(4) * 3 + shown).reshape(-1)] = True
    assert bias[ever].min() > bias[~ever].max(initial=-99.0)


def test_distorted_patterns_differ_in_the_hypercolumns_that_are_drawn_anew() -> None:
    whole = bcpnn_memory.patterns(seed=SEED, hypers=10, minis=50, count=40, projection=0)
    found = bcpnn_memory.distorted(whole, 50, 3, seed=SEED, projection=1)
    differing = (found != whole).sum(axis=1)
    assert differing.max() == 3
    assert differing.mean() == pytest.approx(3 * 49 / 50, abs=0.2)
    assert (bcpnn_memory.distorted(whole, 50, 0, seed=SEED, projection=1) == whole).all()


def test_a_small_memory_completes_its_patterns() -> None:
    shown = np.array([[0, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 1], [2, 3, 4, 0, 1, 2]])
    weights, bias = bcpnn_memory.learned(np.tile(shown, (2, 1)), 5, NumpyBackend(), seed=SEED)
    engine = NumpyBackend().build(bcpnn_memory.build(2.0 * weights, 6, 5))
    engine.key = SEED
    bcpnn_memory.begin(engine, bias)
    for pattern in shown:
        cue = pattern.copy()
        cue[3:] = -1
        _, counts = bcpnn_memory.recall(engine, cue, 5, 0.5)
        assert counts.argmax(axis=1).tolist() == pattern.tolist()


# -------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("kind", "parameters", "remedy"),
    [
        (willshaw_pairs.WillshawPairs, {"units": 16, "active": 20}, "fewer active"),
        (hopfield.Hopfield, {"units": 32, "active": 20}, "at most half"),
        (bcpnn_memory.BcpnnMemory, {"hypers": 4, "wrong": 5}, "as many as there are"),
    ],
)
def test_what_does_not_fit_is_refused(kind: Any, parameters: dict[str, Any], remedy: str) -> None:
    graph = Graph("memory", tick="200 ms")
    graph.add("network", kind, backend=NumpyBackend(), **parameters)
    with pytest.raises(ScenarioInvalid, match=remedy):
        Simulation(graph)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (hopfield.Hopfield, {"units": 32, "active": 16}),
        (bcpnn_memory.BcpnnMemory, {"hypers": 2, "minis": 2, "patterns": 2, "showings": 1, "wrong": 0}),
    ],
)
def test_ticks_that_are_no_whole_recall_are_refused(kind: Any, parameters: dict[str, Any]) -> None:
    graph = Graph("memory", tick="25 ms")
    graph.add("network", kind, backend=NumpyBackend(), **parameters)
    with Simulation(graph) as sim, pytest.raises(ActorFailed, match="tick: "):
        sim.advance(ticks=2)
