"""Commands on disks that are full or locked, and on run folders that are in use, moved, changed or too new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from neuraxis.journal.read import read_journal
from neuraxis.journal.write import JournalWriter
from neuraxis.snapshot import container
from tests.cli.conftest import RING, SCENARIO, Cli, command, leftovers, one_screen
from tests.kernel.breakage import disk_full_at, read_only

# ------------------------------------------------------------------------------------ disks


@pytest.mark.parametrize(
    ("changes", "in_the_way"),
    [
        (["run.snapshot_every=100"], {".nxj", ".py", ".nxs"}),
        ([f"scenario.summary={'long' * 1000}"], {".nxj", ".py", ".html"}),
        (['run.trace="full"', "run.snapshot_every=50"], {".nxj", ".py", ".jsonl"}),
    ],
)
def test_a_disk_that_fills_up_anywhere_in_a_run_loses_nothing(
    cli: Cli, tmp_path: Path, changes: list[str], in_the_way: set[str]
) -> None:
    run: list[object] = ["run", RING, "--until", 300, *(word for each in changes for word in ("--set", each))]
    whole = tmp_path / "whole"
    digest = cli(*run, "--folder", whole, "--json").json["digest"]
    sizes = [each.stat().st_size for each in whole.rglob("*") if each.is_file()]
    failed = set()
    for limit in sorted({0, 10, *range(19, max(sizes) - 1, max(sizes) // 16), *(size - 1 for size in sizes)}):
        folder = tmp_path / f"full-{limit}"
        with disk_full_at(limit):
            told = cli(*run, "--folder", folder)
        assert told.code == 2, (limit, told.err)
        error = one_screen(told.err)
        failed.add(Path(error.split(": ")[1].removeprefix("[NX102] ")).suffix)
        assert "File too large" in error
        assert "ree space" in error, "the remedy"
        assert leftovers(folder) == []
        again = ["resume", folder] if "go on with: neuraxis resume" in error else [*run, "--folder", folder]
        assert cli(*again, "--json").json["digest"] == digest, limit
        assert cli("verify", folder).code == 0
        assert _trace(folder) == _trace(whole)
    assert failed == in_the_way


def _trace(folder: Path) -> bytes | None:
    path = folder / "trace.jsonl"
    return path.read_bytes() if path.exists() else None


def test_a_report_elsewhere_that_does_not_fit_loses_nothing(odd: Cli, digest: str, tmp_path: Path) -> None:
    told = odd("run", "odd.toml", "--folder", "run", "--report", "/dev/full/page.html")
    assert told.code == 2
    assert "/dev/full" in told.err
    assert odd("resume", "run", "--json").json["digest"] == digest


@pytest.mark.parametrize("limit", [0, 300])
def test_a_golden_that_does_not_fit_leaves_the_old_one(odd: Cli, tmp_path: Path, limit: int) -> None:
    golden = tmp_path / "golden.json"
    update = ["golden", "update", golden, "--scenario", "odd.toml", "--reason"]
    for expected in ([], ["golden.json"]):
        with disk_full_at(limit):
            told = odd(*update, "it does not fit")
        assert told.code == 2
        assert "Free space" in one_screen(told.err)
        assert [each.name for each in tmp_path.glob("*golden*")] == expected
        assert odd(*update, "there is room").code == 0
    assert odd("golden", "check", golden).code == 0
    assert "does not fit" not in golden.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "odd.toml"],
        ["run", "odd.toml", "--folder", "run"],
        ["run", "odd.toml", "--folder", "/tmp", "--report", "page.html"],
        ["golden", "update", "golden/odd.json", "--scenario", "odd.toml", "--reason", "x"],
        ["golden", "update", "odd.json", "--scenario", "odd.toml", "--reason", "x"],
        ["new", "scenario", "first"],
        ["new", "plugin", "first"],
        ["snapshot", "migrate", "old.nxs", "--scenario", "odd.toml", "--out", "new.nxs"],
    ],
)
def test_a_folder_that_cannot_be_written_is_named(
    odd: Cli, digest: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, arguments: list[str]
) -> None:
    if arguments[0] == "snapshot":
        shutil.copy(sorted((tmp_path / "sound/snapshots").iterdir())[0], tmp_path / "old.nxs")
        code = (tmp_path / "odd.py").read_text()
        step = "\n\n@hookimpl\ndef neuraxis_register_migrations():\n    from neuraxis.hooks import Migration\n"
        step += "    return [Migration('odd', 1, lambda state: {'total': 0}, 'begins anew')]\n"
        (tmp_path / "odd.py").write_text(code.replace("    total: int", "    state_version = 2\n    total: int") + step)
    elsewhere = str(tmp_path_factory.mktemp("elsewhere"))
    os.chmod(elsewhere, 0o777)
    words = [elsewhere if each == "/tmp" else each for each in arguments]
    before = sorted(tmp_path.rglob("*"))
    with read_only(tmp_path):
        told = odd(*words)
    assert told.code == 2, told.out + told.err
    assert "Permission denied" in one_screen(told.err)
    assert "hoose a" in told.err, "it ends with the remedy"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_cannot_be_written_can_be_read(odd: Cli, digest: str, tmp_path: Path) -> None:
    snapshot = sorted((tmp_path / "sound/snapshots").iterdir())[-1]
    readers = [
        ["verify", "sound"],
        ["replay", "sound"],
        ["diff", "sound", "sound"],
        ["why", "sound", "odd#9"],
        ["graph", "odd.toml"],
        ["resume", "sound"],
        ["snapshot", "list", "sound"],
        ["snapshot", "inspect", snapshot],
        ["snapshot", "verify", snapshot],
    ]
    paths = [tmp_path / "sound/journal.nxj", tmp_path / "sound"]
    for each in paths:
        each.chmod(0o555)
    with read_only(tmp_path):
        assert [(reader, odd(*reader).code) for reader in readers] == [(reader, 0) for reader in readers]


def test_a_stopped_run_that_cannot_be_written_is_not_resumed(
    odd: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", "handler:interrupt")
    assert odd("run", "odd.toml", "--folder", "run").code == 130
    (tmp_path / "run/journal.nxj").chmod(0o444)
    with read_only(tmp_path / "run"):
        told = odd("resume", "run")
    assert told.code == 2
    assert "run/journal.nxj: Permission denied. Choose a folder that you can write to." in told.err


# ----------------------------------------------------------------------------- run folders


@pytest.fixture
def stopped(odd: Cli, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped at tick 6, with a snapshot of tick 5."""
    monkeypatch.setenv("ODD", "handler:interrupt")
    assert odd("run", "odd.toml", "--folder", "run", "--set", "run.snapshot_every=5").code == 130
    monkeypatch.delenv("ODD")
    return tmp_path / "run"


