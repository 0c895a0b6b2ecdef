"""Field reports: what came of a command, observed over some epochs, and what is remembered of blueprints.

A window opens with a command about a seed and closes some epochs later. Its verdict rests on validation, and on
what became of the seed; a command that was not carried out is told as ABORTED.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuraxis_morphogenesis.contracts import (
    FieldReport,
    FieldReportOutcome,
    FollowUpAction,
    SeedState,
    SystemStatePacket,
    numbers,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage

Window = dict[str, Any]
"""An open window: plain values, because it is state of an actor."""

OUT = (Stage.CULLED, Stage.EMBARGOED, Stage.RESETTING)


def opened(
    *, command_id: str, seed: SeedState, blueprint_id: str, target: int, packet: SystemStatePacket, version: str
) -> Window:
    """Return a window that begins with a packet.

    Args:
        command_id: The command.
        seed: As it was.
        blueprint_id: That is to germinate, or empty.
        target: Stage that the command asks for.
        packet: That was decided on.
        version: Of the policy.
    """
    return {
        "command_id": command_id,
        "seed_id": seed.seed_id,
        "blueprint_id": blueprint_id,
        "stage": int(seed.stage),
        "target": target,
        "epoch": packet.current_epoch,
        "accuracy": packet.validation_accuracy,
        "loss": packet.validation_loss,
        "version": version,
        "was_carried_out": False,
        "was_culled": False,
        "was_critical": False,
    }


def observed(window: Window, seeds: Mapping[str, SeedState], *, is_critical: bool) -> Window:
    """Return a window after another packet."""
    seed = seeds.get(window["seed_id"])
    stage = int(window["stage"]) if seed is None else int(seed.stage)
    is_out = seed is not None and seed.stage in OUT
    return {
        **window,
        "was_carried_out": window["was_carried_out"] or stage != window["stage"],
        "was_culled": window["was_culled"] or (is_out and window["target"] != int(Stage.CULLED)),
        "was_critical": window["was_critical"] or is_critical,
    }


def closed(
    window: Window, packet: SystemStatePacket, seeds: Mapping[str, SeedState], *, path: str, now_ns: int
) -> FieldReport:
    """Return the report of a window that ends with a packet."""
    gain = packet.validation_accuracy - window["accuracy"]
    rise = packet.validation_loss - window["loss"]
    seed = seeds.get(window["seed_id"])
    told = {"accuracy_delta": gain, "loss_delta": rise}
    if seed is not None and "contribution" in dict(seed.metrics):
        told["contribution"] = dict(seed.metrics)["contribution"]
    return FieldReport(
        report_id=f"{packet.training_run_id or path}/{window['command_id']}",
        command_id=window["command_id"],
        training_run_id=packet.training_run_id,
        seed_id=window["seed_id"],
        blueprint_id=window["blueprint_id"],
        outcome=_outcome(window, rise),
        metrics=numbers(told),
        observation_window_epochs=packet.current_epoch - window["epoch"],
        issued_at_ns=now_ns,
        policy_version=window["version"],
        follow_up_actions=_follow_up(window, rise),
    )


def remembered(
    memory: Mapping[str, tuple[float, float, float, float]], report: FieldReport, *, was_culled: bool
) -> dict[str, tuple[float, float, float, float]]:
    """Return what is known of blueprints after a report: tries, mean gain, last gain, share of culls."""
    if not report.blueprint_id or report.outcome is FieldReportOutcome.ABORTED:
        return dict(memory)
    told = dict(report.metrics)
    gain = told.get("contribution", told["accuracy_delta"])
    tries, mean, _, culls = memory.get(report.blueprint_id, (0.0, 0.0, 0.0, 0.0))
    count = tries + 1
    known = (count, mean + (gain - mean) / count, gain, culls + (float(was_culled) - culls) / count)
    return {**memory, report.blueprint_id: known}


def _outcome(window: Window, rise: float) -> FieldReportOutcome:
    if not window["was_carried_out"]:
        return FieldReportOutcome.ABORTED
    if window["was_culled"] or window["was_critical"] or rise > 0:
        return FieldReportOutcome.REGRESSION
    return FieldReportOutcome.SUCCESS if rise < 0 else FieldReportOutcome.NEUTRAL


def _follow_up(window: Window, rise: float) -> tuple[FollowUpAction, ...]:
    if window["was_culled"]:
        return (FollowUpAction(action_type="avoid_blueprint", rationale="the seed was culled"),)
    if window["was_carried_out"] and rise > 0:
        return (FollowUpAction(action_type="watch_seed", rationale="the validation loss rose"),)
    return ()
