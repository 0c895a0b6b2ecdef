"""The plugin `snn`: backends, and a population as an actor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neuraxis import Actor, Manifest, __version__, hookimpl
from neuraxis.hooks import Inspection

MANIFEST = Manifest(name="snn", version=__version__)


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer populations, actors that watch what they do, and published networks."""
    from neuraxis_snn.actors import Neurons, Raster
    from neuraxis_snn.monitors import SpikeMonitor, StateMonitor, WeightMonitor
    from neuraxis_snn.nir_graphs.actor import NirNeurons
    from neuraxis_snn.published.kinds import KINDS
    from neuraxis_snn.watched import WatchedNeurons

    return {
        "snn.neurons": Neurons,
        "snn.nir": NirNeurons,
        "snn.raster": Raster,
        "snn.spike_monitor": SpikeMonitor,
        "snn.state_monitor": StateMonitor,
        "snn.watched_neurons": WatchedNeurons,
        "snn.weight_monitor": WeightMonitor,
        **KINDS,
    }


@hookimpl
def neuraxis_register_inspections() -> Mapping[str, Inspection]:
    """Offer to look at the spikes of a recorded run."""
    from neuraxis_snn.inspection import SPIKES

    return {"spikes": SPIKES}


@hookimpl
def neuraxis_register_backends() -> Mapping[str, Callable[[], Any]]:
    """Offer the built-in backends; each imports its library when it is made."""
    return {
        "reference": _reference,
        "numpy": _numpy,
        "numba": _numba,
        "torch": _torch,
        "torch-cuda": _torch_cuda,
        "cupy": _cupy,
        "norse": _norse,
    }


def _reference() -> Any:
    from neuraxis_snn.backends.reference import ReferenceBackend

    return ReferenceBackend()


def _numpy() -> Any:
    from neuraxis_snn.backends.with_numpy import NumpyBackend

    return NumpyBackend()


def _numba() -> Any:
    from neuraxis_snn.backends.with_numba import NumbaBackend

    return NumbaBackend()


def _torch() -> Any:
    from neuraxis_snn.backends.with_torch import TorchBackend

    return TorchBackend()


def _torch_cuda() -> Any:
    from neuraxis_snn.backends.with_torch import TorchBackend

    return TorchBackend(device="cuda")


def _cupy() -> Any:
    from neuraxis_snn.backends.with_cupy import CupyBackend

    return CupyBackend()


def _norse() -> Any:
    from neuraxis_snn.backends.with_norse import NorseBackend

    return NorseBackend()
