"""Fixtures for pytest: put a scenario under golden-master test in three lines.

    def test_ring(simulation, golden):
        sim = simulation("scenarios/ring.toml")
        golden(sim.advance(ticks=500))

Goldens lie in `golden/` beside the test. A new or changed one is written by naming the reason:

    pytest tests/test_ring.py --golden-reason "the relay now starts at 1"
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuraxis.graph import Graph
    from neuraxis.simulation import Simulation


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that changes goldens on purpose."""
    group = parser.getgroup("neuraxis")
    group.addoption("--golden-reason", default=None, help="write goldens that are new or differ, with this reason")


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Iterator[Callable[..., Simulation]]:
    """Opens simulations from scenario files (relative to the project's root) or graphs; closes them after the test."""
    from neuraxis.simulation import Simulation

    opened: list[Simulation] = []

    def open_simulation(scenario: str | Path | Graph, **options: Any) -> Simulation:
        if isinstance(scenario, str | Path):
            path = request.config.rootpath / scenario
            sim = Simulation.from_scenario(path, **options)
            request.node.stash.setdefault(_SOURCES, {})[id(sim)] = path
        else:
            sim = Simulation(scenario, **options)
        opened.append(sim)
        return sim

    yield open_simulation
    for sim in opened:
        sim.close()


_SOURCES: pytest.StashKey[dict[int, Path]] = pytest.StashKey()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compares a simulation with its golden, `golden/<test>.json` beside the test; prints the first divergence."""
    from neuraxis.errors import Divergence
    from neuraxis.trace.golden import check, read_golden, take, write_golden

    def compare(sim: Simulation, name: str | None = None) -> None:
        file = request.path.parent / "golden" / f"{name or request.node.name}.json"
        reason = request.config.getoption("--golden-reason")
        command = f'pytest {request.node.nodeid} --golden-reason "…"'
        if not file.exists() and not reason:
            pytest.fail(f"there is no golden {file} yet. Make it with: {command}", pytrace=False)
        try:
            if file.exists():
                check(sim, read_golden(file), command=command)
                return
        except Divergence as error:
            if not reason:
                pytest.fail(str(error), pytrace=False)
        file.parent.mkdir(exist_ok=True)
        source = request.node.stash.get(_SOURCES, {}).get(id(sim))
        relative = _relative(source, file) if source is not None else ""
        write_golden(file, take(sim, scenario=relative), reason=reason)

    return compare


def _relative(scenario: Path, golden_file: Path) -> str:
    import os

    return Path(os.path.relpath(scenario, golden_file.parent)).as_posix()
