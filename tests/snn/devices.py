"""What a machine has to compute on."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

HAS_TORCH = find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="needs torch: pip install 'neuraxis[torch]'")


def require_cuda() -> None:
    """Skip the test where torch finds no CUDA device."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, and a torch that is built for it")


def limit_threads() -> None:
    """Let torch use one thread: operations are small here, and tests run side by side."""
    import torch

    torch.set_num_threads(1)
