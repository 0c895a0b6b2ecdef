"""The numerics profile `portable`: what must be pinned before PyTorch loads, so that its bits are the same everywhere.

One thread, deterministic algorithms, and the plainest instruction set that PyTorch, MKL and oneDNN can be told to use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from neuraxis.errors import ExtraMissing
from neuraxis_morphogenesis.errors import NumericsTooLate

PROFILES: Final = ("portable", "native")

PINS: Final[Mapping[str, str]] = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
"""Variables that libraries read once, while they load."""


def ensure(profile: str) -> None:
    """Load PyTorch under a profile; call it before anything imports torch.

    `native` pins one thread and deterministic algorithms, and leaves the instruction set to the machine.

    Raises:
        ExtraMissing: PyTorch is not installed.
        NumericsTooLate: PyTorch was loaded before, without the pins.
    """
    if find_spec("torch") is None:
        raise ExtraMissing(library="torch", extra="morphogenesis", purpose="networks that grow")
    if profile == "portable":
        missing = {name: value for name, value in PINS.items() if os.environ.get(name) != value}
        if missing and "torch" in sys.modules:
            raise NumericsTooLate(missing=tuple(f"{name}={value}" for name, value in missing.items()))
        os.environ.update(missing)
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
