"""What encoders make of values, signals, embeddings and texts (6h): judged on the engine wherever it spikes."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from neuraxis_snn import MODELS, Network, encoders
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.encoders import TextCode, VectorCode
from neuraxis_snn.statistics import Trains, correlations, cv_of_each, fano, intervals, rates
from tests.science.table import judge, show
from tests.snn.data import ALICE, sentences

pytestmark = [pytest.mark.science, pytest.mark.timeout(3_600)]


@pytest.fixture(scope="module")
def poisson() -> Trains:
    """Return 400 neurons of 40 Hz over 50 s at dt = 0.5 ms."""
    network = Network(dt="0.5 ms", precision="float64")
    network.population("source", 400, MODELS["poisson"])
    engine = NumpyBackend().build(network)
    engine.key = (1, 2)
    engine.write("source", "chance", encoders.poisson(np.full(400, 40.0), "0.5 ms"))
    found = engine.advance(100_000)["source"]
    return Trains.of(found.steps * 0.5, found.neurons, size=400, until_ms=50_000.0)


def test_a_poisson_source_is_a_poisson_process(poisson: Trains) -> None:
    rate = float(rates(poisson).mean())
    judge("6h", "Poisson encoder, 40 Hz: relative error of the rate", abs(rate / 40.0 - 1.0), at_most=0.02)
    judge("6h", "CV of intervals", float(cv_of_each(poisson).mean()), at_least=0.97, at_most=1.03)
    judge("6h", "Fano factor of all together, 5 ms", fano(poisson) or 0.0, at_least=0.95, at_most=1.05)
    mean = float(correlations(poisson, 5.0).mean())
    judge("6h", "mean correlation of two neurons", abs(mean), at_most=0.02)
    lengths = np.sort(np.rint(intervals(poisson)[1] / 0.5).astype(np.int64))
    chance = 1.0 - math.exp(-40.0 * 0.0005)  # of a spike in a step: intervals are geometric
    ks = max(
        abs(float(np.searchsorted(lengths, k, side="right")) / len(lengths) - (1.0 - (1.0 - chance) ** k))
        for k in range(1, int(lengths[-1]) + 1)
    )
    # the 1 % point of the Kolmogorov-Smirnov statistic
    judge(
        "6h", "largest distance from the distribution of intervals, x sqrt(n)", ks * len(lengths) ** 0.5, at_most=1.63
    )


def test_latency_codes_are_exact_to_one_step() -> None:
    values = np.array([1.01, 1.1, 1.5, 2.0, 5.0, 0.9])
    steps = encoders.latency(values, "0.1 ms", "20 ms", 1.0)
    exact = [20.0 * math.log(x / (x - 1.0)) for x in values[:-1]]
    worst = max(abs(step * 0.1 - time) for step, time in zip(steps[:-1].tolist(), exact, strict=True))
    judge("6h", "latency encoder: difference from tau ln(x / (x - threshold)), ms", worst, at_most=0.1 + 1e-9)
    assert steps[-1] < 0, "what stays below the threshold is silent"
    assert (np.diff(steps[:-1]) < 0).all()


def test_the_same_seed_gives_the_same_train_and_neurons_have_trains_of_their_own(poisson: Trains) -> None:
    def digest(key: tuple[int, int]) -> bytes:
        network = Network(dt="0.5 ms")
        network.population("source", 50, MODELS["poisson"])
        engine = NumpyBackend().build(network)
        engine.key = key
        engine.write("source", "chance", encoders.poisson(np.full(50, 40.0), "0.5 ms"))
        found = engine.advance(4_000)["source"]
        return found.steps.tobytes() + found.neurons.tobytes()

    judge(
        "6h",
        "the same seed gives the same trains, another one others (2 of 2)",
        1.0 * (digest((1, 2)) == digest((1, 2))) + (digest((1, 2)) != digest((1, 3))),
        at_least=2,
    )
    each = np.abs(correlations(poisson, 5.0))
    bound = 1.96 / math.sqrt(poisson.end / 5.0)  # 95 % of independent pairs lie below it
    judge(
        "6h", "pairs of neurons beyond the 95 % point of independent ones", float((each > bound).mean()), at_most=0.06
    )


def test_chances_stay_those_of_an_exponential_where_rates_are_high() -> None:
    network = Network(dt="1 ms", precision="float64")
    network.population("source", 2_000, MODELS["poisson"])
    engine = NumpyBackend().build(network)
    engine.key = (1, 2)
    engine.write("source", "chance", encoders.poisson(np.full(2_000, 400.0), "1 ms"))
    found = len(engine.advance(500)["source"]) / 2_000 / 500
    judge(
        "6h",
        "400 Hz at 1 ms: chance of a spike / (1 - exp(-0.4))",
        found / (1 - math.exp(-0.4)),
        at_least=0.99,
        at_most=1.01,
    )


def test_linear_latencies_are_exact_to_one_step_on_the_engine() -> None:
    values = np.array([1.0, 0.9, 0.5, 0.1, 0.01, 0.0])
    network = Network(dt="0.1 ms")
    network.population("source", 6, MODELS["timed"])
    engine = NumpyBackend().build(network)
    engine.write("source", "wait", encoders.linear_latency(values, "0.1 ms", "20 ms"))
    found = engine.advance(300)["source"]
    assert found.neurons.tolist() == [0, 1, 2, 3, 4], "the larger, the earlier; nothing is silent"
    worst = float(np.abs((found.steps + 1) * 0.1 - 20.0 * (1 - values[:5])).max())
    judge("6h", "linear latency: difference from T (1 - x), ms", worst, at_most=0.1 + 1e-9)


def test_an_order_of_spikes_tells_what_a_value_is_worth() -> None:
    rng = np.random.default_rng(1)
    values = np.abs(rng.laplace(size=(400, 64)))
    mean = np.mean([np.sort(each)[::-1] for each in values], axis=0)  # what a rank is worth on average
    changed = [encoders.ranks(each * 3.0) for each in values]
    kept = float(np.mean([(a == encoders.ranks(each)).all() for a, each in zip(changed, values, strict=True)]))
    judge("6h", "rank order: share of codes that a contrast of 3 leaves alone", kept, at_least=1.0)
    decoded = np.stack([mean[encoders.ranks(each)] for each in values])
    error = float(((decoded - values) ** 2).sum() / (values**2).sum())
    judge("6h", "rank order: share of the energy that is lost when ranks are read with a table", error, at_most=0.05)
    factor = float(mean[1] / mean[0])
    weights = np.stack([encoders.rank_weights(encoders.ranks(each), factor) for each in values])
    right = float(np.mean((weights @ weights.T).argmax(axis=1) == np.arange(400)))
    judge("6h", "rank order, factor**rank: share of 400 codes that answer themselves the most", right, at_least=0.99)


def test_changes_of_a_signal_bring_it_back_to_within_a_threshold() -> None:
    t = np.arange(5_000) * 0.001
    signal = np.stack([np.sin(2 * np.pi * 3 * t), 0.5 * np.sin(2 * np.pi * 7 * t) + 0.2 * t], axis=1)
    threshold = 0.05
    network = Network(dt="1 ms")
    network.inputs("up and down", 4)
    network.population("relay", 4, MODELS["relay"])
    each = np.arange(4)
    network.connect("up and down", "relay", "fire", weights=1.0, pre=each, post=each, delay=0)
    engine = NumpyBackend().build(network)
    found = engine.advance(5_000, {"up and down": encoders.step_forward(signal, threshold)})["relay"]
    back = encoders.step_decode(found, signal[0], threshold, 5_000)
    judge(
        "6h",
        "step-forward: largest error / threshold",
        float(np.abs(back - signal).max() / threshold),
        at_most=1.0 + 1e-9,
    )
    show("6h", "step-forward: spikes a second and channel", len(found) / 5.0 / 2)


def _codes(code: TextCode, texts: list[str]) -> list[set[int]]:
    return [set(code.encode(each).tolist()) for each in texts]


def test_codes_of_texts_are_alike_where_texts_are() -> None:
    texts = sentences(ALICE)
    code = TextCode().counted(texts)
    found, rng = _codes(code, texts), np.random.default_rng(1)
    chance = code.active / code.size
    pairs = rng.integers(0, len(texts), (20_000, 2))
    shared = [len(found[a] & found[b]) / code.active for a, b in pairs.tolist() if a != b]
    show("6h", "text codes: overlap by chance, k / n", chance, f"{len(texts)} sentences of one book")
    judge(
        "6h", "text codes: overlap of unrelated sentences above chance", float(np.mean(shared)) - chance, at_most=0.05
    )
    typos = []
    for text, original in zip(texts, found, strict=True):
        letters = [at for at, each in enumerate(text) if each.isalpha()]
        at = letters[int(rng.integers(0, len(letters)))]
        new = chr(ord("a") + (ord(text[at].lower()) - ord("a") + 1 + int(rng.integers(0, 25))) % 26)
        (wrong,) = _codes(code, [text[:at] + new + text[at + 1 :]])
        typos.append(len(wrong & original) / code.active)
    judge("6h", "text codes: overlap of a sentence and itself with a typo, mean", float(np.mean(typos)), at_least=0.6)
    judge("6h", "text codes: the same, lowest of 99 %", float(np.quantile(typos, 0.01)), at_least=0.6)


def test_codes_of_texts_are_the_same_in_every_process() -> None:
    line = (
        "import sys; from neuraxis_snn.encoders import TextCode;"
        "c = TextCode().counted(sys.argv[1:]); print([c.encode(each).tolist() for each in sys.argv[1:]])"
    )
    texts, runs = sentences(ALICE)[:50], set()
    for seed in ("0", "1", "2", "3"):
        command = [sys.executable, "-c", line, *texts]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        runs.add(done.stdout)
    code = TextCode().counted(texts)
    runs.add(str([code.encode(each).tolist() for each in texts]) + "\n")
    judge("6h", "text codes: different codes in 5 processes", len(runs), at_most=1)


@pytest.mark.parametrize("inputs", [64, 384])
def test_codes_of_embeddings_keep_the_order_of_cosines(inputs: int) -> None:
    rng, code = np.random.default_rng(1), VectorCode(inputs, 2048, 40, seed=(1, 2))
    cosines, shared = [], []
    for wanted in rng.uniform(0, 1, 600):
        first, other = rng.normal(size=(2, inputs))
        first /= np.linalg.norm(first)
        other -= first * (first @ other)
        second = wanted * first + math.sqrt(1 - wanted * wanted) * other / np.linalg.norm(other)
        cosines.append(wanted)
        shared.append(len(np.intersect1d(code.encode(first), code.encode(second))))
    spearman = float(np.corrcoef(_ranks(np.array(cosines)), _ranks(np.array(shared)))[0, 1])
    judge("6h", f"embeddings of {inputs}, winners: Spearman of cosine and shared neurons", spearman, at_least=0.9)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks in which alike values share their mean."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[which])


def test_rates_of_split_signs_tell_the_direction_of_an_embedding() -> None:
    values = np.random.default_rng(2).normal(size=(30, 128))
    network = Network(dt="1 ms")
    network.population("source", 256, MODELS["poisson"])
    found = []
    for number, each in enumerate(values):
        engine = NumpyBackend().build(network)
        engine.key = (1, number)
        engine.write("source", "chance", encoders.poisson(encoders.sign_split(each), "1 ms"))
        counts = np.bincount(engine.advance(1_000)["source"].neurons, minlength=256)
        signed = (counts[:128] - counts[128:]).astype(float)
        found.append(signed @ each / np.linalg.norm(signed) / np.linalg.norm(each))
    judge(
        "6h", "embeddings, split signs: least cosine of 1 s of spikes with what was encoded", min(found), at_least=0.95
    )
