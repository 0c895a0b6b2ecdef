"""The life of a seed: stages, gates, schedules, breakers and queues of events."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis_morphogenesis.contracts import CircuitBreakerState, TelemetryLevel
from neuraxis_morphogenesis.contracts import SeedLifecycleGate as Gate
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.errors import IllegalTransition
from neuraxis_morphogenesis.seeds.breaker import Breaker
from neuraxis_morphogenesis.seeds.gates import Thresholds, demands, judge
from neuraxis_morphogenesis.seeds.lifecycle import GATES, GROWING, LEGAL, NEXT, moved
from neuraxis_morphogenesis.seeds.schedule import SCHEDULES, alpha
from neuraxis_morphogenesis.seeds.telemetry import DROPPED, EVENTS_MAX, event, queued, worst

EDGES = {
    ("UNKNOWN", "DORMANT"),
    ("DORMANT", "GERMINATED"),
    ("DORMANT", "TERMINATED"),
    ("GERMINATED", "TRAINING"),
    ("GERMINATED", "CULLED"),
    ("TRAINING", "BLENDING"),
    ("TRAINING", "CULLED"),
    ("BLENDING", "SHADOWING"),
    ("BLENDING", "CULLED"),
    ("SHADOWING", "PROBATIONARY"),
    ("SHADOWING", "CULLED"),
    ("PROBATIONARY", "FOSSILIZED"),
    ("PROBATIONARY", "CULLED"),
    ("FOSSILIZED", "TERMINATED"),
    ("CULLED", "EMBARGOED"),
    ("EMBARGOED", "RESETTING"),
    ("RESETTING", "DORMANT"),
}

HEALTHY = {
    "finite": 1.0,
    "isolation_violations": 0.0,
    "exploding": 0.0,
    "seed_loss": 0.5,
    "gradient_health": 1.0,
    "gradient_ratio": 1.0,
    "contribution": 0.02,
    "alpha": 1.0,
    "alpha_error": 0.0,
    "drift": 0.0,
    "interface": 1.0,
    "resumable": 1.0,
    "telemetry": 1.0,
    "shadow_correlation": 0.99,
    "regression": 0.0,
    "clean": 1.0,
}
MEASURING = [gate for gate in Gate if gate not in (Gate.UNKNOWN, Gate.G0_SANITY)]


@pytest.mark.parametrize(("stage", "target"), list(product(Stage, Stage)))
def test_of_144_moves_seventeen_are_legal_and_all_others_raise(stage: Stage, target: Stage) -> None:
    if (stage.name, target.name) in EDGES:
        assert moved("a", stage, target) is target
    else:
        with pytest.raises(IllegalTransition, match=f"cannot go from {stage.name} to {target.name}"):
            moved("a", stage, target)


def test_the_way_of_a_good_seed_and_every_cull_are_legal() -> None:
    assert len(EDGES) == sum(map(len, LEGAL.values())) == 17
    assert all(target in LEGAL[stage] for stage, target in NEXT.items())
    assert all(Stage.CULLED in LEGAL[stage] for stage in GROWING)
    assert sorted(GATES.values()) == [gate for gate in Gate if gate is not Gate.UNKNOWN]


# -------------------------------------------------------------------------------------- gates


@pytest.mark.parametrize("gate", MEASURING)
def test_a_gate_opens_for_a_healthy_seed(gate: Gate) -> None:
    assert judge(gate, HEALTHY, Thresholds()).passed


@pytest.mark.parametrize(
    ("gate", "name"), [(gate, each.name) for gate in MEASURING for each in demands(gate, Thresholds())]
)
def test_a_gate_stays_shut_for_what_is_not_measured_and_for_what_is_no_number(gate: Gate, name: str) -> None:
    without = {key: value for key, value in HEALTHY.items() if key != name}
    assert judge(gate, without, Thresholds()).reason == f"{name} is not measured"
    assert not judge(gate, {**HEALTHY, name: math.nan}, Thresholds()).passed


@pytest.mark.parametrize(
    ("gate", "name", "value", "is_final"),
    [
        (Gate.G1_GRADIENT_HEALTH, "contribution", 0.0049, False),
        (Gate.G1_GRADIENT_HEALTH, "gradient_ratio", 0.09, False),
        (Gate.G1_GRADIENT_HEALTH, "gradient_health", 0.69, False),
        (Gate.G1_GRADIENT_HEALTH, "exploding", 1.0, True),
        (Gate.G1_GRADIENT_HEALTH, "isolation_violations", 1.0, True),
        (Gate.G2_STABILITY, "alpha", 0.99, False),
        (Gate.G2_STABILITY, "drift", 0.13, False),
        (Gate.G2_STABILITY, "alpha_error", 0.01, True),
        (Gate.G3_INTERFACE, "interface", 0.0, True),
        (Gate.G3_INTERFACE, "shadow_correlation", 0.89, False),
        (Gate.G4_SYSTEM_IMPACT, "contribution", 0.0099, False),
        (Gate.G4_SYSTEM_IMPACT, "regression", 0.011, False),
        (Gate.G5_RESET, "clean", 0.0, False),
    ],
)
def test_a_gate_stays_shut_beyond_its_threshold_and_says_so(
    gate: Gate, name: str, value: float, is_final: bool
) -> None:
    found = judge(gate, {**HEALTHY, name: value}, Thresholds())
    assert not found.passed
    assert found.reason.startswith(f"{name} {value:g} is ")
    assert found.is_final is is_final


# ----------------------------------------------------------------------------------- schedules


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 500))
def test_alpha_begins_at_zero_ends_at_one_and_never_falls(schedule: str, steps: int) -> None:
    values = [alpha(schedule, step, steps) for step in range(-1, steps + 2)]
    assert values[0] == values[1] == 0
    assert values[-1] == values[-2] == 1
    assert all(a <= b for a, b in pairwise(values))


def test_the_sigmoid_has_the_published_values() -> None:
    assert [round(alpha("sigmoid", step, 4), 3) for step in range(5)] == [0, 0.045, 0.5, 0.955, 1]


# ------------------------------------------------------------------------------------ breakers


def test_a_breaker_opens_after_its_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(failures_max=3, rest=10)
    for outcome in ("failed", "failed", "succeeded", "failed", "failed"):
        breaker = getattr(breaker, outcome)(0)
    assert breaker.state is CircuitBreakerState.CLOSED
    assert breaker.failed(7).state is CircuitBreakerState.OPEN
    assert not breaker.failed(7).at(16).lets_through
    assert breaker.failed(7).at(17).state is CircuitBreakerState.HALF_OPEN


def test_a_half_open_breaker_closes_after_its_successes_and_opens_at_one_failure() -> None:
    half = Breaker(failures_max=1, rest=10, successes_min=2).failed(0).at(10)
    assert half.succeeded(10).state is CircuitBreakerState.HALF_OPEN
    assert half.succeeded(10).succeeded(11).state is CircuitBreakerState.CLOSED
    assert half.succeeded(10).failed(11).state is CircuitBreakerState.OPEN
    assert Breaker(failures_max=5).forced(CircuitBreakerState.HALF_OPEN, 0).failed(1).state is CircuitBreakerState.OPEN


# ------------------------------------------------------------------------------------- queues


def test_a_full_queue_tells_how_many_events_it_dropped() -> None:
    events = ()
    for number in range(EVENTS_MAX + 10):
        events = queued(events, event("seed_state", "", TelemetryLevel.INFO, number=number))
    assert len(events) == EVENTS_MAX
    assert events[-1].event_id == DROPPED
    assert dict(events[-1].attributes) == {"dropped": "11"}
    assert dict(events[-2].attributes) == {"number": str(EVENTS_MAX - 2)}
    assert worst(events) is TelemetryLevel.WARNING
