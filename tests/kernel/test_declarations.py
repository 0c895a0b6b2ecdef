"""What classes of actors declare, and what is refused when the class is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from neuraxis import (
    Actor,
    Graph,
    Input,
    Output,
    Simulation,
    on,
    on_inbox,
    on_outcome,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint
from neuraxis.errors import DeclarationInvalid, PayloadRejected, SimulationUnusable, StateNotCapturable
from neuraxis.faults import Faults, parse_plan
from tests.kernel.actors import Listener, Relay, Speaker, log_of, noisy, talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis import Context, Inbox


class Base(Actor):
    """Something to derive from."""

    limit: int = parameter(int, 5, at_least=1)
    heard = Input(int)
    out = Output(int)
    seen: list[int] = state(factory=list)
    count: int = state(0)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.seen.append(value)


class Derived(Base):
    """Declares more, and hears otherwise."""

    more = Input(int)
    width: int = parameter(int)

    @on(Base.heard)
    def hear(self, context: Context, value: int) -> None:
        self.seen.append(-value)

    @on(more)
    async def hear_more(self, context: Context, value: int) -> None: ...

    @on_start
    def begin(self, context: Context) -> None: ...

    @on_timer("ring")
    def ring(self, context: Context) -> None: ...

    @on_outcome("done")
    def done(self, context: Context, outcome: Any) -> None: ...


def test_declaration_collects_what_the_class_and_its_bases_say() -> None:
    base, derived = Base.declaration, Derived.declaration
    assert sorted(derived.inputs) == ["heard", "more"]
    assert sorted(derived.parameters) == ["limit", "width"]
    assert sorted(derived.states) == ["count", "seen"]
    assert derived.handlers == {
        "heard": "hear",
        "more": "hear_more",
        "@start": "begin",
        "@timer:ring": "ring",
        "@outcome:done": "done",
    }
    assert (base.is_async, derived.is_async) == (False, True)
    assert sorted(base.inputs) == ["heard"]


def test_handler_of_a_derived_class_replaces_that_of_its_base() -> None:
    graph = Graph("g")
    graph.add("d", Derived, width=1)
    sim = Simulation(graph)
    sim.inject("d.heard", 3)
    assert sim.advance(1).actor("d").seen == [-3]  # type: ignore[attr-defined]


def test_actors_of_one_class_share_no_state() -> None:
    one, other = Base(), Base()
    one.seen.append(1)
    assert other.seen == []


def test_captured_state_is_a_copy_and_so_is_what_is_restored() -> None:
    one = Base()
    one.seen = [1]
    captured = one.capture()
    one.seen.append(2)
    assert captured == {"seen": [1], "count": 0}
    one.restore(captured)
    one.seen.append(3)
    assert captured["seen"] == [1]


def test_arrays_in_the_state_are_copied_when_captured() -> None:
    class Grid(Actor):
        cells: np.ndarray = state(factory=lambda: np.zeros(3))

    grid = Grid()
    captured = grid.capture()
    grid.cells[0] = 1
    assert captured["cells"].tolist() == [0, 0, 0]


def test_actor_without_invariant_or_charts_has_none() -> None:
    assert Base().invariant() is None
    assert list(Base().charts()) == []
    assert Base().figures() == {}


@pytest.mark.parametrize("value", [[], {}, set(), np.zeros(2)])
def test_default_that_could_be_changed_in_place_is_refused(value: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="state\\(factory=…\\)"):
        state(value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Derived(), "Derived.width: has no value. Pass width=…: a whole number"),
        (lambda: Base(limit=0), "Base.limit: is 0. Write a whole number, at least 1"),
        (lambda: Base(limitt=3), "Base.limitt: is no parameter. Did you mean 'limit'?"),
    ],
)
def test_actor_made_with_wrong_parameters_says_which(make: Callable[[], Actor], text: str) -> None:
    with pytest.raises(DeclarationInvalid) as invalid:
        make()
    assert text in str(invalid.value)


def test_state_with_other_names_is_not_restored() -> None:
    with pytest.raises(DeclarationInvalid, match="register a migration"):
        Base().restore({"seen": []})


def test_handler_for_something_that_is_no_input_is_refused() -> None:
    with pytest.raises(DeclarationInvalid, match="reacts to something that is no input"):

        class Stranger(Actor):
            @on(Listener.heard)
            def hear(self, context: Context, value: int) -> None: ...


@pytest.mark.parametrize("make", [Input, Output])
@pytest.mark.parametrize("kind", [list, dict, object, Any])
def test_port_for_what_is_no_message_is_refused(make: Any, kind: Any) -> None:
    with pytest.raises(DeclarationInvalid, match="which is no message"):
        type("Wrong", (Actor,), {"port": make(kind)})


def test_parameter_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DeclarationInvalid, match="a parameter cannot be a dict"):

        class Wrong(Actor):
            options: dict[str, int] = parameter(dict)


def test_parameter_in_ticks_is_a_whole_number() -> None:
    with pytest.raises(DeclarationInvalid, match="counts ticks but is no int"):

        class Wrong(Actor):
            wait: float = parameter(float, 1.0, unit="ticks")


def test_input_without_handler_is_refused() -> None:
    with pytest.raises(DeclarationInvalid, match="no handler reacts to input 'heard'"):

        class Deaf(Actor):
            heard = Input(int)


def test_whole_inboxes_and_single_messages_do_not_mix() -> None:
    with pytest.raises(DeclarationInvalid, match="takes whole inboxes in 'take' and single messages"):

        class Both(Actor):
            heard = Input(int)

            @on(heard)
            def hear(self, context: Context, value: int) -> None: ...

            @on_inbox
            def take(self, context: Context, inbox: Inbox) -> None: ...


# ------------------------------------------------------------- payloads and states at run time


@pytest.mark.parametrize("others", [0, 1])
def test_payload_without_canonical_form_fails_the_run_and_names_its_sender(others: int) -> None:
    graph = talk(f"0:1 3:{2**70}", *["0:1 1:1 2:1 3:1"] * others)
    graph.add("ear2", Listener)
    graph.connect("s0.out", "ear.heard")
    if others:
        graph.connect("s1.out", "ear2.heard")
    sim = Simulation(graph)
    with pytest.raises(PayloadRejected, match="canonical") as rejected:
        sim.advance(9)
    assert rejected.value.actor == "s0"
    assert sim.tick == 3
    with pytest.raises(SimulationUnusable):
        sim.advance(1)
    with pytest.raises(SimulationUnusable, match="Resume from a snapshot"):
        sim._runner.scheduler.advance(9)
    assert log_of(sim.recover()) == [[1, "s0", 1]]


def test_large_payloads_of_a_lone_actor_are_folded_into_its_shard() -> None:
    class Talker(Actor):
        heard = Input(str)
        out = Output(str)

        @on(heard)
        def hear(self, context: Context, value: str) -> None:
            context.send("out", value)

    def run(pieces: int) -> str:
        graph = Graph("large")
        graph.add("t", Talker)
        graph.connect("t.out", "t.heard")
        sim = Simulation(graph)
        sim.inject("t", "x" * 30_000)
        for _ in range(pieces):
            digest = sim.advance(12 // pieces).digest
        return digest

    assert run(1) == run(12) == run(4)


def test_state_that_was_never_set_cannot_be_captured() -> None:
    class Hollow(Relay):
        def capture(self) -> dict[str, Any]:
            return {"seen": self.unset}  # type: ignore[attr-defined]

    graph = Graph("hollow")
    graph.add("h", Hollow)
    with pytest.raises(StateNotCapturable, match="state of h at unset is not set"):
        Simulation(graph).snapshot()


def test_faults_strike_before_limits_apply() -> None:
    graph = talk("0:1 0:2 0:3", messages_per_tick=1)
    graph.connect("s0.out", "ear.heard", tolerates=("loss",))
    faults = Faults(parse_plan("lose s0 -> ear.heard at 1"))
    sim = Simulation(Blueprint(graph, arm=faults.arm)).advance(9)
    assert log_of(sim) == []
    assert sim.statistics.dead_letters == {"fault: lose": 3}


def test_trap_raises_in_the_place_of_an_actor() -> None:
    faults = Faults(parse_plan("crash n1 at 5"))
    with pytest.raises(Exception, match="n1 failed at tick 5"):
        Simulation(Blueprint(noisy(3), arm=faults.arm)).advance(9)
    assert len(faults.fired) == 1


def test_speaker_without_plan_says_nothing() -> None:
    graph = Graph("mute")
    graph.add("s", Speaker)
    assert Simulation(graph).advance(3).actor("s").capture() == {"sent": 0}
