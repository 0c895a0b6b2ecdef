"""What happens when an actor fails: stop, restart, isolate, and what no policy may hide."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from neuraxis import (
    Actor,
    Effect,
    Graph,
    Input,
    Options,
    Outcome,
    Output,
    Simulation,
    message,
    on,
    on_inbox,
    on_outcome,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint
from neuraxis.errors import ActorFailed, EvidenceMissing, ForeignAwait, PayloadRejected, PortUnknown, SimulationUnusable
from neuraxis.scheduler.envelope import sequence_of
from neuraxis.testing.checks import resumed_digest, shuffled_digest
from tests.kernel.actors import Fragile, Listener, Speaker, log_of, noisy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis import Context, Inbox
    from neuraxis.scheduler.loop import Scheduler


def fragile(plan: str = "", *, cls: type[Actor] = Fragile, **options: Any) -> Graph:
    """Return a graph: a speaker with a plan, a fragile actor `f`, and `ear`, which hears what `f` echoes."""
    graph = Graph("fragile")
    graph.add("f", cls, options=Options(**options))
    graph.add("s", Speaker, plan=plan)
    graph.add("ear", Listener)
    graph.connect("s.out", "f.heard")
    graph.connect("f.out", "ear.heard")
    return graph


def seen(sim: Simulation) -> list[int]:
    """Return what the fragile actor remembers."""
    return sim.actor("f").seen  # type: ignore[attr-defined,no-any-return]


def echoed(sim: Simulation) -> list[list[int]]:
    """Return tick and value of what reached the ear."""
    return [[tick, value] for tick, _, value in log_of(sim)]


def backwards(scheduler: Scheduler) -> None:
    """Have the actors of every tick run in the reverse order."""
    scheduler.shuffle = lambda _tick, order: list(reversed(order))


# ------------------------------------------------------------------------------------ stop


def test_stop_discards_the_tick_everywhere() -> None:
    plan = "0:1 1:2 4:-1 6:3"
    sim, good = Simulation(fragile(plan)), Simulation(fragile(plan)).advance(until=4)
    with pytest.raises(ActorFailed) as failed:
        sim.advance(20)
    assert (failed.value.actor, failed.value.tick) == ("f", 5)
    assert sim.tick == 4
    assert sim.digest == good.digest
    assert sim.digests == good.digests
    sim.recover()
    assert sim.tick == 4
    assert sim.digest == good.digest
    assert seen(sim) == [1, 2]
    assert echoed(sim) == [[2, 1], [3, 2]]
    assert sim.statistics == good.statistics


def test_error_names_what_was_handled_and_carries_the_original() -> None:
    with pytest.raises(ActorFailed, match="while handling heard from s: ValueError: cannot stand -1") as failed:
        Simulation(fragile("0:-1")).advance(5)
    assert isinstance(failed.value.__cause__, ValueError)
    assert "end of tick 0" in str(failed.value)


def test_failed_simulation_refuses_everything_but_recovery() -> None:
    sim = Simulation(fragile("3:-1"))
    with pytest.raises(ActorFailed):
        sim.advance(9)
    for call in (lambda: sim.advance(1), lambda: sim.inject("f", 1), lambda: sim.actor("f"), sim.snapshot, sim.figures):
        with pytest.raises(SimulationUnusable, match="f failed at tick 4"):
            call()
    assert sim.recover().tick == 3
    sim.inject("f.heard", 5)
    with pytest.raises(ActorFailed):
        sim.advance(9)


def test_run_goes_on_after_recovery_until_it_fails_again() -> None:
    sim = Simulation(fragile("3:-1"))
    for _ in range(3):
        with pytest.raises(ActorFailed, match="tick 4"):
            sim.advance(until=9)
        assert sim.recover().tick == 3
    assert sim.advance(0).tick == 3


def test_recover_of_a_sound_simulation_changes_nothing() -> None:
    sim = Simulation(noisy()).advance(9)
    digest = sim.digest
    assert sim.recover().advance(0).digest == digest


def test_failure_at_the_start_comes_out_of_the_constructor() -> None:
    class Stillborn(Actor):
        @on_start
        def begin(self, context: Context) -> None:
            raise LookupError("no")

    for policy in ("stop", "restart", "isolate"):
        graph = Graph("stillborn")
        graph.add("a", Stillborn, options=Options(on_failure=policy))
        with pytest.raises(ActorFailed, match="LookupError: no"):
            Simulation(graph)


def test_outputs_of_a_discarded_tick_never_leave() -> None:
    graph = fragile("0:1 2:-1")
    graph.connect("s.out", "@output.said", delay=1)
    sim = Simulation(graph)
    with pytest.raises(ActorFailed):
        sim.advance(9)
    assert [each.value for each in sim.outputs] == [1]
    assert [each.value for each in sim.recover().outputs] == [1]


@pytest.mark.parametrize("arm", [None, backwards])
def test_of_several_failures_in_a_tick_the_lowest_path_is_named(arm: Any) -> None:
    graph = Graph("many")
    for path in ("d", "b", "c", "a"):
        graph.add(path, Fragile)
    sim = Simulation(Blueprint(graph, arm=arm))
    for path, value in (("d", -4), ("b", -2), ("c", -3), ("a", 1)):
        sim.inject(f"{path}.heard", value)
    with pytest.raises(ActorFailed, match="cannot stand -2") as failed:
        sim.advance(1)
    assert failed.value.actor == "b"
    assert sim.tick == 0


class Slow(Actor):
    """Fails after it has waited for a computation."""

    heard = Input(int)

    @on(heard)
    async def hear(self, context: Context, value: int) -> None:
        await context.offload(abs, value)
        await context.offload(abs, value)
        if value < 0:
            raise ValueError(f"slowly {value}")


@pytest.mark.parametrize("arm", [None, backwards])
@pytest.mark.parametrize("first", [-1, 1])
def test_failure_of_a_handler_that_waits_counts_before_one_with_a_higher_path(arm: Any, first: int) -> None:
    graph = Graph("slow")
    graph.add("a", Slow)
    graph.add("b", Fragile)
    graph.add("c", Slow)
    with Simulation(Blueprint(graph, arm=arm)) as sim:
        for path, value in (("a", first), ("b", -2), ("c", -3)):
            sim.inject(f"{path}.heard", value)
        with pytest.raises(ActorFailed) as failed:
            sim.advance(1)
    assert failed.value.actor == ("a" if first < 0 else "b")


def test_of_two_handlers_that_wait_and_fail_the_lower_path_is_named() -> None:
    class Slower(Slow):
        @on(Slow.heard)
        async def hear(self, context: Context, value: int) -> None:
            await context.offload(abs, value)
            await Slow.hear(self, context, value)

    graph = Graph("slow")
    graph.add("a", Slower)
    graph.add("b", Slow)
    with Simulation(graph) as sim:
        for path in "ab":
            sim.inject(f"{path}.heard", -1)
        with pytest.raises(ActorFailed) as failed:
            sim.advance(1)
    assert failed.value.actor == "a"


def test_contract_that_an_actor_breaks_is_a_failure_like_any_other() -> None:
    class Careless(Actor):
        heard = Input(int)
        out = Output(int)
        proof = Output(int, evidence=True)

        @on(heard)
        def hear(self, context: Context, value: int) -> None:
            if value == 0:
                context.send("outt", 1)
            elif value == 1:
                context.send("out", "text")
            elif value == 2:
                context.send("proof", 1)
            else:
                context.send("proof", 1, because=[context.message])

    graph = Graph("careless")
    graph.add("c", Careless)
    for value, error in enumerate((PortUnknown, PayloadRejected, EvidenceMissing)):
        sim = Simulation(graph)
        sim.inject("c", value)
        with pytest.raises(ActorFailed) as failed:
            sim.advance(1)
        assert isinstance(failed.value.__cause__, error)
    sim = Simulation(graph)
    sim.inject("c", 3)
    assert sim.advance(1).tick == 1


# --------------------------------------------------------------------------------- restart


def test_restart_goes_back_to_the_initial_state_and_handles_the_rest_of_the_inbox() -> None:
    sim = Simulation(fragile("0:1 1:2 4:3 4:-1 4:4 5:5", on_failure="restart")).advance(20)
    assert seen(sim) == [4, 5]
    assert echoed(sim) == [[2, 1], [3, 2], [6, 3], [6, 4], [7, 5]]
    assert sim.statistics.failures == {"f": 1}


def test_activation_that_raises_commits_nothing() -> None:
    """It sent a message, set a timer and changed its state before it raised."""
    sim = Simulation(fragile("0:-1", on_failure="restart")).advance(1)
    assert sim.pending() == {}
    assert seen(sim) == []
    assert sim.advance(9).actor("f").rang == 0  # type: ignore[attr-defined]
    assert echoed(sim) == []


def test_tick_whose_mail_was_all_taken_back_is_not_run() -> None:
    graph = Graph("far")
    graph.add("f", Fragile, options=Options(on_failure="restart"))
    graph.connect("f.out", "@output.far", delay=5)
    sim = Simulation(graph)
    sim.inject("f", -1)
    assert sim.advance(1).pending() == {}
    assert sim.advance(9).statistics.messages == 1


def test_message_that_failed_goes_to_the_dead_letters() -> None:
    sim = Simulation(fragile("0:1 2:-7", on_failure="restart")).advance(9)
    (letter,) = sim.dead_letters
    assert (letter.tick, letter.source, letter.target, letter.port, letter.payload) == (3, "s", "f", "heard", -7)
    assert letter.reason == "handler raised ValueError"
    assert sim.statistics.dead_letters == {"handler raised ValueError": 1}


def test_sequences_never_rewind_when_an_actor_restarts() -> None:
    graph = fragile("0:1 1:-1 2:2", on_failure="restart")
    graph.connect("f.out", "@output.echo")
    sim = Simulation(graph).advance(9)
    assert [sequence_of(each.id) for each in sim.outputs] == [0, 3]  # 1 and 2 were taken back


def test_timers_set_before_the_failing_activation_still_ring() -> None:
    class Ticking(Fragile):
        @on_start
        def begin(self, context: Context) -> None:
            context.wake(5, "ring")

    sim = Simulation(fragile("0:1 1:-1", cls=Ticking, on_failure="restart")).advance(9)
    assert sim.actor("f").rang == 1  # type: ignore[attr-defined]


def test_mail_of_others_to_the_same_receiver_is_not_taken_back() -> None:
    graph = fragile("2:-1 2:1", on_failure="restart")
    graph.add("g", Speaker, plan="3:8 4:9")
    graph.connect("g.out", "ear.heard")
    graph.connect("f.out", "ear.also", delay=2)
    sim = Simulation(graph).advance(9)
    assert log_of(sim) == [[4, "f", 1], [4, "g", 8], [5, "f", -1], [5, "g", 9]]


@pytest.mark.parametrize(
    ("plan", "kept"),
    [
        ("0:1 4:2 9:3 10:4 11:-1", [1, 2, 3]),  # handled at 12: the state at the end of tick 10 is what counts
        ("0:1 4:2 9:3 10:-1", [1, 2, 3]),
        ("0:1 4:2 8:3 9:-1", [1, 2]),  # handled at 10: the newest checkpoint is that of tick 5
        ("0:1 3:2 30:-1", [1, 2]),
        ("0:1 1:2 2:-1", []),
    ],
)
def test_restart_goes_back_to_the_newest_own_checkpoint(plan: str, kept: list[int]) -> None:
    sim = Simulation(fragile(plan, on_failure="restart", checkpoint_every=5)).advance(40)
    assert seen(sim) == kept


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(-2, 9)), max_size=25), st.none() | st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_restart_agrees_with_a_model_of_checkpoints(plan: list[tuple[int, int]], every: int | None) -> None:
    text = " ".join(f"{tick - 1}:{value}" for tick, value in plan)
    with Simulation(fragile(text, on_failure="restart", checkpoint_every=every)) as sim:
        got = seen(sim.advance(until=40))
    ends: dict[int, list[int]] = {0: []}
    now: list[int] = []
    for tick in range(1, 41):
        for _, value in sorted((each for each in plan if each[0] == tick), key=lambda each: each[0]):
            now = [*now, value] if value >= 0 else ends[0 if every is None else (tick - 1) // every * every]
        ends[tick] = now
    assert got == now


def test_snapshots_of_the_run_are_never_restart_points() -> None:
    sim = Simulation(fragile("0:1 1:2 5:-1 6:3", on_failure="restart"))
    for _ in range(9):
        sim.advance(1).snapshot()
    assert seen(sim) == [3]


def test_restart_survives_stopping_and_resuming_at_any_tick() -> None:
    plan = "0:1 1:2 5:-1 6:3 8:-1 9:4 12:5 14:-1 15:6"
    sim = Simulation(fragile(plan, on_failure="restart", checkpoint_every=4)).advance(20)
    assert {resumed_digest(sim, at=at) for at in range(20)} == {sim.digest}
    assert shuffled_digest(sim, key=1) == sim.digest


def test_actor_that_takes_whole_inboxes_loses_the_whole_inbox_when_it_fails() -> None:
    class Batch(Actor):
        heard = Input(int)
        out = Output(int)
        seen: list[int] = state(factory=list)

        @on_inbox
        def take(self, context: Context, inbox: Inbox) -> None:
            self.seen += inbox.payloads("heard")
            if -1 in self.seen:
                raise ValueError("minus one")

    sim = Simulation(fragile("0:1 2:2 2:-1 2:3 4:4", cls=Batch, on_failure="restart")).advance(9)
    assert seen(sim) == [4]
    assert [each.payload for each in sim.dead_letters] == [2, -1, 3]


def test_actor_that_fails_while_it_waits_for_a_computation_is_restarted() -> None:
    class Waiting(Fragile):
        @on(Fragile.heard)
        async def hear(self, context: Context, value: int) -> None:
            doubled = await context.offload(lambda x: 2 * x, value)
            self.seen.append(doubled)
            context.send("out", doubled)
            if value < 0:
                raise ValueError(f"cannot stand {value}")

    with Simulation(fragile("0:1 1:-1 1:2 3:3", cls=Waiting, on_failure="restart")) as sim:
        sim.advance(9)
        assert seen(sim) == [4, 6]
        assert echoed(sim) == [[2, 2], [3, 4], [5, 6]]
        assert shuffled_digest(sim, key=0) == sim.digest


@message("test-shout")
@attrs.frozen
class Shout(Effect):
    """Says something to the world, and notes it."""

    word: str

    def perform(self, key: str) -> str:
        SHOUTED.append(self.word)
        return self.word


SHOUTED: list[str] = []


def test_effect_of_a_failing_activation_never_starts() -> None:
    class Loud(Fragile):
        effects = (Shout,)

        @on(Fragile.heard)
        def hear(self, context: Context, value: int) -> None:
            context.effect(Shout(str(value)), delay=2, to="said")
            if value < 0:
                raise ValueError("no")

        @on_outcome("said")
        def said(self, context: Context, outcome: Outcome) -> None:
            self.seen.append(int(outcome.value))

    SHOUTED.clear()
    with Simulation(fragile("0:1 0:-1 0:2", cls=Loud, on_failure="restart")) as sim:
        assert seen(sim.advance(9)) == [1, 2]
    assert sorted(SHOUTED) == ["1", "2"]
    with Simulation(fragile("0:-1", cls=Loud)) as sim, pytest.raises(ActorFailed):
        sim.advance(9)
    assert len(SHOUTED) == 2


def test_failure_under_supervision_is_told_to_the_operators(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "neuraxis.actor"):
        Simulation(fragile("0:-1", on_failure="restart")).advance(3)
    (line,) = caplog.records
    assert (line.message, line.actor, line.tick) == ("actor failed", "f", 1)  # type: ignore[attr-defined]
    assert line.facts["error"] == "ValueError: cannot stand -1"  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", ["restart", "isolate"])
@pytest.mark.parametrize("most", [1, 3])
def test_more_failures_than_allowed_stop_the_run(policy: str, most: int) -> None:
    plan = " ".join(f"{tick}:-1" for tick in range(0, 50, 5))
    sim = Simulation(fragile(plan, on_failure=policy, failures_max=most, pause=1))
    with pytest.raises(ActorFailed) as failed:
        sim.advance(100)
    assert failed.value.tick == 1 + 5 * most
    assert sim.recover().statistics.failures == {"f": most}


# --------------------------------------------------------------------------------- isolate


def test_isolated_actor_gets_no_mail_until_its_pause_is_over() -> None:
    plan = " ".join(f"{tick}:{value}" for tick, value in enumerate((1, 2, -1, 4, 5, 6, 7)))
    sim = Simulation(fragile(plan, on_failure="isolate", pause=3)).advance(20)
    assert seen(sim) == [6, 7]  # it failed at tick 3 and was apart in ticks 3, 4 and 5
    assert echoed(sim) == [[2, 1], [3, 2], [7, 6], [8, 7]]
    assert sim.statistics.dead_letters == {"handler raised ValueError": 1, "receiver is isolated": 2}
    assert [(each.tick, each.payload) for each in sim.dead_letters] == [(3, -1), (4, 4), (5, 5)]


def test_rest_of_the_inbox_of_an_actor_that_becomes_isolated_goes_to_the_dead_letters() -> None:
    sim = Simulation(fragile("0:1 0:-1 0:2 0:3", on_failure="isolate", pause=1)).advance(5)
    assert [each.payload for each in sim.dead_letters] == [-1, 2, 3]
    assert seen(sim) == []


def test_breaker_closes_by_itself_and_opens_again_at_the_next_failure() -> None:
    plan = " ".join(f"{tick}:{-1 if tick in (2, 8) else tick}" for tick in range(14))
    sim = Simulation(fragile(plan, on_failure="isolate", pause=4)).advance(20)
    assert [value for _, value in echoed(sim)] == [0, 1, 6, 7, 12, 13]
    assert sim.statistics.failures == {"f": 2}


def test_isolated_actor_loses_also_what_comes_on_the_emergency_lane() -> None:
    graph = Graph("urgent")
    graph.add("f", Fragile, options=Options(on_failure="isolate", pause=3))
    graph.add("s", Speaker, plan="0:-1 1:1 2:2 3:3")
    graph.connect("s.out", "f.heard", lane="emergency")
    sim = Simulation(graph).advance(9)
    assert seen(sim) == [3]
    assert sim.statistics.dead_letters == {"handler raised ValueError": 1, "receiver is isolated": 2}
    assert sim.statistics.messages == 6  # the start and three timers of `s`, and two messages to `f`


def test_backlog_of_an_isolated_actor_does_not_get_stuck() -> None:
    options = {"on_failure": "isolate", "pause": 3, "messages_per_tick": 1}
    sim = Simulation(fragile("0:-1 0:1 0:2 0:3 0:4", **options)).advance(20)
    assert seen(sim) == [3, 4]
    assert [(each.tick, each.payload) for each in sim.dead_letters] == [(1, -1), (2, 1), (3, 2)]
    assert sim.statistics.waiting == 0


def test_isolation_survives_stopping_and_resuming_at_any_tick() -> None:
    plan = " ".join(f"{tick}:{-1 if tick in (2, 8) else tick}" for tick in range(14))
    sim = Simulation(fragile(plan, on_failure="isolate", pause=4, checkpoint_every=3)).advance(20)
    assert {resumed_digest(sim, at=at) for at in range(20)} == {sim.digest}
    assert shuffled_digest(sim, key=5) == sim.digest


# --------------------------------------------------------------- what no policy may swallow


ENDS: Sequence[type[BaseException]] = (MemoryError, KeyboardInterrupt, SystemExit)


class Doomed(Actor):
    """Ends the process in one of several ways, by itself or in a computation."""

    way: int = parameter(int)
    heard = Input(int)
    out = Output(int)
    seen: list[int] = state(factory=list)

    @on(heard)
    async def hear(self, context: Context, value: int) -> None:
        self.seen.append(value)
        if value == -1:
            raise ENDS[self.way]
        if value == -2:
            await context.offload(self.end)

    def end(self) -> None:
        raise ENDS[self.way]


class DoomedAtOnce(Doomed):
    """Likewise, without `async`, so that it runs on the loop's shortest way."""

    @on(Doomed.heard)
    def hear(self, context: Context, value: int) -> None:
        self.seen.append(value)
        if value < 0:
            raise ENDS[self.way]


