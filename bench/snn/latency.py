"""`python -m bench.snn.latency`: how long one step takes, where a program asks for one at a time.

It refuses what there is no memory for (`MemoryShort`); `--neurons` and `--degree` make it smaller.

100,000 neurons with 1,000 synapses each, at biological rates, driven by noise, with a delay for each synapse, all
spikes recorded: Brunel's network (2000) in its slow irregular state (g = 4.5, eta = 0.9). A step is 0.1 ms.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.__main__ import as_markdown, heading
from bench.measure import Row, at_most
from neuraxis_snn import MODELS, Network, connect
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.connect.ends import require

if TYPE_CHECKING:
    from neuraxis_snn.engine import Engine

DT_MS: Final = 0.1
WARM_STEPS: Final = 2_000
"""Steps before the first that counts: 200 ms, in which the network finds its rate."""

RATES_HZ: Final = (2.0, 8.0)
P95_MS: Final = 10.0

BYTES: Final = 12
"""Memory that building takes for a synapse: ends as they are drawn, and the rows of all."""


def engine_of(neurons: int, degree: int) -> Engine:
    """Return an engine of a network with `degree` synapses onto each neuron, four in five of them excitatory."""
    exc = neurons * 4 // 5
    weight = 0.1 * 1_000 / (degree * 0.8)  # the published 0.1 mV from 1,000 excitatory neurons
    network = Network(dt=f"{DT_MS} ms", precision="float32")
    membrane = {"rest": "0 mV", "reset": "10 mV", "threshold": "20 mV", "tau": "20 ms", "refractory": "2 ms"}
    for number, (name, size) in enumerate({"exc": exc, "inh": neurons - exc}.items()):
        network.population(name, size, MODELS["lif_delta"], **membrane)
        network.drive(name, "input", rate=0.9 * 20 / (weight * 0.02), weight=weight, name=f"noise_{number}")
    number = 0
    for source, size, share, strength in (("exc", exc, 4, weight), ("inh", neurons - exc, 1, -4.5 * weight)):
        for target in ("exc", "inh"):
            key = {"seed": (1, 2), "projection": number}
            onto = network.populations[target].size
            ends = partial(connect.fixed_in_degree, size, onto, degree=degree * share // 5, **key)
            times = connect.Uniform("0.1 ms", "3 ms")
            network.connect(source, target, "input", synapses=ends, weights=strength, delay=times)
            number += 1
    engine = NumbaBackend().build(network)
    engine.key = (3, 4)
    rng = np.random.default_rng(5)
    for name in ("exc", "inh"):
        engine.write(name, "v", rng.uniform(0, 20, network.populations[name].size))
    return engine


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snn.latency", description=__doc__)
    parser.add_argument("--neurons", type=int, default=100_000)
    parser.add_argument("--degree", type=int, default=1_000, help="synapses onto each neuron")
    parser.add_argument("--steps", type=int, default=10_000)
    given = parser.parse_args()
    require(f"{given.neurons} neurons with {given.degree} synapses each", given.neurons * given.degree * BYTES)
    began = time.process_time()
    engine = engine_of(given.neurons, given.degree)
    engine.advance(WARM_STEPS)
    built = time.process_time() - began
    spikes, wall, processor = 0, np.empty(given.steps), np.empty(given.steps)
    for step in range(given.steps):
        before, ticked = time.perf_counter(), time.process_time()
        found = engine.advance(1)
        processor[step] = time.process_time() - ticked
        wall[step] = time.perf_counter() - before
        spikes += sum(map(len, found.values()))
    rate = spikes / given.neurons / (given.steps * DT_MS / 1000)
    what = f"one step of {given.neurons:,} neurons with {given.degree:,} synapses each"
    rows = [
        Row(f"{what}: rate", f"{rate:.2f} Hz", "2 … 8 Hz", RATES_HZ[0] <= rate <= RATES_HZ[1]),
        at_most(f"{what}: 95 % take at most", 1000 * float(np.quantile(wall, 0.95)), P95_MS, "ms"),
        Row("the same, median", f"{1000 * np.median(wall):.3g} ms"),
        Row("the same in processor time, 95 % and median", _quantiles(processor)),
        Row(
            "drawing, building and 200 ms of the model",
            f"{built:.1f} s of processor time, {_peak_gib():.2f} GiB at most",
        ),
    ]
    print(heading())
    print(as_markdown(rows))


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _quantiles(seconds: np.ndarray) -> str:
    return f"{1000 * np.quantile(seconds, 0.95):.3g} ms, {1000 * np.median(seconds):.3g} ms"


if __name__ == "__main__":
    main()
