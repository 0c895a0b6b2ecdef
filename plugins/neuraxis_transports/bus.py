"""Buses: the rules, the same over every broker; and how a broker is chosen by its URL.

A topic has two lanes: emergencies, which are read first, and everything else. A shelf keeps the lanes.

- A topic that fills up refuses the lower priorities first (`BusRules.shed`); that is an answer and no failure.
- One that is nearly full becomes conservative: until it has drained it takes high priorities and emergencies only.
- A broker that failed several times in a row is left alone for a while, apart for publishing and for reading.
- Emergencies have a rate; they are never stopped by a full topic before it is full to the brim.
- A message that failed comes again after a pause that grows, and before what is behind it in its lane.
- After `attempts_max` attempts it lies in the topic `TOPIC.dead`, with the reason; also one that is too old, or that
  cannot be read. Nothing is put aside silently.
- What a consumer left unfinished is handed over to another after `claim_s`.
- An id is accepted once within `dedup_s`; a consumer does not handle again what it has done.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, final

import msgspec
from msgspec import Struct

from neuraxis.errors import TransportUnusable, UsageInvalid
from neuraxis.seams.bus import Delivery, Message, Priority
from neuraxis_transports.bus_rules import BusRules as BusRules
from neuraxis_transports.bus_rules import BusState as BusState
from neuraxis_transports.guards import Breaker, Caution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis.seams.bus import Bus, Outcome

MESSAGE_BYTES_MAX: Final = 256 << 10
"""Longest message with its attributes, bytes. What is longer lies elsewhere, and the message says where."""

DONE_IDS_KEPT: Final = 4_096
"""Ids of messages that a consumer has done, kept to know them when they come again."""

TRIM_EVERY: Final = 256
"""Finished messages of a lane after which a broker deletes those that all groups are done with."""

POLL_S: Final = 0.01
"""Pause between looks at an empty topic."""

EMERGENCY: Final = "emergency"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@final
class Entry(Struct, frozen=True):
    """A record as a shelf hands it over.

    Attributes:
        key: The shelf's own name for it.
        record: What was appended.
        attempts: How often it was handed over within the group, with this time.
    """

    key: str
    record: bytes
    attempts: int


class Shelf(Protocol):
    """What keeps the lanes of a bus: a broker, or the memory of this process."""

    def append(self, lane: str, record: bytes, id: str, *, below: int) -> Outcome:
        """Append a record unless its id is known, or the lane holds `below` or more that are not done."""

    def length(self, lane: str) -> int:
        """Return how many records of a lane are not done by every group."""

    def enter(self, lane: str, group: str) -> None:
        """Make a group that reads a lane from its beginning, unless it is there."""

    def take(self, lane: str, group: str, consumer: str, limit: int) -> list[Entry]:
        """Hand over: what is to be tried again by this consumer, what another left unfinished, what is new."""

    def again(self, lane: str, group: str, key: str, pause_s: float) -> None:
        """Keep an entry for this consumer, to be handed over again after a pause."""

    def done(self, lane: str, group: str, key: str) -> None:
        """A group is done with an entry."""

    def close(self) -> None:
        """Disconnect."""


@final
class RuledBus:
    """A bus: the rules over a shelf. See `neuraxis.seams.bus.Bus`.

    Args:
        shelf: What keeps the messages.
        rules: What to hold to.
        clock: Seconds; the same everywhere for publishers and consumers. A test gives one that it moves itself.
    """

    def __init__(self, shelf: Shelf, rules: BusRules, *, clock: Callable[[], float] = time.time) -> None:
        self.rules = rules
        self.shelf = shelf
        self.clock = clock
        self._emergencies = float(rules.emergencies_per_minute)
        self._counted_at = clock()
        most = rules.messages_max
        self._caution = Caution(
            int(most * rules.conservative_at), int(most * rules.conservative_to), rules.conservative_s, clock
        )
        self._publishing = Breaker("publishing", rules.breaker_failures, rules.breaker_s, clock)
        self.consuming = Breaker("reading", rules.breaker_failures, rules.breaker_s, clock)

    @property
    def state(self) -> BusState:
        """How this connection stands."""
        return BusState(self._caution.topics, self._publishing.state, self.consuming.state)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        id: str,
        priority: Priority = Priority.NORMAL,
        attributes: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Publish one message, unless the rules refuse it.

        Raises:
            UsageInvalid: It is too long, or the topic cannot be one.
            TransportFailed: The broker is away, or was too often.
        """
        _check_name("topic", topic)
        message = Message(
            id=id,
            topic=topic,
            priority=priority,
            payload=payload,
            attributes=dict(attributes or {}),
            published_s=self.clock(),
        )
        record = msgspec.msgpack.encode(message)
        if len(record) > MESSAGE_BYTES_MAX:
            raise UsageInvalid(
                what=f"a message of {len(record):,} bytes is too long for a bus, which takes {MESSAGE_BYTES_MAX:,}",
                remedy="Store the payload, and publish where it lies and its digest.",
            )
        emergency = priority is Priority.EMERGENCY
        if emergency and not self._may_alarm():
            return "limited"
        with self._publishing.guard():
            outcome = self._append(topic, record, id, priority)
        if emergency and outcome == "accepted":
            self._emergencies -= 1
        return outcome

    def _append(self, topic: str, record: bytes, id: str, priority: Priority) -> Outcome:
        lane = _lane(topic, emergency=priority is Priority.EMERGENCY)
        length = partial(self.shelf.length, lane)
        yields = priority < self.rules.conservative_takes
        if yields and self._caution.refuses(topic, length):
            return "shed"
        outcome = self.shelf.append(lane, record, id, below=int(self.rules.messages_max * self.rules.shed[priority]))
        if yields and outcome == "shed":
            self._caution.shed(topic, length)
        return outcome

    def _may_alarm(self) -> bool:
        now = self.clock()
        rate = self.rules.emergencies_per_minute
        self._emergencies = min(rate, self._emergencies + (now - self._counted_at) * rate / 60)
        self._counted_at = now
        return self._emergencies >= 1

    def subscribe(self, topic: str, *, group: str, consumer: str) -> RuledSubscription:
        """Read a topic as one consumer of a group.

        Raises:
            UsageInvalid: A name cannot be one.
            TransportFailed: The broker is away.
        """
        for what, name in (("topic", topic), ("group", group), ("consumer", consumer)):
            _check_name(what, name)
        return RuledSubscription(self, topic, group, consumer)

    def bury(self, topic: str, record: bytes, id: str, reason: str, attempts: int) -> None:
        """Put a record into the dead letters of a topic. They are not shed, and not buried again."""
        message = Message(
            id=f"{id}@{topic}",
            topic=f"{topic}.dead",
            priority=Priority.NORMAL,
            payload=record,
            attributes={"reason": reason, "attempts": str(attempts)},
            published_s=self.clock(),
        )
        limit = 1 << 62
        self.shelf.append(
            _lane(message.topic, emergency=False), msgspec.msgpack.encode(message), message.id, below=limit
        )

    def close(self) -> None:
        """Disconnect."""
        self.shelf.close()


