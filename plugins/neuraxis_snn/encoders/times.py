"""Values as times: when a neuron spikes first, which neuron spikes before which, and when a signal has changed.

Determinism: exact; logarithms and quotients of times are computed in decimal arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NoReturn

import numpy as np

from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.numbers import DIGITS, decimal_of
from neuraxis_snn.spikes import Spikes


def latency(values: np.ndarray, dt: str, tau: str, threshold: float) -> np.ndarray:
    """Return the state `wait` of a `timed` population: the step of the first spike of a neuron under a constant input.

    A leaky integrator with time constant tau crosses `threshold` after tau ln(x / (x - threshold)).

    Args:
        values: (n,) constant inputs x.
        dt: Length of a step.
        tau: Time constant.
        threshold: What must be reached; values at or below it never spike.

    Returns:
        (n,) float64: steps to wait, at least 1; -1 for neurons that stay silent.

    Raises:
        EngineMisuse: The threshold is not above 0, or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if threshold <= 0 or not np.isfinite(values).all():
        reason = "the threshold is not above 0, or a value is not finite"
        _refuse("latency", reason, "Use finite values and a threshold above 0.")
    limit = Decimal(repr(float(threshold)))
    return _waits(values, dt, tau, limit, lambda exact: DIGITS.ln(DIGITS.divide(exact, exact - limit)))


def linear_latency(values: np.ndarray, dt: str, longest: str, threshold: float = 0.0) -> np.ndarray:
    """Return the state `wait` of a `timed` population: a first spike after longest (1 - x).

    Args:
        values: (n,) x, from 0 to 1.
        dt: Length of a step.
        longest: Time of the spike of a value just above 0.
        threshold: Values at or below it never spike.

    Returns:
        (n,) float64: steps to wait, at least 1; -1 for neurons that stay silent.

    Raises:
        EngineMisuse: A value lies outside 0 … 1, or the threshold is negative or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        _refuse("linear_latency", "a value lies outside 0 … 1", "Scale the values to that range.")
    if not (np.isfinite(threshold) and threshold >= 0):
        _refuse("linear_latency", f"the threshold is {threshold:g}", "Use a threshold from 0 on.")
    return _waits(values, dt, longest, Decimal(repr(float(threshold))), lambda exact: 1 - exact)


def _waits(values: np.ndarray, dt: str, time: str, limit: Decimal, share: Callable[[Decimal], Decimal]) -> np.ndarray:
    """Return whole steps of `time` times a share that belongs to each value, -1 for values at or below the limit."""
    steps = DIGITS.divide(decimal_of(time, "ms"), decimal_of(dt, "ms"))
    distinct, which = np.unique(values, return_inverse=True)

    def wait(value: float) -> float:
        exact = Decimal(repr(value))
        if exact <= limit:
            return -1.0
        return float(max((steps * share(exact)).to_integral_value(), Decimal(1)))

    return np.array([wait(float(value)) for value in distinct])[which.reshape(values.shape)]


def ranks(values: np.ndarray) -> np.ndarray:
    """Return in which order neurons spike: the largest value first, alike ones by their number.

    Only the order counts, so no change of contrast or brightness changes it. `ranks(x) + 1` is a state `wait`.

    Args:
        values: (n,); what is not above 0 stays silent.

    Returns:
        (n,) int64: 0 for the first; -2 for neurons that stay silent, so that ranks + 1 is -1.

    Raises:
        EngineMisuse: Values are no vector, or one is not finite.

    Source: Thorpe & Gautrais, in: Computational Neuroscience (Bower, ed., 1998): rank order coding.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        _refuse("ranks", f"values have the shape {values.shape}, or one is not finite", "Use a vector of numbers.")
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > 0]
    found = np.full(len(values), -2, np.int64)
    found[order] = np.arange(len(order))
    return found


