"""The public suites: they pass what is right and catch what is wrong."""

from __future__ import annotations

import sys
import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import numpy as np
import pytest
from msgspec.structs import replace

from neuraxis import (
    Actor,
    Graph,
    Input,
    Options,
    Output,
    Population,
    Simulation,
    array,
    message,
    on,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint
from neuraxis.errors import UsageInvalid
from neuraxis.faults import Faults, parse_plan
from neuraxis.testing import ActorSuite, PopulationSuite, Suite, assert_uses_public_doors, run_suite
from neuraxis.testing.checks import FrozenPayloads, digest_of, shuffled_digest
from neuraxis.testing.suite import suites_of
from tests.kernel.actors import Camera, Noisy, Relay, noisy, ring

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis import Context
    from neuraxis.rng import Stream

pytest_plugins = ["pytester"]


def verdicts(suite: type[Suite]) -> dict[str, str]:
    """Return what became of each clause of a suite."""
    return {clause.sentence: clause.state for clause in run_suite(suite)}


def failing(suite: type[Suite]) -> list[str]:
    """Return the clauses of a suite that fail."""
    return [sentence for sentence, verdict in verdicts(suite).items() if verdict == "fails"]


# ---------------------------------------------------------------------------- populations


class Counter(Actor):
    """Adds up what it hears, with some noise, and tells the sum."""

    gain: int = parameter(int, 2)
    heard = Input(int)
    out = Output(int)
    odd = Output(int)
    total: int = state(0)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.total += self.gain * value + int(context.stream("noise").raw(2)[1] % 7)
        context.send("out", self.total)
        context.send("out", -self.total)
        if context.tick % 2:
            context.send("odd", self.total)


class Counters(Population):
    """Many counters as one."""

    member = Counter
    gain: int = parameter(int, 2)
    heard = Input(array("int64", "size"))
    out = Output(array("int64", "size"))
    odd = Output(array("int64", "size"))
    total: np.ndarray = state(None)

    def setup(self) -> None:
        self.total = np.zeros(self.size, np.int64)

    def noise(self, context: Context) -> np.ndarray:
        return (context.rows("noise", 2)[:, 1] % np.uint64(7)).astype(np.int64)

    @on(heard)
    def hear(self, context: Context, values: np.ndarray) -> None:
        self.total = self.total + self.gain * values + self.noise(context)
        context.send("out", self.total.copy())
        context.send("out", -self.total)
        if context.tick % 2:
            context.send("odd", self.total.copy())


class TestCounters(PopulationSuite):
    population = Counters
    parameters: ClassVar[dict[str, Any]] = {"gain": 3}


class TestManyCounters(PopulationSuite):
    """More messages than a simulation keeps as outputs, and paths of two lengths."""

    population = Counters
    size = 501
    ticks = 8


class TestCountersThatHearNothing(PopulationSuite):
    population = Counters

    def inputs(self, tick: int, stream: Stream) -> dict[str, np.ndarray]:
        return {} if tick % 3 else super().inputs(tick, stream)


class MovingCounters(Counters):
    """Wrong: one row takes another's place."""

    @on(Counters.heard)
    def hear(self, context: Context, values: np.ndarray) -> None:
        Counters.hear(self, context, np.roll(values, 1))


class NoisierCounters(Counters):
    """Wrong: it draws other words than its members."""

    def noise(self, context: Context) -> np.ndarray:
        return (context.rows("noise", 2)[:, 0] % np.uint64(7)).astype(np.int64)


class ForgetfulCounters(Counters):
    """Wrong: the states agree, what is sent does not."""

    @on(Counters.heard)
    def hear(self, context: Context, values: np.ndarray) -> None:
        self.total = self.total + self.gain * values + self.noise(context)
        context.send("out", self.total.copy())


class ReversingCounters(Counters):
    """Wrong: two messages change places."""

    @on(Counters.heard)
    def hear(self, context: Context, values: np.ndarray) -> None:
        self.total = self.total + self.gain * values + self.noise(context)
        context.send("out", -self.total)
        context.send("out", self.total.copy())
        if context.tick % 2:
            context.send("odd", self.total.copy())


class SecretCounters(Counters):
    """Wrong: what is sent agrees, the states do not."""

    @on(Counters.heard)
    def hear(self, context: Context, values: np.ndarray) -> None:
        Counters.hear(self, context, values)
        self.total = self.total + (context.tick == 19)


def suite_of(wrong: type[Population], **attributes: Any) -> type[PopulationSuite]:
    """Return a suite for a population."""
    return type("Suite", (PopulationSuite,), {"population": wrong, **attributes})


@pytest.mark.parametrize(
    "wrong", [MovingCounters, NoisierCounters, ForgetfulCounters, ReversingCounters, SecretCounters]
)
def test_population_that_is_not_its_members_is_caught(wrong: type[Population]) -> None:
    (clause,) = run_suite(suite_of(wrong))
    assert clause.state == "fails"
    assert "differ" in clause.note


def test_population_without_a_member_class_is_told_so() -> None:
    class Orphans(Counters):
        member = None

    (clause,) = run_suite(suite_of(Orphans))
    assert "Orphans names no member class" in clause.note


def test_inputs_of_another_size_than_the_population_are_refused() -> None:
    (clause,) = run_suite(suite_of(Counters, inputs=lambda self, tick, stream: {"heard": np.zeros(3, np.int64)}))
    assert "inputs() must give 5 rows" in clause.note


def test_inputs_that_are_no_arrays_have_to_be_given_by_the_suite() -> None:
    class Spoken(Counters):
        word = Input(str)

        @on(word)
        def listen(self, context: Context, value: str) -> None: ...

    (clause,) = run_suite(suite_of(Spoken))
    assert "override inputs() for others" in clause.note


# --------------------------------------------------------------------------------- actors


class TestNoisy(ActorSuite):
    ticks = 12

    def graph(self) -> Graph:
        return noisy(3)


class TestRing(ActorSuite):
    ticks = 9

    def graph(self) -> Graph:
        return ring(3)


class TestCamera(ActorSuite):
    ticks = 4

    def graph(self) -> Graph:
        graph = Graph("camera")
        graph.add("c", Camera)
        graph.connect("c.picture", "@output.picture", delay=2)
        return graph

    def drive(self, sim: Simulation) -> None:
        sim.inject("c", 3)


class Thinking(Noisy):
    """Waits for a computation on another thread."""

    @on(Noisy.heard)
    async def hear(self, context: Context, value: int) -> None:
        self.total = (self.total * 31 + await context.offload(abs, value)) % 1_000_003


class TestThinking(ActorSuite):
    """An actor that uses threads; the suite has to end them."""

    ticks = 6

    def graph(self) -> Graph:
        graph = Graph("thinking")
        for path in "ab":
            graph.add(path, Thinking)
        graph.connect("a.out", "b.heard")
        graph.connect("b.out", "a.heard")
        return graph


def test_suite_leaves_no_thread_behind() -> None:
    threads = threading.active_count()
    suite = TestThinking()
    suite.test_splitting_a_run_changes_nothing()
    suite.test_stopping_and_resuming_at_any_tick_changes_nothing()
    assert threading.active_count() == threads


SHARED = [0]


class Sharing(Noisy):
    """Wrong: shares a list with its neighbours."""

    @on_timer("again")
    def again(self, context: Context) -> None:
        SHARED[0] = (SHARED[0] * 31 + ord(context.path[-1])) % 1009
        context.wake(1, "again")
        context.send("out", SHARED[0])


class Hiding(Noisy):
    """Wrong: keeps something that it did not declare as state."""

    hidden = 0

    @on_timer("again")
    def again(self, context: Context) -> None:
        self.hidden += 1
        context.wake(1, "again")
        context.send("out", self.hidden)


class Hashing(Noisy):
    """Wrong: lets the hash of a text decide."""

    @on_timer("again")
    def again(self, context: Context) -> None:
        context.wake(1, "again")
        context.send("out", hash(context.path) % 1009)


class Peeping(Actor):
    """Wrong: what it does depends on how many actors there are."""

    population: ClassVar[list[Any]] = []
    out = Output(int)
    crowd: int = state(0)

    @on_start
    def begin(self, context: Context) -> None:
        self.crowd = len(context._paths)
        context.send("out", self.crowd)


class Cloudy(Actor):
    """Wrong: its state does not come back as it was."""

    drops: int = state(0)

    def restore(self, captured: Any) -> None:
        self.drops = captured["drops"] + 1

    @on_start
    def begin(self, context: Context) -> None: ...


@message("test-note")
@attrs.frozen
class Note:
    """A text."""

    text: str


class Forger(Actor):
    """Wrong: changes a message that is on its way."""

    out = Output(Note)
    drafts: tuple[Note, ...] = state(())

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(2, "forge")
        self.drafts = (Note("true"),)
        context.send("out", self.drafts[0])

    @on_timer("forge")
    def forge(self, context: Context) -> None:
        object.__setattr__(self.drafts[0], "text", "false")


def of(cls: type[Actor], *, paths: str = "abc", ticks: int = 8, delay: int = 1) -> type[ActorSuite]:
    """Return a suite for a graph of actors that tell the outside, and each other where they can hear."""

    def graph(self: ActorSuite) -> Graph:
        SHARED[0] = 0
        graph = Graph("suspects")
        for path in paths:
            graph.add(path, cls)
            for output in cls.declaration.outputs:
                graph.connect(f"{path}.{output}", f"@output.{output}", delay=delay)
            for name in cls.declaration.inputs:
                graph.connect(f"{path}.out", f"{path}.{name}")
        return graph

    suite = type("Suspect", (ActorSuite,), {"graph": graph, "ticks": ticks, "__module__": __name__})
    globals()["Suspect"] = suite  # where the clause about hash seeds finds it
    suite.__test__ = False  # type: ignore[attr-defined]
    return suite


HASHES = "the hash seed of python changes nothing"


@pytest.mark.parametrize(
    ("cls", "clause"),
    [
        (Sharing, "the order of actors in a tick changes nothing"),
        (Hiding, "stopping and resuming at any tick changes nothing"),
        (Peeping, "adding an unrelated actor changes no state"),
        (Cloudy, "the state can be captured and restored"),
    ],
)
def test_actor_that_breaks_a_promise_fails_the_clause_that_says_so(cls: type[Actor], clause: str) -> None:
    suite = of(cls)
    suite.test_the_hash_seed_of_python_changes_nothing = lambda self: None  # type: ignore[method-assign]
    assert clause in failing(suite)


def test_payload_that_is_changed_on_its_way_is_caught() -> None:
    suite = of(Forger, delay=4)()
    with pytest.raises(AssertionError, match="was changed after it was sent"):
        suite.test_payloads_are_not_changed_after_sending()
    with Simulation(suite.graph()) as sim:
        FrozenPayloads(sim).advance(1)


class HashingSuite(ActorSuite):
    """For an actor that breaks the clause about hash seeds; run only by the test below."""

    __test__ = False
    ticks = 4

    def graph(self) -> Graph:
        graph = Graph("hashing")
        graph.add("a", Hashing)
        graph.connect("a.out", "a.heard")
        return graph


def test_actor_that_depends_on_the_hash_seed_is_caught() -> None:
    with pytest.raises(AssertionError):
        HashingSuite().test_the_hash_seed_of_python_changes_nothing()


def test_suite_in_which_nothing_happens_fails() -> None:
    class Mute(Actor):
        heard = Input(int)
        out = Output(int)

        @on(heard)
        def hear(self, context: Context, value: int) -> None: ...

    with pytest.raises(AssertionError, match="nothing is tested"):
        of(Mute)().test_something_happens()


def test_suite_without_a_graph_is_told_so() -> None:
    with pytest.raises(UsageInvalid, match="Define graph"):
        ActorSuite().graph()


def test_bystander_of_the_suite_takes_mail_and_does_nothing() -> None:
    from neuraxis.testing.actor_suite import _Bystander

    graph = Graph("bystander")
    graph.add("b", _Bystander)
    with Simulation(graph) as sim:
        sim.inject("b", 1)
        assert sim.advance(2).pending() == {}


# ---------------------------------------------------------------------- suites and waivers


class Two(Suite):
    """Two clauses, of which one fails."""

    def test_that_holds(self) -> None: ...

    def test_that_fails(self) -> None:
        raise ValueError

    def no_clause(self) -> None:
        raise AssertionError("never run")


def test_run_suite_reports_every_clause_as_a_sentence() -> None:
    fails, holds = run_suite(Two)
    assert (holds.suite, holds.sentence, holds.state, holds.note) == ("Two", "that holds", "holds", "")
    assert (fails.sentence, fails.state) == ("that fails", "fails")
    assert fails.note.startswith("ValueError (test_population.py:")


def test_waiver_excuses_a_clause_and_is_reported_with_its_reason() -> None:
    class Waived(Two):
        waivers: ClassVar[dict[str, str]] = {"test_that_fails": "it cannot"}

    fails, _ = run_suite(Waived)
    assert (fails.state, fails.note) == ("waived", "it cannot")


def test_waiver_of_a_clause_that_holds_is_a_failure() -> None:
    class Waived(Two):
        waivers: ClassVar[dict[str, str]] = {"test_that_holds": "it used to fail"}

    assert verdicts(Waived) == {"that fails": "fails", "that holds": "fails"}


@pytest.mark.parametrize(
    ("waivers", "text"),
    [({"test_absent": "why"}, "which is no clause"), ({"test_that_holds": " "}, "without a reason")],
)
def test_waiver_of_nothing_or_without_reason_is_refused(waivers: dict[str, str], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        type("Waived", (Two,), {"waivers": waivers})


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, **files: str) -> str:
    """Write a package and make it importable."""
    (folder / name).mkdir()
    for file, text in {"__init__": "", **files}.items():
        (folder / name / f"{file}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_suites_of_a_package_are_those_it_defines_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from neuraxis.testing import ActorSuite\nclass Own(ActorSuite):\n    pass\nthing = 1\n"
    assert [each.__name__ for each in suites_of(package(tmp_path, monkeypatch, "conforming", conformance=text))] == [
        "Own"
    ]


def test_package_that_imports_an_inner_room_is_named_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = package(
        tmp_path, monkeypatch, "polite", a="import neuraxis.errors\nfrom neuraxis import Actor\nfrom . import b\n"
    )
    assert_uses_public_doors(good)
    bad = package(tmp_path, monkeypatch, "rude", a="import os\nfrom neuraxis.scheduler.loop import Scheduler\n")
    with pytest.raises(AssertionError, match=r"a\.py:2 imports neuraxis\.scheduler\.loop"):
        assert_uses_public_doors(bad)


# --------------------------------------------------------------------------------- checks


def test_shuffling_keeps_the_faults_of_an_armed_run() -> None:
    faults = Faults(parse_plan("crash n1 at 5"))
    graph = noisy(3)
    graph.actors = [replace(spec, options=Options(on_failure="restart")) for spec in graph.actors]
    with Simulation(Blueprint(graph, arm=faults.arm)) as sim:
        sim.advance(12)
        assert list(sim.statistics.failures) == ["n1"]
        assert shuffled_digest(sim, key=3) == sim.digest


def test_digest_of_drives_and_closes_a_simulation() -> None:
    closed: list[str] = []

    class Closing(Relay):
        def close(self) -> None:
            closed.append("closed")

    def graph() -> Graph:
        graph = Graph("closing")
        graph.add("r", Closing)
        return graph

    drive: Callable[[Simulation], object] = lambda sim: sim.inject("r", 1)  # noqa: E731
    assert digest_of(graph, 3, drive=drive) != digest_of(graph, 3)
    assert closed == ["closed"] * 2


# ----------------------------------------------------------------------- the pytest plugin

GOLDEN_TEST = """
    from tests.kernel.actors import ring

    def test_ring(simulation, golden):
        golden(simulation(ring(3), seed={seed}).advance(ticks=20))
"""


def run_golden(pytester: pytest.Pytester, seed: int, *options: str) -> pytest.RunResult:
    """Run a golden test in a project of its own."""
    pytester.makepyfile(test_golden=GOLDEN_TEST.format(seed=seed))
    loads = [] if installed() else ["-p", "neuraxis.testing.pytest_plugin"]
    quick = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--assert=plain")
    return pytester.runpytest_inprocess(*loads, *quick, *options)


def installed() -> bool:
    """Tell whether pytest finds the plugin by itself."""
    return any(each.value == "neuraxis.testing.pytest_plugin" for each in entry_points(group="pytest11"))


def test_golden_is_written_with_a_reason_only_and_compared_from_then_on(pytester: pytest.Pytester) -> None:
    missing = run_golden(pytester, 1)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*there is no golden*--golden-reason*"])
    run_golden(pytester, 1, "--golden-reason", "new").assert_outcomes(passed=1)
    assert (pytester.path / "golden" / "test_ring.json").exists()
    run_golden(pytester, 1).assert_outcomes(passed=1)
    run_golden(pytester, 2).assert_outcomes(failed=1)
    run_golden(pytester, 2, "--golden-reason", "another seed").assert_outcomes(passed=1)
