"""The suite for backends catches backends that are wrong."""

from __future__ import annotations

from typing import Any

import pytest

from neuraxis.testing import run_suite
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.testing import BackendSuite


class CarelessBackend:
    """Makes engines that lose half of it at the end of every call."""

    name = "careless"

    def build(self, network: Any) -> Any:
        engine = NumpyBackend().build(network)
        careful = engine._run

        def run(steps: int, inputs: Any, *, learning: bool) -> Any:
            found = careful(steps, inputs, learning=learning)
            for name, array in engine.arrays.items():
                if name.endswith((".v", ".g_exc")):
                    array *= array.dtype.type(0.5)
            return found

        engine._run = run  # type: ignore[method-assign]
        return engine


class CarelessSuite(BackendSuite):
    """Looks at it."""

    def backend(self) -> CarelessBackend:
        return CarelessBackend()


@pytest.fixture(scope="module")
def verdicts() -> dict[str, str]:
    return {clause.sentence: clause.state for clause in run_suite(CarelessSuite)}


def test_a_backend_that_computes_otherwise_fails_the_suite(verdicts: dict[str, str]) -> None:
    assert verdicts["currents with sparse synapses and many delays give the bits of the reference"] == "fails"
    assert verdicts["adaptive thresholds with triplet plasticity give the bits of the reference"] == "fails"


def test_a_backend_whose_bits_depend_on_the_cuts_fails_the_suite(verdicts: dict[str, str]) -> None:
    assert verdicts["cutting a run anywhere changes nothing"] == "fails"
