"""Many copies of a network: one compiled network after the other, and batches of arrays. Prints a table.

    python -m bench.batch

Processor time on one core, the median of three runs that take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import numpy as np

from neuraxis_snn import MODELS, PAIR_STDP, Network, Spikes
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.backends.with_torch import TorchBackend

STEPS = 200
ROUNDS = 3
TIMED_ONE_BY_ONE = 4
"""So many engines are timed one by one; all of them take as much longer as there are more."""


def driven(size: int) -> tuple[Network, dict[str, Spikes]]:
    """Return neurons under random spikes, 80 % of which excite and 20 % inhibit 10 % of all, at most 100."""
    network = Network(dt="0.1 ms")
    network.population("cells", size, MODELS["lif_exp"], rest="-52 mV", threshold="-50 mV")
    network.drive("cells", "exc", rate="8 kHz", weight=0.4)
    pre, post = np.nonzero(np.random.default_rng(1).random((size, size)) < min(0.1, 100 / size))
    weights = np.where(pre < size * 4 // 5, 0.15, -0.6)
    network.connect("cells", "cells", "exc", weights=weights, pre=pre, post=post, delay="1.5 ms")
    return network, {}


def learning(size: int) -> tuple[Network, dict[str, Spikes]]:
    """Return neurons that learn from 100 lines, all to all, by pairs of spikes."""
    network, rng = Network(dt="0.5 ms"), np.random.default_rng(1)
    network.inputs("lines", 100)
    network.population("cells", size, MODELS["lif_exp"], rest="-52 mV")
    weights = rng.uniform(0, 1, (100, size))
    network.connect("lines", "cells", "exc", weights=weights, delay=0, rule=PAIR_STDP, w_max=1.0)
    pairs = zip(rng.integers(0, STEPS, 400).tolist(), rng.integers(0, 100, 400).tolist(), strict=True)
    return network, {"lines": Spikes.of(pairs)}


def one_by_one(backend: Any, network: Network, inputs: dict[str, Spikes], copies: int) -> float:
    """Return seconds for all copies."""
    engines = [backend.build(network) for _ in range(min(copies, TIMED_ONE_BY_ONE))]
    for number, engine in enumerate(engines):
        engine.key = (number, 1)
        engine.advance(1)
    begun = process_time()
    for engine in engines:
        engine.advance(STEPS, inputs)
    return (process_time() - begun) * copies / len(engines)


def together(backend: Any, network: Network, inputs: dict[str, Spikes], copies: int) -> float:
    """Return seconds for all copies."""
    batch = backend.build_batch([network] * copies)
    for number, engine in enumerate(batch):
        engine.key = (number, 1)
    batch.advance(1)
    begun = process_time()
    batch.advance(STEPS, [inputs] * copies)
    return process_time() - begun


def main() -> None:
    """Measure, and print."""
    import torch

    torch.set_num_threads(1)
    print("| network | copies | `numba`, one by one | `numpy`, batch | `torch`, batch | `torch`, one by one |")
    print("|---|---|---|---|---|---|")
    ways: list[tuple[Callable[..., float], Any]] = [
        (one_by_one, NumbaBackend()),
        (together, NumpyBackend()),
        (together, TorchBackend()),
        (one_by_one, TorchBackend()),
    ]
    for title, (network, inputs), counts in (
        ("100 neurons, random input", driven(100), (1, 128)),
        ("1,000 neurons, random input", driven(1_000), (1, 64)),
        ("100 neurons that learn from 100 lines", learning(100), (1, 128)),
    ):
        for copies in counts:
            found = [[way(backend, network, inputs, copies) for way, backend in ways] for _ in range(ROUNDS)]
            times = [f"{median(each) * 1000 / STEPS:.3g}" for each in zip(*found, strict=True)]
            print(f"| {title} | {copies} | {' | '.join(times)} |")


if __name__ == "__main__":
    main()
