"""Every backend passes the public suite."""

from __future__ import annotations

import pytest

from neuraxis_snn.conformance import Numba, Numpy, Reference


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
