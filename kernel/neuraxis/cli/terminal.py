"""What all verbs share: running one, printing results and errors, progress."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO, final

import typer

from neuraxis.errors import ContractError, NeuraxisError, PluginUnusable, RunError, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

INTERRUPTED: Final = 130

PLACE_LINES: Final = 15
"""Lines that tell where in foreign code an error happened."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
LogOption = Annotated[str, typer.Option("--log", help="Least level of the JSON log lines on standard error.")]


@final
class Stopped(KeyboardInterrupt):
    """A signal asks the process to end; where that can be done cleanly, it is done as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def exit_code_of(error: KeyboardInterrupt) -> int:
    """Return the exit code of a process that was stopped: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return error.exit_code if isinstance(error, Stopped) else INTERRUPTED


def run_verb(app: typer.Typer, verb: str, arguments: Sequence[str]) -> None:
    """Run one verb and end the process with its exit code; errors become one screen of text, or JSON."""
    as_json = "--json" in arguments
    print_anywhere()
    with _signals_as_interrupts(), _json_apart() if as_json else nullcontext():
        try:
            code = app(args=list(arguments), prog_name=f"neuraxis {verb}", standalone_mode=True) or 0
        except SystemExit as ended:  # how the library for command lines ends
            code = ended.code
        except NeuraxisError as error:
            _tell(error, as_json=as_json)
            code = error.exit_code
        except KeyboardInterrupt as error:
            _tell_operator("\nstopped")
            code = exit_code_of(error)
        except BrokenPipeError:
            code = 1  # the reader of our output went away; nobody is left to tell
        except BaseException as error:  # noqa: BLE001 - the last place where it can be told in one screen
            _tell_mistake(error, as_json=as_json)
            code = 1
    sys.exit(_flushed(code))


def _flushed(code: Any) -> Any:
    """Write out what was printed and return the exit code; 1 where standard output does not take it."""
    try:
        sys.stdout and sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _tell_operator(f"neuraxis: standard output cannot be written: {error.strerror}. Choose another place.")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries once more, and fails
        return code or 1
    return code


def print_anywhere() -> None:
    """Have characters that the terminal does not know printed as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end a verb as Ctrl-C does; one that was to be ignored (nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        raise Stopped(number)

    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@final
class _Aside(io.TextIOBase):
    """Takes what is printed while standard output is kept for one JSON object, and prints it on standard error."""

    def __init__(self, kept: TextIO) -> None:
        self.kept = kept

    def write(self, text: str) -> int:
        return sys.stderr.write(text) if sys.stderr else len(text)

    def flush(self) -> None:
        if sys.stderr:
            sys.stderr.flush()


@contextmanager
def _json_apart() -> Iterator[None]:
    """Keep standard output for `say`: what plugins print goes to standard error."""
    with redirect_stdout(_Aside(sys.stdout)):
        yield


def _tell(error: NeuraxisError, *, as_json: bool) -> None:
    _tell_in_json(error.code, type(error).__name__, error.message(), error.exit_code, as_json=as_json)
    _tell_operator("\n".join([f"neuraxis: {error}", *getattr(error, "__notes__", ())]))
    cause = error.__cause__
    if cause is not None and isinstance(error, ContractError | RunError | PluginUnusable):
        _tell_place(cause, frames=3)


def _tell_mistake(error: BaseException, *, as_json: bool) -> None:
    """Tell an exception that nobody expected: a mistake in Neuraxis or in a plugin, not of the user."""
    text = "memory ran out" if isinstance(error, MemoryError) else told(error)
    remedy = "Run something smaller." if isinstance(error, MemoryError) else "Report it with the lines below."
    message = f"an error that should not happen: {text}. {remedy} A run that had begun goes on with: neuraxis resume"
    _tell_in_json(NeuraxisError.code, type(error).__name__, message, 1, as_json=as_json)
    _tell_operator(f"neuraxis: [{NeuraxisError.code}] {message}")
    _tell_place(error, frames=5)


def _tell_in_json(code: str, name: str, message: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        say({"error": {"code": code, "error": name, "message": message}, "exit_code": exit_code})


def _tell_place(error: BaseException, *, frames: int) -> None:
    import traceback

    if isinstance(error, NeuraxisError | OSError) or error.__traceback__ is None:
        return
    lines = "".join(traceback.format_tb(error.__traceback__)[-frames:]).rstrip().splitlines()
    _tell_operator("\n".join(["\nwhere it happened:", *lines[-PLACE_LINES:]]))


def _tell_operator(text: str) -> None:
    with suppress(OSError, ValueError):  # a terminal that hung up takes nothing
        print(text, file=sys.stderr)


def say(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output; what JSON has no number for is null."""
    stream = sys.stdout.kept if isinstance(sys.stdout, _Aside) else sys.stdout
    is_unicode = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    print(json.dumps(_finite(value), ensure_ascii=not is_unicode, allow_nan=False), file=stream)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
