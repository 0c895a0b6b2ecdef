"""Norse: neurons advance in Norse's own step function, everything between them as in `numpy`.

It computes networks of `lif_norse` neurons in float32, because that is what Norse's step computes; every other
backend gives the same bits for them. It is there to compare with, and to hold `lif_norse` to what Norse does.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.with_numpy import NumpyEngine
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.network import network_of
from neuraxis_snn.norse_model import LIF_NORSE

if TYPE_CHECKING:
    from neuraxis_snn.network import Network, Population

NAME: Final = "norse"


@final
class NorseBackend:
    """Computes networks of `lif_norse` with Norse."""

    name: str = NAME

    def __init__(self) -> None:
        """Make sure that Norse and torch are installed.

        Raises:
            ExtraMissing: One of them is not. Norse is installed by
                `pip install --no-deps norse==1.1.0 nirtorch`, so that it does not bring torchvision in.
        """
        for library in ("torch", "norse"):
            if importlib.util.find_spec(library) is None:
                purpose = "the backend 'norse' (also: pip install --no-deps norse==1.1.0 nirtorch)"
                raise ExtraMissing(library=library, extra="torch,nir", purpose=purpose)

    def build(self, network: Any) -> NorseEngine:
        """Return an engine.

        Raises:
            NetworkInvalid: `network` is none, is not in float32, or has neurons that Norse does not compute so.
        """
        given = network_of(network, NAME)
        if given.precision != "float32":
            reason = f"the precision is {given.precision}, and Norse's step computes in float32"
            raise NetworkInvalid(
                subject=f"backend {NAME}", reason=reason, remedy='Use precision="float32", or the backend numba.'
            )
        for each in given.populations.values():
            if each.model is not None and each.model is not LIF_NORSE:
                reason = f"{each.name} has the model {each.model.name}, and Norse's own step is that of lif_norse"
                remedy = "Use the backend numba or numpy, or the model neuraxis_snn.norse_model.LIF_NORSE."
                raise NetworkInvalid(subject=f"backend {NAME}", reason=reason, remedy=remedy)
        return NorseEngine(given)


@final
class NorseEngine(NumpyEngine):
    """An engine whose neurons are Norse's."""

    def _neurons_of(self, population: Population) -> Any:
        return _NorseNeurons(population, self.network) if population.model is not None else None


@final
class _NorseNeurons:
    """The neurons of a population: Norse's step in place of the equations."""

    def __init__(self, population: Population, network: Network) -> None:
        import torch
        from norse.torch.functional import lif

        self._torch, self._state = torch, lif.LIFFeedForwardState
        self._advance = lif.lif_feed_forward_step
        numbers = population.numbers
        self._parameters = lif.LIFParameters(
            tau_syn_inv=torch.tensor(numbers["rate_syn"]),
            tau_mem_inv=torch.tensor(numbers["rate"]),
            v_leak=torch.tensor(numbers["leak"]),
            v_th=torch.tensor(numbers["threshold"]),
            v_reset=torch.tensor(numbers["reset"]),
        )
        self._dt = float(network.dt / 1000)
        self._spiked: np.ndarray = np.zeros(population.size, np.bool_)

    def slowly(self, _values: dict[str, Any]) -> None:
        """Do nothing: these neurons have nothing slow."""

    def update(self, values: dict[str, Any]) -> None:
        """Take a step."""
        torch = self._torch
        state = self._state(v=torch.from_numpy(values["v"]), i=torch.from_numpy(values["i"]))
        with torch.no_grad():
            spiked, after = self._advance(torch.from_numpy(values["current"]), state, self._parameters, dt=self._dt)
        self._spiked = spiked.numpy() > 0
        self._after = {"v": after.v.numpy(), "i": after.i.numpy()}

    def crosses(self, _values: dict[str, Any]) -> np.ndarray:
        """Return which neurons spiked in the step."""
        return self._spiked

    def after(self, values: dict[str, Any]) -> None:
        """Hand over what the step made of the states."""
        values |= self._after
