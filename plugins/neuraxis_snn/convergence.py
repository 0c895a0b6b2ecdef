"""How the error of a model falls as its steps get shorter: measured, so that what a model says of itself is checked.

Determinism: exact but for the last figures of a logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.errors import EngineMisuse
from neuraxis_snn.network import Network
from neuraxis_snn.numbers import decimal_of

if TYPE_CHECKING:
    from neuraxis.seams.backend import Backend
    from neuraxis_snn.model import Model

ROUNDING: Final = 1e-11
"""Relative differences below it come from rounding: the scheme is exact."""


def measured_order(
    model: Model,
    *,
    start: Mapping[str, float],
    duration: str,
    dt: str,
    halvings: int = 4,
    backend: Backend | None = None,
    **parameters: Any,
) -> float:
    """Return the order in which the states of a model converge as the step is halved, in float64.

    The states at the end are compared between one step and the next shorter one. Where the greatest of these
    differences, each relative to its state, falls by 2**p with every halving, the order is p.

    Args:
        model: The model.
        start: States at the beginning that differ from those of the model.
        duration: How long it runs without any input; it must not spike in this time, as spikes lie on the grid.
        dt: The longest step; a whole fraction of the duration.
        halvings: How often it is halved, at least 2.
        backend: What computes; numpy if None.
        parameters: Of the model.

    Returns:
        The order between the two shortest steps; 0 if the states are the same at every step but for rounding.

    Raises:
        EngineMisuse: It spikes, its states become infinite, or there is nothing to compare.
        NetworkInvalid: A parameter or time does not fit.
    """
    if halvings < 2:
        raise EngineMisuse(subject="measured_order", reason=f"halvings are {halvings}", remedy="Use at least 2.")
    ends = []
    for number in range(halvings + 1):
        step = f"{decimal_of(dt, 'ms') / 2**number:f} ms"
        ends.append(_end(model, start, duration, step, backend or NumpyBackend(), parameters))
    scale = np.maximum(np.abs(ends).max(axis=0), 1e-300)
    differences = [float((np.abs(b - a) / scale).max()) for a, b in pairwise(ends)]
    if max(differences) < ROUNDING:
        return 0.0
    return math.log2(differences[-2] / differences[-1])


def _end(
    model: Model, start: Mapping[str, float], duration: str, dt: str, backend: Backend, parameters: Mapping[str, Any]
) -> np.ndarray:
    network = Network(dt=dt, precision="float64")
    network.population("neuron", 1, model, **parameters)
    engine = backend.build(network)
    for state, value in start.items():
        engine.write("neuron", state, value)
    spikes = engine.advance(network.steps(duration, "duration"))["neuron"]
    found = np.array([engine.read("neuron", state)[0] for state in model.states])
    if len(spikes) or not np.isfinite(found).all():
        reason = f"it spikes or diverges within {duration} at a step of {dt}"
        raise EngineMisuse(subject=f"model {model.name}", reason=reason, remedy="Start it lower, or run it shorter.")
    return found
