"""Effects and offloading: the outside world enters only as outcomes, at ticks that the actors chose."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import numpy as np
import pytest

from neuraxis import (
    Actor,
    Array,
    Effect,
    Graph,
    Input,
    Options,
    Outcome,
    Output,
    Simulation,
    message,
    on,
    on_outcome,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint, History, execute_again
from neuraxis.errors import ActorFailed, PortUnknown, UsageInvalid
from neuraxis.journal.record import IntentRecord, OutcomeRecord
from neuraxis.launch import resume_graph
from neuraxis.plugins.manager import Plugins
from neuraxis.scheduler.envelope import sequence_of
from neuraxis.testing.checks import resumed_digest, shuffled_digest
from tests.kernel.actors import Frame, Listener, Point, Speaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from neuraxis import Context
    from neuraxis.scheduler.effects import Intent

PATIENCE_S = 30
"""How long a test waits for another thread before it gives up; never reached when all is well."""


class World:
    """What the effects of these tests touch: it notes calls, and holds some up until a test lets them go."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.sim: Simulation | None = None
        self.seen: list[Any] = []

    def gate(self, name: str) -> threading.Event:
        """Return the event of that name."""
        return self.gates.setdefault(name, threading.Event())

    def wait_at(self, name: str) -> None:
        """Wait until the gate of that name is open."""
        assert self.gate(name).wait(PATIENCE_S), f"nobody opened {name!r}"


WORLD = World()


@pytest.fixture(autouse=True)
def world() -> Iterator[World]:
    """Give every test a world of its own, and open all its gates in the end."""
    WORLD.__init__()  # type: ignore[misc]
    yield WORLD
    for gate in WORLD.gates.values():
        gate.set()


@message("test-ask-world")
@attrs.frozen
class AskWorld(Effect):
    """Does what its word says, with an optional gate to wait at before and one to open after."""

    word: str
    after: str = ""
    then: str = ""

    def perform(self, key: str) -> Any:
        WORLD.calls.append(key)
        WORLD.gate(f"begun {self.word}").set()
        if self.after:
            WORLD.wait_at(self.after)
        value = ANSWERS[self.word]() if self.word in ANSWERS else self.word
        if self.then:
            WORLD.gate(self.then).set()
        return value


def fails(error: BaseException) -> Callable[[], Any]:
    """Return a function that raises."""

    def fail() -> Any:
        raise error

    return fail


ANSWERS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.arange(4),
    "view": lambda: np.arange(8)[::2],
    "frame": lambda: Frame(1, np.arange(3), Point("p", 1.0, 2.0)),
    "tuple": lambda: (1, "two", (np.arange(2), None)),
    "none": lambda: None,
    "dict": dict,
    "set in tuple": lambda: (1, {2}),
    "objects": lambda: np.array([object()]),
    "objects in a frame": lambda: Frame(1, np.array([object()]), Point("p", 1.0, 2.0)),
    "huge": lambda: 2**70,
    "surrogate": lambda: "\ud800",
    "value error": fails(ValueError("no such thing")),
    "timeout": fails(TimeoutError("its own")),
    "memory": fails(MemoryError()),
    "exit": fails(SystemExit()),
    "interrupt": fails(KeyboardInterrupt()),
    "records": lambda: len([each for each in (WORLD.sim.records() if WORLD.sim else []) if type(each) is IntentRecord]),
}


@message("test-ask-async")
@attrs.frozen
class AskAsync(Effect):
    """Likewise, as a coroutine."""

    word: str

    async def perform(self, key: str) -> str:
        WORLD.calls.append(key)
        try:
            await anyio.sleep(0)
            if self.word == "forever":
                WORLD.gate("begun").set()
                await anyio.sleep_forever()
            if self.word == "cancel":
                raise anyio.get_cancelled_exc_class()
        finally:
            WORLD.seen.append(f"end of {self.word}")
        return self.word


class Asker(Actor):
    """Asks the world what it is told to, and remembers the outcomes."""

    effects = (AskWorld, AskAsync)
    delay: int = parameter(int, 3)
    word = Input(str)
    pair = Input(AskWorld)
    slow = Input(AskAsync)
    out = Output(str)
    log: list[Any] = state(factory=list)
    tickets: list[int] = state(factory=list)
    deadline_s: float | None = None

    @on(word)
    def ask(self, context: Context, word: str) -> None:
        self.start(context, AskWorld(word))

    @on(pair)
    def ask_pair(self, context: Context, effect: AskWorld) -> None:
        self.start(context, effect)

    @on(slow)
    def ask_slow(self, context: Context, effect: AskAsync) -> None:
        self.start(context, effect)

    def start(self, context: Context, effect: Effect) -> None:
        self.tickets.append(context.effect(effect, delay=self.delay, to="answer", deadline_s=self.deadline_s))

    @on_outcome("answer")
    def answer(self, context: Context, outcome: Outcome) -> None:
        assert outcome.ticket == self.tickets.pop(0)
        self.log.append([context.tick, outcome.status, outcome.value, outcome.error])
        context.send("out", f"{outcome.status} {outcome.error}")


