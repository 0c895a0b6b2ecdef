"""The embedding API: what a program can do with a simulation, also from many tasks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import numpy as np
import pytest

from neuraxis import Actor, AsyncSimulation, Graph, Input, Output, Simulation, array, message, on, on_timer, state
from neuraxis.blueprint import Blueprint, History, ScriptedInput, Silence, numerics
from neuraxis.errors import (
    ActorFailed,
    InvariantBroken,
    NoReply,
    PayloadRejected,
    SimulationUnusable,
    UnitInvalid,
    UsageInvalid,
)
from neuraxis.journal.record import BlockDigest, End, Header, InputRecord
from neuraxis.plugins.manager import Plugins
from neuraxis.runner import Settings
from neuraxis.scheduler.envelope import sequence_of
from neuraxis.wiring import SHARDS, wire
from tests.kernel.actors import Collector, Fragile, Listener, Relay, Speaker, log_of, noisy, ring, talk

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
