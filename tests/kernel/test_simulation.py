"""The embedding API, and what `wire` says about graphs that cannot run."""

from __future__ import annotations

import hashlib
import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import numpy as np
import pytest

from neuraxis import (
    Actor,
    AsyncSimulation,
    Graph,
    Input,
    Options,
    Output,
    Population,
    Resource,
    Simulation,
    array,
    message,
    on,
    on_timer,
    parameter,
    state,
)
from neuraxis.actor import Actor as ActorBase
from neuraxis.blueprint import Blueprint, History, ScriptedInput, Silence, numerics
from neuraxis.errors import (
    ActorFailed,
    InvariantBroken,
    NoReply,
    PayloadRejected,
    ScenarioInvalid,
    SimulationUnusable,
    UnitInvalid,
    UsageInvalid,
)
from neuraxis.graph import ActorSpec
from neuraxis.journal.record import BlockDigest, End, Header, InputRecord
from neuraxis.plugins.manager import Plugins
from neuraxis.runner import Settings
from neuraxis.scheduler.envelope import sequence_of
from neuraxis.wiring import ACTORS_MAX, SHARDS, kind_name, semantic_form, wire
from tests.kernel.actors import (
    Camera,
    Collector,
    Fragile,
    Listener,
    Noisy,
    Point,
    Relay,
    Speaker,
    log_of,
    noisy,
    ring,
    talk,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis import Context


@message("test-question")
@attrs.frozen
class Question:
    """A number to think about."""

    number: int


class Sage(Actor):
    """Answers at once, later on evidence, or never."""

    asked = Input(Question)
    nudge = Input(int)
    answer = Output(int)
    late = Output(int, evidence=True)
    pending: list[Any] = state(factory=list)

    @on(asked)
    def think(self, context: Context, question: Question) -> None:
        if question.number < 0:
            return
        if question.number < 100:
            context.send("answer", 2 * question.number)
        else:
            self.pending.append([context.message, question.number])
            context.wake(question.number, "done")

    @on_timer("done")
    def done(self, context: Context) -> None:
        question, number = self.pending.pop(0)
        context.send("late", number, because=[question])

    @on(nudge)
    def take(self, context: Context, value: int) -> None:
        context.log("nudged", value=value)

    def figures(self) -> dict[str, int]:
        return {"pending": len(self.pending)}


def sage() -> Simulation:
    """Return a simulation with a sage that answers to the outside."""
    graph = Graph("sage")
    graph.add("sage", Sage)
    graph.connect("sage.answer", "@output.answer")
    graph.connect("sage.late", "@output.answer", delay=2)
    return Simulation(graph)


# ------------------------------------------------------------------------------- advancing


def test_simulation_stands_at_the_end_of_tick_0_when_it_opens() -> None:
    sim = Simulation(ring(3))
    assert (sim.tick, sim.time, sim.name, sim.run_name) == (0, "0 s", "ring", "ring")
    assert sim.statistics.messages == 3


def test_advance_takes_ticks_or_a_time_or_an_end() -> None:
    graph = ring(3)
    assert Simulation(graph).advance(5).tick == 5
    assert Simulation(graph).advance("10 ms").advance(ticks=2).tick == 12
    assert Simulation(graph).advance(until=7).advance(until="20 ms").tick == 20
    assert Simulation(graph).advance(0).tick == 0
    assert Simulation(graph).advance(1500).time == "1.5 s"


@pytest.mark.parametrize("arguments", [{}, {"ticks": 1, "until": 2}])
def test_advance_needs_exactly_one_end(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageInvalid, match="needs one end"):
        Simulation(ring()).advance(**arguments)


def test_advance_cannot_go_back() -> None:
    sim = Simulation(ring()).advance(5)
    for call in (lambda: sim.advance(until=4), lambda: sim.advance(-1)):
        with pytest.raises(UsageInvalid, match="cannot go back from tick 5 to 4"):
            call()


def test_time_that_is_no_whole_number_of_ticks_is_refused() -> None:
    with pytest.raises(UnitInvalid, match="not a whole number"):
        Simulation(ring()).advance("1500 us")


# --------------------------------------------------------------------- inputs and questions


def test_input_is_journaled_now_and_delivered_in_the_next_tick() -> None:
    sim = Simulation(talk()).advance(3)
    assert sequence_of(sim.inject("ear.heard", 5)) == 0
    assert sequence_of(sim.inject("ear.heard", 6)) == 1
    records = [each for each in sim.records() if isinstance(each, InputRecord)]
    assert [(each.tick, each.target, each.port, each.payload) for each in records] == [
        (3, "ear", "heard", 5),
        (3, "ear", "heard", 6),
    ]
    assert log_of(sim.advance(1)) == [[4, "@input", 5], [4, "@input", 6]]


def test_path_alone_is_enough_where_only_one_input_fits() -> None:
    sim = sage()
    sim.inject("sage", Question(3))
    sim.inject("sage", 4)
    sim.advance(1)
    with pytest.raises(UsageInvalid, match=r"2 inputs for int 5.*heard \(int\), also \(int\)"):
        Simulation(talk()).inject("ear", 5)
    with pytest.raises(UsageInvalid, match="no inputs for str"):
        sim.inject("sage", "text")


def test_only_input_of_an_actor_is_meant_and_then_checks_the_payload() -> None:
    with pytest.raises(PayloadRejected, match="carries int, got str"):
        Simulation(ring()).inject("relay/0", "text")


@pytest.mark.parametrize(
    ("target", "text"),
    [("eer.heard", "Did you mean 'ear'"), ("ear.hurd", "Did you mean 'heard'"), ("zzz", "there is no actor 'zzz'")],
)
def test_unknown_target_is_refused_with_the_nearest_name(target: str, text: str) -> None:
    with pytest.raises(UsageInvalid, match=text):
        Simulation(talk()).inject(target, 1)


def test_refused_input_leaves_nothing_behind() -> None:
    sim, same = Simulation(talk()), Simulation(talk())
    for payload in ("text", None, 1.5, 2**70):
        with pytest.raises(PayloadRejected):
            sim.inject("ear.heard", payload)
    assert sim.records() == same.records()
    assert sim.advance(5).digest == same.advance(5).digest


def test_array_that_is_injected_is_frozen_and_views_are_copied() -> None:
    class Retina(Actor):
        seen = Input(array("uint8", None, 3))

        @on(seen)
        def see(self, context: Context, value: np.ndarray) -> None:
            assert not value.flags.writeable

    graph = Graph("retina")
    graph.add("r", Retina)
    sim = Simulation(graph)
    whole = np.zeros((4, 6), np.uint8)
    sim.inject("r", whole[:, ::2])
    sim.advance(1)
    assert whole.flags.writeable
    assert (sim.statistics.copies, sim.statistics.bytes_copied) == (1, 12)
    with pytest.raises(PayloadRejected, match=r"array uint8\(any, 3\)"):
        sim.inject("r", np.zeros((4, 4), np.uint8))


def test_ask_runs_until_the_question_is_answered() -> None:
    sim = sage().advance(3)
    answer = sim.ask("sage", Question(21))
    assert (answer.value, answer.port, answer.source, answer.tick) == (42, "answer", "sage", 5)
    assert sim.tick == 5


def test_ask_takes_an_answer_that_names_the_question_as_evidence() -> None:
    sim = sage()
    sim.inject("sage", Question(150))
    answer = sim.ask("sage", Question(200))
    assert (answer.value, answer.tick) == (200, 1 + 200 + 2)


def test_ask_without_answer_in_time_raises() -> None:
    for question, within in ((Question(-1), 10), (Question(150), 151), (Question(1), 1)):
        sim = sage()
        with pytest.raises(NoReply) as missing:
            sim.ask("sage", question, within=within)
        assert (missing.value.target, missing.value.tick, sim.tick) == ("sage", within, within)
        assert "within=" in str(missing.value)


def test_second_question_is_not_answered_by_the_first_answer() -> None:
    sim = sage()
    sim.inject("sage", Question(1))
    assert [sim.ask("sage", Question(number)).value for number in (2, 3)] == [4, 6]


# ---------------------------------------------------------------------------- looking at it


def test_outputs_tell_value_port_source_tick_id_and_causes() -> None:
    sim = sage()
    question = sim.inject("sage", Question(5))
    (output,) = sim.advance(3).outputs
    assert (output.port, output.value, output.source, output.tick) == ("answer", 10, "sage", 2)
    assert output.causes == (question,)


def test_figures_are_those_of_all_actors_by_path() -> None:
    graph = talk("0:1 1:2")
    graph.add("sage", Sage)
    graph.connect("s0.out", "ear.heard")
    assert Simulation(graph).advance(5).figures() == {"ear.heard": 2, "sage.pending": 0}


def test_watch_checks_at_the_end_of_every_stretch() -> None:
    sim = Simulation(noisy(), settings=Settings(block=10))
    seen: list[int] = []
    sim.watch(lambda: seen.append(sim.tick))
    sim.advance(25)
    assert seen == [10, 20, 25]
    sim.watch(lambda: f"it is tick {sim.tick}" if sim.tick > 40 else None)
    with pytest.raises(InvariantBroken, match="end of tick 50: it is tick 50") as broken:
        sim.advance(100)
    assert (broken.value.tick, sim.tick) == (50, 50)
    sim.watch(None)
    assert sim.advance(until=60).tick == 60


def test_snapshots_are_taken_when_they_are_due(tmp_path: Path) -> None:
    settings = Settings(block=7, snapshot_every=10, snapshots_kept=2)
    with Simulation(noisy(), folder=tmp_path / "run", settings=settings) as sim:
        sim.advance(35)
        names = sorted(each.name for each in (tmp_path / "run").rglob("*") if each.is_file() and "snap" in str(each))
        assert len([each for each in names if "20" in each or "30" in each]) == 2
        assert sim.digest == Simulation(noisy()).advance(35).digest


def test_blocks_of_digests_are_journaled() -> None:
    sim = Simulation(noisy(), settings=Settings(block=10)).advance(25)
    blocks = [each for each in sim.records() if isinstance(each, BlockDigest)]
    assert [each.tick for each in blocks] == [10, 20]
    assert blocks[0].digests == Simulation(noisy()).advance(10).digests
    assert sim.block_digest().digests == sim.digests


def test_header_comes_first_and_says_what_runs() -> None:
    header = Simulation(noisy(), seed=7).records()[0]
    assert isinstance(header, Header)
    assert (header.run, header.seed, header.settings["clock"]) == ("noisy", 7, "virtual")
    assert header.numerics == numerics()
    assert header.semantic == wire(noisy()).semantic.hex()


def test_actors_are_listed_in_the_order_of_paths() -> None:
    sim = Simulation(talk("", ""))
    assert [path for path, _ in sim.actors()] == ["ear", "s0", "s1"]
    assert isinstance(sim.actor("s1"), Speaker)
    with pytest.raises(UsageInvalid, match="Did you mean 's0'"):
        sim.actor("s0x")


def test_pending_shows_what_is_on_its_way() -> None:
    sim = Simulation(talk("0:1 4:1"))
    assert list(sim.pending()) == [4]


def test_weakest_class_of_determinism_counts_and_spreads_downstream() -> None:
    class Torch(Listener):
        determinism = "machine"
        out = Output(int)

    class Dice(Torch):
        determinism = "statistical"

    graph = talk("0:1")
    graph.add("t", Torch)
    graph.connect("s0.out", "t.heard")
    sim = Simulation(graph)
    assert (sim.determinism, sorted(sim.digests)) == ("machine", ["exact", "machine"])
    graph.connect("t.out", "ear.heard")
    sim = Simulation(graph)
    classes = dict(zip(sim.wiring.paths, sim.wiring.determinism, strict=True))
    assert (classes["s0"], classes["t"], classes["ear"]) == ("exact", "machine", "machine")
    assert {sim.wiring.shards[sim.wiring.position[path]] // SHARDS for path in ("t", "ear")} == {1}
    graph.add("d", Dice)
    graph.connect("d.out", "t.also")
    assert Simulation(graph).determinism == "statistical"
    assert Simulation(Graph("empty")).advance(5).determinism == "exact"


def test_again_executes_the_run_once_more_to_any_tick() -> None:
    sim = Simulation(noisy(), seed=3).advance(20)
    assert sim.again().recorder.digest() == sim.digest
    assert sim.again(until=12).recorder.digest() == Simulation(noisy(), seed=3).advance(12).digest


def test_why_leads_from_an_output_to_the_inputs_that_caused_it() -> None:
    sim = sage()
    question = sim.inject("sage", Question(5))
    (output,) = sim.advance(3).outputs
    for wanted in (output, output.id, "sage#0"):
        assert sim.why(wanted).roots == ("@input#0",)
    assert sim.why(question).roots == ("@input#0",)
    for wrong in ("sage#99", "sage", "nobody#1"):
        with pytest.raises(UsageInvalid):
            sim.why(wrong)


def test_log_lines_reach_the_operators(caplog: pytest.LogCaptureFixture) -> None:
    sim = sage()
    sim.inject("sage", 7)
    with caplog.at_level(logging.INFO, "neuraxis.actor"):
        sim.advance(1)
        sim.again()  # which says nothing a second time
    (line,) = caplog.records
    assert (line.message, line.actor, line.tick, line.facts) == ("nudged", "sage", 1, {"value": 7})  # type: ignore[attr-defined]


def test_inputs_that_a_blueprint_scripts_enter_at_their_ticks() -> None:
    inputs = (
        ScriptedInput(4, "ear", "heard", 2),
        ScriptedInput(0, "ear", "heard", 1),
        ScriptedInput(4, "ear", "heard", 3),
    )
    sim = Simulation(Blueprint(talk(), inputs=inputs)).advance(9)
    assert log_of(sim) == [[1, "@input", 1], [5, "@input", 2], [5, "@input", 3]]
    assert all(each.scripted for each in History(sim.records()).inputs)
    assert sim.again().recorder.digest() == sim.digest


def test_silence_drops_everything() -> None:
    silence = Silence()
    assert silence.line("a", 1, "event", {}) is silence.intent(None) is silence.outcome(1, None) is None  # type: ignore[arg-type,func-returns-value]


# ------------------------------------------------------------------------- ending and wrong use


class Closing(Relay):
    """Notes when it is closed."""

    closed: list[str] = []

    def close(self) -> None:
        Closing.closed.append("closed")


def test_closing_twice_is_harmless_and_actors_are_closed_once() -> None:
    Closing.closed = []
    graph = Graph("closing")
    graph.add("a", Closing)
    with Simulation(graph) as sim:
        sim.advance(2)
    sim.close()
    assert Closing.closed == ["closed"]
    assert len(sim.digest) == 64


def test_closed_simulation_refuses_to_go_on() -> None:
    sim = Simulation(ring())
    sim.close()
    calls: list[Callable[[], Any]] = [
        lambda: sim.advance(1),
        lambda: sim.inject("relay/0", 1),
        lambda: sim.ask("relay/0", 1),
        sim.snapshot,
        sim.actors,
        sim.figures,
    ]
    for call in calls:
        with pytest.raises(SimulationUnusable, match="closed"):
            call()


def test_finish_writes_the_end_with_digests_and_result() -> None:
    sim = Simulation(ring()).advance(5)
    sim.finish({"figure": 1})
    end = sim.records()[-1]
    assert isinstance(end, End)
    assert (end.tick, end.digests, end.result) == (5, sim.digests, {"figure": 1})


def test_finish_without_result_is_an_end_too() -> None:
    sim = Simulation(ring())
    sim.finish()
    assert sim.records()[-1] == End(0, sim.digests, {})


class Notices(Plugins):
    """Plugins whose observer hooks are noted instead of called."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, Any]] = []

    def notify(self, hook: str, **facts: Any) -> None:
        self.heard.append((hook, facts["tick"]))


def test_observer_hooks_hear_of_opening_snapshots_and_closing(tmp_path: Path) -> None:
    notices = Notices()
    with Simulation(ring(), folder=tmp_path / "run", plugins=notices) as sim:
        sim.advance(4).snapshot()
    assert notices.heard == [("simulation_opened", 0), ("snapshot_taken", 4), ("simulation_closed", 4)]


def test_torn_simulation_can_be_closed() -> None:
    class Interrupted(Fragile):
        @on(Fragile.heard)
        def hear(self, context: Context, value: int) -> None:
            raise KeyboardInterrupt

    graph = Graph("torn")
    graph.add("f", Interrupted)
    sim = Simulation(graph, plugins=Notices())  # type: ignore[arg-type]
    sim.inject("f", 1)
    with pytest.raises(KeyboardInterrupt):
        sim.advance(1)
    with pytest.raises(SimulationUnusable, match="recover"):
        _ = sim.digests
    sim.close()


# ------------------------------------------------------------------------------------- async


def test_async_simulation_does_what_a_simulation_does() -> None:
    async def drive() -> tuple[Any, ...]:
        async with AsyncSimulation(sage()) as sim:
            await sim.advance(3)
            await sim.advance(until="5 ms")
            await sim.inject("sage", Question(-1))
            answer = await sim.ask("sage", Question(4), within=20)
            await sim.snapshot()
            return answer.value, answer.tick, sim.simulation

    value, tick, simulation = anyio.run(drive)
    assert (value, tick) == (8, 7)
    with pytest.raises(SimulationUnusable):
        simulation.advance(1)


def test_calls_of_many_tasks_are_carried_out_one_after_the_other() -> None:
    answers: dict[int, int] = {}

    async def drive() -> None:
        async with AsyncSimulation(sage()) as sim, anyio.create_task_group() as group:

            async def ask(number: int) -> None:
                answers[number] = (await sim.ask("sage", Question(number))).value

            for number in range(8):
                group.start_soon(ask, number)

    anyio.run(drive)
    assert answers == {number: 2 * number for number in range(8)}


def test_async_simulation_passes_errors_on() -> None:
    async def drive() -> None:
        async with AsyncSimulation(sage()) as sim:
            with pytest.raises(NoReply):
                await sim.ask("sage", Question(-1), within=5)
            with pytest.raises(UsageInvalid):
                await sim.inject("nobody", 1)

    anyio.run(drive)


# -------------------------------------------------------------- mistakes in a graph: all at once


def problems(graph: Graph) -> dict[str, str]:
    """Return key and text of every mistake that `wire` finds."""
    with pytest.raises(ScenarioInvalid) as invalid:
        wire(graph)
    found = invalid.value.problems
    assert str(invalid.value).count("\n") == len(found)
    return {each.key: f"{each.got} | {each.expected}" for each in found}


class Dial(Actor):
    """Has parameters of every kind."""

    tau: float = parameter(float, "20 ms", unit="ms", at_least=0, help="how slow")
    wait: int = parameter(int, "5 ms", unit="ticks", at_least=1)
    size: int = parameter(int, help="how large", at_least=1)
    mode: str = parameter(str, "soft", choices=("soft", "hard"))
    flags: tuple[bool, ...] = parameter(tuple[bool, ...], ())
    data: Resource | None = parameter(Resource, None)
    secret: int = parameter(int, 0, semantic=False)
    picture = Input(array("float32", "size", None))
    number = Input(int)
    point = Input(Point)
    out = Output(array("float32", "size", "size"))
    words = Output(str)
    points = Output(Point)

    @on(picture)
    def see(self, context: Context, value: np.ndarray) -> None: ...

    @on(number)
    def count(self, context: Context, value: int) -> None: ...

    @on(point)
    def go(self, context: Context, value: Point) -> None: ...


class Broken(Actor):
    """Cannot be made with some parameters."""

    divisor: int = parameter(int, 1)
    own: int = parameter(int, 0)

    def setup(self) -> None:
        if self.own:
            Relay(limt=self.own)
        self.ratio = 1 / self.divisor


class Plain(Dial):
    """A dial without the parameter that needs a file."""

    data: Any = parameter(int, 0)


def dials(**sizes: int) -> Graph:
    """Return a graph of dials of these sizes."""
    graph = Graph("dials")
    for path, size in sizes.items():
        graph.add(path, Plain, size=size)
    return graph


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


# ------------------------------------------------------------------------------ what decides


def semantic(change: Callable[[Graph], object] = lambda graph: None, *, tick: str = "1 ms", **sizes: Any) -> bytes:
    """Return the semantic hash of a graph of two dials after a change."""
    graph = Graph("g", tick=tick)
    graph.add("a", Plain, size=4, **sizes)
    graph.add("b", Plain, size=4)
    change(graph)
    return wire(graph).semantic


def test_semantic_hash_covers_all_that_may_decide_a_result() -> None:
    changes = [
        semantic(),
        semantic(tick="5 ms"),
        semantic(tau="21 ms"),
        semantic(flags=[True]),
        semantic(flags=[True, False]),
        semantic(lambda graph: graph.add("c", Plain, size=4)),
        semantic(lambda graph: graph.add("c", Plain, size=4, kind="other")),
        semantic(lambda graph: graph.add("c", Plain, size=2**60)),
        semantic(lambda graph: graph.add("c", Plain, size=4, options=Options(shard=3))),
        semantic(lambda graph: graph.add("c", Plain, size=4, options=Options(on_failure="restart"))),
        *(
            semantic(lambda graph, given=given: graph.connect("a.points", "b.point", **given))
            for given in (
                {},
                {"delay": 2},
                {"lane": "emergency"},
                {"capacity": 3},
                {"capacity": 3, "overflow": "drop_oldest"},
            )
        ),
    ]
    assert len(set(changes)) == len(changes)


def test_semantic_hash_leaves_out_what_cannot_change_a_result() -> None:
    assert semantic(secret=5) == semantic()
    connect = {"source": "a.points", "target": "b.point"}
    plain = semantic(lambda graph: graph.connect(**connect))
    assert semantic(lambda graph: graph.connect(**connect, tolerates=("loss",), key="channels[0]")) == plain
    assert semantic(tau="0.02 s") == semantic(tau="20 ms")


def test_semantic_form_names_resources_by_their_content(tmp_path: Path) -> None:
    resource = Resource(path=str(tmp_path / "here"), sha256=hashlib.sha256(b"x").hexdigest())
    parameters = {"tau": 20.0, "wait": 5, "size": 1, "mode": "soft", "flags": (), "data": resource, "secret": 0}
    form = semantic_form(Fraction(1, 1000), [ActorSpec("a", "Dial", Dial, parameters)], [])
    assert form["actors"][0]["parameters"]["data"] == {"sha256": resource.sha256}
    assert "secret" not in form["actors"][0]["parameters"]


def test_shard_is_the_chosen_one_or_a_hash_of_the_path() -> None:
    graph = dials(a=1, b=1)
    graph.add("c", Plain, size=1, options=Options(shard=63))
    wiring = wire(graph)
    assert wiring.shards[wiring.position["c"]] == 63
    digest = hashlib.blake2b(b"a", digest_size=8).digest()
    assert wiring.shards[wiring.position["a"]] == int.from_bytes(digest, "little") % 64
    assert len({wire(dials(**{f"x{n}": 1})).shards[-1] for n in range(200)}) > 50


def test_kinds_are_named_as_people_write_them() -> None:
    assert [kind_name(kind) for kind in (int, Point, array("uint8", 2, None))] == [
        "int",
        "test-point/1",
        "array uint8(2, any)",
    ]


def test_wiring_knows_the_messages_of_ports() -> None:
    graph = Graph("camera")
    graph.add("c", Camera)
    graph.add("d", Plain, size=1)
    assert {("test-frame", 1), ("test-point", 1)} <= set(wire(graph).messages())


def test_population_counts_as_another_thing_than_an_actor_of_its_name() -> None:
    class Some(Population):
        pass

    class Same(ActorBase):
        size: int = parameter(int)

    hashes = set()
    for cls in (Some, Same):
        graph = Graph("g")
        graph.add("p", cls, kind="some", size=3)
        hashes.add(wire(graph).semantic)
    assert len(hashes) == 2


def test_failure_of_an_actor_that_takes_whole_inboxes_names_its_inbox() -> None:
    class Full(Collector):
        def take(self, context: Context, inbox: Any) -> None:
            raise ValueError("full")

    graph = Graph("full")
    graph.add("c", Full)
    sim = Simulation(graph)
    sim.inject("c.a", 1)
    with pytest.raises(ActorFailed, match="while handling its inbox: ValueError: full"):
        sim.advance(1)


def test_noisy_graph_runs_the_same_with_its_actors_under_another_name() -> None:
    digests = set()
    for name in ("one", "two"):
        graph = Graph(name)
        graph.add("n", Noisy)
        digests.add(Simulation(graph, seed=1).advance(9).digest)
    assert len(digests) == 1
