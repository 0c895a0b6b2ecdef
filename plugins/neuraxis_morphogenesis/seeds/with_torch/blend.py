"""How a seed's output is mixed with the host's: y of h (host), x (what the seed got: h without its gradient), s (seed).

| blend | y |
|---|---|
| `convex` | (1 - a) b + a s |
| `residual` | b + a (s - x) |
| `channel` | (1 - a_c) b + a_c s, the channels one after the other |
| `confidence` | convex, with a / (1 + exp(-k (m - t))) for each sample, m the lead of the host's best class |
| `multiply` | b (1 + a tanh(s - x)) |

b is x in the isolation mode `strict`, and h in `host_learns`. At a = 0 every y is h to the last bit.

Determinism: machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import torch
from torch import Tensor

from neuraxis_morphogenesis.blueprints.site import Site

Isolation = Literal["strict", "host_learns"]

ISOLATIONS: Final = ("strict", "host_learns")
CONFIDENCE_GAIN: Final = 6.0
CONFIDENCE_THRESHOLD: Final = 0.2
"""Of the lead in logits: k and t above."""


class StraightThrough(torch.autograd.Function):
    """The host's output, with the gradient for both: the seed learns as if it had been added, and changes nothing."""

    @staticmethod
    def forward(_: Any, host: Tensor, seed: Tensor) -> Tensor:  # type: ignore[override]
        """Return `host`, to the last bit."""
        return host.clone()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Return the gradient for host and seed."""
        return gradient, gradient


def straight_through(host: Tensor, seed: Tensor) -> Tensor:
    """Return `host` in value; its gradient reaches host and seed alike."""
    result: Tensor = StraightThrough.apply(host, seed)  # type: ignore[no-untyped-call]
    return result


def _convex(base: Tensor, _: Tensor, seed: Tensor, alpha: Tensor, __: Site) -> Tensor:
    return torch.lerp(base, seed, alpha)


def _residual(base: Tensor, taken: Tensor, seed: Tensor, alpha: Tensor, _: Site) -> Tensor:
    return base + alpha * (seed - taken)


def _channel(base: Tensor, _: Tensor, seed: Tensor, alpha: Tensor, site: Site) -> Tensor:
    order = torch.arange(site.channels, dtype=base.dtype)
    shape = {"features": (-1,), "sequence": (1, -1), "map": (-1, 1, 1)}[site.layout]
    return torch.lerp(base, seed, (alpha * site.channels - order.reshape(shape)).clamp(0.0, 1.0))


def _multiply(base: Tensor, taken: Tensor, seed: Tensor, alpha: Tensor, _: Site) -> Tensor:
    return base * (1 + alpha * torch.tanh(seed - taken))


BLENDS: Final[Mapping[str, Callable[[Tensor, Tensor, Tensor, Tensor, Site], Tensor]]] = {
    "convex": _convex,
    "residual": _residual,
    "channel": _channel,
    "confidence": _convex,
    "multiply": _multiply,
}


def confidence(margins: Tensor) -> Tensor:
    """Return what alpha is multiplied by for each sample: (batch,) of leads in logits, (batch,)."""
    return torch.sigmoid(CONFIDENCE_GAIN * (margins - CONFIDENCE_THRESHOLD))
