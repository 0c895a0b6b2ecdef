"""The suites of this plugin: `neuraxis conform neuraxis_snn` runs them, those of devices where there are any."""

from __future__ import annotations

from collections.abc import Callable

from neuraxis.errors import InputError
from neuraxis.seams.backend import Backend
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_cupy import CupyBackend
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.backends.with_torch import TorchBackend
from neuraxis_snn.testing import BackendSuite


def _is_usable(backend: Callable[[], Backend]) -> bool:
    """Return whether its library and its device are there."""
    try:
        backend()
    except InputError:
        return False
    return True


class Reference(BackendSuite):
    """The oracle: held to itself, and to its own promises."""

    def backend(self) -> Backend:
        return ReferenceBackend()


class Numpy(BackendSuite):
    """Arrays."""

    def backend(self) -> Backend:
        return NumpyBackend()


class Numba(BackendSuite):
    """Compiled."""

    def backend(self) -> Backend:
        return NumbaBackend()


if _is_usable(TorchBackend):

    class Torch(BackendSuite):
        """Tensors."""

        def backend(self) -> Backend:
            return TorchBackend()


if _is_usable(lambda: TorchBackend(device="cuda")):

    class TorchCuda(BackendSuite):
        """Tensors on a CUDA device."""

        def backend(self) -> Backend:
            return TorchBackend(device="cuda")


if _is_usable(CupyBackend):

    class Cupy(BackendSuite):
        """Kernels on a CUDA device."""

        def backend(self) -> Backend:
            return CupyBackend()
