"""The suites of this plugin: `neuraxis conform neuraxis_snn` runs them."""

from __future__ import annotations

from importlib.util import find_spec

from neuraxis.seams.backend import Backend
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numba import NumbaBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.backends.with_torch import TorchBackend
from neuraxis_snn.testing import BackendSuite


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


if find_spec("torch") is not None:

    class Torch(BackendSuite):
        """Tensors."""

        def backend(self) -> Backend:
            return TorchBackend()
