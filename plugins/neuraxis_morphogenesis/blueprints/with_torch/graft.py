"""What all modules of blueprints share: identity at start, views of a site, and weights from a stream.

A module is `x - change(x)`. Its last layer starts at zero and has a bias, so `change` starts as +0.0, and
subtracting +0.0 leaves every float as it is, also -0.0. What is behind the last layer starts at random, so
it receives gradients as soon as the last layer has left zero.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neuraxis.rng import Stream, stream_key
from neuraxis_morphogenesis.blueprints.site import Site

M = TypeVar("M", bound=nn.Module)

TOKENS_MAX = 64
"""Tokens that a map or a vector of features is cut into for attention; a sequence has one a step."""


class Graft(nn.Module, ABC):
    """Base of all blueprints: a module that maps its site onto itself and starts as the identity.

    Args:
        site: Shape contract.
    """

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.causal = site.layout == "sequence"

    @abstractmethod
    def change(self, x: Tensor) -> Tensor:
        """Return what is taken from `x`: (batch, *site.shape), all +0.0 at the start."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, *site.shape)."""
        return x - self.change(x)


def zeroed(layer: M) -> M:
    """Mark a layer as a last one: its weights start at zero."""
    layer.starts_at_zero = True  # type: ignore[assignment]  # a plain flag, not a module
    return layer


def initialise(module: nn.Module, *, seed: int, name: str) -> None:
    """Give every weight its first value.

    Matrices and kernels are uniform with variance 1 / fan-in, drawn by the name of the parameter, so that no
    weight depends on the order of construction. The weights of last layers and all biases are zero; other
    vectors keep the value of their constructor.

    Args:
        module: Changed in place.
        seed: From a named stream of whoever asks.
        name: Name of the artefact.

    Determinism: exact.
    """
    zero = {
        f"{path}.weight".lstrip(".") for path, part in module.named_modules() if getattr(part, "starts_at_zero", False)
    }
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            if path in zero or path.endswith(".bias"):
                parameter.zero_()
            elif parameter.dim() > 1:
                draws = Stream(stream_key(seed, name, path)).at(0).random(parameter.numel())
                bound = math.sqrt(3 * parameter.shape[0] / parameter.numel())
                values = ((2 * draws - 1) * bound).astype(np.float32).reshape(tuple(parameter.shape))
                parameter.copy_(torch.from_numpy(values))


# ----------------------------------------------------------------------------------- views


def vectors(x: Tensor, site: Site) -> Tensor:
    """Return (batch, places, channels)."""
    if site.layout == "features":
        return x.unsqueeze(1)
    return x if site.layout == "sequence" else x.flatten(2).transpose(1, 2)


def from_vectors(v: Tensor, site: Site) -> Tensor:
    """Undo `vectors`."""
    if site.layout == "features":
        return v.squeeze(1)
    return v if site.layout == "sequence" else v.transpose(1, 2).unflatten(2, site.shape[1:])


def grid(x: Tensor, site: Site) -> Tensor:
    """Return (batch, channels, …) with the places as trailing axes; features are a line of one channel."""
    if site.layout == "features":
        return x.unsqueeze(1)
    return x.transpose(1, 2) if site.layout == "sequence" else x


def from_grid(g: Tensor, site: Site) -> Tensor:
    """Undo `grid`."""
    if site.layout == "features":
        return g.squeeze(1)
    return g.transpose(1, 2) if site.layout == "sequence" else g


def grid_channels(site: Site) -> int:
    """Channels of `grid`."""
    return 1 if site.layout == "features" else site.channels


def padded(g: Tensor, site: Site, reach: int, *, value: float = 0.0) -> Tensor:
    """Pad a grid so that a window of `reach` + 1 places keeps its size; a sequence gets all of it in front."""
    before = reach if site.layout == "sequence" else reach // 2
    pads = [before, reach - before] * (2 if site.layout == "map" else 1)
    return functional.pad(g, pads, value=value)


class Convolution(nn.Module):
    """Convolution over a grid that keeps its size: (batch, a, …) to (batch, b, …). Causal over a sequence."""

    def __init__(self, site: Site, a: int, b: int, kernel: int, *, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        kind = nn.Conv2d if site.layout == "map" else nn.Conv1d
        self.site, self.reach = site, (kernel - 1) * dilation
        self.conv: nn.Module = kind(a, b, kernel, dilation=dilation, groups=groups)

    def forward(self, g: Tensor) -> Tensor:
        """Return (batch, b, …)."""
        return self.conv(padded(g, self.site, self.reach))


class Local(nn.Module):
    """A layer over the neighbourhood of each place, on `local` views: dense for features, else a convolution."""

    def __init__(self, site: Site, a: int, b: int, *, kernel: int = 3) -> None:
        super().__init__()
        dense = site.layout == "features"
        self.layer: nn.Module = nn.Linear(a, b) if dense else Convolution(site, a, b, kernel)

    def forward(self, v: Tensor) -> Tensor:
        """Return (batch, b) for features, else (batch, b, …)."""
        return self.layer(v)


def local(x: Tensor, site: Site) -> Tensor:
    """Return what `Local` takes: features as they are, else the grid."""
    return x if site.layout == "features" else grid(x, site)


def from_local(v: Tensor, site: Site) -> Tensor:
    """Undo `local`."""
    return v if site.layout == "features" else from_grid(v, site)


def last_local(site: Site, width: int) -> nn.Module:
    """Return the last layer on a `local` view: `width` channels to those of the site, zero at the start."""
    if site.layout == "features":
        return zeroed(nn.Linear(width, site.channels))
    return last_grid(site, width)


def last_grid(site: Site, width: int) -> nn.Module:
    """Return the last layer on a `grid` view."""
    kind = nn.Conv2d if site.layout == "map" else nn.Conv1d
    return zeroed(kind(width, grid_channels(site), 1))


class LocalNorm(nn.Module):
    """Norm over the channels of each place, on `local` views: no batch statistics, no look ahead."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, v: Tensor) -> Tensor:
        """Return the same shape."""
        return self.norm(v) if v.dim() == 2 else self.norm(v.movedim(1, -1)).movedim(-1, 1)


class Gain(nn.Module):
    """One factor and one offset for each channel of (…, channels), all zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, v: Tensor) -> Tensor:
        """Return weight · v + bias."""
        return self.weight * v + self.bias


