"""Every backend passes the public suite."""

from __future__ import annotations

import pytest

from neuraxis.seams.backend import Backend
from neuraxis_snn.backends.with_torch import TorchBackend
from neuraxis_snn.conformance import Numba, Numpy, Reference
from neuraxis_snn.testing import BackendSuite
from tests.snn.devices import needs_torch, require_cuda


class TestReference(Reference):
    """The oracle."""


class TestNumpy(Numpy):
    """Arrays."""


class TestNumba(Numba):
    """Compiled."""

    @pytest.mark.prove  # compiles a network for every model: a minute
    def test_every_model_gives_the_bits_of_the_reference(self) -> None:
        super().test_every_model_gives_the_bits_of_the_reference()

    @pytest.mark.prove  # and for every rule: more than a minute
    def test_every_rule_of_plasticity_gives_the_bits_of_the_reference(self) -> None:
        super().test_every_rule_of_plasticity_gives_the_bits_of_the_reference()


@needs_torch
class TestTorch(BackendSuite):
    """Tensors on the processor."""

    def backend(self) -> Backend:
        return TorchBackend()

    @pytest.mark.prove
    def test_every_model_gives_the_bits_of_the_reference(self) -> None:
        super().test_every_model_gives_the_bits_of_the_reference()

    @pytest.mark.prove
    def test_every_rule_of_plasticity_gives_the_bits_of_the_reference(self) -> None:
        super().test_every_rule_of_plasticity_gives_the_bits_of_the_reference()

    @pytest.mark.prove
    def test_drives_give_the_bits_of_the_reference_on_every_step_that_a_run_may_begin_with(self) -> None:
        super().test_drives_give_the_bits_of_the_reference_on_every_step_that_a_run_may_begin_with()


class TestTorchOnCuda(TestTorch):
    """Tensors on a CUDA device."""

    def backend(self) -> Backend:
        require_cuda()
        return TorchBackend(device="cuda")
