"""Offloading: functions are computed on other threads, inside the tick, and their order decides nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest

from neuraxis import Actor, Array, Graph, Input, Output, Simulation, message, on, state
from neuraxis.scheduler.envelope import sequence_of
from neuraxis.testing.checks import shuffled_digest
from tests.kernel.actors import Speaker
from tests.kernel.world import WORLD, log

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis import Context

pytestmark = pytest.mark.usefixtures("world")  # also for tests that do not look at it


class Thinker(Actor):
    """Has a function computed elsewhere for each word it hears."""

    word = Input(str)
    out = Output(str)
    log: list[Any] = state(factory=list)

    @on(word)
    async def think(self, context: Context, word: str) -> None:
        try:
            result = await context.offload(THOUGHTS[word], word)
        except ValueError as error:
            result = f"caught {error}"
        self.log.append([context.tick, result])
        context.send("out", result)


def wait_then_open(gate: str, then: str) -> Callable[[str], str]:
    """Return a function that waits at one gate, then opens another."""

    def think(word: str) -> str:
        if gate:
            WORLD.wait_at(gate)
        if then:
            WORLD.gate(then).set()
        return word.upper()

    return think


def fail_at(word: str) -> str:
    raise ValueError(word)


THOUGHTS: dict[str, Callable[[str], str]] = {
    "plain": str.upper,
    "raise": fail_at,
    "thread": lambda _: threading.current_thread().name,
    "after b": wait_then_open("b", "a"),
    "open b": wait_then_open("", "b"),
    "after a": wait_then_open("a", ""),
    "open a": wait_then_open("", "a"),
    "meet 1": wait_then_open("", "1"),
}


def thinkers(*words: str) -> Graph:
    """Return a graph of one thinker a word, `t0`, `t1` …, who all tell `ear`."""
    graph = Graph("thinkers")
    for index, _ in enumerate(words):
        graph.add(f"t{index}", Thinker)
        graph.connect(f"t{index}.out", "@output.thought")
    return graph


def thought(*words: str) -> Simulation:
    """Return a simulation in which each thinker heard its word in tick 1."""
    sim = Simulation(thinkers(*words))
    for index, word in enumerate(words):
        sim.inject(f"t{index}", word)
    return sim.advance(3)


def test_offloaded_function_runs_on_another_thread_inside_the_tick() -> None:
    with thought("plain", "thread") as sim:
        assert log(sim, "t0") == [[1, "PLAIN"]]
        assert log(sim, "t1")[0][1].startswith("neuraxis-offload")


def test_handler_can_catch_what_an_offloaded_function_raised() -> None:
    with thought("raise") as sim:
        assert log(sim, "t0") == [[1, "caught raise"]]


def test_computations_of_a_tick_overlap_and_the_order_of_completion_does_not_decide() -> None:
    outputs = []
    for words in (("after b", "open b"), ("open a", "after a")):
        WORLD.gates.clear()
        with thought(*words) as sim:
            outputs.append([(each.source, each.tick, sequence_of(each.id)) for each in sim.outputs])
            assert [each.value for each in sim.outputs] == [word.upper() for word in words]
            assert shuffled_digest(sim, key=3) == sim.digest
    assert outputs[0] == outputs[1] == [("t0", 2, 0), ("t1", 2, 0)]


def test_messages_of_one_actor_are_handled_one_after_the_other_although_it_waits() -> None:
    with Simulation(thinkers("")) as sim:
        for word in ("plain", "raise", "plain"):
            sim.inject("t0", word)
        sim.advance(1)
        assert log(sim, "t0") == [[1, "PLAIN"], [1, "caught raise"], [1, "PLAIN"]]


def test_actors_that_wait_commit_in_the_order_of_paths_beside_those_that_do_not() -> None:
    graph = Graph("mixed")
    graph.add("a", Thinker)
    graph.add("b", Speaker, plan="1:1")
    graph.add("c", Thinker)
    for path in "abc":
        graph.connect(f"{path}.out", f"@output.{path}")
    with Simulation(graph) as sim:
        sim.inject("a", "plain")
        sim.inject("c", "plain")
        sim.advance(3)
        assert [each.source for each in sim.outputs] == ["a", "b", "c"]
        assert shuffled_digest(sim, key=2) == sim.digest


def test_handler_that_does_not_suspend_needs_no_thread() -> None:
    class Quick(Actor):
        heard = Input(int)
        log: list[int] = state(factory=list)

        @on(heard)
        async def hear(self, context: Context, value: int) -> None:
            self.log.append(value)

    graph = Graph("quick")
    graph.add("q", Quick)
    threads = threading.active_count()
    with Simulation(graph) as sim:
        sim.inject("q", 5)
        assert log(sim.advance(1), "q") == [5]
        assert threading.active_count() == threads


def test_offloaded_arrays_come_back_as_they_are() -> None:
    class Adder(Actor):
        heard = Input(Grid)
        log: list[Any] = state(factory=list)

        @on(heard)
        async def hear(self, context: Context, value: Grid) -> None:
            for power in (1, 2):
                self.log.append(float((await context.offload(np.power, value.cells, power)).sum()))

    graph = Graph("adder")
    graph.add("a", Adder)
    with Simulation(graph) as sim:
        sim.inject("a", Grid(np.arange(4.0)))
        assert log(sim.advance(1)) == [6.0, 14.0]


@message("test-grid")
@attrs.frozen
class Grid:
    """Some numbers."""

    cells: Array
