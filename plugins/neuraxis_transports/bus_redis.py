"""A bus over the consumer groups of Redis Streams: a stream for each lane.

neuraxis-bus:{NAME}:LANE        the stream
neuraxis-bus:{NAME}:LANE#ID     an id that was accepted, until it expires
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, final

import redis

from neuraxis.errors import TransportFailed
from neuraxis_transports.bus import TRIM_EVERY, Entry
from neuraxis_transports.redis import Redis
from neuraxis_transports.redis_link import call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuraxis.seams.bus import Outcome
    from neuraxis_transports.bus import BusRules

_APPEND: Final = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 'duplicate' end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 'shed' end
redis.call('XADD', KEYS[1], '*', 'r', ARGV[1])
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
return 'accepted'
"""
"""One step for the server, so that two publishers cannot both find an id unknown."""

_LOOKS: Final = 4
"""Looks for what dead consumers left, within the time after which it may be taken."""


@final
class RedisShelf:
    """Lanes as streams. An entry stays until all groups have acknowledged it."""

    def __init__(self, url: str, name: str, rules: BusRules) -> None:
        transport = Redis(url)
        transport.check()
        self._url = transport.url
        self._connection = transport.connection()
        self._ask = partial(call, self._connection)
        self._base = f"neuraxis-bus:{{{name}}}:"
        self._rules = rules
        self._again: dict[tuple[str, str], list[tuple[str, float]]] = {}
        self._finished: dict[str, int] = {}
        self._looked_at: dict[tuple[str, str], float] = {}

    def append(self, lane: str, record: bytes, id: str, *, below: int) -> Outcome:
        """Append a record unless its id is known or the lane is full."""
        with self._translated():
            outcome = self._append(lane, record, id, below)
            if outcome == "shed":
                self._trim(lane)
                outcome = self._append(lane, record, id, below)
        return outcome

    def _append(self, lane: str, record: bytes, id: str, below: int) -> Outcome:
        stream = self._base + lane
        milliseconds = int(self._rules.dedup_s * 1000)
        outcome: Outcome = self._ask("EVAL", _APPEND, 2, stream, f"{stream}#{id}", record, below, milliseconds).decode()
        return outcome

    def length(self, lane: str) -> int:
        """Return how many records of a lane are not done by every group."""
        with self._translated():
            self._trim(lane)
            return int(self._ask("XLEN", self._base + lane))

    def enter(self, lane: str, group: str) -> None:
        """Make a group from the beginning of the lane, unless it is there."""
        with self._translated():
            try:
                self._ask("XGROUP", "CREATE", self._base + lane, group, "0", "MKSTREAM")
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def take(self, lane: str, group: str, consumer: str, limit: int) -> list[Entry]:
        """Hand over: what is to be tried again, what another left, what is new.

        A server that was killed may have forgotten the group: it is made again, and finds what is still there.
        """
        with self._translated():
            try:
                return self._take(lane, group, consumer, limit)
            except redis.ResponseError as error:
                if not str(error).startswith("NOGROUP"):
                    raise
            self.enter(lane, group)
            return []

    def _take(self, lane: str, group: str, consumer: str, limit: int) -> list[Entry]:
        stream = self._base + lane
        place = (lane, group)
        entries = []
        waiting = self._again.get(place, [])
        self._again[place] = waiting[limit:]
        for key, pause_s in waiting[:limit]:
            # if it waited so long that another has it, it is not idle, and stays there
            taken = self._ask("XCLAIM", stream, group, consumer, int(pause_s * 1000), key)
            entries += self._counted(stream, group, taken)
        now = monotonic()
        pause = self._rules.claim_s / _LOOKS
        if len(entries) < limit and now - self._looked_at.get(place, 0.0) > pause:
            idle = int(self._rules.claim_s * 1000)
            left = self._ask("XAUTOCLAIM", stream, group, consumer, idle, "0", "COUNT", limit - len(entries))[1]
            entries += self._counted(stream, group, left)
            if len(entries) < limit:  # nothing more is left
                self._looked_at[place] = now
        if len(entries) < limit:
            count = limit - len(entries)
            new = self._ask("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", stream, ">")
            entries += [Entry(key.decode(), fields[1], 1) for key, fields in (new[0][1] if new else ())]
        return entries

    def _counted(self, stream: str, group: str, taken: list[Any]) -> list[Entry]:
        """Make entries of what was claimed, with the number of times that the server counts."""
        entries = []
        for key, fields in filter(None, taken):
            if fields is not None:
                ((_, _, _, times),) = self._ask("XPENDING", stream, group, key, key, 1)
                entries.append(Entry(key.decode(), fields[1], times))
        return entries

    def again(self, lane: str, group: str, key: str, pause_s: float) -> None:
        """Hand an entry over again at a later `take`, before which the bus waits."""
        self._again.setdefault((lane, group), []).append((key, pause_s))

    def done(self, lane: str, group: str, key: str) -> None:
        """A group is done with an entry."""
        with self._translated():
            self._ask("XACK", self._base + lane, group, key)
            self._finished[lane] = self._finished.get(lane, 0) + 1
            if self._finished[lane] >= TRIM_EVERY:
                self._trim(lane)

    def _trim(self, lane: str) -> None:
        """Delete the entries that all groups are done with."""
        self._finished[lane] = 0
        stream = self._base + lane
        if not self._ask("EXISTS", stream):
            return
        floors = []
        for group in self._ask("XINFO", "GROUPS", stream):
            told = dict(zip(group[::2], group[1::2], strict=True))
            pending = self._ask("XPENDING", stream, told[b"name"])
            floors.append(pending[1] if pending[0] else _after(told[b"last-delivered-id"]))
        if floors:
            self._ask("XTRIM", stream, "MINID", min(floors, key=_order))

    def close(self) -> None:
        """Disconnect."""
        self._connection.disconnect()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            self._connection.disconnect()  # it connects again when it is used again
            raise TransportFailed(
                transport="bus",
                reason=f"the server at {self._url} cannot be used: {error}",
                remedy="Try again: what was accepted is kept, and an id is accepted once.",
            ) from error


def _order(key: bytes) -> tuple[int, int]:
    milliseconds, _, number = key.partition(b"-")
    return int(milliseconds), int(number)


def _after(key: bytes) -> bytes:
    milliseconds, number = _order(key)
    return b"%d-%d" % (milliseconds, number + 1)
