"""NATS with JetStream: one stream for each run.

    stream    nx-RUN          holds the frames of a run, its oldest thrown away when it is full
    subject   nx.RUN.TO.FROM  a frame from one member to another; `.` in the name of a run is written `+`

A link drives an event loop of its own from the thread that calls it; nothing of it runs between calls. It publishes
without waiting for each acknowledgement, and reads by an ephemeral push consumer with flow control, from the stream
sequence that it read last. Whatever goes wrong with the connection, the link makes a new one, and a new consumer
from there: it does not rely on the client to take up subscriptions and publishes again, which it does not always.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import uuid
from typing import TYPE_CHECKING, Any, Final, final

from neuraxis.errors import ExtraMissing, TransportUnusable
from neuraxis.seams.transport import check_run_name
from neuraxis_transports.address import PASSWORD, TLS_REMEDY, TOKEN, parse
from neuraxis_transports.once_around import send_once_around

try:
    import nats
    import nats.errors
    import nats.js.api
    import nats.js.errors
    from nats.aio.client import Client
except ModuleNotFoundError as error:
    if error.name != "nats":
        raise
    raise ExtraMissing(library="nats-py", extra="nats", purpose="the transport nats") from error

from neuraxis_transports.nats_link import (
    BROKEN,
    CHUNK_BYTES,
    CONNECT_S,
    NAME,
    REPLY_S,
    NatsLink,
    Removed,
    closed,
    is_refusal,
    stream_name,
    subjects,
)

if TYPE_CHECKING:
    from nats.js.client import JetStreamContext

VERSION_MIN: Final = (2, 9)
"""Version of the server from which consumers are made by the requests that the client sends."""

PAYLOAD_BYTES_MIN: Final = 8 << 10
"""Least `max_payload` of a server."""


STREAM_MEGABYTES: Final = {"file": 1024, "memory": 256}
"""Size of a stream at which its oldest frames are thrown away, by storage; `?megabytes=…` in the URL changes it."""


@final
class Nats:
    """Carries frames through a NATS server with JetStream.

    Args:
        url: `nats://[USER:PASSWORD@]HOST[:PORT][?storage=memory][&megabytes=N]`, or `tls://…`: see
            `neuraxis_transports.address`.

    Attributes:
        storage: Where the server keeps streams.
        stream_bytes: How long it lets a stream get.
    """

    name: Final = NAME

    def __init__(self, url: str) -> None:
        address = parse(
            url, transport=NAME, schemes={"nats": False, "tls": True}, port=4222, options=("storage", "megabytes")
        )
        self._address = address
        storage = address.options.get("storage", "file")
        if storage not in STREAM_MEGABYTES:
            raise _unusable(f"storage={storage} is not known", "Write storage=file or storage=memory.")
        megabytes = address.options.get("megabytes", str(STREAM_MEGABYTES[storage]))
        if not megabytes.isdecimal() or int(megabytes) == 0:
            raise _unusable(f"megabytes={megabytes} is no size", "Write a number, such as megabytes=512.")
        self.storage = nats.js.api.StorageType(storage)
        self.stream_bytes = int(megabytes) << 20
        if address.place:
            raise _unusable(f"the URL has a path, /{address.place}", "Write nats://HOST:PORT.")
        # as NATS does, a user without a password is a token
        self._token = address.token or (address.user if address.password is None else None)
        if address.password is not None and address.user is None:
            raise _unusable("a password is given, but no user", f"Write nats://USER@HOST:PORT, or set {TOKEN} instead.")
        self._tls = address.tls_context()
        self._complaint = ""

    @property
    def url(self) -> str:
        """The URL without password and token."""
        return self._address.shown

    def __repr__(self) -> str:
        return f"Nats({self.url!r})"

    def check(self) -> None:
        """See that the server answers, is new enough, has JetStream, and lets this user send and read.

        Raises:
            TransportUnusable: It does not.
        """
        self._do(self._check)
        send_once_around(self)

    async def _check(self, client: Client, jetstream: JetStreamContext) -> None:
        version = client.connected_server_version
        if (version.major, version.minor) < VERSION_MIN:
            raise _unusable(
                f"the server at {self.url} has version {version.major}.{version.minor}, and cannot make consumers as "
                "this client asks for them",
                "Use nats-server 2.9 or newer.",
            )
        if client.max_payload < PAYLOAD_BYTES_MIN:
            raise _unusable(
                f"the server at {self.url} takes messages of at most {client.max_payload:,} bytes",
                f"Set max_payload to {PAYLOAD_BYTES_MIN} or more; {CHUNK_BYTES + 1024} is best.",
            )
        await jetstream.account_info()

    def create(self, run: str) -> None:
        """Make the stream of a run.

        Raises:
            TransportUnusable: It is there already, does not fit, or the server cannot be reached.
        """
        check_run_name(NAME, run)
        stream = nats.js.api.StreamConfig(
            name=stream_name(run),
            subjects=[f"{subjects(run)}.>"],
            storage=self.storage,
            max_bytes=self.stream_bytes,
            discard=nats.js.api.DiscardPolicy.OLD,
            # one of its kind, because the server takes it well when a stream is made twice with the same facts
            description=f"run {run}, {uuid.uuid4().hex}",
        )

        async def make(client: Client, jetstream: JetStreamContext) -> None:
            try:
                await jetstream.add_stream(stream)
            except nats.js.errors.APIError as error:
                if error.err_code == 10058:  # stream name already in use with a different configuration
                    raise _unusable(
                        f"a run {run!r} is there already",
                        "Give its folder another name; if nobody runs it any more, delete the stream "
                        f"(nats stream rm {stream_name(run)}).",
                    ) from error
                if error.err_code in (10023, 10028, 10047):  # insufficient resources, memory, storage
                    raise _unusable(
                        f"the server at {self.url} has no room for a stream of {self.stream_bytes >> 20} MB",
                        "Give it more (max_file_store, max_memory_store), or write ?megabytes=… in the URL.",
                    ) from error
                if error.err_code == 10049:  # error creating store for stream
                    raise _unusable(
                        f"the server at {self.url} cannot store a stream",
                        "Its disk is full, or closed to it: see its log. Make room, and restart the server.",
                    ) from error
                raise

        self._do(make)

    def join(self, run: str, member: int) -> NatsLink:
        """Return the link of a member.

        Raises:
            TransportUnusable: There is no such run, or the server cannot be reached.
        """
        check_run_name(NAME, run)
        link = NatsLink(self.connect, self.url, run, member)
        try:
            link.open()
        except Removed as error:
            link.close()
            raise _unusable(f"there is no run {run!r} at {self.url}", "The conductor creates it first.") from error
        except (*BROKEN, ssl.SSLError) as error:
            link.close()
            raise self._told(error) from error
        return link

    def remove(self, run: str) -> None:
        """Delete the stream of a run."""
        check_run_name(NAME, run)

        async def delete(client: Client, jetstream: JetStreamContext) -> None:
            with contextlib.suppress(nats.js.errors.NotFoundError):
                await jetstream.delete_stream(stream_name(run))

        self._do(delete)

    # ---------------------------------------------------------------------------- conversing

    async def connect(self) -> Client:
        """Return a client that is connected, and does not connect again by itself."""
        address = self._address
        host = f"[{address.host}]" if ":" in address.host else address.host
        client = Client()

        async def complain(error: Exception) -> None:
            # without this the client would print it; a right that is missing is told in no other way
            if "ermissions" in str(error):
                self._complaint = str(error)

        attempt = client.connect(
            f"{'tls' if address.tls else 'nats'}://{host}:{address.port}",
            user=address.user if self._token is None else None,
            password=address.password,
            token=self._token,
            tls=self._tls,
            tls_hostname=address.host if address.tls else None,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=int(CONNECT_S),
            ping_interval=2,
            max_outstanding_pings=2,
            pending_size=8 << 20,
            error_cb=complain,
        )
        try:
            await asyncio.wait_for(attempt, 2 * CONNECT_S)
        except BaseException:
            await closed(client, patience_s=0.1)
            raise
        return client

    def _do(self, work: Any) -> None:
        """Connect, do one piece of work, and disconnect.

        Raises:
            TransportUnusable: What the library raises, with its remedy.
        """

        async def conversation() -> None:
            client = await self.connect()
            try:
                await work(client, client.jetstream(timeout=REPLY_S))
            finally:
                await closed(client)

        try:
            asyncio.run(conversation())
        except (*BROKEN, ssl.SSLError) as error:
            raise self._told(error) from error

    def _told(self, error: BaseException) -> TransportUnusable:
        """Say what a person can do about an error of the library."""
        text = self._complaint or str(error) or type(error).__name__
        if isinstance(error, nats.js.errors.ServiceUnavailableError | nats.errors.NoRespondersError):
            return _unusable(f"the server at {self.url} has no JetStream", "Start it with: nats-server -js")
        if self._complaint or is_refusal(error):
            return _unusable(
                f"the server at {self.url} refuses this user: {text}",
                f"Correct the user in the URL, {PASSWORD} or {TOKEN}, or the rights of the user.",
            )
        if isinstance(error, ssl.SSLError):
            return _unusable(f"there is no trust between this side and the server at {self.url}: {text}", TLS_REMEDY)
        if isinstance(error, nats.js.errors.Error) and not isinstance(error, asyncio.TimeoutError):
            return _unusable(f"the server at {self.url} does not do what is asked: {text}", "See the server's log.")
        if isinstance(error, asyncio.TimeoutError):
            text = "no NATS server, or one that is too slow"
        return _unusable(
            f"nobody answers at {self.url}: {text}",
            self._address.remedy,
        )


def _unusable(reason: str, remedy: str) -> TransportUnusable:
    return TransportUnusable(transport=NAME, reason=reason, remedy=remedy)
