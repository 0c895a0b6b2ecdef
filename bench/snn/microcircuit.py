"""`python -m bench.snn.microcircuit`: the microcircuit at any size: build, memory, speed, rates.

The whole network is built, with all synapses, then it runs through a beginning that does not count. A second is
counted: its real-time factor, rates per population, synaptic events. Memory is the most that the process had, and what
of it the synapses take. With several threads, the digest of the spikes tells that bits are the same. With `--nest`,
NEST computes a network of the same size in the same run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import resource
import subprocess
import time
from pathlib import Path

from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.published import microcircuit

DT_MS = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.snn.microcircuit", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the neurons and of their synapses")
    parser.add_argument("--precision", default="float32", choices=("float32", "float64"))
    parser.add_argument("--narrow", action="store_true", help="weights of 16 bits")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--before", type=float, default=500.0, help="ms that do not count")
    parser.add_argument("--ms", type=float, default=1000.0, help="ms that count")
    parser.add_argument("--nest", metavar="PYTHON", help="of an environment that has NEST")
    chosen = parser.parse_args()
    ours = measure(chosen)
    print(json.dumps(ours, indent=2))
    if chosen.nest:
        theirs = _nest(chosen)
        print(json.dumps({"NEST": theirs}, indent=2))
        factor = "real-time factor, processor"
        print(f"times faster than NEST, by processor time: {theirs[factor] / float(str(ours[factor])):.1f}")


def measure(chosen: argparse.Namespace) -> dict[str, object]:
    """Return the figures of one run."""
    seed, bits = (1, 2), 16 if chosen.narrow else None
    _warm(chosen, bits)
    began = time.perf_counter(), time.process_time()
    network = microcircuit.build(seed=seed, scale=chosen.scale, precision=chosen.precision, weight_bits=bits)
    engine = NumbaBackend(chosen.threads).build(network)
    engine.key = (3, 4)
    microcircuit.begin(engine, seed=seed)
    build = time.perf_counter() - began[0], time.process_time() - began[1]
    engine.advance(round(chosen.before / DT_MS))
    began = time.perf_counter(), time.process_time()
    counts = dict.fromkeys(microcircuit.NAMES, 0)
    digest = hashlib.blake2b(digest_size=8)
    events, degrees = 0, {name: engine.degrees(name) for name in microcircuit.NAMES}
    for _ in range(round(chosen.ms / 10)):
        for name, spikes in engine.advance(round(10 / DT_MS)).items():
            counts[name] += len(spikes.steps)
            events += int(degrees[name][spikes.neurons].sum())
            digest.update(spikes.steps.tobytes() + spikes.neurons.tobytes())
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    sizes = [each.size for each in network.populations.values()]
    return {
        "neurons": sum(sizes),
        "synapses": int(sum(each.sum() for each in degrees.values())),
        "bytes a synapse": round(engine.synapse_bytes / sum(int(each.sum()) for each in degrees.values()), 2),
        "build s": [round(each, 1) for each in build],
        "most memory GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "threads": chosen.threads,
        "real-time factor, wall": round(wall / chosen.ms * 1000, 2),
        "real-time factor, processor": round(cpu / chosen.ms * 1000, 2),
        "synaptic events/s": f"{events / wall:.3g}",
        "rates Hz": {
            name: round(counts[name] / size / chosen.ms * 1000, 3) for name, size in zip(counts, sizes, strict=True)
        },
        "digest": digest.hexdigest(),
    }


def _nest(chosen: argparse.Namespace) -> dict[str, float]:
    """Return what NEST needs, and its rates."""
    own, scale = microcircuit, chosen.scale
    everyone = range(len(own.NAMES))
    stronger = 1.0 / math.sqrt(scale)
    given = {
        "dt_ms": DT_MS,
        "tau_synapse_ms": own.TAU_SYNAPSE_MS,
        "sizes": own.sizes(scale),
        "totals": own.totals(scale),
        "weights_mv": [[own.weight_mv(source, target) * stronger for source in everyone] for target in everyone],
        "scatter": own.SCATTER,
        "missing_mv": [own.missing_mv(target, scale) for target in everyone],
        "drive_hz": [count * scale * own.OUTSIDE_HZ for count in own.OUTSIDE],
        "drive_mv": own.WEIGHT_MV * stronger,
        "before_ms": chosen.before,
        "ms": chosen.ms,
    }
    command = [chosen.nest, str(Path(__file__).parent / "nest_microcircuit.py")]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _warm(chosen: argparse.Namespace, bits: int | None) -> None:
    """Compile, with a network of a few neurons."""
    small = microcircuit.build(seed=(1, 2), scale=0.005, precision=chosen.precision, weight_bits=bits)  # type: ignore[arg-type]
    began = time.perf_counter()
    NumbaBackend(chosen.threads).build(small).advance(10)
    print(f"machine code: {time.perf_counter() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
