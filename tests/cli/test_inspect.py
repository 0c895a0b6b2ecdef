"""`neuraxis inspect`: what a run recorded, from its folder alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import RING, ROOT, Cli

RASTER = (ROOT / "scenarios" / "raster.toml").read_text(encoding="utf-8").replace("#:schema ../docs/", "#:schema ")

MONITORS = """
[actors.watched]
kind = "snn.spike_monitor"
size = 10
skip = "50 ms"

[[channels]]
from = "neurons.spikes"
to = "watched.spikes"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "watched.toml"
    path.write_text(RASTER + MONITORS)
    return path


@pytest.fixture
def run(cli: Cli, scenario: Path, tmp_path: Path) -> Path:
    """Return the folder of a run with a monitor and a raster."""
    folder = tmp_path / "run"
    assert cli("run", scenario, "--backend", "numpy", "--folder", folder).code == 0
    return folder


def test_spikes_of_every_actor_that_recorded_them_are_told(cli: Cli, run: Path) -> None:
    told = cli("inspect", "spikes", run, "--json")
    assert (told.code, told.json["tick"], told.json["time"]) == (0, 20, "200 ms")
    watched, raster = (told.json["actors"][path] for path in ("watched", "raster"))
    figures = cli("resume", run, "--json").json["figures"]
    assert watched["rate_hz"] == figures["watched.rate_hz"]
    assert watched["recorded"] == raster["recorded"] == figures["raster.spikes"] == raster["spikes"]
    assert watched["seconds"] == pytest.approx(0.14)  # the monitor hears of tick 20 in tick 21; 50 ms are skipped
    assert raster["seconds"] == pytest.approx(0.19)
    assert watched["kept"] == raster["kept"]
    assert raster["rate_hz"] == pytest.approx(raster["spikes"] / 10 / 0.19)


def test_the_table_has_a_line_for_each_actor(cli: Cli, run: Path) -> None:
    told = cli("inspect", "spikes", run)
    assert told.code == 0
    title, head, _, *lines = told.out.splitlines()
    assert title == "spikes of raster at the end of tick 20 (200 ms)"
    assert head.split()[:4] == ["actor", "neurons", "spikes", "seconds"]
    assert [line.split()[:2] for line in lines] == [["raster", "10"], ["watched", "10"]]


def test_one_actor_can_be_chosen(cli: Cli, run: Path) -> None:
    assert list(cli("inspect", "spikes", run, "--actor", "watched", "--json").json["actors"]) == ["watched"]
    told = cli("inspect", "spikes", run, "--actor", "watchd")
    assert told.code == 2
    assert "Did you mean 'watched'?" in told.err


def test_a_picture_is_written_whole_and_is_the_same_every_time(cli: Cli, run: Path, tmp_path: Path) -> None:
    pictures = []
    for name in ("a.png", "b.png"):
        told = cli("inspect", "spikes", run, "--png", tmp_path / name, "--json")
        assert told.json["written"] == {"png": str(tmp_path / name)}
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0][:8] == b"\x89PNG\r\n\x1a\n"
    assert pictures[0] == pictures[1]
    assert not list(tmp_path.glob(".*draft*"))
    told = cli("inspect", "spikes", run, "--png", tmp_path / "no" / "folder.png")
    assert told.code == 2
    assert "folder.png" in told.err


