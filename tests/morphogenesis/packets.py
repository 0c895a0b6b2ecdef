"""The reference packet of each contract that has a budget: what bytes, times and allocations are measured on."""

from __future__ import annotations

from typing import Final

from neuraxis_morphogenesis.contracts import (
    SIGNATURE,
    AdaptationCommand,
    CommandType,
    FieldReport,
    FieldReportOutcome,
    HardwareContext,
    SeedLifecycleStage,
    SeedOperation,
    SeedOperationPayload,
    SeedState,
    SystemStatePacket,
    numbers,
    pairs,
)

STATE: Final = SystemStatePacket(
    current_epoch=12,
    validation_accuracy=0.75,
    validation_loss=0.5,
    timestamp_ns=12_000_000_000,
    hardware_context=HardwareContext(device_type="cpu", device_id="0", total_memory_gb=16.0),
    training_metrics=numbers({"loss": 0.5, "gradient_norm": 1.25, "latency_ms": 8.0}),
    seed_states=(
        SeedState(
            seed_id="trunk.1",
            stage=SeedLifecycleStage.BLENDING,
            gradient_norm=0.25,
            learning_rate=0.0625,
            layer_depth=1,
            metrics=numbers({"alpha": 0.5}),
            age_epochs=4,
        ),
    ),
    packet_id="grow/12",
    global_step=384,
    training_loss=0.625,
    source_subsystem="trainer",
    training_run_id="7",
    experiment_name="grow_signals",
)

COMMAND: Final = AdaptationCommand(
    command_id="policy/12/0",
    command_type=CommandType.SEED,
    target_seed_id="trunk.1",
    execution_deadline_ms=1000,
    issued_at_ns=12_000_000_000,
    issued_by="policy",
    seed_operation=SeedOperationPayload(
        operation=SeedOperation.GERMINATE, blueprint_id="BP009", parameters=numbers({"depth": 2})
    ),
    annotations=pairs({SIGNATURE: "0" * 64, "risk_reason": "policy"}),
)

REPORT: Final = FieldReport(
    report_id="7/policy/12/0",
    command_id="policy/12/0",
    training_run_id="7",
    seed_id="trunk.1",
    blueprint_id="BP009",
    outcome=FieldReportOutcome.SUCCESS,
    metrics=numbers({"accuracy_delta": 0.125, "loss_delta": -0.25}),
    observation_window_epochs=3,
    issued_at_ns=15_000_000_000,
    policy_version="plateau",
)
