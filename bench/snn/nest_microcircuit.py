"""NEST's microcircuit, one thread, float64: reads what ours is made of from standard input, prints figures as JSON.

NEST draws the same numbers of synapses between the same populations, with the same distributions.
"""

from __future__ import annotations

import json
import sys
import time

CAPACITY, TAU_MS = 250.0, 10.0


def main() -> None:
    import nest

    p = json.load(sys.stdin)
    nest.set_verbosity("M_ERROR")
    nest.resolution = p["dt_ms"]
    nest.local_num_threads = 1
    nest.rng_seed = 1
    factor = CAPACITY / TAU_MS  # pA for each mV
    neuron = {"C_m": CAPACITY, "tau_m": TAU_MS, "E_L": -65.0, "V_reset": -65.0, "V_th": -50.0, "t_ref": 2.0}
    neuron |= {"tau_syn_ex": p["tau_synapse_ms"], "tau_syn_in": p["tau_synapse_ms"]}
    groups = []
    for size, missing, drive in zip(p["sizes"], p["missing_mv"], p["drive_hz"], strict=True):
        group = nest.Create("iaf_psc_exp", size, params={**neuron, "I_e": missing * factor})
        group.V_m = nest.random.uniform(-65.0, -50.0)
        generator = nest.Create("poisson_generator", params={"rate": drive})
        nest.Connect(generator, group, syn_spec={"weight": p["drive_mv"] * factor, "delay": p["dt_ms"]})
        groups.append(group)
    recorder = nest.Create("spike_recorder")
    for group in groups:
        nest.Connect(group, recorder)
    for target, row in enumerate(p["totals"]):
        for source, total in enumerate(row):
            if total:
                mean = p["weights_mv"][target][source] * factor
                delay, spread = (0.75, 0.375) if source % 2 else (1.5, 0.75)
                synapse = {
                    "weight": nest.random.normal(mean, abs(mean) * p["scatter"]),
                    "delay": nest.math.redraw(nest.random.normal(delay, spread), p["dt_ms"], 1e3),
                }
                nest.Connect(groups[source], groups[target], {"rule": "fixed_total_number", "N": total}, synapse)
    nest.Prepare()
    nest.Run(p["before_ms"])
    began = time.process_time()
    nest.Run(p["ms"])
    seconds = time.process_time() - began
    nest.Cleanup()
    events = recorder.get("events")
    counted = events["senders"][events["times"] > p["before_ms"]]
    rates, first = [], 1
    for size in p["sizes"]:
        rates.append(float(((first <= counted) & (counted < first + size)).sum()) / size / p["ms"] * 1000)
        first += size
    print(json.dumps({"real-time factor, processor": seconds / p["ms"] * 1000, "rates Hz": rates}))


if __name__ == "__main__":
    main()
