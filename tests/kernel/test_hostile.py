"""Actors, plugins and values that do what nobody expects: named, and kept from doing harm."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace

from neuraxis import (
    Actor,
    Context,
    Graph,
    Input,
    Manifest,
    Options,
    Output,
    Simulation,
    hookimpl,
    on,
    on_inbox,
    on_outcome,
    on_start,
    on_timer,
    state,
)
from neuraxis.errors import (
    GOT_CHARACTERS,
    PROBLEMS_SHOWN,
    ActorFailed,
    DeclarationInvalid,
    FileUnusable,
    InvariantBroken,
    PayloadRejected,
    PluginUnusable,
    Problem,
    ScenarioInvalid,
    StateNotCapturable,
    UsageInvalid,
    counted,
    told,
)
from neuraxis.files import is_file, make_folder, sweep
from neuraxis.launch import resume_graph, resume_run
from neuraxis.plugins import discover
from neuraxis.plugins.discover import Loaded, Source
from neuraxis.plugins.manager import Plugins
from neuraxis.result import conclude, html_report
from neuraxis.runner import Settings
from tests.kernel.actors import Fragile, Listener, Speaker, noisy, talk
from tests.kernel.breakage import read_only
from tests.kernel.victim import SETTINGS, UNTIL, drive, finish, killable, started

RING = Path(__file__).parents[2] / "scenarios" / "ring.toml"
TRACED = replace(SETTINGS, trace="full")


class Mute(Exception):
    """An exception that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no text either")

    __repr__ = __str__


# --------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("seven"), "ValueError: seven"),
        (ValueError(), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
        (Mute(), "Mute: (its text cannot be made: RuntimeError)"),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("x" * 5_000), f"ValueError: {'x' * GOT_CHARACTERS}… (5,000 characters)"),
    ],
)
def test_exceptions_of_others_are_told_whatever_their_text(error: BaseException, text: str) -> None:
    assert told(error) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 parts"), (1, "1 part"), (2, "2 parts"), (1234, "1,234 parts")])
def test_numbers_have_the_right_form_of_their_noun(number: int, text: str) -> None:
    assert counted(number, "part") == text


def test_many_mistakes_are_told_on_one_screen_and_kept_in_full() -> None:
    problems = tuple(Problem(where="", key=f"k{n}", got="x" * 9_999, expected="Write less.") for n in range(1_000))
    error = ScenarioInvalid(name="s", problems=problems)
    assert len(error.message().splitlines()) == PROBLEMS_SHOWN + 2
    assert max(map(len, error.message().splitlines())) < 2 * GOT_CHARACTERS
    assert error.message().endswith("… and 970 more. Correct these first.")
    assert error.problems == problems


def test_the_error_of_an_invariant_ends_with_what_to_do() -> None:
    with Simulation(talk("3:1")) as sim:
        sim.watch(lambda: "it is late" if sim.tick > 4 else None)
        with pytest.raises(InvariantBroken, match=r"it is late\. Correct the actors; neuraxis why RUN") as broken:
            sim.advance(9)
    assert str(broken.value).endswith(".")


# ------------------------------------------------------------------------------- handlers


def generator() -> Callable[..., Any]:
    def react(self: Any, context: Context, value: int = 0) -> Iterator[int]:
        yield value

    return react


def async_generator() -> Callable[..., Any]:
    async def react(self: Any, context: Context, value: int = 0) -> AsyncIterator[int]:
        yield value

    return react


@pytest.mark.parametrize("made", [generator, async_generator])
@pytest.mark.parametrize("reaction", ["start", "inbox", "timer", "outcome", "message"])
def test_generators_are_refused_as_handlers(reaction: str, made: Callable[[], Any]) -> None:
    heard = Input(int)
    mark: Any = {
        "start": on_start,
        "inbox": on_inbox,
        "timer": on_timer("ring"),
        "outcome": on_outcome("done"),
        "message": on(heard),
    }[reaction]
    with pytest.raises(DeclarationInvalid, match=r"Lazy.react: is a generator.* Remove `yield`, and send"):
        type("Lazy", (Actor,), {"heard": heard, "react": mark(made()), "__module__": __name__})


class Giver(Actor):
    """Raises what it is given."""

    heard = Input(int)
    error: BaseException = ValueError()

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        raise self.error


def giving(error: BaseException) -> Simulation:
    """Open a simulation whose actor raises this in tick 3."""
    graph = Graph("giving")
    graph.add("s", Speaker, plan="2:1")
    graph.add("g", type("Giver", (Giver,), {"error": error}))
    graph.connect("s.out", "g.heard")
    return Simulation(graph)


