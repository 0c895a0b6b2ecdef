"""What all verbs share: running one, printing results and errors, progress."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from neuraxis.errors import NeuraxisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

INTERRUPTED: Final = 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
LogOption = Annotated[str, typer.Option("--log", help="Least level of the JSON log lines on standard error.")]


def run_verb(app: typer.Typer, verb: str, arguments: Sequence[str]) -> None:
    """Run one verb and end the process with its exit code; errors become one screen of text, or JSON."""
    as_json = "--json" in arguments
    try:
        code = app(args=list(arguments), prog_name=f"neuraxis {verb}", standalone_mode=True)
    except NeuraxisError as error:
        _tell(error, as_json=as_json)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; nobody is left to tell
        sys.exit(1)
    sys.exit(code or 0)


def _tell(error: NeuraxisError, *, as_json: bool) -> None:
    if as_json:
        facts = {"code": error.code, "error": type(error).__name__, "message": error.message()}
        print(json.dumps({"error": facts, "exit_code": error.exit_code}, ensure_ascii=False))
    print(f"neuraxis: {error}", file=sys.stderr)
    cause = error.__cause__
    if cause is not None and not isinstance(cause, NeuraxisError | OSError):
        import traceback

        print("\nwhere it happened:", file=sys.stderr)
        print("".join(traceback.format_tb(cause.__traceback__)[-3:]).rstrip(), file=sys.stderr)


def say(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, ensure_ascii=False))


def table(title: str, rows: Sequence[Sequence[str]], *, head: Sequence[str] = ()) -> None:
    """Print a small table: columns aligned, numbers as they come."""
    if title:
        print(title)
    lines = [list(head), *map(list, rows)] if head else list(map(list, rows))
    if not lines:
        return
    widths = [max(len(line[column]) for line in lines if column < len(line)) for column in range(max(map(len, lines)))]
    for number, line in enumerate(lines):
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)).rstrip())
        if head and number == 0:
            print("  " + "  ".join("-" * width for width in widths))


@contextmanager
def progress(title: str, total: int, *, start: int = 0, hidden: bool = False) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar on standard error while it is a terminal, else a line every ten seconds.

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
            yield lambda done, note: bar.update(task, completed=done, note=note)


def _lines(title: str, total: int) -> Callable[[int, str], None]:
    import time

    last = time.monotonic()

    def report(done: int, note: str) -> None:
        nonlocal last
        if time.monotonic() - last >= 10:
            last = time.monotonic()
            print(
                f"{title}: {100 * done // max(total, 1)} % ({done:,} of {total:,} ticks) {note}".rstrip(),
                file=sys.stderr,
            )

    return report
