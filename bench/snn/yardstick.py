"""Plain loops for the networks of the benchmark, compiled by Numba: what a user would write in an afternoon.

The regression gate measures the engine beside them, so they stay as they are: whoever makes them faster makes all
recorded ratios worthless. They compute in single precision, keep no spikes and promise no bits.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from bench.snn.graphs import DT

if TYPE_CHECKING:
    from collections.abc import Callable

F = np.float32


def yardstick(p: dict[str, Any], arrays: dict[str, np.ndarray]) -> Callable[[], tuple[float, int]]:
    """Return a function that computes a network of `graphs`.

    It returns the seconds of processor time that it took, and the number of spikes.
    """
    if p["name"] == "stdp":
        function, arguments = pairs, _arguments_of_pairs(p, arrays)
    elif "drive_hz" in p:
        function, arguments = jumps, _arguments_of_jumps(p, arrays)
    else:
        function, arguments = currents, _arguments_of_currents(p, arrays)

    def run() -> tuple[float, int]:
        given = [each.copy() if isinstance(each, np.ndarray) else each for each in arguments]
        began = time.process_time()
        spikes = function(*given)
        return time.process_time() - began, int(spikes)

    run()  # compiles
    return run


def _steps(p: dict[str, Any]) -> int:
    return round(p["seconds"] * 1000 / DT)


def _rows(p: dict[str, Any], arrays: dict[str, np.ndarray], count: int) -> list[np.ndarray]:
    """Return where the synapses of each source begin, and their targets; they lie in the order of sources."""
    begins = np.concatenate([[0], np.cumsum(np.bincount(arrays["pre"], minlength=count))])
    return [begins, arrays["post"].astype(np.int32)]


def _arguments_of_currents(p: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Any]:
    count = p["neurons"]
    weights = np.abs(arrays["weights"]) if p["conductance"] else arrays["weights"]
    numbers = [p["tau"], p["tau_exc"], p["tau_inh"], p["rest"], p["reset"], p["threshold"]]
    numbers += [p["reversal_exc"], p["reversal_inh"]]
    return [
        _steps(p), round(p["refractory"] / DT), p["excitatory"], p["conductance"], np.array(numbers, F),
        arrays["v"].astype(F), arrays.get("g_exc", np.zeros(count)).astype(F),
        arrays.get("g_inh", np.zeros(count)).astype(F), *_rows(p, arrays, count), weights.astype(F),
        arrays["delays"].astype(np.int32),
    ]  # fmt: skip


@numba.njit
def currents(steps, pause, excitatory, conductance, numbers, v, g_exc, g_inh, begins, targets, weights, delays):
    """LIF neurons with exponential currents or conductances, forward Euler."""
    total = 0
    tau, tau_exc, tau_inh, rest, reset, threshold, reversal_exc, reversal_inh = numbers
    fall, fall_exc, fall_inh = F(DT) / tau, F(1) - F(DT) / tau_exc, F(1) - F(DT) / tau_inh
    count, depth = len(v), delays.max() + 1
    due_exc, due_inh = np.zeros((depth, count), F), np.zeros((depth, count), F)
    free, fired = np.zeros(count, np.int64), np.empty(count, np.int64)
    for step in range(steps):
        slot, spikes = step % depth, 0
        for i in range(count):
            g_exc[i] = g_exc[i] * fall_exc + due_exc[slot, i]
            g_inh[i] = g_inh[i] * fall_inh + due_inh[slot, i]
            due_exc[slot, i] = due_inh[slot, i] = F(0)
            if step >= free[i]:
                push = g_exc[i] + g_inh[i]
                if conductance:
                    push = g_exc[i] * (reversal_exc - v[i]) + g_inh[i] * (reversal_inh - v[i])
                v[i] += (rest - v[i] + push) * fall
                if v[i] > threshold:
                    v[i], free[i], fired[spikes] = reset, step + pause, i
                    spikes += 1
        for number in range(spikes):
            source = fired[number]
            due = due_exc if source < excitatory else due_inh
            for each in range(begins[source], begins[source + 1]):
                due[(step + delays[each]) % depth, targets[each]] += weights[each]
        total += spikes
    return total


def _arguments_of_jumps(p: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Any]:
    count = p["excitatory"] + p["inhibitory"]
    numbers = [p["tau"], p["reset"], p["threshold"], p["weight"], -p["g"] * p["weight"]]
    mean = p["drive_hz"] * DT / 1000
    chances = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(20)]
    return [
        _steps(p), round(p["refractory"] / DT), p["delay_steps"], p["excitatory"], np.cumsum(chances).astype(F),
        np.array(numbers, F), arrays["v"].astype(F), *_rows(p, arrays, count),
    ]  # fmt: skip


@numba.njit
def jumps(steps, pause, delay, excitatory, drive, numbers, v, begins, targets):
    """LIF neurons whose potential jumps, with one delay, each driven by Poisson spikes of its own.

    `drive` has the chances of at most 0, 1, 2, … such spikes in a step.
    """
    total = 0
    tau, reset, threshold, weight_exc, weight_inh = numbers
    stay, count, depth = F(1) - F(DT) / tau, len(v), delay + 1
    due = np.zeros((depth, count), F)
    free, fired = np.zeros(count, np.int64), np.empty(count, np.int64)
    np.random.seed(1)
    for step in range(steps):
        slot, spikes = step % depth, 0
        ahead = due[(step + delay) % depth]
        for i in range(count):
            drawn, pushes = np.random.random(), 0
            while pushes < len(drive) and drawn > drive[pushes]:
                pushes += 1
            push = due[slot, i] + weight_exc * F(pushes)
            due[slot, i] = F(0)
            if step >= free[i]:
                v[i] = v[i] * stay + push
                if v[i] > threshold:
                    v[i], free[i], fired[spikes] = reset, step + pause, i
                    spikes += 1
        for number in range(spikes):
            source = fired[number]
            weight = weight_exc if source < excitatory else weight_inh
            for each in range(begins[source], begins[source + 1]):
                ahead[targets[each]] += weight
        total += spikes
    return total


def _arguments_of_pairs(p: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[Any]:
    up = p["gain"] * p["w_max"]
    numbers = [p["tau"], p["tau_exc"], p["tau_trace"], p["rest"], p["reset"], p["threshold"], p["w_max"]]
    numbers += [up, -up * p["ratio"]]
    chance = p["rate_hz"] * DT / 1000
    return [_steps(p), round(p["refractory"] / DT), chance, np.array(numbers, F), arrays["weights"].astype(F)]


@numba.njit
def pairs(steps, pause, chance, numbers, weights):
    """Poisson sources, all joined to all LIF neurons by synapses with additive pair plasticity."""
    total = 0
    tau, tau_exc, tau_trace, rest, reset, threshold, w_max, up, down = numbers
    fall, stay, fade = F(DT) / tau, F(1) - F(DT) / tau_exc, F(1) - F(DT) / tau_trace
    sources, count = weights.shape
    v, g, free = np.full(count, rest), np.zeros(count, F), np.zeros(count, np.int64)
    pre, post = np.zeros(sources, F), np.zeros(count, F)
    np.random.seed(1)
    for step in range(steps):
        pre *= fade
        post *= fade
        for i in range(sources):
            if np.random.random() < chance:
                for j in range(count):
                    g[j] += weights[i, j]
                    weights[i, j] = max(weights[i, j] + post[j], F(0))
                pre[i] += up
        for j in range(count):
            if step >= free[j]:
                v[j] += (rest - v[j] + g[j]) * fall
                if v[j] > threshold:
                    v[j], free[j] = reset, step + pause
                    for i in range(sources):
                        weights[i, j] = min(weights[i, j] + pre[i], w_max)
                    post[j] += down
                    total += 1
            g[j] *= stay
    return total
