"""What is measured about a seed, or the host, since its stage or epoch began."""

from __future__ import annotations

import math
from typing import Any, Final, final

from neuraxis_morphogenesis.seeds.with_torch.isolation import Watch

SMOOTHING: Final = 0.2
"""Weight of the newest value in running means."""


@final
class Tally:
    """Sums and running means. What was never counted is not measured.

    Attributes:
        present: Steps for which the seed has learned.
        steps, healthy: Steps with a gradient, and those of them with a sound one.
        norm, ratio: Sums over healthy steps: of the gradient's norm, and of its ratio to the host's, each per root of
            parameters.
        last: The newest norm.
        finite, is_exploding: Whether numbers are still numbers; whether a gradient exploded.
        violations: Breaches, by name.
        loss_sum, losses: Of the losses.
        loss_ewma, loss_variance: Running mean and variance of the loss.
        conflicts: Share of gradients that pointed against each other.
        dot, host_norm, seed_norm: Of the newest check of isolation.
    """

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.present = self.steps = self.healthy = self.losses = 0
        self.norm = self.ratio = self.last = self.loss_sum = self.conflicts = 0.0
        self.dot = self.host_norm = self.seed_norm = 0.0
        self.loss_ewma = self.loss_variance = 0.0
        self.finite, self.is_exploding = True, False
        self.is_watched = False
        self.violations: list[str] = []

    def gradient(self, norm: float, host: float, roots: tuple[float, float], limit: float) -> None:
        """Count the gradient of a step.

        Args:
            norm, host: Norms of the gradient and of the host's.
            roots: Roots of the numbers of parameters of the two.
            limit: Norm above which a gradient explodes.
        """
        self.steps += 1
        self.last = norm
        if not math.isfinite(norm):
            self.finite = False
        elif norm > limit:
            self.is_exploding = True
        else:
            self.healthy += 1
            self.norm += norm
            self.ratio += (norm / roots[0]) / (host / roots[1]) if host > 0 else 0.0

    def loss(self, value: float) -> None:
        """Count the loss of a step."""
        change = value - self.loss_ewma if self.losses else 0.0
        self.loss_ewma = self.loss_ewma + SMOOTHING * change if self.losses else value
        self.loss_variance = (1 - SMOOTHING) * (self.loss_variance + SMOOTHING * change * change)
        self.losses += 1
        self.loss_sum += value

    def watched(self, seen: Watch) -> None:
        """Take note of what the monitor of isolation saw."""
        self.is_watched = True
        self.violations += seen.leaks
        self.dot, self.host_norm, self.seed_norm = seen.dot, seen.host_norm, seen.seed_norm

    def measured(self) -> dict[str, float]:
        """Return measurements by name."""
        found = {"finite": float(self.finite), "exploding": float(self.is_exploding)}
        if self.steps:
            found["gradient_health"] = self.healthy / self.steps
            found["gradient_norm"] = self.last if math.isfinite(self.last) else 0.0
        if self.healthy:
            found["gradient_ratio"] = self.ratio / self.healthy
        if self.is_watched:
            found["isolation.dot"] = self.dot
            found["isolation.host_norm"] = self.host_norm
            found["isolation.seed_norm"] = self.seed_norm
        return found

    def capture(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {**vars(self), "violations": list(self.violations)}

    @classmethod
    def restored(cls, captured: dict[str, Any]) -> Tally:
        """Return a tally as it was captured."""
        tally = cls()
        vars(tally).update(captured, violations=list(captured["violations"]))
        return tally
