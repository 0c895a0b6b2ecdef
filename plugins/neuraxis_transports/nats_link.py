"""One member's end of a run over NATS with JetStream."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, final

import nats
import nats.errors
import nats.js.api
import nats.js.errors

from neuraxis.errors import TransportFailed
from neuraxis_transports.chunks import Cutter, Joiner

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from neuraxis.seams.transport import Buffer

NAME: Final = "nats"

CHUNK_BYTES: Final = 256 << 10
"""Longest message."""

ACK_EVERY: Final = 8
"""Messages of which the broker acknowledges one; or one for each `ACK_BYTES` bytes, or `HEARTBEAT_S` seconds."""

ACK_BYTES: Final = 1 << 20

ACKS_OPEN_MAX: Final = 8
"""Acknowledgements that may be missing before `send` waits for one."""

HEARTBEAT_S: Final = 1.0
"""Pause after which the broker says that it is still there."""

SILENCE_S: Final = 4.0
"""Time without a word from the broker, while this link listens, after which it connects again."""

CONNECT_S: Final = 3.0

REPLY_S: Final = 5.0

RETRY_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Waits between attempts to connect again; the last is repeated."""

BROKEN = (OSError, nats.errors.Error, asyncio.TimeoutError)

_log = logging.getLogger(__name__)


