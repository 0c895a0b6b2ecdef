"""Frames in a stream between two processes: one end sends, the other receives.

A stream begins with the number of the sender (`<I`); each frame begins with its length (`<Q`).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections import deque
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.transport import Buffer

WAITING_BYTES_MAX: Final = 256 << 20
"""Bytes kept for a member that does not read. While there are more, frames to it are dropped."""

FRAME_BYTES_MAX: Final = 1 << 34
"""Length of a frame beyond which a stream is taken for damaged."""

_SMALL: Final = 1 << 16
"""Frames up to this length are copied into one piece before sending, and read through a buffer of this size."""

_PARTS_MAX: Final = 1000
"""Parts that one system call takes; a frame in more is joined first."""

HELLO: Final = struct.Struct("<I")

_LENGTH: Final = struct.Struct("<Q")


@final
class Outgoing:
    """A connection to a member, and what waits to be sent on it."""

    __slots__ = ("_lock", "_pusher", "_sock", "_waiting", "_waiting_bytes", "inode")

    def __init__(self, sock: socket.socket, inode: int) -> None:
        self.inode = inode
        self._sock = sock
        self._lock = Lock()
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._pusher: Thread | None = None

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send a frame; what the kernel does not take is copied and sent by a thread.

        Raises:
            ConnectionError: The other side is gone.
        """
        length = 0
        for part in parts:
            length += part.nbytes if type(part) is memoryview else len(part)
        data: Sequence[Buffer]
        if length <= _SMALL or len(parts) > _PARTS_MAX:
            data = (b"".join((_LENGTH.pack(length), *parts)),)
        else:
            data = (_LENGTH.pack(length), *parts)
        sent = 0
        if not self._waiting:  # only this thread adds, so nobody else is sending now
            try:
                sent = self._sock.send(data[0]) if len(data) == 1 else self._sock.sendmsg(data)
            except BlockingIOError:
                sent = 0
            if sent == length + _LENGTH.size:
                return
        elif self._waiting_bytes > WAITING_BYTES_MAX:
            return
        self._keep(_rest(data, sent))

    def _keep(self, rest: memoryview) -> None:
        with self._lock:
            self._waiting_bytes += len(rest)
            self._waiting.append(rest)
            if len(self._waiting) == 1:
                self._pusher = Thread(target=self._push, name="neuraxis-local", daemon=True)
                self._pusher.start()

    def _push(self) -> None:
        """Send what waits, and end: the work of the thread."""
        poll = select.poll()
        poll.register(self._sock, select.POLLOUT)
        while True:
            head = self._waiting[0]
            try:
                while len(head):
                    poll.poll()
                    sent = self._sock.send(head)
                    head = head[sent:]
                    with self._lock:
                        self._waiting_bytes -= sent
            except OSError:  # gone: the next `send` on the socket says so to the link
                with self._lock:
                    self._waiting.clear()
                return
            with self._lock:
                self._waiting.popleft()
                if not self._waiting:
                    return

    def close(self, patience_s: float) -> None:
        """Let go of the connection; what waits may still be sent for `patience_s` seconds."""
        if self._pusher is not None:
            self._pusher.join(max(0.0, patience_s))
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread
            self._pusher.join()
        self._sock.close()


def _rest(data: Sequence[Buffer], sent: int) -> memoryview:
    """Return a copy of the bytes behind the first `sent`."""
    pieces = []
    for part in data:
        view = memoryview(part)
        if sent < view.nbytes:
            pieces.append(view.cast("B")[sent:])
        sent = max(0, sent - view.nbytes)
    return memoryview(b"".join(pieces))


@final
class Incoming:
    """A connection from a member, and the frame that is being read."""

    __slots__ = ("_buffer", "_filled", "_frame", "_got", "_view", "hello", "sender", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sender = -1
        self.hello = False
        self._buffer = bytearray(_SMALL + _LENGTH.size)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._frame: memoryview | None = None
        self._got = 0

    def read(self, ready: deque[Buffer]) -> bool:
        """Read what is there and append whole frames to `ready`. Return False when the stream is at its end."""
        try:
            if self._frame is not None:
                return self._read_frame(self._frame, ready)
            view = self._view
            got = self.sock.recv_into(view[self._filled :] if self._filled else view)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if got == 0:
            return False
        return self._take(self._filled + got, ready)

    def _take(self, filled: int, ready: deque[Buffer]) -> bool:
        """Cut frames from the buffer, in which `filled` bytes stand."""
        at = 0
        if self.sender < 0:
            if filled < HELLO.size:
                self._filled = filled
                return True
            (self.sender,) = HELLO.unpack_from(self._buffer)
            self.hello = True
            at = HELLO.size
        while filled - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, at)
            end = at + _LENGTH.size + length
            if end <= filled:
                ready.append(self._buffer[at + _LENGTH.size : end])
                at = end
            elif length > _SMALL:
                if length > FRAME_BYTES_MAX:
                    return False
                # an array of NumPy, because its bytes are not set to zero first
                self._frame = np.empty(length, np.uint8).data
                self._got = filled - at - _LENGTH.size
                self._frame[: self._got] = self._view[at + _LENGTH.size : filled]
                self._filled = 0
                return self.read(ready)
            else:
                break
        self._filled = filled - at
        if at and self._filled:
            self._buffer[: self._filled] = self._buffer[at:filled]
        return True

    def _read_frame(self, frame: memoryview, ready: deque[Buffer]) -> bool:
        """Read on into the frame itself, as long as there is something to read."""
        while self._got < len(frame):
            got = self.sock.recv_into(frame[self._got :])
            if got == 0:
                return False
            self._got += got
        self._frame = None
        ready.append(frame)
        return True
