"""Blueprints that look at neighbouring places."""

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
    Local,
    LocalNorm,
    from_grid,
    from_local,
    from_vectors,
    grid,
    grid_channels,
    last_grid,
    last_local,
    local,
    padded,
    vectors,
    whole,
    zeroed,
)

HIDDEN_MIN = 8


def _width(site: Site) -> int:
    """Hidden channels of a grid: those of the site, and some where it has few."""
    return max(HIDDEN_MIN, grid_channels(site))


class OnGrid(Graft):
    """A change that is computed on the grid: stem, something in the middle, last layer."""

    def __init__(self, site: Site, width: int, *, last: int = 0) -> None:
        super().__init__(site)
        self.stem = Convolution(site, grid_channels(site), width, 1)
        self.out = last_grid(site, last or width)

    def change(self, x: Tensor) -> Tensor:
        """Return (batch, *site.shape)."""
        return from_grid(self.out(self.middle(self.stem(grid(x, self.site)))), self.site)

    @abstractmethod
    def middle(self, g: Tensor) -> Tensor:
        """Return (batch, last, …) of (batch, width, …)."""


@final
class PoolingMax(Graft):
    """BP007. change = gain · maximum over a window of `kernel` places + offset, by channel."""

    def __init__(self, site: Site, *, kernel: float) -> None:
        super().__init__(site)
        self.kernel = whole(kernel)
        self.gain = Gain(site.channels)

    def change(self, x: Tensor) -> Tensor:
        g = padded(grid(x, self.site), self.site, self.kernel - 1, value=float("-inf"))
        pool = functional.max_pool2d if self.site.layout == "map" else functional.max_pool1d
        pooled = from_grid(pool(g, self.kernel, stride=1), self.site)
        return from_vectors(self.gain(vectors(pooled, self.site)), self.site)


@final
class ResidualBlock(Graft):
    """BP009. h ← h + W relu(norm(h)), `depth` times; change = W_out h (He et al. 2016, pre-activation)."""

    def __init__(self, site: Site, *, depth: float) -> None:
        super().__init__(site)
        width = max(HIDDEN_MIN, site.channels)
        self.stem = Local(site, site.channels, width, kernel=1)
        self.norms = nn.ModuleList(LocalNorm(width) for _ in range(whole(depth)))
        self.layers = nn.ModuleList(Local(site, width, width) for _ in range(whole(depth)))
        self.out = last_local(site, width)

    def change(self, x: Tensor) -> Tensor:
        h = self.stem(local(x, self.site))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            h = h + layer(torch.relu(norm(h)))
        return from_local(self.out(h), self.site)


