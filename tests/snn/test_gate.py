"""The gate that finds an engine that has become slower: `make gate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")

from bench.snn import gate, graphs
from bench.snn.with_ours import Run
from bench.snn.yardstick import yardstick

from neuraxis_snn.engine import Engine

pytestmark = pytest.mark.compiled

TINY = replace(graphs.CUBA, name="tiny", neurons=300, excitatory=240, chance=0.2, seconds=0.1)


def _measured(*ratios: float) -> tuple[Any, list[int]]:
    """Return a measurement that gives these ratios one after the other, and the rounds that were asked for."""
    asked: list[int] = []

    def measure(rounds: int) -> float:
        asked.append(rounds)
        return ratios[len(asked) - 1]

    return measure, asked


def test_a_network_that_keeps_its_ratio_is_measured_once() -> None:
    measure, asked = _measured(3.1)
    assert [each.met for each in gate.judged({"cuba": measure}, {"cuba": 3.0}, 5)] == [True, True]
    assert asked == [5]


def test_a_network_that_falls_short_is_measured_again_for_longer_before_it_fails() -> None:
    lucky, asked = _measured(1.0, 3.1)
    assert all(each.met for each in gate.judged({"cuba": lucky}, {"cuba": 3.0}, 5))
    assert asked == [5, 10]
    slow, _ = _measured(1.6, 1.7)
    assert [each.met for each in gate.judged({"cuba": slow}, {"cuba": 3.0}, 5)] == [False, False]


def test_a_little_lost_by_all_networks_fails_where_no_single_one_does() -> None:
    made = {name: _measured(1.95)[0] for name in ("cuba", "coba", "stdp")}
    assert [each.met for each in gate.judged(made, dict.fromkeys(made, 3.0), 5)] == [True, True, True, False]


def test_every_network_of_the_gate_has_a_recorded_ratio_and_a_reason_stands_beside_them() -> None:
    recorded = json.loads(gate.RATIOS.read_text())
    assert recorded["ratios"].keys() == gate.NETWORKS.keys()
    assert all(each > 0 for each in recorded["ratios"].values())
    assert recorded["reason"]


def test_the_plain_loops_fire_at_about_the_rate_of_the_engine(tmp_path: Path) -> None:
    graphs.write(TINY, tmp_path / "graph.npz")
    ours = Run(tmp_path / "graph.npz", "numpy")
    ours()
    spikes = sum(len(neurons) for _, _, neurons in ours.kept)
    assert spikes > 50
    assert yardstick(*graphs.read(tmp_path / "graph.npz"))()[1] == pytest.approx(spikes, rel=0.3)


def test_an_engine_that_became_six_times_slower_fails_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gate, "NETWORKS", {"tiny": TINY})
    monkeypatch.setattr(gate.measurement, "__defaults__", ("numpy",))  # nothing to compile
    ratios = tmp_path / "ratios.json"
    assert gate.main(["--record", "for the test", "--rounds", "1"], ratios) == 0
    kept = json.loads(ratios.read_text())
    kept["ratios"]["tiny"] /= 2  # room for whatever else this machine does
    ratios.write_text(json.dumps(kept))
    assert gate.main(["--rounds", "1"], ratios) == 0
    plain = Engine.advance

    def slowed(engine: Engine, steps: int, *arguments: Any, **options: Any) -> Any:
        begun = engine.capture()
        for _ in range(5):
            plain(engine, steps, *arguments, **options)
            engine.restore(begun)
        return plain(engine, steps, *arguments, **options)

    monkeypatch.setattr(Engine, "advance", slowed)
    capsys.readouterr()
    assert gate.main(["--rounds", "1"], ratios) == 1
    told = capsys.readouterr().out
    assert "**no**" in told
    assert '--record "REASON"' in told
