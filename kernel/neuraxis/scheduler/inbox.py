"""An inbox as a handler sees it that takes all messages of a tick at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from msgspec import Struct

from neuraxis.scheduler.envelope import MessageId, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from neuraxis.scheduler.envelope import Envelope


@final
class Delivery(Struct, frozen=True):
    """One message as it arrived.

    Attributes:
        port: Input it arrived on.
        payload: What it carries.
        source: Path of the sender; `@input` for an input.
        sent: Tick in which it was sent.
        id: Its id, for `because`.
    """

    port: str
    payload: Any
    source: str
    sent: int
    id: MessageId


@final
class Inbox:
    """All messages of one tick, in canonical order: send tick, source path, source sequence."""

    __slots__ = ("_envelopes", "_paths")

    def __init__(self, envelopes: Sequence[Envelope], paths: tuple[str, ...]) -> None:
        self._envelopes = envelopes
        self._paths = paths

    def __len__(self) -> int:
        return len(self._envelopes)

    def __iter__(self) -> Iterator[Delivery]:
        for sent, message, port, payload, _ in self._envelopes:
            yield Delivery(port, payload, self._paths[source_of(message)], sent, MessageId(message))

    def payloads(self, port: str) -> list[Any]:
        """Return the payloads that arrived on one input."""
        return [envelope[3] for envelope in self._envelopes if envelope[2] == port]