@final
class RuledSubscription:
    """What one consumer reads from a topic. See `neuraxis.seams.bus.Subscription`."""

    def __init__(self, bus: RuledBus, topic: str, group: str, consumer: str) -> None:
        self._bus = bus
        self._topic = topic
        self._group = group
        self._consumer = consumer
        self._lanes = (_lane(topic, emergency=True), _lane(topic, emergency=False))
        self._held_until = dict.fromkeys(self._lanes, float("-inf"))
        self._done: OrderedDict[str, None] = OrderedDict()
        with bus.consuming.guard():
            for lane in self._lanes:
                bus.shelf.enter(lane, group)

    def take(self, *, limit: int = 1, timeout_s: float = 0.0) -> Sequence[Delivery]:
        """Return up to `limit` messages, emergencies first.

        Raises:
            TransportFailed: The broker is away.
        """
        until = time.monotonic() + timeout_s
        while True:
            taken: list[Delivery] = []
            for lane in self._lanes:
                # a lane is held while its first message waits for the next attempt: nothing overtakes it
                if len(taken) < limit and self._bus.clock() >= self._held_until[lane]:
                    with self._bus.consuming.guard():
                        entries = self._bus.shelf.take(lane, self._group, self._consumer, limit - len(taken))
                    taken += [each for entry in entries if (each := self._delivery(lane, entry)) is not None]
            left = until - time.monotonic()
            if taken or left <= 0:
                return taken
            time.sleep(min(left, POLL_S))

    def _delivery(self, lane: str, entry: Entry) -> RuledDelivery | None:
        """Make a delivery of an entry, or bury it if it can be none."""
        rules = self._bus.rules
        try:
            message = msgspec.msgpack.decode(entry.record, type=Message)
        except msgspec.DecodeError as error:
            self._bury(lane, entry, entry.key, f"it is no message: {error}")
            return None
        delivery = RuledDelivery(self, lane, entry, message)
        if message.id in self._done:  # its end did not reach the broker
            delivery.done()
        elif entry.attempts > rules.attempts_max:
            # whoever had it before ended without a word each time
            self._bury(lane, entry, message.id, "nobody finished it")
        elif not self._topic.endswith(".dead") and self._bus.clock() - message.published_s > rules.ttl_s:
            self._bury(lane, entry, message.id, "it is too old")
        else:
            return delivery
        return None

    def finish(self, lane: str, entry: Entry, id: str) -> None:
        """A message was handled."""
        self._done[id] = None
        if len(self._done) > DONE_IDS_KEPT:
            self._done.popitem(last=False)
        with self._bus.consuming.guard():
            self._bus.shelf.done(lane, self._group, entry.key)

    def retry(self, lane: str, entry: Entry, id: str, reason: str) -> None:
        """A message was not handled."""
        rules = self._bus.rules
        if entry.attempts >= rules.attempts_max:
            self._bury(lane, entry, id, reason)
            return
        pause = min(rules.pause_s_max, rules.pause_s * 2 ** (entry.attempts - 1))
        with self._bus.consuming.guard():
            self._bus.shelf.again(lane, self._group, entry.key, pause)
        self._held_until[lane] = self._bus.clock() + pause

    def _bury(self, lane: str, entry: Entry, id: str, reason: str) -> None:
        """First into the dead letters, then out of the lane: in between it is in both, and never in neither."""
        with self._bus.consuming.guard():
            if not self._topic.endswith(".dead"):
                self._bus.bury(self._topic, entry.record, id, reason, entry.attempts)
            self._bus.shelf.done(lane, self._group, entry.key)