def test_a_run_that_another_process_writes_is_refused(odd: Cli, stopped: Path, digest: str) -> None:
    writer = JournalWriter(stopped / "journal.nxj", anew=False)
    for arguments in (["resume", stopped], ["run", "odd.toml", "--folder", stopped]):
        told = odd(*arguments)
        assert told.code == 2
        assert "another process is writing this run. Wait until it ends, or stop it." in told.err
    writer.close()
    assert odd("resume", stopped, "--json").json["digest"] == digest


def test_a_complete_run_is_told_while_another_process_holds_it(odd: Cli, digest: str) -> None:
    writer = JournalWriter(Path("sound/journal.nxj"), anew=False)
    assert odd("resume", "sound", "--json").json["digest"] == digest
    writer.close()


def test_a_run_that_was_moved_goes_on_without_its_scenario(
    odd: Cli, stopped: Path, digest: str, tmp_path: Path
) -> None:
    (tmp_path / "far/away").mkdir(parents=True)
    moved = stopped.rename(tmp_path / "far/away/moved")
    (tmp_path / "odd.toml").unlink()
    (tmp_path / "odd.py").unlink()
    found = odd("resume", moved, "--json").json
    assert (found["digest"], found["run"]) == (digest, str(moved))
    back = moved.rename(tmp_path / "back")
    assert odd("resume", back, "--json").json["run"] == str(back), "where it is now, not where it was"


def test_a_run_of_a_plugin_in_another_folder_goes_on(odd: Cli, digest: str, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "odd.py").rename(tmp_path / "lib/odd.py")
    (tmp_path / "odd.toml").write_text(SCENARIO.replace('"odd.py"', '"lib/odd.py"'))
    env = {"ODD": "handler:SIGINT"}
    assert command("run", "odd.toml", "--folder", "run", env=env, cwd=tmp_path).code == 130
    assert odd("resume", "run", "--json").json["digest"] == digest


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda plugin: plugin.write_text(plugin.read_text() + "# changed"), "its code differs from the one that made"),
        (lambda plugin: plugin.unlink(), "plugins/odd.py. Restore it, or correct its name."),
        (lambda plugin: plugin.write_text(plugin.read_text()[:900]), "odd.py"),
        (lambda plugin: shutil.rmtree(plugin.parent), "Restore it"),
    ],
)
def test_a_plugin_file_that_changed_or_vanished_is_refused(
    odd: Cli, stopped: Path, damage: Callable[[Path], None], words: str
) -> None:
    journal = (stopped / "journal.nxj").read_bytes()
    damage(stopped / "plugins/odd.py")
    told = odd("resume", stopped)
    assert told.code == 2
    assert words in one_screen(told.err)
    assert (stopped / "journal.nxj").read_bytes() == journal