@pytest.mark.parametrize("way", range(len(ENDS)))
@pytest.mark.parametrize("policy", ["stop", "restart", "isolate"])
@pytest.mark.parametrize(("cls", "value"), [(Doomed, -1), (Doomed, -2), (DoomedAtOnce, -1)])
@pytest.mark.parametrize("alone", [True, False])
def test_end_of_the_process_is_no_failure_of_an_actor(
    way: int, policy: str, cls: type[Actor], value: int, alone: bool
) -> None:
    def graph() -> Graph:
        graph = Graph("doomed")
        graph.add("f", cls, way=way, options=Options(on_failure=policy))
        graph.add("s", Speaker, plan=f"0:1 3:{value}")
        graph.add("t", Speaker, plan="" if alone else "0:1 1:1 2:1 3:1")
        graph.add("ear", Listener)
        graph.connect("s.out", "f.heard")
        graph.connect("t.out", "ear.heard")
        return graph

    with Simulation(graph()) as sim:
        with pytest.raises(ENDS[way]):
            sim.advance(9)
        assert sim.tick == 3
        with pytest.raises(SimulationUnusable, match="interrupted"):
            _ = sim.digest
        sim.recover()
        assert (sim.tick, seen(sim), sim.statistics.failures) == (3, [1], {})
        assert sim.digest == Simulation(graph()).advance(until=3).digest


