"""Blueprints that attend: to places, channels, neighbours, or something learned."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.blueprints.with_torch.graft import (
    Convolution,
    Gain,
    Graft,
    Tokens,
    attend,
    from_vectors,
    joined,
    split,
    vectors,
    whole,
    zeroed,
)
from neuraxis_morphogenesis.blueprints.with_torch.pointwise import Pointwise

HEAD = 8
"""Numbers of a head."""


class OnTokens(Graft):
    """A change that is computed on tokens of `width` numbers. Buffers: what each may see, and distances."""

    visible: Tensor
    distance: Tensor

    def __init__(self, site: Site, width: int) -> None:
        super().__init__(site)
        self.tokens = Tokens(site, width)
        self.register_buffer("visible", self.tokens.visible(), persistent=False)
        self.register_buffer("distance", self.tokens.distances(), persistent=False)

    def change(self, x: Tensor) -> Tensor:
        """Return (batch, *site.shape)."""
        t = self.tokens(x)
        return self.tokens.back(self.mixed(t, self.visible[: t.shape[1], : t.shape[1]]))

    @abstractmethod
    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        """Return (batch, tokens, width) of the same."""


class SelfAttention(nn.Module):
    """Attention of tokens to tokens with `heads` heads: (batch, tokens, width) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)

    def forward(self, t: Tensor, visible: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (batch, tokens, width)."""
        q, k, v = (split(layer(t), self.heads) for layer in (self.query, self.key, self.value))
        return joined(attend(q, k, v, visible=visible, bias=bias))


class FeedForward(nn.Module):
    """W₂ gelu(W₁ norm(t)), twice as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)

    def forward(self, t: Tensor) -> Tensor:
        """Return the same shape."""
        return self.outer(functional.gelu(self.inner(self.norm(t))))


@final
class SqueezeExcitation(Graft):
    """BP016. change = x · W₂ relu(W₁ mean(x)); the mean over all places, of a sequence up to now (Hu et al. 2018)."""

    def __init__(self, site: Site, *, reduction: float) -> None:
        super().__init__(site)
        width = max(1, site.channels // whole(reduction))
        self.squeeze = nn.Linear(site.channels, width)
        self.slope = nn.Parameter(torch.full((width,), 0.1))
        self.excite = zeroed(nn.Linear(width, site.channels))
        self.gain = Gain(site.channels)

    def change(self, x: Tensor) -> Tensor:
        v = vectors(x, self.site)
        if self.causal:
            mean = v.cumsum(1) / torch.arange(1, v.shape[1] + 1, dtype=v.dtype).unsqueeze(1)
        else:
            mean = v.mean(1, keepdim=True)
        # leaky, so that a narrow layer cannot be silent from the start
        excited = self.excite(functional.prelu(self.squeeze(mean).transpose(1, 2), self.slope).transpose(1, 2))
        return from_vectors(v * excited + self.gain(v), self.site)


@final
class ChannelAttention(Graft):
    """BP017. Each channel, summed up by its mean, attends to all channels; change = x · what it learned + offset."""

    def __init__(self, site: Site, *, heads: float) -> None:
        super().__init__(site)
        width = HEAD * whole(heads)
        self.embed = nn.Linear(1, width)
        self.name = nn.Parameter(torch.zeros(site.channels, width))
        self.attention = SelfAttention(width, whole(heads))
        self.out = zeroed(nn.Linear(width, 1))
        self.gain = Gain(site.channels)

    def change(self, x: Tensor) -> Tensor:
        v = vectors(x, self.site)
        tokens = self.embed(v.mean(1).unsqueeze(2)) + self.name
        visible = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool)
        factor = self.out(self.attention(tokens, visible)).transpose(1, 2)
        return from_vectors(v * factor + self.gain(v), self.site)


@final
class CrossAttention(OnTokens):
    """BP019. Places ask, a learned context of 16 vectors answers (Jaegle et al. 2021)."""

    CONTEXT = 16

    def __init__(self, site: Site, *, heads: float) -> None:
        width = HEAD * whole(heads)
        super().__init__(site, width)
        self.heads = whole(heads)
        self.context = nn.Parameter(torch.zeros(self.CONTEXT, width))
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        context = self.context.unsqueeze(0)
        q, k, v = (split(each, self.heads) for each in (self.query(t), self.key(context), self.value(context)))
        everything = torch.ones(t.shape[1], self.CONTEXT, dtype=torch.bool)
        return joined(attend(q, k, v, visible=everything))


