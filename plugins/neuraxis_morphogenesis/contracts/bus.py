"""What is observed, and how messages are wrapped on their way."""

from __future__ import annotations

from typing import final

from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.contracts.enums import (
    BusMessageType,
    DeliveryGuarantee,
    HealthStatus,
    MessagePriority,
    TelemetryLevel,
)
from neuraxis_morphogenesis.contracts.pairs import Texts


@final
@message("morphogenesis.metric_point")
class MetricPoint(Struct, frozen=True, kw_only=True):
    """A number that was measured, with its unit."""

    name: str = ""
    value: float = 0.0
    unit: str = ""
    attributes: Texts = ()


@final
@message("morphogenesis.telemetry_event")
class TelemetryEvent(Struct, frozen=True, kw_only=True):
    """Something that happened.

    Attributes:
        event_id: Its kind, such as `gate_event`.
        description: For people.
        level: How serious it is.
        attributes: Facts.
    """

    event_id: str = ""
    description: str = ""
    level: TelemetryLevel = TelemetryLevel.UNSPECIFIED
    attributes: Texts = ()


@final
@message("morphogenesis.trace_span")
class TraceSpan(Struct, frozen=True, kw_only=True):
    """A stretch of work, from `start_ns` to `end_ns`."""

    span_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    start_ns: int = 0
    end_ns: int = 0
    attributes: Texts = ()


@final
@message("morphogenesis.system_health")
class SystemHealth(Struct, frozen=True, kw_only=True):
    """How well a part is, in a word, a sentence and facts."""

    status: HealthStatus = HealthStatus.UNKNOWN
    summary: str = ""
    indicators: Texts = ()


@final
@message("morphogenesis.telemetry_packet")
class TelemetryPacket(Struct, frozen=True, kw_only=True):
    """What a part observed.

    Attributes:
        packet_id: Names it.
        timestamp_ns: Model time, nanosecond; wall time under the live clock.
        source_subsystem: Path of the sender.
        level: The most serious level in it.
        metrics, events, spans: What was observed.
        system_health: How well the sender is.
    """

    packet_id: str = ""
    timestamp_ns: int = 0
    source_subsystem: str = ""
    level: TelemetryLevel = TelemetryLevel.UNSPECIFIED
    metrics: tuple[MetricPoint, ...] = ()
    events: tuple[TelemetryEvent, ...] = ()
    spans: tuple[TraceSpan, ...] = ()
    system_health: SystemHealth | None = None


@final
@message("morphogenesis.event_envelope")
class EventEnvelope(Struct, frozen=True, kw_only=True):
    """An event on its way, with everything that routing and retrying need.

    Attributes:
        event_id: Names it; who reads it twice drops the second.
        event_type, payload_type, content_encoding: What is in it.
        source_subsystem: Path of the sender.
        created_at_ns, processing_deadline_ns: Times, nanosecond; 0 for no deadline.
        ttl_s: Seconds after which nobody needs it; 0 for never.
        payload: Its bytes.
        priority: How soon it must be read.
        routing_keys: Where to.
        correlation_id: What it belongs to.
        delivery_guarantee: How often it arrives.
        max_attempts, current_attempt: How often it is tried, and was.
    """

    event_id: str = ""
    event_type: str = ""
    source_subsystem: str = ""
    created_at_ns: int = 0
    processing_deadline_ns: int = 0
    ttl_s: int = 0
    payload: bytes = b""
    payload_type: str = ""
    content_encoding: str = ""
    priority: MessagePriority = MessagePriority.UNSPECIFIED
    routing_keys: tuple[str, ...] = ()
    correlation_id: str = ""
    delivery_guarantee: DeliveryGuarantee = DeliveryGuarantee.UNKNOWN
    max_attempts: int = 0
    current_attempt: int = 0


@final
@message("morphogenesis.bus_envelope")
class BusEnvelope(Struct, frozen=True, kw_only=True):
    """A message on the bus: its kind, its bytes, and attributes such as the counter of attempts."""

    message_type: BusMessageType = BusMessageType.UNSPECIFIED
    payload: bytes = b""
    attributes: Texts = ()