# ---------------------------------------------------------------------------- foreign await


class Foreign(Actor):
    """Awaits what it must not."""

    heard = Input(int)
    out = Output(int)
    seen: list[int] = state(factory=list)
    closed: list[int] = state(factory=list)

    @on(heard)
    async def hear(self, context: Context, value: int) -> None:
        try:
            if value < 0:
                await asyncio.sleep(0)
            self.seen.append(value)
        finally:
            self.closed.append(value)


def test_handler_that_awaits_anything_but_offload_fails() -> None:
    sim = Simulation(fragile("0:1 1:-1", cls=Foreign))
    with pytest.raises(ActorFailed, match="may be awaited") as failed:
        sim.advance(9)
    assert isinstance(failed.value.__cause__, ForeignAwait)
    assert sim.tick == 1


def test_foreign_await_is_supervised_like_any_failure() -> None:
    sim = Simulation(fragile("0:1 1:-1 2:2", cls=Foreign, on_failure="restart")).advance(9)
    assert seen(sim) == [2]
    assert sim.statistics.dead_letters == {"handler raised ForeignAwait": 1}


# ------------------------------------------------------------------------ discarded for good


def test_tick_whose_intent_is_refused_is_discarded_although_a_shard_was_full() -> None:
    """The tick fills the buffer of a shard, which must not be folded before the intents are accepted."""

    class Nameless(Effect):
        pass

    class Hoarder(Actor):
        heard = Input(str)

        @on(heard)
        def hear(self, context: Context, value: str) -> None:
            if value != "x":
                context.effect(Nameless(), delay=1, to="done")

        @on_outcome("done")
        def done(self, context: Context, outcome: Outcome) -> None: ...

    graph = Graph("hoard")
    graph.add("h", Hoarder)
    sims = [Simulation(graph), Simulation(graph)]
    for sim in sims:
        sim.inject("h", "x")
        sim.advance(1)
    sims[0].inject("h", "y" * 100_000)
    with pytest.raises(Exception, match="not a registered message type"):
        sims[0].advance(1)
    assert sims[0].tick == 1
    assert sims[0].digest == sims[1].digest


def test_timer_of_a_supervised_actor_that_raises_is_lost_alone() -> None:
    class Alarm(Actor):
        rings: list[int] = state(factory=list)

        @on_start
        def begin(self, context: Context) -> None:
            for ticks in (2, 4, 6):
                context.wake(ticks, "ring")

        @on_timer("ring")
        def ring(self, context: Context) -> None:
            self.rings.append(context.tick)
            if context.tick == 4:
                raise ValueError("not now")

    graph = Graph("alarm")
    graph.add("a", Alarm, options=Options(on_failure="restart", checkpoint_every=1))
    sim = Simulation(graph).advance(9)
    assert sim.actor("a").capture() == {"rings": [2, 6]}
    assert [each.port for each in sim.dead_letters] == ["@timer:ring"]


def test_armed_blueprint_stays_armed_after_recovery() -> None:
    armed: list[int] = []
    blueprint = Blueprint(fragile("3:-1"))
    sim = Simulation(replace(blueprint, arm=lambda scheduler: armed.append(1)))
    with pytest.raises(ActorFailed):
        sim.advance(9)
    sim.recover()
    assert armed == [1, 1]
