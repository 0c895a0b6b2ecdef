"""Commands under rough treatment: signals, full disks, closed terminals, plugins and files that misbehave.

Whatever happens, a command ends with the exit code that it promises and one screen that says what to do, and the run
goes on to the digest of one that nothing happened to.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from neuraxis.cli.run_verb import _fresh_folder
from neuraxis.journal.read import read_journal
from neuraxis.journal.write import JournalWriter
from neuraxis.snapshot import container
from tests.cli.conftest import RING, ROOT, Told
from tests.kernel.breakage import disk_full_at, read_only

Cli = Callable[..., Told]

SCENARIO = """
neuraxis = 1

[scenario]
name = "odd"
until = 40
plugins = ["odd.py"]

[run]
trace = "full"
snapshot_every = 15

[actors.odd]
kind = "odd"

[actors.ear]
kind = "ear"

[[channels]]
from = "odd.told"
to = "ear.heard"
"""

WIDTH_MAX = 700
LINES_MAX = 30


@pytest.fixture
def odd(cli: Cli, tmp_path: Path) -> Iterator[Cli]:
    """Run commands in a folder with the scenario `odd.toml`, whose actors do what they are told by ODD."""
    shutil.copy(ROOT / "tests" / "cli" / "odd.py", tmp_path)
    (tmp_path / "odd.toml").write_text(SCENARIO)
    yield cli
    sys.modules.pop("neuraxis_scenario_odd", None)


@pytest.fixture
def digest(odd: Cli) -> str:
    """Run the scenario without any trouble, in the folder `sound`, and return its digest."""
    return str(odd("run", "odd.toml", "--folder", "sound", "--json").json["digest"])


def command(*arguments: object, env: Mapping[str, str] = {}, shell: str = '"$@"', **options: Any) -> Told:
    """Run `neuraxis …` as a process of its own; `shell` says with what around it."""
    words = [sys.executable, "-m", "neuraxis", *map(str, arguments)]
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *words],
        env={**os.environ, "PYTHONUNBUFFERED": "", **env},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
        **options,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def one_screen(text: str) -> str:
    """Check that an error fits on a screen and is no traceback of ours."""
    assert "Traceback" not in text
    assert len(text.splitlines()) <= LINES_MAX
    assert max(map(len, text.splitlines()), default=0) <= WIDTH_MAX, text
    return text


def leftovers(folder: Path) -> list[str]:
    """Return what is no whole file of a run."""
    whole = {"journal.nxj", "report.html", "trace.jsonl", "odd.py", "ring.py"}
    return [
        str(each) for each in folder.rglob("*") if each.is_file() and each.name not in whole and each.suffix != ".nxs"
    ]


# ----------------------------------------------------------------------------------- signals


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_stops_a_run_which_then_goes_on_to_the_same_bits(
    odd: Cli, digest: str, tmp_path: Path, name: str, code: int
) -> None:
    told = command("run", "odd.toml", "--folder", "a run", env={"ODD": f"handler:{name}"}, cwd=tmp_path)
    assert (told.code, told.out) == (code, "")
    assert "stopped at tick 6; go on with: neuraxis resume 'a run'" in one_screen(told.err)
    assert odd("verify", "a run").code == 0
    resumed = odd("resume", "a run", "--json")
    assert (resumed.code, resumed.json["digest"]) == (0, digest)
    assert (tmp_path / "a run/trace.jsonl").read_bytes() == (tmp_path / "sound/trace.jsonl").read_bytes()


def test_a_signal_that_is_to_be_ignored_is_ignored(odd: Cli, tmp_path: Path) -> None:
    env = {"ODD": "handler:SIGHUP"}
    told = command("run", "odd.toml", "--json", env=env, cwd=tmp_path, shell="trap '' HUP; exec \"$@\"")
    assert (told.code, told.json["ticks"]) == (0, 40)


def test_a_stop_is_told_in_json_too(odd: Cli, tmp_path: Path) -> None:
    told = command("run", "odd.toml", "--folder", "run", "--json", env={"ODD": "handler:SIGTERM"}, cwd=tmp_path)
    assert told.json["exit_code"] == told.code == 143
    assert "neuraxis resume run" in told.json["error"]["message"]


def test_a_signal_stops_other_verbs_too(odd: Cli, digest: str, tmp_path: Path) -> None:
    told = command("replay", "sound", env={"ODD": "handler:SIGTERM"}, cwd=tmp_path)
    assert (told.code, told.out, told.err.strip()) == (143, "", "stopped")


# ------------------------------------------------------------------------------- the trace


@pytest.mark.parametrize("behind", [b"", b'{"tick": 39, "target"', b'{"tick": 7}\n{"tick": 8'])
def test_the_trace_is_continued_where_the_run_goes_on(
    odd: Cli, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bytes
) -> None:
    monkeypatch.setenv("ODD", "handler:interrupt")
    assert odd("run", "odd.toml", "--folder", "run", "--set", "run.snapshot_every=3").code == 130
    monkeypatch.delenv("ODD")
    trace = tmp_path / "run/trace.jsonl"
    kept = trace.read_bytes()
    trace.write_bytes(kept[:-9] + behind)
    first = trace.stat().st_ino
    assert odd("resume", "run", "--json").json["digest"] == digest
    assert trace.read_bytes() == (tmp_path / "sound/trace.jsonl").read_bytes()
    assert trace.stat().st_ino == first, "it is the same file, not another one"
    assert trace.read_bytes().startswith(kept[:-9])


# -------------------------------------------------------------------- plugins that misbehave


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("figures:raise", "odd: figures() raised ValueError: as it was told. Correct the actor."),
        ("figures:mute", "odd: figures() raised Mute: (its text cannot be made: RuntimeError). Correct the actor."),
        ("figures:exit", "odd: figures() raised SystemExit: 0. Correct the actor."),
        ("figures:none", "odd: figures() raised AttributeError"),
        ("figures:strange", "odd: figure 'thing' is a object. Return numbers of 64 bits, texts or None."),
        ("figures:strange", "odd: figure 'big' is an integer beyond 64 bits."),
        ("figures:strange", "odd: figure 'list' is a list."),
        ("charts:raise", "odd: charts() raised ValueError: as it was told. Correct the actor."),
        ("charts:exit", "odd: charts() raised SystemExit: 0. Correct the actor."),
        ("charts:strange", "odd: charts() raised AttributeError"),
    ],
)
def test_what_an_actor_cannot_tell_is_told_and_the_result_stands(
    odd: Cli, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    monkeypatch.setenv("ODD", what)
    told = odd("run", "odd.toml", "--folder", "run")
    assert told.code == 1
    assert digest in told.out
    assert f"  FAILED  {words}" in told.out
    monkeypatch.delenv("ODD")
    again = odd("resume", "run", "--json")
    assert (again.code, again.json["passed"], again.json["digest"]) == (1, False, digest)
    assert any(each.startswith(words) for each in again.json["troubles"])
    if "'" not in words:
        assert words.replace("<", "&lt;") in (tmp_path / "run/report.html").read_text()


def test_strange_figures_do_not_take_the_sound_ones_along(odd: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "figures:strange")
    figures = odd("run", "odd.toml", "--json").json["figures"]
    assert figures.keys() == {"odd.total", "odd.nan"}
    assert figures["odd.nan"] is None, "JSON has no number for it"


@pytest.mark.parametrize("moment", ["import", "register", "review", "opened", "handler", "figures", "close"])
def test_what_plugins_print_does_not_get_into_the_json(odd: Cli, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    monkeypatch.setenv("ODD", f"{moment}:print")
    told = odd("run", "odd.toml", "--json")
    assert told.json["ticks"] == 40
    assert "a plugin speaks" in told.err


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("import", "odd.toml:7: scenario.plugins[0] is 'odd.py': {folder}/odd.py:"),
        ("register", "its hook neuraxis_register_actors raised {error}. Repair the plugin."),
        ("review", "plugin 'odd.py': its hook neuraxis_review_graph raised {error}. Repair the plugin."),
        ("opened", "plugin 'odd.py': its hook neuraxis_simulation_opened raised {error}. Repair the plugin."),
        ("taken", "plugin 'odd.py': its hook neuraxis_snapshot_taken raised {error}. Repair the plugin."),
        ("closed", "plugin 'odd.py': its hook neuraxis_simulation_closed raised {error}. Repair the plugin."),
    ],
)
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("raise", "ValueError: as it was told"),
        ("exit", "SystemExit: 0"),
        ("mute", "Mute: (its text cannot be made: RuntimeError)"),
    ],
)
def test_a_hook_that_fails_is_named(
    odd: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str, words: str, what: str, error: str
) -> None:
    monkeypatch.setenv("ODD", f"{moment}:{what}")
    told = odd("run", "odd.toml")
    assert told.code == 2
    assert words.format(folder=tmp_path, error=error) in one_screen(told.err)
    assert error in told.err


@pytest.mark.parametrize("moment", ["taken", "closed"])
def test_a_run_whose_observer_fails_says_how_to_go_on(
    odd: Cli, digest: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setenv("ODD", f"{moment}:raise")
    told = odd("run", "odd.toml", "--folder", "run")
    assert "go on with: neuraxis resume run" in told.err
    monkeypatch.delenv("ODD")
    assert odd("resume", "run", "--json").json["digest"] == digest


def test_an_exception_without_text_is_told_by_its_name(odd: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "handler:mute")
    told = odd("run", "odd.toml")
    assert told.code == 1
    assert "odd failed at tick 7" in one_screen(told.err)
    assert "Mute: (its text cannot be made: RuntimeError)" in told.err
    assert "odd.py" in told.err, "the place is shown"


def test_an_actor_that_calls_sys_exit_does_not_make_a_run_good(
    odd: Cli, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", "handler:exit")
    told = odd("run", "odd.toml", "--folder", "run", "--json")
    assert told.code == told.json["exit_code"] == 1
    assert "ended by an actor at tick 6; go on with: neuraxis resume run" in told.err
    monkeypatch.delenv("ODD")
    assert odd("resume", "run", "--json").json["digest"] == digest


def test_an_actor_that_calls_sys_exit_does_not_make_a_check_good(
    odd: Cli, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert odd("golden", "update", "golden.json", "--scenario", "odd.toml", "--reason", "first").code == 0
    monkeypatch.setenv("ODD", "handler:exit")
    for arguments in (["golden", "check", "golden.json"], ["replay", "sound"], ["why", "sound", "odd#3"]):
        told = odd(*arguments)
        assert (told.code, told.out) == (1, ""), arguments
        assert "ended by an actor or plugin: SystemExit: 0" in told.err


@pytest.mark.parametrize("what", ["raise", "exit", "mute"])
def test_every_actor_is_closed_even_if_one_fails_to(
    odd: Cli, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("CLOSED", str(tmp_path / "closed"))
    monkeypatch.setenv("ODD", f"close:{what}")
    told = odd("run", "odd.toml", "--json")
    assert (told.code, told.json["digest"]) == (0, digest)
    assert told.err.count("actor failed to close") == 2
    monkeypatch.setenv("ODD", "")
    assert odd("run", "odd.toml").code == 0
    assert (tmp_path / "closed").read_text() == "Ear\nOdd\n"


def test_a_generator_as_handler_is_refused_with_its_name(odd: Cli, tmp_path: Path) -> None:
    code = (tmp_path / "odd.py").read_text()
    (tmp_path / "odd.py").write_text(code.replace("self.last = number", "self.last = yield number"))
    told = odd("run", "odd.toml")
    assert told.code == 2
    assert "Ear.hear: is a generator" in told.err
    assert "Remove `yield`" in told.err


# ---------------------------------------------------------------------- scenarios that are hostile


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("scenario.seed=18446744073709551616", "an integer beyond 64 bits"),
        ("scenario.until=99999999999999999999", "an integer beyond 64 bits"),
        ("actors.relay.limit=-9223372036854775809", "an integer beyond 64 bits"),
        ("inputs[0].value=9223372036854775808", "an integer beyond 64 bits"),
        (f"scenario.until={'9' * 5000}", "has no unit"),
        (f"actors.relay.limit={'[' * 100}{']' * 100}", "nested too deeply"),
        (f"actors.relay.limit={'[' * 20_000}{']' * 20_000}", "whole number"),
        (f"{'deep.' * 5000}key=1", "nested too deeply"),
        ('scenario.name="ring\\u0000"', "No name holds a zero byte"),
        ('scenario.plugins=["ring.py\\u0000"]', "No name holds a zero byte"),
        ("include=['other.toml']", "Include files in the scenario file"),
        ("actors.relay.count=1_000_000_000", "At most 1,048,572 actors"),
        ("actors.relay.count=-1", "at least 1"),
        ("neuraxis=99", "Install a newer neuraxis"),
        ("scenario.tick='0 ms'", "above 0"),
        ("scenario.tick='-1 ms'", "above 0"),
        ("channels[7].delay=1", "a place that does not exist"),
        ("channels.delay=1", "table"),
        ("=", "--set KEY=VALUE"),
        ("actors.relay.limit=5\nscenario.seed=7", "whole number"),
    ],
)
def test_a_hostile_value_is_refused_on_one_screen(cli: Cli, change: str, words: str) -> None:
    told = cli("run", RING, "--set", change, "--json")
    assert told.code == told.json["exit_code"] == 2
    assert words in one_screen(told.err)
    assert not Path("runs").exists(), "nothing was written"


def test_too_many_channels_are_refused_before_they_fill_the_memory(cli: Cli) -> None:
    told = cli("run", RING, "--set", "actors.relay.count=2_000", "--set", 'channels[0].pattern="all"')
    assert told.code == 2
    assert "At most 2,000,000 in all" in one_screen(told.err)


def test_one_wrong_value_is_one_mistake(cli: Cli) -> None:
    told = cli("run", RING, "--until", "99999999999999999999")
    assert "1 mistake:" in told.err


def test_a_zero_byte_in_an_include_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('include = ["b\\u0000.toml"]\n' + SCENARIO)
    assert "No file name holds a zero byte" in one_screen(cli("run", "a.toml").err)


@pytest.mark.parametrize("seed", [-(2**63), 2**63 - 1])
def test_every_seed_of_64_bits_can_be_run_and_resumed(cli: Cli, seed: int) -> None:
    first = cli("run", RING, f"--seed={seed}", "--until", 50, "--folder", "run", "--json").json
    assert (first["seed"], first["messages"]) == (seed, 50)
    assert cli("resume", "run", "--json").json == first


@pytest.mark.parametrize("seed", [-(2**63) - 1, 2**63, 10**30])
def test_a_seed_of_more_bits_is_refused(cli: Cli, seed: int) -> None:
    assert "beyond 64 bits" in one_screen(cli("run", RING, f"--seed={seed}").err)


def test_a_newline_in_an_override_changes_nothing_else(cli: Cli) -> None:
    found = cli("run", RING, "--set", 'scenario.name="a"\nseed=7', "--until", 5, "--json").json
    assert (found["scenario"], found["seed"]) == ('"a"\nseed=7', 0)


@pytest.mark.parametrize(
    "name",
    [
        "../../above",
        "/etc/passwd",
        "..",
        ".",
        "~",
        "-rf",
        "a\nb",
        "a" * 10_000,
        "😀",
        "a;b $(c) `d`",
        "con\tx",
        "\u202e",
    ],
)
def test_a_run_folder_lies_below_runs_whatever_the_scenario_is_called(cli: Cli, tmp_path: Path, name: str) -> None:
    found = cli(
        "run", RING, "--set", f"scenario.name={json.dumps(name, ensure_ascii=False)}", "--until", 5, "--json"
    ).json
    assert found["scenario"] == name
    folder = Path(found["run"])
    assert folder.parts[0] == "runs"
    assert len(folder.parts) == 2
    assert folder.name.isascii()
    assert folder.name[0].isalnum()
    assert len(folder.name) < 120
    assert [each.name for each in tmp_path.iterdir()] == ["runs"]
    assert cli("verify", folder).code == cli("replay", folder).code == 0


def test_two_runs_that_begin_in_one_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "now")
    made = [_fresh_folder("ring") for _ in range(3)]
    assert [each.name for each in made] == ["ring-now", "ring-now-2", "ring-now-3"]
    assert all(each.is_dir() for each in made), "each is taken at once"


def test_a_log_level_that_does_not_exist_is_refused_with_those_that_do(cli: Cli) -> None:
    told = cli("run", RING, "--log", "nonsense")
    assert told.code == 2
    assert "Write one of DEBUG, INFO, WARNING, ERROR, CRITICAL." in told.err


# -------------------------------------------------------------------------------- terminals


def test_options_that_do_not_exist_are_told_in_json_too(cli: Cli) -> None:
    told = cli("run", RING, "--sede", 3, "--json")
    assert told.code == told.json["exit_code"] == 2
    assert "--sede" in told.json["error"]["message"]
    assert "neuraxis run --help" in told.err


FULL = "neuraxis: [NX102] standard output: No space left on device. Send it to another place.\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "redirection", "err"),
    [
        (["run", "odd.toml", "--folder", "run"], "> /dev/full", FULL),
        (["run", "odd.toml", "--folder", "run", "--json"], "> /dev/full", FULL),
        (["run", "odd.toml", "--folder", "run", "--json"], ">&-", ""),
        (["run", "odd.toml", "--folder", "run"], "<&- >&- 2>&-", ""),
        (["run", "odd.toml", "--folder", "run"], "> /dev/full 2> /dev/full", ""),
    ],
)
def test_output_that_nobody_takes_does_not_harm_a_run(
    odd: Cli, digest: str, tmp_path: Path, arguments: list[str], redirection: str, err: str, unbuffered: str
) -> None:
    told = command(*arguments, env={"PYTHONUNBUFFERED": unbuffered}, shell=f'"$@" {redirection}', cwd=tmp_path)
    assert told.code == (2 if "full" in redirection else 0)
    assert told.out == ""
    assert told.err == err or (told.err.startswith(err) and "resume run" in told.err)
    assert odd("verify", "run").code == 0
    assert odd("resume", "run", "--json").json["digest"] == digest


@pytest.mark.parametrize("arguments", [["--help"], ["schema"], ["run", "--help"], ["verify", "sound"]])
def test_output_that_is_full_is_one_line(odd: Cli, digest: str, tmp_path: Path, arguments: list[str]) -> None:
    told = command(*arguments, shell='"$@" > /dev/full', cwd=tmp_path)
    assert (told.code, told.err) == (2, FULL)


def test_a_reader_that_goes_away_is_no_error(odd: Cli, tmp_path: Path) -> None:
    for unbuffered in ("", "1"):
        told = command("run", "--help", env={"PYTHONUNBUFFERED": unbuffered}, shell='"$@" | true', cwd=tmp_path)
        assert (told.code, told.err) == (0, "")


def test_errors_that_nobody_takes_change_no_exit_code(cli: Cli, tmp_path: Path) -> None:
    for redirection in ("2> /dev/full", "2>&-"):
        told = command("run", "nothing.toml", "--json", shell=f'"$@" {redirection}', cwd=tmp_path)
        assert told.code == told.json["exit_code"] == 2


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "1", "LINES": "1"},
        {"COLUMNS": "nonsense"},
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "/proc/nowhere"},
    ],
)
def test_poor_surroundings_are_enough(odd: Cli, digest: str, tmp_path: Path, env: dict[str, str]) -> None:
    toml = (tmp_path / "odd.toml").read_text()
    (tmp_path / "odd.toml").write_text(toml.replace('"odd"\nuntil', '"élan 😀"\nuntil'), encoding="utf-8")
    told = command("run", "odd.toml", env=env, cwd=tmp_path)
    assert (told.code, told.err) == (0, "")
    assert digest in told.out
    assert "lan" in told.out.splitlines()[0]
    (tmp_path / "odd.toml").write_text(toml.replace('kind = "odd"', 'kind = "ödd"'), encoding="utf-8")
    told = command("run", "odd.toml", "--json", env=env, cwd=tmp_path)
    assert told.code == told.json["exit_code"] == 2
    assert "Did you mean" in one_screen(told.err)
    assert "ödd" in told.json["error"]["message"]


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"COLUMNS": "2"}, {"TERM": "xterm", "PYTHONIOENCODING": "ascii"}])
def test_a_progress_bar_fits_any_terminal(odd: Cli, digest: str, tmp_path: Path, env: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "neuraxis", "run", "odd.toml"],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=theirs,
        cwd=tmp_path,
        text=True,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0, shown
    assert digest in done.stdout
    assert "Traceback" not in shown


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


# -------------------------------------------------------------------------------- kill -9

KILLER = """
import os, pathlib, signal, sys

