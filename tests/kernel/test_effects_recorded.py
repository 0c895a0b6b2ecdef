"""Effects on record: journaled before they count, replayed without a call, asked again after a crash."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from neuraxis import Outcome, Simulation, on, on_outcome
from neuraxis.blueprint import Blueprint, History, execute_again
from neuraxis.errors import ActorFailed, UsageInvalid
from neuraxis.journal.record import IntentRecord, OutcomeRecord
from neuraxis.launch import resume_graph
from neuraxis.plugins.manager import Plugins
from neuraxis.testing.checks import resumed_digest
from tests.kernel.world import WORLD, AskAsync, Asker, AskWorld, Oracle, World, asked, asker, log, records

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis import Context

pytestmark = pytest.mark.usefixtures("world")  # also for tests that do not look at it


# --------------------------------------------------------------------------------- records


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
    code = "from tests.kernel.world import asked, asker; sim = asked(asker(), 'x'); print(sim.tick)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "10\n", "")