@final
class AttentionSingleHead(OnTokens):
    """BP020. One head over the `sequence_length` nearest tokens."""

    def __init__(self, site: Site, *, sequence_length: float) -> None:
        super().__init__(site, 2 * HEAD)
        self.visible &= self.distance < sequence_length
        self.attention = SelfAttention(2 * HEAD, 1)

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        return self.attention(t, visible)


@final
class MultiHeadAttention4(OnTokens):
    """BP022. Scaled dot-product attention with `heads` heads (Vaswani et al. 2017)."""

    def __init__(self, site: Site, *, heads: float) -> None:
        super().__init__(site, HEAD * whole(heads))
        self.attention = SelfAttention(HEAD * whole(heads), whole(heads))

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        return self.attention(t, visible)


@final
class MultiHeadAttention8(OnTokens):
    """BP029. Heads whose scores fall with distance, each at a learned rate from 2⁻¹, 2⁻², … (Press et al. 2022)."""

    def __init__(self, site: Site, *, heads: float) -> None:
        super().__init__(site, HEAD * whole(heads))
        self.attention = SelfAttention(HEAD * whole(heads), whole(heads))
        self.rate = nn.Parameter(2.0 ** -torch.arange(1, whole(heads) + 1).float())

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        distance = self.distance[: t.shape[1], : t.shape[1]]
        return self.attention(t, visible, -self.rate[:, None, None] * distance)


@final
class TransformerBlock(OnTokens):
    """BP023. `layers` times attention and feed-forward, each around a skip (pre-norm)."""

    HEADS = 2

    def __init__(self, site: Site, *, layers: float) -> None:
        width = self.HEADS * HEAD
        super().__init__(site, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(whole(layers)))
        self.attentions = nn.ModuleList(SelfAttention(width, self.HEADS) for _ in range(whole(layers)))
        self.feeds = nn.ModuleList(FeedForward(width) for _ in range(whole(layers)))

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        for norm, attention, feed in zip(self.norms, self.attentions, self.feeds, strict=True):
            t = t + attention(norm(t), visible)
            t = t + feed(t)
        return t


@final
class ConvTransformer(OnTokens):
    """BP024. A depthwise convolution along the tokens, then attention (Gulati et al. 2020)."""

    HEADS = 2

    def __init__(self, site: Site, *, kernel: float) -> None:
        width = self.HEADS * HEAD
        super().__init__(site, width)
        line = Site("sequence" if self.causal else "features", (1, 1) if self.causal else (1,))
        self.conv = Convolution(line, width, width, whole(kernel), groups=width)
        self.norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, self.HEADS)

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        t = t + functional.silu(self.conv(t.transpose(1, 2)).transpose(1, 2))
        return t + self.attention(self.norm(t), visible)


@final
class GraphAttention(OnTokens):
    """BP030. Tokens are nodes, neighbours on the grid are edges; `hops` rounds of additive attention.

    Source: Veličković et al., Graph attention networks (2018).
    """

    def __init__(self, site: Site, *, hops: float) -> None:
        width = 2 * HEAD
        super().__init__(site, width)
        self.visible &= self.distance <= 1
        self.hops = whole(hops)
        self.node = nn.Linear(width, width)
        self.asks = nn.Linear(width, 1, bias=False)
        self.answers = nn.Linear(width, 1, bias=False)

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        for _ in range(self.hops):
            h = self.node(t)
            scores = functional.leaky_relu(self.asks(h) + self.answers(h).transpose(1, 2), 0.2)
            t = functional.elu(scores.masked_fill(~visible, float("-inf")).softmax(-1) @ h)
        return t


@final
class NonLocalBlock(OnTokens):
    """BP034. Mean dot products, no softmax, over the tokens nearer than `window` (Wang et al. 2018)."""

    def __init__(self, site: Site, *, window: float) -> None:
        width = 2 * HEAD
        super().__init__(site, width)
        self.visible &= self.distance < window
        self.theta = nn.Linear(width, width, bias=False)
        self.phi = nn.Linear(width, width, bias=False)
        self.g = nn.Linear(width, width)

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        near = visible.to(t.dtype)
        scores = self.theta(t) @ self.phi(t).transpose(1, 2) / t.shape[2] * near / near.sum(1, keepdim=True)
        return scores @ self.g(t)