@final
class ConcatFusion(Graft):
    """BP010. change = W_out [relu(W_1 x), …, relu(W_n x)], branch i with a window of 2 i + 1 places."""

    def __init__(self, site: Site, *, branches: float) -> None:
        super().__init__(site)
        width = max(4, site.channels // 2)
        self.branches = nn.ModuleList(
            Local(site, site.channels, width, kernel=2 * index + 1) for index in range(whole(branches))
        )
        self.out = last_local(site, width * whole(branches))

    def change(self, x: Tensor) -> Tensor:
        v = local(x, self.site)
        together = torch.cat([torch.relu(branch(v)) for branch in self.branches], dim=1)
        return from_local(self.out(together), self.site)


@final
class GroupedConv(OnGrid):
    """BP013. Convolution in `groups` that do not see each other until the last layer (Xie et al. 2017)."""

    def __init__(self, site: Site, *, groups: float) -> None:
        each = -(-_width(site) // whole(groups))
        width = each * whole(groups)
        super().__init__(site, width)
        self.conv = Convolution(site, width, width, 3, groups=whole(groups))

    def middle(self, g: Tensor) -> Tensor:
        return torch.relu(self.conv(g))


@final
class DepthwiseSeparable(OnGrid):
    """BP015. One kernel for each channel, then a pointwise layer (Chollet 2017)."""

    def __init__(self, site: Site, *, kernel: float) -> None:
        width = _width(site)
        super().__init__(site, width)
        self.depthwise = Convolution(site, width, width, whole(kernel), groups=width)

    def middle(self, g: Tensor) -> Tensor:
        return functional.silu(self.depthwise(g))


@final
class DynamicConv(OnGrid):
    """BP025. `experts` kernels, mixed at every place by a softmax of its channels (Chen et al. 2020)."""

    def __init__(self, site: Site, *, experts: float) -> None:
        width = _width(site)
        super().__init__(site, width)
        self.kernels = nn.ModuleList(Convolution(site, width, width, 3) for _ in range(whole(experts)))
        self.router = Convolution(site, width, whole(experts), 1)

    def middle(self, g: Tensor) -> Tensor:
        shares = self.router(g).softmax(1).unsqueeze(2)
        answers = torch.stack([kernel(g) for kernel in self.kernels], dim=1)
        return torch.relu((shares * answers).sum(1))


@final
class AdaptivePooling(OnGrid):
    """BP026. Means over `output_size` bins along each axis, a layer on them, and back to all places."""

    def __init__(self, site: Site, *, output_size: float) -> None:
        width = _width(site)
        super().__init__(site, width)
        self.size = [min(whole(output_size), n) for n in _sizes(site)]
        self.inner = Convolution(site, width, width, 3)

    def middle(self, g: Tensor) -> Tensor:
        return _spread(torch.relu(self.inner(_means(g, self.size))), g)


@final
class FeaturePyramid(OnGrid):
    """BP027. Means over blocks of 1, 2, 4 … places, a layer at each level, summed (Lin et al. 2017)."""

    def __init__(self, site: Site, *, levels: float) -> None:
        width = _width(site)
        super().__init__(site, width)
        self.sizes = [[max(1, n >> level) for n in _sizes(site)] for level in range(whole(levels))]
        self.layers = nn.ModuleList(Convolution(site, width, width, 1) for _ in self.sizes)

    def middle(self, g: Tensor) -> Tensor:
        views = [layer(_spread(_means(g, size), g)) for layer, size in zip(self.layers, self.sizes, strict=True)]
        return torch.relu(torch.stack(views).sum(0))


@final
class DenseConnection(Graft):
    """BP028. Three layers of `growth_rate` channels; each sees all before it (Huang et al. 2017)."""

    LAYERS = 3

    def __init__(self, site: Site, *, growth_rate: float) -> None:
        super().__init__(site)
        growth, first = whole(growth_rate), site.channels
        self.layers = nn.ModuleList(Local(site, first + i * growth, growth) for i in range(self.LAYERS))
        self.out = last_local(site, self.LAYERS * growth)

    def change(self, x: Tensor) -> Tensor:
        known = local(x, self.site)
        for layer in self.layers:
            known = torch.cat([known, torch.relu(layer(known))], dim=1)
        return from_local(self.out(known[:, self.site.channels :]), self.site)


@final
class TemporalConv(OnGrid):
    """BP031. tanh(W_f * h) · σ(W_g * h), causal, with `dilation` (van den Oord et al. 2016)."""

    def __init__(self, site: Site, *, dilation: float) -> None:
        width = _width(site)
        super().__init__(site, width)
        line = Site("sequence", (site.shape[0], width))  # causal over features, too: their order is time here
        self.signal = Convolution(line, width, width, 3, dilation=whole(dilation))
        self.gate = Convolution(line, width, width, 3, dilation=whole(dilation))

    def middle(self, g: Tensor) -> Tensor:
        return torch.tanh(self.signal(g)) * torch.sigmoid(self.gate(g))


@final
class DilatedConv(OnGrid):
    """BP032. A kernel with holes of `dilation`, beside one without (Yu & Koltun 2016)."""

    def __init__(self, site: Site, *, dilation: float) -> None:
        width = _width(site)
        super().__init__(site, width, last=2 * width)
        self.near = Convolution(site, width, width, 3)
        self.far = Convolution(site, width, width, 3, dilation=whole(dilation))

    def middle(self, g: Tensor) -> Tensor:
        return torch.relu(torch.cat([self.near(g), self.far(g)], dim=1))


@final
class DeformableConv(Graft):
    """BP033. Each of `offset_groups` groups of channels is read where a layer says, by bilinear interpolation.

    Source: Dai et al., Deformable convolutional networks (2017).
    """

    REACH = 2.0

    def __init__(self, site: Site, *, offset_groups: float) -> None:
        super().__init__(site)
        self.groups = whole(offset_groups)
        each = -(-_width(site) // self.groups)
        self.stem = Convolution(site, grid_channels(site), each * self.groups, 1)
        self.offsets = Convolution(site, grid_channels(site), 2 * self.groups, 3)
        self.out = last_grid(site, each * self.groups)

    def change(self, x: Tensor) -> Tensor:
        g = grid(x, self.site)
        flat = g if self.site.layout == "map" else g.unsqueeze(2)
        hidden, offsets = self.stem(g), self.REACH * torch.tanh(self.offsets(g))
        groups = hidden.reshape(-1, hidden.shape[1] // self.groups, *flat.shape[2:])
        sampled = functional.grid_sample(groups, self._places(offsets, flat), align_corners=True, padding_mode="border")
        return from_grid(self.out(torch.relu(sampled.reshape(hidden.shape))), self.site)

    def _places(self, offsets: Tensor, flat: Tensor) -> Tensor:
        """Return (batch · groups, height, width, 2): where to read, in units of half the grid."""
        height, width = flat.shape[2], flat.shape[3]
        moved = offsets.reshape(-1, 2, height, width).movedim(1, 3)
        rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        rest = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        return rest + moved * torch.tensor([2.0 / max(1, width - 1), 2.0 / max(1, height - 1)])


@final
class SpatialAttention(Graft):
    """BP018. change = x · W [mean, maximum of the channels] over a window of 2 radius + 1 (Woo et al. 2018)."""

    def __init__(self, site: Site, *, radius: float) -> None:
        super().__init__(site)
        self.inner = Convolution(site, 2, HIDDEN_MIN, 2 * whole(radius) + 1)
        kind = nn.Conv2d if site.layout == "map" else nn.Conv1d
        self.out = zeroed(kind(HIDDEN_MIN, 1, 1))
        self.gain = Gain(site.channels)

    def change(self, x: Tensor) -> Tensor:
        g = grid(x, self.site)
        summary = torch.cat([g.mean(1, keepdim=True), g.amax(1, keepdim=True)], dim=1)
        mask = self.out(torch.relu(self.inner(summary)))
        return from_vectors(self.gain(vectors(x, self.site)), self.site) + from_grid(g * mask, self.site)


def _sizes(site: Site) -> tuple[int, ...]:
    return site.shape[1:] if site.layout == "map" else site.shape[:1]


def _means(g: Tensor, size: list[int]) -> Tensor:
    if len(size) == 2:
        return functional.adaptive_avg_pool2d(g, (size[0], size[1]))
    return functional.adaptive_avg_pool1d(g, size[0])


def _spread(coarse: Tensor, g: Tensor) -> Tensor:
    return functional.interpolate(coarse, size=g.shape[2:], mode="nearest")
