"""Statistics of spikes: against values worked out by hand, against plain loops, and against what others computed."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.errors import UsageInvalid
from neuraxis_snn import statistics
from neuraxis_snn.statistics import Trains
from tests.snn.data import reference


def trains(*each: list[float], until: float, skip: float = 0.0) -> Trains:
    """Return the trains of several neurons, each given by its times in ms."""
    who = [neuron for neuron, times in enumerate(each) for _ in times]
    return Trains.of([t for times in each for t in times], who, size=len(each), until_ms=until, skip_ms=skip)


# ------------------------------------------------------------------------------------ by hand


def test_rates_are_spikes_by_neuron_and_second() -> None:
    found = trains([10, 20, 30], [], [500], until=1_000)
    assert statistics.rates(found).tolist() == [3.0, 0.0, 1.0]
    assert statistics.mean_rate(found) == pytest.approx(4 / 3)


def test_what_is_skipped_counts_neither_as_spike_nor_as_time() -> None:
    found = trains([99.9, 100, 350], until=600, skip=100)
    assert len(found) == 2
    assert statistics.mean_rate(found) == 4.0


def test_a_spike_at_the_end_of_the_span_is_outside() -> None:
    assert len(trains([0, 99.9, 100], until=100)) == 2


def test_a_clock_is_perfectly_regular() -> None:
    clock = trains([10.0 * k for k in range(20)], until=200)
    assert statistics.cv(clock) == statistics.cv2(clock) == statistics.lvr(clock) == 0.0


def test_intervals_that_alternate_have_the_regularity_worked_out_by_hand() -> None:
    # intervals 10, 30, 10, 30, 10, 30: mean 20, deviation 10; each pair of neighbours is (10, 30) or (30, 10)
    found = trains([0, 10, 40, 50, 80, 90, 120], until=200)
    assert statistics.intervals(found)[1].tolist() == [10, 30, 10, 30, 10, 30]
    assert statistics.cv(found) == pytest.approx(0.5)
    assert statistics.cv2(found) == pytest.approx(1.0)  # 2 * 20 / 40
    assert statistics.lvr(found) == pytest.approx(3 * (1 - 1200 / 1600) * (1 + 20 / 40))


def test_intervals_of_one_neuron_never_end_at_another() -> None:
    who, lengths = statistics.intervals(trains([0, 7], [100], [3, 5], until=200))
    assert (who.tolist(), lengths.tolist()) == ([0, 2], [7, 2])


def test_neurons_with_fewer_than_five_intervals_do_not_count_as_regular_or_irregular() -> None:
    few = [0, 1, 10, 11, 30]
    assert statistics.cv(trains(few, until=100)) is None
    assert statistics.cv2(trains(few, until=100)) is None
    clock = [10.0 * k for k in range(6)]
    assert statistics.cv(trains(few, clock, until=100)) == 0.0


def test_the_fano_factor_is_that_of_the_counts_of_all_neurons() -> None:
    # counts in bins of 5 ms: 3, 0, 1, 0; mean 1, variance (4 + 1 + 0 + 1) / 4
    found = trains([0, 2, 11], [4.9], until=20)
    assert statistics.counts(found).tolist() == [3, 0, 1, 0]
    assert statistics.fano(found) == 1.5


def test_a_bin_that_is_not_whole_is_left_out() -> None:
    assert statistics.counts(trains([1, 6, 12], until=13)).tolist() == [1, 1]


@given(st.sampled_from(["0.1", "0.2", "0.3", "0.7", "0.05"]), st.integers(0, 10**7))
def test_the_bin_of_a_step_is_the_one_that_exact_arithmetic_gives(dt: str, step: int) -> None:
    time = step * float(dt)
    begin = math.floor(time / 5.0) * 5.0 - 50.0
    found = statistics.counts(Trains.of([time], [0], size=1, until_ms=begin + 100.0, skip_ms=begin))
    assert found.argmax() == math.floor((step * Fraction(dt) - Fraction(begin)) / 5)


def test_neurons_that_spike_together_or_in_turn_are_fully_correlated() -> None:
    a, b = [2.5, 12.5, 22.5, 32.5], [7.5, 17.5, 27.5, 37.5]
    found = statistics.correlations(trains(a, a, b, [], until=40))
    assert found == pytest.approx([1.0, -1.0, -1.0])
    assert statistics.correlation(trains(a, a, b, [], until=40)) == pytest.approx(-1 / 3)


def test_the_sample_of_neurons_for_correlations_is_bounded_and_spread() -> None:
    many = trains(*([5.0 * (neuron % 7)] for neuron in range(500)), until=50)
    assert len(statistics.correlations(many)) == 100 * 99 // 2
    assert len(statistics.correlations(many, neurons=20)) == 20 * 19 // 2


def test_an_oscillation_is_found_at_its_frequency() -> None:
    step = np.arange(20_000)  # 2 s at 0.1 ms
    wave = 0.02 * (1 + np.sin(2 * np.pi * 0.18 * step / 10))  # 180 Hz
    fired = np.random.default_rng(1).random((len(step), 100)) < wave[:, None]
    at, who = np.nonzero(fired)
    found = Trains.of(at * 0.1, who, size=100, until_ms=2_000)
    peak = statistics.oscillation(found)
    assert peak is not None
    assert peak[0] == pytest.approx(180, abs=2)
    assert peak[1] > 50


def test_independent_poisson_neurons_have_the_statistics_of_theory() -> None:
    fired = np.random.default_rng(2).random((200_000, 50)) < 0.002  # 20 Hz at 0.1 ms, 20 s
    at, who = np.nonzero(fired)
    told = statistics.summary(Trains.of(at * 0.1, who, size=50, until_ms=20_000))
    assert told["rate_hz"] == pytest.approx(20, rel=0.02)
    for name in ("cv", "cv2", "fano"):
        assert told[name] == pytest.approx(1, abs=0.04)
    assert told["correlation"] == pytest.approx(0, abs=0.005)
    assert told["peak_over_median"] is not None
    assert told["peak_over_median"] < 10


def test_the_spectrum_has_the_scale_of_a_density() -> None:
    fired = np.random.default_rng(3).random((100_000, 20)) < 0.004
    at, who = np.nonzero(fired)
    frequencies, power = statistics.spectrum(Trains.of(at * 0.1, who, size=20, until_ms=10_000))
    assert frequencies[0] == 2.0
    assert power.mean() == pytest.approx(2 * 40 / 20, rel=0.05)  # shot noise, one-sided: 2 rate / neurons


def test_silence_has_rates_and_nothing_else() -> None:
    told = statistics.summary(trains([], [], until=1_000))
    assert (told["spikes"], told["rate_hz"], told["active"]) == (0, 0.0, 0.0)
    assert all(told[name] is None for name in ("cv", "cv2", "lvr", "fano", "correlation", "peak_hz"))


def test_intervals_of_no_length_do_not_divide_by_zero() -> None:
    told = statistics.summary(trains([5.0] * 9, [1.0, 1.0, 1.0, 9.0, 9.0, 20.0, 30.0], until=100))
    assert all(value is None or math.isfinite(value) for value in told.values())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"until_ms": 5.0, "skip_ms": 5.0}, "no time between"),
        ({"until_ms": math.nan}, "no time between"),
        ({"neurons": [0, 3]}, "not one of 3"),
        ({"neurons": [0]}, "shape"),
        ({"times_ms": [1.0, math.inf]}, "not finite"),
    ],
)
def test_what_is_no_train_is_refused_with_the_remedy(changes: dict[str, object], complaint: str) -> None:
    given: dict[str, object] = {"times_ms": [1.0, 2.0], "neurons": [0, 1], "size": 3, "until_ms": 10.0, **changes}
    with pytest.raises(UsageInvalid, match=complaint):
        Trains.of(given.pop("times_ms"), given.pop("neurons"), **given)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), max_size=60, unique=True))
def test_statistics_do_not_depend_on_the_order_of_spikes(pairs: list[tuple[int, int]]) -> None:
    def told(some: list[tuple[int, int]]) -> dict[str, float | int | None]:
        return statistics.summary(Trains.of([t for t, _ in some], [n for _, n in some], size=4, until_ms=401))

    assert told(pairs) == told(pairs[::-1]) == told(sorted(pairs))


# ------------------------------------------------------------------------------- plain loops


def plain(times: list[float], who: list[int], size: int, until: float, skip: float) -> tuple[float, float, float]:
    """Return rate, CV and Fano factor by the definitions of the comparison with other simulators, in plain Python."""
    kept = sorted((n, t) for n, t in zip(who, times, strict=True) if t >= skip)
    each = []
    for neuron in range(size):
        mine = [t for n, t in kept if n == neuron]
        gaps = [b - a for a, b in itertools.pairwise(mine)]
        if len(gaps) >= 5:
            mean = sum(gaps) / len(gaps)
            each.append(math.sqrt(sum(g * g for g in gaps) / len(gaps) - mean * mean) / mean)
    bins = [0] * int(until / 5)
    for _, t in kept:
        bins[int(t / 5)] += 1
    bins = bins[int(skip / 5) :]
    mean = sum(bins) / len(bins)
    variance = sum((b - mean) ** 2 for b in bins) / len(bins)
    return len(kept) / size / ((until - skip) / 1000), sum(each) / len(each), variance / mean


def test_rate_cv_and_fano_are_those_of_plain_loops() -> None:
    draw = np.random.default_rng(4)
    who = draw.integers(0, 8, 600)
    times = draw.random(600) * 1_000
    found = Trains.of(times, who, size=8, until_ms=1_000, skip_ms=100)
    rate, cv, fano = plain(times.tolist(), who.tolist(), 8, 1_000, 100)
    assert statistics.mean_rate(found) == pytest.approx(rate)
    assert statistics.cv(found) == pytest.approx(cv)
    assert statistics.fano(found) == pytest.approx(fano)


# ------------------------------------------------------------------------------------- others


@pytest.mark.parametrize(
    ("name", "rate", "cv", "cv2", "lvr", "fano"),
    [
        ("SpikesLow", 25.0, 0.9642104029667421, 0.747079843175134, 0.756364119982311, 0.7153333333333334),
        ("SpikesHigh", 32.3, 2.0217913245616743, 1.0393154858513383, 1.6475480368625424, 1.775092879256966),
    ],
)
def test_a_recorded_unit_has_the_statistics_that_elephant_gives(
    name: str, rate: float, cv: float, cv2: float, lvr: float, fano: float
) -> None:
    """30 s of a unit in the retina; Elephant 1.2.1, counts in bins of 50 ms."""
    with np.load(reference("recordings/08_spikes-1.npz")) as file:
        times = file[name].ravel() * 1_000
    unit = Trains.of(times, np.zeros(len(times)), size=1, until_ms=30_000)
    assert statistics.mean_rate(unit) == pytest.approx(rate)
    assert statistics.cv(unit) == pytest.approx(cv)
    assert statistics.cv2(unit) == pytest.approx(cv2)
    assert statistics.lvr(unit) == pytest.approx(lvr)
    assert statistics.fano(unit, 50) == pytest.approx(fano)


@pytest.fixture
def forty() -> Trains:
    """Return the forty trains that PySpike is tested with, 4 s each."""
    lines = reference("pyspike/PySpike_testdata.txt").read_text().splitlines()
    rows = [[float(word) for word in line.split()] for line in lines if line.strip() and not line.startswith("#")]
    return trains(*rows, until=4_000)


def test_forty_trains_have_the_statistics_that_elephant_gives(forty: Trains) -> None:
    """Elephant 1.2.1, counts in bins of 50 ms."""
    assert statistics.cv(forty) == pytest.approx(0.24566686175278368)
    assert statistics.cv2(forty) == pytest.approx(0.3045246914655303)
    assert statistics.lvr(forty) == pytest.approx(0.1335923990230722)
    assert statistics.fano(forty, 50) == pytest.approx(5.541876971608834)
    assert statistics.correlation(forty, 50) == pytest.approx(0.15161437518711854)


@pytest.mark.parametrize(
    ("pair", "isi", "sync"),
    [
        ((0, 1), 0.13110636937512044, 0.9375),
        ((2, 7), 0.1373443699745011, 14 / 15),
        ((5, 9), 0.10377804585240592, 0.875),
    ],
)
def test_distances_of_trains_are_those_that_pyspike_gives(
    forty: Trains, pair: tuple[int, int], isi: float, sync: float
) -> None:
    assert statistics.isi_distance(forty, *pair) == pytest.approx(isi)
    assert statistics.synchrony(forty, *pair) == pytest.approx(sync)


def test_distances_of_two_clocks_are_those_published() -> None:
    known = json.loads(reference("pyspike/expected_small.json").read_text())["pair_regular"]
    pair = trains(known["train1"], known["train2"], until=known["edges"][1])
    assert statistics.isi_distance(pair, 0, 1) == pytest.approx(known["isi_distance"])
    assert statistics.synchrony(pair, 0, 1) == pytest.approx(known["spike_sync"])


def test_trains_without_spikes_have_the_synchrony_of_their_definition_and_no_distance() -> None:
    pair = trains([1.0, 9.0], [], [], until=10)
    assert statistics.synchrony(pair, 0, 1) == 0.0
    assert statistics.synchrony(pair, 1, 2) == 1.0
    with pytest.raises(UsageInvalid, match="never spiked"):
        statistics.isi_distance(pair, 0, 1)
