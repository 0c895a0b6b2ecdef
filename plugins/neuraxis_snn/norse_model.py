"""Norse's leaky integrate-and-fire neuron as a model, with the very operations of Norse's step."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np

from neuraxis_snn.models import Model, Value
from neuraxis_snn.numbers import ratio


def single(value: Decimal) -> Any:
    """Return a number as torch takes it from Python: rounded to float64, and then to float32."""
    return np.float32(float(value))


def _factors(p: Mapping[str, Decimal], dt: Decimal) -> Mapping[str, Decimal]:
    """Return rates in 1/s, and their products with the step, which Norse makes in float32."""
    seconds, rate, rate_syn = (
        single(each) for each in (dt / 1000, ratio(Decimal(1000), p["tau"]), ratio(Decimal(1000), p["tau_syn"]))
    )
    found = {"rate": rate, "rate_syn": rate_syn, "gain": seconds * rate, "loss": -seconds * rate_syn}
    return {name: Decimal(float(value)) for name, value in found.items()}


LIF_NORSE: Final = Model(
    name="lif_norse",
    parameters={
        "tau": Value("10 ms", "ms", "membrane time constant"),
        "tau_syn": Value("5 ms", "ms", "time constant of the current"),
        "leak": Value(0.0, None, "resting value of v"),
        "threshold": Value(1.0, None, "value above which it spikes"),
        "reset": Value(0.0, None, "value after a spike"),
    },
    states={"v": "leak", "i": 0.0},
    inputs=("current",),
    constants=_factors,
    update="""
        jump = i + current
        v = v + gain * ((leak - v) + jump)
        i = jump + loss * jump
    """,
    threshold="v - threshold > 0",
    after="""
        z = where(spiked, 1, 0)
        v = (1 - z) * v + z * reset
    """,
    source="lif_feed_forward_step of Norse 1.1 (Pehle & Pedersen), operation by operation, in float32: forward Euler, "
    "dv/dt = (leak - v + i)/tau, di/dt = -i/tau_syn. What arrives is added to the current first.",
)
