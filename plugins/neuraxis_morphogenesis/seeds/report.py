"""What the seeds actor tells: packets of telemetry, and the life of each seed as a table.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from neuraxis import Chart, Context
from neuraxis_morphogenesis.contracts import (
    CircuitBreakerState,
    HealthStatus,
    MetricPoint,
    SystemHealth,
    TelemetryEvent,
    TelemetryPacket,
    pairs,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.lifecycle import GROWING
from neuraxis_morphogenesis.seeds.telemetry import worst

if TYPE_CHECKING:
    from neuraxis_morphogenesis.seeds.keeper import Keeper


def packet(context: Context, seeds: Keeper, events: tuple[TelemetryEvent, ...]) -> TelemetryPacket:
    """Return a packet with the newest metrics, and these events."""
    entries = list(seeds.book.values())
    breakers = {name: each.at(context.tick) for name, each in seeds.breakers.items()}
    violations = sum(dict(each.measured).get("isolation_violations", 0.0) for each in entries)
    metrics = [
        MetricPoint(name="seeds.active", value=float(sum(each.stage in GROWING for each in entries)), unit="seeds"),
        MetricPoint(name="seeds.isolation.violations", value=violations, unit="breaches"),
        *(
            MetricPoint(name=f"seeds.breaker.{part}", value=float(value), unit="", attributes=pairs({"breaker": name}))
            for name, each in breakers.items()
            for part, value in (("state", int(each.state)), ("failures", each.failures))
        ),
        *(
            MetricPoint(name=f"seeds.seed.{name}", value=value, unit="", attributes=pairs({"seed_id": each.slot}))
            for each in entries
            for name, value in (("stage", float(each.stage)), *each.measured)
        ),
    ]
    is_open = any(each.state is CircuitBreakerState.OPEN for each in breakers.values())
    status = HealthStatus.UNHEALTHY if violations or is_open else HealthStatus.HEALTHY
    now = int(context.tick * context.tick_length * 10**9)
    return TelemetryPacket(
        packet_id=f"{context.path}/{context.tick}/{len(events)}",
        timestamp_ns=now,
        source_subsystem=context.path,
        level=worst(events),
        metrics=tuple(metrics),
        events=events,
        system_health=SystemHealth(status=status, summary=status.name.lower()),
    )


def life_chart(history: Sequence[Sequence[Any]], epoch: int) -> Chart:
    """Return the life of each seed as a table: a row for each stay in a stage.

    Args:
        history: Slot, stage, epoch and blueprint of each move, in order.
        epoch: The newest.
    """
    rows = [("slot", "stage", "blueprint", "from epoch", "to epoch")]
    for number, (slot, stage, entered, blueprint) in enumerate(history):
        left = next((each[2] for each in history[number + 1 :] if each[0] == slot), epoch)
        rows.append((slot, Stage(stage).name, blueprint, str(entered), str(left)))
    return Chart("Life of each seed", "Every stage that each slot went through.", rows=tuple(rows))
