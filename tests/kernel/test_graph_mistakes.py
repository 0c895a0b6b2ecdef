"""Mistakes in a graph: `wire` tells all of them at once, each with its place and what to write."""

from __future__ import annotations

import pytest

from neuraxis import Actor, Graph, Options, Output, array, parameter
from neuraxis.errors import ScenarioInvalid, UnitInvalid
from neuraxis.graph import ActorSpec
from neuraxis.wiring import ACTORS_MAX, wire
from tests.kernel.actors import Plain, Relay, dials


def problems(graph: Graph) -> dict[str, str]:
    """Return key and text of every mistake that `wire` finds."""
    with pytest.raises(ScenarioInvalid) as invalid:
        wire(graph)
    found = invalid.value.problems
    assert str(invalid.value).count("\n") == len(found)
    return {each.key: f"{each.got} | {each.expected}" for each in found}


class Broken(Actor):
    """Cannot be made with some parameters."""

    divisor: int = parameter(int, 1)
    own: int = parameter(int, 0)

    def setup(self) -> None:
        if self.own:
            Relay(limt=self.own)
        self.ratio = 1 / self.divisor


def test_every_mistake_of_a_graph_is_reported_at_once() -> None:
    graph = dials(a=3, b=4)
    graph.add("a", Plain, size=5)
    graph.add("9bad path", Plain, size=1)
    graph.add("shard", Plain, size=1, options=Options(shard=64))
    graph.add("opts", Plain, size=1, options=Options(messages_per_tick=0, checkpoint_every=0, failures_max=0, pause=-1))
    graph.add("names", Plain, siz=1)
    graph.add("units", Plain, size=1, tau="20 mV", wait="1500 us", mode="sofd", flags=[1])
    graph.add("bare", Plain, size=0, tau=20.0)
    graph.add("broken", Broken, divisor=0)
    graph.add("inner", Broken, own=1)
    graph.connect("a.out", "bb.picture")
    graph.connect("a.outt", "b.picture")
    graph.connect("a.words", "b.numbr")
    graph.connect("a.words", "b.number")
    graph.connect("a.points", "b.point", delay=0)
    graph.connect("b.points", "a.point", delay=-1, capacity=-1)
    graph.connect("b.points", "b.point")
    graph.connect("b.points", "b.point")
    graph.connect("names.words", "b.number")
    found = problems(graph)
    expected = {
        "a": "a second actor at 'a'",
        "9bad path": "no valid path: '9bad path'",
        "shard.shard": "64 | Write 0 … 63.",
        "opts.messages_per_tick": "0 | Write at least 1.",
        "opts.checkpoint_every": "0 | Write at least 1.",
        "opts.failures_max": "0 | Write at least 1.",
        "opts.pause": "-1 | Write at least 1.",
        "names.siz": "no parameter of Plain | Did you mean 'size'?",
        "names.size": "missing | Write a whole number, at least 1: how large.",
        "units.tau": "'20 mV' | It is",
        "units.wait": "'1500 us' | It is 1.5 ticks",
        "units.mode": "'sofd' | Write one of 'soft', 'hard'. Did you mean 'soft'?",
        "units.flags": "1 | Write a list, each true or false.",
        "bare.tau": "20.0 | A bare number has no unit.",
        "bare.size": "0 | Write a whole number, at least 1.",
        "broken": "not usable: ZeroDivisionError",
        "inner": " | [NX104] Relay.limt: is no parameter. Did you mean 'limit'?",
        "a.out -> bb.picture.to": "the unknown actor 'bb' | Did you mean 'b'?",
        "a.outt -> b.picture.from": "the unknown output a.outt | Did you mean 'out'?",
        "a.words -> b.numbr.to": "the unknown input b.numbr | Did you mean 'number'?",
        "a.words -> b.number.to": "a port for int | a.words sends str; join ports of one kind.",
        "a.points -> b.point.delay": "0 ticks | A message takes at least 1 tick",
        "b.points -> a.point.delay": "-1 ticks | A message takes at least 1 tick",
        "b.points -> a.point.capacity": "-1 | Write 0 or more.",
        "b.points -> b.point": "a duplicate of b.points -> b.point | Delete one",
        "channels": "a cycle with no delay: a -> b -> a | Give every channel a delay",
    }
    assert sorted(found) == sorted(expected)
    for key, text in expected.items():
        assert text in found[key], key


