"""Spikes and states as objects of Neo, so that Elephant and other tools work on our runs.

Needs the extra `neo`. A file is in the NIX format, which `neo.io.NixIO` reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import ExtraMissing, UsageInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuraxis import Array
    from neuraxis_snn.statistics import Trains

EVEN: Final = 1e-6
"""Part of a period by which samples may be off an even grid: times are rounded products of steps."""


@final
class Signals(Struct, frozen=True, eq=False):
    """Samples of states of some neurons.

    Attributes:
        times: (n,) ascending, ms.
        values: (n, states, neurons).
        states: Names of the states.
        units: Unit of each, `"mV"`; empty for none.
        neurons: Whose they are.
    """

    times: Array
    values: Array
    states: tuple[str, ...]
    units: tuple[str, ...]
    neurons: tuple[int, ...]


def to_neo(trains: Mapping[str, Trains], signals: Mapping[str, Signals] | None = None, *, name: str = "") -> Any:
    """Return a `neo.Block` with one segment.

    Each neuron is a `SpikeTrain` in ms over the span of its recording, annotated with `actor` and `neuron`. Each state
    is an `AnalogSignal` with a column for each neuron (array annotation `neuron`), annotated with `actor`; samples that
    are not evenly spaced are an `IrregularlySampledSignal`.

    Args:
        trains: Recorded spikes by name of what recorded them.
        signals: Recorded states, likewise.
        name: Of the block.

    Raises:
        ExtraMissing: Neo is not installed.
        UsageInvalid: The library of quantities does not know a unit.
    """
    neo, quantities = _neo()
    block, segment = neo.Block(name=name), neo.Segment(name=name)
    block.segments.append(segment)
    for actor, each in trains.items():
        edges = np.searchsorted(each.neurons, np.arange(each.size + 1))
        for neuron in range(each.size):
            times = each.times[edges[neuron] : edges[neuron + 1]]
            # rounding may have put a spike of the first step just before the span
            times = np.maximum(times, each.begin) * quantities.ms
            train = neo.SpikeTrain(times, t_start=each.begin * quantities.ms, t_stop=each.end * quantities.ms)
            train.name = f"{actor}/{neuron}"
            train.annotate(actor=actor, neuron=neuron)
            segment.spiketrains.append(train)
    for actor, samples in (signals or {}).items():
        for number, state in enumerate(samples.states):
            unit = _unit(quantities, samples.units[number])
            _add_signal(neo, quantities, segment, actor, state, unit, samples, samples.values[:, number])
    block.check_relationships()
    return block


def _add_signal(
    neo: Any, quantities: Any, segment: Any, actor: str, state: str, unit: Any, samples: Signals, values: Array
) -> None:
    facts = {"name": f"{actor}/{state}", "array_annotations": {"neuron": np.array(samples.neurons)}}
    gaps = np.diff(samples.times)
    if len(gaps) and np.abs(gaps - gaps.mean()).max() <= EVEN * gaps.mean():
        begin, period = samples.times[0] * quantities.ms, gaps.mean() * quantities.ms
        signal = neo.AnalogSignal(values, units=unit, t_start=begin, sampling_period=period, **facts)
        segment.analogsignals.append(signal)
    else:
        signal = neo.IrregularlySampledSignal(samples.times * quantities.ms, values, units=unit, **facts)
        segment.irregularlysampledsignals.append(signal)
    signal.annotate(actor=actor, state=state)


def _unit(quantities: Any, name: str) -> Any:
    if not name:
        return quantities.dimensionless
    try:
        return quantities.Quantity(1.0, name).units
    except LookupError:
        remedy = "Write one that the library `quantities` knows, such as mV, pA or nS, or none."
        raise UsageInvalid(what=f"there is no unit {name!r}", remedy=remedy) from None


def write_neo(
    path: Path, trains: Mapping[str, Trains], signals: Mapping[str, Signals] | None = None, *, name: str = ""
) -> None:
    """Write what `to_neo` returns into a NIX file, which `neo.io.NixIO` reads. A file that is there is replaced.

    Raises:
        ExtraMissing: Neo or nixio is not installed.
        UsageInvalid: The library of quantities does not know a unit.
    """
    block = to_neo(trains, signals, name=name)
    try:
        import nixio  # noqa: F401 - Neo imports it only when it writes
        from neo.io import NixIO
    except ImportError as error:
        raise ExtraMissing(library="nixio", extra="neo", purpose="writing a Neo file") from error
    with NixIO(str(path), "ow") as file:
        file.write_block(block)


def _neo() -> tuple[Any, Any]:
    try:
        import neo
        import quantities
    except ImportError as error:
        raise ExtraMissing(library="neo", extra="neo", purpose="export to Neo") from error
    return neo, quantities
