"""Order: inboxes are canonical in every graph, and nothing but messages decides what happens."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neuraxis import Actor, Graph, Input, Options, Output, Simulation, on, on_inbox, on_start, on_timer, state
from neuraxis.blueprint import History, execute_again
from neuraxis.errors import ChannelOverflow
from neuraxis.explore.trial import CauseCheck
from neuraxis.graph import OVERFLOWS
from neuraxis.runner import Settings
from neuraxis.scheduler.envelope import activation_id, first_id, sequence_of, source_of
from neuraxis.simulation import TRACE_NAME
from neuraxis.testing.checks import resumed_digest, shuffled_digest
from tests.kernel.actors import Listener, Noisy, log_of, noisy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neuraxis import Context, Inbox
    from neuraxis.scheduler.calendar import Mail

TICKS = 25


class Talks(Actor):
    """Talks at random, and remembers when it said what."""

    heard = Input(int)
    also = Input(int)
    out = Output(int)
    total: int = state(0)
    said: list[Any] = state(factory=list)

    @on_start
    def begin(self, context: Context) -> None:
        self.talk(context)

    @on_timer("again")
    def talk(self, context: Context) -> None:
        context.wake(1 + context.stream("pace").integers(0, 4), "again")
        self.say(context, self.total)

    def take_in(self, value: int) -> None:
        self.total = (self.total * 31 + value) % 100_003

    def say(self, context: Context, value: int) -> None:
        self.said.append([context.tick, int(context.send("out", value)), value])

    @on_inbox
    def take(self, context: Context, inbox: Inbox) -> None:
        """Answer some inboxes as a whole."""
        for each in inbox:
            self.take_in(each.payload)
        if self.total % 3 == 0:
            self.say(context, self.total)


class Chatter(Actor):
    """Likewise, but answers message by message; once a tick at most, so that talk does not multiply."""

    heard = Input(int)
    also = Input(int)
    out = Output(int)
    total: int = state(0)
    said: list[Any] = state(factory=list)
    answered: int = state(-1)
    begin, talk, take_in, say = Talks.begin, Talks.talk, Talks.take_in, Talks.say

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.take_in(value)
        if value % 3 == 0:
            self.answer(context, value + 1)

    @on(also)
    def hear_also(self, context: Context, value: int) -> None:
        self.take_in(-value)

    def answer(self, context: Context, value: int) -> None:
        if self.answered < context.tick:
            self.answered = context.tick
            self.say(context, value)


class Waiter(Chatter):
    """Likewise, but thinks on another thread before it answers."""

    @on(Chatter.heard)
    async def hear(self, context: Context, value: int) -> None:
        self.take_in(await context.offload(abs, value))
        self.answer(context, self.total)


PATHS = ("a", "a/b", "a-b", "b", "c/0", "c/1")
"""Not in the order of their parts: `-` sorts before `/`."""

edges = st.tuples(
    st.integers(0, 5), st.integers(0, 5), st.sampled_from(["heard", "also"]), st.integers(1, 4), st.booleans()
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Return a graph of actors of all kinds, joined at random: several sources, ports, delays and both lanes."""
    graph = Graph("random")
    size = draw(st.integers(2, len(PATHS)))
    for path in PATHS[:size]:
        graph.add(path, draw(st.sampled_from([Chatter, Chatter, Talks, Waiter])))
    for source, target, port, delay, urgent in draw(
        st.lists(edges, min_size=2, max_size=14, unique_by=lambda e: e[:4])
    ):
        if source < size and target < size:
            lane = "emergency" if urgent else "normal"
            graph.connect(f"{PATHS[source]}.out", f"{PATHS[target]}.{port}", delay=delay, lane=lane)
    return graph


@st.composite
def runs(draw: st.DrawFn) -> Simulation:
    """Return a finished run of a random graph with some inputs."""
    graph, seed = draw(graphs()), draw(st.integers(0, 2**32))
    inputs = draw(st.lists(st.tuples(st.integers(0, 10), st.integers(0, len(graph.actors) - 1)), max_size=6))
    sim = Simulation(graph, seed=seed)
    for tick, target in sorted(inputs):
        sim.advance(until=tick).inject(f"{PATHS[target]}.heard", 10 * tick + target)
    return sim.advance(until=TICKS)


