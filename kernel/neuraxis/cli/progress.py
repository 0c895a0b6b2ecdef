"""How far a verb has come, and what it waits for: a bar on a terminal, lines elsewhere, always on standard error."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from neuraxis.cli.terminal import tell_operator
from neuraxis.waiting import shown_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINES_S: Final = 10.0
"""Seconds between two lines where standard error is no terminal."""

WAIT_S: Final = 1.0
"""Seconds after which a wait is shown, and between two looks at it on a terminal."""


@contextmanager
def progress(title: str, total: int, *, start: int = 0, hidden: bool = False) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar on standard error while it is a terminal, else a line every ten seconds.

    Waits that something tells (`neuraxis.waiting`) are shown with their seconds so far.

    Args:
        title: What goes on.
        total: Ticks at the end.
        start: Ticks done before.
        hidden: Show nothing.

    Yields:
        A function that takes the ticks done and a short note.
    """
    if hidden:
        yield lambda _done, _note: None
    elif not sys.stderr.isatty():
        with shown_by(lambda what: _wait_in_lines(title, what)):
            yield _lines(title, total)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=total, completed=start, note="")

            def note(text: str) -> None:
                bar.update(task, note=text)

            with shown_by(lambda what: _wait_in_bar(note, what)):
                yield lambda done, text: bar.update(task, completed=done, note=text)


def _lines(title: str, total: int) -> Callable[[int, str], None]:
    last = time.monotonic()

    def report(done: int, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= LINES_S:
            last = time.monotonic()
            tell_operator(f"{title}: {100 * done // max(total, 1)} % ({done:,} of {total:,} ticks) {note}".rstrip())

    return report


@contextmanager
def _wait_in_lines(title: str, what: str) -> Iterator[None]:
    with _while_waiting(lambda seconds: tell_operator(f"{title}: {what}, {seconds} s so far"), LINES_S):
        yield


@contextmanager
def _wait_in_bar(note: Callable[[str], None], what: str) -> Iterator[None]:
    with _while_waiting(lambda seconds: note(f"{what}, {seconds} s so far"), WAIT_S):
        yield
    note("")


@contextmanager
def _while_waiting(tell: Callable[[int], None], every: float) -> Iterator[None]:
    """Tell from a thread how many seconds have passed: after the first, and then every so many."""
    ended, began = threading.Event(), time.monotonic()

    def go_on() -> None:
        wait = WAIT_S
        while not ended.wait(wait):
            tell(round(time.monotonic() - began))
            wait = every

    thread = threading.Thread(target=go_on, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
