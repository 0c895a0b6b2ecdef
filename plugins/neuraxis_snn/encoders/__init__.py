"""Encoders: from values, signals and texts to what makes neurons spike.

rates    how often     `linear`, `sign_split`, `tuning`, `poisson`; `RateTable` and `follow` for rates that change
times    when          `latency`, `linear_latency`; `ranks` and `rank_weights`; `step_forward` for signals
codes    who           `TextCode` for texts, `VectorCode` for embeddings: few neurons of many

Rates become the state `chance` of `poisson` populations, latencies the state `wait` of `timed` ones, and `Spikes`
come in from outside.
"""

from neuraxis_snn.encoders.codes import TextCode, VectorCode
from neuraxis_snn.encoders.rates import DRAWS, RateTable, follow, linear, poisson, sign_split, tuning
from neuraxis_snn.encoders.times import (
    latency,
    linear_latency,
    rank_weights,
    ranks,
    step_decode,
    step_forward,
)

__all__ = [
    "DRAWS",
    "RateTable",
    "TextCode",
    "VectorCode",
    "follow",
    "latency",
    "linear",
    "linear_latency",
    "poisson",
    "rank_weights",
    "ranks",
    "sign_split",
    "step_decode",
    "step_forward",
    "tuning",
]
