"""The networks of the benchmark: parameters, and graphs as arrays that every simulator loads.

Units are mV and ms. All are drawn by numpy's PCG64 from a seed, so every simulator computes the same graph.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

DT = 0.1


@dataclass(frozen=True)
class Currents:
    """LIF neurons with exponential currents; `conductance` makes these conductances in units of the leak."""

    name: str
    seconds: float
    neurons: int
    excitatory: int
    chance: float
    weight_exc: float
    weight_inh: float
    weight_spread: float = 0.0
    delay_steps: tuple[int, int] = (1, 1)
    tau: float = 20.0
    tau_exc: float = 5.0
    tau_inh: float = 10.0
    rest: float = -49.0
    reset: float = -60.0
    threshold: float = -50.0
    refractory: float = 5.0
    conductance: bool = False
    reversal_exc: float = 0.0
    reversal_inh: float = -80.0
    seed: int = 1


CUBA = Currents("cuba", 10.0, 4000, 3200, 0.02, 1.62, -9.0)
COBA = Currents("coba", 5.0, 4000, 3200, 0.02, 0.6, 6.7, rest=-60.0, conductance=True, seed=2)
DELAYS = Currents("delays", 5.0, 8000, 6400, 0.01, 1.62, -9.0, weight_spread=0.2, delay_steps=(1, 80), seed=3)

BRUNEL: dict[str, Any] = {
    "name": "brunel", "seconds": 1.0, "excitatory": 10_000, "inhibitory": 2_500, "from_exc": 1_000, "from_inh": 250,
    "tau": 20.0, "threshold": 20.0, "reset": 10.0, "refractory": 2.0, "weight": 0.1, "g": 5.0, "delay_steps": 15,
    "drive_hz": 20_000.0, "seed": 4,
}  # fmt: skip
"""Brunel 2000, model A, the asynchronous irregular state g = 5, eta = 2."""

STDP: dict[str, Any] = {
    "name": "stdp", "seconds": 10.0, "inputs": 1_000, "neurons": 400, "rate_hz": 15.0, "tau": 20.0, "tau_exc": 5.0,
    "rest": -70.0, "reset": -60.0, "threshold": -54.0, "refractory": 2.0, "w_max": 0.45, "tau_trace": 20.0,
    "gain": 0.01, "ratio": 1.05, "seed": 5,
}  # fmt: skip
"""Additive pair STDP on 400,000 synapses; constants of Song, Miller & Abbott 2000, current synapses."""


def drawn(seed: int) -> Currents:
    """Return a network that nobody has tuned for: its size, time constants, weights and delays are drawn."""
    rng = np.random.default_rng(seed)
    neurons = int(rng.integers(20, 80)) * 100
    longest = int(rng.integers(5, 60))
    return Currents(
        "drawn",
        5.0,
        neurons,
        int(neurons * 0.8),
        float(np.round(rng.uniform(60, 150) / neurons, 4)),
        float(np.round(rng.uniform(1.0, 2.0), 2)),
        -float(np.round(rng.uniform(8.0, 12.0), 2)),
        weight_spread=float(np.round(rng.uniform(0.0, 0.3), 2)),
        delay_steps=(int(rng.integers(1, 5)), longest),
        tau=float(np.round(rng.uniform(10, 30), 1)),
        tau_exc=float(np.round(rng.uniform(3, 6), 1)),
        tau_inh=float(np.round(rng.uniform(7, 12), 1)),
        refractory=float(rng.integers(2, 6)),
        seed=seed,
    )


def write(network: Currents | dict[str, Any], path: Path) -> None:
    """Write parameters and graph of a network as an .npz file that holds no Python objects."""
    facts = asdict(network) if isinstance(network, Currents) else dict(network)
    if isinstance(network, Currents):
        arrays = _currents(network)
    elif facts["name"] == "brunel":
        arrays = _brunel(facts)
    else:
        rng = np.random.default_rng(facts["seed"])
        arrays = {"weights": rng.random((facts["inputs"], facts["neurons"])) * facts["w_max"]}
    numbers = {f"p_{name}": np.array(value) for name, value in facts.items()}
    np.savez(path, **numbers, **arrays)


def read(path: Path | str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return (parameters, arrays)."""
    with np.load(path) as found:
        parameters = {name[2:]: found[name].tolist() for name in found.files if name.startswith("p_")}
        return parameters, {name: found[name] for name in found.files if not name.startswith("p_")}


def _currents(network: Currents) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(network.seed)
    pre, post = np.nonzero(rng.random((network.neurons, network.neurons)) < network.chance)
    means = np.where(pre < network.excitatory, network.weight_exc, network.weight_inh)
    factors = np.maximum(rng.normal(1.0, network.weight_spread, len(pre)), 0.1) if network.weight_spread else 1.0
    low, high = network.delay_steps
    started = {}
    if network.conductance:  # a kick, without which the network stays silent, as in Brette et al. 2007
        started = {
            "g_exc": np.maximum(rng.normal(4.0, 1.5, network.neurons), 0.0),
            "g_inh": np.maximum(rng.normal(20.0, 12.0, network.neurons), 0.0),
        }
    return {
        **started,
        "pre": pre.astype(np.int32),
        "post": post.astype(np.int32),
        "weights": np.round(means * factors, 4),
        "delays": rng.integers(low, high + 1, len(pre)).astype(np.int32),
        "v": network.reset + rng.random(network.neurons) * (network.threshold - network.reset),
    }


def _brunel(facts: dict[str, Any]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(facts["seed"])
    excitatory, inhibitory = facts["excitatory"], facts["inhibitory"]
    neurons = excitatory + inhibitory
    sources = np.empty((neurons, facts["from_exc"] + facts["from_inh"]), np.int32)
    for neuron in range(neurons):
        sources[neuron, : facts["from_exc"]] = rng.choice(excitatory, facts["from_exc"], replace=False)
        sources[neuron, facts["from_exc"] :] = excitatory + rng.choice(inhibitory, facts["from_inh"], replace=False)
    post = np.repeat(np.arange(neurons, dtype=np.int32), sources.shape[1])
    order = np.argsort(sources.ravel(), kind="stable")
    return {"pre": sources.ravel()[order], "post": post[order], "v": rng.random(neurons) * facts["threshold"]}


def statistics(
    steps: np.ndarray, neurons: np.ndarray, count: int, seconds: float, skip_s: float = 0.2
) -> dict[str, float]:
    """Return spikes, mean rate in Hz and mean CV of intervals of neurons with at least 5, after `skip_s`."""
    times = np.asarray(steps, np.float64) * DT
    kept = times >= skip_s * 1000
    who, when = np.asarray(neurons, np.int64)[kept], times[kept]
    order = np.lexsort((when, who))
    same = np.diff(who[order]) == 0
    intervals, owner = np.diff(when[order])[same], who[order][1:][same]
    n = np.bincount(owner, minlength=count)
    mean = np.bincount(owner, intervals, minlength=count) / np.maximum(n, 1)
    square = np.bincount(owner, intervals**2, minlength=count) / np.maximum(n, 1)
    enough = n >= 5
    cv = np.sqrt(np.maximum(square - mean**2, 0))[enough] / mean[enough]
    return {
        "spikes": len(times),
        "rate_hz": float(kept.sum() / count / (seconds - skip_s)),
        "cv": float(cv.mean()) if len(cv) else float("nan"),
    }
