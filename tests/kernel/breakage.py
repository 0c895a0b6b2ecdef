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
    changed = [(folder, folder.stat().st_mode, 0o555)]
    if is_root:  # whom permissions do not stop: be somebody else, who can reach the folder
        parents = [(each, each.stat().st_mode) for each in folder.parents]
        changed += [(each, mode, mode | 0o011) for each, mode in parents if not mode & 0o001]
    for each, _, mode in changed:
        each.chmod(mode)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for each, mode, _ in changed:
            each.chmod(mode)


def flipped(data: bytes, bit: int) -> bytes:
    """Return `data` with one bit changed, counted from the first byte's lowest."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
