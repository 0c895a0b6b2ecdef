"""A bus in the memory of this process: for tests, and for services of one process. Time is what its clock says."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from neuraxis_transports.bus import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.seams.bus import Outcome
    from neuraxis_transports.bus import BusRules


@final
class MemoryShelf:
    """Lanes as lists. Deterministic: what it does depends on the calls and on the clock only."""

    def __init__(self, rules: BusRules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._ids: dict[tuple[str, str], float] = {}

    def append(self, lane: str, record: bytes, id: str, *, below: int) -> Outcome:
        """Append a record unless its id is known or the lane is full."""
        now = self._clock()
        while self._ids and (first := next(iter(self._ids.items())))[1] <= now:
            del self._ids[first[0]]
        if (lane, id) in self._ids:
            return "duplicate"
        known = self._lane(lane)
        if len(known.records) >= below:
            return "shed"
        self._ids[lane, id] = now + self._rules.dedup_s
        known.records[known.next] = record
        known.next += 1
        return "accepted"

    def length(self, lane: str) -> int:
        """Return how many records of a lane are not done by every group."""
        return len(self._lane(lane).records)

    def enter(self, lane: str, group: str) -> None:
        """Make a group, unless it is there."""
        self._lane(lane).groups.setdefault(group, _Group())

    def take(self, lane: str, group: str, consumer: str, limit: int) -> list[Entry]:
        """Hand over: what is to be tried again, what another left, what is new."""
        known = self._lane(lane)
        state = known.groups[group]
        now = self._clock()
        due = [key for key, taken in sorted(state.taken.items()) if taken.free_at(consumer) <= now]
        new = [key for key in sorted(known.records) if key > state.read_to]
        chosen = (due + new)[:limit]
        entries = []
        for key in chosen:
            state.read_to = max(state.read_to, key)
            attempts = state.taken[key].attempts + 1 if key in state.taken else 1
            state.taken[key] = _Taken(consumer, attempts, now + self._rules.claim_s)
            entries.append(Entry(str(key), known.records[key], attempts))
        return entries

    def again(self, lane: str, group: str, key: str, pause_s: float) -> None:
        """Hand an entry over to the same consumer after a pause."""
        taken = self._lane(lane).groups[group].taken[int(key)]
        taken.again_at = self._clock() + pause_s

    def done(self, lane: str, group: str, key: str) -> None:
        """A group is done with an entry; it is deleted when all are."""
        known = self._lane(lane)
        known.groups[group].taken.pop(int(key), None)
        known.trim()

    def close(self) -> None:
        """Nothing to let go of."""

    def _lane(self, lane: str) -> _Lane:
        return self._lanes.setdefault(lane, _Lane())


@final
class _Lane:
    def __init__(self) -> None:
        self.records: dict[int, bytes] = {}
        self.groups: dict[str, _Group] = {}
        self.next = 1

    def trim(self) -> None:
        for key in list(self.records):
            if all(key <= group.read_to and key not in group.taken for group in self.groups.values()):
                del self.records[key]


@final
class _Group:
    def __init__(self) -> None:
        self.read_to = 0
        self.taken: dict[int, _Taken] = {}


@final
class _Taken:
    """An entry that was handed over and is not done."""

    def __init__(self, consumer: str, attempts: int, claim_at: float) -> None:
        self.consumer = consumer
        self.attempts = attempts
        self.claim_at = claim_at
        self.again_at: float | None = None

    def free_at(self, consumer: str) -> float:
        """When it may be handed over to a consumer."""
        own = self.again_at if consumer == self.consumer and self.again_at is not None else self.claim_at
        return min(own, self.claim_at)
