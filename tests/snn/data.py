"""Reference data of other simulators; it lies beside the project, not in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_HOME = Path(os.environ.get("NEURAXIS_DATA") or Path(__file__).parents[3] / "shared" / "data" / "dev")


def reference(name: str) -> Path:
    """Return a reference file, or skip the test where it is absent."""
    path = _HOME / "spiking" / name
    if not path.exists():
        pytest.skip(f"needs the reference data spiking/{name}; set NEURAXIS_DATA to the folder that holds it")
    return path