@final
class NatsLink:
    """One member's end: see `neuraxis.seams.transport.Link`.

    Args:
        connect: Connects a client, which does not connect again by itself.
        url: What to print for it.
        run: Name of the run.
        member: Number of the member.
    """

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, Client]], url: str, run: str, member: int) -> None:
        self._connect = connect
        self._url = url
        self._run = run
        self._member = member
        self._subject = subjects(run)
        self._loop = asyncio.new_event_loop()
        self._joiner = Joiner()
        self._ready: deque[Buffer] = deque()
        self._client: Client | None = None
        self._cutter: Cutter | None = None
        self._acks = ""
        self._acks_open = 0
        self._unacked = 0
        self._unacked_bytes = 0
        self._asked_at = 0.0
        self._read_to = -1
        self._consumed = 0
        self._heard = 0.0
        self._driven = 0.0
        self._listening = False
        self._attempts = 0
        self._retry_at = 0.0
        self._stale = False
        self._closed = False

    # --------------------------------------------------------------------------- connecting

    def open(self) -> None:
        """Connect, and read on from where this link stands.

        Raises:
            Removed: There is no such run.
        """
        self._loop.run_until_complete(asyncio.wait_for(self._open(), 2 * CONNECT_S + REPLY_S))

    async def _open(self) -> None:
        client = await self._connect()
        self._client = client
        jetstream = client.jetstream(timeout=REPLY_S)
        try:
            state = (await jetstream.stream_info(stream_name(self._run))).state
        except nats.js.errors.NotFoundError as error:
            raise Removed from error
        # a stream that lost its end in a crash goes on from before it
        self._read_to = state.last_seq if self._read_to < 0 else min(self._read_to, state.last_seq)
        if self._cutter is None:
            self._cutter = Cutter(self._member, min(CHUNK_BYTES, client.max_payload))
        self._acks = client.new_inbox()
        self._acks_open = 0
        await client.subscribe(f"{self._acks}", cb=self._acknowledged)
        inbox = client.new_inbox()
        await client.subscribe(inbox, cb=self._delivered, pending_msgs_limit=-1, pending_bytes_limit=-1)
        self._consumed = 0
        await jetstream.add_consumer(
            stream_name(self._run),
            nats.js.api.ConsumerConfig(
                deliver_subject=inbox,
                deliver_policy=nats.js.api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self._read_to + 1,
                ack_policy=nats.js.api.AckPolicy.NONE,
                filter_subject=f"{self._subject}.{self._member}.*",
                idle_heartbeat=HEARTBEAT_S,
                flow_control=True,
                mem_storage=True,
                max_deliver=1,
            ),
        )
        self._heard = self._driven = monotonic()
        self._attempts = 0
        self._stale = False

    def _usable(self) -> bool:
        """Return whether this link is connected; try to connect again if it is time to.

        Raises:
            TransportFailed: The server refuses this user, the run was removed, or this link is closed.
        """
        if self._closed:
            raise TransportFailed(transport=NAME, reason="this link is closed", remedy="Join again.")
        if self._client is not None:
            if not self._client.is_closed and not self._stale:
                return True
            self._lost("closed, silent, or with gaps")
        if monotonic() < self._retry_at:
            return False
        try:
            self.open()
        except Removed:
            self._lost("the run was removed")
            self._retry_at = 0.0
            raise TransportFailed(transport=NAME, reason="the run was removed", remedy="Start a new run.") from None
        except (*BROKEN, ssl.SSLError) as error:
            if is_refusal(error):
                raise TransportFailed(
                    transport=NAME,
                    reason=f"the server at {self._url} refuses this user: {error}",
                    remedy="Give the user its rights again, and resume the run.",
                ) from error
            self._lost(type(error).__name__)
            return False
        return True

    def _lost(self, why: str) -> None:
        """Let go of the connection, and say when to try again."""
        _log.info("the broker is away", extra={"run": self._run, "error": why})
        client, self._client = self._client, None
        if client is not None:
            self._loop.run_until_complete(closed(client))
        self._retry_at = monotonic() + RETRY_S[min(self._attempts, len(RETRY_S) - 1)]
        self._attempts += 1

    # ------------------------------------------------------------------------------ sending

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Send one frame; it is dropped while the broker is away.

        Raises:
            TransportFailed: The server refuses this user, the run was removed, or this link is closed.
        """
        if not self._usable():
            return
        assert self._cutter is not None  # opened
        chunks = self._cutter.cut(parts)
        try:
            self._loop.run_until_complete(self._publish(f"{self._subject}.{member}.{self._member}", chunks))
        except BROKEN as error:
            self._lost(type(error).__name__)

    async def _publish(self, subject: str, chunks: list[bytes]) -> None:
        client = self._client
        assert client is not None  # usable
        last = len(chunks) - 1
        for index, chunk in enumerate(chunks):
            self._unacked += 1
            self._unacked_bytes += len(chunk)
            reply = ""
            now = monotonic()
            if (
                self._unacked >= ACK_EVERY
                or self._unacked_bytes >= ACK_BYTES
                or now - self._asked_at > HEARTBEAT_S
                or index == last > 0
            ):
                reply = self._acks
                self._acks_open += 1
                self._unacked = self._unacked_bytes = 0
                self._asked_at = now
            await client.publish(subject, chunk, reply)
            if self._acks_open > ACKS_OPEN_MAX:
                await self._until_acknowledged(client, ACKS_OPEN_MAX // 2)
        if last > 0:
            # nothing of this link runs until the next call, so what the client still holds would stay there
            await self._until_acknowledged(client, 0)
        else:
            await asyncio.sleep(0)  # the client's own task hands it to the socket
            await asyncio.sleep(0)

    async def _until_acknowledged(self, client: Client, acks_open: int) -> None:
        until = monotonic() + REPLY_S
        while self._acks_open > acks_open:
            if client.is_closed or monotonic() > until:
                raise TimeoutError
            await asyncio.sleep(0.0005)

    async def _acknowledged(self, message: Msg) -> None:
        self._acks_open -= 1
        if message.headers is not None and message.headers.get("Status") == "503":
            self._give_up()  # the stream is gone, or the server has lost its JetStream
        elif b'"error"' in message.data:
            error = json.loads(message.data)["error"]
            _log.warning("the broker took no frame", extra={"run": self._run, "error": str(error)})

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
                self._drive(min(left, HEARTBEAT_S))
                if self._ready:
                    return self._ready.popleft()
                self._stale = self._stale or self._driven - self._heard > SILENCE_S
            else:
                self._drive(min(left, max(0.0, self._retry_at - monotonic())))
            left = until - monotonic()
            if left <= 0:
                return None

    def _drive(self, timeout: float) -> None:
        """Let the loop run until a frame is there or the time is up."""
        now = monotonic()
        if now - self._driven > HEARTBEAT_S:  # what was silent was this link
            self._heard = now
        if timeout > 0:
            alarm = self._loop.call_later(timeout, self._loop.stop)
            self._listening = True
            self._loop.run_forever()
            self._listening = False
            alarm.cancel()
        else:
            self._loop.run_until_complete(_some_turns())
        self._driven = monotonic()

    async def _delivered(self, message: Msg) -> None:
        self._heard = monotonic()
        if message.headers is not None and "Status" in message.headers:
            await self._told(message)
            return
        # $JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.DELIVERED.STREAM_SEQUENCE.CONSUMER_SEQUENCE.TIME.PENDING[.TOKEN]
        tokens = message.reply.split(".")
        at = 5 if len(tokens) == 9 else 7
        self._consumed += 1
        if int(tokens[at + 1]) != self._consumed:
            self._give_up()
            return
        self._read_to = int(tokens[at])
        frame = self._joiner.join(message.data)
        if frame is not None:
            self._ready.append(frame)
            if self._listening:
                self._loop.stop()

    async def _told(self, message: Msg) -> None:
        """A heartbeat, or a question whether this link reads fast enough."""
        assert message.headers is not None  # seen by the caller
        answer = message.reply or message.headers.get("Nats-Consumer-Stalled", "")
        if answer and self._client is not None:
            await self._client.publish(answer)
        last = message.headers.get("Nats-Last-Consumer")
        if last is not None and int(last) > self._consumed:
            self._give_up()

    def _give_up(self) -> None:
        """Connect anew at the next call, and read again from the last message that came in order."""
        self._stale = True
        if self._listening:
            self._loop.stop()

    # ------------------------------------------------------------------------------ closing

    def close(self) -> None:
        """Wait until the broker has what was sent, and disconnect."""
        if self._closed:
            return
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            self._loop.run_until_complete(closed(client, flushing=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
        self._ready.clear()


class Removed(Exception):
    """There is no stream of the run."""


async def _some_turns() -> None:
    """Let what has arrived at the socket pass through the client."""
    for _ in range(8):
        await asyncio.sleep(0)


async def closed(client: Client, *, flushing: bool = False, patience_s: float = REPLY_S) -> None:
    """Close a client, whatever state it is in, and let its tasks end."""
    try:
        if flushing and not client.is_closed:
            await client.flush(int(REPLY_S))
        await asyncio.wait_for(client.close(), patience_s)
    except BROKEN as error:
        _log.info("the broker was away at the end", extra={"error": type(error).__name__})
    await _some_turns()


def is_refusal(error: BaseException) -> bool:
    return (
        isinstance(error, nats.errors.AuthorizationError) or "uthorization" in str(error) or "permissions" in str(error)
    )


def stream_name(run: str) -> str:
    return f"nx-{run.replace('.', '+')}"


def subjects(run: str) -> str:
    return f"nx.{run.replace('.', '+')}"
