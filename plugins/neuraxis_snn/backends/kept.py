"""Generated code whose machine code is kept on disk between runs, and is made again unless it is just what was kept.

A file of machine code is executed as it lies there. So sums of these files are kept beside them: after a crash in the
middle of writing, a disk error, or another program's hand, they do not fit, and the code is compiled anew.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, final

from neuraxis.waiting import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE_VARIABLE: Final = "NEURAXIS_CACHE"

log = logging.getLogger("neuraxis.snn")


@final
class Kept:
    """The function `run` of a generated module.

    Attributes:
        run: It, compiled by Numba when it is called first.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._name = f"neuraxis_network_{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}"
        self._path = _cache_folder() / f"{self._name}.py"
        if self._name not in sys.modules:
            try:
                _write(self._path, text.encode())
                _discard_unless_sound(self._path)
                sys.modules[self._name] = _module(self._name, text, self._path)
            except (OSError, RuntimeError) as error:  # RuntimeError: Numba finds no place to keep it
                self._do_not_keep(error)
        self.run: Any = sys.modules[self._name].run

    def ready(self, *arguments: Any) -> Callable[..., Any]:
        """Return the function, compiled for such arguments or loaded.

        Where the machine code cannot be kept, as the disk is full, it serves this process only.
        """
        return self._ready(lambda: self.run, arguments)

    def call(self, name: str, *arguments: Any) -> Any:
        """Do the same, at any time, with one of several functions: `run` of the module is a mapping of them."""
        return called(self._ready(lambda: self.run[name], arguments), arguments)

    def _ready(self, chosen: Callable[[], Any], arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """Return a function that needs no compiler for such arguments."""
        try:
            self._compile(chosen(), arguments, "which is kept for the next run")
        except OSError as error:
            self._do_not_keep(error)
            self.run = sys.modules[self._name].run
            self._compile(chosen(), arguments, "which cannot be kept")
        function: Callable[..., Any] = chosen()
        return function

    def _compile(self, function: Any, arguments: tuple[Any, ...], fate: str) -> None:
        if not hasattr(function, "stats"):  # compilation is off
            return
        from numba import typeof

        types = tuple(map(typeof, arguments))
        if types in function.overloads:
            return
        before = sum(function.stats.cache_misses.values())
        with waiting(f"making machine code, {fate}"):
            function.compile(types)
        if sum(function.stats.cache_misses.values()) > before:  # it was compiled just now
            self._keep_sums()

    def _keep_sums(self) -> None:
        with suppress(OSError):  # then it is compiled anew next time
            _write(_sums_file(self._path), json.dumps(_sums(self._path)).encode())

    def _do_not_keep(self, error: Exception) -> None:
        log.info("machine code is not kept", extra={"facts": {"path": str(self._path), "error": str(error)}})
        sys.modules[self._name] = _module(self._name, self._text.replace("cache=True", "cache=False"), self._path)


def called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Return what compiled code returns; what a signal raised meanwhile comes out as it was raised.

    A signal is handled as soon as Python code runs. Numba runs some to hand arrays over, and does not look what that
    raised: what comes out of it is a SystemError.
    """
    try:
        return function(*arguments)
    except SystemError as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        raise first from None


def _module(name: str, text: str, path: Path) -> ModuleType:
    """Return the module that a text makes: the text that is here, whatever the file holds by now."""
    module = ModuleType(name)
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), vars(module))
    return module


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, unless it holds the same already."""
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    draft = path.with_suffix(f".{os.getpid()}.draft")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise


def _sums_file(path: Path) -> Path:
    return path.with_suffix(".sums")


def _sums(path: Path) -> dict[str, str]:
    """Return the sums of all files of machine code that belong to a generated module."""
    files = sorted((path.parent / "__pycache__").glob(f"{path.stem}.*"))
    return {each.name: hashlib.blake2b(each.read_bytes(), digest_size=16).hexdigest() for each in files}


def _discard_unless_sound(path: Path) -> None:
    """Delete the machine code of a generated module unless all of it is what was kept."""
    try:
        expected = json.loads(_sums_file(path).read_bytes())
    except (OSError, ValueError):
        expected = None
    with suppress(OSError):
        if _sums(path) == expected:
            return
    for each in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        each.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _cache_folder() -> Path:
    """Return the folder of generated code: the user's own, or one for this process where that cannot be used."""
    chosen = os.environ.get(CACHE_VARIABLE)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache")
    folder = Path(chosen) if chosen else home / "neuraxis"
    if _is_own(folder):
        return folder
    scratch = Path(tempfile.mkdtemp(prefix="neuraxis-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    log.info(
        "generated code is not kept", extra={"facts": {"unusable": str(folder), "remedy": f"set {CACHE_VARIABLE}"}}
    )
    return scratch


def _is_own(folder: Path) -> bool:
    """Tell whether a folder belongs to the user and can be written: what lies there is executed."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid()
    except OSError:
        return False