# ---------------------------------------------------------------------------------- tokens


class Tokens(nn.Module):
    """Cuts a site into tokens with learned places, and puts changes of tokens back, zero at the start.

    Features and maps are cut into at most `TOKENS_MAX` patches of equal size; a sequence has a token a step.

    Args:
        site: Shape contract.
        width: Numbers of a token.
    """

    def __init__(self, site: Site, width: int) -> None:
        super().__init__()
        self.site = site
        self.side = _patch_side(site)
        self.rows, self.columns = _patches(site, self.side)
        size = self.side * (site.channels * self.side if site.layout == "map" else 1)
        size = site.channels if site.layout == "sequence" else size
        self.embed = nn.Linear(size, width)
        self.position = nn.Parameter(torch.zeros(self.rows * self.columns, width))
        self.norm = nn.LayerNorm(width)
        self.out = zeroed(nn.Linear(width, size))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, tokens, width)."""
        patches = self.cut(x)
        return self.norm(self.embed(patches) + self.position[: patches.shape[1]])

    def cut(self, x: Tensor) -> Tensor:
        """Return (batch, tokens, numbers of a patch)."""
        side = self.side
        if self.site.layout == "sequence":
            return x
        if self.site.layout == "features":
            return functional.pad(x, (0, self.columns * side - x.shape[1])).unflatten(1, (self.columns, side))
        pads = (0, self.columns * side - x.shape[3], 0, self.rows * side - x.shape[2])
        blocks = functional.pad(x, pads).unflatten(3, (self.columns, side)).unflatten(2, (self.rows, side))
        return blocks.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def back(self, tokens: Tensor) -> Tensor:
        """Return (batch, *site.shape)."""
        patches: Tensor = self.out(tokens)
        side, shape = self.side, self.site.shape
        if self.site.layout == "sequence":
            return patches
        if self.site.layout == "features":
            return patches.flatten(1)[:, : shape[0]]
        blocks = patches.unflatten(2, (shape[0], side, side)).unflatten(1, (self.rows, self.columns))
        return blocks.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)[:, :, : shape[1], : shape[2]]

    def distances(self) -> Tensor:
        """Return (tokens, tokens) float32: how far apart tokens lie on their grid, the longer axis counting."""
        index = torch.arange(self.rows * self.columns)
        row, column = index // self.columns, index % self.columns
        down = (row[:, None] - row[None, :]).abs()
        return torch.maximum(down, (column[:, None] - column[None, :]).abs()).float()

    def visible(self) -> Tensor:
        """Return (tokens, tokens) bool: which tokens (second) a token (first) may look at."""
        n = self.rows * self.columns
        everything = torch.ones(n, n, dtype=torch.bool)
        return everything.tril() if self.site.layout == "sequence" else everything


def _patch_side(site: Site) -> int:
    side = 1
    while site.layout != "sequence" and math.prod(_patches(site, side)) > TOKENS_MAX:
        side += 1
    return side


def _patches(site: Site, side: int) -> tuple[int, int]:
    if site.layout == "map":
        return -(-site.shape[1] // side), -(-site.shape[2] // side)
    return 1, -(-site.shape[0] // side)


def attend(q: Tensor, k: Tensor, v: Tensor, *, visible: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return softmax(q kᵀ / √d + bias) v, over what is visible.

    Args:
        q: (…, queries, d). k: (…, keys, d). v: (…, keys, e).
        visible: (queries, keys) bool; every query sees at least one key.
        bias: Added to the scores before the softmax.

    Returns:
        (…, queries, e).

    Source: Vaswani et al., Attention is all you need (2017), eq. 1.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    scores = scores if bias is None else scores + bias
    return scores.masked_fill(~visible, float("-inf")).softmax(-1) @ v


def split(v: Tensor, heads: int) -> Tensor:
    """Return (batch, heads, tokens, width / heads) of (batch, tokens, width)."""
    return v.unflatten(2, (heads, -1)).transpose(1, 2)


def joined(v: Tensor) -> Tensor:
    """Undo `split`."""
    return v.transpose(1, 2).flatten(2)


# ----------------------------------------------------------------------------------- noise


class Noise(nn.Module):
    """Uniform numbers that depend on how often they were asked for, and on nothing else.

    torch's own generators are shared by a whole process; a counter in the state dict is not, and is saved
    with the weights.
    """

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, like: Tensor) -> Tensor:
        """Return numbers in [0, 1) of the shape of `like`; every call gives others.

        Source: 32-bit mixing function, github.com/skeeto/hash-prospector.
        """
        self.calls.add_(1)
        z = (torch.arange(like.numel()) * 0x1E3779B1 + self.calls * 0x05EBCA77) & 0xFFFFFFFF
        z = ((z ^ (z >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
        z = ((z ^ (z >> 15)) * 0x735A2D97) & 0xFFFFFFFF
        z = z ^ (z >> 15)
        return ((z >> 8).to(like.dtype) * 2.0**-24).reshape(like.shape)


def whole(value: Any) -> int:
    """Return a parameter that is a whole number as an int."""
    return int(value)