def killed_before(function, wanted):
    def call(*arguments):
        if wanted(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return call

moment = sys.argv.pop(1)
if moment.startswith("journal"):
    number, write = int(moment.removeprefix("journal")), os.pwrite
    def pwrite(file, data, at):
        global number
        number -= 1
        if number:
            return write(file, data, at)
        write(file, data[: len(data) // 2], at)
        os.kill(os.getpid(), signal.SIGKILL)
    os.pwrite = pwrite
else:
    pathlib.Path.replace = killed_before(pathlib.Path.replace, lambda _, target: moment in str(target))
from neuraxis.cli import main
main()
"""


@pytest.mark.parametrize("moment", ["000000000015.nxs", "000000000040.nxs", "report.html", "odd.py"])
def test_a_run_that_is_killed_while_it_writes_a_file_goes_on(
    odd: Cli, digest: str, tmp_path: Path, moment: str
) -> None:
    _killed(tmp_path, moment)
    assert leftovers(tmp_path / "run") != [], "it was killed with a file half written"
    again = ["resume", "run"] if moment != "odd.py" else ["run", "odd.toml", "--folder", "run"]
    assert odd(*again, "--json").json["digest"] == digest
    assert leftovers(tmp_path / "run") == []
    assert odd("verify", "run").code == 0


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_run_that_is_killed_within_a_record_goes_on(odd: Cli, digest: str, tmp_path: Path, number: int) -> None:
    _killed(tmp_path, f"journal{number}")
    has_begun = number > 2  # the first line, the header
    if not has_begun:
        told = odd("resume", "run")
        assert told.code == 2
        assert "the run ended before it began. Run it again." in told.err
    again = ["resume", "run"] if has_begun else ["run", "odd.toml", "--folder", "run"]
    assert odd(*again, "--json").json["digest"] == digest
    assert odd("verify", "run").code == 0


def _killed(folder: Path, moment: str) -> None:
    (folder / "killer.py").write_text(KILLER)
    words = [sys.executable, "killer.py", moment, "run", "odd.toml", "--folder", "run"]
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


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


# ------------------------------------------------------------------- paths that lead nowhere


@pytest.mark.parametrize("path", ["x" * 300, f"{'deep/' * 1000}x", "odd.toml/x", "/proc/self/mem"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "odd.toml", "--folder"],
        ["resume"],
        ["replay"],
        ["verify"],
        ["graph"],
        ["snapshot", "list"],
        ["snapshot", "verify"],
        ["golden", "check"],
        ["golden", "update", "--scenario", "odd.toml", "--reason", "x"],
        ["new", "scenario", "first", "--folder"],
    ],
)
def test_a_path_that_leads_nowhere_is_named(odd: Cli, arguments: list[str], path: str) -> None:
    told = odd(*arguments, path)
    assert told.code in (2, 4), told.out
    assert path.partition("/x")[0][:100] in told.err
    assert "should not happen" not in told.err


@pytest.mark.parametrize("name", ["x" * 300, "odd.toml/x", "locked/x"])
def test_a_file_that_a_scenario_names_and_nobody_can_reach_is_named(odd: Cli, tmp_path: Path, name: str) -> None:
    (tmp_path / "locked").mkdir(mode=0o700)
    resource = f'\n[resources.x]\npath = "{name}"\nsha256 = "{"0" * 64}"\n'
    for text in (
        SCENARIO.replace('"odd.py"', f'"{name}.py"'),
        f'include = ["{name}"]\n{SCENARIO}',
        SCENARIO.replace('kind = "ear"', 'kind = "ear"\ndata = "x"') + resource,
    ):
        (tmp_path / "odd.toml").write_text(text)
        with read_only(tmp_path):
            told = odd("run", "odd.toml", "--folder", "run")
        assert told.code == 2
        assert name in one_screen(told.err)
        assert "should not happen" not in told.err


# ---------------------------------------------------------------------------- further verbs


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("figures:raise", "odd: figures() raised ValueError: as it was told"),
        ("figures:exit", "odd: figures() raised SystemExit: 0"),
        ("figures:none", "odd: figures() raised AttributeError"),
        ("invariant:raise", "odd: invariant() raised ValueError: as it was told"),
        ("invariant:mute", "odd: invariant() raised Mute: (its text cannot be made: RuntimeError)"),
        ("handler:mute", "odd failed at tick 7"),
    ],
)
def test_explore_finds_actors_that_misbehave(
    odd: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    (tmp_path / "odd.toml").write_text(f'{SCENARIO}[always]\n"odd.total" = {{ at_least = 0 }}\n')
    monkeypatch.setenv("ODD", what)
    told = odd("explore", "odd.toml", "--cases", 2, "--until", 20)
    assert told.code == 1
    assert words in told.out
    assert "smallest plan: no faults at all" in told.out
    assert one_screen(told.err) == ""


@pytest.mark.parametrize("option", [["--cases", 0], ["--cases", -1], ["--until", 0]])
def test_explore_refuses_to_try_nothing(odd: Cli, option: list[object]) -> None:
    told = odd("explore", "odd.toml", *option)
    assert told.code == 2
    assert str(option[0]) in one_screen(told.err)


@pytest.mark.parametrize("package", ["", "..", ".a", "a b", "nothing_like_it", "json", "broken"])
def test_a_package_that_cannot_be_checked_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    (tmp_path / "broken.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    told = cli("conform", package)
    assert told.code == 2
    assert repr(package) in one_screen(told.err)
    assert "frozen" not in told.err
    assert package != "broken" or "broken.py" in told.err, "the place in their own file"


def test_a_signing_key_that_cannot_be_used_is_refused_before_anything_is_written(
    odd: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("@/nonexistent", "zz", "@."):
        monkeypatch.setenv("NEURAXIS_SIGNING_KEY", key)
        assert "NEURAXIS_SIGNING_KEY" in odd("run", "odd.toml", "--folder", "run").err
        assert not (tmp_path / "run").exists()


def test_an_unknown_backend_is_one_mistake(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAXIS_BACKEND", "xyz")
    told = cli("graph", ROOT / "scenarios/raster.toml")
    assert "1 mistake:" in told.err
    known = "cupy, norse, numba, numpy, reference, torch, torch-cuda"
    assert f"NEURAXIS_BACKEND is the unusable backend 'xyz'. Known: {known}." in told.err


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            "setup:raise",
            "odd.toml:13: actors.odd is not usable: ValueError: as it was told. Change the parameters of odd.",
        ),
        (
            "setup:mute",
            "odd at odd: its setup() raised Mute: (its text cannot be made: RuntimeError). Correct the code",
        ),
        ("setup:exit", "odd at odd: its setup() raised SystemExit: 0. Correct the code of the actor."),
    ],
)
def test_an_actor_that_cannot_be_made_is_named(
    odd: Cli, monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    monkeypatch.setenv("ODD", what)
    told = odd("run", "odd.toml")
    assert told.code == 2
    assert words in one_screen(told.err)
    assert not Path("runs").exists()
