"""Limits of inboxes: messages per tick, capacity, overflow, and the emergency lane."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, final

from msgspec import Struct

from neuraxis.errors import ChannelOverflow
from neuraxis.scheduler.envelope import canonical_order, source_of

if TYPE_CHECKING:
    from neuraxis.graph import Overflow
    from neuraxis.scheduler.calendar import Calendar, Mail
    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.wiring import Wiring

DEAD_LETTERS_KEPT: Final = 1_000
NO_LIMIT: Final = 2**62


@final
class DeadLetter(Struct, frozen=True):
    """A message that was due and not delivered.

    Attributes:
        tick: When it was due.
        source, target: Paths.
        port: Entry of the target.
        id: The message's id.
        payload: What it carried.
        reason: Why it was not delivered.
    """

    tick: int
    source: str
    target: str
    port: str
    id: int
    payload: Any
    reason: str


@final
class DeadLetters:
    """Messages that were due and not delivered: all are counted, the newest are kept.

    Attributes:
        counts: Number by reason.
        newest: The last `DEAD_LETTERS_KEPT`, oldest first.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.counts: dict[str, int] = {}
        self.newest: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)
        self._paths = paths

    def add(self, tick: int, position: int, envelope: Envelope, reason: str, *, keep: bool = True) -> None:
        """Count a message, and keep it unless its policy says to drop it."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if keep:
            _, message, port, payload, _ = envelope
            source, target = self._paths[source_of(message)], self._paths[position]
            self.newest.append(DeadLetter(tick, source, target, port, message, payload, reason))


@final
class Limits:
    """Applies `messages_per_tick`, capacities and lanes to the mail of a tick, before it is delivered.

    What an actor takes beyond its `messages_per_tick` waits in the backlog of the channel it came on;
    the oldest waiting messages go first in the next tick. Timers, outcomes and the emergency lane are
    exempt. Channels that join the same two actors at one input share a backlog.

    Attributes:
        has_lanes: Whether any channel is on the emergency lane.
        least: The smallest `messages_per_tick`: inboxes up to it need no look.
        backlogs: What waits, by receiver. The same dict throughout; the calendar knows it as `waiting`.
    """

    def __init__(self, wiring: Wiring, calendar: Calendar, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._paths = wiring.paths
        self._takes = {
            position: spec.options.messages_per_tick
            for position, spec in enumerate(wiring.specs)
            if spec is not None and spec.options.messages_per_tick is not None
        }
        self._channels: dict[tuple[int, int, str], tuple[int, Overflow]] = {
            (wiring.position[each.target], wiring.position[each.source], each.input): (
                each.capacity,
                each.overflow,
            )
            for each in wiring.channels
            if each.capacity is not None and each.lane == "normal"
        }
        self.has_lanes = any(each.lane == "emergency" for each in wiring.channels)
        self.least = min(self._takes.values(), default=NO_LIMIT)
        self.backlogs = calendar.waiting

    def apply(self, tick: int, mail: Mail) -> None:
        """Leave in `mail` what is delivered in this tick.

        Raises:
            ChannelOverflow: More waits on a channel than its capacity, and its policy is `error`.
        """
        takes = self._takes
        if takes:
            crowded = {position for position, inbox in mail.items() if len(inbox) > takes.get(position, NO_LIMIT)}
            for position in sorted(crowded.union(self.backlogs)):
                self._take(tick, position, mail)
        if self.has_lanes:
            for complement in [key for key in mail if key < 0]:
                urgent = mail.pop(complement)
                mail[~complement] = urgent + mail.get(~complement, [])

    def _take(self, tick: int, position: int, mail: Mail) -> None:
        waiting = self.backlogs.pop(position, [])
        waiting += mail.pop(position, [])
        waiting.sort(key=canonical_order)
        room = self._takes[position]
        taken: list[Envelope] = []
        rest: list[Envelope] = []
        for envelope in waiting:
            if envelope[2][0] == "@":  # a timer or an outcome: it came on no channel
                taken.append(envelope)
            elif room > 0:
                taken.append(envelope)
                room -= 1
            else:
                rest.append(envelope)
        rest = self._bounded(tick, position, rest)
        if taken:
            mail[position] = taken
        if rest:
            self.backlogs[position] = rest

    def _bounded(self, tick: int, position: int, rest: list[Envelope]) -> list[Envelope]:
        """Enforce the capacity of every channel on what waits, in inbox order."""
        by_channel: dict[tuple[int, int, str], list[int]] = {}
        for index, envelope in enumerate(rest):
            by_channel.setdefault((position, source_of(envelope[1]), envelope[2]), []).append(index)
        refused: set[int] = set()
        for channel, waiting in by_channel.items():
            capacity, overflow = self._channels.get(channel, (len(waiting), "error"))
            excess = len(waiting) - capacity
            if excess <= 0:
                continue
            if overflow == "error":
                name = f"{self._paths[channel[1]]} -> {self._paths[position]}.{channel[2]}"
                raise ChannelOverflow(channel=name, tick=tick, waiting=len(waiting), capacity=capacity)
            lost = waiting[:excess] if overflow == "drop_oldest" else waiting[capacity:]
            for index in lost:
                keep = overflow == "dead_letter"
                self._dead_letters.add(tick, position, rest[index], f"overflow: {overflow}", keep=keep)
            refused.update(lost)
        return [envelope for index, envelope in enumerate(rest) if index not in refused] if refused else rest
