"""What all verbs share: running one, printing results and errors."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
import threading
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TextIO, cast, final

import typer

from neuraxis.errors import (
    ContractError,
    DeclarationInvalid,
    FileUnusable,
    NeuraxisError,
    PluginUnusable,
    RunError,
    UsageInvalid,
    told,
)
from neuraxis.files import unusable

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

    def called() -> int:
        command = typer.main.get_command(app)
        try:
            with command.make_context(f"neuraxis {verb}", list(arguments)) as context:
                command.invoke(context)
        except typer.Exit as ended:
            return ended.exit_code
        return 0

    end_with(called, as_json="--json" in arguments)


def end_with(command: Callable[[], int], *, as_json: bool = False) -> NoReturn:
    """Run a command and end the process with its exit code; errors become one screen of text, or JSON."""
    _open_missing_streams()
    print_anywhere()
    with _signals_as_interrupts(), redirect_stdout(cast("TextIO", _Output(sys.stdout, is_kept=as_json))):
        try:
            code = _exit_code(command, as_json=as_json)
        except FileUnusable as lost:  # there is no place for what was to be told
            tell_operator(f"neuraxis: {lost}")
            code = lost.exit_code
        except BrokenPipeError:
            code = 1  # the reader of our output went away; nobody is left to tell
    sys.exit(_flushed(code))


def _exit_code(command: Callable[[], int], *, as_json: bool) -> int:
    try:
        return command()
    except NeuraxisError as error:
        return _tell(error, as_json=as_json)
    except KeyboardInterrupt as error:
        return tell_stop("stopped", exit_code_of(error), as_json=as_json)
    except SystemExit as error:  # of an actor or plugin; its own exit code says nothing about what was asked
        if isinstance(error.__context__, BrokenPipeError):  # of the library for help texts
            return 1
        return tell_stop(f"ended by an actor or plugin: {told(error)}", 1, as_json=as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        if not error.filename:
            return _tell_mistake(error, as_json=as_json)
        remedy = "Correct the path, or its permissions."  # nobody foresaw that this file would be in the way
        return _tell(unusable(Path(str(error.filename)), error, remedy), as_json=as_json)
    except BaseException as error:  # noqa: BLE001 - the last place where it can be told in one screen
        return (_tell_misuse if _is_misuse(error) else _tell_mistake)(error, as_json=as_json)


def _flushed(code: int) -> int:
    """Write out what was printed and return the exit code: not 0 where standard output does not take it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or 1
    except (OSError, ValueError) as error:
        lost = _lost(error)
        if code != lost.exit_code:  # else it has been told
            tell_operator(f"neuraxis: {lost}")
        code = code or lost.exit_code
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the interpreter would try once more when it ends, and change the exit code
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code


def _open_missing_streams() -> None:
    """Have closed standard streams lead nowhere; else the next file that is opened takes the place of one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


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
class _Output:
    """Standard output, whose own failures are told from those of files.

    While it is kept for one JSON object, what is printed goes to standard error.
    """

    def __init__(self, stream: TextIO, *, is_kept: bool) -> None:
        self.stream = stream
        self._is_kept = is_kept

    def write(self, text: str) -> int:
        return sys.stderr.write(text) if self._is_kept else self.say(text)

    def say(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise _lost(error) from error

    def flush(self) -> None:
        try:
            self.stream.flush()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            raise _lost(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _lost(error: OSError | ValueError) -> FileUnusable:
    """Translate what writing to standard output raised: it is full, or somebody closed it."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")
    return FileUnusable(path="standard output", reason=reason, remedy="Send it to another place.")


def _tell(error: NeuraxisError, *, as_json: bool) -> int:
    _tell_in_json(error.code, type(error).__name__, error.message(), error.exit_code, as_json=as_json)
    tell_operator("\n".join([f"neuraxis: {error}", *getattr(error, "__notes__", ())]))
    cause = error.__cause__
    if cause is not None and isinstance(error, ContractError | RunError | PluginUnusable | DeclarationInvalid):
        _tell_place(cause, frames=3)
    return error.exit_code


def _tell_mistake(error: BaseException, *, as_json: bool) -> int:
    """Tell an exception that nobody expected: a mistake in Neuraxis or in a plugin, not of the user."""
    text = "memory ran out" if isinstance(error, MemoryError) else told(error)
    remedy = "Run something smaller." if isinstance(error, MemoryError) else "Report it with the lines below."
    what = f"an error that should not happen: {text.rstrip('.')}"
    message = f"{what}. {remedy} A run that had begun goes on with: neuraxis resume RUN"
    _tell_in_json(NeuraxisError.code, type(error).__name__, message, 1, as_json=as_json)
    tell_operator(f"neuraxis: [{NeuraxisError.code}] {message}")
    _tell_place(error, frames=5)
    return 1


def tell_stop(text: str, exit_code: int, *, as_json: bool) -> int:
    """Tell that a command was stopped before its end. Returns the exit code."""
    _tell_in_json(NeuraxisError.code, Stopped.__name__, text, exit_code, as_json=as_json)
    tell_operator(f"\n{text}")
    return exit_code


def _is_misuse(error: BaseException) -> bool:
    """Tell whether the library for command lines raised this: a verb was called with wrong options or arguments."""
    return hasattr(error, "format_message") and hasattr(error, "show")


def _tell_misuse(error: Any, *, as_json: bool) -> int:
    _tell_in_json(UsageInvalid.code, UsageInvalid.__name__, error.format_message(), error.exit_code, as_json=as_json)
    with suppress(OSError, ValueError):
        error.show()
    return int(error.exit_code)


def _tell_in_json(code: str, name: str, message: str, exit_code: int, *, as_json: bool) -> None:
    if as_json:
        say({"error": {"code": code, "error": name, "message": message}, "exit_code": exit_code})


def _tell_place(error: BaseException, *, frames: int) -> None:
    import traceback

    if isinstance(error, NeuraxisError | OSError) or error.__traceback__ is None:
        return
    own = [each for each in traceback.format_tb(error.__traceback__) if "<frozen importlib" not in each]
    lines = "".join(own[-frames:]).rstrip().splitlines()
    tell_operator("\n".join(["\nwhere it happened:", *lines[-PLACE_LINES:]]))


def tell_operator(text: str) -> None:
    """Print on standard error, or nowhere."""
    with suppress(OSError, ValueError):  # a terminal that hung up takes nothing
        print(text, file=sys.stderr)


def say(value: dict[str, Any]) -> None:
    """Print one JSON object on standard output; what JSON has no number for is null."""
    is_unicode = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    text = json.dumps(_finite(value), ensure_ascii=not is_unicode, allow_nan=False) + "\n"
    stream: Any = sys.stdout
    stream.say(text) if isinstance(stream, _Output) else stream.write(text)


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
