"""Gates: what must be measured, and how much, before a seed leaves a stage. What is not measured does not pass.

| gate | leaving | asks for |
|---|---|---|
| G1 | TRAINING | sound gradients, a finite loss, no violation, and a gain when the seed is switched in for a test |
| G2 | BLENDING | alpha at 1 as scheduled, no violation, no drift of the loss |
| G3 | SHADOWING | outputs of the right shape, finite and akin to the host's; paused and resumed without a trace |
| G4 | PROBATIONARY | a contribution when it is taken out for a test, and no loss beyond what the policy tolerates |
| G5 | RESETTING | nothing is left in the slot |

G0 judges requests and stands in the seeds actor, with the catalogue.

Determinism: exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, final

from msgspec import Struct

from neuraxis_morphogenesis.contracts import SeedLifecycleGate as Gate

POINT: Final = 0.01
"""A percentage point of accuracy."""


@final
class Thresholds(Struct, frozen=True, kw_only=True):
    """What the gates ask for.

    Attributes:
        gain_min: G1: accuracy that the seed adds when it is switched in.
        gradient_ratio_min: G1: norm of the seed's gradient over the host's, each per root of its parameters.
        gradient_health_min: G1: share of steps with a finite gradient within bounds.
        violations_max: All: breaches of isolation in the stage.
        drift_max: G2: rise of the validation loss over the stage, as a share of what it was.
        correlation_min: G3: correlation of the outputs with and without the seed.
        contribution_min: G4: accuracy that is lost when the seed is taken out.
        regression_max: G4: accuracy that may have been lost since the stage began.
    """

    gain_min: float = 0.5 * POINT
    gradient_ratio_min: float = 0.1
    gradient_health_min: float = 0.7
    violations_max: float = 0.0
    drift_max: float = 0.12
    correlation_min: float = 0.9
    contribution_min: float = 1.0 * POINT
    regression_max: float = 1.0 * POINT


@final
class Finding(Struct, frozen=True):
    """What a gate found.

    Attributes:
        passed: Whether it opens.
        reason: Everything that holds it shut; empty if it opens.
        is_final: Whether waiting cannot help: something is broken.
    """

    passed: bool
    reason: str = ""
    is_final: bool = False


@final
class _Demand(Struct, frozen=True):
    """A measurement that must be there and within bounds."""

    name: str
    at_least: float = -math.inf
    at_most: float = math.inf
    is_final: bool = False

    def complaint(self, measured: Mapping[str, float]) -> str | None:
        value = measured.get(self.name)
        if value is None:
            return f"{self.name} is not measured"
        if not math.isfinite(value):
            return f"{self.name} is {value}"
        if value < self.at_least:
            return f"{self.name} {value:.6g} is below {self.at_least:g}"
        return f"{self.name} {value:.6g} is above {self.at_most:g}" if value > self.at_most else None


def demands(gate: Gate, thresholds: Thresholds) -> tuple[_Demand, ...]:
    """Return what a gate asks for."""
    sound = (
        _Demand("finite", at_least=1, is_final=True),
        _Demand("isolation_violations", at_most=thresholds.violations_max, is_final=True),
    )
    by_gate = {
        Gate.G1_GRADIENT_HEALTH: (
            *sound,
            _Demand("exploding", at_most=0, is_final=True),
            _Demand("seed_loss"),
            _Demand("gradient_health", at_least=thresholds.gradient_health_min),
            _Demand("gradient_ratio", at_least=thresholds.gradient_ratio_min),
            _Demand("contribution", at_least=thresholds.gain_min),
        ),
        Gate.G2_STABILITY: (
            *sound,
            _Demand("alpha", at_least=1),
            _Demand("alpha_error", at_most=0, is_final=True),
            _Demand("drift", at_most=thresholds.drift_max),
        ),
        Gate.G3_INTERFACE: (
            *sound,
            _Demand("interface", at_least=1, is_final=True),
            _Demand("resumable", at_least=1, is_final=True),
            _Demand("telemetry", at_least=1),
            _Demand("shadow_correlation", at_least=thresholds.correlation_min),
        ),
        Gate.G4_SYSTEM_IMPACT: (
            *sound,
            _Demand("contribution", at_least=thresholds.contribution_min),
            _Demand("regression", at_most=thresholds.regression_max),
        ),
        Gate.G5_RESET: (_Demand("clean", at_least=1), _Demand("isolation_violations", at_most=0)),
    }
    return by_gate[gate]


def judge(gate: Gate, measured: Mapping[str, float], thresholds: Thresholds) -> Finding:
    """Return what a gate finds in measurements.

    Args:
        gate: G1 to G5.
        measured: Measurements by name; one that is absent was not measured.
        thresholds: What is asked for.
    """
    complaints = [(each.complaint(measured), each) for each in demands(gate, thresholds)]
    held = [(text, each) for text, each in complaints if text is not None]
    is_final = any(each.is_final and each.name in measured for _, each in held)
    return Finding(not held, "; ".join(text for text, _ in held), is_final)
