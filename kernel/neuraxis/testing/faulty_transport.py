"""A transport that loses, repeats, delays and reorders frames, from a seed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

from msgspec import Struct

from neuraxis.rng import Stream, stream_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.transport import Buffer, Link, Transport

HELD_CALLS: Final = 8
"""Calls of `send` and `receive`, at most, for which a delayed frame is held."""


@final
class FrameFaults(Struct, frozen=True, kw_only=True):
    """How often what goes wrong: shares of all frames, each from 0 to 1.

    Attributes:
        lose: Never sent.
        repeat: Sent twice.
        delay: Held for some calls, so that later frames overtake it.
        cut: A cut begins: this frame and those after it are lost.
        cut_frames: Frames that a cut lasts.
    """

    lose: float = 0.0
    repeat: float = 0.0
    delay: float = 0.0
    cut: float = 0.0
    cut_frames: int = 20


@final
class FaultyTransport:
    """Wraps a transport. What happens to a frame depends on seed, run, sender and its number only.

    Args:
        transport: What carries the frames that are carried.
        faults: How often what goes wrong.
        seed: Another seed, other frames.
    """

    def __init__(self, transport: Transport, faults: FrameFaults, *, seed: int) -> None:
        self._transport = transport
        self._faults = faults
        self._seed = seed

    @property
    def name(self) -> str:
        """Of what is wrapped."""
        return self._transport.name

    @property
    def url(self) -> str:
        """Of what is wrapped."""
        return self._transport.url

    def check(self) -> None:
        """As what is wrapped does."""
        self._transport.check()

    def create(self, run: str) -> None:
        """As what is wrapped does."""
        self._transport.create(run)

    def join(self, run: str, member: int) -> FaultyLink:
        """Return a link that has faults when it sends."""
        stream = Stream(stream_key(self._seed, f"{run}/{member}", "frames"))
        return FaultyLink(self._transport.join(run, member), self._faults, stream)

    def remove(self, run: str) -> None:
        """As what is wrapped does."""
        self._transport.remove(run)


@final
class FaultyLink:
    """A link that has faults when it sends.

    Attributes:
        faults: How often what goes wrong from now on.
        fired: How often each fault struck: faults that did not strike prove nothing.
    """

    def __init__(self, link: Link, faults: FrameFaults, stream: Stream) -> None:
        self._link = link
        self.faults = faults
        self._stream = stream
        self._frames = 0
        self._calls = 0
        self._cut_until = 0
        self._held: deque[tuple[int, int, bytes]] = deque()
        self.fired = dict.fromkeys(("lose", "repeat", "delay", "cut"), 0)

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Send one frame, or lose, repeat or hold it."""
        self._let_go()
        faults = self.faults
        self._frames += 1
        lose, repeat, delay, cut = self._stream.at(self._frames).random(4)
        if cut < faults.cut and self._frames > self._cut_until:
            self._cut_until = self._frames + faults.cut_frames
            self.fired["cut"] += 1
        if self._frames < self._cut_until:
            return
        if lose < faults.lose:
            self.fired["lose"] += 1
            return
        if delay < faults.delay:
            self.fired["delay"] += 1
            calls = 1 + int(delay / faults.delay * HELD_CALLS)
            self._held.append((self._calls + calls, member, b"".join(parts)))
            return
        self._link.send(member, parts)
        if repeat < faults.repeat:
            self.fired["repeat"] += 1
            self._link.send(member, parts)

    def receive(self, timeout: float) -> Buffer | None:
        """Receive, after frames were sent that were held long enough."""
        self._let_go()
        return self._link.receive(timeout)

    def close(self) -> None:
        """Close; frames that are held are lost."""
        self._link.close()

    def _let_go(self) -> None:
        self._calls += 1
        for _ in range(len(self._held)):
            due, member, frame = self._held.popleft()
            if due <= self._calls:
                self._link.send(member, [frame])
            else:
                self._held.append((due, member, frame))
