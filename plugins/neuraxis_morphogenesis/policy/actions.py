"""What a policy can do: thirty-two places, of which twelve have a meaning, and what each needs.

Determinism: exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, unique
from typing import Final, final

import numpy as np
from msgspec import Struct

from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    CircuitBreakerCommand,
    CircuitBreakerState,
    CommandType,
    OptimizerAdjustment,
    SeedOperation,
    SeedOperationPayload,
    SeedState,
    numbers,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage

PLACES: Final = 32
"""Logits of a policy. Places without a meaning are always masked."""


@final
@unique
class Action(IntEnum):
    """What a decision does."""

    GERMINATE = 0
    OPTIMIZER = 1
    PAUSE = 2
    BREAKER_OPEN = 3
    BREAKER_CLOSE = 4
    START_TRAINING = 5
    START_GRAFTING = 6
    STABILIZE = 7
    EVALUATE = 8
    FOSSILIZE = 9
    CULL = 10
    STAY = 11


OPERATIONS: Final[Mapping[Action, SeedOperation]] = {
    Action.GERMINATE: SeedOperation.GERMINATE,
    Action.START_TRAINING: SeedOperation.START_TRAINING,
    Action.START_GRAFTING: SeedOperation.START_GRAFTING,
    Action.STABILIZE: SeedOperation.STABILIZE,
    Action.EVALUATE: SeedOperation.EVALUATE,
    Action.FOSSILIZE: SeedOperation.FOSSILIZE,
    Action.CULL: SeedOperation.CULL,
}

_GROWING: Final = (Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING, Stage.PROBATIONARY)

_FROM: Final[Mapping[Action, tuple[Stage, ...]]] = {
    Action.GERMINATE: (Stage.DORMANT,),
    Action.START_TRAINING: (Stage.GERMINATED,),
    Action.START_GRAFTING: (Stage.TRAINING,),
    Action.STABILIZE: (Stage.BLENDING,),
    Action.EVALUATE: (Stage.SHADOWING,),
    Action.FOSSILIZE: (Stage.PROBATIONARY,),
    Action.CULL: _GROWING,
    Action.PAUSE: _GROWING[1:],
}
"""Stages of the seeds that an action can be about."""

_MOVES: Final = (
    Action.START_TRAINING,
    Action.START_GRAFTING,
    Action.STABILIZE,
    Action.EVALUATE,
    Action.FOSSILIZE,
)
"""Actions that move a seed on, which its gates may do by themselves."""


@final
class Options(Struct, frozen=True, eq=False):
    """What is allowed now.

    Attributes:
        actions: (`PLACES`,) bool.
        seeds: (`PLACES`, seeds) bool: which seeds an action can be about.
        blueprints: (blueprints,) bool: which may germinate.
    """

    actions: np.ndarray
    seeds: np.ndarray
    blueprints: np.ndarray


def options(
    seeds: Sequence[SeedState], blueprints: np.ndarray, *, moves: bool, breakers: bool, age_min: int = 0
) -> Options:
    """Return what is allowed.

    Args:
        seeds: All slots, those that never grew anything among them.
        blueprints: (blueprints,) bool: which may germinate.
        moves: Whether the policy moves seeds on; else their gates do.
        breakers: Whether it may force circuit breakers.
        age_min: Epochs before which no seed is culled.
    """
    about = np.zeros((PLACES, len(seeds)), bool)
    for action, stages in _FROM.items():
        if moves or action not in _MOVES:
            about[action] = [seed.stage in stages for seed in seeds]
    about[Action.CULL] &= np.array([seed.age_epochs >= age_min for seed in seeds], bool)
    about[Action.GERMINATE] &= bool(blueprints.any())
    allowed: np.ndarray = np.any(about, axis=1)
    allowed[[Action.STAY, Action.OPTIMIZER]] = True
    allowed[[Action.BREAKER_OPEN, Action.BREAKER_CLOSE]] = breakers
    return Options(allowed, about, blueprints.astype(bool))


@final
class Choice(Struct, frozen=True):
    """What was chosen, by number; -1 where the action needs none.

    Attributes:
        action: The action.
        seed: Which seed.
        blueprint: Which blueprint.
        lr_factor: For `OPTIMIZER`: what learning rates are multiplied by.
        method: Of `METHODS`: how alpha is to rise, for a seed that germinates or begins to blend.
        window: From which share of its time to which; empty where there is no method.
        breaker: Of `BREAKERS`: which one to force.
    """

    action: int
    seed: int = -1
    blueprint: int = -1
    lr_factor: float = 1.0
    method: int = -1
    window: tuple[float, ...] = ()
    breaker: int = -1


METHODS: Final = ("linear", "cosine", "warmup_hold")
"""How alpha may rise, as the head `blend` numbers it."""

BREAKERS: Final = ("attach", "blending")
"""Circuit breakers that a policy may force, as the head `breaker` numbers them. That of isolation is a guard."""

BLENDS: Final = (Action.GERMINATE, Action.START_GRAFTING)
"""Actions whose commands may say how alpha is to rise."""

EDGE: Final = 0.45
"""Largest share of its time for which alpha may rest at 0, or at 1: it never jumps."""


def window(logits: Sequence[float]) -> tuple[float, float]:
    """Return from which share of its time to which alpha rises, as the head `schedule` says.

    Args:
        logits: Two of them; the larger, the later.

    Determinism: machine, to four digits.
    """
    begin, end = (EDGE / (1 + math.exp(-max(-50.0, min(50.0, float(each))))) for each in logits)
    return round(begin, 4), round(1 - EDGE + end, 4)


def annotated(choice: Choice) -> dict[str, str]:
    """Return what a command says of a choice beside its payload."""
    told = {}
    if choice.action in BLENDS and choice.method >= 0:
        told["blending_method"] = METHODS[choice.method]
        told["blending_schedule_start"], told["blending_schedule_end"] = (f"{each:g}" for each in choice.window)
        told["blending_schedule_units"] = "fraction"
    if choice.action in (Action.BREAKER_OPEN, Action.BREAKER_CLOSE) and choice.breaker >= 0:
        told["breaker"] = BREAKERS[choice.breaker]
    return told


STAYS: Final = Choice(int(Action.STAY))


def command(
    choice: Choice,
    *,
    seed_id: str,
    blueprint_id: str,
    parameters: Mapping[str, float],
    command_id: str,
    issued_at_ns: int,
    issued_by: str,
    deadline_ms: int,
    annotations: Iterable[tuple[str, str]],
) -> AdaptationCommand:
    """Return a choice as a command, not signed yet. To stay is a PAUSE of nothing: the trainer waits for an answer."""
    action = Action(choice.action)
    kind, target = CommandType.PAUSE, seed_id
    operation = adjustment = breaker = None
    if action in OPERATIONS:
        kind = CommandType.SEED
        germinates = action is Action.GERMINATE
        operation = SeedOperationPayload(
            operation=OPERATIONS[action],
            blueprint_id=blueprint_id if germinates else "",
            parameters=numbers(parameters) if germinates else (),
        )
    elif action is Action.OPTIMIZER:
        kind, target = CommandType.OPTIMIZER, ""
        adjustment = OptimizerAdjustment(hyperparameters=numbers({"lr_factor": choice.lr_factor}))
    elif action in (Action.BREAKER_OPEN, Action.BREAKER_CLOSE):
        kind, target = CommandType.CIRCUIT_BREAKER, ""
        opens = action is Action.BREAKER_OPEN
        state = CircuitBreakerState.OPEN if opens else CircuitBreakerState.CLOSED
        breaker = CircuitBreakerCommand(desired_state=state, rationale="policy")
    elif action is Action.STAY:
        target = ""
    return AdaptationCommand(
        command_id=command_id,
        command_type=kind,
        target_seed_id=target,
        execution_deadline_ms=deadline_ms,
        issued_at_ns=issued_at_ns,
        issued_by=issued_by,
        seed_operation=operation,
        optimizer_adjustment=adjustment,
        circuit_breaker=breaker,
        annotations=tuple(sorted(annotations)),
    )
