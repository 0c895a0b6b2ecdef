"""PyTorch: eager tensors on the processor or on a CUDA device, many copies of a network at once.

Every operation is a kernel of its own, so nothing is contracted. Numbers lie where the tensors lie: a quotient by a
number of the host would be a product with its reciprocal on CUDA, which rounds twice.
"""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.arrays import Arrays
from neuraxis_snn.backends.batch import Batch
from neuraxis_snn.errors import DeviceMissing
from neuraxis_snn.functions import functions_with

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.network import Network
    from neuraxis_snn.numbers import Precision

NAME: Final = "torch"


@final
class TorchBackend:
    """Computes networks with PyTorch.

    Attributes:
        name: `torch`, or `torch-cuda`.
        device: Where it computes.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        """Make sure that PyTorch and the device are there.

        Args:
            device: `cpu`, `cuda`, or one of several such as `cuda:1`.

        Raises:
            ExtraMissing: PyTorch is not installed.
            DeviceMissing: There is no such device.
        """
        if importlib.util.find_spec("torch") is None:
            raise ExtraMissing(library="torch", extra="torch", purpose="the backend 'torch'")
        kind, _, number = device.partition(":")
        self.device = device
        self.name = NAME if kind == "cpu" else f"{NAME}-{device}"
        if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
            raise DeviceMissing(device=device, reason="it is none that is known here", remedy='Use "cpu" or "cuda".')
        if kind == "cuda":
            _require_cuda(device, int(number or 0))

    def build(self, network: Any) -> Engine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return self.build_batch([network])[0]

    def build_batch(self, networks: Sequence[Network]) -> Batch:
        """Return copies of a network that are computed together.

        Args:
            networks: One for each copy: `[network] * 5`, or networks that differ in parameters, rates and weights.

        Raises:
            NetworkInvalid: They differ in more than that, or one is no network.
        """
        return Batch(networks, NAME, lambda precision: _Tensors(precision, self.device))


def _require_cuda(device: str, number: int) -> None:
    import torch

    remedy = 'Use device="cpu" (the backend "torch"), or the backend "numba".'
    if torch.version.cuda is None:
        reason = "this PyTorch is built without CUDA"
        raise DeviceMissing(device=device, reason=reason, remedy=f"Install one with CUDA. {remedy}")
    if number >= torch.cuda.device_count():
        reason = f"there are {torch.cuda.device_count()} CUDA devices"
        raise DeviceMissing(device=device, reason=reason, remedy=remedy)


@final
class _Tensors(Arrays):
    """Operations on tensors."""

    def __init__(self, precision: Precision, device: str) -> None:
        import torch

        super().__init__(precision)
        self._torch, self._device, self._shares = torch, device, device == "cpu"
        single = precision == "float32"
        self.kind = torch.float32 if single else torch.float64
        self.sum_kind = torch.int32 if single else torch.int64
        self._numbers: dict[float, Any] = {}

    def running(self) -> AbstractContextManager[Any]:
        surrounding: AbstractContextManager[Any] = self._torch.inference_mode()
        return surrounding

    def mirror(self, host: np.ndarray) -> Any:
        return self._torch.from_numpy(host).to(self._device)

    def load(self, mirror: Any, host: np.ndarray) -> None:
        if not self._shares:
            mirror.copy_(self._torch.from_numpy(host))

    def store(self, mirror: Any, host: np.ndarray) -> None:
        if not self._shares:
            self._torch.from_numpy(host).copy_(mirror)

    def put(self, host: np.ndarray) -> Any:
        return self._torch.tensor(host, device=self._device)

    def host(self, values: Any) -> np.ndarray:
        return np.asarray(values.cpu().numpy())

    def real(self, values: Any) -> Any:
        return values.to(self.kind)

    def double(self, values: Any) -> Any:
        return values.to(self._torch.float64)

    def wide(self, values: Any) -> Any:
        return values.to(self._torch.int64)

    def integer(self, values: Any) -> Any:
        return values.to(self.sum_kind)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        return self._torch.zeros(shape, dtype=self.sum_kind, device=self._device)

    def everywhere(self, shape: tuple[int, ...]) -> Any:
        return self._torch.ones(shape, dtype=self._torch.bool, device=self._device)

    def numbered(self, count: int) -> Any:
        return self._torch.arange(count, device=self._device)

    def repeated(self, values: Any, counts: Any) -> Any:
        return self._torch.repeat_interleave(values, counts)

    def joined(self, parts: Sequence[Any]) -> Any:
        return self._torch.cat(list(parts))

    def summed_up(self, values: Any) -> Any:
        return self._torch.cumsum(values, 0)

    def found(self, mask: Any) -> tuple[Any, Any]:
        rows, columns = mask.nonzero(as_tuple=True)
        return rows, columns

    def rank(self, limits: Any, values: Any) -> Any:
        return self._torch.searchsorted(limits, values, right=True)

    def add_at(self, sums: Any, places: Any, values: Any) -> None:
        sums.index_add_(0, places, values)

    def where(self, condition: Any, then: Any, otherwise: Any) -> Any:
        return self._torch.where(condition, then, otherwise)

    def broadcast(self, values: Any, shape: tuple[int, ...]) -> Any:
        return values.broadcast_to(shape)

    def space(self) -> dict[str, Any]:
        words = self._torch.int32 if self.precision == "float32" else self._torch.int64
        given = {"F": self._real_of, "where": self._torch.where}
        on_bits = {"U": int, "bits": lambda x: x.view(words), "number": lambda x: x.view(self.kind)}
        return {**functions_with(self.precision, **given, **on_bits), **given}

    def _real_of(self, value: Any) -> Any:
        """Return a number as a tensor without dimensions, or a tensor in the precision of the network."""
        if isinstance(value, self._torch.Tensor):
            return value.to(self.kind)
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = self._torch.tensor(value, dtype=self.kind, device=self._device)
        return found