class Hasty(Asker):
    """Gives the world no time at all."""

    deadline_s = 0.0


class Patient(Asker):
    """Gives the world more time than any test takes."""

    deadline_s = float(PATIENCE_S)


def asker(cls: type[Actor] = Asker, *, delay: int = 3, **options: Any) -> Graph:
    """Return a graph with an actor `a` that asks the world."""
    graph = Graph("asker")
    graph.add("a", cls, delay=delay, options=Options(**options))
    graph.connect("a.out", "@output.told")
    return graph


def log(sim: Simulation, path: str = "a") -> list[Any]:
    """Return tick, status, value and error of the outcomes that an asker got."""
    return sim.actor(path).log  # type: ignore[attr-defined,no-any-return]


def asked(graph: Graph | Blueprint, *words: str | AskWorld | AskAsync, ticks: int = 10) -> Simulation:
    """Return a simulation in which `a` asked for all this in tick 1."""
    sim = Simulation(graph)
    for word in words:
        port = {str: "word", AskWorld: "pair", AskAsync: "slow"}[type(word)]
        sim.inject(f"a.{port}", word)
    return sim.advance(ticks)


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


# --------------------------------------------------------------------------------- records


def records(sim: Simulation, kind: type[Any]) -> list[Any]:
    """Return the records of a kind."""
    return [each for each in sim.records() if type(each) is kind]


def test_intent_is_in_the_journal_before_the_effect_starts(world: World) -> None:
    with Simulation(asker()) as sim:
        world.sim = sim
        sim.inject("a.word", "records")
        assert log(sim.advance(10)) == [[4, "value", 1, ""]]
        (intent,) = records(sim, IntentRecord)
        assert (intent.path, intent.due, intent.effect) == ("a", 4, AskWorld("records"))


def test_outcome_is_in_the_journal_before_it_is_delivered(world: World) -> None:
    class Peeking(Asker):
        @on_outcome("answer")
        def answer(self, context: Context, outcome: Outcome) -> None:
            assert world.sim is not None
            world.seen += records(world.sim, OutcomeRecord)

    with Simulation(asker(Peeking)) as sim:
        world.sim = sim
        sim.inject("a.word", "x")
        sim.advance(10)
        assert [(each.due, each.status, each.value) for each in world.seen] == [(4, "value", "x")]


def test_replay_calls_nothing(world: World) -> None:
    with asked(asker(), "x", "value error", "array") as sim:
        assert len(world.calls) == 3
        assert sim.again().recorder.digest() == sim.digest
        assert {resumed_digest(sim, at=at) for at in range(10)} == {sim.digest}
        sim.why(sim.outputs[0])
        assert len(world.calls) == 3


def test_recovery_does_not_repeat_an_effect_that_has_its_outcome(world: World) -> None:
    class Weak(Asker):
        @on(Asker.pair)
        def ask_pair(self, context: Context, effect: AskWorld) -> None:
            raise ValueError("too weak")

    with asked(asker(Weak), "x") as sim:
        sim.inject("a.pair", AskWorld("y"))
        with pytest.raises(ActorFailed):
            sim.advance(1)
        assert log(sim.recover()) == [[4, "value", "x", ""]]
        assert len(world.calls) == 1


def test_run_with_an_effect_under_way_can_be_executed_again_up_to_where_it_stands(world: World) -> None:
    with asked(asker(delay=20), "x", ticks=10) as sim:
        world.wait_at("begun x")
        assert sim.again().recorder.digest() == sim.digest
        assert resumed_digest(sim, at=5) == sim.digest
        assert len(world.calls) == 1


def test_replay_beyond_the_recorded_outcomes_is_refused() -> None:
    with asked(asker(delay=20), "x", ticks=10) as sim:
        history = History(sim.records())
        with pytest.raises(UsageInvalid, match="whose outcome the journal does not hold"):
            execute_again(sim.blueprint, history, until=30)


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


class Oracle:
    """Fixes the outcomes of some words in advance."""

    def __init__(self, **statuses: Any) -> None:
        self.statuses = statuses

    def outcome(self, intent: Intent) -> Outcome | None:
        status = self.statuses.get(intent.effect.word)  # type: ignore[attr-defined]
        return None if status is None else Outcome(intent.ticket, intent.effect, status, error="by the script")


