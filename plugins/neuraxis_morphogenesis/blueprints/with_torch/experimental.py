"""Experimental blueprints: experts, flows, search, fast weights, recursion."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.blueprints.with_torch.graft import (
    Graft,
    Local,
    from_local,
    last_local,
    local,
    whole,
    zeroed,
)
from neuraxis_morphogenesis.blueprints.with_torch.pointwise import Pointwise

WIDTH = 16


@final
class MixtureOfExperts4(Pointwise):
    """BP036. Each place goes to its two best experts; an expert takes its share times `capacity`, first come.

    The share is counted up to the place itself, so that a sequence stays causal.

    Source: Lepikhin et al., GShard (2021), sec. 2.2.
    """

    CHOSEN = 2

    def __init__(self, site: Site, *, experts: float, capacity: float) -> None:
        super().__init__(site)
        self.experts, self.capacity = whole(experts), capacity
        self.router = nn.Linear(site.channels, self.experts)
        self.inner = nn.Parameter(torch.zeros(self.experts, site.channels, WIDTH))
        self.offset = nn.Parameter(torch.zeros(WIDTH))
        self.out = zeroed(nn.Linear(WIDTH, site.channels))

    def of(self, v: Tensor) -> Tensor:
        shares = self.router(v).softmax(-1)
        best = shares.topk(self.CHOSEN, dim=-1)
        chosen = torch.zeros_like(shares).scatter(-1, best.indices, 1.0)
        turn = chosen.cumsum(1)
        room = (self.capacity * self.CHOSEN / self.experts) * torch.arange(1, v.shape[1] + 1, dtype=v.dtype)
        kept = shares * chosen * (turn <= room.ceil().unsqueeze(1)).to(v.dtype)
        answers = torch.relu(torch.einsum("bpc,ech->bpeh", v, self.inner) + self.offset)
        return self.out((kept.unsqueeze(-1) * answers).sum(2))


@final
class NeuralOdeBlock(Pointwise):
    """BP039. change = W₂ (h(1) - h(0)), dh/dt = tanh(W h + t u), h(0) = W₁ x, by `steps` steps of Runge-Kutta 4.

    Source: Chen et al., Neural ordinary differential equations (2018).
    """

    def __init__(self, site: Site, *, steps: float) -> None:
        super().__init__(site)
        self.steps = whole(steps)
        self.stem = nn.Linear(site.channels, WIDTH)
        self.flow = nn.Linear(WIDTH, WIDTH)
        self.time = nn.Parameter(torch.zeros(WIDTH))
        self.out = zeroed(nn.Linear(WIDTH, site.channels))

    def of(self, v: Tensor) -> Tensor:
        start = h = self.stem(v)
        dt = 1.0 / self.steps
        for index in range(self.steps):
            t = index * dt
            a = self._slope(h, t)
            b = self._slope(h + dt / 2 * a, t + dt / 2)
            c = self._slope(h + dt / 2 * b, t + dt / 2)
            d = self._slope(h + dt * c, t + dt)
            h = h + dt / 6 * (a + 2 * b + 2 * c + d)
        return self.out(h - start)

    def _slope(self, h: Tensor, t: float) -> Tensor:
        return torch.tanh(self.flow(h) + t * self.time)


@final
class DifferentiableNas(Graft):
    """BP040. Four operations, weighed by softmax(choice / temperature) (Liu et al. 2019)."""

    def __init__(self, site: Site, *, temperature: float) -> None:
        super().__init__(site)
        self.temperature = temperature
        self.stem = Local(site, site.channels, WIDTH, kernel=1)
        self.near = Local(site, WIDTH, WIDTH, kernel=1)
        self.far = Local(site, WIDTH, WIDTH, kernel=3)
        self.choice = nn.Parameter(torch.zeros(4))
        self.out = last_local(site, WIDTH)

    def change(self, x: Tensor) -> Tensor:
        h = self.stem(local(x, self.site))
        answers = torch.stack([h, torch.relu(h), torch.tanh(self.near(h)), torch.relu(self.far(h))])
        shares = (self.choice / self.temperature).softmax(0)
        return from_local(self.out(torch.tensordot(shares, answers, dims=1)), self.site)


@final
class MetaLearningLayer(Pointwise):
    """BP041. change = W₂ (k F), F from `adapt_steps` gradient steps that rebuild v from k within the sample.

    F starts at a learned matrix; its loss is the mean of |k F - v|² / 2 over the places; the rate is learned.

    Source: Schlag et al., Linear transformers are secretly fast weight programmers (2021).
    """

    def __init__(self, site: Site, *, adapt_steps: float) -> None:
        super().__init__(site)
        self.steps = whole(adapt_steps)
        self.key = nn.Linear(site.channels, WIDTH)
        self.value = nn.Linear(site.channels, WIDTH)
        self.start = nn.Parameter(torch.zeros(WIDTH, WIDTH))
        self.rate = nn.Parameter(torch.zeros(1))
        self.out = zeroed(nn.Linear(WIDTH, site.channels))

    def of(self, v: Tensor) -> Tensor:
        k, wanted = functional.normalize(self.key(v), dim=-1), self.value(v)
        fast = self.start.expand(v.shape[0], -1, -1)
        for _ in range(self.steps):
            gradient = k.transpose(1, 2) @ (k @ fast - wanted) / v.shape[1]
            fast = fast - functional.softplus(self.rate) * gradient
        return self.out(k @ fast)


@final
class RecursiveProcessing(Pointwise):
    """BP042. One gated cell, applied `depth` times to what it made (Dehghani et al. 2019)."""

    def __init__(self, site: Site, *, depth: float) -> None:
        super().__init__(site)
        self.depth = whole(depth)
        self.stem = nn.Linear(site.channels, WIDTH)
        self.gate = nn.Linear(2 * WIDTH, WIDTH)
        self.next = nn.Linear(2 * WIDTH, WIDTH)
        self.out = zeroed(nn.Linear(WIDTH, site.channels))

    def of(self, v: Tensor) -> Tensor:
        given = self.stem(v)
        h = torch.tanh(given)
        for _ in range(self.depth):
            both = torch.cat([h, given], dim=-1)
            z = torch.sigmoid(self.gate(both))
            h = (1 - z) * h + z * torch.tanh(self.next(both))
        return self.out(h)
