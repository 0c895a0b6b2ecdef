"""The contracts: every message and enumeration that crosses a border of this package.

*.proto              the truth, and the wire form at the edges
enums                enumerations, made of it
state, command       what travels inside: training and seeds; decisions and reports
library, bus         blueprints and kernels; telemetry and envelopes
wire                 the way between the two (needs protobuf)
build, compatibility what makes the bindings and refuses changes that break others (needs protobuf)
"""

from __future__ import annotations

from neuraxis_morphogenesis.contracts.bus import (
    BusEnvelope,
    EventEnvelope,
    MetricPoint,
    SystemHealth,
    TelemetryEvent,
    TelemetryPacket,
    TraceSpan,
)
from neuraxis_morphogenesis.contracts.command import (
    SIGNATURE,
    AdaptationCommand,
    CircuitBreakerCommand,
    FieldReport,
    FollowUpAction,
    OptimizerAdjustment,
    PolicyUpdate,
    RollbackPayload,
    SeedOperationPayload,
)
from neuraxis_morphogenesis.contracts.enums import (
    BlueprintTier,
    BusMessageType,
    CircuitBreakerState,
    CommandType,
    DeliveryGuarantee,
    EmergencyLevel,
    FieldReportOutcome,
    HealthStatus,
    MessagePriority,
    SeedLifecycleGate,
    SeedLifecycleStage,
    SeedOperation,
    TelemetryLevel,
)
from neuraxis_morphogenesis.contracts.library import (
    BlueprintDescriptor,
    KernelArtifactError,
    KernelArtifactReady,
    KernelCatalogUpdate,
    KernelPrefetchRequest,
    ParameterBounds,
)
from neuraxis_morphogenesis.contracts.pairs import Numbers, Texts, numbers, pairs
from neuraxis_morphogenesis.contracts.state import (
    SCHEMA_VERSION,
    EmergencySignal,
    GateEvent,
    HardwareContext,
    SeedState,
    SystemStatePacket,
)

__all__ = [
    "SCHEMA_VERSION",
    "SIGNATURE",
    "AdaptationCommand",
    "BlueprintDescriptor",
    "BlueprintTier",
    "BusEnvelope",
    "BusMessageType",
    "CircuitBreakerCommand",
    "CircuitBreakerState",
    "CommandType",
    "DeliveryGuarantee",
    "EmergencyLevel",
    "EmergencySignal",
    "EventEnvelope",
    "FieldReport",
    "FieldReportOutcome",
    "FollowUpAction",
    "GateEvent",
    "HardwareContext",
    "HealthStatus",
    "KernelArtifactError",
    "KernelArtifactReady",
    "KernelCatalogUpdate",
    "KernelPrefetchRequest",
    "MessagePriority",
    "MetricPoint",
    "Numbers",
    "OptimizerAdjustment",
    "ParameterBounds",
    "PolicyUpdate",
    "RollbackPayload",
    "SeedLifecycleGate",
    "SeedLifecycleStage",
    "SeedOperation",
    "SeedOperationPayload",
    "SeedState",
    "SystemHealth",
    "SystemStatePacket",
    "TelemetryEvent",
    "TelemetryLevel",
    "TelemetryPacket",
    "Texts",
    "TraceSpan",
    "numbers",
    "pairs",
]
