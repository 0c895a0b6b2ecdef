"""The fixtures `simulation` and `golden`, as a user's project sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]

THREE_LINES = """
def test_ring(simulation, golden):
    sim = simulation("ring.toml")
    golden(sim.advance(ticks=500))
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    for name in ("ring.toml", "ring.py"):
        shutil.copy(ROOT / "scenarios" / name, pytester.path / name)
    pytester.makepyfile(test_mine=THREE_LINES)
    pytester.makeini("[pytest]\n")
    return pytester


def test_a_missing_golden_fails_with_the_command_that_makes_it(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-p", "no:xdist")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is no golden*--golden-reason*"])


def test_a_golden_is_written_with_a_reason_and_then_holds(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("--golden-reason", "first").assert_outcomes(passed=1)
    text = (project.path / "golden" / "test_ring.json").read_text()
    assert '"first"' in text
    assert '"../ring.toml"' in text
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_difference_fails_and_prints_where_it_begins(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("--golden-reason", "first").assert_outcomes(passed=1)
    code = project.path / "ring.py"
    code.write_text(code.read_text().replace("value + 1)", "value + (2 if value == 100 else 1))"))
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    told = result.stdout.str()
    assert "NX502" in told
    assert "tick" in told
    assert "--golden-reason" in told
    project.runpytest_subprocess("--golden-reason", "relays skip 101 now").assert_outcomes(passed=1)
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_graphs_built_in_python_have_goldens_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_graph="""
        import neuraxis as nx

        class Clock(nx.Actor):
            tock = nx.Output(int)

            @nx.on_start
            def begin(self, context):
                context.wake(1, "tick")

            @nx.on_timer("tick")
            def tick(self, context):
                context.wake(1, "tick")

        def test_clock(simulation, golden):
            graph = nx.Graph("clock")
            graph.add("clock", Clock)
            golden(simulation(graph, seed=3).advance(ticks=20), "clock")
        """
    )
    project.runpytest_subprocess("test_graph.py", "--golden-reason", "first").assert_outcomes(passed=1)
    project.runpytest_subprocess("test_graph.py").assert_outcomes(passed=1)
