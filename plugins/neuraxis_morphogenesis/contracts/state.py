"""What the trainer tells about itself and its seeds."""

from __future__ import annotations

from typing import Final, final

from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.contracts.enums import EmergencyLevel, SeedLifecycleGate, SeedLifecycleStage
from neuraxis_morphogenesis.contracts.pairs import Numbers, Texts

SCHEMA_VERSION: Final = 1
"""Version of all contracts. A message of another version is refused."""


@final
@message("morphogenesis.hardware_context")
class HardwareContext(Struct, frozen=True, kw_only=True):
    """The device that trains.

    Attributes:
        device_type: `cpu`, `cuda` or `tpu`.
        device_id: Which of them.
        total_memory_gb, available_memory_gb: Memory, 10**9 bytes.
        temperature_celsius: Temperature, °C.
        utilization_percent: From 0 to 100.
        compute_capability: Of a CUDA device, major times ten plus minor.
    """

    device_type: str = ""
    device_id: str = ""
    total_memory_gb: float = 0.0
    available_memory_gb: float = 0.0
    temperature_celsius: float = 0.0
    utilization_percent: float = 0.0
    compute_capability: int = 0


@final
@message("morphogenesis.seed_state")
class SeedState(Struct, frozen=True, kw_only=True):
    """One seed, as the policy sees it.

    Attributes:
        seed_id: Name of its slot.
        stage: Where it is in its life.
        gradient_norm: Euclidean norm of the newest gradient of its parameters.
        learning_rate: Of its parameters.
        layer_depth: Blocks of the host before it.
        metrics: Among them `alpha`, `alpha_steps`, `alpha_total_steps`, `alpha_temperature`, `blend_allowed` and
            `risk_tolerance`.
        age_epochs: Epochs since it germinated.
        risk_score: From 0 to 1.
    """

    seed_id: str = ""
    stage: SeedLifecycleStage = SeedLifecycleStage.UNKNOWN
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    layer_depth: int = 0
    metrics: Numbers = ()
    age_epochs: int = 0
    risk_score: float = 0.0


@final
@message("morphogenesis.system_state_packet")
class SystemStatePacket(Struct, frozen=True, kw_only=True):
    """The whole training at the end of an epoch.

    Attributes:
        version: `SCHEMA_VERSION`.
        current_epoch: Epochs done.
        validation_accuracy, validation_loss: On data that nothing was trained on; accuracy from 0 to 1.
        timestamp_ns: Model time, nanosecond; wall time under the live clock.
        hardware_context: The device.
        training_metrics: By name.
        seed_states: Of all slots.
        packet_id: Names it.
        global_step: Optimiser steps done.
        training_loss: Mean of the epoch.
        source_subsystem: Path of the sender.
        training_run_id, experiment_name: Which training.
    """

    version: int = SCHEMA_VERSION
    current_epoch: int = 0
    validation_accuracy: float = 0.0
    validation_loss: float = 0.0
    timestamp_ns: int = 0
    hardware_context: HardwareContext | None = None
    training_metrics: Numbers = ()
    seed_states: tuple[SeedState, ...] = ()
    packet_id: str = ""
    global_step: int = 0
    training_loss: float = 0.0
    source_subsystem: str = ""
    training_run_id: str = ""
    experiment_name: str = ""


@final
@message("morphogenesis.gate_event")
class GateEvent(Struct, frozen=True, kw_only=True):
    """What a gate found.

    Attributes:
        gate: Which gate.
        passed: Whether it opened.
        reason: What held it shut; empty if it opened.
        seed_id: The seed.
        epoch: When.
        measured: What it was decided by.
    """

    gate: SeedLifecycleGate = SeedLifecycleGate.UNKNOWN
    passed: bool = False
    reason: str = ""
    seed_id: str = ""
    epoch: int = 0
    measured: Numbers = ()


@final
@message("morphogenesis.emergency_signal")
class EmergencySignal(Struct, frozen=True, kw_only=True):
    """Something that must not wait.

    Attributes:
        version: `SCHEMA_VERSION`.
        level: How far it goes.
        reason: What happened, by name.
        origin: Path of the sender.
        triggered_at_ns: Model time, nanosecond; wall time under the live clock.
        monotonic_time_ms: The same in milliseconds since the run began.
        run_id: Which training.
        attributes: Facts.
        payload_checksum: SHA-256 of what it refers to, hexadecimal, or empty.
    """

    version: int = SCHEMA_VERSION
    level: EmergencyLevel = EmergencyLevel.UNSPECIFIED
    reason: str = ""
    origin: str = ""
    triggered_at_ns: int = 0
    monotonic_time_ms: int = 0
    run_id: str = ""
    attributes: Texts = ()
    payload_checksum: str = ""
