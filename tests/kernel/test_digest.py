"""The digest: as the documentation tells it, with all in it that decides a result, and nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis import Actor, Graph, Input, Options, Output, Simulation, array, on, on_inbox
from neuraxis.codec import ArrayHasher
from neuraxis.errors import ActorFailed, PayloadRejected
from neuraxis.runner import Settings
from neuraxis.trace.digest import FOLD_BYTES
from tests.kernel.actors import Deliveries, Fragile, Frame, Listener, Point, Speaker, noisy, ring, talk
from tests.kernel.victim import killable

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis import Context, Inbox


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