@pytest.mark.parametrize(
    "error",
    [Mute(), StopIteration(1), RecursionError("deep"), AssertionError(), OSError(28, "full"), BaseExceptionGroup],
)
def test_whatever_a_handler_raises_its_tick_is_discarded_and_it_is_named(error: Any) -> None:
    error = ExceptionGroup("two", [ValueError(), Mute()]) if error is BaseExceptionGroup else error
    sim = giving(error)
    with pytest.raises(ActorFailed) as failed:
        sim.advance(9)
    assert (failed.value.actor, failed.value.tick, failed.value.error) == ("g", 3, told(error))
    assert ".. " not in str(failed.value)
    assert sim.recover().tick == 2


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), MemoryError()])
def test_what_ends_the_process_is_passed_on_and_the_run_stands_where_it_stood(error: BaseException) -> None:
    sim = giving(error)
    with pytest.raises(type(error)):
        sim.advance(9)
    assert sim.recover().tick == 2
    sim.close()


# ---------------------------------------------------------------------------------- close


class Closing(Fragile):
    """Counts in a list that all share how often it was made and closed; cannot stand numbers below zero."""

    events: list[str]
    complaint: BaseException | None = None

    def setup(self) -> None:
        self.events.append("made")

    def close(self) -> None:
        self.events.append("closed")
        if self.complaint is not None:
            raise self.complaint


def closing(plan: str, complaint: BaseException | None = None, **options: Any) -> tuple[Graph, list[str]]:
    """Return a graph with two actors that are counted, and the list in which they are."""
    events: list[str] = []
    cls = type("Closing", (Closing,), {"events": events, "complaint": complaint})
    graph = Graph("closing")
    graph.add("s", Speaker, plan=plan)
    for name in ("a", "b"):
        graph.add(name, cls, options=Options(**options))
        graph.connect("s.out", f"{name}.heard")
    events.clear()  # wiring makes actors to look at
    return graph, events


COMPLAINTS = [None, ValueError("cannot close"), Mute(), SystemExit(3)]


