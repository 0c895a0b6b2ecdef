"""`trace.jsonl`: every delivery as a line, with its payload told shortly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from neuraxis import Simulation
from neuraxis.errors import FileUnusable
from neuraxis.runner import Settings
from neuraxis.trace.record import TraceFile, short
from tests.kernel.actors import Deliveries, Point, heard, noisy
from tests.kernel.breakage import disk_full_at, read_only

if TYPE_CHECKING:
    from pathlib import Path


def test_full_trace_holds_every_delivery_as_a_line_of_json(tmp_path: Path) -> None:
    with Simulation(noisy(3), folder=tmp_path / "run", settings=Settings(trace="full")) as sim:
        sim.inject("n0.heard", 5)
        sim.advance(20)
        count = sim.statistics.messages
        seen = Deliveries()
        sim.again(observer=seen)
    lines = [json.loads(line) for line in (tmp_path / "run" / "trace.jsonl").read_text().splitlines()]
    assert len(lines) == count == sum(len(inbox) for _, inboxes in seen.ticks for _, inbox in inboxes)
    assert list(lines[0]) == ["tick", "target", "port", "message", "sent", "payload", "causes"]
    given_ = next(line for line in lines if line["message"] == "@input#0")
    assert (given_["tick"], given_["target"], given_["port"], given_["payload"]) == (1, "n0", "heard", "5")
    assert [line["tick"] for line in lines] == sorted(line["tick"] for line in lines)


def test_trace_that_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    wiring = heard("1:1").wiring
    with read_only(tmp_path), pytest.raises(FileUnusable, match="Choose a folder"):
        TraceFile(tmp_path / "trace.jsonl", wiring)
    trace = TraceFile(tmp_path / "trace.jsonl", wiring)
    order, mail = [0], {0: [(0, 0, "heard", 1, None)] * 1_000}
    trace.tick(0, order, mail)
    with disk_full_at(100):
        with pytest.raises(FileUnusable, match='Free space, or run with --trace "digest"'):
            trace.tick(1, order, {0: mail[0] * 20})
        with pytest.raises(FileUnusable, match="Free space"):
            trace.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        ("a", "'a'"),
        (np.arange(3, dtype=np.uint8), "uint8[0, 1, 2]"),
        ((1, np.zeros(1)), "(1, float64[0.0])"),
        (Point("p", 1.0, 2), "test-point/1(name='p', x=1.0, y=2)"),
        ("x" * 200, "'" + "x" * 98 + "…"),
    ],
)
def test_payloads_are_told_shortly(value: Any, text: str) -> None:
    assert short(value) == text


def test_large_arrays_are_told_by_type_shape_and_hash() -> None:
    one, two = short(np.zeros((3, 4))), short(np.eye(3, 4))
    assert one.startswith("float64[3, 4] ")
    assert one != two
    assert short(np.asfortranarray(np.eye(3, 4))) == two
