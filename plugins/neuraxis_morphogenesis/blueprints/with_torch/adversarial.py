"""Adversarial blueprints: harmless at the start, harmful once they have learned anything.

They test the fences around seeds. They run in the quarantined process alone, which is why nothing but the
forge imports this file: its operators block, spin and leak on purpose.

An operator sees the gain behind it. While that is zero it does its work once and returns; afterwards it does
what its name says until a limit of the quarantine ends it.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.blueprints.with_torch.graft import Gain, Noise, whole
from neuraxis_morphogenesis.blueprints.with_torch.pointwise import Pointwise

_LEAKED: Final[list[Tensor]] = []
LEAK_BYTES: Final = 2**20
LAYERS: Final = 8


class Adversarial(Pointwise):
    """A random layer, something harmful, and a gain that starts at zero."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.inner = nn.Linear(site.channels, site.channels)
        self.gain = Gain(site.channels)

    def of(self, v: Tensor) -> Tensor:
        return self.gain(self.harm(self.inner(v)))

    @abstractmethod
    def harm(self, h: Tensor) -> Tensor:
        """Return (batch, places, channels)."""


@final
class ExplodingGradient(Adversarial):
    """BP043. Multiplied by `scale` eight times: gradients grow by scale⁸."""

    def __init__(self, site: Site, *, scale: float) -> None:
        super().__init__(site)
        self.factor = scale

    def harm(self, h: Tensor) -> Tensor:
        for _ in range(LAYERS):
            h = h * self.factor
        return h


@final
class VanishingGradient(Adversarial):
    """BP044. Multiplied by `decay` eight times: gradients shrink by decay⁸."""

    def __init__(self, site: Site, *, decay: float) -> None:
        super().__init__(site)
        self.factor = decay

    def harm(self, h: Tensor) -> Tensor:
        for _ in range(LAYERS):
            h = h * self.factor
        return h


@final
class NanInjection(Adversarial):
    """BP045. A share `frequency` of the output becomes no number at all."""

    def __init__(self, site: Site, *, frequency: float) -> None:
        super().__init__(site)
        self.frequency = frequency
        self.noise = Noise()

    def harm(self, h: Tensor) -> Tensor:
        hit = (self.noise(h) < self.frequency) & (self.gain.weight != 0)
        return torch.where(hit, torch.full_like(h, float("nan")), h)


@final
class InfiniteLoop(Adversarial):
    """BP046. Loops until a remainder is gone, in bouts of `iterations`; it is gone only while the gain is zero."""

    def __init__(self, site: Site, *, iterations: float) -> None:
        super().__init__(site)
        self.iterations = whole(iterations)

    def harm(self, h: Tensor) -> Tensor:
        return torch.ops.neuraxis_quarantine.spin(h, self.gain.weight, self.iterations)


@final
class MemoryLeak(Adversarial):
    """BP047. Keeps growth_rateⁿ MiB at the n-th call once the gain is not zero, and before that 1 MiB a call."""

    def __init__(self, site: Site, *, growth_rate: float) -> None:
        super().__init__(site)
        self.growth_rate = growth_rate

    def harm(self, h: Tensor) -> Tensor:
        return torch.ops.neuraxis_quarantine.leak(h, self.gain.weight, self.growth_rate)


@final
class DeadlockPattern(Adversarial):
    """BP048. `threads` threads that each hold a lock and want the next one's."""

    def __init__(self, site: Site, *, threads: float) -> None:
        super().__init__(site)
        self.threads = whole(threads)

    def harm(self, h: Tensor) -> Tensor:
        return torch.ops.neuraxis_quarantine.lock(h, self.gain.weight, self.threads)


@final
class RaceCondition(Adversarial):
    """BP049. Two threads add to one sum, `window_ns` between reading and writing it."""

    def __init__(self, site: Site, *, window_ns: float) -> None:
        super().__init__(site)
        self.window_ns = whole(window_ns)

    def harm(self, h: Tensor) -> Tensor:
        return torch.ops.neuraxis_quarantine.race(h, self.gain.weight, self.window_ns)


@final
class AdversarialNoise(Adversarial):
    """BP050. `epsilon` in the direction that its own layer amplifies most (Goodfellow et al. 2015)."""

    def __init__(self, site: Site, *, epsilon: float) -> None:
        super().__init__(site)
        self.epsilon = epsilon

    def harm(self, h: Tensor) -> Tensor:
        worst = torch.sign(h.detach()) @ self.inner.weight
        return h + self.epsilon * torch.sign(worst)


# ------------------------------------------------------------------------------- operators


@torch.library.custom_op("neuraxis_quarantine::spin", mutates_args=())
def _spin(h: Tensor, gain: Tensor, iterations: int) -> Tensor:
    rest = 1
    while rest:
        for _ in range(iterations):
            rest = (rest * 5 + 3) % 2**16
        rest = int(bool(gain.any()))
    return h.clone()


@torch.library.custom_op("neuraxis_quarantine::leak", mutates_args=())
def _leak(h: Tensor, gain: Tensor, growth_rate: float) -> Tensor:
    calls = len(_LEAKED) if bool(gain.any()) else 0
    _LEAKED.append(torch.ones(int(LEAK_BYTES * growth_rate**calls), dtype=torch.uint8))
    return h.clone()


@torch.library.custom_op("neuraxis_quarantine::lock", mutates_args=())
def _lock(h: Tensor, gain: Tensor, threads: int) -> Tensor:
    if bool(gain.any()):
        locks = [threading.Lock() for _ in range(threads)]
        barrier = threading.Barrier(threads)

        def embrace(index: int) -> None:
            with locks[index]:
                barrier.wait()
                with locks[(index + 1) % threads]:
                    pass

        waiting = [threading.Thread(target=embrace, args=(index,), daemon=True) for index in range(threads)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
    return h.clone()


@torch.library.custom_op("neuraxis_quarantine::race", mutates_args=())
def _race(h: Tensor, gain: Tensor, window_ns: int) -> Tensor:
    total, steps = [0], 200

    def add() -> None:
        for _ in range(steps):
            seen = total[0]
            time.sleep(window_ns * 1e-9)
            total[0] = seen + 1

    if bool(gain.any()):
        adding = [threading.Thread(target=add) for _ in range(2)]
        for thread in adding:
            thread.start()
        for thread in adding:
            thread.join()
    return h * (1 + total[0] / (2 * steps))


def _same(h: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(h)


def _passes(_: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return gradient, None, None


for _operator in (_spin, _leak, _lock, _race):
    _operator.register_fake(_same)
    _operator.register_autograd(_passes)
