"""Limits: how much an actor takes in a tick, what waits, what is lost, and what goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from neuraxis import (
    Actor,
    Graph,
    Input,
    Options,
    Output,
    Simulation,
    on,
    on_inbox,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.errors import ChannelOverflow, SimulationUnusable
from neuraxis.scheduler.limits import DEAD_LETTERS_KEPT
from neuraxis.testing.checks import resumed_digest, shuffled_digest
from tests.kernel.actors import Collector, Fragile, Listener, Speaker, log_of, talk

if TYPE_CHECKING:
    from neuraxis import Context, Inbox

LOSING = ("drop_oldest", "drop_newest", "dead_letter")


def burst(*values: int, tick: int = 0) -> str:
    """Return the plan of a speaker that says all these values at once."""
    return " ".join(f"{tick}:{value}" for value in values)


def heard(sim: Simulation, path: str = "ear") -> list[list[int]]:
    """Return tick and value of everything that a listener heard."""
    return [[tick, value] for tick, _, value in log_of(sim, path)]


# ----------------------------------------------------------------------- messages per tick


def test_actor_takes_no_more_than_its_messages_per_tick_and_the_rest_waits() -> None:
    graph = talk(burst(1, 2, 3, 4, 5), messages_per_tick=2)
    graph.connect("s0.out", "ear.heard")
    sim = Simulation(graph).advance(1)
    assert sim.statistics.waiting == 3
    sim.advance(10)
    assert heard(sim) == [[1, 1], [1, 2], [2, 3], [2, 4], [3, 5]]
    assert sim.statistics.waiting == 0


@pytest.mark.parametrize("limit", [5, 6, None])
def test_limit_that_is_not_reached_delays_nothing(limit: int | None) -> None:
    graph = talk(burst(1, 2, 3, 4, 5), messages_per_tick=limit)
    graph.connect("s0.out", "ear.heard")
    assert heard(Simulation(graph).advance(5)) == [[1, value] for value in range(1, 6)]


def test_waiting_messages_go_before_those_that_were_sent_later() -> None:
    graph = talk("0:1 0:2 0:3 1:4 2:5", messages_per_tick=1)
    graph.connect("s0.out", "ear.heard")
    assert heard(Simulation(graph).advance(9)) == [[tick, tick] for tick in range(1, 6)]


def test_message_sent_earlier_over_a_longer_channel_goes_before_one_that_waits() -> None:
    graph = talk("0:1", "2:2 2:3 2:4", messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", delay=4)
    graph.connect("s1.out", "ear.heard")
    assert heard(Simulation(graph).advance(9)) == [[3, 2], [4, 1], [5, 3], [6, 4]]


def test_limit_counts_the_messages_of_all_channels_of_an_actor_together() -> None:
    graph = talk(burst(1, 2), burst(3, 4), messages_per_tick=3)
    graph.connect("s0.out", "ear.heard")
    graph.connect("s1.out", "ear.also")
    assert heard(Simulation(graph).advance(5)) == [[1, 1], [1, 2], [1, -3], [2, -4]]


def test_inputs_from_outside_count_as_messages() -> None:
    sim = Simulation(talk(messages_per_tick=1))
    for value in (1, 2, 3):
        sim.inject("ear.heard", value)
    assert heard(sim.advance(5)) == [[1, 1], [2, 2], [3, 3]]


def test_actor_that_takes_whole_inboxes_gets_no_more_than_its_limit() -> None:
    graph = Graph("collect")
    graph.add("c", Collector, options=Options(messages_per_tick=2))
    graph.add("s", Speaker, plan=burst(1, 2, 3, 4, 5))
    graph.connect("s.out", "c.a")
    sim = Simulation(graph).advance(9)
    assert [[tick, [each[3] for each in messages]] for tick, messages in log_of(sim, "c")] == [
        [1, [1, 2]],
        [2, [3, 4]],
        [3, [5]],
    ]


def test_backlog_of_one_actor_holds_up_nobody_else() -> None:
    graph = talk(burst(1, 2, 3), messages_per_tick=1)
    graph.add("free", Listener)
    graph.connect("s0.out", "ear.heard")
    graph.connect("s0.out", "free.heard")
    assert heard(Simulation(graph).advance(9), "free") == [[1, 1], [1, 2], [1, 3]]


def test_backlog_is_emptied_although_the_mail_of_the_next_tick_is_taken_back() -> None:
    """The failure of another actor withdraws its message, which would have woken the receiver."""
    graph = talk(burst(1, 2, 3), messages_per_tick=1)
    graph.add("f", Fragile, options=Options(on_failure="restart"))
    graph.connect("s0.out", "ear.heard")
    graph.connect("f.out", "ear.heard")
    sim = Simulation(graph)
    sim.inject("f", -1)
    sim.advance(1)
    assert sim.statistics.failures == {"f": 1}
    assert heard(sim.advance(9)) == [[1, 1], [2, 2], [3, 3]]


def test_backlog_is_emptied_although_a_timer_of_its_actor_is_cancelled() -> None:
    class Nervous(Listener):
        @on_start
        def begin(self, context: Context) -> None:
            self.timer = context.wake(2, "ring")

        @on(Listener.heard)
        def hear(self, context: Context, value: int) -> None:
            self.log.append([context.tick, context.source, value])
            context.cancel(self.timer)

        @on_timer("ring")
        def ring(self, context: Context) -> None:
            raise AssertionError("it was cancelled")

    graph = Graph("nervous")
    graph.add("ear", Nervous, options=Options(messages_per_tick=1))
    graph.add("s", Speaker, plan=burst(1, 2, 3))
    graph.connect("s.out", "ear.heard")
    assert heard(Simulation(graph).advance(9)) == [[1, 1], [2, 2], [3, 3]]


# ------------------------------------------------------------------- capacity and overflow


def crowd(overflow: str, *, capacity: int = 2, plan: str = burst(1, 2, 3, 4, 5)) -> Graph:
    """Return a graph with five messages at once for an actor that takes one, with room for some to wait."""
    graph = talk(plan, messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", capacity=capacity, overflow=overflow)
    return graph


@pytest.mark.parametrize("overflow", ["error", *LOSING])
def test_nothing_is_lost_up_to_the_capacity(overflow: str) -> None:
    sim = Simulation(crowd(overflow, capacity=4)).advance(9)
    assert heard(sim) == [[value, value] for value in range(1, 6)]
    assert sim.statistics.dead_letters == {}


def test_overflow_with_policy_error_stops_the_run_and_discards_the_tick() -> None:
    sim = Simulation(crowd("error", plan="0:1 3:1 3:2 3:3 3:4"))
    digest = Simulation(crowd("error", plan="0:1 3:1 3:2 3:3 3:4")).advance(until=3).digest
    with pytest.raises(ChannelOverflow) as overflow:
        sim.advance(9)
    error = overflow.value
    assert (error.channel, error.tick, error.waiting, error.capacity) == ("s0 -> ear.heard", 4, 3, 2)
    assert "drop_oldest" in str(error)
    assert (sim.tick, sim.digest) == (3, digest)
    with pytest.raises(SimulationUnusable, match="recover"):
        sim.advance(1)
    assert heard(sim.recover()) == [[1, 1]]


def test_policy_error_is_the_default() -> None:
    graph = talk(burst(1, 2), messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", capacity=0)
    with pytest.raises(ChannelOverflow):
        Simulation(graph).advance(2)


@pytest.mark.parametrize(
    ("overflow", "kept"), [("drop_oldest", [1, 4, 5]), ("drop_newest", [1, 2, 3]), ("dead_letter", [1, 2, 3])]
)
def test_policy_decides_which_messages_are_lost(overflow: str, kept: list[int]) -> None:
    sim = Simulation(crowd(overflow)).advance(9)
    assert [value for _, value in heard(sim)] == kept
    assert sim.statistics.dead_letters == {f"overflow: {overflow}": 2}


@pytest.mark.parametrize("overflow", LOSING)
def test_channel_without_room_to_wait_delivers_what_fits_in_the_tick(overflow: str) -> None:
    sim = Simulation(crowd(overflow, capacity=0)).advance(9)
    assert heard(sim) == [[1, 1]]
    assert sim.statistics.dead_letters == {f"overflow: {overflow}": 4}


def test_dead_letters_show_what_was_lost_when_where_and_why() -> None:
    sim = Simulation(crowd("dead_letter")).advance(9)
    assert [(each.tick, each.source, each.target, each.port, each.payload) for each in sim.dead_letters] == [
        (1, "s0", "ear", "heard", 4),
        (1, "s0", "ear", "heard", 5),
    ]
    assert {each.reason for each in sim.dead_letters} == {"overflow: dead_letter"}


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
def test_dropped_messages_are_counted_but_not_kept(overflow: str) -> None:
    sim = Simulation(crowd(overflow)).advance(9)
    assert sim.dead_letters == []
    assert sum(sim.statistics.dead_letters.values()) == 2


def test_only_the_newest_dead_letters_are_kept_but_all_are_counted() -> None:
    count = DEAD_LETTERS_KEPT + 5
    sim = Simulation(crowd("dead_letter", capacity=0, plan=burst(*range(count + 1)))).advance(2)
    assert sim.statistics.dead_letters == {"overflow: dead_letter": count}
    assert [each.payload for each in sim.dead_letters] == list(range(6, count + 1))


def test_capacity_is_enforced_when_mail_is_due_and_not_when_it_is_sent() -> None:
    graph = talk(burst(1, 2, 3), messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", delay=5, capacity=0, overflow="drop_newest")
    sim = Simulation(graph).advance(4)
    assert sim.statistics.dead_letters == {}
    assert heard(sim.advance(5)) == [[5, 1]]
    assert sim.statistics.dead_letters == {"overflow: drop_newest": 2}


def test_capacity_bounds_each_channel_by_itself_in_inbox_order() -> None:
    graph = talk(burst(1, 2, 3), burst(4, 5, 6), burst(7, 8, 9), messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", capacity=1, overflow="drop_newest")
    graph.connect("s1.out", "ear.heard", capacity=1, overflow="drop_oldest")
    graph.connect("s2.out", "ear.heard")
    sim = Simulation(graph).advance(12)
    assert [value for _, value in heard(sim)] == [1, 2, 6, 7, 8, 9]
    assert sim.statistics.dead_letters == {"overflow: drop_newest": 1, "overflow: drop_oldest": 2}


def test_two_channels_from_one_actor_to_two_inputs_have_a_backlog_each() -> None:
    graph = talk(burst(1, 2), messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", capacity=2, overflow="drop_newest")
    graph.connect("s0.out", "ear.also", capacity=1, overflow="drop_newest")
    sim = Simulation(graph).advance(9)
    assert [value for _, value in heard(sim)] == [-1, 1, -2, 2]
    assert sim.statistics.dead_letters == {}


def test_copies_of_one_message_over_two_delays_are_lost_one_by_one() -> None:
    """Both copies have one id and wait at one input at the same time."""
    graph = talk("0:1", "0:8 0:9", messages_per_tick=1)
    graph.connect("s1.out", "ear.also")
    graph.connect("s0.out", "ear.heard", delay=1, capacity=1, overflow="drop_newest")
    graph.connect("s0.out", "ear.heard", delay=2, capacity=1, overflow="drop_newest")
    sim = Simulation(graph)
    for value in (50, 60):
        sim.inject("ear.heard", value)
    sim.advance(9)
    assert [value for _, value in heard(sim)] == [50, 60, 1, -8, -9]
    assert sim.statistics.dead_letters == {"overflow: drop_newest": 1}


def test_capacity_means_nothing_to_an_actor_that_takes_all() -> None:
    graph = talk(burst(1, 2, 3))
    graph.connect("s0.out", "ear.heard", capacity=0)
    assert heard(Simulation(graph).advance(3)) == [[1, 1], [1, 2], [1, 3]]


def test_what_was_lost_is_not_in_the_digest_as_if_it_had_been_delivered() -> None:
    class Whisperer(Speaker):
        plan: str = parameter(str, "", semantic=False)

    digests = set()
    for lost in (4, 5):
        graph = talk(messages_per_tick=1)
        graph.add("s", Whisperer, plan=burst(1, 2, 3, lost))
        graph.connect("s.out", "ear.heard", capacity=2, overflow="drop_newest")
        digests.add(Simulation(graph).advance(9).digest)
    assert len(digests) == 1


def test_messages_count_as_delivered_only_when_they_are() -> None:
    sim = Simulation(crowd("drop_newest"))
    counts = [sim.advance(1).statistics.messages for _ in range(5)]
    assert counts == [2, 3, 4, 4, 4]  # the start and one message, then one a tick


# --------------------------------------------------------------------------- emergency lane


def test_emergency_lane_is_delivered_before_everything_else_of_its_tick() -> None:
    graph = talk(burst(1), burst(2), "1:3")
    graph.connect("s0.out", "ear.heard", delay=2)
    graph.connect("s1.out", "ear.heard", delay=2, lane="emergency")
    graph.connect("s2.out", "ear.heard", delay=1, lane="emergency")
    assert heard(Simulation(graph).advance(4)) == [[2, 2], [2, 3], [2, 1]]


def test_emergency_lane_comes_before_timers() -> None:
    class Alarmed(Listener):
        @on_start
        def begin(self, context: Context) -> None:
            context.wake(1, "ring")

        @on_timer("ring")
        def ring(self, context: Context) -> None:
            self.log.append([context.tick, "timer", 0])

    graph = Graph("alarmed")
    graph.add("ear", Alarmed)
    graph.add("s", Speaker, plan="0:7")
    graph.connect("s.out", "ear.heard", lane="emergency")
    assert heard(Simulation(graph).advance(2)) == [[1, 7], [1, 0]]


def test_emergency_lane_is_exempt_from_messages_per_tick_and_capacity() -> None:
    graph = talk(burst(1, 2, 3), burst(7, 8, 9), messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", capacity=2)
    graph.connect("s1.out", "ear.heard", capacity=0, lane="emergency")
    assert heard(Simulation(graph).advance(9)) == [[1, 7], [1, 8], [1, 9], [1, 1], [2, 2], [3, 3]]


def test_capacity_of_an_emergency_lane_does_not_bind_the_normal_one_beside_it() -> None:
    graph = talk(burst(1, 2, 3), messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", delay=1)
    graph.connect("s0.out", "ear.heard", delay=2, capacity=0, lane="emergency")
    sim = Simulation(graph).advance(9)
    assert heard(sim) == [[1, 1], [2, 1], [2, 2], [2, 3], [2, 2], [3, 3]]


def test_emergency_lane_gets_through_to_an_actor_with_a_backlog() -> None:
    graph = talk(burst(1, 2, 3, 4), "2:9", messages_per_tick=1)
    graph.connect("s0.out", "ear.heard")
    graph.connect("s1.out", "ear.heard", lane="emergency")
    assert heard(Simulation(graph).advance(9)) == [[1, 1], [2, 2], [3, 9], [3, 3], [4, 4]]


def test_emergency_lane_comes_first_also_in_a_whole_inbox() -> None:
    graph = Graph("collect")
    graph.add("c", Collector)
    graph.add("s", Speaker, plan="0:1")
    graph.add("t", Speaker, plan="0:2")
    graph.connect("s.out", "c.a")
    graph.connect("t.out", "c.b", lane="emergency")
    (entry,) = log_of(Simulation(graph).advance(3), "c")
    assert [each[0] for each in entry[1]] == ["b", "a"]


# ---------------------------------------------------------------------------------- credits


class Tap(Actor):
    """Sends a drop for each credit it holds, while it has any left."""

    drops: int = parameter(int, 20)
    credit = Input(int)
    out = Output(int)
    credits: int = state(3)
    sent: int = state(0)

    @on_start
    def begin(self, context: Context) -> None:
        self.pour(context)

    @on(credit)
    def grant(self, context: Context, value: int) -> None:
        self.credits += value
        self.pour(context)

    def pour(self, context: Context) -> None:
        while self.credits and self.sent < self.drops:
            self.credits -= 1
            self.sent += 1
            context.send("out", self.sent)


class Drain(Actor):
    """Grants a credit for every drop it has taken."""

    drop = Input(int)
    back = Output(int)
    taken: list[int] = state(factory=list)

    @on_inbox
    def take(self, context: Context, inbox: Inbox) -> None:
        self.taken += inbox.payloads("drop")
        context.send("back", len(inbox))


def test_sender_with_credits_never_overruns_a_bounded_channel() -> None:
    graph = Graph("credits")
    graph.add("drain", Drain, options=Options(messages_per_tick=1))
    graph.add("tap", Tap)
    graph.connect("tap.out", "drain.drop", delay=2, capacity=2)
    graph.connect("drain.back", "tap.credit", delay=3)
    sim = Simulation(graph).advance(200)
    assert sim.actor("drain").capture()["taken"] == list(range(1, 21))
    assert sim.statistics.dead_letters == {}


# ----------------------------------------------------------------------- same run every time


def pressed() -> Graph:
    """Return a graph with backlogs, losses, two lanes and several delays."""
    graph = talk(
        " ".join(f"{tick}:{tick}{n}" for tick in range(0, 30, 2) for n in range(4)),
        " ".join(f"{tick}:{tick}" for tick in range(20)),
        "3:1 4:2 9:3",
        messages_per_tick=2,
    )
    graph.connect("s0.out", "ear.heard", capacity=5, overflow="drop_oldest", delay=3)
    graph.connect("s1.out", "ear.also", capacity=3, overflow="dead_letter")
    graph.connect("s2.out", "ear.heard", lane="emergency")
    return graph


@pytest.mark.parametrize("at", [0, 2, 5, 12, 25])
def test_backlogs_and_losses_survive_stopping_and_resuming(at: int) -> None:
    with Simulation(pressed()) as sim:
        sim.advance(40)
        assert sum(sim.statistics.dead_letters.values()) > 5
        assert resumed_digest(sim, at=at) == sim.digest


def test_backlogs_do_not_depend_on_the_order_of_actors_in_a_tick() -> None:
    with Simulation(pressed()) as sim:
        sim.advance(40)
        assert {shuffled_digest(sim, key=key) for key in range(4)} == {sim.digest}


def test_running_tick_by_tick_empties_a_backlog_in_the_same_way() -> None:
    whole, stepped = Simulation(pressed()).advance(40), Simulation(pressed())
    logs: list[Any] = []
    for _ in range(40):
        logs = heard(stepped.advance(1))
    assert logs == heard(whole)
    assert stepped.digest == whole.digest
