"""Timers: set, due, taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from neuraxis import Actor, Graph, Input, Options, Output, Simulation, on, on_start, on_timer, state
from neuraxis.errors import ActorFailed, PortUnknown, UsageInvalid
from neuraxis.testing.checks import resumed_digest
from tests.kernel.actors import Listener, Speaker

if TYPE_CHECKING:
    from neuraxis import Context


class Clock(Actor):
    """Sets and takes back timers as it is told: n > 0 sets one, 0 cancels the newest, -n the n-th before that."""

    tell = Input(int)
    out = Output(int)
    timers: list[int] = state(factory=list)
    log: list[Any] = state(factory=list)

    @on(tell)
    def obey(self, context: Context, value: int) -> None:
        if value > 0:
            self.timers.append(context.wake(value, "ring"))
        else:
            self.log.append([context.tick, context.cancel(self.timers[value - 1])])  # type: ignore[arg-type]

    @on_timer("ring")
    def ring(self, context: Context) -> None:
        self.log.append([context.tick, "ring"])
        context.send("out", context.tick)

    @on_timer("other")
    def other(self, context: Context) -> None:
        self.log.append([context.tick, "other"])


def clock(**options: Any) -> Simulation:
    graph = Graph("clock")
    graph.add("clock", Clock, options=Options(**options))
    return Simulation(graph)


def told(sim: Simulation, *values: int) -> Simulation:
    for value in values:
        sim.inject("clock", value)
    return sim.advance(1)


def log(sim: Simulation) -> list[Any]:
    return sim.actor("clock").log  # type: ignore[attr-defined,no-any-return]


def test_timer_rings_exactly_when_it_was_set_to() -> None:
    sim = told(clock(), 1, 5, 3, 1_000_000)
    assert log(sim.advance(until=2_000_000)) == [[2, "ring"], [4, "ring"], [6, "ring"], [1_000_001, "ring"]]


def test_two_timers_of_one_tick_ring_in_the_order_in_which_they_were_set() -> None:
    sim = told(clock(), 3, 3)
    sim = told(sim, 2)
    sim.advance(10)
    assert log(sim) == [[4, "ring"]] * 3


def test_timer_that_was_cancelled_does_not_ring() -> None:
    sim = told(told(clock(), 5), 0)
    sim.advance(20)
    assert log(sim) == [[2, True]]
    assert sim.pending() == {}


@pytest.mark.parametrize("ticks", [1, 2, 3, 10])
def test_cancelled_timer_leaves_no_trace_in_the_ticks_that_follow(ticks: int) -> None:
    sim = clock()
    sim.inject("clock", ticks + 1)
    sim.advance(1)
    sim.inject("clock", 0)
    sim.advance(ticks + 3)
    assert sim.statistics.messages == 2
    assert log(sim) == [[2, True]]


def test_only_the_timer_that_is_meant_is_cancelled() -> None:
    sim = told(told(clock(), 5, 5, 7), -2)
    sim.advance(20)
    assert [each for each in log(sim) if each[1] == "ring"] == [[6, "ring"], [8, "ring"]]


def test_timer_that_rang_or_was_cancelled_before_cannot_be_cancelled() -> None:
    sim = told(clock(), 1)
    sim.advance(3)
    told(told(sim, 0), 5)
    told(told(sim, 0), 0)
    assert [each[1] for each in log(sim)] == ["ring", False, True, False]


def test_timer_of_the_running_tick_cannot_be_cancelled_any_more() -> None:
    class Late(Actor):
        go = Input(int)
        log: list[Any] = state(factory=list)
        timer: int = state(0)

        @on(go)
        def set(self, context: Context, value: int) -> None:
            context.wake(1, "first")
            self.timer = context.wake(1, "second")

        @on_timer("first")
        def first(self, context: Context) -> None:
            self.log.append(context.cancel(self.timer))  # type: ignore[arg-type]

        @on_timer("second")
        def second(self, context: Context) -> None:
            self.log.append("second")

    graph = Graph("late")
    graph.add("l", Late)
    sim = Simulation(graph)
    sim.inject("l", 1)
    assert sim.advance(5).actor("l").log == [False, "second"]  # type: ignore[attr-defined]


def test_message_id_that_is_no_timer_cannot_be_cancelled() -> None:
    class Confused(Actor):
        go = Input(int)
        out = Output(int)
        log: list[Any] = state(factory=list)

        @on(go)
        def act(self, context: Context, value: int) -> None:
            self.log.append(context.cancel(context.send("out", value)))
            self.log.append(context.cancel(context.message))

    graph = Graph("confused")
    graph.add("c", Confused)
    graph.add("ear", Listener)
    graph.connect("c.out", "ear.heard")
    sim = Simulation(graph)
    sim.inject("c", 1)
    sim.advance(3)
    assert sim.actor("c").log == [False, False]  # type: ignore[attr-defined]
    assert len(sim.actor("ear").log) == 1  # type: ignore[attr-defined]


def test_cancelling_does_not_disturb_the_backlog_of_the_same_actor() -> None:
    class Busy(Clock):
        pass

    graph = Graph("busy")
    graph.add("clock", Busy, options=Options(messages_per_tick=1))
    graph.add("s", Speaker, plan="0:1 0:0 0:9 0:9")  # set a timer for the next tick, cancel it, set two more
    graph.connect("s.out", "clock.tell")
    sim = Simulation(graph).advance(30)
    assert log(sim) == [[2, False], [2, "ring"], [12, "ring"], [13, "ring"]]


def test_timers_are_exempt_from_messages_per_tick() -> None:
    sim = told(clock(messages_per_tick=1), 3)
    told(sim, 2)
    sim.inject("clock", 50)
    sim.inject("clock", 50)
    sim.advance(2)
    assert log(sim) == [[4, "ring"], [4, "ring"]]


@pytest.mark.parametrize("ticks", [0, -1])
def test_timer_of_less_than_a_tick_is_refused(ticks: int) -> None:
    class Hasty(Actor):
        @on_start
        def begin(self, context: Context) -> None:
            context.wake(ticks, "ring")

        @on_timer("ring")
        def ring(self, context: Context) -> None: ...

    graph = Graph("hasty")
    graph.add("h", Hasty)
    with pytest.raises(ActorFailed, match="at least 1 tick") as failed:
        Simulation(graph)
    assert isinstance(failed.value.__cause__, UsageInvalid)


def test_timer_that_nobody_reacts_to_is_refused_with_the_nearest_name() -> None:
    class Typo(Actor):
        @on_start
        def begin(self, context: Context) -> None:
            context.wake(1, "rang")

        @on_timer("ring")
        def ring(self, context: Context) -> None: ...

    graph = Graph("typo")
    graph.add("t", Typo)
    with pytest.raises(ActorFailed, match="'ring'") as failed:
        Simulation(graph)
    assert isinstance(failed.value.__cause__, PortUnknown)


@pytest.mark.parametrize("at", range(12))
def test_timers_survive_stopping_and_resuming(at: int) -> None:
    sim = clock()
    for tick, value in enumerate((5, 3, 0, 2, 7, 1)):
        assert sim.tick == tick
        told(sim, value)
    sim.advance(until=14)
    assert resumed_digest(sim, at=at) == sim.digest
