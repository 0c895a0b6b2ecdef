"""Brian2, C++ standalone, float64: `with_brian2.py GRAPH FOLDER build`, then `… run` prints seconds and statistics.

STDP is its hand-optimised form: traces of neurons, not of synapses, as all pairs share them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import graphs  # noqa: E402


def build(graph: str, folder: Path) -> None:
    import brian2 as b
    from brian2 import Hz, ms, mV

    facts, arrays = graphs.read(graph)
    b.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    b.prefs.devices.cpp_standalone.openmp_threads = 0
    b.defaultclock.dt = graphs.DT * ms
    if facts["name"] == "brunel":
        objects = _brunel(b, facts, arrays)
    elif facts["name"] == "stdp":
        objects = _stdp(b, facts, arrays)
    else:
        objects = _currents(b, facts, arrays)
    network = b.Network(*objects)
    b.seed(1)
    del Hz, mV
    network.run(facts["seconds"] * 1000 * ms)
    b.device.build(directory=str(folder), compile=True, run=False, with_output=False)


def _currents(b, p, arrays):
    from brian2 import ms, mV

    constants = {
        "tau": p["tau"] * ms, "tau_exc": p["tau_exc"] * ms, "tau_inh": p["tau_inh"] * ms, "rest": p["rest"] * mV,
        "reset": p["reset"] * mV, "limit": p["threshold"] * mV, "e_exc": p["reversal_exc"] * mV,
        "e_inh": p["reversal_inh"] * mV,
    }  # fmt: skip
    unit = "1" if p["conductance"] else "volt"
    drive = "ge*(e_exc-v)+gi*(e_inh-v)-(v-rest)" if p["conductance"] else "ge+gi-(v-rest)"
    group = b.NeuronGroup(
        p["neurons"],
        f"""dv/dt = ({drive})/tau : volt (unless refractory)
            dge/dt = -ge/tau_exc : {unit}
            dgi/dt = -gi/tau_inh : {unit}""",
        threshold="v > limit",
        reset="v = reset",
        refractory=p["refractory"] * ms,
        method="exponential_euler" if p["conductance"] else "exact",
        namespace=constants,
    )
    group.v = arrays["v"] * mV
    if p["conductance"]:
        group.ge, group.gi = arrays["g_exc"], arrays["g_inh"]
    scale = 1.0 if p["conductance"] else mV
    excitatory = arrays["pre"] < p["excitatory"]
    objects = [group]
    for chosen, state, weight in ((excitatory, "ge", p["weight_exc"]), (~excitatory, "gi", p["weight_inh"])):
        each = b.Synapses(
            group,
            group,
            f"w : {unit}" if p["weight_spread"] else "",
            on_pre=f"{state} += w" if p["weight_spread"] else f"{state} += given",
            namespace={} if p["weight_spread"] else {"given": weight * scale},
        )
        each.connect(i=arrays["pre"][chosen], j=arrays["post"][chosen])
        if p["weight_spread"]:
            each.w = arrays["weights"][chosen] * scale
        if p["delay_steps"][0] != p["delay_steps"][1]:
            each.delay = arrays["delays"][chosen] * graphs.DT * ms
        objects.append(each)
    return [*objects, b.SpikeMonitor(group, name="spikes")]


def _brunel(b, p, arrays):
    from brian2 import Hz, ms, mV

    group = b.NeuronGroup(
        p["excitatory"] + p["inhibitory"],
        "dv/dt = -v/tau : volt (unless refractory)",
        threshold="v > limit",
        reset="v = reset",
        refractory=p["refractory"] * ms,
        method="exact",
        namespace={"tau": p["tau"] * ms, "limit": p["threshold"] * mV, "reset": p["reset"] * mV},
    )
    group.v = arrays["v"] * mV
    objects = [group]
    excitatory = arrays["pre"] < p["excitatory"]
    for chosen, weight in ((excitatory, p["weight"]), (~excitatory, -p["g"] * p["weight"])):
        delay = p["delay_steps"] * graphs.DT * ms
        each = b.Synapses(group, group, on_pre="v += given", delay=delay, namespace={"given": weight * mV})
        each.connect(i=arrays["pre"][chosen], j=arrays["post"][chosen])
        objects.append(each)
    outside = b.PoissonInput(group, "v", p["from_exc"], p["drive_hz"] / p["from_exc"] * Hz, weight=p["weight"] * mV)
    return [*objects, outside, b.SpikeMonitor(group, name="spikes")]


def _stdp(b, p, arrays):
    from brian2 import Hz, ms, mV

    w_max = p["w_max"] * mV
    names = {
        "tau": p["tau"] * ms, "tau_exc": p["tau_exc"] * ms, "tau_trace": p["tau_trace"] * ms, "rest": p["rest"] * mV,
        "limit": p["threshold"] * mV, "reset": p["reset"] * mV, "rate": p["rate_hz"] * Hz, "w_max": w_max,
        "up": p["gain"] * w_max, "down": -p["gain"] * p["ratio"] * w_max,
    }  # fmt: skip
    inputs = b.NeuronGroup(
        p["inputs"],
        "da/dt = -a/tau_trace : volt",
        threshold="rand() < rate*dt",
        reset="a += up",
        method="exact",
        namespace=names,
    )
    group = b.NeuronGroup(
        p["neurons"],
        """dv/dt = (ge-(v-rest))/tau : volt (unless refractory)
           dge/dt = -ge/tau_exc : volt
           db/dt = -b/tau_trace : volt""",
        threshold="v > limit",
        reset="v = reset\nb += down",
        refractory=p["refractory"] * ms,
        method="exact",
        namespace=names,
    )
    group.v = p["rest"] * mV
    synapses = b.Synapses(
        inputs,
        group,
        "w : volt",
        on_pre="ge += w\nw = clip(w + b_post, 0*mV, w_max)",
        on_post="w = clip(w + a_pre, 0*mV, w_max)",
        namespace=names,
        name="learning",
    )
    synapses.connect(True)
    synapses.w = arrays["weights"].ravel() * mV
    return [inputs, group, synapses, b.SpikeMonitor(group, name="spikes")]


def run(graph: str, folder: Path) -> None:
    facts, _ = graphs.read(graph)
    subprocess.run(["./main"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    results = folder / "results"
    seconds = float((results / "last_run_info.txt").read_text().split()[0])
    times = _array(results, "_dynamic_array_spikes_t_", np.float64)
    neurons = _array(results, "_dynamic_array_spikes_i_", np.int32)
    count = facts.get("neurons") or facts["excitatory"] + facts["inhibitory"]
    found = graphs.statistics(np.rint(times * 1e4), neurons, count, facts["seconds"])
    if facts["name"] == "stdp":
        weights = _array(results, "_dynamic_array_learning_w_", np.float64) / (facts["w_max"] * 1e-3)
        found |= {"w_mean": float(weights.mean()), "w_low": float((weights < 0.1).mean())}
    print(json.dumps({"run_s": seconds, **found}))


def _array(results: Path, prefix: str, kind: type) -> np.ndarray:
    """Read an array that the binary wrote: its name ends in a hash."""
    (path,) = [each for each in results.iterdir() if each.name.startswith(prefix)]
    return np.fromfile(path, kind)


if __name__ == "__main__":
    {"build": build, "run": run}[sys.argv[3]](sys.argv[1], Path(sys.argv[2]))
