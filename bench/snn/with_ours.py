"""Neuraxis, one core, float32: `python -m bench.snn.with_ours GRAPH [BACKEND]` prints seconds and statistics.

The network is one actor of a simulation with ticks of 10 ms. It sends its spikes to another actor, which keeps them,
and every message goes into the digest: what is measured is what a scenario costs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.snn import graphs
from neuraxis import Actor, Context, Graph, Input, Output, Simulation, on, on_start, on_timer, state
from neuraxis_snn import MODELS, PAIR_STDP, Engine, Network, Spikes
from neuraxis_snn.encoders import poisson

TICK_MS = 10
STEPS = round(TICK_MS / graphs.DT)


def network_of(p: dict[str, Any], arrays: dict[str, np.ndarray]) -> Network:
    """Return the network of a graph file; its neurons are called `neurons`."""
    network = Network(dt=f"{graphs.DT} ms", precision="float32")
    membrane = {name: f"{p[name]} mV" for name in ("reset", "threshold")}
    membrane |= {"tau": f"{p['tau']} ms", "refractory": f"{p['refractory']} ms"}
    if p["name"] == "brunel":
        count = p["excitatory"] + p["inhibitory"]
        network.population("neurons", count, MODELS["lif_delta"], rest="0 mV", **membrane)
        excitatory = arrays["pre"] < p["excitatory"]
        for name, chosen, weight in (("exc", excitatory, p["weight"]), ("inh", ~excitatory, -p["g"] * p["weight"])):
            ends = {"pre": arrays["pre"][chosen], "post": arrays["post"][chosen], "delay": p["delay_steps"]}
            network.connect("neurons", "neurons", "input", weights=weight, name=name, **ends)
        network.drive("neurons", "input", rate=p["drive_hz"], weight=p["weight"])
    elif p["name"] == "stdp":
        rest, tau = f"{p['rest']} mV", f"{p['tau_exc']} ms"
        network.population("inputs", p["inputs"], MODELS["poisson"], record=False)
        network.population("neurons", p["neurons"], MODELS["lif_exp"], rest=rest, tau_exc=tau, **membrane)
        trace, gain = f"{p['tau_trace']} ms", p["gain"] * p["w_max"]
        learning = {"tau_pre": trace, "tau_post": trace, "gain_pre": gain, "gain_post": -gain * p["ratio"]}
        weights = arrays["weights"]
        network.connect("inputs", "neurons", "exc", weights=weights, rule=PAIR_STDP, w_max=p["w_max"], **learning)
    else:
        model = MODELS["lif_coba" if p["conductance"] else "lif_exp"]
        rest = {"rest": f"{p['rest']} mV", "tau_exc": f"{p['tau_exc']} ms", "tau_inh": f"{p['tau_inh']} ms"}
        if p["conductance"]:
            rest |= {name: f"{p[name]} mV" for name in ("reversal_exc", "reversal_inh")}
        network.population("neurons", p["neurons"], model, **rest, **membrane)
        excitatory = arrays["pre"] < p["excitatory"]
        for kind, chosen in (("exc", excitatory), ("inh", ~excitatory)):
            ends = {"pre": arrays["pre"][chosen], "post": arrays["post"][chosen], "delay": arrays["delays"][chosen]}
            network.connect("neurons", "neurons", kind, weights=arrays["weights"][chosen], name=kind, **ends)
    return network


def engine_of(path: Path | str, backend: str) -> tuple[dict[str, Any], Engine]:
    """Return parameters and a ready engine."""
    p, arrays = graphs.read(path)
    engine = _backend(backend).build(network_of(p, arrays))
    engine.key = (1, 2)
    engine.write("neurons", "v", arrays.get("v", p.get("rest", 0.0)))
    for name in ("g_exc", "g_inh"):
        if name in arrays:
            engine.write("neurons", name, arrays[name])
    if p["name"] == "stdp":
        engine.write("inputs", "chance", poisson(np.full(p["inputs"], p["rate_hz"]), f"{graphs.DT} ms"))
    return p, engine


def _backend(name: str) -> Any:
    from neuraxis_snn import plugin

    return plugin.neuraxis_register_backends()[name]()


class Computes(Actor):
    """Computes the network, a tick at a time."""

    spikes = Output(Spikes, "spikes of the tick")
    ENGINE: Engine

    @on_start
    def begin(self, context: Context) -> None:
        """Compute every tick."""
        context.wake(1, "tick")

    @on_timer("tick")
    def go_on(self, context: Context) -> None:
        """Compute the steps of this tick."""
        context.wake(1, "tick")
        context.send("spikes", self.ENGINE.advance(STEPS)["neurons"])


class Keeps(Actor):
    """Keeps the spikes."""

    spikes = Input(Spikes, "spikes of the tick before")
    kept: list[Any] = state(factory=list)

    @on(spikes)
    def keep(self, context: Context, spikes: Spikes) -> None:
        """Keep them with the tick."""
        self.kept.append((context.tick - 2, spikes.steps, spikes.neurons))


class Run:
    """The network of a graph file in a simulation, ready to run from its beginning as often as one likes."""

    def __init__(self, path: Path | str, backend: str = "numba") -> None:
        self.p, self.engine = engine_of(path, backend)
        self._begun = self.engine.capture()
        self.engine.advance(1)  # compiles, or loads what was compiled

    def __call__(self) -> float:
        """Run, and return the seconds of processor time it took."""
        self.engine.restore(self._begun)
        Computes.ENGINE = self.engine
        graph = Graph("bench", tick=f"{TICK_MS} ms")
        graph.add("network", Computes)
        graph.add("monitor", Keeps)
        graph.connect("network.spikes", "monitor.spikes")
        ticks = round(self.p["seconds"] * 1000 / TICK_MS)
        with Simulation(graph, seed=1) as simulation:
            began = time.process_time()
            simulation.advance(ticks + 1)
            seconds = time.process_time() - began
            self.kept = dict(simulation.actors())["monitor"].kept  # type: ignore[attr-defined]
            self.digest = simulation.digests["exact"]
        return seconds


def main(path: str, backend: str = "numba") -> None:
    """Measure once, and print seconds and statistics."""
    run = Run(path, backend)
    seconds, p, engine = run(), run.p, run.engine
    steps = np.concatenate([tick * STEPS + each.astype(np.int64) for tick, each, _ in run.kept])
    neurons = np.concatenate([each for _, _, each in run.kept])
    count = engine.network.populations["neurons"].size
    found = graphs.statistics(steps, neurons, count, p["seconds"])
    found["events"] = _events(p, engine, neurons)
    if p["name"] == "stdp":
        weights = engine.weights("inputs->neurons") / p["w_max"]
        found |= {"w_mean": float(weights.mean()), "w_low": float((weights < 0.1).mean())}
    print(json.dumps({"run_s": seconds, "digest": run.digest, **found}))


def _events(p: dict[str, Any], engine: Engine, neurons: np.ndarray) -> int:
    """Return how many synaptic events the recorded spikes caused."""
    if p["name"] == "stdp":
        return int(p["inputs"] * len(neurons))
    degrees = sum(np.diff(each.indptr, axis=1).sum(axis=0) for each in engine.network.projections.values())  # type: ignore[arg-type]
    return int(degrees[neurons].sum())


if __name__ == "__main__":
    main(*sys.argv[1:])
