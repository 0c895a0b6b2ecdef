"""A world of its own for each test of effects and offloading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.world import WORLD, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world() -> Iterator[World]:
    """Give every test a world of its own, and open all its gates in the end."""
    WORLD.__init__()  # type: ignore[misc]
    yield WORLD
    for gate in WORLD.gates.values():
        gate.set()