def rank_weights(order: np.ndarray, factor: float = 0.9) -> np.ndarray:
    """Return what spikes are worth by their rank: factor**rank, and 0 for neurons that stay silent.

    A receiving neuron whose sensitivity every arriving spike multiplies by `factor` gets the sum of these, each times
    the weight of its synapse: the most where its weights have the same order as the spikes.

    Args:
        order: (n,) of `ranks`.
        factor: Above 0 and at most 1.

    Returns:
        (n,) float64. Powers are repeated products, the same everywhere.

    Raises:
        EngineMisuse: The factor lies outside these bounds.

    Source: Thorpe & Gautrais (1998), as `ranks`.
    """
    if not 0 < factor <= 1:
        _refuse("rank_weights", f"the factor is {factor:g}", "Use a factor above 0 and at most 1.")
    powers = np.cumprod(np.concatenate([[1.0], np.full(max(len(order) - 1, 0), factor)]))
    return np.where(order >= 0, powers[np.maximum(order, 0)], 0.0)


def step_forward(signal: np.ndarray, threshold: float) -> Spikes:
    """Return the spikes of changes: one up or down whenever a signal has left its base by more than a threshold.

    The base begins at the first value and moves by one threshold with each spike, at most once a step. So while
    the signal changes by at most `threshold` a step, `step_decode` stays within one threshold of it.

    Args:
        signal: (steps,) or (steps, channels).
        threshold: Above 0, in units of the signal.

    Returns:
        Spikes of 2 channels: up on line c, down on line channels + c.

    Raises:
        EngineMisuse: The signal has no steps or is not finite, or the threshold is not above 0.

    Source: step-forward encoding; compared with others by Petro, Kasabov & Kiss, IEEE Trans. Neural Netw. Learn.
    Syst. 31 (2020).
    """
    signal = np.asarray(signal, dtype=np.float64)
    signal = signal[:, None] if signal.ndim == 1 else signal
    if signal.ndim != 2 or not signal.size or not np.isfinite(signal).all():
        _refuse("step_forward", f"the signal has the shape {signal.shape}, or is not finite", "Use (steps, channels).")
    _require_threshold("step_forward", threshold)
    base = signal[0].copy()
    found = np.zeros((len(signal), 2 * signal.shape[1]), bool)
    for step, values in enumerate(signal):
        up, down = values > base + threshold, values < base - threshold
        base = np.where(up, base + threshold, np.where(down, base - threshold, base))
        found[step] = np.concatenate([up, down])
    steps, lines = np.nonzero(found)
    return Spikes(steps.astype(np.int32), lines.astype(np.int32))


def step_decode(spikes: Spikes, start: np.ndarray, threshold: float, steps: int) -> np.ndarray:
    """Return the base that `step_forward` followed, as it stands at the end of every step.

    Args:
        spikes: Of `step_forward`.
        start: (channels,) first value of the signal.
        threshold: As it was encoded.
        steps: Length of the signal.

    Returns:
        (steps, channels) float64.

    Raises:
        EngineMisuse: The threshold is not above 0, or spikes lie outside the steps or channels.
    """
    start = np.asarray(start, dtype=np.float64).reshape(-1)
    _require_threshold("step_decode", threshold)
    moves = np.zeros((steps, 2 * len(start)), np.int64)
    if len(spikes) and (spikes.steps.max() >= steps or spikes.neurons.max() >= 2 * len(start)):
        _refuse("step_decode", "a spike lies outside the steps or channels", "Use the spikes of `step_forward`.")
    moves[spikes.steps, spikes.neurons] = 1
    net = np.cumsum(moves[:, : len(start)] - moves[:, len(start) :], axis=0)
    return np.asarray(start + threshold * net)


def _require_threshold(subject: str, threshold: float) -> None:
    if not (np.isfinite(threshold) and threshold > 0):
        _refuse(subject, f"the threshold is {threshold:g}", "Use a finite threshold above 0.")


def _refuse(subject: str, reason: str, remedy: str) -> NoReturn:
    raise EngineMisuse(subject=subject, reason=reason, remedy=remedy)
