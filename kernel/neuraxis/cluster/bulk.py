"""Large arrays between workers of one host: written once into shared memory, read where they lie.

    SHARED/neuraxis-TOKEN/3.1            says that worker 3, first process, is on this host
    SHARED/neuraxis-TOKEN/3.1-17         arrays of one of its batches

A batch then names the file instead of carrying the arrays. A file is deleted when all have taken over the window:
whoever has it mapped keeps it until its arrays are gone. A batch that is sent again carries its arrays itself, so
nothing depends on these files, and where the memory is full, arrays travel as on any other way.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import numpy as np

from neuraxis.message import Received

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARED: Final = Path("/dev/shm")
BULK_BYTES_MIN: Final = 1 << 18
"""Arrays of a batch that together are smaller travel in it."""

ALIGNMENT: Final = 64


def folder_of(token: str) -> Path:
    """Return the folder of a run in shared memory."""
    return SHARED / f"neuraxis-{token}"


def remove(token: str) -> None:
    """Delete all that a run left in shared memory."""
    if token:
        shutil.rmtree(folder_of(token), ignore_errors=True)


@final
class Bulk:
    """One worker's arrays in shared memory."""

    def __init__(self, token: str, me: int, incarnation: int) -> None:
        """Say that this worker is on this host, if there is shared memory here."""
        self._folder = folder_of(token)
        self._name = f"{me}.{incarnation}"
        self._written: dict[int, list[Path]] = {}
        self._number = 0
        self._there: set[str] = set()
        self._is_usable = bool(token) and SHARED.is_dir()
        if self._is_usable:
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._is_usable = self._folder.stat().st_uid == os.geteuid()
                (self._folder / self._name).touch(mode=0o600)
            except OSError:
                self._is_usable = False

    def reaches(self, peer: int, incarnation: int) -> bool:
        """Tell whether a process of a peer is on this host."""
        if not self._is_usable:
            return False
        name = f"{peer}.{incarnation}"
        if name not in self._there and (self._folder / name).exists():
            self._there.add(name)
        return name in self._there

    def put(self, window: int, arrays: Sequence[np.ndarray]) -> tuple[str, tuple[int, ...]] | None:
        """Write arrays, and return the name of the file and where each begins; None where the memory is full."""
        starts, end = [], 0
        for each in arrays:
            starts.append(end)
            end += each.nbytes + (-each.nbytes % ALIGNMENT)
        self._number += 1
        path = self._folder / f"{self._name}-{self._number}"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            return None
        try:
            for start, each in zip(starts, arrays, strict=True):
                _write(file, start, each.reshape(-1).view(np.uint8).data)
        except OSError:
            path.unlink(missing_ok=True)
            return None
        finally:
            os.close(file)
        self._written.setdefault(window, []).append(path)
        return path.name, tuple(starts)

    def get(self, name: str, starts: Sequence[int], sizes: Sequence[int]) -> list[memoryview] | None:
        """Return the bytes of arrays that a peer wrote; None if they are gone or not what it says."""
        if "/" in name:
            return None
        try:
            with (self._folder / name).open("rb") as file:
                length = os.fstat(file.fileno()).st_size
                if any(
                    start + size > length or start < 0 or size < 0 for start, size in zip(starts, sizes, strict=True)
                ):
                    return None
                memory = Received(file.fileno(), length, flags=_FLAGS, prot=mmap.PROT_READ)
        except (OSError, ValueError):
            return None
        view = memoryview(memory)
        return [view[start : start + size] for start, size in zip(starts, sizes, strict=True)]

    def forget(self, window: int) -> None:
        """Delete what was written for windows up to this one; all have it."""
        if self._written:
            for each in [each for each in self._written if each <= window]:
                for path in self._written.pop(each):
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete all that this worker wrote."""
        if self._is_usable:
            for path in [path for paths in self._written.values() for path in paths]:
                path.unlink(missing_ok=True)
            self._written.clear()
            with contextlib.suppress(OSError):
                (self._folder / self._name).unlink(missing_ok=True)
                self._folder.rmdir()  # the last one


def _write(file: int, start: int, data: memoryview) -> None:
    while data.nbytes:
        written = os.pwrite(file, data, start)
        start, data = start + written, data[written:]


_FLAGS: Final = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
