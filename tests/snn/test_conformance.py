"""Every backend passes the public suite."""

from __future__ import annotations

from neuraxis_snn.conformance import Numba, Numpy, Reference


class TestReference(Reference):
    """The oracle."""


class TestNumpy(Numpy):
    """Arrays."""


class TestNumba(Numba):
    """Compiled."""
