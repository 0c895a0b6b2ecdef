"""A place in the host where a seed may sit, and what the seed does there in each stage."""

from __future__ import annotations

from typing import Any, Final, final

import torch
from torch import Tensor, nn

from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.errors import SlotMisused
from neuraxis_morphogenesis.seeds.schedule import alpha
from neuraxis_morphogenesis.seeds.with_torch.blend import BLENDS, Isolation, straight_through

MIXED: Final = (Stage.BLENDING, Stage.PROBATIONARY, Stage.FOSSILIZED, Stage.TERMINATED, Stage.CULLED)
"""Stages in which the seed changes the output; a culled one only while it is ramped down."""


@final
class Slot:
    """A slot and its module. The module is no part of the host: the host's parameters never hold its own.

    | stage | output | gradient |
    |---|---|---|
    | TRAINING | the host's | to the host as if there were no seed, and to the seed |
    | BLENDING | mixed by alpha | as `blend` and `isolation` say; none through the seed into the host |
    | SHADOWING | the host's | the seed gets none; it is evaluated beside the host |
    | PROBATIONARY | mixed, alpha 1 | as in BLENDING |
    | FOSSILIZED, TERMINATED | mixed, alpha 1 | through the seed, which is frozen: it is part of the host now |
    | CULLED, until it is out | mixed by alpha, which falls | as in BLENDING; the seed is frozen |

    Attributes:
        name, site, depth: Which place, its shape contract, and blocks of the host before it.
        isolation: Whether the host learns while a seed is mixed in.
        module: What is in it, or None.
        grant: Of what the module was made: `blueprint` and `parameters`.
        stage: How the module is treated.
        blend, schedule: How outputs are mixed, and how alpha rises.
        blend_step, blend_steps: Optimiser steps since alpha began to rise, and until it is 1.
        fade_step, fade_steps: Optimiser steps since alpha began to fall, and for a fall from 1 to 0; 0 for no
            fall.
        is_paused: Whether the module is out of the way until it is resumed.
        margins: (batch,) lead of the host's best class, for the blend `confidence`.
    """

    def __init__(self, name: str, site: Site, depth: int, isolation: Isolation, schedule: str) -> None:
        """Make an empty slot."""
        self.name = name
        self.site = site
        self.depth = depth
        self.isolation = isolation
        self.schedule = schedule
        self.module: nn.Module | None = None
        self.grant: dict[str, Any] | None = None
        self.stage = Stage.DORMANT
        self.blend = "convex"
        self.blend_step = 0
        self.blend_steps = 1
        self.fade_step = 0
        self.fade_steps = 0
        self.is_paused = False
        self.margins: Tensor | None = None

    @property
    def alpha(self) -> float:
        """Share of the seed in the output."""
        if self.module is None or self.is_paused or self.stage not in MIXED:
            return 0.0
        if self.stage is Stage.BLENDING:
            return alpha(self.schedule, self.blend_step, self.blend_steps)
        return self._falling() if self.stage is Stage.CULLED else 1.0

    def _falling(self) -> float:
        """Alpha on its way down: the curve on which it rose, backwards, from where it was."""
        whole = self.blend_steps * self.fade_steps  # so that places on both ways are whole numbers
        risen = min(self.blend_step, self.blend_steps) * self.fade_steps
        return alpha(self.schedule, risen - self.fade_step * self.blend_steps, whole)

    def fade(self, steps: int) -> None:
        """Begin to ramp a culled seed down.

        Args:
            steps: Optimiser steps for a fall from 1; of less, the same share.
        """
        if self.stage is not Stage.BLENDING:  # alpha was 1 for all samples, or 0
            self.blend_step, self.blend_steps = int(self.alpha), 1
            self.blend = "convex" if self.blend == "confidence" else self.blend
        self.stage, self.fade_step, self.fade_steps = Stage.CULLED, 0, max(1, steps)

    def advance(self) -> None:
        """Count an optimiser step for the way of alpha."""
        self.blend_step += self.stage is Stage.BLENDING and self.learns
        self.fade_step += self.stage is Stage.CULLED

    @property
    def is_faded(self) -> bool:
        """Whether a culled seed has no share in the output any more, so that it can go unnoticed."""
        return self.module is not None and self.stage is Stage.CULLED and self.alpha == 0

    @property
    def is_weighed(self) -> bool:
        """Whether alpha is multiplied by how sure the host is of each sample."""
        return self.blend == "confidence" and self.stage in (Stage.BLENDING, Stage.CULLED) and self.module is not None

    @property
    def learns(self) -> bool:
        """Whether the module's parameters are updated."""
        stages = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATIONARY)
        return self.module is not None and not self.is_paused and self.stage in stages

    @property
    def computes(self) -> bool:
        """Whether a training step computes the module."""
        return self.learns or (self.module is not None and not self.is_paused and self.stage in MIXED)

    def taken(self, host: Tensor) -> Tensor:
        """Return what the seed gets of the host's activation: no gradient flows back from a seed that grows."""
        return host if self.stage in (Stage.FOSSILIZED, Stage.TERMINATED) else host.detach()

    def branch(self, taken: Tensor) -> Tensor:
        """Return the seed's output, (batch, *site.shape).

        Raises:
            SlotMisused: The slot is empty, or the module breaks its shape contract.
        """
        if self.module is None:
            raise SlotMisused(slot=self.name, reason="it holds no module", remedy="Attach one first.")
        result: Tensor = self.module(taken)
        if result.shape != taken.shape or result.dtype != taken.dtype:
            reason = f"its module made {result.dtype} {tuple(result.shape)} of {taken.dtype} {tuple(taken.shape)}"
            raise SlotMisused(slot=self.name, reason=reason, remedy=f"A module maps {self.site} onto itself.")
        return result

    def mixed(self, host: Tensor, taken: Tensor, seed: Tensor, share: Tensor | float) -> Tensor:
        """Return the mixture of host and seed.

        Args:
            host: (batch, *site.shape) the host's activation.
            taken: What the seed got.
            seed: What it made of it.
            share: Alpha; (batch,) for an alpha of each sample.
        """
        is_grown = self.stage in (Stage.FOSSILIZED, Stage.TERMINATED)
        base = host if is_grown or self.isolation == "host_learns" else host.detach()
        weight = torch.as_tensor(share, dtype=host.dtype)
        if weight.dim() == 1:
            weight = weight.reshape(-1, *[1] * (host.dim() - 1))
        return BLENDS[self.blend](base, taken, seed, weight, self.site)

    def __call__(self, host: Tensor, share: Tensor | None = None) -> Tensor:
        """Return the activation that goes on to the next block.

        Args:
            host: (batch, *site.shape).
            share: (batch,) an alpha of each sample, to ask what would be if; None for what is.
        """
        if self.module is None or (self.is_paused and share is None):
            return host
        if share is not None:
            taken = self.taken(host)
            return self.mixed(host, taken, self.branch(taken), share)
        if self.stage is Stage.TRAINING:
            return straight_through(host, self.branch(self.taken(host)))
        if self.stage not in MIXED:
            return host
        taken = self.taken(host)
        now: Tensor | float = self.alpha
        if self.is_weighed and self.margins is not None:
            now = self.margins * now
        return self.mixed(host, taken, self.branch(taken), now)
