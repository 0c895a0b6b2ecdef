"""Neuraxis: a deterministic, discrete-time, actor-based simulation kernel.

This is the front door: what plugins and programs need. The rooms behind it:

    actor, message, parameter, graph     what people declare
    scenario/                            scenario files, read and resolved
    wiring, scheduler/                   from a graph to ticks
    rng, codec, units                    randomness, canonical bytes, quantities
    journal/, snapshot/, trace/          records: durable truth, restart points, and what happened
    blueprint, runner, simulation        a run, its records, and the API to embed it
    plugins/, hooks, seams/              how plugins enter, and what they supply
    explore/                             search for failures with seeded faults
    testing/                             suites that plugins must pass, and the pytest plugin
    cli/                                 one verb a file
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

__version__: Final = "0.1.0"

from neuraxis.actor import (
    Actor,
    Input,
    Output,
    Population,
    on,
    on_inbox,
    on_outcome,
    on_start,
    on_timer,
    state,
)
from neuraxis.errors import NeuraxisError
from neuraxis.graph import Graph, Options
from neuraxis.message import Array, array, message
from neuraxis.parameter import Resource, parameter

if TYPE_CHECKING:
    from neuraxis.hooks import Manifest, hookimpl
    from neuraxis.report import Chart
    from neuraxis.scheduler.context import Context
    from neuraxis.scheduler.effects import Effect, Outcome
    from neuraxis.scheduler.inbox import Inbox
    from neuraxis.seams.backend import Backend
    from neuraxis.simulation import Simulation
    from neuraxis.simulation_async import AsyncSimulation

__all__ = [
    "Actor",
    "Array",
    "AsyncSimulation",
    "Backend",
    "Chart",
    "Context",
    "Effect",
    "Graph",
    "Inbox",
    "Input",
    "Manifest",
    "NeuraxisError",
    "Options",
    "Outcome",
    "Output",
    "Population",
    "Resource",
    "Simulation",
    "array",
    "hookimpl",
    "message",
    "on",
    "on_inbox",
    "on_outcome",
    "on_start",
    "on_timer",
    "parameter",
    "state",
]

_LATER: Final = {
    "AsyncSimulation": "neuraxis.simulation_async",
    "Backend": "neuraxis.seams.backend",
    "Chart": "neuraxis.report",
    "Context": "neuraxis.scheduler.context",
    "Effect": "neuraxis.scheduler.effects",
    "Inbox": "neuraxis.scheduler.inbox",
    "Manifest": "neuraxis.hooks",
    "Outcome": "neuraxis.scheduler.effects",
    "Simulation": "neuraxis.simulation",
    "hookimpl": "neuraxis.hooks",
}
"""Names that are imported when they are first used, so that `import neuraxis` stays as fast as `import numpy`."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'neuraxis' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
