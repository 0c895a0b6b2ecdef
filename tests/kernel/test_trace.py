"""What was delivered: its digest, the first difference of two runs, the causes of a message, goldens."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from neuraxis import (
    Actor,
    Array,
    Graph,
    Input,
    Options,
    Output,
    Simulation,
    array,
    message,
    on,
    on_inbox,
    parameter,
    state,
)
from neuraxis.blueprint import numerics
from neuraxis.codec import ArrayHasher
from neuraxis.errors import ActorFailed, FileUnusable, GoldenMismatch, PayloadRejected, UsageInvalid
from neuraxis.journal.record import BlockDigest
from neuraxis.runner import Settings
from neuraxis.trace import why as why_room
from neuraxis.trace.diff import Difference, differing_stretch, first_difference
from neuraxis.trace.digest import FOLD_BYTES
from neuraxis.trace.golden import FORMAT, HEAD_LINES_MAX, HEAD_TICKS, Golden, check, read_golden, take, write_golden
from neuraxis.trace.record import TraceFile, short
from tests.kernel.actors import Collector, Fragile, Frame, Listener, Point, Relay, Speaker, noisy, ring, talk
from tests.kernel.breakage import disk_full_at, read_only
from tests.kernel.victim import killable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neuraxis import Context, Inbox
    from neuraxis.scheduler.calendar import Mail

# -------------------------------------------------------------------------------- digest


class Sink(Actor):
    """Takes every payload that the digest must tell apart."""

    frame = Input(Frame)
    point = Input(Point)
    numbers = Input(array("float32", None))
    wide = Input(array("float64", None))
    table = Input(array("float32", None, None))
    whole = Input(int)
    real = Input(float)
    flag = Input(bool)
    text = Input(str)
    raw = Input(bytes)

    @on_inbox
    def take(self, context: Context, inbox: Inbox) -> None:
        """Nothing to do with them."""


def sink(*payloads: tuple[str, Any]) -> Simulation:
    """Return a simulation in which these payloads were delivered, one a tick."""
    graph = Graph("sink")
    graph.add("sink", Sink)
    sim = Simulation(graph)
    for port, payload in payloads:
        sim.inject(f"sink.{port}", payload)
        sim.advance(1)
    return sim


class Deliveries:
    """Keeps all that was delivered, tick by tick."""

    def __init__(self) -> None:
        self.ticks: list[tuple[int, list[tuple[int, list[Any]]]]] = []

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        self.ticks.append((tick, [(position, list(mail[position])) for position in order]))


def digest_by_the_book(sim: Simulation) -> str:
    """Return the digest of a run as the documentation tells it, slow and obvious."""
    seen = Deliveries()
    sim.again(observer=seen)
    wiring = sim.wiring

    def blake(data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=32, person=b"neuraxis shard").digest()

    chains, tails = [bytes(32)] * 192, [b""] * 192
    encode = ArrayHasher().encoder.encode
    for tick, inboxes in seen.ticks:
        for shard in range(192):
            mine = [each for each in inboxes if wiring.shards[each[0]] == shard]
            if mine:
                tails[shard] += encode([tick, *(part for each in mine for part in each)])
            if len(tails[shard]) >= FOLD_BYTES:
                chains[shard], tails[shard] = blake(chains[shard] + tails[shard]), b""
    head = blake(wiring.semantic + str(sim.blueprint.seed).encode())
    ends = [blake(c + t) if t or any(c) else bytes(32) for c, t in zip(chains, tails, strict=True)]
    return blake(head + b"".join(ends)).hex()


@given(st.integers(1, 6), st.integers(-5, 5), st.integers(0, 30))
@settings(max_examples=15, deadline=None)
def test_digest_is_what_the_documentation_says(size: int, seed: int, ticks: int) -> None:
    with Simulation(noisy(size), seed=seed) as sim:
        assert sim.advance(ticks).digest == digest_by_the_book(sim)


def test_digest_of_a_shard_beyond_the_fold_is_what_the_documentation_says() -> None:
    sim = sink(*(("raw", bytes([n]) * 20_000) for n in range(9)))
    assert sim.digest == digest_by_the_book(sim)
    assert max(len(each.tail) for each in sim.again().recorder.capture().values()) < FOLD_BYTES


def test_looking_at_the_digest_changes_nothing() -> None:
    payloads = [("raw", bytes([n]) * 20_000) for n in range(9)]
    often = sink()
    for port, payload in payloads:
        often.inject(f"sink.{port}", payload)
        often.advance(1)
        assert len(often.digest) == 64
    assert often.digest == sink(*payloads).digest


@pytest.mark.parametrize("at", range(10))
def test_chains_and_their_tails_can_be_captured_and_restored(at: int) -> None:
    whole = sink(*(("raw", bytes([n]) * 20_000) for n in range(9)))
    stopped = whole.again(until=at).recorder.capture()
    fresh = sink().again().recorder
    fresh.restore(stopped)
    assert fresh.digest() == whole.again(until=at).recorder.digest()
    assert fresh.capture() == stopped


SAME = [
    (("numbers", np.arange(4, dtype=np.float32)), ("numbers", np.arange(8, dtype=np.float32)[:4])),
    (("numbers", np.arange(4, dtype=np.float32)), ("numbers", np.array([0, 9, 1, 9, 2, 9, 3], np.float32)[::2])),
    (("table", np.ones((2, 3), np.float32)), ("table", np.asfortranarray(np.ones((2, 3), np.float32)))),
    (
        ("frame", Frame(1, np.arange(4.0), Point("", 1, 2))),
        ("frame", Frame(1, np.arange(4, dtype=">f8"), Point("", 1, 2))),
    ),
    (("numbers", np.zeros(5000, np.float32)), ("numbers", np.zeros(9000, np.float32)[:5000])),
    (("point", Point("a", 1.0, 2.0)), ("point", Point("a", 1.0, 2.0))),
]
DIFFERENT = [
    ("numbers", np.zeros(0, np.float32)),
    ("numbers", np.zeros(4, np.float32)),
    ("numbers", -np.zeros(4, np.float32)),
    ("numbers", np.full(4, np.nan, np.float32)),
    ("numbers", np.zeros(5, np.float32)),
    ("numbers", np.zeros(5000, np.float32)),
    ("wide", np.zeros(2)),
    ("table", np.zeros((2, 2), np.float32)),
    ("table", np.zeros((1, 4), np.float32)),
    ("table", np.zeros((4, 1), np.float32)),
    ("whole", 0),
    ("whole", 1),
    ("real", 0.0),
    ("real", -0.0),
    ("real", float("nan")),
    ("flag", False),
    ("text", ""),
    ("text", "a"),
    ("raw", b""),
    ("raw", b"a"),
    ("point", Point("a", 1.0, 2.0)),
    ("point", Point("a", 1, 2.0)),
    ("point", Point("a", 2.0, 1.0)),
    ("frame", Frame(1, np.zeros(3), Point("a", 1.0, 2.0))),
    ("frame", Frame(1, np.zeros(3, np.float32), Point("a", 1.0, 2.0))),
    ("frame", Frame(1, np.zeros((3, 1)), Point("a", 1.0, 2.0))),
    ("frame", Frame(1, np.zeros(3), Point("a", 1.0, 3.0))),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_payloads_with_the_same_content_have_the_same_digest(one: tuple[str, Any], other: tuple[str, Any]) -> None:
    assert sink(one).digest == sink(other).digest


def test_payloads_that_differ_in_a_bit_a_type_or_a_shape_have_different_digests() -> None:
    assert len({sink(each).digest for each in DIFFERENT}) == len(DIFFERENT)
    assert len({sink(("whole", 1), ("whole", 2)).digest, sink(("whole", 2), ("whole", 1)).digest}) == 2


def test_seed_tick_and_wiring_are_in_the_digest_from_the_start() -> None:
    other = ring(3)
    other.connect("relay/0.onward", "relay/2.token", delay=9)
    slower = Graph("ring", tick="2 ms")
    slower.actors, slower.channels = ring(3).actors, ring(3).channels
    sims = [Simulation(ring(3)), Simulation(ring(3), seed=1), Simulation(other), Simulation(slower)]
    sims.append(Simulation(ring(3, limit=7)))
    assert len({sim.digest for sim in sims}) == len(sims)


def test_name_of_a_scenario_is_not_in_the_digest() -> None:
    renamed = ring(3)
    renamed.name = "circle"
    assert Simulation(renamed).advance(5).digest == Simulation(ring(3)).advance(5).digest


def test_mail_of_an_actor_changes_its_own_shard_only() -> None:
    def shards(plan: str) -> tuple[bytes, ...]:
        graph = talk(plan)
        graph.connect("s0.out", "ear.heard")
        graph.add("other", Listener, options=Options(shard=7))
        graph.add("s1", Speaker, plan="1:5")
        graph.connect("s1.out", "other.heard")
        return Simulation(graph).advance(9).again().recorder.shard_digests()

    one, two = shards("1:1 3:2"), shards("1:1 3:3")
    changed = [shard for shard in range(192) if one[shard] != two[shard]]
    ear = Simulation(talk()).wiring
    assert changed == [ear.shards[ear.position["ear"]]]
    assert any(one[7])


def test_each_determinism_class_has_a_digest_of_its_own() -> None:
    class Torch(Listener):
        determinism = "machine"

    class Camera(Listener):
        determinism = "statistical"

    def graph(last: int) -> Graph:
        made = talk("1:1", f"2:{last}")
        made.add("torch", Torch)
        made.add("eye", Camera)
        made.connect("s0.out", "ear.heard")
        made.connect("s1.out", "torch.heard")
        return made

    one, two = (Simulation(graph(last)).advance(9) for last in (3, 4))
    assert list(one.digests) == ["exact", "machine", "statistical"]
    assert one.determinism == "statistical"
    assert one.digest != two.digest
    assert Simulation(talk()).digests.keys() == {"exact"}


def test_mail_of_one_determinism_class_changes_no_other() -> None:
    class Torch(Listener):
        determinism = "machine"

    def digests(value: int) -> dict[str, str]:
        graph = Graph("two")
        graph.add("torch", Torch)
        graph.add("ear", Listener)
        sim = Simulation(graph)
        sim.inject("torch.heard", value)
        return sim.advance(2).digests

    one, two = digests(1), digests(2)
    assert one["exact"] == two["exact"]
    assert one["machine"] != two["machine"]


def test_nothing_that_does_not_decide_results_changes_the_digest(tmp_path: Path) -> None:
    def digest(number: int, **settings_: Any) -> str:
        with Simulation(killable(), folder=tmp_path / str(number), settings=Settings(**settings_)) as sim:
            return sim.advance(45).digest

    with Simulation(killable()) as plain:
        expected = plain.advance(45).digest
    variants: list[dict[str, Any]] = [
        {},
        {"trace": "full"},
        {"durable": True},
        {"block": 7},
        {"snapshot_every": 4},
        {"trace": "full", "block": 1, "snapshot_every": 1, "extra": {"backend": "x"}, "scenario": {"a": 1}},
    ]
    assert [digest(number, **each) for number, each in enumerate(variants)] == [expected] * len(variants)


def test_tick_that_failed_is_not_in_the_digest() -> None:
    def fragile(*values: int) -> Simulation:
        graph = Graph("fragile")
        graph.add("f", Fragile)
        graph.add("ear", Listener)
        graph.connect("f.out", "ear.heard")
        sim = Simulation(graph)
        for value in values:
            sim.inject("f", value)
            sim.advance(1)
        return sim

    sim = fragile(1, 2)
    sound = sim.digest
    sim.inject("f", -1)
    with pytest.raises(ActorFailed):
        sim.advance(1)
    assert sim.digest == sound
    assert sim.recover().digest == sound


@pytest.mark.parametrize("crowd", [1, 5])
def test_payload_without_canonical_form_leaves_its_tick_out_of_the_digest(crowd: int) -> None:
    """Also if the shards of others had recorded the tick already."""

    class Rash(Actor):
        heard = Input(int)
        out = Output(int)

        @on(heard)
        def hear(self, context: Context, value: int) -> None:
            context.send("out", 2**value)

    graph = Graph("rash")
    graph.add("rash", Rash)
    graph.add("zebra", Listener, options=Options(shard=9))
    graph.connect("rash.out", "zebra.heard")
    for number in range(crowd):
        graph.add(f"ear/{number}", Listener, options=Options(shard=number))
        graph.connect("rash.out", f"ear/{number}.heard", delay=2)
    sim = Simulation(graph)
    sim.inject("rash", 3)
    sim.advance(1)
    sim.inject("rash", 70)
    sim.advance(1)
    sound = sim.digest
    with pytest.raises(PayloadRejected, match="a canonical byte form, got one without"):
        sim.advance(1)
    assert sim.digest == sound
    assert sim.recover().digest == sound


def test_nobody_is_blamed_for_mail_that_has_a_canonical_form() -> None:
    recorder = Simulation(talk()).again().recorder
    good, bad = (0, 0, "heard", 1, None), (0, 1, "heard", 2**70, None)
    assert recorder.find_unencodable([0], {0: [good]}) is None
    found = recorder.find_unencodable([0, 1], {0: [good], 1: [good, bad]})
    assert found is not None
    assert found[:2] == (1, bad)


# ------------------------------------------------------------------------------ first diff


def compared(a: Simulation, b: Simulation) -> Difference | None:
    """Return the first difference between two runs."""
    end = min(a.tick, b.tick)
    return first_difference(lambda seen: a.again(observer=seen), lambda seen: b.again(observer=seen), 0, end)


def heard(*plans: str, delay: int = 1, port: str = "heard") -> Simulation:
    """Return a simulation in which a listener heard speakers with these plans."""
    graph = talk(*plans)
    for index in range(len(plans)):
        graph.connect(f"s{index}.out", f"ear.{port}", delay=delay)
    return Simulation(graph).advance(20)


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


class Evident(Actor):
    """Keeps the messages it hears, and names the one that its parameter says."""

    which: int = parameter(int, 0)
    heard = Input(int)
    out = Output(int, evidence=True)
    kept: list[int] = state(factory=list)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.kept.append(context.message)
        if len(self.kept) == 3:
            context.send("out", value, because=[self.kept[self.which]])  # type: ignore[list-item]


def evident(which: int) -> Simulation:
    graph = Graph("evident")
    graph.add("e", Evident, which=which)
    graph.add("s", Speaker, plan="1:5 2:6 3:7")
    graph.connect("s.out", "e.heard")
    graph.connect("e.out", "@output.answer")
    return Simulation(graph).advance(9)


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


# ------------------------------------------------------------------------------------ why


def conversation() -> Simulation:
    """Return a simulation in which inputs went through relays and a collector to the outside."""
    graph = Graph("conversation")
    graph.add("first", Relay)
    graph.add("second", Relay)
    graph.add("all", Collector)
    graph.connect("first.onward", "second.token", delay=2)
    graph.connect("second.onward", "all.a")
    graph.connect("first.onward", "all.b", delay=3)
    graph.connect("all.out", "@output.count")
    sim = Simulation(graph)
    sim.inject("first", 5)
    sim.advance(1)
    sim.inject("second", 70)
    return sim.advance(9)


def test_why_walks_from_an_output_back_to_the_inputs() -> None:
    sim = conversation()
    found = {output.value: sim.why(output) for output in sim.outputs}
    last = sim.why(sim.outputs[-1])
    assert last.message == f"all#{len(sim.outputs) - 1}"
    assert set(last.roots) <= {"@input#0", "@input#1"}
    assert last.steps[last.roots[0]].is_root
    assert not last.truncated
    assert {root for each in found.values() for root in each.roots} == {"@input#0", "@input#1"}


def test_why_names_all_messages_of_an_inbox_that_was_taken_at_once() -> None:
    sim = conversation()
    both = next(output for output in sim.outputs if output.value == 2)
    found = sim.why(both)
    assert found.steps[found.message].causes == ("first#0", "second#1")
    assert found.steps["second#1"].causes == ("first#0",)
    assert found.steps["first#0"].causes == ("@input#0",)
    assert found.roots == ("@input#0",)
    assert str(found).splitlines() == [
        "all#1: 2  ->  @output.count, tick 5",
        "  <- first#0: 6  ->  second.token and 1 more, tick 3",
        "  <- @input#0: 5  ->  first.token, tick 1",
        "  <- second#1: 7  ->  all.a, tick 4",
        "  <- first#0: 6  ->  second.token and 1 more, tick 3  (see above)",
        "begins with: @input#0",
    ]


def test_cause_of_a_timer_is_its_setter_and_starts_are_roots() -> None:
    found = heard("1:1 5:2").why("s0#3")
    assert found.steps["s0#3"].causes == ("s0#1",)
    assert found.steps["s0#1"].deliveries[0].port == "@timer:speak"
    assert found.steps["s0#1"].causes == ("@start#0",)
    assert found.roots == ("@start#0",)


def test_evidence_that_is_held_in_state_is_a_cause() -> None:
    sim = evident(1)
    (answer,) = sim.outputs
    found = sim.why(answer)
    direct = found.steps[found.message].causes
    assert len(direct) == 2
    told = [found.steps[name].deliveries[0].payload for name in direct]
    assert told == ["7", "6"]
    assert sim.why(answer.id).steps == found.steps


def test_run_can_be_looked_back_on_while_an_effect_is_open() -> None:
    with Simulation(killable()) as sim:
        sim.advance(until=40)  # it asked at tick 38, and the outcome is due at tick 42
        assert sim.why("asker#1").roots == ("@start#0",)
        assert take(sim).digests == sim.digests


def test_cause_of_an_outcome_is_who_asked_for_it() -> None:
    with Simulation(killable()) as sim:
        found = sim.advance(7).why("asker#3")
    chain = ["asker#3", "asker#1", "asker#0", "@start#0"]
    assert list(found.steps) == chain
    ports = [found.steps[name].deliveries[0].port for name in chain]
    assert ports == ["heard", "@outcome:doubled", "@timer:ask", "@start"]


@given(st.integers(0, 2**32), st.integers(0, 200))
@settings(max_examples=15, deadline=None)
def test_every_message_of_a_run_has_causes_that_end_at_inputs_or_starts(seed: int, which: int) -> None:
    with Simulation(noisy(3), seed=seed) as sim:
        sim.inject("n0.heard", 5)
        sim.advance(15)
        seen = Deliveries()
        sim.again(observer=seen)
        messages = sorted({e[1] for _, inboxes in seen.ticks for _, inbox in inboxes for e in inbox})
        found = sim.why(messages[which % len(messages)])
        assert found.roots
        for step in found.steps.values():
            assert step.deliveries
            assert bool(step.causes) is not step.is_root
            assert all(cause in found.steps for cause in step.causes)


@pytest.mark.parametrize(
    "name",
    [
        "ear",
        "ear#",
        "ear#x",
        "ear#-1",
        "#3",
        "nobody#0",
        "s0#99",
        "s0#17592186044415",
        "s0#17592186044416",
        "s0#" + "9" * 5000,
        -3,
        -(2**70),
        2**63,
        2**70,
    ],
)
def test_message_that_was_never_delivered_has_no_explanation(name: Any) -> None:
    with pytest.raises(UsageInvalid, match=r"message|there is no actor"):
        heard("1:1").why(name)


def test_misspelt_actor_of_a_message_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageInvalid, match=r"there is no actor 'eat'. Did you mean 'ear'\?"):
        heard("1:1").why("eat#0")


def test_message_that_reached_nobody_has_no_explanation() -> None:
    with pytest.raises(UsageInvalid, match=r"no message s0#0 was delivered. A message is named path#sequence"):
        Simulation(talk("0:1")).advance(5).why("s0#0")


def test_long_explanations_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulation(ring(3)) as sim:
        sim.advance(50)
        found = sim.why("relay/1#15")
        assert len(found.steps) > 40
        assert found.lines(limit=3)[3] == f"… and {len(found.steps) - 3} more messages"
        monkeypatch.setattr(why_room, "MESSAGES_MAX", 5)
        short_one = sim.why("relay/1#15")
    assert short_one.truncated
    assert len(short_one.steps) == 5
    assert short_one.lines()[-2:] == ["… and at least 1 more messages", "begins with: "]


# --------------------------------------------------------------------------------- golden


def run(seed: int = 1, ticks: int = 400, size: int = 3) -> Simulation:
    return Simulation(noisy(size), seed=seed).advance(ticks)


def mismatch(sim: Simulation, golden: Golden) -> str:
    with pytest.raises(GoldenMismatch) as found:
        check(sim, golden, command="make golden")
    assert str(found.value).endswith("If the change is meant: make golden")
    assert found.value.exit_code == 3
    return found.value.finding


def test_run_agrees_with_its_golden_and_with_what_was_written(tmp_path: Path) -> None:
    golden = take(run(), scenario="noisy.toml", overrides=("a=1",))
    kept = write_golden(tmp_path / "g.json", golden, reason="first ")
    assert read_golden(tmp_path / "g.json") == kept
    assert replace(kept, reasons=()) == golden
    assert (golden.scenario, golden.overrides, golden.seed, golden.until) == ("noisy.toml", ("a=1",), 1, 400)
    assert golden.digests == run().digests
    check(run(), kept, command="")
    assert take(run()).scenario == "noisy"


def test_golden_holds_blocks_and_a_readable_head() -> None:
    golden = take(run(ticks=600))
    assert golden.block == 3
    assert all(int(end) % 3 == 0 for end in golden.blocks)
    assert len(golden.head) <= HEAD_LINES_MAX
    assert golden.head[0].split()[:3] == ["0", "n0.@start", "<-"]
    assert int(golden.head[-1].split()[0]) <= HEAD_TICKS
    quiet = take(heard("0:1 70:2"))
    assert quiet == take(heard("0:1 70:2"))


def test_head_of_a_golden_ends_where_it_should() -> None:
    def head(plan: str) -> list[str]:
        graph = talk(plan)
        graph.connect("s0.out", "ear.heard")
        return [line for line in take(Simulation(graph).advance(100)).head if "ear.heard" in line]

    assert len(head(f"{HEAD_TICKS - 1}:1 {HEAD_TICKS}:2")) == 1
    assert (
        len(head(" ".join(f"5:{value}" for value in range(HEAD_LINES_MAX)))) == HEAD_LINES_MAX - 2
    )  # its start and its timer


def test_golden_changes_only_with_a_reason_and_keeps_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    for reason in ("", "  "):
        with pytest.raises(UsageInvalid, match=r"a golden changes only with a reason. Pass --reason"):
            write_golden(path, take(run()), reason=reason)
    assert not path.exists()
    write_golden(path, take(run()), reason="made")
    write_golden(path, take(run(seed=2)), reason="another seed")
    found = read_golden(path)
    assert [(each.text, each.digest) for each in found.reasons] == [
        ("made", f"exact:{run().digests['exact']}"),
        ("another seed", f"exact:{run(seed=2).digests['exact']}"),
    ]


def test_mismatch_in_the_first_ticks_prints_the_delivery() -> None:
    golden = take(heard("1:1 5:2"))
    assert mismatch(heard("1:1 5:3"), golden).splitlines() == [
        "first divergence:",
        "  golden:        6  ear.heard  <-  s0#3 (sent 5): 2  because s0#1",
        "  now:           6  ear.heard  <-  s0#3 (sent 5): 3  because s0#1",
    ]
    assert mismatch(heard("1:1 5:2 7:3"), take(heard("1:1 5:2 9:3"))).startswith("first divergence:")
    fewer = talk("1:1")
    fewer.connect("s0.out", "ear.heard")
    assert mismatch(Simulation(fewer).advance(20), golden).count("\n") == 2


def test_mismatch_beyond_the_head_names_ticks_and_receivers() -> None:
    def late(value: int, ticks: int) -> Simulation:
        graph = talk(f"1:1 90:{value}")
        graph.connect("s0.out", "ear.heard")
        return Simulation(graph).advance(ticks)

    assert mismatch(late(3, 200), take(late(2, 200))) == "first divergence in tick 91, among what these received: ear"
    found = mismatch(late(3, 1_000), take(late(2, 1_000)))
    assert found == "first divergence in ticks 89 to 92, among what these received: ear"


def test_mismatch_names_at_most_eight_receivers() -> None:
    def crowd(value: int) -> Simulation:
        graph = Graph("crowd")
        graph.add("s", Speaker, plan=f"90:{value}")
        for number in range(12):
            graph.add(f"ear/{number:02d}", Listener)
            graph.connect("s.out", f"ear/{number:02d}.heard")
        return Simulation(graph).advance(100)

    found = mismatch(crowd(2), take(crowd(1)))
    assert "ear/00, ear/01" in found
    assert found.endswith("and 4 more")


def test_mismatch_of_seed_or_wiring_alone_says_so() -> None:
    quiet = Simulation(talk()).advance(5)
    assert mismatch(Simulation(talk(), seed=2).advance(5), take(quiet)) == "they were made differently: seed 0 and 2"
    slower = Graph("talk", tick="2 ms")
    slower.add("ear", Listener)
    assert mismatch(Simulation(slower).advance(5), take(quiet)) == (
        "seed, scenario or parameters differ, the deliveries do not"
    )


def test_golden_is_compared_only_where_it_ends() -> None:
    with pytest.raises(UsageInvalid, match=r"ends at tick 400, the simulation stands at 399. Advance to tick 400"):
        check(run(ticks=399), take(run()), command="")


@pytest.mark.parametrize(("determinism", "elsewhere"), [("machine", True), ("machine", False), ("statistical", False)])
def test_class_machine_is_compared_on_the_same_machine_only_and_statistical_never(
    determinism: str, elsewhere: bool
) -> None:
    made = type("Torch", (Listener,), {"determinism": determinism})

    def sim(value: int) -> Simulation:
        graph = Graph("torch")
        graph.add("torch", made)
        opened = Simulation(graph)
        opened.inject("torch.heard", value)
        return opened.advance(3)

    golden = take(sim(1))
    assert golden.numerics == numerics()
    if elsewhere:
        golden = replace(golden, numerics={**golden.numerics, "machine": "abacus"})
    if determinism == "machine" and not elsewhere:
        assert "first divergence" in mismatch(sim(2), golden)
    else:
        check(sim(2), golden, command="")
    check(sim(1), golden, command="")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 1}', b'{"format": "one"}'])
def test_file_that_is_no_golden_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "g.json").write_bytes(damage)
    with pytest.raises(UsageInvalid, match=r"g.json is no golden: .* Restore it, or make it anew."):
        read_golden(tmp_path / "g.json")


def test_golden_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    write_golden(path, take(heard("1:1")), reason="made")
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageInvalid):
            read_golden(path)


def test_golden_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    write_golden(tmp_path / "g.json", replace(take(run()), format=FORMAT + 1), reason="from the future")
    with pytest.raises(UsageInvalid, match=r"golden format 2, this version reads up to 1. Install a newer neuraxis."):
        read_golden(tmp_path / "g.json")


def test_golden_that_is_missing_or_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="Make it with: neuraxis golden update"):
        read_golden(tmp_path / "g.json")
    golden = take(run())
    with read_only(tmp_path), pytest.raises(FileUnusable, match="choose a folder that you can write to"):
        write_golden(tmp_path / "g.json", golden, reason="made")
    write_golden(tmp_path / "g.json", golden, reason="made")
    with disk_full_at(500), pytest.raises(FileUnusable, match="Free space"):
        write_golden(tmp_path / "g.json", golden, reason="again")
    assert [each.text for each in read_golden(tmp_path / "g.json").reasons] == ["made"]


# ------------------------------------------------------------------------------ trace.jsonl


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