@final
class RuledDelivery:
    """A message that was handed over. See `neuraxis.seams.bus.Delivery`."""

    def __init__(self, subscription: RuledSubscription, lane: str, entry: Entry, message: Message) -> None:
        self._subscription = subscription
        self._lane = lane
        self._entry = entry
        self.message = message
        self.attempts = entry.attempts

    def done(self) -> None:
        """It was handled."""
        self._subscription.finish(self._lane, self._entry, self.message.id)

    def failed(self, reason: str) -> None:
        """It was not handled."""
        self._subscription.retry(self._lane, self._entry, self.message.id, reason)


def dead_letter(message: Message) -> Message:
    """Return the message that lies in a dead letter.

    Raises:
        msgspec.DecodeError: What was buried is no message.
    """
    return msgspec.msgpack.decode(message.payload, type=Message)


def open_bus(url: str, name: str, rules: BusRules | None = None) -> Bus:
    """Connect to a bus.

    Args:
        url: `memory:` (of this process, and of this object), or the URL of a broker: see
            `neuraxis_transports.address`.
        name: Name of the bus: several may live in one broker.
        rules: What to hold to; everybody on a bus uses the same.

    Raises:
        TransportUnusable: The URL is none, or the broker cannot be used.
        UsageInvalid: The name cannot be one.
    """
    _check_name("bus", name)
    rules = rules or BusRules()
    scheme = url.partition(":")[0]
    if scheme == "memory":
        from neuraxis_transports.bus_memory import MemoryShelf

        return RuledBus(MemoryShelf(rules, time.time), rules)
    if scheme in ("redis", "rediss"):
        from neuraxis_transports.bus_redis import RedisShelf

        return RuledBus(RedisShelf(url, name, rules), rules)
    if scheme in ("nats", "tls"):
        from neuraxis_transports.bus_nats import NatsShelf

        return RuledBus(NatsShelf(url, name, rules), rules)
    raise TransportUnusable(
        transport="bus",
        reason=f"{scheme}:… is no URL of a bus",
        remedy="Write memory:, redis://…, rediss://…, nats://… or tls://….",
    )


def _lane(topic: str, *, emergency: bool) -> str:
    return f"{topic}!" if emergency else topic


def _check_name(what: str, name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise UsageInvalid(
            what=f"{name[:120]!r} cannot be the name of a {what}",
            remedy="Take up to 100 letters, digits, -, _ and . (neither - nor . first).",
        )
