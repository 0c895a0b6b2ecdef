"""The lives of seeds as a table and as a picture."""

from __future__ import annotations

import sys

import pytest

from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.picture import MISSING
from neuraxis_morphogenesis.seeds.lives import Stay, stays, told
from neuraxis_morphogenesis.seeds.plots import COLOURS, lives_chart
from neuraxis_morphogenesis.seeds.report import life_chart

HISTORY = [
    ["block1", int(Stage.DORMANT), 0, ""],
    ["block2", int(Stage.DORMANT), 0, ""],
    ["block1", int(Stage.GERMINATED), 2, "BP009"],
    ["block1", int(Stage.TRAINING), 2, "BP009"],
    ["block2", int(Stage.GERMINATED), 3, "BP002"],
    ["block1", int(Stage.CULLED), 5, "BP009"],
    ["block1", int(Stage.EMBARGOED), 7, "BP009"],
    ["block1", int(Stage.DORMANT), 9, ""],
    ["block2", int(Stage.FOSSILIZED), 11, "BP002"],
]
CREDITS = {"block1/2": -0.004, "block2/3": 0.0251}


def test_stays_follow_from_moves_slot_by_slot() -> None:
    found = stays(HISTORY, 20)
    assert found[:5] == (
        Stay("block1", Stage.DORMANT, "", -1, 0, 2, False),
        Stay("block1", Stage.GERMINATED, "BP009", 2, 2, 2, False),
        Stay("block1", Stage.TRAINING, "BP009", 2, 2, 5, False),
        Stay("block1", Stage.CULLED, "BP009", 2, 5, 7, True),
        Stay("block1", Stage.EMBARGOED, "BP009", 2, 7, 9, False),
    )
    assert found[-1] == Stay("block2", Stage.FOSSILIZED, "BP002", 3, 11, 20, True)
    assert stays([], 0) == ()


def test_the_table_tells_what_each_life_contributed_once() -> None:
    rows = life_chart(stays(HISTORY, 20), CREDITS).rows
    assert [(row[1], row[-1]) for row in rows if row[-1]][1:] == [("CULLED", "-0.4"), ("FOSSILIZED", "+2.5")]
    assert told({}, stays(HISTORY, 20)[3]) == ""


def test_the_picture_is_the_same_twice_and_another_for_other_lives() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    one, again = (lives_chart(stays(HISTORY, 20), CREDITS).picture for _ in range(2))
    assert one is not None
    assert one.startswith(b"<?xml")
    assert one == again
    assert one != lives_chart(stays(HISTORY, 20), CREDITS | {"block2/3": 0.5}).picture
    assert one != lives_chart(stays(HISTORY[:-1], 20), CREDITS).picture
    assert COLOURS[Stage.FOSSILIZED].encode() in one
    assert COLOURS[Stage.PROBATIONARY].encode() not in one
    assert lives_chart((), {}).picture is not None


def test_without_matplotlib_the_chart_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    chart = lives_chart(stays(HISTORY, 20), CREDITS)
    assert chart.picture is None
    assert chart.caption.endswith(MISSING)
