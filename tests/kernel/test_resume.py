"""Runs in folders: stopped anywhere they go on to the same bits, or say exactly what is in the way."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from neuraxis import Actor, Chart, Graph, Input, Simulation, on, state
from neuraxis.blueprint import Blueprint
from neuraxis.errors import (
    Divergence,
    FileUnusable,
    JournalDamaged,
    PluginUnusable,
    ScenarioInvalid,
    SignatureInvalid,
    SnapshotDamaged,
    UsageInvalid,
)
from neuraxis.integrity import check_run, check_snapshot
from neuraxis.journal.read import read_journal
from neuraxis.journal.record import HEAD, MAGIC, BlockDigest, End, InputRecord, Resumed, SnapshotMark
from neuraxis.launch import keep_plugin_files, open_scenario, reopen, resume_graph, resume_run
from neuraxis.plugins.manager import Plugins
from neuraxis.recorded import Recorded, difference
from neuraxis.result import conclude, html_report
from neuraxis.runner import Settings
from neuraxis.snapshot.shelf import Shelf, tick_of
from neuraxis.snapshot.sign import Signer
from tests.kernel.actors import Listener, Relay, noisy, ring, talk
from tests.kernel.breakage import disk_full_at, flipped, read_only
from tests.kernel.test_journal import bounds, large
from tests.kernel.victim import FAR, SETTINGS, UNTIL, Double, drive, finish, killable, started

if TYPE_CHECKING:
    from neuraxis import Context
    from neuraxis.launch import Resumption

MESSAGES = {("test-double", 1): Double}


@pytest.fixture(scope="module")
def digest() -> str:
    """Digest of the run when nothing goes wrong."""
    return finish(started())


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run that stopped before its end."""
    drive(started(tmp_path / "run"), until=35).close()
    return tmp_path / "run"


def resumed(folder: Path, **options: Any) -> Simulation:
    """Go on with the run in a folder."""
    simulation = resume_graph(folder, killable(), settings=SETTINGS, **options).simulation
    assert simulation is not None
    return simulation


def journal_of(folder: Path) -> Path:
    return folder / "journal.nxj"


# ---------------------------------------------------------------------------------- kills


def killed(folder: Path, dots: int) -> int:
    """Start or go on with the run in another process, and kill it after so many dots."""
    command = [sys.executable, "-m", "tests.kernel.victim", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as victim:
        assert victim.stdout is not None
        seen = len(victim.stdout.read(dots))
        victim.kill()
    assert victim.returncode == -9
    return seen


def test_run_that_is_killed_at_random_moments_comes_to_the_same_digest(tmp_path: Path) -> None:
    folder, chance = tmp_path / "run", random.Random(4)
    for _ in range(5):
        dots = chance.randrange(1, 8)
        assert killed(folder, dots) == dots
    journal = read_journal(journal_of(folder), MESSAGES)
    assert len(list(journal.of(Resumed))) == 4
    assert finish(resumed(folder), until=FAR) == finish(started(), until=FAR)
    check_run(folder)


def test_run_that_is_stopped_anywhere_comes_to_the_same_digest(tmp_path: Path, digest: str) -> None:
    for until in range(UNTIL):
        folder = tmp_path / str(until)
        drive(started(folder), until=until).close()
        assert finish(resumed(folder)) == digest


def test_full_disk_stops_a_run_which_then_goes_on_to_the_same_digest(tmp_path: Path, digest: str) -> None:
    whole = tmp_path / "whole"
    finish(started(whole))
    size = journal_of(whole).stat().st_size
    for free in range(bounds(journal_of(whole).read_bytes())[1], size - 97, 97):
        folder = tmp_path / str(free)
        sim = started(folder)
        with disk_full_at(free), pytest.raises(FileUnusable, match="File too large"):
            finish(sim)
        sim.close()
        assert finish(resumed(folder)) == digest


# ---------------------------------------------------------------------------------- ends


def test_finished_run_returns_its_end_and_is_left_as_it_is(tmp_path: Path, digest: str) -> None:
    sim = drive(started(tmp_path / "run"))
    sim.finish({"figures": {"a": 1}})
    sim.close()
    before = journal_of(sim.folder or tmp_path).read_bytes()
    found = resume_graph(tmp_path / "run", killable())
    assert found.simulation is None
    assert found.end == End(UNTIL, sim.digests, {"figures": {"a": 1}})
    assert found.notes == ()
    assert sim.digest == digest
    assert journal_of(tmp_path / "run").read_bytes() == before


def test_run_of_another_graph_or_seed_is_refused(stopped: Path) -> None:
    before = journal_of(stopped).read_bytes()
    other_seed = Blueprint(killable().graph, 6, extra_messages=MESSAGES)
    for other in (other_seed, Blueprint(noisy(4), 5, extra_messages=MESSAGES)):
        with pytest.raises(UsageInvalid, match=r"records a run of another graph or seed. Resume it .* and seed 5."):
            resume_graph(stopped, other)
    assert journal_of(stopped).read_bytes() == before


def test_run_that_is_being_written_is_refused(tmp_path: Path) -> None:
    with started(tmp_path / "run"), pytest.raises(FileUnusable, match="another process is writing this run"):
        resume_graph(tmp_path / "run", killable())


def test_folder_without_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="Name the folder of a run"):
        resume_graph(tmp_path, killable())


