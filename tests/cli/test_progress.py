"""What a verb shows while it runs, and while it waits for something that takes long."""

from __future__ import annotations

import io
import re
import threading

import pytest

from neuraxis.cli import progress as shown
from neuraxis.cli.progress import progress
from neuraxis.waiting import waiting


class Screen(io.StringIO):
    """Standard error that is a terminal or none, and on which one can wait for a text."""

    def __init__(self, wanted: str, *, is_terminal: bool) -> None:
        super().__init__()
        self.has_come = threading.Event()
        self._wanted, self._is_terminal = wanted, is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._wanted in self.getvalue():
            self.has_come.set()
        return written


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show waits at once."""
    monkeypatch.setattr(shown, "WAIT_S", 0.01)


def test_a_wait_is_told_in_lines_with_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("cuba: making machine code, ", is_terminal=False)
    monkeypatch.setattr("sys.stderr", screen)
    with progress("cuba", 10), waiting("making machine code"):
        assert screen.has_come.wait(60)
    assert re.fullmatch(r"cuba: making machine code, \d+ s so far\n", screen.getvalue()), "one line in ten seconds"


def test_a_wait_stands_beside_the_bar_on_a_terminal_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("making machine code, ", is_terminal=True)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with progress("cuba", 10) as show:
        with waiting("making machine code"):
            assert screen.has_come.wait(60)
        before = len(screen.getvalue())
        show(5, "halfway")
    after = screen.getvalue()[before:]
    assert "halfway" in after
    assert "machine code" not in after


def test_a_wait_that_ends_at_once_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "WAIT_S", 60.0)
    screen = Screen("", is_terminal=False)
    monkeypatch.setattr("sys.stderr", screen)
    with progress("cuba", 10), waiting("making machine code"):
        pass
    assert not screen.getvalue()


def test_nothing_is_told_where_progress_is_hidden_or_nobody_shows_any(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("", is_terminal=False)
    monkeypatch.setattr("sys.stderr", screen)
    with progress("cuba", 10, hidden=True), waiting("making machine code"):
        assert not [each for each in threading.enumerate() if each.name == "waiting"]
    with waiting("making machine code"):
        assert not [each for each in threading.enumerate() if each.name == "waiting"]
    assert not screen.getvalue()


def test_a_wait_ends_with_its_block_whatever_happens_in_it() -> None:
    def fail() -> None:
        with progress("cuba", 10), waiting("making machine code"):
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        fail()
    assert not [each for each in threading.enumerate() if each.name == "waiting"]