@pytest.mark.parametrize("complaint", COMPLAINTS, ids=lambda each: type(each).__name__)
def test_every_actor_is_closed_whatever_another_one_does(
    complaint: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    graph, events = closing("1:1", complaint)
    sim = Simulation(graph)
    made = events.count("made")
    sim.advance(5)
    sim.close()
    sim.close()
    assert events.count("closed") == 2 <= made
    lines = [each for each in caplog.records if each.message == "actor failed to close"]
    assert [each.actor for each in lines] == ([] if complaint is None else ["a", "b"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("policy", ["restart", "isolate"])
@pytest.mark.parametrize("complaint", COMPLAINTS, ids=lambda each: type(each).__name__)
def test_an_actor_that_is_replaced_is_closed(
    complaint: BaseException | None, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    graph, events = closing("1:1 3:-1 6:2 20:3", complaint, on_failure=policy, pause=2)
    with Simulation(graph) as sim:
        sim.advance(30)
        assert sim.statistics.failures == {"a": 1, "b": 1}
        assert events.count("closed") == 2, "those that failed"
        digest = sim.digest
    assert events.count("closed") == 4
    sound, _ = closing("1:1 3:-1 6:2 20:3", on_failure=policy, pause=2)
    assert Simulation(sound).advance(30).digest == digest
    failed = [each for each in caplog.records if each.message == "actor failed to close"]
    assert len(failed) == (0 if complaint is None else 4)


def test_recovery_closes_the_actors_of_the_failed_tick() -> None:
    graph, events = closing("1:1 3:-1")
    sim = Simulation(graph)
    with pytest.raises(ActorFailed):
        sim.advance(9)
    assert "closed" not in events
    sim.recover()
    assert events.count("closed") == 2
    sim.close()
    assert events.count("closed") == 4


def test_a_simulation_that_cannot_be_opened_closes_its_actors_and_its_journal(tmp_path: Path) -> None:
    graph, events = closing("0:1", ValueError("cannot close"))
    graph.add("t", Starter)
    with pytest.raises(ActorFailed, match="t failed at tick 0"):
        Simulation(graph, folder=tmp_path)
    assert events.count("closed") == 2
    with pytest.raises(UsageInvalid, match="holds a run already"):  # and not: another process writes it
        Simulation(graph, folder=tmp_path)


class Starter(Actor):
    """Fails when it starts."""

    @on_start
    def begin(self, context: Context) -> None:
        raise ValueError("not today")


# ----------------------------------------------------------------------------------- values


def nested(depth: int) -> Any:
    """Return lists within each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class Keeper(Actor):
    """Keeps a value in its state from tick 3 on."""

    value: Any = state(0)
    kept: Any = None

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(3, "keep")

    @on_timer("keep")
    def keep(self, context: Context) -> None:
        self.value = self.kept


@pytest.mark.parametrize("value", [nested(10_000), 2**64, -(2**63) - 1, "\ud800", object(), {1.5: 2}, {3}])
def test_a_state_that_no_snapshot_can_hold_is_named(value: Any, tmp_path: Path) -> None:
    graph = Graph("keeping")
    graph.add("k", type("Keeper", (Keeper,), {"kept": value}))
    with Simulation(graph, folder=tmp_path) as sim:
        sim.advance(2)
        sim.snapshot()
        sim.advance(2)
        with pytest.raises(StateNotCapturable, match=r"^\[NX205\] state of k at (value|capture\(\)) is"):
            sim.snapshot()
        assert sim.advance(1).tick == 5, "it goes on"
    assert [each.name for each in (tmp_path / "snapshots").iterdir()] == ["000000000002.nxs"]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused_as_an_input_before_it_is_journaled(value: int, tmp_path: Path) -> None:
    with Simulation(talk(), folder=tmp_path) as sim:
        before = len(sim.records())
        with pytest.raises(PayloadRejected, match="Send what the port declares"):
            sim.inject("ear.heard", value)
        assert len(sim.records()) == before
        assert sim.advance(3).statistics.messages == 0


class Boaster(Actor):
    """Sends a number that is too large."""

    loud = Output(int, "numbers")

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(2, "now")

    @on_timer("now")
    def boast(self, context: Context) -> None:
        context.send("loud", 2**70)


def test_a_payload_without_canonical_form_is_blamed_on_the_port_that_sent_it() -> None:
    graph = Graph("boasting")
    graph.add("b", Boaster)
    graph.add("ear", Listener)
    graph.connect("b.loud", "ear.heard")
    with pytest.raises(PayloadRejected) as rejected:
        Simulation(graph).advance(9)
    assert (rejected.value.actor, rejected.value.port) == ("b", "loud")


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_of_more_than_64_bits_runs_in_memory_only(seed: int, tmp_path: Path) -> None:
    with pytest.raises(UsageInvalid, match=r"more than 64 bits. Choose a smaller one for runs on disk."):
        Simulation(noisy(2), seed=seed, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert Simulation(noisy(2), seed=seed).advance(9).digest != Simulation(noisy(2), seed=1).advance(9).digest


@pytest.mark.parametrize("seed", [2**64 - 1, -(2**63)])
def test_every_seed_of_64_bits_can_be_resumed(seed: int, tmp_path: Path) -> None:
    Simulation(noisy(2), seed=seed, folder=tmp_path).advance(9).close()
    sim = resume_graph(tmp_path, noisy(2), seed=seed).simulation
    assert sim is not None
    assert sim.advance(until=20).digest == Simulation(noisy(2), seed=seed).advance(20).digest
    sim.close()


# ---------------------------------------------------------------------------------- causes


class Quoter(Actor):
    """Names what it handles as its evidence, twice."""

    heard = Input(int)
    said = Output(int, "an answer", evidence=True)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        context.send("said", value, because=[context.message, context.message])


def test_a_cause_that_is_named_twice_is_told_once(tmp_path: Path) -> None:
    graph = Graph("quoting")
    graph.add("q", Quoter)
    graph.connect("q.said", "@output.said")
    with Simulation(graph, folder=tmp_path, settings=Settings(trace="full")) as sim:
        question = sim.inject("q", 7)
        (answer,) = sim.advance(3).outputs
        assert answer.causes == (question,)
        steps = sim.why(answer).steps.values()
        assert [(step.name, len(step.causes)) for step in steps] == [("q#0", 1), ("@input#0", 0)]
    assert '"causes": ["@input#0"]}' in (tmp_path / "trace.jsonl").read_text().splitlines()[-1]


# --------------------------------------------------------------------------- results


class Silent(Actor):
    """Cannot tell its figures or charts."""

    complaint: BaseException = ValueError("no figures")

    def figures(self) -> Any:
        raise self.complaint

    def charts(self) -> Any:
        raise self.complaint


@pytest.mark.parametrize("complaint", [ValueError("no figures"), Mute(), SystemExit(3)], ids=lambda e: type(e).__name__)
def test_figures_and_charts_that_raise_leave_the_result_standing(complaint: BaseException) -> None:
    graph = talk("1:5")
    graph.connect("s0.out", "ear.heard")
    graph.add("silent", type("Silent", (Silent,), {"complaint": complaint}))
    with Simulation(graph) as sim:
        result = conclude(sim.advance(5), (), backend="", wall_s=0.5)
        assert result.summary["figures"]["ear.heard"] == 1
        assert result.summary["digest"] == sim.digest
        assert not result.passed
        assert result.troubles == (f"silent: figures() raised {told(complaint)}. Correct the actor.",)
        page = html_report(sim, result, summary="")
    assert "What could not be told" in page
    assert "silent: charts() raised" in page


# --------------------------------------------------------------------------------- plugins


def plugins_with(**hooks: Callable[..., Any]) -> Plugins:
    """Return plugins of which `second` implements these hooks, between two sound ones."""
    modules = {name: ModuleType(name) for name in ("first", "second", "third")}
    for name, hook in hooks.items():
        hook.__name__ = f"neuraxis_{name}"
        setattr(modules["second"], hook.__name__, hookimpl(hook))
    patch = pytest.MonkeyPatch()
    patch.setattr(
        discover,
        "load",
        lambda name, _: Loaded(
            Source(name, name, "1", name, Path(__file__)), Manifest(name=name, version="1"), modules[name]
        ),
    )
    with patch.context():
        try:
            return Plugins(["third", "second", "first"])
        finally:
            patch.undo()


def _exit(*_: Any) -> NoReturn:
    raise SystemExit(0)


def _mute(*_: Any) -> NoReturn:
    raise Mute


@pytest.mark.parametrize("hook", ["simulation_opened", "snapshot_taken", "simulation_closed", "review_graph"])
@pytest.mark.parametrize("behaviour", [_exit, _mute])
def test_a_hook_that_fails_names_its_plugin(hook: str, behaviour: Callable[..., NoReturn]) -> None:
    def implementation() -> Any:
        behaviour()

    plugins = plugins_with(**{hook: implementation})
    facts: dict[str, Any] = {"name": "n", "folder": None, "tick": 1, "file": Path(), "digests": {}}
    with pytest.raises(PluginUnusable, match=rf"neuraxis_{hook} raised (SystemExit|Mute)") as error:
        plugins.review(talk()) if hook == "review_graph" else plugins.notify(hook, **facts)
    assert error.value.plugin == "second"
    assert error.value.message().endswith("Repair the plugin.")


@pytest.mark.parametrize(
    "hook", ["register_actors", "register_messages", "register_backends", "register_inspections", "register_migrations"]
)
@pytest.mark.parametrize("behaviour", [_exit, _mute])
def test_a_registering_hook_that_fails_names_its_plugin(hook: str, behaviour: Callable[..., NoReturn]) -> None:
    def implementation() -> Any:
        behaviour()

    with pytest.raises(PluginUnusable, match=rf"neuraxis_{hook} raised (SystemExit|Mute)") as error:
        plugins_with(**{hook: implementation})
    assert error.value.plugin == "second"


@pytest.mark.parametrize("answer", ["a text", ["a text"], 5, {"key": "problem"}, [None]])
def test_a_review_that_is_no_list_of_problems_names_its_plugin(answer: Any) -> None:
    def implementation() -> Any:
        return answer

    with pytest.raises(PluginUnusable, match="as problems of a graph it offers") as error:
        plugins_with(review_graph=implementation).review(talk())
    assert error.value.plugin == "second"


def test_reviews_may_be_nothing_lists_or_generators() -> None:
    problem = Problem(where="", key="k", got="bad", expected="Write a good one.")

    def implementation() -> Any:
        yield problem

    assert plugins_with(review_graph=implementation).review(talk()) == [problem]
    assert plugins_with(review_graph=lambda: None).review(talk()) == []
    assert plugins_with(review_graph=lambda: (problem,)).review(talk()) == [problem]


# ----------------------------------------------------------------------------- the trace


@pytest.fixture(scope="module")
def whole_trace(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The trace of the run when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("whole")
    finish(started(folder, TRACED))
    return (folder / "trace.jsonl").read_bytes()


def gone_on(folder: Path) -> bytes:
    """Resume a run to its end, and return its trace."""
    sim = resume_graph(folder, killable(), settings=TRACED).simulation
    assert sim is not None
    finish(sim)
    return (folder / "trace.jsonl").read_bytes()


@pytest.mark.parametrize("until", [0, 1, 14, 15, 16, 29, 30, 31, 39])
def test_the_trace_of_a_run_that_was_stopped_is_that_of_an_unbroken_one(
    tmp_path: Path, whole_trace: bytes, until: int
) -> None:
    drive(started(tmp_path, TRACED), until=until).close()
    assert gone_on(tmp_path) == whole_trace


@pytest.mark.parametrize("until", [1, 14, 15, 16, 35])
def test_the_trace_of_a_run_that_was_killed_is_that_of_an_unbroken_one(
    tmp_path: Path, whole_trace: bytes, until: int
) -> None:
    sim = drive(started(tmp_path / "run", TRACED), until=until)
    killed = Path(shutil.copytree(tmp_path / "run", tmp_path / "killed"))  # what is in its memory is lost
    sim.close()
    assert gone_on(killed) == whole_trace


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_line_of_a_trace_is_written_again(tmp_path: Path, whole_trace: bytes, cut: int) -> None:
    drive(started(tmp_path, TRACED), until=35).close()
    trace = tmp_path / "trace.jsonl"
    trace.write_bytes(trace.read_bytes()[:-cut])
    assert gone_on(tmp_path) == whole_trace


def test_a_failed_tick_is_not_in_the_trace(tmp_path: Path) -> None:
    graph, _ = closing("1:1 4:-1")
    with Simulation(graph, folder=tmp_path, settings=Settings(trace="full")) as sim:
        with pytest.raises(ActorFailed):
            sim.advance(9)
        sim.recover()
        sim.inject("a.heard", 3)
    ticks = {line.split(b",")[0] for line in (tmp_path / "trace.jsonl").read_bytes().splitlines()}
    assert ticks == {b'{"tick": 0', b'{"tick": 1', b'{"tick": 2', b'{"tick": 4'}


# ---------------------------------------------------------------------------- run folders


def test_a_run_that_a_program_opens_from_a_scenario_stands_on_its_own(tmp_path: Path) -> None:
    for name in ("ring.toml", "ring.py"):
        shutil.copy(RING.with_name(name), tmp_path)
    with Simulation.from_scenario(tmp_path / "ring.toml", folder=tmp_path / "run") as sim:
        sim.advance(until=50)
    (tmp_path / "ring.toml").unlink()
    (tmp_path / "ring.py").unlink()
    resumed = resume_run(tmp_path / "run").simulation
    assert resumed is not None
    with resumed, Simulation.from_scenario(RING) as other:
        assert resumed.advance(until=90).digest == other.advance(until=90).digest


def test_a_folder_that_two_simulations_want_goes_to_the_first(tmp_path: Path) -> None:
    with started(tmp_path) as first:
        drive(first, until=3)
        for other in (lambda: started(tmp_path), lambda: resume_graph(tmp_path, killable(), settings=SETTINGS)):
            with pytest.raises(FileUnusable, match="another process is writing this run"):
                other()
        drive(first, until=9)
    sim = resume_graph(tmp_path, killable(), settings=SETTINGS).simulation
    assert sim is not None
    assert finish(sim) == finish(started())


def test_drafts_of_killed_processes_are_swept_and_nothing_else(tmp_path: Path) -> None:
    drive(started(tmp_path), until=UNTIL - 5).close()
    drafts = [tmp_path / ".report.html.7.draft", tmp_path / "snapshots/.000000000015.nxs.123.draft"]
    others = [
        tmp_path / ".mine.draft",
        tmp_path / "mine.7.draft",
        tmp_path / "snapshots/notes",
        tmp_path / "deep/.x.1.draft",
    ]
    for each in (*drafts, *others):
        each.parent.mkdir(exist_ok=True)
        each.write_text("x")
    sim = resume_graph(tmp_path, killable(), settings=SETTINGS).simulation
    assert sim is not None
    assert finish(sim) == finish(started())
    assert [each.exists() for each in drafts] == [False, False]
    assert all(each.exists() for each in others)


def test_drafts_that_cannot_be_swept_are_left(tmp_path: Path) -> None:
    (tmp_path / ".x.1.draft").write_text("x")
    with read_only(tmp_path):
        sweep(tmp_path)
    sweep(tmp_path / "nowhere")
    assert (tmp_path / ".x.1.draft").exists()


def test_a_folder_is_made_anew_only_once(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a/b", anew=True) is True
    assert make_folder(tmp_path / "a/b", anew=True) is False
    assert make_folder(tmp_path / "a/b") is True
    (tmp_path / "file").touch()
    with pytest.raises(FileUnusable, match="Choose a folder"):
        make_folder(tmp_path / "file")


def test_a_path_that_cannot_be_looked_at_is_named_with_the_reason(tmp_path: Path) -> None:
    assert is_file(Path(__file__))
    assert not is_file(tmp_path)
    assert not is_file(tmp_path / "nothing")
    with pytest.raises(FileUnusable, match=r"File name too long. Correct the path, or its permissions."):
        is_file(tmp_path / ("x" * 300))