def test_looking_changes_nothing_in_the_run(cli: Cli, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert cli("inspect", "spikes", run).code == 0
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("library", "option", "extra"), [("matplotlib", "png", "viz"), ("neo", "neo", "neo")])
def test_a_library_that_is_missing_is_named_with_its_extra(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str, option: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    target = tmp_path / "file"
    told = cli("inspect", "spikes", run, f"--{option}", target)
    assert told.code == 2
    assert f"pip install 'neuraxis[{extra}]'" in told.err
    assert not target.exists()


def test_a_run_without_monitors_says_what_to_add(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "plain.toml"
    head, _, rest = RASTER.partition("[actors.raster]")
    path.write_text(head + rest.partition("[[channels]]")[2].partition('to = "raster.spikes"')[2])
    assert cli("run", path, "--backend", "numpy", "--folder", "plain").code == 0
    told = cli("inspect", "spikes", "plain")
    assert told.code == 2
    assert "no actor that recorded spikes. Add an actor of kind snn.spike_monitor" in told.err


def test_a_run_without_a_snapshot_says_how_to_get_one(cli: Cli, run: Path) -> None:
    for snapshot in (run / "snapshots").iterdir():
        snapshot.unlink()
    told = cli("inspect", "spikes", run)
    assert told.code == 2
    assert "no sound snapshot to look at. Go on with it, which ends with one: neuraxis resume" in told.err


def test_what_no_plugin_offers_is_refused(cli: Cli, run: Path, tmp_path: Path) -> None:
    told = cli("inspect", "spike", run)
    assert told.code == 2
    assert "no plugin of scenario 'raster' inspects 'spike'. Did you mean 'spikes'?" in told.err
    assert cli("run", RING, "--until", "100", "--set", "expect={}", "--folder", "ring").code == 0
    assert "None is known here" in cli("inspect", "spikes", "ring").err
    assert cli("inspect", "spikes", tmp_path / "nothing").code == 2


def test_a_damaged_snapshot_is_skipped_and_said(cli: Cli, scenario: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    every = "run.snapshot_every='50 ms'"
    assert cli("run", scenario, "--backend", "numpy", "--folder", folder, "--set", every).code == 0
    newest = max((folder / "snapshots").iterdir())
    newest.write_bytes(newest.read_bytes()[:-40])
    told = cli("inspect", "spikes", folder, "--json")
    assert told.json["tick"] == 15
    assert "skipped a damaged snapshot" in told.json["notes"][0]


PLUGIN = '''
from neuraxis import Actor, Context, Input, Manifest, hookimpl, on, state
from neuraxis.hooks import Found, Inspection

MANIFEST = Manifest(name="p", version="1")


class Ear(Actor):
    """Counts what it hears."""

    sound = Input(int)
    heard: int = state(0)

    @on(sound)
    def hear(self, context: Context, value: int) -> None:
        self.heard += value


def look(restored):
    found = {path: actor.heard for path, actor in restored.actors.items()}
    return Found(found, (("actor", "heard"), *((path, str(n)) for path, n in found.items())))


@hookimpl
def neuraxis_register_actors():
    return {"p.ear": Ear}


@hookimpl
def neuraxis_register_inspections():
    return {"sounds": Inspection(help="what was heard", kinds=(Ear,), needs="Add an ear.", look=look)}
'''


def test_a_plugin_of_ones_own_offers_an_inspection(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text(PLUGIN)
    (tmp_path / "p.toml").write_text(
        'neuraxis = 1\n[scenario]\nname = "p"\nuntil = 5\nplugins = ["p.py"]\n[actors.ear]\nkind = "p.ear"\n'
        '[[inputs]]\nat = 1\nto = "ear.sound"\nvalue = 7\n'
    )
    assert cli("run", "p.toml", "--folder", "run").code == 0
    assert cli("inspect", "sounds", "run", "--json").json["actors"] == {"ear": 7}
    assert "ear    7" in cli("inspect", "sounds", "run").out
    told = cli("inspect", "sounds", "run", "--png", "x.png")
    assert told.code == 2
    assert "sounds cannot be written as png" in told.err


@pytest.mark.parametrize(("wrong", "said"), [("1 / 0", "raised ZeroDivisionError"), ("5", "returned 5")])
def test_an_inspection_that_misbehaves_is_named(cli: Cli, tmp_path: Path, wrong: str, said: str) -> None:
    (tmp_path / "p.py").write_text(PLUGIN.replace("    found = {path", f"    return {wrong}\n    found = {{path"))
    (tmp_path / "p.toml").write_text(
        'neuraxis = 1\n[scenario]\nname = "p"\nuntil = 5\nplugins = ["p.py"]\n[actors.ear]\nkind = "p.ear"\n'
    )
    assert cli("run", "p.toml", "--folder", "run").code == 0
    told = cli("inspect", "sounds", "run")
    assert told.code == 2
    assert f"its inspection 'sounds' {said}" in told.err
