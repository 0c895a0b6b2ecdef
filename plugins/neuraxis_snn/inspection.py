"""`neuraxis inspect spikes RUN`: what monitors recorded, as a table, as JSON, as a picture, as a Neo file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuraxis.errors import ExtraMissing, UsageInvalid
from neuraxis.hooks import Found, Inspection, Restored
from neuraxis_snn import plots, statistics
from neuraxis_snn.actors import Raster
from neuraxis_snn.export_neo import Signals, write_neo
from neuraxis_snn.monitors import SpikeMonitor, StateMonitor
from neuraxis_snn.statistics import Trains

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DRAWN_MAX: Final = 8
"""Most actors in one picture."""

STANDS_OUT: Final = 10.0
"""Times the median of the spectrum from which its peak is shown in the table; noise alone seldom gives that."""

NEEDS: Final = "Add an actor of kind snn.spike_monitor to the scenario, give it the spikes, and run it again."

HEAD: Final = ("actor", "neurons", "spikes", "seconds", "rate Hz", "active", "CV", "Fano", "correlation", "peak Hz")
COLUMNS: Final = ("rate_hz", "active", "cv", "fano", "correlation", "peak_hz")


def look(restored: Restored) -> Found:
    """Return the statistics of all spikes that were recorded.

    Where a monitor counted the whole run, rate, CV and Fano factor are those of the whole run; everything else is of
    the spikes that were kept.

    Raises:
        UsageInvalid: No actor recorded spikes.
    """
    trains: dict[str, Trains] = {}
    values: dict[str, Any] = {}
    for path, actor in restored.actors.items():
        if isinstance(actor, SpikeMonitor | Raster):
            trains[path] = kept = actor.trains() if isinstance(actor, SpikeMonitor) else _of_raster(actor, restored)
            values[path] = _told(actor, kept)
    if not trains:
        raise UsageInvalid(what=f"no actor of {restored.scenario!r} that is looked at recorded spikes", remedy=NEEDS)
    states = {path: each for path, each in restored.actors.items() if isinstance(each, StateMonitor) and each.taken}
    files = {
        "png": partial(_draw, trains),
        "neo": partial(_export, trains, states, restored.scenario),
    }
    return Found(values, (HEAD, *(_row(path, told) for path, told in values.items())), files)


SPIKES: Final = Inspection(
    help="Rates, regularity and synchrony of recorded spikes.",
    kinds=(SpikeMonitor, Raster, StateMonitor),
    needs=NEEDS,
    look=look,
)


def _of_raster(actor: Raster, restored: Restored) -> Trains:
    tick_ms = float(restored.tick_length * 1000)
    until = max(restored.tick - 1, 1)
    times = [(tick - 1) * tick_ms + steps * actor.dt for tick, steps, _ in actor.kept]
    neurons = [who for _, _, who in actor.kept]
    return Trains.of(
        np.concatenate(times) if times else [],
        np.concatenate(neurons) if neurons else [],
        size=actor.size,
        until_ms=until * tick_ms,
        skip_ms=max(until - actor.window, 0) * tick_ms,
    )


def _told(actor: SpikeMonitor | Raster, kept: Trains) -> dict[str, Any]:
    of_kept = statistics.summary(kept)
    told = {"neurons": kept.size, **of_kept, "seconds": kept.span / 1000.0}
    if isinstance(actor, SpikeMonitor):
        told |= {**actor.summary(), "seconds": actor.span_ms / 1000.0}
    whole = {"recorded": actor.seen, "kept": len(kept), "kept_from_ms": kept.begin, "kept_until_ms": kept.end}
    return {**told, **whole}


def _row(path: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    if told["peak_over_median"] is not None and told["peak_over_median"] < STANDS_OUT:
        told = {**told, "peak_hz": None}
    first = (path, f"{told['neurons']:,}", f"{told['spikes']:,}", f"{told['seconds']:g}")
    return (*first, *("-" if told[name] is None else f"{told[name]:.4g}" for name in COLUMNS))


def _draw(trains: Mapping[str, Trains], path: Path) -> None:
    if len(trains) > DRAWN_MAX:
        what = f"{len(trains)} actors are too many for one picture"
        raise UsageInvalid(what=what, remedy="Choose one with --actor.")
    chart = plots.overviews("Spikes", "", trains, form="png")
    if chart.picture is None:
        raise ExtraMissing(library="matplotlib", extra="viz", purpose="drawing spikes")
    path.write_bytes(chart.picture)


def _export(trains: Mapping[str, Trains], states: Mapping[str, StateMonitor], name: str, path: Path) -> None:
    signals = {}
    for actor, monitor in states.items():
        times, values = monitor.kept()
        units = [monitor.units[i] if i < len(monitor.units) else "" for i in range(len(monitor.states))]
        signals[actor] = Signals(times, values, tuple(monitor.states), tuple(units), tuple(monitor.neurons.tolist()))
    write_neo(path, trains, signals, name=name)
