"""The seam of buses: how services that live beside a run send each other messages that must not be lost.

A bus has topics. A topic keeps its messages until every group that reads it is done with them; within a group each
message goes to one consumer. Delivery is at least once: a message that was handed over and not done comes again, to
the same consumer or, if that one is gone, to another. Emergencies come first.

    bus = open_bus("redis://127.0.0.1", "esper")
    bus.publish("field_reports", b"...", id="report-7", priority=Priority.NORMAL)
    reports = bus.subscribe("field_reports", group="trainer", consumer="trainer-1")
    for delivery in reports.take(limit=10, timeout_s=1.0):
        handle(delivery.message.payload)
        delivery.done()                     # or delivery.failed("why"): it comes again, later

A bus is no channel of a simulation: what it brings enters a run as an input, and is journaled there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Literal, Protocol, final, runtime_checkable

from msgspec import Struct


class Priority(IntEnum):
    """How much a message matters. When a topic fills, the lowest are refused first; an emergency is read first."""

    LOW = 1
    NORMAL = 2
    HIGH = 3
    CRITICAL = 4
    EMERGENCY = 5


Outcome = Literal["accepted", "duplicate", "shed", "limited"]
"""What became of a message that was published.

`duplicate`: one with this id was accepted before. `shed`: the topic is too full for its priority. `limited`: too many
emergencies at once. The last two are no failures of the bus: whoever publishes decides whether to wait, or to go on.
"""


@final
class Message(Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        id: Names it: what is published twice under one id is delivered once.
        topic: Where it was published.
        priority: How much it matters.
        payload: Bytes of whoever publishes.
        attributes: Short facts beside the payload.
        published_s: When, by the clock of whoever published, seconds.
    """

    id: str
    topic: str
    priority: Priority
    payload: bytes
    attributes: dict[str, str]
    published_s: float


class Delivery(Protocol):
    """A message that was handed over. Until `done` or `failed` it is this consumer's, for a while."""

    @property
    def message(self) -> Message:
        """The message."""

    @property
    def attempts(self) -> int:
        """How often it was handed over to a consumer of this group, with this time."""

    def done(self) -> None:
        """It was handled: it never comes again to this group."""

    def failed(self, reason: str) -> None:
        """It was not handled: it comes again after a pause, or goes to the dead letters after too many attempts."""


@runtime_checkable
class Subscription(Protocol):
    """What one consumer of a group reads from a topic."""

    def take(self, *, limit: int = 1, timeout_s: float = 0.0) -> Sequence[Delivery]:
        """Return up to `limit` messages, emergencies first; none after `timeout_s` seconds without one."""


@runtime_checkable
class Bus(Protocol):
    """Topics, and who publishes and reads there. One thread uses it at a time.

    Raises:
        TransportFailed: From every method, when the broker is away. What was not accepted can be published again
            under its id.
    """

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        id: str,
        priority: Priority = Priority.NORMAL,
        attributes: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Publish one message.

        Raises:
            UsageInvalid: It is too long, or the topic cannot be one.
        """

    def subscribe(self, topic: str, *, group: str, consumer: str) -> Subscription:
        """Read a topic as one consumer of a group. A new group reads everything that is still there."""

    def close(self) -> None:
        """Disconnect. What was not done comes again to whoever reads next."""
