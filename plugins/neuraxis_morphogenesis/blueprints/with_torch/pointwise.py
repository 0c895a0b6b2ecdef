"""Blueprints that look at one place at a time."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.blueprints.with_torch.graft import (
    Gain,
    Graft,
    Noise,
    from_vectors,
    vectors,
    zeroed,
)


class Pointwise(Graft):
    """A change of each place's vector of channels alone."""

    def change(self, x: Tensor) -> Tensor:
        """Return (batch, *site.shape)."""
        return from_vectors(self.of(vectors(x, self.site)), self.site)

    @abstractmethod
    def of(self, v: Tensor) -> Tensor:
        """Return the change of (batch, places, channels)."""


@final
class IdentityPassthrough(Graft):
    """BP001. y = x."""

    def change(self, x: Tensor) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(x)


@final
class LinearProjection(Pointwise):
    """BP002. change = W (scale · x) + b, W zero at the start."""

    def __init__(self, site: Site, *, scale: float) -> None:
        super().__init__(site)
        self.scale = scale
        self.out = zeroed(nn.Linear(site.channels, site.channels))

    def of(self, v: Tensor) -> Tensor:
        return self.out(self.scale * v)


@final
class LayerNormBasic(Pointwise):
    """BP003. change = gain · layer_norm(x) + offset (Ba et al. 2016)."""

    def __init__(self, site: Site, *, epsilon: float) -> None:
        super().__init__(site)
        self.norm = nn.LayerNorm(site.channels, eps=epsilon)
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        return self.gain(self.norm(v))


@final
class DropoutLight(Pointwise):
    """BP004. change = W₂ dropout(relu(W₁ x)); the mask comes from a counter and rests while evaluating."""

    def __init__(self, site: Site, *, dropout: float) -> None:
        super().__init__(site)
        self.keep = 1.0 - dropout
        self.inner = nn.Linear(site.channels, site.channels)
        self.noise = Noise()
        self.out = zeroed(nn.Linear(site.channels, site.channels))

    def of(self, v: Tensor) -> Tensor:
        hidden = torch.relu(self.inner(v))
        if self.training:
            hidden = hidden * (self.noise(hidden) < self.keep).to(hidden.dtype) / self.keep
        return self.out(hidden)


@final
class ReluActivation(Pointwise):
    """BP005. change = gain · relu(x - threshold) + offset, by channel."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.threshold = nn.Parameter(torch.zeros(site.channels))
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        return self.gain(torch.relu(v - self.threshold))


@final
class BatchNorm1d(Pointwise):
    """BP006. change = gain · batch_norm(x) + offset; `momentum` is the share of the old statistics that stays."""

    def __init__(self, site: Site, *, momentum: float) -> None:
        super().__init__(site)
        self.norm = nn.BatchNorm1d(site.channels, momentum=1.0 - momentum)
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        normed = self.norm(v.flatten(0, 1)).unflatten(0, (v.shape[0], v.shape[1]))
        return self.gain(normed)


@final
class SkipConnection(Pointwise):
    """BP008. change = gain · (W x) + offset, W random: a way around that opens by channel."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.around = nn.Linear(site.channels, site.channels, bias=False)
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        return self.gain(self.around(v))


@final
class GeluActivation(Pointwise):
    """BP011. change = gain · gelu(slope · x) + offset, by channel."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.slope = nn.Parameter(torch.ones(site.channels))
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        return self.gain(functional.gelu(self.slope * v))


@final
class LayerScaling(Pointwise):
    """BP012. change = gain · (scale · x) + offset, by channel (Touvron et al. 2021)."""

    def __init__(self, site: Site, *, scale: float) -> None:
        super().__init__(site)
        self.scale = scale
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        return self.gain(self.scale * v)


@final
class HighwayGate(Pointwise):
    """BP014. change = σ(W_t x + gate_bias) · W₂ relu(W₁ x) (Srivastava et al. 2015)."""

    def __init__(self, site: Site, *, gate_bias: float) -> None:
        super().__init__(site)
        self.gate = nn.Linear(site.channels, site.channels, bias=False)
        self.threshold = nn.Parameter(torch.full((site.channels,), gate_bias))
        self.inner = nn.Linear(site.channels, site.channels)
        self.out = zeroed(nn.Linear(site.channels, site.channels))

    def of(self, v: Tensor) -> Tensor:
        return torch.sigmoid(self.gate(v) + self.threshold) * self.out(torch.relu(self.inner(v)))


@final
class FeedforwardGated(Pointwise):
    """BP021. change = W₃ (silu(W₁ x) · W₂ x), hidden_multiple · channels wide (Shazeer 2020)."""

    def __init__(self, site: Site, *, hidden_multiple: float) -> None:
        super().__init__(site)
        width = max(1, round(hidden_multiple * site.channels))
        self.gate = nn.Linear(site.channels, width)
        self.inner = nn.Linear(site.channels, width)
        self.out = zeroed(nn.Linear(width, site.channels))

    def of(self, v: Tensor) -> Tensor:
        return self.out(functional.silu(self.gate(v)) * self.inner(v))
