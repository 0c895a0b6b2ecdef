"""What rules of plasticity do to weights, held to their equations and to published measurements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from neuraxis_snn import MODELS, PAIR_STDP, RULES, EngineMisuse, Network, NetworkInvalid, Rule, Spikes
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.plasticity import (
    BCPNN,
    INHIBITORY_STDP,
    NEAREST_STDP,
    REWARD_STDP,
    TRIPLET_FULL,
    TRIPLET_NEAREST,
    TRIPLETS,
    WEIGHTED_STDP,
)
from neuraxis_snn.short_term import DEPRESSION, TSODYKS_MARKRAM, ShortTerm

WIDE = {"w_min": -10.0, "w_max": 10.0}


def _couples(network: Network, count: int, rule: Rule, name: str, weight: float, **parameters: Any) -> None:
    """Add neurons that spike when told by `post`, each with one synapse from its own line of `pre`."""
    each = np.arange(count)
    network.population(name, count, MODELS["relay"])
    network.connect("post", name, "fire", weights=1.0, pre=each, post=each, delay=0, name=f"{name}.fire")
    network.connect(
        "pre", name, "hear", weights=weight, pre=each, post=each, delay=0, rule=rule, name=f"{name}.hear", **parameters
    )


def _network(count: int, dt: str = "1 ms") -> Network:
    network = Network(dt=dt, precision="float64")
    network.inputs("pre", count)
    network.inputs("post", count)
    return network


def _changes(rule: Rule, pre: list[list[int]], post: list[list[int]], weight: float, **parameters: Any) -> np.ndarray:
    """Return what trains of spikes, one pair of trains a synapse, do to weights: (synapses,)."""
    network = _network(len(pre))
    _couples(network, len(pre), rule, "layer", weight, **parameters)
    engine = NumpyBackend().build(network)
    engine.advance(
        1 + max(step for train in pre + post for step in train), {"pre": _trains(pre), "post": _trains(post)}
    )
    return engine.weights("layer.hear") - weight


def _trains(trains: list[list[int]]) -> Spikes:
    return Spikes.of((step, line) for line, train in enumerate(trains) for step in train)


# ----------------------------------------------------------------------------------- windows


DISTANCES = [distance for distance in range(-60, 61, 5) if distance]


def test_the_window_of_pairs_is_exponential_on_both_sides() -> None:
    found = _changes(
        PAIR_STDP,
        [[100] for _ in DISTANCES],
        [[100 + distance] for distance in DISTANCES],
        0.5,
        tau_pre="17 ms",
        tau_post="34 ms",
    )
    far = np.array(DISTANCES, float)
    expected = np.where(far > 0, 0.01 * np.exp(-far / 17), -0.0105 * np.exp(far / 34))
    assert found == pytest.approx(expected, rel=1e-12)


def test_spikes_of_one_step_count_as_before_and_after() -> None:
    # the arriving spike comes first: it finds no trace of the outgoing one, which finds all of its trace
    assert _changes(PAIR_STDP, [[7]], [[7]], 0.5) == pytest.approx([0.01], rel=1e-12)


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rule", [WEIGHTED_STDP, NEAREST_STDP])
def test_the_change_follows_the_weight_as_mu_says(rule: Rule, mu: float) -> None:
    for weight in (1.0, 2.5, 3.5):
        found = _changes(rule, [[10], [20]], [[20], [10]], weight, mu=mu, w_min=1.0, w_max=4.0)
        near = np.exp(-0.5)
        up, down = (1 - mu) + mu * (4 - weight) / 3, (1 - mu) + mu * (weight - 1) / 3
        expected = [0.01 * near * up, max(-0.0105 * near * down, 1.0 - weight)]
        assert found == pytest.approx(expected, rel=1e-12)


def test_nearest_pairs_forget_all_spikes_but_the_newest() -> None:
    found = _changes(NEAREST_STDP, [[1, 5, 30]], [[40]], 0.5, mu=0.0)
    assert found == pytest.approx([0.01 * np.exp(-0.5)], rel=1e-12)
    both = _changes(WEIGHTED_STDP, [[1, 5, 30]], [[40]], 0.5, mu=0.0)
    assert both == pytest.approx([0.01 * sum(np.exp(-gap / 20) for gap in (10, 35, 39))], rel=1e-12)


def test_triplets_read_slow_traces_as_they_were_before_the_spike() -> None:
    first, second = 20, 50  # two outgoing spikes, after one arriving spike
    found = _changes(TRIPLET_FULL, [[10]], [[first, second]], 0.5, **WIDE)
    r1 = [np.exp(-(at - 10) / 16.8) for at in (first, second)]
    o2 = [0.0, np.exp(-(second - first) / 125)]
    expected = sum(r * (5e-10 + 6.2e-3 * o) for r, o in zip(r1, o2, strict=True))
    assert found == pytest.approx([expected], rel=1e-12)
    assert found[0] > 1e-4


# ----------------------------------------------------------------------- Sjoestroem's data


RATES = (0.1, 10.0, 20.0, 40.0, 50.0)
MEASURED = {
    10: ((-0.04, 0.05), (0.14, 0.10), (0.29, 0.14), (0.53, 0.11), (0.56, 0.26)),
    -10: ((-0.29, 0.08), (-0.41, 0.11), (-0.34, 0.10), (0.56, 0.32), (0.75, 0.19)),
}
"""Change of the weight, mean and standard error, by distance in ms: Sjoestroem, Turrigiano & Nelson, Neuron 32 (2001),
as given by Pfister & Gerstner, J. Neurosci. 26 (2006)."""


@pytest.fixture(scope="module")
def protocol() -> dict[str, np.ndarray]:
    """60 pairings in one train, at each rate and distance, under each set of parameters: what became of the weights."""
    network = _network(10)
    for name, numbers in TRIPLETS.items():
        rule = TRIPLET_FULL if name.startswith("all") else TRIPLET_NEAREST
        _couples(network, 10, rule, name, 1.0, **WIDE, **numbers)
    taus = {"tau_pre": "16.8 ms", "tau_post": "33.7 ms"}
    _couples(network, 10, PAIR_STDP, "up", 1.0, gain_pre=1e-3, gain_post=0.0, **WIDE, **taus)
    _couples(network, 10, PAIR_STDP, "down", 1.0, gain_pre=0.0, gain_post=-1e-3, **WIDE, **taus)
    pre, post = [], []
    for distance in MEASURED:
        for rate in RATES:
            at = [20 + round(number * 1000 / rate) for number in range(60)]
            pre.append(at)
            post.append([each + distance for each in at])
    engine = NumbaBackend().build(network)
    engine.advance(600_000, {"pre": _trains(pre), "post": _trains(post)})
    return {name: engine.weights(f"{name}.hear") - 1.0 for name in (*TRIPLETS, "up", "down")}


def _error(found: np.ndarray) -> float:
    mean, spread = np.array([pair for pairs in MEASURED.values() for pair in pairs]).T
    return float((((found - mean) / spread) ** 2).mean())


@pytest.mark.prove
@pytest.mark.parametrize("name", TRIPLETS)
def test_triplets_explain_what_was_measured_in_visual_cortex(protocol: dict[str, np.ndarray], name: str) -> None:
    assert _error(protocol[name]) <= 0.4


@pytest.mark.prove
def test_no_pair_rule_explains_it(protocol: dict[str, np.ndarray]) -> None:
    # the change is linear in both amplitudes, so the best pair rule is a least-squares fit
    mean, spread = np.array([pair for pairs in MEASURED.values() for pair in pairs]).T
    parts = np.stack([protocol["up"], protocol["down"]], axis=1)
    best, *_ = np.linalg.lstsq(parts / spread[:, None], mean / spread, rcond=None)
    assert _error(parts @ np.maximum(best, 0)) > 5


# -------------------------------------------------------------------------------- inhibition


def test_inhibitory_plasticity_weakens_by_alpha_and_strengthens_by_the_trace() -> None:
    found = _changes(INHIBITORY_STDP, [[10]], [[60]], 1.0, eta=0.1, **WIDE)
    assert found == pytest.approx([0.1 * (np.exp(-50 / 20) - 2 * 3.0 * 0.020)], rel=1e-12)


@pytest.mark.slow
def test_inhibitory_plasticity_drifts_with_the_distance_from_its_rate() -> None:
    # mean of dw/dt = 2 eta tau r_pre (r_post - rate); spikes that arrive just as the neuron spikes count twice
    count, steps, rng = 400, 5_000, np.random.default_rng(1)
    for rate in (10.0, 20.0, 40.0):
        trains = rng.random((2, count, steps)) < np.array([20.0, rate])[:, None, None] / 1000
        network = _network(count)
        _couples(network, count, INHIBITORY_STDP, "layer", 5.0, rate="20 Hz", eta=1e-3, **WIDE)
        engine = NumbaBackend().build(network)
        given = [Spikes(*(part.astype(np.int32) for part in np.nonzero(each.T))) for each in trains]
        engine.advance(steps, {"pre": given[0], "post": given[1]})
        drift = (engine.weights("layer.hear") - 5.0).mean() / (steps / 1000)
        assert drift == pytest.approx(2 * 1e-3 * 0.02 * 20 * (rate - 20.0), abs=1e-3)


@pytest.mark.slow
def test_inhibitory_plasticity_brings_a_neuron_to_its_rate() -> None:
    network = Network(dt="1 ms", precision="float64")
    network.population("inhibition", 100, MODELS["poisson"])
    network.population("neuron", 20, MODELS["lif_delta"], rest="-70 mV", reset="-65 mV")
    network.drive("neuron", "input", rate="6 kHz", weight=0.25)
    network.connect(
        "inhibition", "neuron", "input", weights=0.0, rule=INHIBITORY_STDP, rate="8 Hz", eta=-0.04, w_min=-20, w_max=0
    )
    engine = NumbaBackend().build(network)
    engine.key = (3, 4)
    engine.write("inhibition", "chance", 0.01 * 2**24)
    before = len(engine.advance(1_000, learning=False)["neuron"]) / 20
    engine.advance(6_000)
    after = len(engine.advance(4_000)["neuron"]) / 20 / 4
    assert before > 20
    assert after == pytest.approx(8, rel=0.2)


# ---------------------------------------------------------------------------------- counters


def test_every_weight_that_is_held_back_is_counted() -> None:
    network = _network(2)
    _couples(network, 2, PAIR_STDP, "layer", 0.5, w_min=0.495, w_max=0.505)
    engine = NumpyBackend().build(network)
    assert engine.counters() == {"layer.hear.w_low": 0, "layer.hear.w_high": 0}
    pre, post = _trains([[1, 50, 90], [5, 60]]), _trains([[2, 51, 91], [4]])
    engine.advance(100, {"pre": pre, "post": post})
    assert engine.counters() == {"layer.hear.w_low": 2, "layer.hear.w_high": 3}
    other = NumpyBackend().build(network)
    other.restore(engine.capture())
    assert other.counters() == engine.counters()


# ---------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0 ms", "-1 ms", -3.0, "ms", [1]])
def test_no_rule_takes_a_time_constant_that_is_none(rule: Rule, value: Any) -> None:
    for name, parameter in rule.parameters.items():
        if parameter.unit == "ms":
            with pytest.raises(NetworkInvalid, match=name):
                _couples(_network(1), 1, rule, "layer", 0.5, **{name: value})


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_no_rule_takes_numbers_that_are_not_finite_or_too_large(rule: Rule) -> None:
    for name in (*rule.parameters, "w_min", "w_max"):
        with pytest.raises(NetworkInvalid, match=name):
            _couples(_network(1), 1, rule, "layer", 0.5, **{name: float("nan")})
    network = Network(dt="1 ms")
    network.inputs("pre", 1)
    network.inputs("post", 1)
    with pytest.raises(NetworkInvalid, match="beyond float32"):
        _couples(network, 1, rule, "layer", 0.5, w_max=1e39)


# ------------------------------------------------------------------------------------ reward


def _rewarded(delay: int, *, amount: float = 2.0, tau_d: str = "1 ms") -> tuple[float, float]:
    """Return (eligibility after a pair, change of the weight long after a reward `delay` steps later)."""
    network = _network(1)
    _couples(network, 1, REWARD_STDP, "layer", 0.0, tau_d=tau_d, **WIDE)
    engine = NumpyBackend().build(network)
    engine.advance(21, {"pre": _trains([[10]]), "post": _trains([[20]])})
    eligible = float(engine.trace("layer.hear", "c")[0])
    engine.advance(delay)
    engine.reward("layer.hear", amount)
    engine.advance(4_000)
    return eligible, float(engine.weights("layer.hear")[0])


def test_a_reward_counts_the_less_the_later_it_comes() -> None:
    eligible, at_once = _rewarded(0)
    assert eligible == pytest.approx(0.01 * np.exp(-0.5), rel=1e-12)
    assert at_once == pytest.approx(2.0 * eligible * 1000 / 1001 * (1 - np.exp(-4_000 * 1.001)), rel=1e-9)
    for delay in (100, 500, 1_000, 3_000):
        assert _rewarded(delay)[1] / at_once == pytest.approx(np.exp(-delay / 1000), rel=0.02)


def test_dopamine_that_lasts_pays_until_it_is_gone() -> None:
    eligible, found = _rewarded(0, tau_d="200 ms")
    tau = 1 / (1 / 1000 + 1 / 200)
    assert found == pytest.approx(2.0 * eligible * (tau / 200) * (1 - np.exp(-4_000 / tau)), rel=1e-9)


def test_dopamine_that_is_there_rewards_later_pairs_and_a_punishment_weakens() -> None:
    network = _network(1)
    _couples(network, 1, REWARD_STDP, "layer", 0.0, **WIDE)
    engine = NumpyBackend().build(network)
    engine.reward("layer.hear", 1.0)
    engine.advance(2_000, {"pre": _trains([[10]]), "post": _trains([[20]])})
    after = float(engine.weights("layer.hear")[0])
    tau = 1 / (1 / 1000 + 1 / 200)
    expected = 0.01 * np.exp(-0.5) * np.exp(-21 / 200) * (tau / 200) * (1 - np.exp(-(1_979) / tau))
    assert after == pytest.approx(expected, rel=1e-9)
    engine.reward("layer.hear", -1.0)
    engine.advance(1_000)
    assert engine.weights("layer.hear")[0] < after


def test_what_a_synapse_has_of_its_own_does_not_depend_on_when_it_is_looked_at() -> None:
    found = []
    for looks in (1, 50):
        network = _network(2)
        _couples(network, 2, REWARD_STDP, "layer", 0.5)
        engine = NumpyBackend().build(network)
        engine.advance(30, {"pre": _trains([[10], [20]]), "post": _trains([[20], [10]])})
        engine.reward("layer.hear", 5.0)
        for _ in range(looks):
            engine.advance(500 // looks)
            engine.weights("layer.hear")
        found.append((engine.weights("layer.hear").tobytes(), engine.counters()))
    assert found[0] == found[1]


def test_rewards_that_reach_nothing_are_refused() -> None:
    network = _network(1)
    _couples(network, 1, REWARD_STDP, "layer", 0.5)
    _couples(network, 1, PAIR_STDP, "other", 0.5)
    engine = NumpyBackend().build(network)
    for call in (
        lambda: engine.reward("nowhere", 1.0),
        lambda: engine.reward("other.hear", 1.0),
        lambda: engine.reward("layer.fire", 1.0),
        lambda: engine.reward("layer.hear", 1.0, signal="e"),
        lambda: engine.reward("layer.hear", float("nan")),
        lambda: engine.reward("layer.hear", float("inf")),
        lambda: engine.trace("layer.hear", "e"),
    ):
        with pytest.raises(EngineMisuse):
            call()


# -------------------------------------------------------------------------------- short term


def _efficacies(kind: ShortTerm, gap: int, count: int, **parameters: Any) -> np.ndarray:
    """Return what each of `count` spikes of a regular train delivers, as a share of the weight."""
    network = Network(dt="1 ms", precision="float64")
    network.inputs("pre", 1)
    network.population("neuron", 1, MODELS["lif_delta"], threshold="1 V", rest="0 mV", reset="-1 mV", refractory="0 ms")
    network.connect("pre", "neuron", "input", weights=1.0, delay=0, short_term=kind, **parameters)
    engine = NumpyBackend().build(network)
    found = []
    for _ in range(count):
        engine.write("neuron", "v", 0.0)
        engine.advance(1, {"pre": Spikes.of([(0, 0)])})
        found.append(float(engine.read("neuron", "v")[0]))
        engine.advance(gap - 1)
    return np.array(found)


@pytest.mark.parametrize(("rate", "use", "facilitation", "recovery"), [(20, 0.2, 1500, 200), (50, 0.05, 500, 100)])
def test_a_regular_train_settles_where_the_closed_form_says(
    rate: int, use: float, facilitation: int, recovery: int
) -> None:
    gap = 1000 // rate
    found = _efficacies(
        TSODYKS_MARKRAM, gap, 400, use=use, tau_facilitation=f"{facilitation} ms", tau_recovery=f"{recovery} ms"
    )
    fall_u, fall_x = np.exp(-gap / facilitation), np.exp(-gap / recovery)
    u = use * (1 + (1 - use) * (1 - fall_u)) / (1 - (1 - use) * fall_u)  # right after a spike raised it
    x = (1 - fall_x) / (1 - (1 - u) * fall_x)  # right before a spike uses it
    assert found[0] == pytest.approx(use + use * (1 - use), rel=1e-12)
    assert found[-1] == pytest.approx(u * x, rel=1e-9)


def test_depression_alone_weakens_and_recovers() -> None:
    found = _efficacies(DEPRESSION, 50, 60, use=0.4, tau_recovery="300 ms")
    fall = np.exp(-50 / 300)
    assert found[0] == pytest.approx(0.4, rel=1e-12)
    assert (np.diff(found) <= 1e-12).all()
    assert found[-1] == pytest.approx(0.4 * (1 - fall) / (1 - 0.6 * fall), rel=1e-9)


def test_short_term_plasticity_takes_only_shares_and_times() -> None:
    for wrong in (
        {"use": 1.5},
        {"use": -0.1},
        {"use": float("nan")},
        {"tau_recovery": "0 ms"},
        {"tau_recover": "1 ms"},
    ):
        with pytest.raises(NetworkInvalid):
            _efficacies(TSODYKS_MARKRAM, 10, 1, **wrong)


def test_a_rule_and_short_term_plasticity_may_not_share_a_name() -> None:
    clash = ShortTerm("clash", {}, {"pre": 1.0}, "efficacy = pre", lambda _p, _dt: {})
    network = _network(1)
    network.population("layer", 1, MODELS["relay"])
    with pytest.raises(NetworkInvalid, match="both have 'pre'"):
        network.connect("pre", "layer", "hear", weights=1.0, rule=PAIR_STDP, short_term=clash)
    bare = ShortTerm("bare", {}, {"q": 1.0}, "q = 1", lambda _p, _dt: {})
    with pytest.raises(NetworkInvalid, match="efficacy"):
        network.connect("pre", "layer", "hear", weights=1.0, short_term=bare)


# ------------------------------------------------------------------------------------- Bayes


def _exact(pre: list[int], post: list[int], steps: int, *, eps: float = 0.001) -> float:
    """Return ln(p_ij / (p_i p_j)) by exponentials of matrices: z 5 ms, e 100 ms, p 1 s, 50 Hz, steps of 1 ms."""

    def chain(tau: float) -> np.ndarray:
        rates = np.array([[-1 / tau, 0, 0], [1 / 100, -1 / 100, 0], [0, 1 / 1000, -1 / 1000]])
        return np.eye(3) + sum(np.linalg.matrix_power(rates, k) / math.factorial(k) for k in range(1, 20))

    alone, both = chain(5.0), chain(2.5)
    first = second = product = np.zeros(3)
    for step in range(steps):
        first, second, product = alone @ first, alone @ second, both @ product
        first[0] += 4.0 * (step in pre)
        second[0] += 4.0 * (step in post)
        product[0] = first[0] * second[0]
    p_ij = product[2] + eps * (first[2] + second[2]) + eps**2
    return math.log(p_ij / ((first[2] + eps) * (second[2] + eps)))


@pytest.mark.parametrize("backend", [ReferenceBackend(), NumpyBackend()], ids=lambda each: each.name)
def test_bayesian_weights_solve_their_differential_equations(backend: Any) -> None:
    pairs = [([20, 31, 90, 200], [22, 60, 61, 200]), ([10, 150], [60, 250]), ([20, 90, 91], []), ([], [])]
    network = _network(len(pairs))
    _couples(network, len(pairs), BCPNN, "layer", 0.0, tau_p="1 s")
    engine = backend.build(network)
    engine.advance(300, {"pre": _trains([pre for pre, _ in pairs]), "post": _trains([post for _, post in pairs])})
    found = engine.weights("layer.hear")
    assert found == pytest.approx([_exact(pre, post, 300) for pre, post in pairs], abs=1e-9)
    assert found[0] > 0.5, "together"
    assert found[1] < -0.5, "apart"
    assert found[2:] == pytest.approx(0.0, abs=1e-12), "beside a silent neuron"


@pytest.mark.slow
def test_bayesian_weights_approach_the_logarithm_of_what_was_shown() -> None:
    # independent trains: p_ij = p_i p_j; one train for both: p_ij = p p (1 + 1 / (2 rate tau_z)); p = rate / rate_max
    count, steps, rate = 60, 120_000, 10.0
    rng = np.random.default_rng(4)
    first, second = rng.random((2, steps, count)) < rate / 1000
    second[:, : count // 2] = first[:, : count // 2]
    network = _network(count)
    _couples(network, count, BCPNN, "layer", 0.0, tau_z="20 ms", tau_p="30 s", eps=1e-6)
    engine = NumbaBackend().build(network)
    given = [Spikes(*(part.astype(np.int32) for part in np.nonzero(each))) for each in (first, second)]
    engine.advance(steps, {"pre": given[0], "post": given[1]})
    weights = engine.weights("layer.hear")
    assert engine.trace("layer.hear", "pi").mean() == pytest.approx(rate / 50 * (1 - np.exp(-4)), rel=0.05)
    grown = 1 - np.exp(-4)  # all p have grown to this share, so the ratio is that much larger
    assert weights[: count // 2].mean() == pytest.approx(np.log((1 + 1 / (2 * 10 * 0.02)) / grown), abs=0.08)
    assert weights[count // 2 :].mean() == pytest.approx(np.log(1 / grown), abs=0.08)


def test_bayesian_weights_stand_still_while_nothing_is_learned() -> None:
    network = _network(1)
    _couples(network, 1, BCPNN, "layer", 0.0)
    engine = NumpyBackend().build(network)
    engine.advance(100, {"pre": _trains([[10, 50]]), "post": _trains([[11, 52]])})
    before = engine.weights("layer.hear")
    engine.advance(100, {"pre": _trains([[10, 50]]), "post": _trains([[11, 52]])}, learning=False)
    assert np.array_equal(before, engine.weights("layer.hear"))


def test_bayesian_traces_need_different_times() -> None:
    for wrong in ({"tau_z": "100 ms"}, {"tau_z": "200 ms"}, {"rate_max": 0.0}, {"eps": -1.0}):
        with pytest.raises(NetworkInvalid, match="bcpnn"):
            _couples(_network(1), 1, BCPNN, "layer", 0.0, **wrong)


def test_traces_have_names_of_their_own() -> None:
    for name in ("weights", "since", "post", "w_low", "tau_pre", "decay_post"):
        rule = structs.replace(PAIR_STDP, pre_traces={name: "decay_pre"}, on_post="w = w", bump_pre="")
        with pytest.raises(NetworkInvalid, match=f"'{name}' is"):
            _couples(_network(1), 1, rule, "layer", 0.5)
