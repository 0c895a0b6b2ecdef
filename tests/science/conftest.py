"""Prints the table when all of it was judged."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.science.table import ROWS


@pytest.fixture(scope="session", autouse=True)
def _table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    reporter: Any = request.config.pluginmanager.get_plugin("terminalreporter")
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line("")
        reporter.write_line(
            f"Science on {platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}"
        )
        reporter.write_line("| part | what | ours | accepted | met |")
        reporter.write_line("|---|---|---|---|---|")
        for row in ROWS:
            reporter.write_line("| " + " | ".join(row) + " |")
