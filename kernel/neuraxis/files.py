"""Files: read with an error that says what to do, write whole or not at all."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from neuraxis.errors import FileUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def is_file(path: Path) -> bool:
    """Tell whether there is a file at `path`.

    Raises:
        FileUnusable: That cannot be found out: a folder on the way may not be entered, or the name is too long.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise unusable(path, error, "Correct the path, or its permissions.") from error


def read_bytes(path: Path, *, remedy: str) -> bytes:
    """Return the content of a file.

    Raises:
        FileUnusable: It is missing or unreadable; ends with `remedy`.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise unusable(path, error, remedy) from error


def write_atomically(path: Path, parts: Iterable[bytes | memoryview], *, durable: bool = False) -> None:
    """Write a file so that it is there whole or not at all.

    Args:
        path: The file; its folder exists.
        parts: The content, in pieces; may be made while it is written.
        durable: Whether to wait for the disk, for power loss.

    Raises:
        FileUnusable: The disk is full or the folder cannot be written; nothing is left behind, then or
            when making the content fails.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb", buffering=0) as file:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[file.write(view) :]
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError):
            raise unusable(path, error, "Free space, or choose a folder that you can write to.") from error
        raise


def sweep(folder: Path) -> None:
    """Delete what killed processes left half written in a folder, which nobody writes now."""
    for draft in folder.glob(".*.[0-9]*.draft"):
        with suppress(OSError):  # it is in nobody's way
            draft.unlink()


def make_folder(path: Path, *, anew: bool = False) -> bool:
    """Make a folder and its parents, if they are not there.

    Args:
        path: The folder.
        anew: Whether to leave one alone that is there already.

    Returns:
        False if it was to be made anew, and was there.

    Raises:
        FileUnusable: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=not anew)
    except FileExistsError as error:
        if anew:
            return False
        raise unusable(path, error, "Choose a folder that you can write to.") from error
    except OSError as error:
        raise unusable(path, error, "Choose a folder that you can write to.") from error
    return True


def sha256_of(path: Path, *, remedy: str) -> str:
    """Return the SHA-256 of a file's content, hexadecimal.

    Raises:
        FileUnusable: It is missing or unreadable; ends with `remedy`.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unusable(path, error, remedy) from error


def unusable(path: Path, error: OSError, remedy: str) -> FileUnusable:
    """Translate an operating system's error."""
    return FileUnusable(path=str(path), reason=error.strerror or str(error), remedy=remedy)
