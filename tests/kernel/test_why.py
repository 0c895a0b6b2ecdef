"""Why a message came to be: its causes, back to inputs and starts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis import Graph, Simulation
from neuraxis.errors import UsageInvalid
from neuraxis.trace import why as why_room
from neuraxis.trace.golden import take
from tests.kernel.actors import Collector, Deliveries, Relay, evident, heard, noisy, ring, talk
from tests.kernel.victim import killable


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