class Deliveries:
    """Notes what is delivered: (tick, target) to (sent, source, sequence, port, payload) in the order of the inbox."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.paths = paths
        self.inboxes: dict[tuple[int, str], list[tuple[int, str, int, str, Any]]] = {}

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        for receiver in order:
            self.inboxes[tick, self.paths[receiver]] = [
                (sent, self.paths[source_of(message)], sequence_of(message), port, payload)
                for sent, message, port, payload, _ in mail[receiver]
            ]


def deliveries(sim: Simulation) -> Deliveries:
    """Return what a run delivered, by executing it again."""
    observer = Deliveries(sim.wiring.paths)
    sim.again(observer=observer)
    return observer


# ----------------------------------------------------------------------------- properties


@given(runs())
@settings(max_examples=40, deadline=None)
def test_every_inbox_holds_exactly_what_is_due_in_canonical_order(sim: Simulation) -> None:
    """Checked against the naive reading of the rule: all that was said, by due tick, sorted."""
    with sim:
        expected = defaultdict(list)
        for channel in sim.wiring.channels:
            for sent, message, value in sim.actor(channel.source).said:  # type: ignore[attr-defined]
                if sent + channel.delay <= TICKS:
                    key = (channel.lane == "normal", sent, channel.source, sequence_of(message), channel.input)
                    expected[sent + channel.delay, channel.target].append((*key, value))
        got = {
            where: [each for each in inbox if each[1][0] != "@" and each[3][0] != "@"]
            for where, inbox in deliveries(sim).inboxes.items()
        }
        assert {where: inbox for where, inbox in got.items() if inbox} == {
            where: [each[1:] for each in sorted(inbox)] for where, inbox in expected.items()
        }


@given(runs())
@settings(max_examples=30, deadline=None)
def test_timers_and_inputs_stand_in_the_inbox_by_tick_source_and_sequence(sim: Simulation) -> None:
    with sim:
        lanes = {
            (each.source, each.target, each.input, each.delay): each.lane == "normal" for each in sim.wiring.channels
        }
        for (tick, target), inbox in deliveries(sim).inboxes.items():
            order = [
                (lanes.get((source, target, port, tick - sent), True), sent, source, sequence)
                for sent, source, sequence, port, _ in inbox
            ]
            assert order == sorted(order)


@given(runs(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_order_in_which_actors_run_changes_no_digest(sim: Simulation, key: int) -> None:
    with sim:
        assert shuffled_digest(sim, key=key) == sim.digest
        assert shuffled_digest(sim, key=key + 1) == sim.digest


@given(runs(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_of_registration_changes_no_digest(sim: Simulation, chance: Any) -> None:
    with sim:
        plain, shuffled = sim.blueprint.graph, Graph("shuffled")
        shuffled.actors = chance.sample(plain.actors, len(plain.actors))
        shuffled.channels = chance.sample(plain.channels, len(plain.channels))
        with Simulation(shuffled, seed=sim.blueprint.seed) as other:
            assert other.wiring.semantic == sim.wiring.semantic
            for record in History(sim.records()).inputs:
                other.advance(until=record.tick).inject(f"{record.target}.{record.port}", record.payload)
            assert other.advance(until=TICKS).digest == sim.digest


@given(runs(), st.integers(0, TICKS))
@settings(max_examples=25, deadline=None)
def test_stopping_and_resuming_anywhere_changes_no_digest(sim: Simulation, at: int) -> None:
    with sim:
        assert resumed_digest(sim, at=at) == sim.digest


@given(runs())
@settings(max_examples=30, deadline=None)
def test_looking_on_changes_no_digest(sim: Simulation) -> None:
    with sim:
        observer = Deliveries(sim.wiring.paths)
        assert sim.again(observer=observer).recorder.digest() == sim.digest
        assert sim.again().recorder.digest() == sim.digest
        assert sum(map(len, observer.inboxes.values())) == sim.statistics.messages


@given(runs())
@settings(max_examples=30, deadline=None)
def test_every_delivered_message_names_causes_that_were_delivered_before_it(sim: Simulation) -> None:
    with sim:
        check = CauseCheck(sim.wiring)
        sim.again(observer=check)
        assert check.broken is None


@given(runs())
@settings(max_examples=30, deadline=None)
def test_only_ticks_in_which_something_is_due_are_run(sim: Simulation) -> None:
    with sim:
        seen: list[int] = []

        class Ticks:
            def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
                seen.append(tick)
                assert all(mail[receiver] for receiver in order)
                assert order

        sim.again(observer=Ticks())
        assert seen == sorted(set(seen))


def test_trace_level_changes_no_digest(tmp_path: Path) -> None:
    digests = set()
    for level in ("digest", "full"):
        with Simulation(noisy(), seed=3, folder=tmp_path / level, settings=Settings(trace=level)) as sim:
            digests.add(sim.advance(50).digest)
            count = sim.statistics.messages
    with Simulation(noisy(), seed=3) as sim:
        digests.add(sim.advance(50).digest)
    assert len(digests) == 1
    lines = [json.loads(line) for line in (tmp_path / "full" / TRACE_NAME).read_text().splitlines()]
    assert len(lines) == count
    assert not (tmp_path / "digest" / TRACE_NAME).exists()


# ------------------------------------------------------------------------------- controls


GLOBAL = {"count": 0}


class Cheat(Noisy):
    """Negative control: shares a module global with the other cheats."""

    @on_timer("again")
    def again(self, context: Context) -> None:
        GLOBAL["count"] = (GLOBAL["count"] * 31 + len(context.path)) % 1009
        context.wake(1, "again")
        context.send("out", GLOBAL["count"])


def test_actors_that_share_a_module_global_break_the_digest_under_shuffling() -> None:
    graph = Graph("cheats")
    for path in ("a", "bb", "ccc"):
        graph.add(path, Cheat)
        graph.connect(f"{path}.out", f"{path}.heard")
    GLOBAL["count"] = 0
    with Simulation(graph) as sim:
        digest = sim.advance(10).digest
        GLOBAL["count"] = 0
        assert sim.again().recorder.digest() == digest, "in the same order the global does not show"
        found = set()
        for key in range(4):
            GLOBAL["count"] = 0
            found.add(shuffled_digest(sim, key=key))
        assert found != {digest}


def test_message_without_a_known_cause_is_found() -> None:
    with Simulation(noisy()) as sim:
        wiring = sim.wiring
    position, message = wiring.position["n1"], first_id(wiring.position["n0"]) + 5
    for cause in (None, first_id(position) + 9, activation_id(position, 3)):
        check = CauseCheck(wiring)
        check.tick(7, [position], {position: [(6, message, "heard", 1, cause)]})
        assert check.broken == "a message to n1.heard at tick 7 has no known cause"
        check.tick(8, [position], {position: [(7, message + 1, "heard", 1, message)]})
        assert check.broken.endswith("at tick 7 has no known cause")


def test_activation_that_took_place_is_a_known_cause() -> None:
    with Simulation(noisy()) as sim:
        wiring = sim.wiring
    source, target = wiring.position["n0"], wiring.position["n1"]
    check = CauseCheck(wiring)
    check.tick(3, [source], {source: [(0, first_id(wiring.position["@input"]), "heard", 1, None)]})
    check.tick(4, [target], {target: [(3, first_id(source), "heard", 1, activation_id(source, 3))]})
    assert check.broken is None


def test_skipped_ticks_cost_nothing_and_change_nothing() -> None:
    class Rare(Actor):
        out = Output(int)

        @on_start
        def begin(self, context: Context) -> None:
            self.rise(context)

        @on_timer("rise")
        def rise(self, context: Context) -> None:
            context.wake(100_003, "rise")
            context.send("out", context.tick)

    graph = Graph("rare")
    graph.add("r", Rare)
    graph.add("ear", Listener)
    graph.connect("r.out", "ear.heard", delay=50_000)
    with Simulation(graph) as sim:
        sim.advance(until=10**6)
        assert len(log_of(sim)) == 10
        observer = Deliveries(sim.wiring.paths)
        end = execute_again(sim.blueprint, History(sim.records()), until=10**6, observer=observer)
        assert len(observer.inboxes) == 20
        assert (end.calendar.now, end.recorder.digest()) == (10**6, sim.digest)


# -------------------------------------------------------- channel policies against a model


class Mouth(Actor):
    """Says what it is told, at once."""

    told = Input(int)
    out = Output(int)

    @on(told)
    def say(self, context: Context, value: int) -> None:
        context.send("out", value)


class ChannelMachine(RuleBasedStateMachine):
    """Two mouths on bounded channels and one on the emergency lane talk to an ear that takes few messages a tick."""

    @initialize(
        takes=st.integers(1, 3),
        bounds=st.tuples(*[st.tuples(st.none() | st.integers(0, 4), st.sampled_from(OVERFLOWS))] * 2),
        delays=st.tuples(*[st.integers(1, 3)] * 3),
    )
    def open(self, takes: int, bounds: Any, delays: Any) -> None:
        graph = Graph("channels")
        graph.add("ear", Listener, options=Options(messages_per_tick=takes))
        for path, (capacity, overflow), delay in zip("xy", bounds, delays, strict=False):
            graph.add(path, Mouth)
            graph.connect(f"{path}.out", "ear.heard", delay=delay, capacity=capacity, overflow=overflow)
        graph.add("z", Mouth)
        graph.connect("z.out", "ear.heard", delay=delays[2], lane="emergency")
        self.sim = Simulation(graph)
        self.takes = takes
        self.bounds = dict(zip("xy", bounds, strict=True))
        self.delays = dict(zip("xyz", delays, strict=True))
        self.said = dict.fromkeys("xyz", 0)
        self.coming: list[tuple[int, str, int, int]] = []  # sent, path, sequence, value
        self.waiting: list[tuple[int, str, int, int]] = []
        self.heard: list[list[Any]] = []
        self.lost: dict[str, int] = {}
        self.is_over = False

    @precondition(lambda self: not self.is_over)
    @rule(path=st.sampled_from("xxyyz"), count=st.integers(1, 5))
    def say(self, path: str, count: int) -> None:
        for _ in range(count):
            value = 100 * "xyz".index(path) + self.said[path]
            self.sim.inject(path, value)
            self.coming.append((self.sim.tick + 1, path, self.said[path], value))
            self.said[path] += 1

    @precondition(lambda self: not self.is_over)
    @rule(ticks=st.integers(1, 4))
    def advance(self, ticks: int) -> None:
        for _ in range(ticks):
            overflows = self.step(self.sim.tick + 1)
            if overflows:
                with pytest.raises(ChannelOverflow) as error:
                    self.sim.advance(1)
                assert error.value.channel.partition(" ")[0] == overflows
                self.sim.recover()
                self.is_over = True
                return
            self.sim.advance(1)

    @precondition(lambda self: self.is_over)
    @rule()
    def run_on_after_the_overflow(self) -> None:
        with pytest.raises(ChannelOverflow):
            self.sim.advance(1)
        self.sim.recover()

    def step(self, tick: int) -> str:
        """Move the model on; return the sender whose channel overflows, if that is an error."""
        due = [each for each in self.coming if each[0] + self.delays[each[1]] == tick]
        urgent = sorted(each for each in due if each[1] == "z")
        waiting = sorted([*self.waiting, *(each for each in due if each[1] != "z")])
        taken, rest = waiting[: self.takes], waiting[self.takes :]
        lost = []
        for path in sorted({each[1] for each in rest}, key=[each[1] for each in rest].index):
            mine = [each for each in rest if each[1] == path]
            capacity, overflow = self.bounds[path]
            if capacity is None or len(mine) <= capacity:
                continue
            if overflow == "error":
                return path
            some = mine[: len(mine) - capacity] if overflow == "drop_oldest" else mine[capacity:]
            self.lost[f"overflow: {overflow}"] = self.lost.get(f"overflow: {overflow}", 0) + len(some)
            lost += some
        self.waiting = [each for each in rest if each not in lost]
        self.coming = [each for each in self.coming if each not in due]
        self.heard += [[tick, path, value] for _, path, _, value in [*urgent, *taken]]
        return ""

    @precondition(lambda self: not self.is_over)
    @invariant()
    def agrees(self) -> None:
        assert log_of(self.sim) == self.heard
        assert self.sim.statistics.waiting == len(self.waiting)
        assert self.sim.statistics.dead_letters == dict(sorted(self.lost.items()))

    def teardown(self) -> None:
        if hasattr(self, "sim"):
            if self.sim.tick > 1:
                assert resumed_digest(self.sim, at=self.sim.tick // 2) == self.sim.digest
            self.sim.close()


ChannelMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestChannelPoliciesAgreeWithTheModel = ChannelMachine.TestCase
