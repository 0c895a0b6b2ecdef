"""Frames of any size through a broker that limits messages: cut into chunks, and joined again.

    chunk    sender <I · link <Q · frame <Q · length of the frame <Q · place of the chunk in it <Q · bytes

A chunk names the frame to which it belongs by the link that sent it (a random number, new when a member is
replaced) and a count. A lost chunk loses its frame and no other; repeated chunks are ignored while their frame is
joined.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.transport import Buffer

HEAD: Final = struct.Struct("<IQQQQ")

FRAME_BYTES_MAX: Final = 1 << 34
"""Length of a frame beyond which a chunk is taken for damaged."""

OPEN_FRAMES_MAX: Final = 4
"""Frames of one sender that are joined at a time; the oldest is given up for a new one."""


@final
class Cutter:
    """Cuts the frames of one link.

    Args:
        member: Number of the sender.
        chunk_bytes: Longest chunk, with its head, bytes.
    """

    def __init__(self, member: int, chunk_bytes: int) -> None:
        self._member = member
        self._link = int.from_bytes(os.urandom(8), "little")
        self._frame = 0
        self._room = chunk_bytes - HEAD.size

    def cut(self, parts: Sequence[Buffer]) -> list[bytes]:
        """Return the chunks of a frame that is given in parts; at least one."""
        frame = self._frame
        self._frame = frame + 1
        length = 0
        for part in parts:
            length += part.nbytes if type(part) is memoryview else len(part)
        room = self._room
        if length <= room:
            return [b"".join((HEAD.pack(self._member, self._link, frame, length, 0), *parts))]
        whole = memoryview(b"".join(parts))
        return [
            b"".join((HEAD.pack(self._member, self._link, frame, length, at), whole[at : at + room]))
            for at in range(0, length, room)
        ]


@final
class Joiner:
    """Joins the chunks that come to one member."""

    def __init__(self) -> None:
        self._open: dict[int, dict[tuple[int, int], _Frame]] = {}

    def join(self, chunk: bytes) -> Buffer | None:
        """Return the frame that a chunk completes, or None. What is no chunk is ignored."""
        if len(chunk) < HEAD.size:
            return None
        sender, link, number, length, at = HEAD.unpack_from(chunk)
        body = memoryview(chunk)[HEAD.size :]
        if at == 0 and len(body) == length:
            return body
        if at + len(body) > length or length > FRAME_BYTES_MAX or not body:
            return None
        frames = self._open.setdefault(sender, {})
        frame = frames.get((link, number))
        if frame is None:
            if len(frames) == OPEN_FRAMES_MAX:
                del frames[next(iter(frames))]
            frame = frames[link, number] = _Frame(length)
        if not frame.add(at, body):
            return None
        del frames[link, number]
        return frame.joined()


@final
class _Frame:
    """The chunks of one frame that are here."""

    __slots__ = ("_chunks", "_missing")

    def __init__(self, length: int) -> None:
        self._missing = length
        self._chunks: dict[int, memoryview] = {}

    def add(self, at: int, body: memoryview) -> bool:
        """Take one chunk. Return True if none is missing now."""
        if at not in self._chunks:
            self._chunks[at] = body
            self._missing -= len(body)
        return self._missing == 0

    def joined(self) -> bytes:
        """Return the frame. All chunks of a frame were cut in one way, so their places cover it."""
        return b"".join(self._chunks[at] for at in sorted(self._chunks))
