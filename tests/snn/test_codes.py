"""Encoders of times, texts and embeddings."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis_snn import MODELS, EngineMisuse, Model, Network, Spikes
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.encoders import (
    TextCode,
    VectorCode,
    linear_latency,
    poisson,
    rank_weights,
    ranks,
    sign_split,
    step_decode,
    step_forward,
)

FOX = "The quick brown fox jumps over the lazy dog."

# ----------------------------------------------------------------------------------------- rates


def test_signs_are_split_into_two_rates_whose_difference_is_the_value() -> None:
    rates = sign_split(np.array([[0.5, -2.0, 0.0], [0.0, 0.0, 0.0]]), 80.0)
    assert rates.tolist() == [[20, 0, 0, 0, 80, 0], [0, 0, 0, 0, 0, 0]]
    assert ((rates[0, :3] - rates[0, 3:]) / 80 * 2).tolist() == [0.5, -2.0, 0.0]


# ----------------------------------------------------------------------------------------- times


def test_a_linear_latency_falls_from_the_longest_time_to_one_step() -> None:
    waits = linear_latency(np.array([0.0, 0.001, 0.5, 0.999, 1.0]), "0.1 ms", "20 ms")
    assert waits.tolist() == [-1, 200, 100, 1, 1]
    assert linear_latency(np.array([0.2, 0.3]), "1 ms", "20 ms", 0.2).tolist() == [-1, 14]


def test_ranks_do_not_change_with_contrast_and_brightness() -> None:
    values = np.array([0.3, 0.9, 0.0, 0.3, 0.5])
    assert ranks(values).tolist() == [2, 0, -2, 3, 1]
    assert ranks(7 * values).tolist() == ranks(np.sqrt(values)).tolist() == ranks(values).tolist()
    assert rank_weights(ranks(values), 0.5).tolist() == [0.25, 1.0, 0.0, 0.125, 0.5]


DESENSITISED = Model(
    name="desensitised",
    parameters={},
    states={"v": 0.0, "gain": 1.0},
    inputs=("pattern", "arrived"),
    update="",
    threshold="v > 1e9",
    after="""
        v = v + gain * pattern
        gain = where(arrived > 0, gain * 0.5, gain)
    """,
)
"""Every spike that arrives halves what later ones add: it reads an order."""


@pytest.mark.parametrize("backend", [ReferenceBackend(), NumpyBackend()], ids=lambda each: each.name)
def test_a_neuron_that_every_spike_desensitises_computes_the_weights_of_ranks(backend: Any) -> None:
    values, size = np.array([0.3, 0.9, 0.0, 0.4, 0.5]), 5
    network = Network(dt="1 ms", precision="float64")
    network.population("source", size, MODELS["timed"])
    network.population("reader", 2, DESENSITISED)
    weights = np.stack([rank_weights(ranks(values), 0.5), rank_weights(ranks(values[::-1]), 0.5)], axis=1)
    network.connect("source", "reader", "pattern", weights=weights, name="pattern")
    network.connect("source", "reader", "arrived", weights=1.0, name="arrived")
    engine = backend.build(network)
    engine.write("source", "wait", ranks(values) + 1)
    engine.advance(10)
    assert engine.read("reader", "v").tolist() == (rank_weights(ranks(values), 0.5) @ weights).tolist()
    assert engine.read("reader", "v")[0] > engine.read("reader", "v")[1], "the order that its weights have"


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.floats(0.05, 1))
def test_a_signal_that_changes_slowly_comes_back_to_within_a_threshold(changes: list[float], threshold: float) -> None:
    signal = np.cumsum(np.array(changes) * threshold)
    spikes = step_forward(signal, threshold)
    found = step_decode(spikes, signal[:1], threshold, len(signal))
    assert np.abs(found[:, 0] - signal).max() <= threshold * (1 + 1e-9)


def test_a_step_of_a_signal_is_followed_one_threshold_at_a_time() -> None:
    signal = np.array([[0.0, 0.0], [0.35, 0.0], [0.35, -0.15], [0.35, -0.15], [0.35, -0.15]])
    assert step_forward(signal, 0.1).pairs() == [(1, 0), (2, 0), (2, 3), (3, 0)]


# ----------------------------------------------------------------------------------------- texts


def test_a_text_has_the_same_code_in_every_process() -> None:
    ours = TextCode(active=8).encode(FOX).tolist()
    line = f"from neuraxis_snn.encoders import TextCode; print(TextCode(active=8).encode({FOX!r}).tolist())"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", line], env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == str(ours)
    assert ours == [188, 282, 864, 903, 1214, 1342, 1552, 1983], "written down: codes that are stored stay readable"


def _share(code: TextCode, first: str, second: str) -> float:
    return len(np.intersect1d(code.encode(first), code.encode(second))) / code.active


def test_alike_texts_share_neurons_and_others_do_not() -> None:
    code = TextCode()
    assert len(code.encode(FOX)) == code.active
    assert _share(code, FOX, FOX.upper().replace(" ", "   ")) == 1.0
    assert _share(code, FOX, FOX.replace("brown", "brawn")) > 0.6
    assert _share(code, FOX, "In 1969 two people walked upon that moon.") < 0.15
    assert len(np.intersect1d(code.encode(FOX), TextCode(key=b"other").encode(FOX))) < 5


def test_what_is_rare_weighs_more_and_spikes_faster() -> None:
    texts = ["the cat", "the dog", "the owl and the fox", "the hen"]
    code = TextCode().counted(texts)
    weights = code.weights("the fox")
    assert weights["word:fox"] > 2 * weights["word:the"]
    assert code.counted(texts) == code
    rates = code.rates("the fox", 50.0)
    assert np.nonzero(rates)[0].tolist() == code.encode("the fox").tolist()
    assert rates.max() == 50.0
    assert 0 < rates[rates > 0].min() < 25.0


def test_a_text_without_letters_is_silent() -> None:
    assert len(TextCode().encode(" … !")) == 0
    assert not TextCode().rates("").any()


# ------------------------------------------------------------------------------------ embeddings


def test_codes_of_embeddings_share_more_neurons_the_larger_their_cosine_is() -> None:
    rng = np.random.default_rng(1)
    code = VectorCode(32, 512, 20, seed=(1, 2))
    first, other = rng.normal(size=32), rng.normal(size=32)
    other -= first * (first @ other) / (first @ first)
    other *= np.linalg.norm(first) / np.linalg.norm(other)
    mixed = [first * c + other * (1 - c * c) ** 0.5 for c in (1.0, 0.9, 0.6, 0.0, -1.0)]
    shared = [len(np.intersect1d(code.encode(first), code.encode(each))) for each in mixed]
    assert shared[0] == 20
    assert shared == sorted(shared, reverse=True)
    assert shared[-1] == 0, "the sign counts"
    assert code.encode(first * 1e-6).tolist() == code.encode(first).tolist(), "the length does not"
    assert len(code.encode(np.zeros(32))) == 0


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: sign_split(np.array([np.inf])),
        lambda: sign_split(np.array(1.0)),
        lambda: sign_split(np.zeros(2), -1.0),
        lambda: linear_latency(np.array([1.1]), "1 ms", "20 ms"),
        lambda: linear_latency(np.array([0.1]), "1 ms", "20 ms", -1.0),
        lambda: ranks(np.zeros((2, 2))),
        lambda: rank_weights(np.zeros(2, np.int64), 1.5),
        lambda: step_forward(np.zeros((0, 1)), 1.0),
        lambda: step_forward(np.zeros(3), 0.0),
        lambda: step_decode(Spikes.of([(5, 0)]), np.zeros(1), 1.0, 3),
        lambda: TextCode(active=0),
        lambda: TextCode(grams=()),
        lambda: TextCode(key=b""),
        lambda: TextCode().rates("a", -1.0),
        lambda: VectorCode(0),
        lambda: VectorCode(3, 10, 11),
        lambda: VectorCode(3).encode(np.zeros(4)),
        lambda: VectorCode(1).encode(np.array([np.nan])),
    ],
)
def test_encoders_refuse_what_they_cannot_encode(mistake: Any) -> None:
    with pytest.raises(EngineMisuse):
        mistake()


def test_spikes_of_split_signs_tell_the_direction_of_an_embedding() -> None:
    values = np.random.default_rng(2).normal(size=16)
    network = Network(dt="1 ms")
    network.population("source", 32, MODELS["poisson"])
    engine = NumpyBackend().build(network)
    engine.key = (1, 2)
    engine.write("source", "chance", poisson(sign_split(values), "1 ms"))
    counts = np.bincount(engine.advance(2_000)["source"].neurons, minlength=32)
    decoded = (counts[:16] - counts[16:]).astype(float)
    assert decoded @ values / np.linalg.norm(decoded) / np.linalg.norm(values) > 0.97
