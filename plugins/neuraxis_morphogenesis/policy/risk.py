"""Risk: five signals, a level that does not flutter, and a conservative mode that holds until its exit rule.

A signal is 0 below its base and 1 from its emergency value on, linear between. The score is their weighted mean
over what was measured; what was not measured counts as no signal, and its share is told as coverage.

| signal | from | base | emergency | weight |
|---|---|---|---|---|
| gradient | norm of the gradient | 5 | 20 | 0.30 |
| performance | rise of the validation loss; volatility | 0.075; 0.10 | 0.15; 0.50 | 0.20 |
| resource | share of memory in use | 0.80 | 0.95 | 0.25 |
| latency | hook after validation, ms | 18 | 50 | 0.25 |
| lifecycle | worst risk of a live blueprint; breaches of isolation | 0.5; 0 | 1.0; 1 | 0.15 |

Determinism: exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import IntEnum, unique
from typing import Final, Literal, final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis import message
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.contracts import SystemStatePacket

WEIGHTS: Final = {"gradient": 0.30, "performance": 0.20, "resource": 0.25, "latency": 0.25, "lifecycle": 0.15}
SIGNALS: Final = tuple(WEIGHTS)
RAMPS: Final = {
    "gradient": (5.0, 20.0),
    "loss_rise": (0.075, 0.15),
    "volatility": (0.10, 0.50),
    "resource": (0.80, 0.95),
    "latency": (18.0, 50.0),
    "blueprint": (0.5, 1.0),
    "violations": (0.0, 1.0),
}
"""Base and emergency value of each measurement."""

LEVELS: Final = (0.25, 0.50, 0.70, 0.90)
"""Scores at which YELLOW, ORANGE, RED and CRITICAL begin."""

WINDOWS: Final = 3
"""Evaluations in a row that another level must have before it holds. CRITICAL holds at once."""

TIGHTER: Final = 2 / 3
"""What base and emergency of the gradient are multiplied by in conservative mode (0.6 becomes 0.4)."""

ADAPT_EPOCHS: Final = 10
STRETCH: Final = (0.5, 2.0)
"""Bounds of what all ramps are multiplied by."""

EXIT_CALM: Final = 5
"""Evaluations in a row at GREEN after which conservative mode may end."""


@final
@unique
class Level(IntEnum):
    """How risky it is to change anything now."""

    GREEN = 0
    YELLOW = 1
    ORANGE = 2
    RED = 3
    CRITICAL = 4


@final
@message("morphogenesis.risk")
class Risk(Struct, frozen=True, kw_only=True):
    """What the engine knows. Each evaluation gives a new one.

    Attributes:
        level: The level that holds.
        score: 0 to 1, of the newest evaluation.
        signals: In the order of `SIGNALS`; -1 for one that was not measured.
        coverage: Share of signals that were measured.
        nearing: Another level that the newest evaluations had, and for how many in a row.
        stretch: What ramps are multiplied by: below 1 after unrest, above 1 after calm.
        accuracy, loss: Of the newest packet; loss is -1 before the first.
        epoch: Of the newest packet.
        is_conservative: Whether only the least may be done.
        is_ordered: Whether a person ordered it; then only a person ends it.
        reasons: Why it was entered.
        calm: Evaluations in a row at GREEN.
    """

    level: Level = Level.GREEN
    score: float = 0.0
    signals: tuple[float, ...] = (-1.0,) * len(SIGNALS)
    coverage: float = 0.0
    nearing: tuple[int, int] = (0, 0)
    stretch: float = 1.0
    accuracy: float = 0.0
    loss: float = -1.0
    epoch: int = -1
    is_conservative: bool = False
    is_ordered: bool = False
    reasons: tuple[str, ...] = ()
    calm: int = 0

    def conservative(self, reason: str) -> Risk:
        """Return it in conservative mode, from now until the exit rule holds."""
        reasons = self.reasons if reason in self.reasons else (*self.reasons, reason)
        return replace(self, is_conservative=True, reasons=reasons, calm=0)

    def ordered(self, is_on: bool) -> Risk:
        """Return it as a person ordered: conservative until ordered otherwise, or out of it at once."""
        if is_on:
            return replace(self.conservative("ordered"), is_ordered=True)
        return replace(self, is_conservative=False, is_ordered=False, reasons=(), calm=0)


def evaluate(risk: Risk, packet: SystemStatePacket) -> Risk:
    """Return the risk after a packet.

    Conservative mode begins with CRITICAL or a loss that jumped. It ends after `EXIT_CALM` evaluations in a row
    at GREEN, unless a person ordered it.
    """
    signals = measured(packet, risk)
    known = [name for name in SIGNALS if name in signals]
    weight = math.fsum(WEIGHTS[name] for name in known)
    score = math.fsum(WEIGHTS[name] * signals[name] for name in known) / weight if known else 0.0
    raw = Level(sum(score >= each for each in LEVELS))
    if any(signals[name] >= 1 for name in known):
        raw = max(raw, Level.RED)  # one signal at its emergency value is not outvoted by four calm ones
    level, nearing = _held(risk, raw)
    after = replace(
        risk,
        level=level,
        score=score,
        signals=tuple(signals.get(name, -1.0) for name in SIGNALS),
        coverage=len(known) / len(SIGNALS),
        nearing=nearing,
        stretch=_stretched(risk, packet),
        accuracy=packet.validation_accuracy,
        loss=packet.validation_loss,
        epoch=packet.current_epoch,
        calm=risk.calm + 1 if raw is Level.GREEN else 0,
    )
    if level is Level.CRITICAL:
        after = after.conservative("risk_critical")
    elif _rise(risk, packet) > RAMPS["loss_rise"][1]:
        after = after.conservative("loss_spike")
    if after.is_conservative and not after.is_ordered and after.calm >= EXIT_CALM:
        after = replace(after, is_conservative=False, reasons=(), calm=0)
    return after


def measured(packet: SystemStatePacket, risk: Risk) -> dict[str, float]:
    """Return the signals that a packet lets tell, each 0 to 1."""
    metrics = dict(packet.training_metrics)
    tight = TIGHTER if risk.is_conservative else 1.0
    found: dict[str, float] = {}
    if "gradient_norm" in metrics:
        found["gradient"] = _ramp("gradient", metrics["gradient_norm"], risk.stretch * tight)
    rise = _rise(risk, packet)
    volatility = metrics.get("loss_volatility", 0.0)
    found["performance"] = max(_ramp("loss_rise", rise, 1.0), _ramp("volatility", volatility, risk.stretch))
    hardware = packet.hardware_context
    if hardware is not None and hardware.total_memory_gb > 0:
        used = 1 - hardware.available_memory_gb / hardware.total_memory_gb
        found["resource"] = _ramp("resource", used, 1.0)
    if "hook_latency_ms" in metrics:
        found["latency"] = _ramp("latency", metrics["hook_latency_ms"], risk.stretch)
    live = [seed for seed in packet.seed_states if Stage.GERMINATED <= seed.stage <= Stage.PROBATIONARY]
    breaches = max((dict(seed.metrics).get("isolation_violations", 0.0) for seed in live), default=0.0)
    worst = max((seed.risk_score for seed in live), default=0.0)
    found["lifecycle"] = max(_ramp("blueprint", worst, 1.0), _ramp("violations", breaches, 1.0))
    return found


def _ramp(name: str, value: float, stretch: float) -> float:
    if math.isnan(value):
        return 1.0  # what is no number is the worst
    base, emergency = (stretch * each for each in RAMPS[name])
    return min(1.0, max(0.0, (value - base) / (emergency - base)))


def _rise(risk: Risk, packet: SystemStatePacket) -> float:
    """Return by how much the validation loss rose; both are of whole validations, not of single batches."""
    if math.isnan(packet.validation_loss):
        return math.inf
    return packet.validation_loss - risk.loss if risk.loss >= 0 else 0.0


def _held(risk: Risk, raw: Level) -> tuple[Level, tuple[int, int]]:
    if raw is risk.level:
        return raw, (int(raw), 0)
    if raw is Level.CRITICAL:
        return raw, (int(raw), 0)
    # a jump by several levels counts for each level on the way, so the side decides and not the level
    side = raw > risk.level
    seen, count = risk.nearing
    count = count + 1 if count and (seen > risk.level) == side else 1
    return (raw, (int(raw), 0)) if count >= WINDOWS else (risk.level, (int(raw), count))


def _stretched(risk: Risk, packet: SystemStatePacket) -> float:
    """Return the stretch, adapted every `ADAPT_EPOCHS` epochs to how stable the training is."""
    if packet.current_epoch % ADAPT_EPOCHS or packet.current_epoch == risk.epoch or risk.epoch < 0:
        return risk.stretch
    metrics: Mapping[str, float] = dict(packet.training_metrics)
    variance = metrics.get("loss_volatility", 1.0) ** 2
    gain = packet.validation_accuracy - risk.accuracy
    stability = 0.5 * (1 - min(variance, 1.0)) + 0.3 / (1 + metrics.get("gradient_norm", 10.0) / 10)
    stability += 0.2 * min(10 * max(gain, 0.0), 1.0)
    if math.isnan(stability):
        return STRETCH[0]
    factor = 1.05 if stability > 0.8 else 1.025 if stability >= 0.6 else 0.95
    return min(STRETCH[1], max(STRETCH[0], risk.stretch * factor))


# ----------------------------------------------------------------------------------- rules


@final
class Verdict(Struct, frozen=True):
    """What risk lets through.

    Attributes:
        act: `issue` it; `soften` it: the learning rate instead of a seed; `hold` it: change nothing.
        reason: Why, by name; empty for `issue`.
        enters: Whether conservative mode begins.
        asks_rollback: Whether the trainer should go back to a healthy state.
    """

    act: Literal["issue", "soften", "hold"]
    reason: str = ""
    enters: bool = False
    asks_rollback: bool = False


def judge(risk: Risk, *, changes: bool, blueprint_risk: float | None, is_quarantined: bool = False) -> Verdict:
    """Return what becomes of a decision.

    Args:
        risk: As evaluated.
        changes: Whether the decision adds to the network or moves a seed on; a cull or a stay never adds risk.
        blueprint_risk: Of the blueprint that is to germinate, if any. One of exactly 0.5 is as safe as its tier says.
        is_quarantined: Whether the blueprint is adversarial.
    """
    if is_quarantined:
        return Verdict("hold", "bp_quarantine", enters=True)
    if risk.level is Level.CRITICAL:
        return Verdict("hold", "policy_risk_critical", enters=True, asks_rollback=risk.loss > 0)
    if not changes:
        return Verdict("issue")
    if risk.level is Level.RED:
        return Verdict("hold", "policy_risk_elevated")
    risky = blueprint_risk is not None and blueprint_risk > 0.5
    if risk.is_conservative and risky:
        return Verdict("hold", "conservative_mode")
    if risk.level is Level.ORANGE or (risk.level is Level.YELLOW and risky):
        return Verdict("soften", "policy_risk_elevated")
    return Verdict("issue")
