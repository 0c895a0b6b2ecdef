"""Every backend passes the public suite."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from neuraxis.seams.backend import Backend
from neuraxis_snn.backends.with_cupy import CupyBackend
from neuraxis_snn.backends.with_torch import TorchBackend
from neuraxis_snn.conformance import Numba, Numpy, Reference
from neuraxis_snn.errors import DeviceMissing
from neuraxis_snn.testing import BackendSuite
from tests.snn.devices import limit_threads, needs_torch, require_cuda
from tests.snn.kernels import KernelBackend, needs_compiler


class TestReference(Reference):
    """The oracle."""


class TestNumpy(Numpy):
    """Arrays."""


class TestNumba(Numba):
    """Compiled."""

    @pytest.mark.prove  # compiles a network for every model: a minute
    def test_every_model_gives_the_bits_of_the_reference(self) -> None:
        super().test_every_model_gives_the_bits_of_the_reference()

    @pytest.mark.prove  # the same network once more, compiled for the other precision
    def test_every_kind_of_short_term_plasticity_gives_the_bits_of_the_reference_in_single_precision(self) -> None:
        super().test_every_kind_of_short_term_plasticity_gives_the_bits_of_the_reference_in_single_precision()

    @pytest.mark.compiled
    def test_drives_give_the_bits_of_the_reference_on_every_step_that_a_run_may_begin_with(self) -> None:
        super().test_drives_give_the_bits_of_the_reference_on_every_step_that_a_run_may_begin_with()

    @pytest.mark.prove  # and for every rule: more than a minute
    def test_every_rule_of_plasticity_gives_the_bits_of_the_reference(self) -> None:
        super().test_every_rule_of_plasticity_gives_the_bits_of_the_reference()


@needs_torch
class TestTorch(BackendSuite):
    """Tensors on the processor."""

    def backend(self) -> Backend:
        limit_threads()
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


class Kernels(BackendSuite):
    """The kernels of `cupy`, and what surrounds them, without a CUDA device."""

    def backend(self) -> Backend:
        return KernelBackend()


@needs_compiler
@pytest.mark.prove  # compiles some kernels for every model and every rule
class TestCupyOnTheProcessor(Kernels):
    """All clauses."""


@needs_compiler
def test_kernels_of_cupy_give_the_bits_of_the_reference_on_the_processor() -> None:
    Kernels().test_currents_with_sparse_synapses_and_many_delays_give_the_bits_of_the_reference()
    Kernels().test_pair_plasticity_gives_the_bits_of_the_reference()


class TestCupy(BackendSuite):
    """Kernels on a CUDA device."""

    def backend(self) -> Backend:
        if find_spec("cupy") is None:
            pytest.skip("needs CuPy: pip install 'neuraxis[cuda]'")
        try:
            return CupyBackend()
        except DeviceMissing as missing:
            pytest.skip(str(missing))


@needs_torch
class TestTorchOnCuda(TestTorch):
    """Tensors on a CUDA device."""

    def backend(self) -> Backend:
        require_cuda()
        return TorchBackend(device="cuda")
