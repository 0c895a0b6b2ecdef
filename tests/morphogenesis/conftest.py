"""Settings of PyTorch that trainers pin are put back, so that other tests find theirs; and small real data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neuraxis import Resource
from tests.morphogenesis.gardener import resource

MNIST_1D = Path(__file__).parents[2] / "scenarios" / "data" / "mnist1d.npz"


@pytest.fixture(autouse=True)
def settings_of_torch() -> Iterator[None]:
    before = None
    if "torch" in sys.modules:
        import torch

        before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    yield
    if before is not None:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


@pytest.fixture(scope="session")
def signals() -> Resource:
    """MNIST-1D: 4,000 signals of 40 samples in ten classes, and 500 for the test."""
    return resource(MNIST_1D)


@pytest.fixture(scope="session")
def few_signals(tmp_path_factory: pytest.TempPathFactory) -> Resource:
    """The first 500 training signals of MNIST-1D, and 100 for the test."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    with np.load(MNIST_1D) as file:
        parts = {name: file[name][: 500 if name.startswith("train") else 100] for name in file.files}
    np.savez(path, **parts)
    return resource(path)
