"""Hosts: small networks, cut into blocks, with a place for a seed after each block.

Determinism: machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Final, final

import torch
from msgspec import Struct
from torch import Tensor, nn
from torch.nn import functional

from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.blueprints.with_torch.graft import initialise
from neuraxis_morphogenesis.errors import HostInvalid


@final
class Design(Struct, frozen=True, kw_only=True):
    """What a host looks like.

    Attributes:
        kind: `mlp`, `cnn` or `transformer`.
        shape: Lengths of the axes of one input.
        classes: Classes, or tokens.
        width: Channels of a block; of the first, for `cnn`, whose blocks double them.
        depth: Blocks.
    """

    kind: str
    shape: tuple[int, ...]
    classes: int
    width: int
    depth: int


class Host(nn.Module):
    """Blocks between a way in and a way out.

    Attributes:
        blocks: The blocks; after each of them a seed may sit.
        sites: Shape contract after each block.
        entry, head: The ways in and out.
    """

    def __init__(self, entry: nn.Module, blocks: list[nn.Module], sites: list[Site], head: nn.Module) -> None:
        super().__init__()
        self.entry = entry
        self.blocks = nn.ModuleList(blocks)
        self.sites = sites
        self.head = head


@final
class OneChannel(nn.Module):
    """Pictures without a channel get one; those whose channels come last get them first."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, height, width)."""
        return x.unsqueeze(1) if x.dim() == 3 else x.permute(0, 3, 1, 2)


@final
class ConvolutionBlock(nn.Module):
    """Convolution of 3 × 3, ReLU, and the larger of each 2 × 2."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return half as many rows and columns, rounded down."""
        return functional.max_pool2d(torch.relu(self.conv(x)), 2)


@final
class Embedding(nn.Module):
    """Vectors of tokens and of places."""

    def __init__(self, tokens: int, steps: int, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(tokens, width))
        self.place = nn.Parameter(torch.zeros(steps, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, steps, width) of (batch, steps) int64."""
        picked = functional.one_hot(x, len(self.token)).to(self.token.dtype) @ self.token
        return picked + self.place[: x.shape[1]]


@final
class AttentionBlock(nn.Module):
    """Causal attention of one head and a layer of twice the width, each added to its normed input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, steps, width)."""
        query, key, value = self.asked(self.first(x)).chunk(3, dim=-1)
        scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        x = x + self.out(scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ value)
        result: Tensor = x + self.narrow(torch.relu(self.wide(self.second(x))))
        return result


def _mlp(design: Design) -> Host:
    size = 1
    for length in design.shape:
        size *= length
    widths = [size] + [design.width] * design.depth
    blocks = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise(widths)]
    sites = [Site("features", (design.width,))] * design.depth
    return Host(nn.Flatten(), list(blocks), sites, nn.Linear(design.width, design.classes))


def _cnn(design: Design) -> Host:
    height, width = design.shape[:2]
    channels = [design.shape[2] if len(design.shape) == 3 else 1]
    channels += [design.width * 2**number for number in range(design.depth)]
    if min(height, width) < 2**design.depth:
        reason = f"{design.depth} blocks halve {height} × {width} too often"
        raise HostInvalid(kind=design.kind, reason=reason, remedy="Use fewer blocks.")
    sites = [Site("map", (channels[n], height >> n, width >> n)) for n in range(1, design.depth + 1)]
    blocks: list[nn.Module] = [ConvolutionBlock(a, b) for a, b in itertools.pairwise(channels)]
    head = nn.Sequential(nn.Flatten(), nn.Linear(sites[-1].channels * sites[-1].places, design.classes))
    return Host(OneChannel(), blocks, sites, head)


def _transformer(design: Design) -> Host:
    steps = design.shape[0]
    blocks: list[nn.Module] = [AttentionBlock(design.width) for _ in range(design.depth)]
    sites = [Site("sequence", (steps, design.width))] * design.depth
    head = nn.Sequential(nn.LayerNorm(design.width), nn.Linear(design.width, design.classes))
    return Host(Embedding(design.classes, steps, design.width), blocks, sites, head)


HOSTS: Final[Mapping[str, tuple[Callable[[Design], Host], tuple[int, ...]]]] = {
    "mlp": (_mlp, (1, 2, 3)),
    "cnn": (_cnn, (2, 3)),
    "transformer": (_transformer, (1,)),
}
"""Hosts by kind, with the numbers of axes that an input may have."""


def host(design: Design, *, seed: int) -> Host:
    """Return a fresh host.

    Args:
        design: What it looks like.
        seed: From a named stream of the trainer.

    Raises:
        HostInvalid: The design does not fit the data.
    """
    build, axes = HOSTS[design.kind]
    if len(design.shape) not in axes:
        reason = f"inputs of {len(design.shape)} axes are not for it"
        raise HostInvalid(kind=design.kind, reason=reason, remedy="Choose another host, or other data.")
    with torch.random.fork_rng(devices=[]):
        made = build(design)
    initialise(made, seed=seed, name=f"host:{design.kind}")
    return made