@final
class LearnedPositional(Graft):
    """BP035. change = W₂ relu(W₁ waves of the place), base `frequency`, doubled for each further wave."""

    WAVES = 4

    waves: Tensor

    def __init__(self, site: Site, *, frequency: float) -> None:
        super().__init__(site)
        self.spread = site.layout == "features"  # here a place is one feature, and its vector one number
        places, channels = (site.channels, 1) if self.spread else (site.places, site.channels)
        index = torch.arange(places, dtype=torch.float32)
        columns = site.shape[2] if site.layout == "map" else places
        rates = frequency * 2.0 ** torch.arange(self.WAVES)
        angles = torch.cat([(index % columns)[:, None] * rates, (index // columns)[:, None] * rates], dim=1)
        self.register_buffer("waves", torch.cat([angles.sin(), angles.cos()], dim=1), persistent=False)
        self.inner = nn.Linear(4 * self.WAVES, 2 * HEAD)
        self.out = zeroed(nn.Linear(2 * HEAD, channels))

    def change(self, x: Tensor) -> Tensor:
        wave = self.out(torch.relu(self.inner(self.waves)))
        if self.spread:
            return wave.squeeze(1).expand_as(x)
        v = vectors(x, self.site)
        return from_vectors(wave[: v.shape[1]].expand_as(v), self.site)


@final
class MemoryAugmented(Pointwise):
    """BP038. Reads `memory_slots` values by the cosine between a question and their keys (Graves et al. 2014)."""

    def __init__(self, site: Site, *, memory_slots: float) -> None:
        super().__init__(site)
        width = 2 * HEAD
        self.question = nn.Linear(site.channels, width)
        self.keys = nn.Parameter(torch.zeros(whole(memory_slots), width))
        self.values = nn.Parameter(torch.zeros(whole(memory_slots), width))
        self.sharpness = nn.Parameter(torch.ones(1))
        self.out = zeroed(nn.Linear(width, site.channels))

    def of(self, v: Tensor) -> Tensor:
        cosine = functional.normalize(self.question(v), dim=-1) @ functional.normalize(self.keys, dim=-1).T
        return self.out((functional.softplus(self.sharpness) * cosine).softmax(-1) @ self.values)


@final
class HierarchicalAttention(OnTokens):
    """BP037. Tokens attend to means of blocks of 1, 2, 4 … tokens at once; of a sequence only to blocks that are over.

    A learned vector can always be seen, so that the first steps of a sequence see something at each level.
    """

    HEADS = 2

    def __init__(self, site: Site, *, levels: float) -> None:
        width = self.HEADS * HEAD
        super().__init__(site, width)
        self.levels = whole(levels)
        self.query = nn.Linear(width, width, bias=False)
        self.keys = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(self.levels))
        self.values = nn.ModuleList(nn.Linear(width, width) for _ in range(self.levels))
        self.nothing = nn.Parameter(torch.zeros(1, width))

    def mixed(self, t: Tensor, visible: Tensor) -> Tensor:
        n = t.shape[1]
        answers = [self._level(t, level, n) for level in range(self.levels)]
        return torch.stack(answers).mean(0)

    def _level(self, t: Tensor, level: int, n: int) -> Tensor:
        side = 2**level
        blocks = -(-n // side)
        whole_blocks = functional.pad(t, (0, 0, 0, blocks * side - n)).unflatten(1, (blocks, side)).mean(2)
        known = torch.cat([self.nothing.expand(t.shape[0], 1, -1), whole_blocks], dim=1)
        over = (torch.arange(blocks) + 1) * side - 1 <= torch.arange(n)[:, None]
        seen = over if self.causal else torch.ones(n, blocks, dtype=torch.bool)
        visible = torch.cat([torch.ones(n, 1, dtype=torch.bool), seen], dim=1)
        q, k, v = (
            split(each, self.HEADS) for each in (self.query(t), self.keys[level](known), self.values[level](known))
        )
        return joined(attend(q, k, v, visible=visible))