def test_mistake_is_told_with_the_place_in_the_scenario() -> None:
    graph = Graph("keyed")
    graph.actors.append(ActorSpec("x", "relay", Relay, {"limt": 1}, key="actors.x"))
    with pytest.raises(ScenarioInvalid, match=r"keyed has 1 mistake:\n  actors\.x\.limt is no parameter of relay\."):
        wire(graph)


@pytest.mark.parametrize("source", ["nobody.out", "@output.x", "@input.x", "out"])
def test_source_of_a_channel_is_an_actor(source: str) -> None:
    graph = dials(a=1)
    graph.connect(source, "a.number")
    assert "the unknown actor" in next(iter(problems(graph).values()))


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("a.out", "b.picture", "array float32(4, any) | a.out sends array float32(3, 3)"),
        ("a.out", "b.number", "int | a.out sends array"),
        ("a.points", "b.picture", "array float32(4, any) | a.points sends test-point/1"),
        ("a.words", "b.point", "test-point/1 | a.words sends str"),
    ],
)
def test_ports_of_different_kinds_are_not_joined(source: str, target: str, text: str) -> None:
    graph = dials(a=3, b=4)
    graph.connect(source, target)
    assert f"a port for {text}" in problems(graph)[f"{source} -> {target}.to"]


@pytest.mark.parametrize("size", [4, 5])
def test_arrays_fit_where_axes_agree_or_are_free(size: int) -> None:
    graph = dials(a=4, b=size)
    graph.connect("a.out", "b.picture")
    if size == 4:
        assert wire(graph).routes[wire(graph).position["a"]]["out"].groups[0][:2] == (1, "picture")
    else:
        assert problems(graph)


def test_array_of_another_rank_or_type_does_not_fit() -> None:
    class Flat(Actor):
        line = Output(array("float32", 4))
        double = Output(array("float64", 4, 4))

    graph = dials(b=4)
    graph.add("f", Flat)
    graph.connect("f.line", "b.picture")
    graph.connect("f.double", "b.picture")
    assert len(problems(graph)) == 2


def test_two_channels_that_differ_in_delay_are_no_duplicates() -> None:
    graph = dials(a=4)
    graph.connect("a.points", "a.point", delay=1)
    graph.connect("a.points", "a.point", delay=2)
    assert len(wire(graph).channels) == 2


def test_long_cycle_without_delay_is_shown_from_its_first_actor() -> None:
    graph = Graph("cycle")
    for index in range(5):
        graph.add(f"r{index}", Relay)
    for source, target in ((0, 1), (1, 2), (2, 3), (3, 1), (0, 4), (4, 2)):
        graph.connect(f"r{source}.onward", f"r{target}.token", delay=0)
    assert "r1 -> r2 -> r3 -> r1" in problems(graph)["channels"]


def test_channels_without_delay_but_without_cycle_are_each_a_mistake() -> None:
    graph = Graph("line")
    for index in range(3):
        graph.add(f"r{index}", Relay)
    graph.connect("r0.onward", "r2.token", delay=0)
    graph.connect("r0.onward", "r1.token", delay=0)
    graph.connect("r1.onward", "r2.token", delay=0)
    assert "channels" not in problems(graph)


def test_graph_of_too_many_actors_is_refused_with_a_hint_at_populations(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ACTORS_MAX > 10**6
    monkeypatch.setattr("neuraxis.wiring.ACTORS_MAX", 2)
    assert problems(dials(a=1, b=1, c=1)) == {"actors": "3 actors | At most 2; use a Population for many alike actors."}


def test_delay_or_tick_that_is_no_time_is_refused() -> None:
    for call in (
        lambda: Graph("x", tick="5 mV"),
        lambda: Graph("x", tick="5"),
        lambda: dials().connect("a.b", "c.d", delay="2 mV"),
    ):
        with pytest.raises(UnitInvalid):
            call()