@pytest.mark.parametrize("damage", ["changed", "vanished"])
def test_a_resource_that_changed_or_vanished_is_refused(
    odd: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    data = tmp_path / "data/numbers"
    data.parent.mkdir()
    data.write_text("1 2 3")
    sha256 = "7c8f5059290305cec8323d79521f0353c9ac308b60cb4c1976340d0ce4a121d5"
    toml = SCENARIO.replace('kind = "ear"', 'kind = "ear"\ndata = "numbers"')
    (tmp_path / "odd.toml").write_text(f'{toml}[resources.numbers]\npath = "data/numbers"\nsha256 = "{sha256}"\n')
    monkeypatch.setenv("ODD", "handler:interrupt")
    assert odd("run", "odd.toml", "--folder", "run").code == 130
    monkeypatch.delenv("ODD")
    if damage == "changed":
        data.write_text("1 2 4")
    else:
        data.unlink()
    told = odd("resume", "run")
    assert told.code == 2
    assert f"Restore it{'.' if damage == 'changed' else f' as {data}.'}" in one_screen(told.err)
    assert "pin the new one" not in told.err, "the past of the run rests on the old one"
    data.write_text("1 2 3")
    assert odd("resume", "run").code == 0


def test_a_run_does_not_depend_on_the_files_that_its_scenario_included(
    odd: Cli, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "base.toml").write_text(SCENARIO)
    (tmp_path / "odd.toml").write_text('include = ["base.toml"]\n')
    monkeypatch.setenv("ODD", "handler:interrupt")
    assert odd("run", "odd.toml", "--folder", "run").code == 130
    monkeypatch.delenv("ODD")
    (tmp_path / "base.toml").unlink()
    (tmp_path / "odd.toml").write_text("nonsense")
    assert odd("resume", "run", "--json").json["digest"] == digest


# ---------------------------------------------------------------------------- newer formats


def test_a_scenario_of_a_newer_format_is_refused(odd: Cli, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(SCENARIO.replace("neuraxis = 1", "neuraxis = 2\nbrand_new = 1"))
    told = odd("run", "odd.toml")
    assert told.code == 2
    assert "Install a newer neuraxis; this one reads up to 1." in told.err
    assert "brand_new" not in told.err, "who reads it must know no more"


def test_a_journal_of_a_newer_format_is_refused(odd: Cli, digest: str, tmp_path: Path) -> None:
    old = read_journal(tmp_path / "sound/journal.nxj", {})
    writer = JournalWriter(tmp_path / "new.nxj")
    writer.append(replace(old.header, format=2))
    writer.close()
    (tmp_path / "new.nxj").replace(tmp_path / "sound/journal.nxj")
    for verb in ("resume", "replay"):
        told = odd(verb, "sound")
        assert told.code == 2
        assert "has journal format 2, this version reads up to 1. Install a newer neuraxis." in told.err


def test_a_snapshot_of_a_newer_format_is_refused(
    odd: Cli, stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = sorted((stopped / "snapshots").iterdir())[-1]
    snapshot = container.read_snapshot(newest, {})
    with monkeypatch.context() as newer:
        newer.setattr(container, "FORMAT", container.FORMAT + 1)
        container.write_snapshot(newest, snapshot)
    for arguments in (["resume", stopped], ["snapshot", "verify", newest], ["snapshot", "inspect", newest]):
        told = odd(*arguments)
        assert told.code == 2, arguments
        assert "has snapshot format 2, this version reads up to 1. Install a newer neuraxis." in told.err


def test_a_golden_of_a_newer_format_is_refused(odd: Cli, tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_bytes(msgspec.json.encode({"format": 99, "brand": "new"}))
    told = odd("golden", "check", "golden.json")
    assert told.code == 2
    assert "has golden format 99" in told.err
    assert "Install a newer neuraxis." in told.err
