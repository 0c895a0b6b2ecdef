"""Enumerations of the contracts. Made of `enums.proto` by `contracts.build`; do not change it by hand."""

from __future__ import annotations

from enum import IntEnum, unique
from typing import final

__all__ = [
    "BlueprintTier",
    "BusMessageType",
    "CircuitBreakerState",
    "CommandType",
    "DeliveryGuarantee",
    "EmergencyLevel",
    "FieldReportOutcome",
    "HealthStatus",
    "MessagePriority",
    "SeedLifecycleGate",
    "SeedLifecycleStage",
    "SeedOperation",
    "TelemetryLevel",
]


@final
@unique
class SeedLifecycleStage(IntEnum):
    """Where a seed is in its life."""

    UNKNOWN = 0
    DORMANT = 1
    GERMINATED = 2
    TRAINING = 3
    BLENDING = 4
    SHADOWING = 5
    PROBATIONARY = 6
    FOSSILIZED = 7
    CULLED = 8
    EMBARGOED = 9
    RESETTING = 10
    TERMINATED = 11


@final
@unique
class SeedLifecycleGate(IntEnum):
    """What stands between two stages."""

    UNKNOWN = 0
    G0_SANITY = 1
    G1_GRADIENT_HEALTH = 2
    G2_STABILITY = 3
    G3_INTERFACE = 4
    G4_SYSTEM_IMPACT = 5
    G5_RESET = 6


@final
@unique
class HealthStatus(IntEnum):
    """How well a part is."""

    UNKNOWN = 0
    HEALTHY = 1
    DEGRADED = 2
    UNHEALTHY = 3
    CRITICAL = 4


@final
@unique
class CircuitBreakerState(IntEnum):
    """What a circuit breaker lets through: everything, nothing, or a trial."""

    UNKNOWN = 0
    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


@final
@unique
class CommandType(IntEnum):
    """What a command is about."""

    UNKNOWN = 0
    SEED = 1
    ROLLBACK = 2
    OPTIMIZER = 3
    CIRCUIT_BREAKER = 4
    PAUSE = 5
    EMERGENCY = 6
    STRUCTURAL_PRUNING = 7


@final
@unique
class SeedOperation(IntEnum):
    """What to do with a seed."""

    UNKNOWN = 0
    GERMINATE = 1
    START_TRAINING = 2
    START_GRAFTING = 3
    STABILIZE = 4
    EVALUATE = 5
    FINE_TUNE = 6
    FOSSILIZE = 7
    CULL = 8
    CANCEL = 9


@final
@unique
class MessagePriority(IntEnum):
    """How soon a message must be read."""

    UNSPECIFIED = 0
    LOW = 1
    NORMAL = 2
    HIGH = 3
    CRITICAL = 4


@final
@unique
class DeliveryGuarantee(IntEnum):
    """How often a message arrives."""

    UNKNOWN = 0
    AT_LEAST_ONCE = 1
    AT_MOST_ONCE = 2
    EXACTLY_ONCE = 3


@final
@unique
class TelemetryLevel(IntEnum):
    """How serious an observation is."""

    UNSPECIFIED = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


@final
@unique
class EmergencyLevel(IntEnum):
    """How far an emergency goes."""

    UNSPECIFIED = 0
    NOTICE = 1
    ELEVATED = 2
    CONSERVATIVE = 3
    HALT = 4


@final
@unique
class FieldReportOutcome(IntEnum):
    """What came of a command."""

    UNSPECIFIED = 0
    SUCCESS = 1
    NEUTRAL = 2
    REGRESSION = 3
    ABORTED = 4


@final
@unique
class BlueprintTier(IntEnum):
    """How far a blueprint is trusted."""

    UNSPECIFIED = 0
    SAFE = 1
    EXPERIMENTAL = 2
    HIGH_RISK = 3


@final
@unique
class BusMessageType(IntEnum):
    """What an envelope of the bus carries."""

    UNSPECIFIED = 0
    SYSTEM_STATE = 1
    ADAPTATION_COMMAND = 2
    FIELD_REPORT = 3
    TELEMETRY = 4
    POLICY_UPDATE = 5
    KERNEL_PREFETCH_REQUEST = 6
    KERNEL_ARTIFACT_READY = 7
    KERNEL_ARTIFACT_ERROR = 8
    KERNEL_CATALOG_UPDATE = 9
    EMERGENCY_SIGNAL = 10
    RISK_SHEET_ISSUED = 20
    RISK_SHEET_FAILED = 21
    BENCHMARK_REPORT = 22
