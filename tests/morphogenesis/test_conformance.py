"""Trainer, seeds and policy keep what every actor must keep."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from neuraxis import Graph
from neuraxis.testing import ActorSuite
from tests.morphogenesis.conftest import MNIST_1D
from tests.morphogenesis.gardener import garden, resource

FOLDER = Path(tempfile.gettempdir())


@pytest.mark.prove
class TestGarden(ActorSuite):
    """A seed that germinates, learns and is blended in."""

    ticks = 30

    def graph(self) -> Graph:
        """Return trainer, seeds and a policy that germinates after the first epoch."""
        trainer = {"width": 8, "batch": 80, "steps_per_tick": 10, "epochs": 4}
        seeds = {"training_epochs": 1, "gain_min": -1.0, "gradient_ratio_min": 0.0, "blending_epochs": 1}
        script = {"1": [["GERMINATE", "block1", "BP009", {"depth": 1}]]}
        folder = Path(tempfile.mkdtemp(dir=FOLDER))
        return garden(folder, resource(MNIST_1D), script=script, trainer=trainer, seeds=seeds)
