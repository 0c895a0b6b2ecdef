"""The first difference of two runs: its tick, actor, message, and the smallest part that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest

from neuraxis import Actor, Array, Graph, Input, Output, Simulation, message, on, parameter
from neuraxis.journal.record import BlockDigest
from neuraxis.trace.diff import Difference, differing_stretch, first_difference
from tests.kernel.actors import evident, heard, noisy, talk

if TYPE_CHECKING:
    from neuraxis import Context


def compared(a: Simulation, b: Simulation) -> Difference | None:
    """Return the first difference between two runs."""
    end = min(a.tick, b.tick)
    return first_difference(lambda seen: a.again(observer=seen), lambda seen: b.again(observer=seen), 0, end)


def test_runs_that_are_the_same_have_no_difference() -> None:
    assert compared(heard("1:1 5:2"), heard("1:1 5:2")) is None
    with Simulation(noisy(), seed=1) as a, Simulation(noisy(), seed=1) as b:
        assert compared(a.advance(30), b.advance(25)) is None


def test_first_difference_names_tick_actor_message_and_field() -> None:
    found = compared(heard("1:1 5:2 6:8", "5:4"), heard("1:1 5:3 6:9", "5:4"))
    assert found == Difference(6, "ear", "s0#4 (place 0)", "payload", "2", "3")
    assert str(found) == "first difference at tick 6, ear, message s0#4 (place 0), payload:\n  A: 2\n  B: 3"


class Patient(Actor):
    """Passes on what it hears in one tick, and nothing else."""

    at: int = parameter(int)
    heard = Input(int)
    out = Output(int)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        if context.tick == self.at:
            context.send("out", value)


def patient(at: int) -> Simulation:
    """Return a simulation in which the listener hears one message in tick 3, sent at tick `at`."""
    graph = talk("0:1 1:1")
    graph.add("p", Patient, at=at)
    graph.connect("s0.out", "p.heard")
    graph.connect("p.out", "ear.heard", delay=3 - at)
    return Simulation(graph).advance(9)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (heard("1:1"), heard("2:1"), (1, "s0", "s0#0 (place 0)", "presence")),
        (heard("1:1 1:2"), heard("1:1"), (2, "ear", "s0#2 (place 1)", "presence")),
        (heard("1:1"), heard("1:1", delay=3), (2, "ear", "s0#1 (place 0)", "presence")),
        (heard("1:1"), heard("1:1", port="also"), (2, "ear", "s0#1 (place 0)", "port")),
        (heard("1:1 3:2"), heard("1:1"), (2, "ear", "s0#2 (place 0)", "source")),
        (heard("1:1", ""), heard("", "1:1"), (1, "s0", "s0#0 (place 0)", "presence")),
        (patient(1), patient(2), (3, "ear", "p#0 (place 0)", "sent")),
    ],
)
def test_first_difference_may_be_presence_source_port_or_time(
    a: Simulation, b: Simulation, expected: tuple[Any, ...]
) -> None:
    found = compared(a, b)
    assert found is not None
    assert (found.tick, found.actor, found.message, found.field) == expected
    other = compared(b, a)
    assert other is not None
    assert (other.a, other.b) == (found.b, found.a)


def test_first_difference_may_be_a_cause() -> None:
    found = compared(evident(0), evident(1))
    assert found == Difference(5, "@output", "e#0 (place 0)", "cause", "s#5, s#3", "s#5, s#4")


@message("test-tree")
@attrs.frozen
class Tree:
    """A message with texts, tuples, and any array."""

    text: str
    pairs: tuple[tuple[int, float], ...]
    free: Array


class Planter(Actor):
    """Takes trees."""

    tree = Input(Tree)
    number = Input(float)

    @on(tree)
    def grow(self, context: Context, value: Tree) -> None:
        """It only counts that it was delivered."""

    @on(number)
    def count(self, context: Context, value: float) -> None:
        """Likewise."""


def planted(payload: Any) -> Simulation:
    graph = Graph("garden")
    graph.add("p", Planter)
    sim = Simulation(graph)
    sim.inject("p", payload)
    return sim.advance(1)


LONG = "x" * 300
NANS = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("a", "b", "field", "told"),
    [
        (Tree("a", (), np.zeros(3)), Tree("b", (), np.zeros(3)), "payload.text", ("'a'", "'b'")),
        (Tree("", ((1, 2.0),), np.zeros(3)), Tree("", ((1, 2.5),), np.zeros(3)), "payload.pairs[0][1]", ("2.0", "2.5")),
        (Tree("", ((1, 2.0),), np.zeros(3)), Tree("", (), np.zeros(3)), "payload.pairs", ("((1, 2.0))", "()")),
        (Tree("", (), np.zeros((3, 2))), Tree("", (), np.eye(3, 2)), "payload.free[0, 0]", ("0.0", "1.0")),
        (Tree("", (), np.zeros(3)), Tree("", (), -np.zeros(3)), "payload.free[0]", ("0.0", "-0.0")),
        (Tree("", (), np.array(1)), Tree("", (), np.array(2)), "payload.free[]", ("1", "2")),
        (
            Tree("", (), np.zeros(2)),
            Tree("", (), np.zeros(2, "f4")),
            "payload.free",
            ("float64[0.0, 0.0]", "float32[0.0, 0.0]"),
        ),
        (Tree("", (), NANS[:1]), Tree("", (), NANS[1:]), "payload.free[0]", None),
        (Tree(LONG + "a", (), np.zeros(1)), Tree(LONG + "b", (), np.zeros(1)), "payload.text", None),
        (Tree(LONG, (), np.zeros(1)), Tree(LONG + "b", (), np.zeros(1)), "payload.text", None),
        (1.5, 2.5, "payload", ("1.5", "2.5")),
    ],
)
def test_first_difference_names_the_smallest_part_of_a_payload(
    a: Any, b: Any, field: str, told: tuple[str, str] | None
) -> None:
    found = compared(planted(a), planted(b))
    assert found is not None
    assert (found.tick, found.actor, found.message, found.field) == (1, "p", "@input#0 (place 0)", field)
    assert found.a != found.b
    assert max(len(found.a), len(found.b)) <= 101
    assert told is None or (found.a, found.b) == told


def block(tick: int, mark: int, digest: str = "same") -> BlockDigest:
    return BlockDigest(tick, {3: bytes([mark])}, {"exact": digest})


def test_block_digests_tell_between_which_ticks_two_runs_begin_to_differ() -> None:
    a = [block(10, 1), block(20, 2), block(30, 3)]
    assert differing_stretch(a, a, 30) is None
    assert differing_stretch(a, a, 35) == (31, 35)
    assert differing_stretch(a, [block(10, 1), block(20, 9), block(30, 9)], 30) == (11, 20)
    assert differing_stretch(a, [block(20, 2), block(30, 9)], 40) == (21, 30)
    assert differing_stretch(a, [block(30, 9)], 25) == (0, 25)
    assert differing_stretch([], [], 5) == (0, 5)


def test_runs_of_other_seeds_are_compared_by_what_was_delivered() -> None:
    """Their digests differ from the start, for the seed is in them; their deliveries perhaps much later."""
    a = [block(10, 1, "a1"), block(20, 2, "a2"), block(30, 3, "a3")]
    b = [block(10, 1, "b1"), block(20, 2, "b2"), block(30, 9, "b3")]
    assert differing_stretch(a, b, 30) == (21, 30)
