"""Connection rules: the same synapses on every path and in every part, with the statistics that each rule promises."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis.errors import ExtraMissing
from neuraxis_snn import MODELS, MemoryShort, Network, NetworkInvalid, Spikes
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.connect import (
    Constant,
    Ends,
    Normal,
    Uniform,
    all_to_all,
    csr,
    delays,
    distance_based,
    ends,
    ends_of,
    fixed_in_degree,
    fixed_out_degree,
    fixed_probability,
    fixed_total,
    formulas,
    one_to_one,
    table,
    total_of,
    weights,
    with_numpy,
)

SEED = (0x243F6A88, 0x85A308D3)
KEY: dict[str, Any] = {"seed": SEED, "projection": 5}
PATHS: Any = ("reference", "numpy", "numba")
DELAYS = Normal("1.5 ms", "0.75 ms", low="0.1 ms")
VALUES = {
    "uniform": Uniform(-1, 3),
    "normal": Normal(1, 2),
    "redrawn": Normal(1, 2, low=0, high=2.5),
    "clipped": Normal(1, 2, low=0, outside="clip"),
    "constant": Constant(2.5),
}


def _places(neurons: int) -> np.ndarray:
    """Return positions on a grid that is no multiple of anything, within 0 … 1."""
    numbers = np.arange(neurons, dtype=np.float64)
    return np.stack([numbers * 0.6180339887 % 1.0, numbers * 0.7548776662 % 1.0], axis=1)


RULES: dict[str, Any] = {
    "all": lambda **k: all_to_all(23, 37, **KEY, **k),
    "all but itself": lambda **k: all_to_all(37, 37, autapses=False, **KEY, **k),
    "one to one": lambda **k: one_to_one(37, 37, **KEY, **k),
    "probability": lambda **k: fixed_probability(50, 37, probability=0.3, **KEY, **k),
    "high probability": lambda **k: fixed_probability(37, 37, probability=0.9, autapses=False, **KEY, **k),
    "low probability": lambda **k: fixed_probability(5000, 37, probability=1e-3, **KEY, **k),
    "in-degree": lambda **k: fixed_in_degree(50, 37, degree=9, **KEY, **k),
    "in-degree, no pair twice": lambda **k: fixed_in_degree(11, 37, degree=9, multapses=False, **KEY, **k),
    "in-degree, not itself": lambda **k: fixed_in_degree(37, 37, degree=9, autapses=False, **KEY, **k),
    "in-degree, neither": lambda **k: fixed_in_degree(37, 37, degree=36, multapses=False, autapses=False, **KEY, **k),
    "in-degree, long rows": lambda **k: fixed_in_degree(50, 5, degree=2_500, **KEY, **k),
    "out-degree": lambda **k: fixed_out_degree(50, 37, degree=9, **KEY, **k),
    "out-degree, no pair twice": lambda **k: fixed_out_degree(50, 37, degree=9, multapses=False, **KEY, **k),
    "out-degree, neither": lambda **k: fixed_out_degree(37, 37, degree=30, multapses=False, autapses=False, **KEY, **k),
    "total": lambda **k: fixed_total(50, 37, total=3_000, **KEY, **k),
    "total, not itself": lambda **k: fixed_total(37, 37, total=500, autapses=False, **KEY, **k),
    "gaussian": lambda **k: distance_based(
        _places(50), _places(37), kernel="gaussian", reach=0.2, box=(1.0, 1.0), **KEY, **k
    ),
    "exponential": lambda **k: distance_based(
        _places(37), _places(37), kernel="exponential", reach=0.2, probability=0.8, autapses=False, **KEY, **k
    ),
    "box": lambda **k: distance_based(_places(50), _places(37), kernel="box", reach=0.3, probability=0.5, **KEY, **k),
}
WITHOUT_AUTAPSES = [
    "all but itself",
    "high probability",
    "in-degree, not itself",
    "in-degree, neither",
    "out-degree, neither",
    "total, not itself",
    "exponential",
]
WITHOUT_MULTAPSES = [
    "all but itself",
    "probability",
    "high probability",
    "in-degree, no pair twice",
    "in-degree, neither",
    "out-degree, no pair twice",
    "out-degree, neither",
    "gaussian",
    "exponential",
    "box",
]

every_rule = pytest.mark.parametrize("rule", RULES)


def _bytes(found: Ends) -> tuple[bytes, bytes]:
    return found.pre.tobytes(), found.starts.tobytes()


# ------------------------------------------------------------------------------- same bits


@every_rule
def test_every_path_draws_the_same_synapses_weights_and_delays(rule: str) -> None:
    made = [RULES[rule](by=path) for path in PATHS]
    assert made[0].pre.dtype == made[0].post.dtype == np.int32
    assert len(made[0].pre) == len(made[0].post) > 0
    assert len({_bytes(each) for each in made}) == 1
    for values in VALUES.values():
        assert len({weights(each, values).tobytes() for each in made}) == 1, values
        assert len({weights(each, values, precision="float32").tobytes() for each in made}) == 1, values
    assert len({delays(each, DELAYS, dt="0.1 ms").tobytes() for each in made}) == 1
    tables = [table(each, weights=VALUES["normal"], delays=DELAYS, dt="0.1 ms") for each in made]
    for name in ("indptr", "targets", "weights", "delays"):
        assert len({getattr(each, name).tobytes() for each in tables}) == 1, name


def test_the_synapses_are_those_of_every_release_and_machine() -> None:
    digest = hashlib.blake2b(digest_size=16)
    for make in RULES.values():
        found = make()
        digest.update(found.pre.astype("<i4").tobytes() + found.starts.astype("<i8").tobytes())
        for values in VALUES.values():
            digest.update(weights(found, values).astype("<f8").tobytes())
        digest.update(delays(found, DELAYS, dt="0.1 ms").astype("<i4").tobytes())
    assert digest.hexdigest() == "e8a8f4e22ac036e0053dccf926a377bd"


@every_rule
@settings(max_examples=25, deadline=None)
@given(data=st.data())
@pytest.mark.compiled
def test_the_parts_of_any_division_are_the_whole(rule: str, data: Any) -> None:
    by = data.draw(st.sampled_from(["numpy", "numba"]))
    whole = RULES[rule](by=by)
    inner = sorted(data.draw(st.lists(st.integers(0, whole.targets), max_size=4)))
    parts = [RULES[rule](by=by, part=part) for part in pairwise([0, *inner, whole.targets])]
    assert np.array_equal(np.concatenate([each.pre for each in parts]), whole.pre)
    assert np.array_equal(np.concatenate([each.post for each in parts]), whole.post)
    values = VALUES[data.draw(st.sampled_from(sorted(VALUES)))]
    drawn = np.concatenate([weights(each, values) for each in parts])
    assert drawn.tobytes() == weights(whole, values).tobytes()
    steps = np.concatenate([delays(each, DELAYS, dt="0.1 ms") for each in parts])
    assert np.array_equal(steps, delays(whole, DELAYS, dt="0.1 ms"))


def test_tables_of_parts_hold_for_each_source_what_the_whole_holds() -> None:
    whole = table(RULES["total"](), weights=VALUES["normal"])
    parts = [table(RULES["total"](part=part), weights=VALUES["normal"]) for part in ((0, 10), (10, 11), (11, 37))]
    for source in range(50):
        rows = [slice(each.indptr[source], each.indptr[source + 1]) for each in (whole, *parts)]
        targets = [each.targets[row] for each, row in zip(parts, rows[1:], strict=True)]
        drawn = [each.weights[row] for each, row in zip(parts, rows[1:], strict=True) if each.weights is not None]
        assert np.array_equal(np.concatenate(targets), whole.targets[rows[0]])
        assert whole.weights is not None
        assert np.array_equal(np.concatenate(drawn), whole.weights[rows[0]])


def test_other_seeds_and_projections_draw_other_synapses() -> None:
    keys = [(SEED, 5), (SEED, 6), ((SEED[0] + 1, SEED[1]), 5), ((SEED[0], SEED[1] + 1), 5)]
    made = [fixed_in_degree(1000, 300, degree=100, seed=seed, projection=number) for seed, number in keys]
    drawn = [weights(each, Normal(0, 1)) for each in made]
    for i in range(len(keys)):
        for j in range(i):
            same = np.count_nonzero(made[i].pre == made[j].pre)
            assert abs(same - 30) < 6 * math.sqrt(30), "as many as chance gives"
            assert abs(np.corrcoef(drawn[i], drawn[j])[0, 1]) < 5 / math.sqrt(30_000)


def test_weights_delays_and_sources_are_independent() -> None:
    made = fixed_total(1000, 200, total=40_000, **KEY)
    drawn = (
        weights(made, Uniform(0, 1)),
        delays(made, Uniform(1, 1000), dt="1 ms").astype(float),
        made.pre.astype(float),
    )
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(drawn[one], drawn[other])[0, 1]) < 5 / math.sqrt(40_000)


def test_a_network_takes_what_a_rule_draws() -> None:
    network = Network(dt="0.1 ms")
    network.inputs("lines", 50)
    network.population("layer", 37, MODELS["lif_exp"])
    made = RULES["total"]()
    network.connect(
        "lines",
        "layer",
        "exc",
        pre=made.pre,
        post=made.post,
        weights=weights(made, Normal(5, 0.5, low=0)),
        delay=delays(made, DELAYS, dt="0.1 ms"),
    )
    volley = Spikes.of((0, line) for line in range(50))
    assert len(ReferenceBackend().build(network).advance(60, {"lines": volley})["layer"]) > 10


# ------------------------------------------------------------------------------- statistics


def _chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    """Return by how many of its standard deviations chi-square lies above its mean."""
    value = float(((observed - expected) ** 2 / expected).sum())
    freedom = observed.size - 1
    return (value - freedom) / math.sqrt(2 * freedom)


def _ks(values: np.ndarray, distribution: Any) -> float:
    """Return the Kolmogorov-Smirnov statistic times the root of the number of values."""
    ordered = np.sort(values)
    exact = np.array([distribution(each) for each in ordered])
    n = len(ordered)
    above, below = np.arange(1, n + 1) / n - exact, exact - np.arange(n) / n
    return float(max(above.max(), below.max())) * math.sqrt(n)


def _phi(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


@pytest.mark.parametrize("rule", WITHOUT_AUTAPSES)
def test_no_neuron_joins_itself_where_that_is_forbidden(rule: str) -> None:
    made = RULES[rule]()
    assert (made.pre != made.post).all()


@pytest.mark.parametrize("rule", WITHOUT_MULTAPSES)
def test_no_pair_is_joined_twice_where_that_is_forbidden(rule: str) -> None:
    made = RULES[rule]()
    pairs = made.pre.astype(np.int64) * made.targets + made.post
    assert len(np.unique(pairs)) == len(pairs)


def test_autapses_and_multapses_occur_as_often_as_chance_says_where_they_are_allowed() -> None:
    made = fixed_in_degree(100, 100, degree=50, **KEY)
    assert abs(np.count_nonzero(made.pre == made.post) - 50) < 5 * math.sqrt(50)
    distinct = len(np.unique(made.pre.astype(np.int64) * 100 + made.post))
    expected = 100 * 100 * (1 - 0.99**50)
    assert abs(distinct - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("rule", [each for each in RULES if each.startswith("in-degree")])
def test_every_target_has_its_in_degree(rule: str) -> None:
    assert len(set(np.diff(RULES[rule]().starts))) == 1


@pytest.mark.parametrize("rule", [each for each in RULES if each.startswith("out-degree")])
def test_every_source_has_its_out_degree(rule: str) -> None:
    made = RULES[rule]()
    assert len(set(np.bincount(made.pre, minlength=made.sources))) == 1


def test_all_to_all_and_one_to_one_are_what_they_say() -> None:
    made = RULES["all but itself"]()
    pairs = np.zeros((37, 37), np.int64)
    np.add.at(pairs, (made.pre, made.post), 1)
    assert np.array_equal(pairs, 1 - np.eye(37))
    assert len(RULES["all"]().pre) == 23 * 37
    made = RULES["one to one"](part=(3, 9))
    assert made.pre.tolist() == made.post.tolist() == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("autapses", [True, False])
def test_a_total_has_uniform_sources_and_targets(autapses: bool) -> None:
    made = fixed_total(200, 200, total=200_000, autapses=autapses, **KEY)
    assert len(made.pre) == 200_000
    flat = np.full(200, 1000.0)
    assert abs(_chi_square(np.bincount(made.pre, minlength=200), flat)) < 4
    assert abs(_chi_square(np.diff(made.starts), flat)) < 4
    pairs = np.bincount(made.pre.astype(np.int64) * 200 + made.post, minlength=40_000)
    if not autapses:
        pairs = pairs.reshape(200, 200)[~np.eye(200, dtype=bool)]
    assert abs(_chi_square(pairs, np.full(pairs.size, 200_000 / pairs.size))) < 4


@pytest.mark.parametrize("draw", ["in", "out"])
def test_every_set_of_partners_without_repeats_is_equally_likely(draw: str) -> None:
    if draw == "in":
        made = fixed_in_degree(6, 20_000, degree=3, multapses=False, **KEY)
        partners = made.pre.reshape(-1, 3)
    else:
        made = fixed_out_degree(20_000, 6, degree=3, multapses=False, **KEY)
        partners = made.post[np.argsort(made.pre, kind="stable")].reshape(-1, 3)
    sets = np.bincount((1 << partners.astype(np.int64)).sum(axis=1), minlength=64)
    observed = sets[sets > 0]
    assert observed.size == math.comb(6, 3)
    assert abs(_chi_square(observed, np.full(20, 1000.0))) < 4


@pytest.mark.parametrize("probability", [0.02, 0.35, 0.93])
def test_a_probability_gives_binomial_in_degrees_and_uniform_sources(probability: float) -> None:
    made = fixed_probability(60, 20_000, probability=probability, **KEY)
    observed = np.bincount(np.diff(made.starts), minlength=61).astype(float)
    p = probability
    expected = np.array([20_000 * math.comb(60, k) * p**k * (1 - p) ** (60 - k) for k in range(61)])
    often = expected >= 10
    observed = np.append(observed[often], observed[~often].sum())
    expected = np.append(expected[often], expected[~often].sum())
    assert abs(_chi_square(observed, expected)) < 4
    by_source = np.bincount(made.pre, minlength=60)
    spread = (by_source - 20_000 * p) / math.sqrt(20_000 * p * (1 - p))
    assert np.abs(spread).max() < 4.5
    assert 0.5 < spread.var() < 1.6


def test_probabilities_of_0_and_1_are_exact() -> None:
    assert len(fixed_probability(300, 20, probability=0.0, **KEY).pre) == 0
    assert len(fixed_probability(300, 20, probability=5e-324, **KEY).pre) == 0
    assert len(fixed_probability(300, 20, probability=1.0, **KEY).pre) == 6_000
    made = fixed_probability(20, 20, probability=1.0, autapses=False, **KEY)
    assert len(made.pre) == 380


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "box"])
@pytest.mark.parametrize("is_periodic", [True, False])
def test_the_distances_of_joined_pairs_follow_the_kernel(kernel: Any, is_periodic: bool) -> None:
    here, there = _places(700), 1.0 - _places(600)
    box = (1.0, 1.0) if is_periodic else None
    made = distance_based(here, there, kernel=kernel, reach=0.15, probability=0.7, box=box, **KEY)
    apart = np.abs(here[:, None, :] - there[None, :, :])
    if is_periodic:
        apart = np.minimum(apart, 1 - apart)
    distance = np.sqrt((apart**2).sum(axis=2))
    chance = {
        "gaussian": lambda d: 0.7 * np.exp(-(d**2) / (2 * 0.15**2)),
        "exponential": lambda d: 0.7 * np.exp(-d / 0.15),
        "box": lambda d: 0.7 * (d <= 0.15),
    }[kernel](distance)
    joined = np.zeros(distance.shape)
    joined[made.pre, made.post] = 1
    for low, high in pairwise(np.linspace(0, distance.max() * 1.001, 20)):
        ring = (distance >= low) & (distance < high)
        expected, spread = chance[ring].sum(), math.sqrt((chance[ring] * (1 - chance[ring])).sum())
        assert abs(joined[ring].sum() - expected) <= 4.5 * spread + 1e-9


def test_total_of_gives_the_synapses_of_the_microcircuit() -> None:
    # Potjans & Diesmann, Cereb. Cortex 24 (2014), table 5. Floats give 298,880,968: 1 - 1/(N M) cancels in them.
    sizes = [20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948]
    table_5 = [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443],
    ]
    totals = [
        total_of(chance, source, target)
        for target, row in zip(sizes, table_5, strict=True)
        for source, chance in zip(sizes, row, strict=True)
    ]
    assert sum(totals) == 298_880_970
    made = fixed_total(294, 295, total=total_of(0.1346, 294, 295), **KEY)
    joined = len(np.unique(made.pre.astype(np.int64) * 295 + made.post)) / (294 * 295)
    assert abs(joined - 0.1346) < 0.005, "the probability is that of being joined at least once"


# ----------------------------------------------------------------------------------- values


def test_normal_draws_have_the_moments_and_the_distribution_of_a_normal() -> None:
    drawn = weights(fixed_in_degree(10, 100, degree=1000, **KEY), Normal(3, 2))
    z = (drawn - 3) / 2
    n = len(z)
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert _ks(z[:20_000], _phi) < 1.95  # 0.1 % of all seeds lie above
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / math.sqrt(n)


def test_redrawn_values_follow_the_truncated_normal_and_clipped_ones_lie_on_the_bound() -> None:
    made = fixed_in_degree(10, 50, degree=400, **KEY)
    low, high = _phi(-0.5), _phi(1.5)
    redrawn = weights(made, Normal(0, 1, low=-0.5, high=1.5))
    assert -0.5 <= redrawn.min() <= redrawn.max() <= 1.5
    assert _ks(redrawn, lambda z: (_phi(z) - low) / (high - low)) < 1.95
    free, clipped = weights(made, Normal(0, 1)), weights(made, Normal(0, 1, low=-0.5, high=1.5, outside="clip"))
    assert np.array_equal(clipped, np.clip(free, -0.5, 1.5))
    inside = (free >= -0.5) & (free <= 1.5)
    assert np.array_equal(redrawn[inside], free[inside]), "only what lies outside is drawn again"


def test_uniform_values_are_uniform() -> None:
    drawn = weights(fixed_in_degree(10, 50, degree=400, **KEY), Uniform(-2, 6))
    assert _ks(drawn, lambda x: (x + 2) / 8) < 1.95


def test_delays_are_whole_steps_of_the_nearest_time() -> None:
    made = fixed_in_degree(10, 50, degree=400, **KEY)
    steps = delays(made, DELAYS, dt="0.1 ms")
    assert steps.dtype == np.int32
    assert steps.min() == 1
    exact = weights(made, Normal(15, 7.5, low=1))
    assert abs(steps.mean() - exact.mean()) < 0.4
    assert set(delays(made, Constant("0.25 ms"), dt="0.1 ms")) == {3}, "halves are rounded up"
    counts = np.bincount(delays(made, Uniform(0.5, 4.5), dt="1 ms"))
    assert counts[0] == 0
    assert abs(_chi_square(counts[1:5], np.full(4, 5000.0))) < 4


def test_logarithm_exponential_and_quantile_are_as_exact_as_they_say() -> None:
    u = (np.arange(1, 4000) * 0.6180339887498949) % 1.0
    u = np.concatenate([u, u**8, 1 - u**8, [2.0**-53, 1 - 2.0**-53, 0.5, 0.075, 0.925]])
    u = u[(u > 0) & (u < 1)]
    logs = with_numpy.logarithm(u)
    for x, found in zip(u[::5], logs[::5], strict=True):
        exact = Decimal(float(x)).ln()
        assert abs(Decimal(float(found)) - exact) <= Decimal("1.5") * Decimal(math.ulp(float(exact)))
    logs = logs[logs > -44]
    powers = with_numpy.exponential(logs)
    for x, found in zip(logs[::5], powers[::5], strict=True):
        exact = Decimal(float(x)).exp()
        assert abs(Decimal(float(found)) - exact) <= Decimal("1.5") * Decimal(math.ulp(float(exact)))
    assert with_numpy.exponential(np.array([-44.1, -1e300, 0.0])).tolist() == [0, 0, 1]
    half = u[u <= 0.5]
    z = with_numpy.normal_quantile(half)
    back = np.array([_phi(each) for each in z])
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    assert (np.abs(back - half) / density <= 1e-14 * np.maximum(np.abs(z), 1e-2) + 4e-16 * half / density).all()
    mirrored = with_numpy.normal_quantile(1 - half[half > 2.0**-20])
    assert np.allclose(mirrored, -z[half > 2.0**-20], rtol=1e-9)


def test_draws_below_a_limit_reach_both_ends() -> None:
    words = np.array([0, 2**64 - 1, 2**63], np.uint64)
    assert formulas.below(words, np.uint64(2**31 - 1)).tolist() == [0, 2**31 - 2, 2**30 - 1]
    units = with_numpy.unit(words)
    assert 0 < units.min() < units.max() < 1


# ----------------------------------------------------------------------------------- tables


@pytest.mark.parametrize("by", PATHS)
def test_a_table_is_the_stable_sort_by_source_and_target(by: Any) -> None:
    made = RULES["total"]()
    order = np.argsort(made.pre * 0.37 % 1 + made.post * 0.61 % 1, kind="stable")  # any order
    pre, post = made.pre[order], made.post[order]
    numbers = np.arange(len(pre), dtype=np.float64)
    steps = np.arange(len(pre)) % 300
    found = csr(pre, post, sources=50, targets=37, weights=numbers, delays=steps, by=by)
    sort = np.lexsort((post, pre))
    assert np.array_equal(found.indptr, np.searchsorted(pre[sort], np.arange(51)))
    assert np.array_equal(found.targets, post[sort])
    assert found.weights is not None
    assert np.array_equal(found.weights, numbers[sort])
    assert found.delays is not None
    assert np.array_equal(found.delays, steps[sort])
    assert (found.indptr.dtype, found.targets.dtype, found.delays.dtype) == (np.int64, np.int32, np.uint16)


@pytest.mark.parametrize("by", PATHS)
def test_a_table_of_a_rule_holds_the_weights_and_delays_of_its_synapses(by: Any) -> None:
    made = RULES["out-degree"](by=by)
    found = table(made, weights=VALUES["redrawn"], delays=DELAYS, dt="0.1 ms", precision="float64")
    sort = np.lexsort((made.post, made.pre))
    assert found.weights is not None
    assert np.array_equal(found.weights, weights(made, VALUES["redrawn"])[sort])
    assert found.delays is not None
    assert np.array_equal(found.delays, delays(made, DELAYS, dt="0.1 ms")[sort])
    bare = table(made)
    assert bare.weights is bare.delays is None
    assert np.array_equal(bare.targets, found.targets)


@pytest.mark.compiled
def test_many_synapses_are_sorted_and_drawn_piece_by_piece() -> None:
    made = fixed_total(300, 400, total=200_000, **KEY)
    assert len(made.pre) > 3 * ends.PIECE
    found = table(made, weights=Normal(0, 1), precision="float64")
    sort = np.lexsort((made.post, made.pre))
    assert np.array_equal(found.targets, made.post[sort])
    assert found.weights is not None
    assert np.array_equal(found.weights, weights(made, Normal(0, 1))[sort])
    shuffled = np.argsort(np.sin(np.arange(200_000.0)), kind="stable")
    again = csr(made.pre[shuffled], made.post[shuffled], sources=300, targets=400)
    assert np.array_equal(again.targets, found.targets)


def test_synapses_of_ones_own_get_weights_by_target_and_number() -> None:
    given, order = ends_of(np.array([3, 1, 2, 0]), np.array([1, 0, 1, 0]), sources=4, targets=2, **KEY)
    assert order.tolist() == [1, 3, 0, 2]
    assert given.pre.tolist() == [1, 0, 3, 2]
    assert given.post.tolist() == [0, 0, 1, 1]
    drawn = weights(given, Normal(0, 1))
    assert np.array_equal(drawn, weights(all_to_all(2, 2, **KEY), Normal(0, 1))), "the same targets and numbers"


# -------------------------------------------------------------------------------- mistakes


def _total(**changes: Any) -> Ends:
    sizes = {"sources": 10, "targets": 10}
    return fixed_total(**{**sizes, "total": 5, **KEY, **changes})  # type: ignore[arg-type]


def _near(**changes: Any) -> Ends:
    given = {"here": _places(5), "there": _places(5), "kernel": "box", "reach": 0.5, **KEY, **changes}
    return distance_based(**given)  # type: ignore[arg-type]


def _weigh(values: Any, **changes: Any) -> np.ndarray:
    return weights(_total(), values, **changes)


def _delay(values: Any, dt: str = "0.1 ms") -> np.ndarray:
    return delays(_total(), values, dt=dt)


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        (lambda: _total(sources=0), "sources is 0"),
        (lambda: _total(targets=0), "targets is 0"),
        (lambda: _total(targets=2**31), "targets is 2147483648"),
        (lambda: _total(sources=2.0), "sources is 2.0"),
        (lambda: _total(sources=True), "sources is True"),
        (lambda: _total(total=-1), "total is -1"),
        (lambda: _total(total=2**43), "total is"),
        (lambda: _total(seed=5), "seed is 5"),
        (lambda: _total(seed=(1, 2**32)), r"seed\[1\]"),
        (lambda: _total(projection=2**24), "projection is"),
        (lambda: _total(part=(3, 11)), r"part\[1\] is 11"),
        (lambda: _total(part=(3, 2)), r"part\[1\] is 2"),
        (lambda: _total(part=3), "part is 3"),
        (lambda: _total(by="torch"), "nothing computes by 'torch'"),
        (lambda: _total(sources=9, autapses=False), "one population"),
        (lambda: _total(sources=1, targets=1, autapses=False), "0 sources to choose from"),
        (lambda: one_to_one(3, 4), "differ"),
        (lambda: fixed_probability(3, 4, probability=1.1, **KEY), "probability is 1.1"),
        (lambda: fixed_probability(3, 4, probability=-0.1, **KEY), "probability is -0.1"),
        (lambda: fixed_probability(3, 4, probability=float("nan"), **KEY), "probability is nan"),
        (lambda: fixed_probability(3, 4, probability="half", **KEY), "probability is 'half'"),  # type: ignore[arg-type]
        (lambda: fixed_in_degree(3, 4, degree=4, multapses=False, **KEY), "3 sources to choose from"),
        (lambda: fixed_in_degree(4, 4, degree=4, multapses=False, autapses=False, **KEY), "Use at most 3"),
        (lambda: fixed_in_degree(4, 4, degree=2**31, **KEY), "degree is"),
        (lambda: fixed_out_degree(3, 4, degree=5, multapses=False, **KEY), "4 targets to choose from"),
        (lambda: fixed_out_degree(3, 4, degree=-1, **KEY), "degree is -1"),
        (lambda: _near(kernel="gauss"), "gaussian"),
        (lambda: _near(reach=0), "reach is 0"),
        (lambda: _near(reach=1e-200), "reach is 1e-200"),
        (lambda: _near(probability=2), "probability is 2"),
        (lambda: _near(here=np.zeros(5)), r"shape \(5,\)"),
        (lambda: _near(here=np.full((5, 2), np.inf)), "not finite"),
        (lambda: _near(here=np.zeros((5, 3))), "3 and 2 axes"),
        (lambda: _near(here=np.zeros((0, 2))), r"shape \(0, 2\)"),
        (lambda: _near(box=(1.0,)), "2 lengths"),
        (lambda: _near(box=(1.0, -1.0)), "2 lengths"),
        (lambda: _near(box=(1.0, 0.1)), "outside the box"),
        (lambda: total_of(1.0, 5, 5), "smaller probability"),
        (lambda: ends_of(np.array([0.5]), np.array([0]), sources=1, targets=1), "whole number"),
        (lambda: ends_of(np.array([1]), np.array([0]), sources=1, targets=1), "outside 0 … 0"),
        (lambda: ends_of(np.array([0, 0]), np.array([0]), sources=1, targets=1), "2 entries"),
        (lambda: _weigh(3.0), "no distribution"),
        (lambda: _weigh(Constant(float("inf"))), "value is inf"),
        (lambda: _weigh(Constant("3 mV")), "3 mV"),
        (lambda: _weigh(Constant(True)), "value is True"),
        (lambda: _weigh(Uniform(2, 1)), "low lies above high"),
        (lambda: _weigh(Uniform(-1.7e308, 1.7e308)), "too far"),
        (lambda: _weigh(Normal(0, -1)), "sd is -1"),
        (lambda: _weigh(Normal(0, 1e308)), "not be finite"),
        (lambda: _weigh(Normal(0, 1, low=2, high=1)), "low lies above high"),
        (lambda: _weigh(Normal(0, 1, low=4)), "fewer than one in 1000"),
        (lambda: _weigh(Normal(0, 0, low=4)), "fewer than one in 1000"),
        (lambda: _weigh(Normal(0, 1, low=0, outside="drop")), "outside is 'drop'"),  # type: ignore[arg-type]
        (lambda: _weigh(Normal(0, 1), precision="float16"), "precision is 'float16'"),
        (lambda: _delay(Constant("0.04 ms")), "below a step"),
        (lambda: _delay(Normal("1.5 ms", "0.75 ms")), "below a step"),
        (lambda: _delay(Uniform(0.4, 3)), "below a step"),
        (lambda: _delay(Normal("1 s", "10 s", low="1 ms")), "exceed 65535 steps"),
        (lambda: _delay(Constant("1 mV")), "1 mV"),
        (lambda: _delay(Constant(1), dt="0 ms"), "dt is '0 ms'"),
        (lambda: _delay(Constant(1), dt="soon"), "soon"),
        (lambda: table(_total(), delays=Constant(1)), "dt is missing"),
        (lambda: csr(np.array([0]), np.array([0]), sources=1, targets=1, weights=np.ones(2)), "weights do not fit"),
        (lambda: csr(np.array([0]), np.array([0]), sources=1, targets=1, weights=np.array([np.nan])), "weights"),
        (lambda: csr(np.array([0]), np.array([0]), sources=1, targets=1, delays=np.array([70_000])), "delays do not"),
    ],
)
def test_a_wrong_rule_or_value_is_refused_with_what_is_wrong(mistake: Any, complaint: str) -> None:
    with pytest.raises(NetworkInvalid, match=complaint):
        mistake()


def test_a_network_larger_than_the_memory_is_refused_before_it_is_allocated() -> None:
    huge = 2**31 - 1
    for mistake in (
        lambda: _total(total=2**42),
        lambda: all_to_all(huge, huge),
        lambda: fixed_probability(huge, huge, probability=0.5, **KEY),
        lambda: fixed_in_degree(huge, huge, degree=100_000, **KEY),
        lambda: fixed_out_degree(huge, huge, degree=100_000, **KEY),
    ):
        with pytest.raises(MemoryShort, match="in parts") as caught:
            mistake()
        assert caught.value.needed > caught.value.available


def test_weights_delays_and_tables_ask_for_memory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _total(total=1000)
    monkeypatch.setattr(ends, "available_bytes", lambda: 3_999)
    for ask in (
        lambda: weights(made, Constant(1)),
        lambda: delays(made, Constant(1), dt="1 ms"),
        lambda: table(made),
        lambda: _total(total=1000),
    ):
        with pytest.raises(MemoryShort):
            ask()
    monkeypatch.setattr(ends, "available_bytes", lambda: None)
    assert len(_total(total=1000).pre) == 1000, "where the system does not tell, nothing is refused"


def test_available_memory_is_the_least_of_machine_and_container(tmp_path: Any) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  900 kB\nMemAvailable:    300 kB\n", encoding="ascii")
    assert ends._by_meminfo(str(meminfo)) == 300 * 1024
    assert ends._by_meminfo(str(tmp_path / "absent")) is None
    for name, text in (("memory.max", "5000\n"), ("memory.current", "3000\n"), ("memory.stat", "inactive_file 500\n")):
        (tmp_path / name).write_text(text, encoding="ascii")
    assert ends._by_group(str(tmp_path)) == 2500
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert ends._by_group(str(tmp_path)) is None
    assert ends._by_group(str(tmp_path / "absent")) is None


def test_available_memory_falls_back_on_sysconf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "_by_meminfo", lambda: None)
    monkeypatch.setattr(ends, "_by_group", lambda: None)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 4096}[name])
    assert ends.available_bytes() == 7 * 4096

    def unknown(_: str) -> int:
        raise ValueError

    monkeypatch.setattr("os.sysconf", unknown)
    assert ends.available_bytes() is None


def test_without_numba_arrays_compute_and_asking_for_numba_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    with_it = _total(total=500)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else found(name))
    from neuraxis_snn.connect import with_numba

    with_numba.functions.cache_clear()
    without = _total(total=500)
    assert (with_it.by, without.by) == ("numba", "numpy")
    assert _bytes(with_it) == _bytes(without)
    with pytest.raises(ExtraMissing, match="snn"):
        _total(by="numba")


def test_where_compilation_is_off_arrays_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert _total(total=500).by == "numpy"
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert _total(total=500).by == "numba"
