"""Encoders of rates, and rates that change with time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from neuraxis_snn import MODELS, EngineMisuse, Network, Spikes
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.encoders import RateTable, follow, linear, poisson, tuning
from neuraxis_snn.engine import Engine


def _sources(size: int, dt: str = "1 ms", model: str = "poisson_rate") -> Engine:
    network = Network(dt=dt, precision="float64")
    network.inputs("lines", 2)
    network.population("sources", size, MODELS[model])
    network.population("echo", 1, MODELS["relay"])
    network.connect("lines", "echo", "fire", weights=1.0, delay=0)
    engine: Engine = NumpyBackend().build(network)
    engine.key = (5, 6)
    return engine


def test_linear_rates_reach_from_low_to_high() -> None:
    assert linear(np.array([[0.0, 0.5], [0.25, 1.0]]), 10, 50).tolist() == [[10, 30], [20, 50]]


def test_tuning_curves_are_gaussians_around_what_neurons_prefer() -> None:
    values, centres = np.array([0.3, 0.5]), np.linspace(0, 1, 11)
    rates = tuning(values, centres, 0.2, 80.0)
    assert rates.shape == (2, 11)
    assert rates[1].argmax() == 5
    assert rates[1, 5] == 80
    assert rates[1, :5].tolist() == pytest.approx(rates[1, :5:-1].tolist(), rel=1e-12)
    distance = Decimal((values[0] - centres[7]) / 0.2)
    assert rates[0, 7] == pytest.approx(float(80 * (-(distance**2) / 2).exp()), rel=1e-15)
    decoded = (rates * centres).sum(axis=1) / rates.sum(axis=1)
    assert decoded[1] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: linear(np.array([1.5])),
        lambda: linear(np.array([np.nan])),
        lambda: linear(np.array([0.5]), -1, 3),
        lambda: tuning(np.array([np.inf]), np.zeros(2), 1.0),
        lambda: tuning(np.zeros((2, 2)), np.zeros(2), 1.0),
        lambda: tuning(np.zeros(1), np.zeros(2), 0.0),
        lambda: tuning(np.zeros(1), np.zeros(2), 1.0, -3.0),
        lambda: RateTable.of(["0 ms"], np.array([1.0, 2.0]), "1 ms"),
        lambda: RateTable.of([], np.array([]), "1 ms"),
        lambda: RateTable.of(["0 ms"], np.array([-1.0]), "1 ms"),
        lambda: RateTable.of(["2 ms", "1 ms"], np.array([1.0, 2.0]), "1 ms"),
        lambda: RateTable.of(["0.5 ms"], np.array([1.0]), "1 ms"),
        lambda: RateTable.of(["soon"], np.array([1.0]), "1 ms"),
        lambda: RateTable.of(["1 ms"], np.array([1.0]), "0 ms"),
    ],
)
def test_values_that_cannot_be_encoded_are_refused(mistake: Any) -> None:
    with pytest.raises(EngineMisuse):
        mistake()


def test_a_rate_that_stays_gives_the_spikes_of_the_plain_source() -> None:
    rates = np.linspace(0, 900, 50)
    plain, changing = _sources(50, model="poisson"), _sources(50)
    plain.write("sources", "chance", poisson(rates, "1 ms"))
    changing.write("sources", "rate", rates)
    expected = plain.advance(300)["sources"].pairs()
    assert expected
    assert changing.advance(300)["sources"].pairs() == expected


def test_spikes_follow_the_rates_of_a_table() -> None:
    table = RateTable.of(["0 ms", "400 ms", "600 ms"], np.array([0.0, 100.0, 20.0]), "1 ms")
    spikes = follow(_sources(2_000), {"sources": table}, 1_000)["sources"]
    counts = np.histogram(spikes.steps, np.arange(0, 1_001, 100))[0] / 2_000
    t = np.arange(1_000) + 0.5
    rates = np.interp(t, [0, 400, 600], [0, 100, 20])
    expected = (1 - np.exp(-rates / 1000)).reshape(10, 100).sum(axis=1)
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max() / 2_000)


def test_stairs_stay_until_the_next_knot() -> None:
    rates = np.array([[0.0, 1e9], [1e9, 0.0]])
    table = RateTable.of(["0 ms", "5 ms"], rates, "1 ms", stairs=True)
    spikes = follow(_sources(2), {"sources": table}, 8)["sources"]
    assert spikes.pairs() == [(step, 1) for step in range(5)] + [(step, 0) for step in range(5, 8)]


def test_a_run_that_follows_a_table_may_be_cut_anywhere() -> None:
    table = RateTable.of(["3 ms", "40 ms", "77 ms"], np.array([300.0, 900.0, 10.0]), "1 ms")
    lines = Spikes.of([(0, 0), (39, 1), (40, 0), (99, 1)])
    whole = follow(_sources(20), {"sources": table}, 100, {"lines": lines})
    assert [step for step, _ in whole["echo"].pairs()] == [0, 39, 40, 99]
    engine, begin = _sources(20), 0
    pairs: list[tuple[int, int]] = []
    for steps in (1, 39, 0, 20, 17, 23):
        found = follow(engine, {"sources": table}, steps)["sources"].pairs()
        pairs += [(step + begin, neuron) for step, neuron in found]
        begin += steps
    assert pairs == whole["sources"].pairs()


def test_spikes_outside_the_steps_are_refused_while_a_table_is_followed() -> None:
    table = RateTable.of(["0 ms", "5 ms"], np.array([1.0, 2.0]), "1 ms")
    for step in (-1, 10):
        with pytest.raises(EngineMisuse):
            follow(_sources(2), {"sources": table}, 10, {"lines": Spikes.of([(step, 0)])})
