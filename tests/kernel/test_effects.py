"""Effects: the outside world enters only as outcomes, at ticks that the actors chose."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from neuraxis import Actor, Effect, Graph, Simulation, message, on
from neuraxis.blueprint import Blueprint
from neuraxis.errors import ActorFailed, PortUnknown
from neuraxis.journal.record import OutcomeRecord
from neuraxis.scheduler.envelope import sequence_of
from neuraxis.testing.checks import shuffled_digest
from tests.kernel.actors import Listener, Speaker
from tests.kernel.world import PATIENCE_S, WORLD, AskAsync, Asker, AskWorld, Oracle, World, asked, asker, log, records

if TYPE_CHECKING:
    from neuraxis import Context

pytestmark = pytest.mark.usefixtures("world")  # also for tests that do not look at it


class Hasty(Asker):
    """Gives the world no time at all."""

    deadline_s = 0.0


class Patient(Asker):
    """Gives the world more time than any test takes."""

    deadline_s = float(PATIENCE_S)


# ---------------------------------------------------------------------------- when and what


@pytest.mark.parametrize("delay", [1, 2, 7, 10**6])
def test_outcome_is_delivered_exactly_after_its_delay(delay: int) -> None:
    with asked(asker(delay=delay), "x", ticks=delay + 5) as sim:
        assert log(sim) == [[1 + delay, "value", "x", ""]]


def test_outcome_that_is_there_early_waits_for_its_tick(world: World) -> None:
    with asked(asker(delay=5), AskWorld("x", then="done"), ticks=1) as sim:
        world.wait_at("done")
        assert log(sim.advance(4)) == []
        assert log(sim.advance(1)) == [[6, "value", "x", ""]]


def test_model_time_stands_still_until_the_outcome_is_there(world: World) -> None:
    with asked(asker(), AskWorld("x", after="go"), ticks=1) as sim:
        driver = threading.Thread(target=sim.advance, args=(20,))
        driver.start()
        world.wait_at("begun x")
        assert log(sim) == []  # the effect cannot have ended, so neither can tick 4
        world.gate("go").set()
        driver.join(PATIENCE_S)
        assert sim.tick == 21
        assert log(sim) == [[4, "value", "x", ""]]


def test_ticket_is_a_message_id_of_the_asking_actor_and_its_cause_is_the_question() -> None:
    with asked(asker(), "x") as sim:
        (told,) = sim.outputs
        (ticket,) = told.causes
        assert sequence_of(ticket) == 0
        lines = str(sim.why(told))
        assert "@outcome:answer" in lines
        assert "begins with: @input#0" in lines


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("none", "None"),
        ("text", "'text'"),
        ("tuple", "(1, 'two', (array([0, 1]), None))"),
        ("array", "array([0, 1, 2, 3])"),
    ],
)
def test_outcome_carries_the_value(word: str, value: str) -> None:
    with asked(asker(), word) as sim:
        ((_, status, got, error),) = log(sim)
        assert (status, error) == ("value", "")
        assert repr(got) == value


def test_arrays_that_an_effect_returns_are_frozen() -> None:
    with asked(asker(), "array", "view", "frame", "tuple") as sim:
        array, view, frame, parts = (each[2] for each in log(sim))
        for each in (array, view, frame.free, parts[2][0]):
            assert not each.flags.writeable
        assert view.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("value error", "ValueError: no such thing"),
        ("timeout", "TimeoutError: its own"),
        ("dict", "TypeError: an effect returned dict {}"),
        ("set in tuple", "TypeError: an effect returned set {2}"),
        ("objects", "TypeError: an effect returned array object"),
        ("objects in a frame", "TypeError: an effect returned array object"),
        ("huge", "OverflowError"),
        ("surrogate", "UnicodeEncodeError"),
    ],
)
@pytest.mark.parametrize("clock", ["virtual", "live"])
def test_whatever_an_effect_raises_or_wrongly_returns_is_its_outcome(word: str, text: str, clock: Any) -> None:
    with asked(Blueprint(asker(Patient), clock=clock), word) as sim:
        ((tick, status, value, error),) = log(sim)
        assert (tick, status, value) == (4, "error", None)
        assert error.startswith(text)


def test_effect_that_does_not_say_what_to_do_gives_an_error() -> None:
    @message("test-lazy")
    @attrs.frozen
    class Lazy(Effect):
        pass

    class Trusting(Asker):
        @on(Asker.word)
        def ask(self, context: Context, word: str) -> None:
            self.start(context, Lazy())

    with asked(asker(Trusting), "x") as sim:
        assert "Lazy does not say what to do" in log(sim)[0][3]


@pytest.mark.parametrize(
    ("word", "end"), [("memory", MemoryError), ("exit", SystemExit), ("interrupt", KeyboardInterrupt)]
)
def test_effect_that_ends_the_process_is_no_outcome(word: str, end: type[BaseException]) -> None:
    with asked(asker(), word, ticks=1) as sim:
        with pytest.raises(end):
            sim.advance(9)
        assert sim.recover().tick == 3


def test_effect_may_be_a_coroutine(world: World) -> None:
    with asked(asker(), AskAsync("x"), AskAsync("y")) as sim:
        assert log(sim) == [[4, "value", "x", ""], [4, "value", "y", ""]]


def test_effect_that_cancels_itself_gives_an_error() -> None:
    with asked(asker(), AskAsync("cancel")) as sim:
        assert log(sim)[0][1] == "error"


def test_wrong_delay_or_handler_is_refused() -> None:
    with pytest.raises(ActorFailed, match="at least 1 tick"):
        asked(asker(delay=0), "x")

    class Typo(Asker):
        def start(self, context: Context, effect: Effect) -> None:
            context.effect(effect, delay=1, to="anwser")

    with pytest.raises(ActorFailed, match="'answer'") as failed:
        asked(asker(Typo), "x")
    assert isinstance(failed.value.__cause__, PortUnknown)


def test_simulation_without_effects_starts_no_thread() -> None:
    graph = Graph("quiet")
    graph.add("s", Speaker, plan="0:1")
    graph.add("ear", Listener)
    graph.connect("s.out", "ear.heard")
    threads = threading.active_count()
    with Simulation(graph) as sim:
        sim.advance(5)
        assert threading.active_count() == threads


# ------------------------------------------------------------------- order does not decide


def test_effects_overlap_and_the_order_of_completion_does_not_decide() -> None:
    """Of two effects of one tick, each in turn can end only after the other has."""
    digests = set()
    for first, second in (
        (AskWorld("x", after="second"), AskWorld("y", then="second")),
        (AskWorld("x", then="first"), AskWorld("y", after="first")),
    ):
        WORLD.gates.clear()
        with asked(asker(), first, second) as sim:
            assert [each[2] for each in log(sim)] == ["x", "y"]
            digests.add(tuple(each.value for each in sim.outputs))
    assert len(digests) == 1


def test_effects_of_several_actors_come_in_the_order_of_inboxes_whatever_ends_first() -> None:
    graph = asker()
    graph.add("b", Asker, delay=2)
    with Simulation(graph) as sim:
        sim.inject("b.pair", AskWorld("late", after="go"))
        sim.inject("a.pair", AskWorld("soon", then="go"))
        sim.advance(10)
        assert (log(sim), log(sim, "b")) == ([[4, "value", "soon", ""]], [[3, "value", "late", ""]])
        assert shuffled_digest(sim, key=1) == sim.digest


def test_listener_beside_effects_hears_in_order() -> None:
    """Outcomes take their place in the inbox by the tick and sequence of the call."""

    class Both(Asker):
        @on(Asker.word)
        def ask(self, context: Context, word: str) -> None:
            self.log.append([context.tick, "word", word, ""])
            if word != "now":
                self.start(context, AskWorld(word))

    sim = Simulation(asker(Both, delay=1))
    with sim:
        sim.inject("a.word", "x")
        sim.advance(1)
        sim.inject("a.word", "now")
        sim.advance(2)
        assert [[tick, word] for tick, _, word, _ in log(sim)] == [[1, "x"], [2, "now"], [2, "x"]]


# ------------------------------------------------------------------------------ the clocks


def test_virtual_clock_knows_no_deadline() -> None:
    with asked(asker(Hasty), "x") as sim:
        assert log(sim) == [[4, "value", "x", ""]]


def test_live_clock_makes_a_miss_of_what_is_not_done_by_its_deadline(world: World) -> None:
    with asked(Blueprint(asker(Hasty), clock="live"), AskWorld("x", after="too late")) as sim:
        assert log(sim) == [[4, "missed", None, ""]]
        assert sim.again().recorder.digest() == sim.digest  # a live run equals its own replay
        assert [each.status for each in records(sim, OutcomeRecord)] == ["missed"]
        world.gate("too late").set()


@pytest.mark.parametrize("cls", [Asker, Patient])
def test_live_clock_waits_for_what_is_in_time_or_has_no_deadline(cls: type[Actor]) -> None:
    with asked(Blueprint(asker(cls), clock="live"), "x") as sim:
        assert log(sim) == [[4, "value", "x", ""]]


def test_script_fixes_outcomes_under_the_virtual_clock_without_calling_anything(world: World) -> None:
    blueprint = Blueprint(asker(), script=Oracle(x="missed", y="error"))
    with asked(blueprint, "x", "y", "z") as sim:
        assert [each[1] for each in log(sim)] == ["missed", "error", "value"]
        assert [key.rpartition("/")[2] for key in world.calls] == ["2"]
        assert [each.status for each in records(sim, OutcomeRecord)] == ["missed", "error", "value"]
        assert sim.again().recorder.digest() == sim.digest
