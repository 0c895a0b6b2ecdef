"""What the seeds actor tells: packets of telemetry, and the life of each seed as a table.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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
from neuraxis_morphogenesis.model_time import now_ns
from neuraxis_morphogenesis.seeds.lifecycle import GROWING
from neuraxis_morphogenesis.seeds.lives import Stay, told
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
    return TelemetryPacket(
        packet_id=f"{context.path}/{context.tick}/{len(events)}",
        timestamp_ns=now_ns(context),
        source_subsystem=context.path,
        level=worst(events),
        metrics=tuple(metrics),
        events=events,
        system_health=SystemHealth(status=status, summary=status.name.lower()),
    )


def life_chart(stays: Sequence[Stay], credits: Mapping[str, float]) -> Chart:
    """Return the life of each seed as a table: a row for each stay in a stage.

    Args:
        stays: Of all slots.
        credits: Contribution of each life, share of accuracy.
    """
    rows = [("slot", "stage", "blueprint", "from epoch", "to epoch", "contribution, points")]
    for each in stays:
        credit = told(credits, each) if each.is_last else ""
        rows.append((each.slot, each.stage.name, each.blueprint_id, str(each.entered), str(each.left), credit))
    return Chart("Life of each seed", "Every stage that each slot went through.", rows=tuple(rows))