def test_script_fixes_outcomes_under_the_virtual_clock_without_calling_anything(world: World) -> None:
    blueprint = Blueprint(asker(), script=Oracle(x="missed", y="error"))
    with asked(blueprint, "x", "y", "z") as sim:
        assert [each[1] for each in log(sim)] == ["missed", "error", "value"]
        assert [key.rpartition("/")[2] for key in world.calls] == ["2"]
        assert [each.status for each in records(sim, OutcomeRecord)] == ["missed", "error", "value"]
        assert sim.again().recorder.digest() == sim.digest


# --------------------------------------------------------------------------- after a crash


def crashed(folder: Path) -> Simulation:
    """Return a run on disk that is closed while its effect is under way; its journal holds only the intent."""
    sim = Simulation(asker(), folder=folder, plugins=Plugins())
    sim.inject("a.pair", AskWorld("x", after="go"))
    sim.advance(2)
    WORLD.wait_at("begun x")
    sim.close()
    WORLD.gate("go").set()
    return sim


def test_effect_without_outcome_starts_again_with_the_same_key_after_a_crash(world: World, tmp_path: Path) -> None:
    crashed(tmp_path / "run")
    resumed = resume_graph(tmp_path / "run", asker()).simulation
    assert resumed is not None
    with resumed as sim:
        assert log(sim.advance(until=9)) == [[4, "value", "x", ""]]
        assert world.calls == ["run/a/0", "run/a/0"]
        assert len(records(sim, IntentRecord)) == len(records(sim, OutcomeRecord)) == 1
        digest = sim.digest
    with asked(asker(), AskWorld("x", after="go"), ticks=9) as whole:
        assert whole.digest == digest


def test_effect_with_outcome_is_not_repeated_after_a_crash(world: World, tmp_path: Path) -> None:
    with Simulation(asker(), folder=tmp_path / "run", plugins=Plugins()) as sim:
        sim.inject("a.word", "x")
        sim.advance(6)
        sim.inject("a.word", "y")
        digest = sim.advance(9).digest
    resumed = resume_graph(tmp_path / "run", asker()).simulation
    assert resumed is not None
    with resumed as sim:
        assert sim.advance(until=15).digest == digest
        assert len(world.calls) == 2


def test_open_effect_starts_again_from_a_snapshot(world: World, tmp_path: Path) -> None:
    with Simulation(asker(delay=9), folder=tmp_path / "run", plugins=Plugins()) as sim:
        sim.inject("a.word", "x")
        sim.advance(4).snapshot()
        world.wait_at("begun x")
    resumed = resume_graph(tmp_path / "run", asker(delay=9)).simulation
    assert resumed is not None
    with resumed as sim:
        assert log(sim.advance(until=20)) == [[10, "value", "x", ""]]
    assert world.calls == ["run/a/0"] * 2


def test_outcome_that_a_script_fixes_after_a_crash_is_journaled(world: World, tmp_path: Path) -> None:
    crashed(tmp_path / "run")
    resumed = resume_graph(tmp_path / "run", Blueprint(asker(), script=Oracle(x="missed"))).simulation
    assert resumed is not None
    with resumed as sim:
        assert [each[1] for each in log(sim.advance(until=9))] == ["missed"]
        assert [each.status for each in records(sim, OutcomeRecord)] == ["missed"]


def test_keys_differ_between_requests_and_actors(world: World) -> None:
    graph = asker()
    graph.add("b", Asker)
    with Simulation(graph) as sim:
        for path in ("a", "b", "a"):
            sim.inject(f"{path}.word", "x")
        sim.advance(9)
    assert sorted(world.calls) == ["asker/a/0", "asker/a/1", "asker/b/0"]


def test_closing_cancels_what_is_under_way(world: World) -> None:
    sim = asked(asker(), AskAsync("forever"), ticks=1)
    world.wait_at("begun")
    sim.close()
    assert world.seen == ["end of forever"]


def test_program_that_forgets_to_close_its_simulation_ends_all_the_same() -> None:
    code = "from tests.kernel.test_effects import asked, asker; sim = asked(asker(), 'x'); print(sim.tick)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "10\n", "")


# --------------------------------------------------------------------------------- offload


class Thinker(Actor):
    """Has a function computed elsewhere for each word it hears."""

    word = Input(str)
    out = Output(str)
    log: list[Any] = state(factory=list)

    @on(word)
    async def think(self, context: Context, word: str) -> None:
        try:
            result = await context.offload(THOUGHTS[word], word)
        except ValueError as error:
            result = f"caught {error}"
        self.log.append([context.tick, result])
        context.send("out", result)


def wait_then_open(gate: str, then: str) -> Callable[[str], str]:
    """Return a function that waits at one gate, then opens another."""

    def think(word: str) -> str:
        if gate:
            WORLD.wait_at(gate)
        if then:
            WORLD.gate(then).set()
        return word.upper()

    return think


