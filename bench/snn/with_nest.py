"""NEST, one thread, float64: `with_nest.py GRAPH` prints seconds of the run phase and statistics.

It runs for `SECONDS` of model time; the seconds that it prints are those of the whole time, in proportion.

COBA runs with NEST's adaptive integration; Brunel's graph is NEST's own draw of the same degrees.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import graphs

WARM_UP_MS = 10.0
SECONDS = 1.0


def main(graph: str) -> None:
    import nest

    p, arrays = graphs.read(graph)
    nest.set_verbosity("M_ERROR")
    nest.ResetKernel()
    nest.resolution = graphs.DT
    nest.local_num_threads = 1
    nest.rng_seed = 1
    make = {"brunel": _brunel, "stdp": _stdp}.get(p["name"], _currents)
    group, learning = make(nest, p, arrays)
    recorder = nest.Create("spike_recorder")
    nest.Connect(group, recorder)
    nest.Prepare()
    nest.Run(WARM_UP_MS)  # builds the tables of connections
    began = time.process_time()
    nest.Run(SECONDS * 1000 - WARM_UP_MS)
    seconds = (time.process_time() - began) * p["seconds"] / (SECONDS - WARM_UP_MS / 1000)
    nest.Cleanup()
    events = recorder.get("events")
    neurons, times = np.asarray(events["senders"]) - group[0].global_id, np.asarray(events["times"])
    found = graphs.statistics(np.rint(times / graphs.DT), neurons, len(group), SECONDS)
    if learning is not None:
        weights = np.asarray(nest.GetConnections(learning, group).weight) / (p["w_max"] * CAPACITY / p["tau"])
        found |= {"w_mean": float(weights.mean()), "w_low": float((weights < 0.1).mean())}
    print(json.dumps({"run_s": seconds, **found}))


CAPACITY = 200.0


def _neurons(nest, model, count, p, **more):
    shared = {"V_th": p["threshold"], "V_reset": p["reset"], "E_L": p.get("rest", 0.0), "t_ref": p["refractory"]}
    return nest.Create(model, count, params={**shared, **more})


def _currents(nest, p, arrays):
    if p["conductance"]:
        leak = 10.0
        group = _neurons(
            nest, "iaf_cond_exp", p["neurons"], p, C_m=leak * p["tau"], g_L=leak, tau_syn_ex=p["tau_exc"],
            tau_syn_in=p["tau_inh"], E_ex=p["reversal_exc"], E_in=p["reversal_inh"],
        )  # fmt: skip
        weights = np.where(arrays["pre"] < p["excitatory"], arrays["weights"], -arrays["weights"]) * leak
    else:
        group = _neurons(
            nest, "iaf_psc_exp", p["neurons"], p, C_m=CAPACITY, tau_m=p["tau"], tau_syn_ex=p["tau_exc"],
            tau_syn_in=p["tau_inh"],
        )  # fmt: skip
        weights = arrays["weights"] * CAPACITY / p["tau"]
    group.V_m = arrays["v"]
    if p["conductance"]:
        group.g_ex, group.g_in = arrays["g_exc"] * leak, arrays["g_inh"] * leak
    synapse = {"synapse_model": "static_synapse", "weight": weights, "delay": arrays["delays"] * graphs.DT}
    nest.Connect(arrays["pre"] + 1, arrays["post"] + 1, "one_to_one", syn_spec=synapse)
    return group, None


def _brunel(nest, p, arrays):
    count = p["excitatory"] + p["inhibitory"]
    group = _neurons(nest, "iaf_psc_delta", count, p, C_m=1.0, tau_m=p["tau"])
    group.V_m = arrays["v"]
    delay = p["delay_steps"] * graphs.DT
    for first, last, degree, weight in (
        (0, p["excitatory"], p["from_exc"], p["weight"]),
        (p["excitatory"], count, p["from_inh"], -p["g"] * p["weight"]),
    ):
        rule = {"rule": "fixed_indegree", "indegree": degree, "allow_multapses": False}
        nest.Connect(group[first:last], group, rule, {"weight": weight, "delay": delay})
    drive = nest.Create("poisson_generator", params={"rate": p["drive_hz"]})
    nest.Connect(drive, group, syn_spec={"weight": p["weight"], "delay": delay})
    return group, None


def _stdp(nest, p, arrays):
    factor = CAPACITY / p["tau"]
    group = _neurons(
        nest, "iaf_psc_exp", p["neurons"], p, C_m=CAPACITY, tau_m=p["tau"], tau_syn_ex=p["tau_exc"],
        tau_syn_in=p["tau_exc"], V_m=p["rest"], tau_minus=p["tau_trace"],
    )  # fmt: skip
    inputs = nest.Create("parrot_neuron", p["inputs"])
    nest.Connect(nest.Create("poisson_generator", params={"rate": p["rate_hz"]}), inputs)
    settings = {
        "tau_plus": p["tau_trace"], "Wmax": p["w_max"] * factor, "mu_plus": 0.0, "mu_minus": 0.0, "lambda": p["gain"],
        "alpha": p["ratio"],
    }  # fmt: skip
    nest.CopyModel("stdp_synapse", "learning", settings)
    synapse = {"synapse_model": "learning", "weight": arrays["weights"].T * factor, "delay": graphs.DT}
    nest.Connect(inputs, group, "all_to_all", synapse)
    return group, inputs


if __name__ == "__main__":
    main(sys.argv[1])
