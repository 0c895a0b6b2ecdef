"""Risk: signals, hysteresis, and a conservative mode that holds until its exit rule."""

from __future__ import annotations

from typing import Any

import pytest

from neuraxis_morphogenesis.contracts import HardwareContext, SeedState, SystemStatePacket, numbers
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.policy.risk import EXIT_CALM, SIGNALS, WINDOWS, Level, Risk, evaluate, judge


def packet(epoch: int = 1, *, loss: float = 1.0, accuracy: float = 0.5, **metrics: Any) -> SystemStatePacket:
    """Return a calm packet, but for what is said."""
    seeds = metrics.pop("seeds", ())
    hardware = metrics.pop("hardware", None)
    told = {"gradient_norm": 1.0, "loss_volatility": 0.01, **metrics}
    return SystemStatePacket(
        current_epoch=epoch,
        validation_loss=loss,
        validation_accuracy=accuracy,
        training_metrics=numbers(told),
        seed_states=seeds,
        hardware_context=hardware,
    )


def through(risk: Risk, *packets: SystemStatePacket) -> Risk:
    for each in packets:
        risk = evaluate(risk, each)
    return risk


def signal(risk: Risk, name: str) -> float:
    return risk.signals[SIGNALS.index(name)]


def seed(**facts: Any) -> SeedState:
    return SeedState(seed_id="s", stage=Stage.TRAINING, **facts)


@pytest.mark.parametrize(
    ("name", "metrics", "expected"),
    [
        ("gradient", {"gradient_norm": 5.0}, 0.0),
        ("gradient", {"gradient_norm": 12.5}, 0.5),
        ("gradient", {"gradient_norm": 99.0}, 1.0),
        ("gradient", {"gradient_norm": float("nan")}, 1.0),
        ("performance", {"loss_volatility": 0.3}, 0.5),
        ("latency", {"hook_latency_ms": 34.0}, 0.5),
        ("resource", {"hardware": HardwareContext(total_memory_gb=100, available_memory_gb=12.5)}, 0.5),
        ("lifecycle", {"seeds": (seed(risk_score=0.5),)}, 0.0),
        ("lifecycle", {"seeds": (seed(risk_score=0.75),)}, 0.5),
        ("lifecycle", {"seeds": (seed(metrics=numbers({"isolation_violations": 1})),)}, 1.0),
    ],
)
def test_signal_rises_from_its_base_to_its_emergency_value(name: str, metrics: Any, expected: float) -> None:
    assert signal(evaluate(Risk(), packet(**metrics)), name) == pytest.approx(expected)


def test_what_was_not_measured_is_no_signal_and_is_told() -> None:
    risk = evaluate(Risk(), SystemStatePacket(validation_loss=1.0))
    assert [signal(risk, name) for name in ("gradient", "resource", "latency")] == [-1.0] * 3
    assert risk.coverage == pytest.approx(2 / 5)


def test_rise_of_the_validation_loss_is_a_signal_from_the_second_packet_on() -> None:
    first = evaluate(Risk(), packet(loss=9.0))
    assert signal(first, "performance") == 0.0
    assert signal(evaluate(first, packet(2, loss=9.1125)), "performance") == pytest.approx(0.5)


def test_level_changes_only_after_three_windows_on_its_other_side() -> None:
    risk = through(Risk(), *[packet(gradient_norm=20.0)] * (WINDOWS - 1))
    assert risk.level is Level.GREEN
    assert evaluate(risk, packet()).level is Level.GREEN
    high = evaluate(risk, packet(gradient_norm=20.0))
    assert high.level is Level.RED
    low = through(high, packet(), packet())
    assert low.level is Level.RED
    assert evaluate(low, packet()).level is Level.GREEN
    assert evaluate(low, packet(gradient_norm=20.0)).level is Level.RED


def test_flutter_between_levels_never_moves_the_level() -> None:
    risk = through(Risk(), *[packet(gradient_norm=each) for each in (20.0, 1.0) * 10])
    assert risk.level is Level.GREEN