def fail_at(word: str) -> str:
    raise ValueError(word)


THOUGHTS: dict[str, Callable[[str], str]] = {
    "plain": str.upper,
    "raise": fail_at,
    "thread": lambda _: threading.current_thread().name,
    "after b": wait_then_open("b", "a"),
    "open b": wait_then_open("", "b"),
    "after a": wait_then_open("a", ""),
    "open a": wait_then_open("", "a"),
    "meet 1": wait_then_open("", "1"),
}


def thinkers(*words: str) -> Graph:
    """Return a graph of one thinker a word, `t0`, `t1` …, who all tell `ear`."""
    graph = Graph("thinkers")
    for index, _ in enumerate(words):
        graph.add(f"t{index}", Thinker)
        graph.connect(f"t{index}.out", "@output.thought")
    return graph


def thought(*words: str) -> Simulation:
    """Return a simulation in which each thinker heard its word in tick 1."""
    sim = Simulation(thinkers(*words))
    for index, word in enumerate(words):
        sim.inject(f"t{index}", word)
    return sim.advance(3)


def test_offloaded_function_runs_on_another_thread_inside_the_tick() -> None:
    with thought("plain", "thread") as sim:
        assert log(sim, "t0") == [[1, "PLAIN"]]
        assert log(sim, "t1")[0][1].startswith("neuraxis-offload")


def test_handler_can_catch_what_an_offloaded_function_raised() -> None:
    with thought("raise") as sim:
        assert log(sim, "t0") == [[1, "caught raise"]]


def test_computations_of_a_tick_overlap_and_the_order_of_completion_does_not_decide() -> None:
    outputs = []
    for words in (("after b", "open b"), ("open a", "after a")):
        WORLD.gates.clear()
        with thought(*words) as sim:
            outputs.append([(each.source, each.tick, sequence_of(each.id)) for each in sim.outputs])
            assert [each.value for each in sim.outputs] == [word.upper() for word in words]
            assert shuffled_digest(sim, key=3) == sim.digest
    assert outputs[0] == outputs[1] == [("t0", 2, 0), ("t1", 2, 0)]


def test_messages_of_one_actor_are_handled_one_after_the_other_although_it_waits() -> None:
    with Simulation(thinkers("")) as sim:
        for word in ("plain", "raise", "plain"):
            sim.inject("t0", word)
        sim.advance(1)
        assert log(sim, "t0") == [[1, "PLAIN"], [1, "caught raise"], [1, "PLAIN"]]


def test_actors_that_wait_commit_in_the_order_of_paths_beside_those_that_do_not() -> None:
    graph = Graph("mixed")
    graph.add("a", Thinker)
    graph.add("b", Speaker, plan="1:1")
    graph.add("c", Thinker)
    for path in "abc":
        graph.connect(f"{path}.out", f"@output.{path}")
    with Simulation(graph) as sim:
        sim.inject("a", "plain")
        sim.inject("c", "plain")
        sim.advance(3)
        assert [each.source for each in sim.outputs] == ["a", "b", "c"]
        assert shuffled_digest(sim, key=2) == sim.digest


def test_handler_that_does_not_suspend_needs_no_thread() -> None:
    class Quick(Actor):
        heard = Input(int)
        log: list[int] = state(factory=list)

        @on(heard)
        async def hear(self, context: Context, value: int) -> None:
            self.log.append(value)

    graph = Graph("quick")
    graph.add("q", Quick)
    threads = threading.active_count()
    with Simulation(graph) as sim:
        sim.inject("q", 5)
        assert log(sim.advance(1), "q") == [5]
        assert threading.active_count() == threads


def test_offloaded_arrays_come_back_as_they_are() -> None:
    class Adder(Actor):
        heard = Input(Grid)
        log: list[Any] = state(factory=list)

        @on(heard)
        async def hear(self, context: Context, value: Grid) -> None:
            for power in (1, 2):
                self.log.append(float((await context.offload(np.power, value.cells, power)).sum()))

    graph = Graph("adder")
    graph.add("a", Adder)
    with Simulation(graph) as sim:
        sim.inject("a", Grid(np.arange(4.0)))
        assert log(sim.advance(1)) == [6.0, 14.0]


@message("test-grid")
@attrs.frozen
class Grid:
    """Some numbers."""

    cells: Array


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


def test_simulation_without_effects_starts_no_thread() -> None:
    graph = Graph("quiet")
    graph.add("s", Speaker, plan="0:1")
    graph.add("ear", Listener)
    graph.connect("s.out", "ear.heard")
    threads = threading.active_count()
    with Simulation(graph) as sim:
        sim.advance(5)
        assert threading.active_count() == threads
