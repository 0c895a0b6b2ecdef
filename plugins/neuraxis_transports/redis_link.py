"""One member's end of a run over Redis Streams."""

from __future__ import annotations

import logging
from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, final

import redis

from neuraxis.errors import TransportFailed
from neuraxis_transports.chunks import Cutter, Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuraxis.seams.transport import Buffer

NAME: Final = "redis"

CHUNK_BYTES: Final = 256 << 10
"""Longest entry of a stream."""

STREAM_ENTRIES_MAX: Final = 4_096
"""Entries after which a stream that nobody reads loses its oldest ones."""

REPLIES_OPEN_MAX: Final = 64
"""Sent entries whose replies were not read yet."""

TRIM_BYTES: Final = 8 << 20
"""Bytes that were read from a stream after which its reader trims it."""

ASK_S: Final = 1.0
"""How long the broker keeps a request for entries open; at each end the link sees that the run is still there."""

SILENCE_S: Final = 5.0
"""Time without a reply after which a connection with an open request is taken for dead."""

RETRY_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Waits between attempts to connect again; the last is repeated."""

BROKEN = (redis.ConnectionError, redis.TimeoutError, OSError)

FAILED = (*BROKEN, redis.ResponseError)

REFUSED = (redis.AuthenticationError, redis.exceptions.AuthorizationError, redis.exceptions.NoPermissionError)

_log = logging.getLogger(__name__)


@final
class RedisLink:
    """One member's end: see `neuraxis.seams.transport.Link`.

    Args:
        connection: Makes a connection that is not connected yet.
        url: What to print for it.
        run: Name of the run.
        member: Number of the member.
    """

    def __init__(self, connection: Callable[[], Any], url: str, run: str, member: int) -> None:
        self._refusals = _Refusals(url)
        self._base = key(run)
        self._run = run
        self._member = str(member)
        self._key = f"{self._base}:{member}"
        self._cutter = Cutter(member, CHUNK_BYTES)
        self._joiner = Joiner()
        self._ready: deque[Buffer] = deque()
        self._last = b"0-0"
        self._server = b""
        self._replies_open = 0
        self._seen_at = 0.0
        self._asked = False
        self._asked_at = 0.0
        self._read_bytes = 0
        self._attempts = 0
        self._retry_at = 0.0
        self._closed = False
        self._connected = False
        self._out = connection()
        self._in = connection()

    # --------------------------------------------------------------------------- connecting

    def connect(self, *, creating: bool) -> bool:
        """Connect both ways, and mark in the stream from where on to read if this is the first time.

        Args:
            creating: Make the run again if another server answers than before, which lost it.

        Returns:
            False if there is no such run.
        """
        out = self._out
        out.connect()
        self._in.connect()
        server = facts(call(out, "INFO", "server")).get("run_id", "").encode()
        first = not self._server
        lost = creating and server != self._server and call(out, "SET", self._base, "1", "NX") is not None
        if lost:
            _log.warning("the broker lost the run, which is made again", extra={"run": self._run})
        call(out, "WATCH", self._base)
        if not call(out, "EXISTS", self._base):
            return False
        if first or not call(out, "EXISTS", self._key):
            self._replies(("MULTI",), ("SADD", f"{self._base}:", self._member), ("XADD", self._key, "*", "", ""))
            done = call(out, "EXEC")
            if done is None:
                return False
            self._last = done[1]
        else:
            call(out, "UNWATCH")
        self._server = server
        self._replies_open = 0
        self._asked = False
        self._connected = True
        self._attempts = 0
        return True

    def _replies(self, *commands: tuple[str, ...]) -> None:
        self._out.send_packed_command(self._out.pack_commands(commands))
        for _ in commands:
            self._out.read_response()

    def _reconnect(self) -> bool:
        """Try to connect again if it is time to. Return whether this link is connected.

        Raises:
            TransportFailed: The server refuses this user, or the run was removed.
        """
        if monotonic() < self._retry_at:
            return False
        try:
            with self._refusals:
                there = self.connect(creating=True)
        except FAILED as error:
            self._lost(error)
            return False
        if not there:
            raise _removed()
        return True

    def _lost(self, error: BaseException) -> None:
        """Let go of both connections, and say when to try again."""
        _log.info("the broker is away", extra={"run": self._run, "error": type(error).__name__})
        self._connected = False
        self._out.disconnect()
        self._in.disconnect()
        self._retry_at = monotonic() + RETRY_S[min(self._attempts, len(RETRY_S) - 1)]
        self._attempts += 1

    # ------------------------------------------------------------------------------ sending

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Send one frame; it is dropped while the broker is away.

        Raises:
            TransportFailed: The server refuses this user, the run was removed, or this link is closed.
        """
        if not self._connected and not self._usable():
            return
        head = ("XADD", f"{self._base}:{member}", "NOMKSTREAM", "MAXLEN", "~", STREAM_ENTRIES_MAX, "*", b"")
        try:
            if monotonic() - self._seen_at > ASK_S:
                self._see_to_it()
            for chunk in self._cutter.cut(parts):
                self._out.send_packed_command(self._out.pack_command(*head, chunk), check_health=False)
                self._replies_open += 1
                if self._replies_open >= REPLIES_OPEN_MAX:
                    self._read_replies(REPLIES_OPEN_MAX // 2)
        except FAILED as error:
            self._lost(error)

    def _read_replies(self, count: int) -> None:
        """Read replies to what was sent."""
        for _ in range(count):
            try:
                with self._refusals:
                    self._out.read_response()
            except redis.ResponseError as error:
                _log.warning("the broker took no frame", extra={"run": self._run, "error": str(error)})
            self._replies_open -= 1

    def _usable(self) -> bool:
        if self._closed:
            raise TransportFailed(transport=NAME, reason="this link is closed", remedy="Join again.")
        return self._connected or self._reconnect()

    # ---------------------------------------------------------------------------- receiving

    def receive(self, timeout: float) -> Buffer | None:
        """Return the next frame, or None after `timeout` seconds without one; connect again if that is needed.

        Raises:
            TransportFailed: As for `send`.
        """
        if self._ready:
            return self._ready.popleft()
        until = monotonic() + timeout
        left = timeout
        while True:
            if self._usable():
                try:
                    with self._refusals:
                        if self._read(left):
                            return self._ready.popleft()
                except FAILED as error:
                    self._lost(error)
            else:
                sleep(min(left, max(0.0, self._retry_at - monotonic())))
            left = until - monotonic()
            if left <= 0:
                return None

    def _read(self, timeout: float) -> bool:
        """Wait for entries, at most as long as the broker keeps a request open. Return whether a frame is ready."""
        if not self._asked:
            self._ask()
        try:
            # what came of a reply when the time is up stays in the parser, and is read on later
            reply = self._in.read_response(timeout=min(timeout, SILENCE_S), disconnect_on_error=False)
        except redis.TimeoutError:
            if monotonic() - self._asked_at > SILENCE_S:
                raise
            return False
        self._asked = False
        if reply is None:
            self._see_to_it()
            return False
        entries = reply[0][1]
        self._last = entries[-1][0]
        self._ask()
        for _, fields in entries:
            if fields is not None:
                self._read_bytes += len(fields[1])
                frame = self._joiner.join(fields[1])
                if frame is not None:
                    self._ready.append(frame)
        if self._read_bytes > TRIM_BYTES:
            self._trim()
        return bool(self._ready)

    def _ask(self) -> None:
        milliseconds = int(ASK_S * 1000)
        command = self._in.pack_command(
            "XREAD", "COUNT", REPLIES_OPEN_MAX, "BLOCK", milliseconds, "STREAMS", self._key, self._last
        )
        self._in.send_packed_command(command, check_health=False)
        self._asked = True
        self._asked_at = monotonic()

    def _trim(self) -> None:
        """Delete what was read: entries below the last, which stays, so that the stream does."""
        self._read_bytes = 0
        self._out.send_packed_command(self._out.pack_command("XTRIM", self._key, "MINID", self._last))
        self._replies_open += 1

    def _see_to_it(self) -> None:
        """Now and then, and while nothing comes: see that the run is still there.

        Raises:
            TransportFailed: It is not.
        """
        self._seen_at = monotonic()
        self._read_replies(self._replies_open)
        if not call(self._out, "EXISTS", self._base):
            raise _removed()

    # ------------------------------------------------------------------------------ closing

    def close(self) -> None:
        """Wait until the broker has what was sent, and disconnect."""
        if self._closed:
            return
        self._closed = True
        if self._connected:
            try:
                self._read_replies(self._replies_open)
            except (*FAILED, TransportFailed) as error:
                _log.info("the broker was away at the end", extra={"run": self._run, "error": type(error).__name__})
        self._connected = False
        self._ready.clear()
        self._out.disconnect()
        self._in.disconnect()


@final
class _Refusals:
    """Turns a refusal of the user, which no reconnection can help, into `TransportFailed`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, REFUSED):
            raise TransportFailed(
                transport=NAME,
                reason=f"the server at {self._url} refuses this user: {error}",
                remedy="Give the user its rights again, and resume the run.",
            ) from error


def call(connection: Any, *command: str | bytes | int) -> Any:
    connection.send_command(*command, check_health=False)
    return connection.read_response()


def is_full(error: BaseException) -> bool:
    """Whether a server refuses to write: its memory is full, or its disk (`stop-writes-on-bgsave-error` too)."""
    return isinstance(error, redis.exceptions.OutOfMemoryError) or str(error).startswith(("OOM", "MISCONF"))


def facts(info: bytes) -> dict[str, str]:
    """Read the reply to INFO."""
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def key(run: str) -> str:
    return f"neuraxis:{{{run}}}"


def _removed() -> TransportFailed:
    return TransportFailed(transport=NAME, reason="the run was removed", remedy="Start a new run.")
