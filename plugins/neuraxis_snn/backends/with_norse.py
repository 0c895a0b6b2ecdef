"""Norse: neurons advance in Norse's own step function, everything between them as in `numpy`.

It computes networks of `lif_norse` neurons in float32, because that is what Norse's step computes; every other
backend gives the same bits for them. It is there to compare with, and to hold `lif_norse` to what Norse does.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final, final

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.arrays import Arrays
from neuraxis_snn.backends.batch import Batch
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.network import network_of
from neuraxis_snn.norse_model import LIF_NORSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.network import Network, Population
    from neuraxis_snn.numbers import Precision

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

    def build(self, network: Any) -> Engine:
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
        return Batch([given], NAME, lambda precision: _NorseArrays(precision, given))[0]


@final
class _NorseArrays(Arrays):
    """Arrays, but neurons are Norse's."""

    def __init__(self, precision: Precision, network: Network) -> None:
        super().__init__(precision)
        self._network = network

    def neurons(self, population: Population) -> Callable[[dict[str, Any]], None]:
        return _NorseNeurons(population, self._network).advance


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

    def advance(self, values: dict[str, Any]) -> None:
        """Take a step."""
        torch = self._torch
        state = self._state(v=torch.from_numpy(values["v"]), i=torch.from_numpy(values["i"]))
        with torch.no_grad():
            spiked, after = self._advance(torch.from_numpy(values["current"]), state, self._parameters, dt=self._dt)
        values["spiked"] = spiked.numpy() > 0
        values["v"], values["i"] = after.v.numpy(), after.i.numpy()