def test_folder_that_holds_a_run_takes_no_other(stopped: Path) -> None:
    with pytest.raises(UsageInvalid, match=r"holds a run already. Go on with it: neuraxis resume .*run. Or choose"):
        started(stopped)


def test_run_that_was_killed_before_it_began_can_begin_again_in_its_folder(tmp_path: Path, digest: str) -> None:
    finish(started(tmp_path / "run"))
    whole = journal_of(tmp_path / "run").read_bytes()
    for size in (0, 5, len(MAGIC), len(MAGIC) + 3, bounds(whole)[1] - 1):
        journal_of(tmp_path / "run").write_bytes(whole[:size])
        with pytest.raises(FileUnusable, match="Run it again"):
            resume_graph(tmp_path / "run", killable())
        assert finish(started(tmp_path / "run")) == digest


def test_folder_that_cannot_be_written_takes_no_run(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(FileUnusable, match="Choose a folder that you can write to"):
        started(tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(FileUnusable, match="Choose a folder that you can write to"):
        started(tmp_path / "file")


def test_program_that_resumes_its_graph_needs_no_plugins(tmp_path: Path) -> None:
    with Simulation(noisy(), seed=3, folder=tmp_path / "run") as sim:
        sim.advance(10)
    simulation = resume_graph(tmp_path / "run", noisy(), seed=3).simulation
    assert simulation is not None
    with simulation, Simulation(noisy(), seed=3) as whole:
        assert simulation.advance(until=20).digest == whole.advance(20).digest


# -------------------------------------------------------------------------------- damage


def test_damaged_journal_is_refused_and_the_newest_sound_state_offered(stopped: Path, digest: str) -> None:
    whole = journal_of(stopped).read_bytes()
    begins = bounds(whole)
    marks = [number for number, begin in enumerate(begins[:-1]) if whole[begin + 4] == 5]
    assert len(marks) == 2
    states = ("its beginning", "its snapshot of tick 15", "its snapshot of tick 30")
    for number, sound in zip((marks[0], marks[0] + 1, len(begins) - 2), states, strict=True):
        journal_of(stopped).write_bytes(flipped(whole, 8 * (begins[number] + HEAD.size + 1)))
        with pytest.raises(JournalDamaged) as refused:
            resumed(stopped)
        assert (refused.value.offset, refused.value.sound_frames) == (begins[number], number)
        offered = f"The newest sound state is {sound} with the sound frames; go on from there with: neuraxis resume "
        assert str(refused.value).endswith(f"{offered}{stopped} --discard-damaged")
        copy = stopped.with_name(f"copy-{number}")
        shutil.copytree(stopped, copy)
        found = resume_graph(copy, killable(), settings=SETTINGS, discard_damaged=True)
        assert f"discarded all records from byte {begins[number]} on" in found.notes
        assert found.simulation is not None
        assert finish(found.simulation) == digest
        check_run(copy)


def test_damaged_snapshots_are_passed_over_and_named(stopped: Path, digest: str) -> None:
    files = Shelf(stopped).files()
    assert [tick_of(path) for path in files] == [30, 15]
    for count, path in enumerate(files, start=1):
        path.write_bytes(flipped(path.read_bytes(), 8 * 40))
        copy = stopped.with_name(f"copy-{count}")
        shutil.copytree(stopped, copy)
        found = resume_graph(copy, killable(), settings=SETTINGS)
        assert len([note for note in found.notes if note.startswith("skipped a damaged snapshot: ")]) == count
        assert found.simulation is not None
        assert finish(found.simulation) == digest


def test_missing_snapshots_only_cost_time(stopped: Path, digest: str) -> None:
    shutil.rmtree(stopped / "snapshots")
    assert finish(resumed(stopped)) == digest


def test_snapshot_of_a_past_that_was_undone_is_never_gone_on_from(tmp_path: Path) -> None:
    """Its file is whole, but the journal that led to it is gone, as after damage or a lost disk cache."""
    folder = tmp_path / "run"
    with Simulation(talk(), folder=folder, plugins=Plugins()) as undone:
        kept = journal_of(folder).stat().st_size
        undone.advance(15)
        undone.inject("ear.heard", 1)
        undone.advance(5)
        undone.snapshot()
    with journal_of(folder).open("r+b") as file:
        file.truncate(kept)
    again = resume_graph(folder, talk()).simulation
    assert again is not None
    with again:
        again.advance(25)
        again.inject("ear.heard", 2)
        again.advance(5)
        again.snapshot()
        expected = again.digest
    newest, older = Shelf(folder).files()
    assert [tick_of(newest), tick_of(older)] == [30, 20]
    newest.write_bytes(flipped(newest.read_bytes(), 8 * 40))
    simulation = resume_graph(folder, talk()).simulation
    assert simulation is not None
    with simulation:
        assert simulation.advance(until=30).digest == expected


# ----------------------------------------------------------------------------- other code

KEEPER = """\
from neuraxis import Actor, Input, Manifest, hookimpl, on, parameter, state
from neuraxis.hooks import Migration

MANIFEST = Manifest(name="keeper", version="1")


class Keeper(Actor):
    step: int = parameter(int, 1)
    heard = Input(int)
    total: int = state(0)

    @on(heard)
    def hear(self, context, value):
        self.total += value

    def figures(self):
        return {"total": self.total}


@hookimpl
def neuraxis_register_actors():
    return {"keeper": Keeper}
"""

NEWER = """\
from neuraxis import Actor, Input, Manifest, hookimpl, on, parameter, state
from neuraxis.hooks import Migration

MANIFEST = Manifest(name="keeper", version="2")


class Keeper(Actor):
    state_version = 2
    step: int = parameter(int, 1)
    heard = Input(int)
    kept: list[int] = state(factory=list)

    @on(heard)
    def hear(self, context, value):
        self.kept.append(value)

    def figures(self):
        return {"total": sum(self.kept)}


@hookimpl
def neuraxis_register_actors():
    return {"keeper": Keeper}


@hookimpl
def neuraxis_register_migrations():
    return [Migration("keeper", 1, lambda old: {"kept": [old["total"]]}, "the values are kept")]
"""

SCENARIO = """\
neuraxis = 1

[scenario]
name = "keep"
tick = "1 ms"
until = 100
plugins = ["keeper.py"]

[actors.k]
kind = "keeper"
"""


def keep(folder: Path, *overrides: str, code: str = KEEPER) -> Path:
    """Make a run of a scenario, stopped at tick 6, with a snapshot of tick 5."""
    tmp_path = folder.parent
    (tmp_path / "keeper.py").write_text(code)
    (tmp_path / "keep.toml").write_text(SCENARIO)
    opened = open_scenario(tmp_path / "keep.toml", overrides=overrides)
    with Simulation(opened.blueprint, folder=folder, plugins=opened.plugins, settings=opened.settings) as sim:
        for value in (3, 4):
            sim.inject("k", value)
            sim.advance(2)
        sim.advance(until=5)
        sim.snapshot()
        sim.inject("k", 10)
        sim.advance(1)
    (tmp_path / "keeper.py").unlink()  # the run stands on its own
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return keep(tmp_path / "run")


def total(found: Resumption) -> int:
    """Go on for a while, and return what the keeper then has."""
    assert found.simulation is not None
    with found.simulation as sim:
        return sim.advance(ticks=2).figures()["k.total"]


def test_run_of_a_scenario_goes_on_with_the_plugin_files_in_its_folder(kept: Path) -> None:
    found = resume_run(kept)
    assert found.opened is not None
    assert found.opened.scenario.name == "keep"
    assert total(found) == 17


def test_run_goes_on_with_other_code_only_if_that_is_accepted(kept: Path) -> None:
    (kept / "plugins" / "keeper.py").write_text(NEWER)
    with pytest.raises(PluginUnusable, match=r"keeper.py': the run was made with version 1, here is 2"):
        resume_run(kept)
    found = resume_run(kept, accept_changes=True)
    assert "migrated k.version: 1 -> 2" in found.notes
    assert "migrated k.kept: absent -> [7]" in found.notes
    assert total(found) == 17


def test_run_that_went_on_with_other_code_goes_on_from_its_migrated_state(kept: Path) -> None:
    (kept / "plugins" / "keeper.py").write_text(NEWER)
    assert total(resume_run(kept, accept_changes=True)) == 17
    assert total(resume_run(kept)) == 17
    recorded = Recorded.open(kept)
    (mark, *_) = recorded.journal.of(Resumed)
    assert mark.base == "000000000005-migrated.nxs"
    assert recorded.replay().digests


def test_run_with_other_code_and_no_snapshot_cannot_go_on(kept: Path) -> None:
    (kept / "plugins" / "keeper.py").write_text(NEWER)
    shutil.rmtree(kept / "snapshots")
    with pytest.raises(UsageInvalid, match="the code has changed, and the run has no snapshot to go on from"):
        resume_run(kept, accept_changes=True)


def test_run_of_a_program_is_not_resumed_as_a_scenario(stopped: Path) -> None:
    with pytest.raises(UsageInvalid, match=r"made by a program, not from a scenario file. .*resume_graph"):
        reopen(stopped)


def test_plugin_that_cannot_be_used_is_a_mistake_of_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "keep.toml").write_text(SCENARIO)
    with pytest.raises(ScenarioInvalid, match=r"scenario.plugins.*'keeper.py': there is no file"):
        open_scenario(tmp_path / "keep.toml")
    (tmp_path / "keeper.py").write_text(KEEPER)
    (tmp_path / "twin.py").write_text(KEEPER)
    (tmp_path / "keep.toml").write_text(SCENARIO.replace('["keeper.py"]', '["keeper.py", "twin.py"]'))
    with pytest.raises(ScenarioInvalid, match=r"'keeper' is offered by keeper.py and by twin.py"):
        open_scenario(tmp_path / "keep.toml")


def test_plugin_files_of_one_name_or_without_room_are_refused(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for place in (tmp_path, tmp_path / "deep"):
        (place / "keeper.py").write_text(KEEPER if place is tmp_path else KEEPER.replace('"keeper":', '"other":'))
    (tmp_path / "keep.toml").write_text(SCENARIO.replace('["keeper.py"]', '["keeper.py", "deep/keeper.py"]'))
    opened = open_scenario(tmp_path / "keep.toml")
    with pytest.raises(UsageInvalid, match=r"plugins 'deep/keeper.py' and 'keeper.py' have one file name. Rename"):
        keep_plugin_files(opened.plugins, tmp_path / "run")
    (tmp_path / "keep.toml").write_text(SCENARIO)
    opened = open_scenario(tmp_path / "keep.toml")
    (tmp_path / "full" / "plugins").mkdir(parents=True)
    with read_only(tmp_path / "full" / "plugins"), pytest.raises(FileUnusable, match="choose a folder"):
        keep_plugin_files(opened.plugins, tmp_path / "full")


# ----------------------------------------------------------------------------- integrity


def test_sound_run_is_told_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Simulation(talk(), folder=folder) as sim:
        sim.advance(3)
        sim.signer = Signer(bytes(32))
        sim.snapshot()
    found = dict(check_run(folder))
    assert found["journal.nxj"] == "2 frames, chain unbroken"
    public = Signer(bytes(32)).public.hex()
    assert found["000000000003.nxs"] == f"1 part, SHA-256 of each, signed by {public[:16]}…"
    assert check_run(folder, signed_by=public)
    with journal_of(folder).open("ab") as file:
        file.write(b"\0\0")
    assert dict(check_run(folder))["journal.nxj"].endswith(", 2 bytes of an unfinished record at the end")


def test_flipped_bit_in_any_file_of_a_run_is_found(tmp_path: Path) -> None:
    class Taker(Actor):
        raw = Input(bytes)

        @on(raw)
        def take(self, context: Context, value: bytes) -> None:
            """It is in the journal."""

    graph = Graph("taker")
    graph.add("t", Taker)
    folder = tmp_path / "run"
    with Simulation(graph, folder=folder) as sim:
        sim.inject("t", large(1))
        sim.advance(2)
        sim.snapshot()
    assert len(check_run(folder)) == 3
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) == 3
    for path in files:
        whole = path.read_bytes()
        for bit in random.Random(1).sample(range(8 * len(whole)), 20):
            path.write_bytes(flipped(whole, bit))
            with pytest.raises((JournalDamaged, SnapshotDamaged)) as found:
                check_run(folder)
            assert found.value.path == str(path)
            assert found.value.exit_code == 4
        path.write_bytes(whole)
    check_run(folder)


def test_damaged_snapshot_is_named_with_the_newest_sound_one(stopped: Path) -> None:
    newer, older = Shelf(stopped).files()
    newer.write_bytes(flipped(newer.read_bytes(), 8 * 40))
    with pytest.raises(SnapshotDamaged, match=f"{newer.name}: .*The newest sound snapshot is {older.name}"):
        check_run(stopped)
    older.write_bytes(flipped(older.read_bytes(), 8 * 40))
    with pytest.raises(SnapshotDamaged, match="No snapshot is sound; resume starts over"):
        check_run(stopped)


def test_snapshots_must_be_signed_by_the_key_that_is_named(stopped: Path) -> None:
    file = Shelf(stopped).files()[0]
    assert check_snapshot(file)[0][0] == file.name
    with pytest.raises(SignatureInvalid, match="is not signed"):
        check_run(stopped, signed_by="ab" * 32)
    for text in ("ab", "x" * 64, ""):
        with pytest.raises(UsageInvalid, match=r"no Ed25519 key. Pass 64 hexadecimal digits."):
            check_run(stopped, signed_by=text)
    with pytest.raises(FileUnusable, match="Name a snapshot file"):
        check_snapshot(stopped / "absent.nxs")


# ------------------------------------------------------------------------- recorded runs


def opened(folder: Path, blueprint: Blueprint | None = None) -> Recorded:
    """Open a recorded run of a program for reading."""
    blueprint = blueprint or killable()
    return Recorded(read_journal(journal_of(folder), blueprint.messages(blueprint.wire())), blueprint, None)


def test_replay_compares_every_recorded_digest(tmp_path: Path, digest: str) -> None:
    finish(started(tmp_path / "run"))
    shown: list[int] = []
    found = opened(tmp_path / "run").replay(shown.append)
    assert (found.ticks, found.blocks) == (UNTIL, 5)
    assert shown == [10, 20, 30, 40, 40]
    assert found.digests == started_digests()
    assert opened(tmp_path / "run").execute(None).recorder.digest() == digest  # type: ignore[arg-type]


def started_digests() -> dict[str, str]:
    with drive(started()) as sim:
        return sim.digests


def test_replay_of_a_run_that_was_resumed_compares_its_digests_too(stopped: Path) -> None:
    finish(resumed(stopped))
    assert opened(stopped).replay().digests == started_digests()


def test_replay_with_other_code_diverges_at_the_first_block_that_differs(tmp_path: Path) -> None:
    class Changed(Relay):
        """Passes on another number from the seventh tick on."""

        token = Input(int)

        @on(token)
        def pass_on(self, context: Context, value: int) -> None:
            context.send("onward", value + 1 + (context.tick > 6))

    def made(cls: type[Relay]) -> Graph:
        graph = ring(3)
        graph.actors = [replace(each, cls=cls) for each in graph.actors]
        return graph

    with Simulation(made(Relay), folder=tmp_path / "run", settings=Settings(block=5)) as sim:
        sim.advance(20)
        sim.finish()
    assert opened(tmp_path / "run", Blueprint(made(Relay))).replay().blocks == 5
    with pytest.raises(Divergence, match=r"replay of .*run: the digest at the end of tick 10 is not the recorded one"):
        opened(tmp_path / "run", Blueprint(made(Changed))).replay()


def test_two_recorded_runs_are_compared_by_their_deliveries(tmp_path: Path) -> None:
    def run(name: str, value: int, seed: int = 0) -> Recorded:
        with Simulation(talk(), seed=seed, folder=tmp_path / name, settings=Settings(block=5)) as sim:
            sim.advance(12)
            sim.inject("ear.heard", value)
            sim.advance(18)
            sim.finish()
        return opened(tmp_path / name, Blueprint(talk(), seed))

    one, same, other, seeded = run("one", 1), run("same", 1), run("other", 2), run("seeded", 2, seed=9)
    assert difference(one, same) is None
    assert one.made_differently(same) == []
    for found in (difference(one, other), difference(one, seeded)):
        assert found is not None
        assert (found.tick, found.actor, found.field, found.a, found.b) == (13, "ear", "payload", "1", "2")
    assert one.made_differently(seeded) == ["seed 0 and 9"]


def test_runs_tell_in_what_they_were_made_differently(tmp_path: Path, kept: Path) -> None:
    one, same = Recorded.open(kept), Recorded.open(keep(tmp_path / "same"))
    other = Recorded.open(keep(tmp_path / "other", "actors.k.step=2", code=KEEPER + "\nx = 1\n"))
    assert one.made_differently(same) == []
    told = one.made_differently(other)
    assert len(told) == 2
    assert told[0].startswith("the scenarios differ in: ")
    assert "step" in told[0]
    assert told[1] == "other code: keeper.py"
    assert difference(one, same) is None


def test_runs_with_other_actors_are_compared_to_their_end(tmp_path: Path) -> None:
    """One more actor moves the places of others, so that all chains differ; the mail differs much later."""

    def run(name: str, value: int, *, more: bool) -> Recorded:
        graph = talk()
        if more:
            graph.add("a", Listener)
        with Simulation(graph, folder=tmp_path / name, settings=Settings(block=5)) as sim:
            for tick in (2, 22):
                sim.advance(until=tick)
                sim.inject("ear.heard", value if tick == 22 else 0)
            sim.advance(until=30)
            sim.finish()
        return opened(tmp_path / name, Blueprint(graph))

    one, other = run("one", 1, more=False), run("other", 2, more=True)
    assert difference(run("same", 1, more=False), run("more", 1, more=True)) is None
    found = difference(one, other)
    assert found is not None
    assert (found.tick, found.actor, found.a, found.b) == (23, "ear", "1", "2")


def test_recorded_run_without_end_reaches_as_far_as_its_records(stopped: Path) -> None:
    assert opened(stopped).end == 32
    journal = read_journal(journal_of(stopped), MESSAGES)
    assert journal.blocks()[-1].tick == 30
    assert {type(each) for each in journal.records} >= {BlockDigest, InputRecord, SnapshotMark}


# -------------------------------------------------------------------------------- report


class Painter(Actor):
    """Has figures and a chart."""

    heard = Input(int)
    seen: int = state(0)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.seen += value

    def figures(self) -> dict[str, Any]:
        return {"seen": self.seen, "half": self.seen / 2}

    def charts(self) -> list[Chart]:
        return [Chart("What was <seen>", rows=(("tick", "value"), ("1", str(self.seen))))]


def test_report_of_a_run_is_one_page_with_its_figures_and_charts(tmp_path: Path) -> None:
    graph = Graph("painting & more")
    graph.add("p", Painter)
    with Simulation(graph, seed=7, folder=tmp_path / "run") as sim:
        sim.inject("p", 5)
        sim.advance(1_000)
        result = conclude(sim, [], backend="", wall_s=1.25)
        page = html_report(sim, result, summary="A picture.")
        assert sim.digest in page
    assert result.passed
    assert "painting &amp; more" in page
    assert "<td>ticks</td><td>1,000 (1 s)</td>" in page
    assert "<td>p.half</td><td>2.5</td>" in page
    assert "What was &lt;seen&gt; <small>p</small>" in page
    assert "<td>backend</td><td>none</td>" in page
    assert result.summary["figures"] == {"p.seen": 5, "p.half": 2.5}
