"""When messages arrive, and in what order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis import Actor, Graph, Input, Output, Simulation, on, on_start, on_timer, state
from neuraxis.testing.checks import digest_of, resumed_digest, shuffled_digest
from tests.kernel.actors import Collector, Listener, Noisy, Relay, Speaker, log_of, noisy, ring, talk

if TYPE_CHECKING:
    from neuraxis import Context


@pytest.mark.parametrize("delay", [1, 2, 3, 7, 1_000, 10**9])
def test_message_sent_at_tick_t_arrives_at_t_plus_its_delay(delay: int) -> None:
    graph = talk("0:1 4:2")
    graph.connect("s0.out", "ear.heard", delay=delay)
    sim = Simulation(graph).advance(until=delay + 4)
    assert log_of(sim) == [[delay, "s0", 1], [delay + 4, "s0", 2]]


def test_message_is_not_there_one_tick_before_its_delay_has_passed() -> None:
    graph = talk("0:1")
    graph.connect("s0.out", "ear.heard", delay=5)
    sim = Simulation(graph).advance(until=4)
    assert log_of(sim) == []
    assert list(sim.pending()) == [5]
    assert log_of(sim.advance(ticks=1)) == [[5, "s0", 1]]


def test_delay_may_be_written_as_a_time() -> None:
    graph = talk("0:1")
    graph.connect("s0.out", "ear.heard", delay="3 ms")
    assert log_of(Simulation(graph).advance(10)) == [[3, "s0", 1]]


def test_one_output_reaches_every_channel_at_its_own_delay_under_one_id() -> None:
    graph = talk("0:1")
    graph.add("far", Listener)
    graph.connect("s0.out", "ear.heard", delay=1)
    graph.connect("s0.out", "ear.also", delay=1)
    graph.connect("s0.out", "ear.heard", delay=4)
    graph.connect("s0.out", "far.heard", delay=2)
    sim = Simulation(graph).advance(5)
    assert log_of(sim) == [[1, "s0", -1], [1, "s0", 1], [4, "s0", 1]]
    assert log_of(sim, "far") == [[2, "s0", 1]]


def test_output_without_channel_goes_nowhere() -> None:
    sim = Simulation(talk("0:1 0:2")).advance(5)
    assert log_of(sim) == []


def test_inbox_is_ordered_by_send_tick_then_path_then_sequence() -> None:
    graph = talk("2:1 2:2 0:3", "2:4 1:5 2:6", "2:7")
    graph.connect("s0.out", "ear.heard", delay=1)
    graph.connect("s1.out", "ear.heard", delay=1)
    graph.connect("s2.out", "ear.heard", delay=1)
    graph.connect("s0.out", "ear.also", delay=3)
    graph.connect("s1.out", "ear.also", delay=2)
    sim = Simulation(graph).advance(6)
    assert sim.actor("ear").at(3) == [-3, -5, 1, 2, 4, 6, 7]  # type: ignore[attr-defined]


def test_timers_and_inputs_take_their_place_in_the_order_by_tick_and_source() -> None:
    class Mixed(Actor):
        heard = Input(int)
        log: list[Any] = state(factory=list)

        @on(heard)
        def hear(self, context: Context, value: int) -> None:
            self.log.append(value)
            if value == 100:
                context.wake(2, "late")
                context.wake(1, "soon")

        @on_timer("late")
        def late(self, context: Context) -> None:
            self.log.append("late")

        @on_timer("soon")
        def soon(self, context: Context) -> None:
            self.log.append("soon")

    graph = Graph("mixed")
    graph.add("m", Mixed)
    graph.add("a", Speaker, plan="2:1 3:3")
    graph.add("z", Speaker, plan="2:2 1:9")
    for source in "az":
        graph.connect(f"{source}.out", "m.heard")
    sim = Simulation(graph).advance(1)
    sim.inject("m", 100)  # handled at tick 2, sets a timer for 3 and one for 4
    sim.advance(1)
    sim.inject("m", 200)
    sim.advance(1)
    sim.inject("m", 300)
    sim.advance(3)
    # tick 2: sent at 1: the input, then z. Tick 3: sent at 2: the input, a, m's own timer, z.
    # Tick 4: the timer of tick 2, then what was sent at 3.
    assert log_of(sim, "m") == [100, 9, 200, 1, "soon", 2, "late", 300, 3]


def test_inputs_are_delivered_in_the_order_of_the_journal() -> None:
    sim = Simulation(talk())
    for value in (5, 3, 9, 1):
        sim.inject("ear.heard", value)
    sim.inject("ear.also", 2)
    sim.inject("ear.heard", 7)
    sim.advance(1)
    assert log_of(sim) == [[1, "@input", each] for each in (5, 3, 9, 1, -2, 7)]


def test_order_does_not_depend_on_the_order_of_registration() -> None:
    orders = []
    for key in range(6):
        graph = Graph("talk")
        names = [f"s{index}" for index in range(8)]
        random.Random(key).shuffle(names)
        actors: list[Any] = [("ear", Listener, {}), *((name, Speaker, {"plan": f"1:{name[1]}"}) for name in names)]
        random.Random(key + 100).shuffle(actors)
        for path, cls, parameters in actors:
            graph.add(path, cls, **parameters)
        for name in names:
            graph.connect(f"{name}.out", "ear.heard")
        sim = Simulation(graph).advance(4)
        orders.append((log_of(sim), sim.digest))
    assert all(each == orders[0] for each in orders)
    assert [value for _, _, value in orders[0][0]] == list(range(8))


def test_paths_are_ordered_by_code_point() -> None:
    graph = talk()
    paths = ["a", "a/b", "a-b", "a0", "aB", "a_b", "B"]
    for index, path in enumerate(paths):
        graph.add(path, Speaker, plan=f"0:{index}")
        graph.connect(f"{path}.out", "ear.heard")
    sim = Simulation(graph).advance(1)
    assert [source for _, source, _ in log_of(sim)] == sorted(paths)


# ----------------------------------------------------- actors of a tick do not see each other


def test_actors_in_one_tick_cannot_see_what_the_others_send() -> None:
    """Two actors that answer at once never meet an answer in the tick in which it was sent."""

    class Shouter(Actor):
        heard = Input(int)
        out = Output(int)
        seen: list[Any] = state(factory=list)

        @on_start
        def begin(self, context: Context) -> None:
            context.send("out", 0)

        @on(heard)
        def hear(self, context: Context, value: int) -> None:
            self.seen.append([context.tick, value])
            context.send("out", context.tick)

    graph = Graph("shout")
    for path in "abc":
        graph.add(path, Shouter)
    for source in "abc":
        for target in "abc":
            graph.connect(f"{source}.out", f"{target}.heard")
    sim = Simulation(graph).advance(4)
    for path in "abc":
        assert all(value == max(0, tick - 1) for tick, value in sim.actor(path).seen)  # type: ignore[attr-defined]


@given(st.integers(0, 2**32), st.integers(2, 6))
@settings(max_examples=15, deadline=None)
def test_order_of_actors_in_a_tick_changes_nothing(key: int, size: int) -> None:
    with Simulation(noisy(size), seed=key) as sim:
        sim.advance(40)
        assert shuffled_digest(sim, key=key) == sim.digest
        assert shuffled_digest(sim, key=key + 1) == sim.digest


def test_negative_control_actors_that_share_a_list_are_caught_by_shuffling() -> None:
    shared: list[str] = []

    class Leaky(Noisy):
        @on_timer("again")
        def again(self, context: Context) -> None:
            shared.append(context.path)
            context.wake(1, "again")
            context.send("out", sum(len(each) * n for n, each in enumerate(shared[-5:])) + ord(shared[-2][-1]))

    graph = Graph("leaky")
    for path in ("a", "bb", "ccc"):
        graph.add(path, Leaky)
        graph.connect(f"{path}.out", f"{path}.heard")
    shared += ["x", "y", "z", "u", "v"]
    sim = Simulation(graph).advance(10)
    shared[:] = ["x", "y", "z", "u", "v"]
    assert any(shuffled_digest(sim, key=key) != sim.digest for key in range(5))


@given(st.permutations(range(5)), st.permutations(range(11)))
@settings(max_examples=20, deadline=None)
def test_digest_does_not_depend_on_the_order_of_registration(actors: list[int], channels: list[int]) -> None:
    def shuffled() -> Graph:
        plain, graph = noisy(5), Graph("other name")
        graph.actors = [plain.actors[index] for index in actors]
        graph.channels = [plain.channels[index] for index in channels]
        return graph

    assert digest_of(shuffled, 30, seed=3) == digest_of(lambda: noisy(5), 30, seed=3)


# --------------------------------------------------------------------------- empty ticks


def test_ticks_in_which_nobody_has_mail_are_skipped() -> None:
    graph = talk("0:1")
    graph.connect("s0.out", "ear.heard", delay=10**12)
    sim = Simulation(graph).advance(until=2 * 10**12)  # would take hours if it counted
    assert log_of(sim) == [[10**12, "s0", 1]]
    assert sim.tick == 2 * 10**12


def test_skipping_ticks_changes_no_digest() -> None:
    def sparse() -> Graph:
        graph = talk("0:1 50:2")
        graph.connect("s0.out", "ear.heard", delay=30)
        return graph

    one = Simulation(sparse()).advance(100)
    many = Simulation(sparse())
    for _ in range(100):
        many.advance(1)
    assert one.digest == many.digest


@given(st.lists(st.integers(1, 12), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_splitting_a_run_changes_nothing(pieces: list[int]) -> None:
    with Simulation(noisy(3), seed=5) as sim:
        for piece in pieces:
            sim.advance(piece)
        assert sim.digest == digest_of(lambda: noisy(3), sum(pieces), seed=5)


@pytest.mark.parametrize("at", [0, 1, 7, 19, 39, 40])
def test_stopping_and_resuming_changes_nothing(at: int) -> None:
    with Simulation(noisy(4), seed=2) as sim:
        sim.advance(40)
        assert resumed_digest(sim, at=at) == sim.digest


# ------------------------------------------------------------------- start and the outside


def test_actors_start_at_tick_0_before_any_message() -> None:
    class Early(Actor):
        heard = Input(int)
        log: list[Any] = state(factory=list)

        @on_start
        def begin(self, context: Context) -> None:
            self.log.append(["start", context.tick])

        @on(heard)
        def hear(self, context: Context, value: int) -> None:
            self.log.append([value, context.tick])

    graph = Graph("early")
    graph.add("e", Early)
    sim = Simulation(graph)
    assert log_of(sim, "e") == [["start", 0]]
    sim.inject("e", 5)
    sim.advance(1)
    assert log_of(sim, "e") == [["start", 0], [5, 1]]


def test_messages_to_the_outside_are_outputs_in_order() -> None:
    graph = Graph("out")
    graph.add("b", Speaker, plan="0:1 1:2")
    graph.add("a", Speaker, plan="1:3 0:4")
    graph.connect("a.out", "@output.left")
    graph.connect("b.out", "@output.right", delay=2)
    sim = Simulation(graph).advance(5)
    found = [(each.tick, each.port, each.source, each.value) for each in sim.outputs]
    assert found == [(1, "left", "a", 4), (2, "right", "b", 1), (2, "left", "a", 3), (3, "right", "b", 2)]


def test_handler_that_takes_its_inbox_at_once_gets_all_of_a_tick_in_order() -> None:
    graph = Graph("collect")
    graph.add("c", Collector)
    graph.add("s", Speaker, plan="0:1 1:2 1:3")
    graph.connect("s.out", "c.a", delay=2)
    graph.connect("s.out", "c.b", delay=1)
    graph.connect("c.out", "@output.n")
    sim = Simulation(graph).advance(4)
    assert log_of(sim, "c") == [
        [1, [["b", "s", 0, 1]]],
        [2, [["a", "s", 0, 1], ["b", "s", 1, 2], ["b", "s", 1, 3]]],
        [3, [["a", "s", 1, 2], ["a", "s", 1, 3]]],
    ]
    assert [each.value for each in sim.outputs] == [1, 3, 2]


def test_ring_passes_its_token_one_actor_a_tick() -> None:
    sim = Simulation(ring(3, limit=10)).advance(30)
    assert [actor.seen for _, actor in sim.actors()] == [3, 4, 3]  # type: ignore[attr-defined]
    assert sim.statistics.messages == 13  # three starts, and the token ten times


def test_relay_of_one_actor_sends_to_itself() -> None:
    graph = Graph("self")
    graph.add("r", Relay, starts=True, limit=5)
    graph.connect("r.onward", "r.token", delay=2)
    assert Simulation(graph).advance(20).actor("r").seen == 5  # type: ignore[attr-defined]


def test_same_seed_gives_the_same_digest_and_another_seed_another() -> None:
    digests = [digest_of(noisy, 30, seed=seed) for seed in (1, 1, 2, -1, 2**63)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
