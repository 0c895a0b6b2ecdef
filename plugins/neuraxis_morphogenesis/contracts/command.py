"""What the policy decides, and what came of it."""

from __future__ import annotations

from typing import Final, final

from msgspec import Struct

from neuraxis import message
from neuraxis_morphogenesis.contracts.enums import CircuitBreakerState, CommandType, FieldReportOutcome, SeedOperation
from neuraxis_morphogenesis.contracts.pairs import Numbers, Texts
from neuraxis_morphogenesis.contracts.state import SCHEMA_VERSION

SIGNATURE: Final = "signature"
"""The annotation that carries the signature of a command."""


@final
@message("morphogenesis.seed_operation_payload")
class SeedOperationPayload(Struct, frozen=True, kw_only=True):
    """What to do with a seed.

    Attributes:
        operation: The act.
        blueprint_id: For `GERMINATE`: what is to grow.
        parameters: Of the blueprint.
    """

    operation: SeedOperation = SeedOperation.UNKNOWN
    blueprint_id: str = ""
    parameters: Numbers = ()


@final
@message("morphogenesis.optimizer_adjustment")
class OptimizerAdjustment(Struct, frozen=True, kw_only=True):
    """A change of the optimiser.

    Attributes:
        optimizer_id: Which one; empty for the only one.
        hyperparameters: New values, such as `lr_factor`.
    """

    optimizer_id: str = ""
    hyperparameters: Numbers = ()


@final
@message("morphogenesis.circuit_breaker_command")
class CircuitBreakerCommand(Struct, frozen=True, kw_only=True):
    """Forces a circuit breaker.

    Attributes:
        desired_state: The state it takes.
        rationale: Why.
    """

    desired_state: CircuitBreakerState = CircuitBreakerState.UNKNOWN
    rationale: str = ""


@final
@message("morphogenesis.rollback_payload")
class RollbackPayload(Struct, frozen=True, kw_only=True):
    """Asks to go back to a healthy state.

    Attributes:
        reason: Why.
        full: To the oldest healthy state that is kept, and not only to the newest.
    """

    reason: str = ""
    full: bool = False


@final
@message("morphogenesis.adaptation_command")
class AdaptationCommand(Struct, frozen=True, kw_only=True):
    """A decision. At most one of the four payloads is there; which one follows from `command_type`.

    Attributes:
        version: `SCHEMA_VERSION`.
        command_id: Names it; nobody accepts it twice.
        command_type: What it is about.
        target_seed_id: The slot; empty if it is about none.
        execution_deadline_ms: How long after `issued_at_ns` it may still be carried out; 0 for no limit of its own.
        issued_at_ns: Model time, nanosecond; wall time under the live clock. 0 is a missing time.
        issued_by: Path of the sender.
        seed_operation, optimizer_adjustment, circuit_breaker, rollback_payload: The payload.
        annotations: Why it was decided, and the signature.
    """

    version: int = SCHEMA_VERSION
    command_id: str = ""
    command_type: CommandType = CommandType.UNKNOWN
    target_seed_id: str = ""
    execution_deadline_ms: int = 0
    issued_at_ns: int = 0
    issued_by: str = ""
    seed_operation: SeedOperationPayload | None = None
    optimizer_adjustment: OptimizerAdjustment | None = None
    circuit_breaker: CircuitBreakerCommand | None = None
    rollback_payload: RollbackPayload | None = None
    annotations: Texts = ()


@final
@message("morphogenesis.follow_up_action")
class FollowUpAction(Struct, frozen=True, kw_only=True):
    """What a report recommends.

    Attributes:
        action_type: What to do.
        rationale: Why.
    """

    action_type: str = ""
    rationale: str = ""


@final
@message("morphogenesis.field_report")
class FieldReport(Struct, frozen=True, kw_only=True):
    """What came of a command, observed over some epochs.

    Attributes:
        version: `SCHEMA_VERSION`.
        report_id: Names it, among all reports of all runs.
        command_id: The command.
        training_run_id, seed_id, blueprint_id: Where it was carried out.
        outcome: The verdict.
        metrics: What changed.
        observation_window_epochs: For how long it was observed.
        issued_at_ns: Model time, nanosecond; wall time under the live clock.
        policy_version: Which policy decided.
        follow_up_actions: What to do next.
        notes: For people.
    """

    version: int = SCHEMA_VERSION
    report_id: str = ""
    command_id: str = ""
    training_run_id: str = ""
    seed_id: str = ""
    blueprint_id: str = ""
    outcome: FieldReportOutcome = FieldReportOutcome.UNSPECIFIED
    metrics: Numbers = ()
    observation_window_epochs: int = 0
    issued_at_ns: int = 0
    policy_version: str = ""
    follow_up_actions: tuple[FollowUpAction, ...] = ()
    notes: str = ""


@final
@message("morphogenesis.policy_update")
class PolicyUpdate(Struct, frozen=True, kw_only=True):
    """A new policy.

    Attributes:
        version: `SCHEMA_VERSION`.
        policy_id: Names it.
        training_run_id: Where it was learned.
        issued_at_ns: Model time, nanosecond; wall time under the live clock.
        policy_version: Its version.
        payload: Its tensors, as safetensors.
    """

    version: int = SCHEMA_VERSION
    policy_id: str = ""
    training_run_id: str = ""
    issued_at_ns: int = 0
    policy_version: str = ""
    payload: bytes = b""
