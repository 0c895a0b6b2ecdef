"""Commands with plugins and actors that misbehave: each is named, and the result stands or the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SCENARIO, Cli, one_screen


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
