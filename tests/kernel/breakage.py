"""Ways to break files, for tests: full disks, folders that cannot be written, flipped bits."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65_534


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes: a write is cut short there, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder one that can be read but not written, also for tests that run as root."""
    is_root = os.geteuid() == 0
    before = folder.stat().st_mode
    folder.chmod(0o555)
    if is_root:  # whom permissions do not stop: be somebody else, who can reach the folder
        for each in folder.parents:  # they stay open: other tests below them may be at it, too
            if not (mode := each.stat().st_mode) & 0o001:
                each.chmod(mode | 0o011)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(before)


def flipped(data: bytes, bit: int) -> bytes:
    """Return `data` with one bit changed, counted from the first byte's lowest."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
