"""What the trainer tells: the whole state for the policy, telemetry, and the learning curve.

Determinism: machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neuraxis import Chart, Context
from neuraxis_morphogenesis.contracts import (
    HardwareContext,
    MetricPoint,
    SeedState,
    SystemStatePacket,
    TelemetryLevel,
    TelemetryPacket,
    numbers,
)
from neuraxis_morphogenesis.model_time import now_ns

if TYPE_CHECKING:
    from neuraxis_morphogenesis.trainer.actor import Trainer

FAMILIES = ("sgd", "adam", "adamw")


def state_packet(context: Context, trainer: Trainer, states: Sequence[SeedState]) -> SystemStatePacket:
    """Return the whole state at the end of an epoch. What could not be measured, or is no number, is left out."""
    training = trainer.training
    tally = training.host_tally
    last, before = trainer.curve[-1], trainer.curve[-2] if len(trainer.curve) > 1 else trainer.curve[-1]
    metrics = {
        "loss": trainer.training_loss,
        "accuracy": trainer.validated["accuracy"],
        "gradient_norm": tally.last,
        "loss_ewma": tally.loss_ewma,
        "loss_volatility": math.sqrt(tally.loss_variance),
        "loss_delta": last[2] - before[2],
        "accuracy_delta": last[1] - before[1],
        "grad_conflict_rate": tally.conflicts,
        "optimizer_lr": training.rate,
        "optimizer_momentum": trainer.momentum,
        "optimizer_family_index": float(FAMILIES.index(trainer.optimiser)),
        "weight_decay": trainer.decay,
        "clip_norm": trainer.gradient_max,
        "parameters": float(training.parameters()),
        "progress": trainer.progress,
        **trainer.layers,
    }
    return SystemStatePacket(
        current_epoch=trainer.epoch,
        validation_accuracy=trainer.validated["accuracy"],
        validation_loss=trainer.validated["loss"],
        timestamp_ns=now_ns(context),
        hardware_context=HardwareContext(device_type="cpu", device_id="0"),
        training_metrics=numbers({name: value for name, value in metrics.items() if math.isfinite(value)}),
        seed_states=tuple(states),
        packet_id=f"{context.path}/{trainer.epoch}",
        global_step=training.step,
        training_loss=trainer.training_loss,
        source_subsystem=context.path,
    )


def telemetry_packet(context: Context, trainer: Trainer) -> TelemetryPacket:
    """Return the metrics of an epoch."""
    values = {
        "trainer.training.loss": trainer.training_loss,
        "trainer.training.accuracy": trainer.validated["accuracy"],
        "trainer.mode.conservative": float(trainer.is_conservative),
        "trainer.rollback.count": float(trainer.rollbacks),
        "trainer.faults": float(trainer.faults),
        "trainer.grad_agg.conflict_rate": trainer.training.host_tally.conflicts,
    }
    return TelemetryPacket(
        packet_id=f"{context.path}/{trainer.epoch}",
        timestamp_ns=now_ns(context),
        source_subsystem=context.path,
        level=TelemetryLevel.INFO,
        metrics=tuple(MetricPoint(name=name, value=value) for name, value in values.items()),
    )


def learning_chart(curve: Sequence[Sequence[float]]) -> Chart:
    """Return the learning curve as a table.

    Args:
        curve: Epoch, accuracy, loss and multiply-adds of each validation.
    """
    rows = [("epoch", "accuracy", "loss", "multiply-adds")]
    rows += [(f"{epoch:.0f}", f"{right:.4f}", f"{loss:.4f}", f"{macs:.4g}") for epoch, right, loss, macs in curve]
    return Chart("Learning curve", "Validation, on data that was never trained on.", rows=tuple(rows))
