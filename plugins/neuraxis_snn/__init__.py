"""Spiking networks that give the same bits on every backend.

model         what a model of neurons is: parameters, state, equations
models        the built-in ones; `nonlinear` holds those that are not linear
functions     the functions that equations may call, one text for all backends
convergence   measures the order of a model
plasticity    rules of plasticity as data
network       populations and projections, checked
connect       rules that draw synapses, their weights and delays, the same in every part
engine        what every engine does alike; `backends/` say how the steps are computed
encoders      from values to spikes
spikes        spikes of many neurons over some steps
actors        a population as an actor, and a raster plot of what it did
sampling      what can be seen of an engine while it runs: states, weights
watched       a population that sends samples of its states
monitors      actors that keep spikes, states and weights in bounded memory
statistics    rates, intervals, synchrony, oscillation
plots         pictures of all this
published     networks from publications, with their figures beside ours
inspection    `neuraxis inspect spikes`
export_neo    spikes and states as objects of Neo
testing       the suite that every backend must pass
"""

from neuraxis_snn.engine import Engine
from neuraxis_snn.errors import EngineMisuse, MemoryShort, NetworkInvalid
from neuraxis_snn.models import MODELS, Model, Value
from neuraxis_snn.network import Network, steps_per_tick
from neuraxis_snn.plasticity import PAIR_STDP, RULES, TRIPLET_STDP, Rule
from neuraxis_snn.spikes import NO_SPIKES, Spikes

__all__ = [
    "MODELS",
    "NO_SPIKES",
    "PAIR_STDP",
    "RULES",
    "TRIPLET_STDP",
    "Engine",
    "EngineMisuse",
    "MemoryShort",
    "Model",
    "Network",
    "NetworkInvalid",
    "Rule",
    "Spikes",
    "Value",
    "steps_per_tick",
]
