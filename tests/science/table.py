"""The table of what is judged, which `make science` prints at the end."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from neuraxis import Simulation

SCENARIOS = Path(__file__).parents[2] / "scenarios"

ROWS: list[tuple[str, str, str, str, str]] = []
"""(section, what, ours, accepted, met)"""


def judge(part: str, what: str, ours: float, *, at_least: float = -math.inf, at_most: float = math.inf) -> None:
    """Keep a row of the table, and fail where ours lies outside the bounds."""
    met = at_least <= ours <= at_most
    low, high = (f"{each:g}" if math.isfinite(each) else "" for each in (at_least, at_most))
    ROWS.append((part, what, f"{ours:.5g}", f"{low} … {high}", "yes" if met else "**no**"))
    assert met, ROWS[-1]


def show(part: str, what: str, ours: float, accepted: str = "") -> None:
    """Keep a row that is not judged."""
    ROWS.append((part, what, f"{ours:.4g}", accepted, ""))


def judge_claims(part: str, name: str, overrides: list[str], label: str) -> None:
    """Run a scenario to its end, keep a row for every claim, and fail where one does not hold."""
    pytest.importorskip("numba")
    with Simulation.from_scenario(SCENARIOS / f"{name}.toml", overrides=overrides, backend="numba") as sim:
        sim.advance(until=_end_of(name))
        actor: Any = sim.actor("network")
        measured = actor.measured()
        missed = []
        for claim in actor.claims():
            value = measured[claim.figure]
            verdict = "yes" if claim.holds(value) else "**no**"
            ours = f"{value:.4g}" if value is not None else "none"
            ROWS.append((part, f"{label}: {claim.figure}", ours, claim.told, verdict if claim.is_gate else ""))
            missed += [] if claim.holds(value) else [ROWS[-1]]
        assert not missed


def _end_of(name: str) -> str:
    with (SCENARIOS / f"{name}.toml").open("rb") as file:
        until: str = tomllib.load(file)["scenario"]["until"]
    return until
