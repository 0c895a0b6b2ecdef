"""A bus over NATS JetStream: one stream for each bus, a subject for each lane, a pull consumer for each group."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import nats.errors
import nats.js.api
import nats.js.errors

from neuraxis.errors import TransportFailed, TransportUnusable
from neuraxis_transports.bus import TRIM_EVERY, Entry
from neuraxis_transports.nats import Nats
from neuraxis_transports.nats_link import BROKEN, REPLY_S, closed

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js.client import JetStreamContext

    from neuraxis.seams.bus import Outcome
    from neuraxis_transports.bus import BusRules

T = TypeVar("T")

_FULL: Final = 10077
"""The server's code for: the stream is as long as it may be."""


@final
class NatsShelf:
    """Lanes as subjects. A message stays until all groups have acknowledged it."""

    def __init__(self, url: str, name: str, rules: BusRules) -> None:
        self._transport = Nats(url)
        self._transport.check()
        self._name = name
        self._stream = f"nxbus-{name.replace('.', '+')}"
        self._subject = f"nxbus.{name.replace('.', '+')}"
        self._rules = rules
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._jetstream: JetStreamContext | None = None
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._taken: dict[tuple[str, str, str], Msg] = {}
        self._finished: dict[str, int] = {}
        try:
            self._do(self._make())
        except TransportFailed as error:
            self.close()
            raise TransportUnusable(transport="bus", reason=error.reason, remedy=error.remedy) from error

    async def _make(self) -> None:
        jetstream = await self._connected()
        await jetstream.add_stream(
            nats.js.api.StreamConfig(
                name=self._stream,
                subjects=[f"{self._subject}.>"],
                storage=self._transport.storage,
                max_bytes=self._transport.stream_bytes,
                discard=nats.js.api.DiscardPolicy.NEW,  # what was accepted is never thrown away for something new
                duplicate_window=self._rules.dedup_s,
            )
        )

    def append(self, lane: str, record: bytes, id: str, *, below: int) -> Outcome:
        """Append a record unless its id is known or the lane is full."""
        return self._do(self._append(lane, record, id, below))

    async def _append(self, lane: str, record: bytes, id: str, below: int) -> Outcome:
        jetstream = await self._connected()
        subject = f"{self._subject}.{lane}"
        if await self._length(jetstream, subject) >= below:
            await self._trim(jetstream, lane)
            if await self._length(jetstream, subject) >= below:
                return "shed"
        try:
            answer = await jetstream.publish(subject, record, headers={"Nats-Msg-Id": f"{lane}#{id}"})
        except nats.js.errors.APIError as error:
            if error.err_code == _FULL:
                return "shed"
            raise
        return "duplicate" if answer.duplicate else "accepted"

    async def _length(self, jetstream: JetStreamContext, subject: str) -> int:
        state = (await jetstream.stream_info(self._stream, subjects_filter=subject)).state
        return (state.subjects or {}).get(subject, 0)

    def length(self, lane: str) -> int:
        """Return how many records of a lane are not done by every group."""
        return self._do(self._length_of(lane))

    async def _length_of(self, lane: str) -> int:
        jetstream = await self._connected()
        await self._trim(jetstream, lane)
        return await self._length(jetstream, f"{self._subject}.{lane}")

    def enter(self, lane: str, group: str) -> None:
        """Make a consumer from the beginning of the lane, unless it is there."""
        self._do(self._reader(lane, group))

    async def _reader(self, lane: str, group: str) -> _Reader:
        jetstream = await self._connected()
        known = self._readers.get((lane, group))
        if known is not None:
            return known
        durable = f"{group}={lane}".replace(".", "+")
        config = nats.js.api.ConsumerConfig(
            durable_name=durable,
            deliver_policy=nats.js.api.DeliverPolicy.ALL,
            ack_policy=nats.js.api.AckPolicy.EXPLICIT,
            ack_wait=self._rules.claim_s,
            filter_subject=f"{self._subject}.{lane}",
            max_deliver=-1,
        )
        await jetstream.add_consumer(self._stream, config)
        assert self._client is not None  # connected
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(f"{inbox}.*")
        reader = self._readers[lane, group] = _Reader(
            f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{durable}", inbox, subscription
        )
        return reader

    def take(self, lane: str, group: str, consumer: str, limit: int) -> list[Entry]:
        """Hand over what the server gives: what was left unfinished before what is new."""
        return self._do(self._take(lane, group, limit))

    async def _take(self, lane: str, group: str, limit: int) -> list[Entry]:
        reader = await self._reader(lane, group)
        assert self._client is not None  # connected
        # the client's own fetch waits for a while instead of asking what is there: a slow answer would count as none,
        # and a lower lane be read before emergencies
        reader.number += 1
        inbox = f"{reader.inbox}.{reader.number}"
        await self._client.publish(reader.subject, b'{"batch": %d, "no_wait": true}' % limit, reply=inbox)
        entries: list[Entry] = []
        while len(entries) < limit:
            message = await reader.subscription.next_msg(timeout=REPLY_S)
            if message.headers is not None and "Status" in message.headers:
                if message.subject == inbox:
                    break  # there is no more
                continue  # the end of an earlier answer
            key = str(message.metadata.sequence.stream)
            self._taken[lane, group, key] = message
            entries.append(Entry(key, message.data, message.metadata.num_delivered or 1))
        return entries

    def again(self, lane: str, group: str, key: str, pause_s: float) -> None:
        """Hand a message over again after a pause; the server keeps it."""
        message = self._taken.pop((lane, group, key), None)
        if message is not None:
            self._do(self._nak(message, pause_s))

    async def _nak(self, message: Msg, pause_s: float) -> None:
        await message.nak(delay=pause_s)
        await self._flushed()

    def done(self, lane: str, group: str, key: str) -> None:
        """A group is done with a message."""
        message = self._taken.pop((lane, group, key), None)
        if message is not None:
            self._do(self._ack(lane, message))

    async def _ack(self, lane: str, message: Msg) -> None:
        await message.ack_sync(timeout=REPLY_S)
        self._finished[lane] = self._finished.get(lane, 0) + 1
        if self._finished[lane] >= TRIM_EVERY:
            await self._trim(await self._connected(), lane)

    async def _trim(self, jetstream: JetStreamContext, lane: str) -> None:
        """Delete the messages that all groups are done with."""
        self._finished[lane] = 0
        subject = f"{self._subject}.{lane}"
        consumers = await jetstream.consumers_info(self._stream)
        floors = [
            each.ack_floor.stream_seq
            for each in consumers
            if each.config.filter_subject == subject and each.ack_floor is not None
        ]
        if floors and min(floors) > 0:
            await jetstream.purge_stream(self._stream, seq=min(floors) + 1, subject=subject)

    def close(self) -> None:
        """Disconnect."""
        if not self._loop.is_closed():
            self._drop(flushing=True)
            self._loop.close()

    # ---------------------------------------------------------------------------- conversing

    async def _connected(self) -> JetStreamContext:
        if self._jetstream is None:
            self._client = await self._transport.connect()
            self._jetstream = self._client.jetstream(timeout=REPLY_S)
        return self._jetstream

    async def _flushed(self) -> None:
        if self._client is not None:
            await self._client.flush(int(REPLY_S))

    def _drop(self, *, flushing: bool = False) -> None:
        """Let go of a connection; what was taken over it comes again."""
        client, self._client, self._jetstream = self._client, None, None
        self._readers.clear()
        self._taken.clear()
        if client is not None:
            self._loop.run_until_complete(closed(client, flushing=flushing))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        if self._client is not None and self._client.is_closed:
            self._drop()
        try:
            return self._loop.run_until_complete(work)
        except BROKEN as error:
            self._drop()
            raise TransportFailed(
                transport="bus",
                reason=f"the server at {self._transport.url} cannot be used: {error or type(error).__name__}",
                remedy="Try again: what was accepted is kept, and an id is accepted once.",
            ) from error


@final
class _Reader:
    """Where messages of one lane are asked for in the name of one group, and where they arrive."""

    def __init__(self, subject: str, inbox: str, subscription: Subscription) -> None:
        self.subject = subject
        self.inbox = inbox
        self.subscription = subscription
        self.number = 0
