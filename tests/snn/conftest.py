"""The backends that a test runs on, one after the other, where its module names no others."""

from __future__ import annotations

import pytest

from neuraxis.seams.backend import Backend
from neuraxis_snn.plugin import neuraxis_register_backends


@pytest.fixture(params=("reference", "numpy", "numba"))
def backend(request: pytest.FixtureRequest) -> Backend:
    return neuraxis_register_backends()[request.param]()