def test_one_signal_at_its_emergency_value_is_not_outvoted() -> None:
    calm = {"hook_latency_ms": 1.0, "hardware": HardwareContext(total_memory_gb=10, available_memory_gb=9)}
    risk = through(Risk(), *[packet(gradient_norm=50.0, **calm)] * WINDOWS)
    assert risk.score < 0.5
    assert risk.level is Level.RED


def test_critical_holds_at_once_and_begins_conservative_mode() -> None:
    worst = packet(gradient_norm=50.0, loss_volatility=1.0, seeds=(seed(risk_score=1.0),))
    risk = evaluate(Risk(), worst)
    assert risk.level is Level.CRITICAL
    assert risk.reasons == ("risk_critical",)


def test_conservative_mode_holds_until_enough_calm_evaluations_in_a_row() -> None:
    risk = through(Risk(), packet(1), packet(2, loss=1.2))
    assert (risk.is_conservative, risk.reasons) == (True, ("loss_spike",))
    epochs = iter(range(3, 99))
    for _ in range(EXIT_CALM - 1):
        risk = evaluate(risk, packet(next(epochs), loss=1.2))
        assert risk.is_conservative
    risk = evaluate(risk, packet(next(epochs), loss=1.2, gradient_norm=19.0))  # one more alarm: the count begins anew
    for _ in range(EXIT_CALM - 1):
        risk = evaluate(risk, packet(next(epochs), loss=1.2))
        assert risk.is_conservative
    assert not evaluate(risk, packet(next(epochs), loss=1.2)).is_conservative


def test_conservative_mode_that_a_person_ordered_ends_only_by_order() -> None:
    risk = through(Risk().ordered(True), *(packet(each) for each in range(1, 4 * EXIT_CALM)))
    assert risk.is_conservative
    assert not risk.ordered(False).is_conservative


def test_conservative_mode_tightens_the_gradient() -> None:
    norm = packet(gradient_norm=5.0)
    assert signal(evaluate(Risk(), norm), "gradient") == 0.0
    assert signal(evaluate(Risk().conservative("x"), norm), "gradient") > 0.1


def test_thresholds_relax_after_calm_and_tighten_after_unrest_within_bounds() -> None:
    def after(epochs: int, **metrics: float) -> float:
        risk = Risk()
        for epoch in range(epochs):
            risk = evaluate(risk, packet(epoch, **metrics))
        return risk.stretch

    assert after(30, gradient_norm=0.1) > 1 > after(30, loss_volatility=3.0)
    assert after(400, loss_volatility=3.0) == 0.5
    assert after(1000, gradient_norm=0.0) == 2.0
    assert after(9, gradient_norm=0.1) == 1.0


@pytest.mark.parametrize(
    ("risk", "facts", "act", "reason"),
    [
        (Risk(), {"blueprint_risk": 0.5}, "issue", ""),
        (Risk(level=Level.YELLOW), {"blueprint_risk": 0.5}, "issue", ""),
        (Risk(level=Level.YELLOW), {"blueprint_risk": 0.7}, "soften", "policy_risk_elevated"),
        (Risk(level=Level.ORANGE), {"blueprint_risk": 0.1}, "soften", "policy_risk_elevated"),
        (Risk(level=Level.RED), {"blueprint_risk": 0.1}, "hold", "policy_risk_elevated"),
        (Risk(level=Level.RED), {"changes": False, "blueprint_risk": None}, "issue", ""),
        (Risk(level=Level.CRITICAL), {"changes": False, "blueprint_risk": None}, "hold", "policy_risk_critical"),
        (Risk().conservative("x"), {"blueprint_risk": 0.7}, "hold", "conservative_mode"),
        (Risk(), {"blueprint_risk": 1.0, "is_quarantined": True}, "hold", "bp_quarantine"),
    ],
)
def test_rules_let_through_soften_or_hold(risk: Risk, facts: Any, act: str, reason: str) -> None:
    verdict = judge(risk, **{"changes": True, **facts})
    assert (verdict.act, verdict.reason) == (act, reason)


def test_what_is_no_number_is_the_worst() -> None:
    risk = through(Risk(), packet(1), packet(2, loss=float("nan"), gradient_norm=float("nan")))
    assert risk.is_conservative
