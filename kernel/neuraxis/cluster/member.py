"""What a worker does, as a machine of states without a clock, a socket or a thread.

    ready    the part stands, nothing is computed
    running  a window is computed, its batches are sent, those of all peers are awaited and taken over
             (reported as `paused` where the conductor wants to end early and has not said after which window)
    ending   all is computed, and will be written down
    done     the end is reached and written down; peers may still ask for batches
    leaving  everybody is done, or the conductor sent this worker away

Whoever drives it passes frames in, and looks at the clock. Frames may be lost, repeated, late and out of order: a
batch is taken once, one that lacks is asked for, one that comes again must have the same digest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from neuraxis.cluster.batch import Batch, FrameDamaged, Order, Report, Want, decode, encode, read, written
from neuraxis.errors import Divergence
from neuraxis.seams.transport import CONDUCTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from neuraxis.cluster.batch import Failure, Heads, Letters
    from neuraxis.cluster.bulk import Bulk
    from neuraxis.cluster.part import Part
    from neuraxis.cluster.plan import Plan
    from neuraxis.seams.transport import Buffer

    Send = Callable[[int, Sequence[Buffer]], None]

AHEAD: Final = 2
"""Windows that a batch may be ahead of what is awaited: a peer cannot be further."""

AGAIN_MAX: Final = 32
"""Batches that are sent again at once."""

WANT_FIRST_S: Final = 0.25
WANT_MOST_S: Final = 2.0
REPORT_S: Final = 0.5


class _Own(NamedTuple):
    """What this worker says of the window that it computed last."""

    end: int
    event: int
    asks: bool
    failure: Failure | None


REPLACED: Final = "another process took its place"
"""Why a worker leaves that was taken for dead, or is restarted."""


@final
class Member:
    """One worker of a distributed run.

    Attributes:
        state: As above.
        index: Last window that was begun.
        taken: Last window that was exchanged.
        frames, sent_bytes: Batches sent, and their size.
        away: Why the conductor sent this worker away.
        heard: Whether the conductor was heard; whoever drives the member sets it back.
    """

    def __init__(
        self,
        plan: Plan,
        me: int,
        incarnation: int,
        part: Part,
        send: Send,
        messages: Mapping[tuple[str, int], type[Any]],
        *,
        squeeze: bool,
        bulk: Bulk | None = None,
    ) -> None:
        """Stand ready.

        Args:
            plan: What all agree on.
            me: The worker.
            incarnation: How many processes it has had.
            part: Its actors.
            send: Sends a frame to a member.
            messages: Registered message classes by (name, version).
            squeeze: Whether batches are compressed.
            bulk: Its arrays in shared memory, if there is any.
        """
        self.state = "ready"
        self.index = self.taken = part.window
        self.frames = 0
        self.sent_bytes = 0
        self.away = ""
        self.heard = False
        self.kept = (part.window, part.tick) if part.window >= 0 else (-1, -1)
        self._plan = plan
        self._me = me
        self._incarnation = incarnation
        self._part = part
        self._send = send
        self._messages = messages
        self._squeeze = squeeze
        self._bulk = bulk
        self._peers = [worker for worker in plan.workers if worker != me]
        owners = [plan.owners[shard] for shard in part.sim.wiring.shards]
        self._owners = (*owners, *reversed(owners))  # by position; the complement of a position finds it, too
        self._incarnations = dict.fromkeys(plan.workers, 1)
        self._order = Order(plan.epoch, -1, {})
        self._own: _Own | None = None
        self._pending: dict[int, dict[int, tuple[Batch, memoryview]]] = {}
        self._outbox: dict[int, dict[int, list[Buffer]]] = {}
        self._digests: dict[int, dict[int, bytes]] = {}
        self._asked = -1
        self._failure: Failure | None = None
        self._rewinding_to = -1
        self._waits = False
        self._waits_since = self._reported = -1.0
        self._patience = WANT_FIRST_S

    # ------------------------------------------------------------------------------- frames

    def take(self, frame: Buffer) -> None:
        """Take note of a frame.

        Raises:
            Divergence: A batch came again with another content.
        """
        try:
            head, rest = decode(frame)
            if head.epoch != self._plan.epoch:
                return
            if isinstance(head, Batch):
                self._take_batch(head, rest)
            elif isinstance(head, Want):
                if self._is_current(head.source, head.incarnation):
                    self._send_again(head.source, head.index)
            elif isinstance(head, Order):
                self._take_order(head)
        except FrameDamaged:
            return  # it is missed, and asked for again

    def _is_current(self, source: int, incarnation: int) -> bool:
        known = self._incarnations.get(source, 0)
        if incarnation > known:
            self._incarnations[source] = incarnation
        return incarnation >= known

    def _take_batch(self, batch: Batch, rest: memoryview) -> None:
        if not self._is_current(batch.source, batch.incarnation):
            return
        awaited = self.index if self._waits else self.index + 1
        if batch.index < awaited:
            known = self._digests.get(batch.index, {}).get(batch.source)
            if known is not None and known != batch.digest:
                raise _differs(batch.source, batch.index)
            if (batch.index + 1) % AGAIN_MAX == 0:  # its sender catches up: it need not wait and ask for what follows
                self._send_again(batch.source, batch.index + 1)
        elif batch.index <= awaited + AHEAD:
            first = self._pending.setdefault(batch.index, {}).setdefault(batch.source, (batch, rest))
            if first[0].digest != batch.digest:
                raise _differs(batch.source, batch.index)

    def _send_again(self, peer: int, index: int) -> None:
        for each in range(index, min(self.index, index + AGAIN_MAX - 1) + 1):
            frame = self._outbox.get(each, {}).get(peer)
            if frame is not None:
                self._send(peer, frame)

    def _take_order(self, order: Order) -> None:
        self.heard = True
        if order.number <= self._order.number:
            return
        self._order = order
        for worker, incarnation in order.incarnations.items():
            self._is_current(worker, incarnation)
        for index in [each for each in self._outbox if each <= order.stable]:
            del self._outbox[index]
            self._digests.pop(index, None)
        if order.finished and self.state == "done":
            self._leave("")
        if order.incarnations.get(self._me, 1) > self._incarnation:
            self._leave(REPLACED)
        elif self._me in order.away:
            self._leave(order.away[self._me])

    def _leave(self, reason: str) -> None:
        self.state, self.away = "leaving", reason
        self._reported = -1.0  # the conductor waits for this word

    # -------------------------------------------------------------------------------- work

    def work(self) -> bool:
        """Do what can be done now. Returns whether there is more to do at once.

        Raises:
            NeuraxisError: The part cannot go on; the process ends.
        """
        if self.state == "ending":
            if self._reported >= 0:  # it was said
                self._finish()
            return False
        if self.state == "ready" and self._order.go:
            self.state = "running"
        if self.state != "running":
            return False
        if not self._waits:
            if self._is_paused:
                return False
            if 0 <= self._order.stop_at == self.taken or self._is_at_end():
                self._end()
                return False
            self._compute()
        if self._has_all():
            self._exchange()
            return True
        return False

    @property
    def _is_paused(self) -> bool:
        """Whether no window is begun until it is known where to stop; one that was begun is not exchanged alone."""
        return self.state == "running" and self._order.pause and self._order.stop_at < 0

    def _is_at_end(self) -> bool:
        return self.taken >= 0 and self._part.tick >= self._plan.until

    def _has_all(self) -> bool:
        there = self._pending.get(self.index)
        return (len(there) if there is not None else 0) == len(self._peers)

    def _compute(self) -> None:
        part, plan = self._part, self._plan
        self.index += 1
        end = part.tick if self.index == 0 else plan.end_of_window(part.tick, part.upcoming)
        failure = None
        if self.index > 0:
            failure = part.advance(end if self._failure is None else min(end, self._failure.tick - 1))
        letters = part.hand_over()
        if failure is not None:
            letters = _sent_before(letters, failure.tick)
        event = part.event() if failure is None else None
        if letters:
            first = letters[0][0]
            event = first if event is None or first < event else event
        self._own = own = _Own(end, -1 if event is None else event, self._asks(), failure)
        self._waits = True
        self._waits_since = -1.0
        self._patience = WANT_FIRST_S
        if self._rewinding_to < 0:
            self._publish(own, letters)

    def _asks(self) -> bool:
        """Tell whether this window ends with a snapshot; the first worker decides, when the conductor asks."""
        after = self._order.ask_after
        if self._me != 1 or after <= self._asked or self.index <= after:
            return False
        self._asked = after
        return True

    def _publish(self, own: _Own, letters: Letters) -> None:
        frames = self._outbox[self.index] = {}
        owners = self._owners
        by_peer: dict[int, Letters] = {peer: [] for peer in self._peers}
        for each in letters:
            by_peer[owners[each[1]]].append(each)
        end, event, squeeze = own.end, own.event, self._squeeze

        def batch(sizes: tuple[int, ...], heads: Heads, squeezed: tuple[int, ...], digest: bytes) -> Batch:
            return Batch(
                self._plan.epoch,
                self.index,
                self._me,
                self._incarnation,
                end,
                event,
                own.asks,
                own.failure,
                sizes,
                heads,
                squeezed,
                digest,
            )

        for peer in self._peers:
            put = partial(self._put, peer) if self._bulk is not None else None
            now, again, size = written(batch, by_peer[peer], end, event, squeeze=squeeze, put=put)
            frames[peer] = again
            self._send(peer, now)
            self.sent_bytes += size
        self.frames += len(self._peers)

    def _put(self, peer: int, arrays: list[np.ndarray]) -> tuple[str, tuple[int, ...]] | None:
        """Write arrays into shared memory, if that reaches a peer."""
        if self._bulk is None or not self._bulk.reaches(peer, self._incarnations[peer]):
            return None
        return self._bulk.put(self.index, arrays)

    def _exchange(self) -> None:
        """Take over the mail of all peers; all workers come to the same conclusions from the same batches."""
        own = self._own
        assert own is not None, "a window was computed"
        arrived = self._pending[self.index] if self._peers else {}
        get = self._bulk.get if self._bulk is not None else None
        found: dict[int, Letters] = {}
        for source in sorted(arrived):
            letters = read(*arrived[source], self._messages, get)
            if letters is None:  # gone from shared memory: it is asked for again, and then carries its arrays
                del arrived[source]
                return
            found[source] = letters
        self._pending.pop(self.index, None)
        digests = self._digests[self.index] = {}
        events = [own.event] if own.event >= 0 else []
        failures = [own.failure] if own.failure is not None else []
        asks = own.asks
        for source in sorted(arrived):
            batch, _ = arrived[source]
            if batch.end != own.end:
                raise _differs(source, self.index)
            letters = found[source]
            if self._failure is not None:
                letters = _sent_before(letters, self._failure.tick)
            if letters:
                self._part.take_over(letters)
            digests[source] = batch.digest
            asks = asks or batch.asks
            if batch.event >= 0:
                events.append(batch.event)
            if batch.failure is not None:
                failures.append(batch.failure)
        self._waits = False
        if self._bulk is not None:
            self._bulk.forget(self.index - 1)
        self._part.window = self.taken = self.index
        self._part.upcoming = min(events) if events else None
        if self._rewinding_to >= 0:
            if self.index == self._rewinding_to:
                self._end()
            return
        if failures:
            self._rewind(min(failures, key=lambda each: each.order()), arrived)
            return
        every = self._plan.snapshot_every
        is_due = every is not None and self.index > 0 and own.end % every == 0
        if (is_due or asks) and self._part.tick < self._plan.until:
            self._part.snapshot()
            self.kept = (self.index, self._part.tick)
            self._reported = -1.0

    def _rewind(self, failure: Failure, arrived: dict[int, tuple[Batch, memoryview]]) -> None:
        """Go back to the newest snapshot, to compute once more what happened before the tick that failed."""
        self._failure = failure
        self._rewinding_to = self.index
        self._pending = {self.index: arrived}
        self._part.rewind()
        self.index = self.taken = self._part.window

    def _end(self) -> None:
        """Say that all is computed, before it is written down."""
        self.state = "ending"
        self._reported = -1.0

    def _finish(self) -> None:
        self._part.tell(self._failure)
        self.kept = (self.taken, self._part.tick)
        self.state = "done"
        self._reported = -1.0

    def close(self) -> None:
        """Release the part."""
        self._part.close()
        if self._bulk is not None:
            self._bulk.close()

    # -------------------------------------------------------------------------------- clock

    def look(self, now: float) -> None:
        """Ask for what lacks, and report, when it is time.

        Args:
            now: Seconds of a clock that does not jump.
        """
        if self._waits and self.state == "running":
            if self._waits_since < 0:
                self._waits_since = now
            elif now - self._waits_since >= self._patience:
                self._waits_since = now
                self._patience = min(self._patience * 2, WANT_MOST_S)
                there = self._pending.get(self.index, {})
                for peer in self._peers:
                    if peer not in there:
                        self._send(peer, encode(Want(self._plan.epoch, self.index, self._me, self._incarnation)))
        if self._reported < 0 or now - self._reported >= REPORT_S:
            self._reported = now
            self._send(CONDUCTOR, encode(self.report()))

    def report(self) -> Report:
        """Return where the worker stands."""
        return Report(
            self._plan.epoch,
            self._me,
            self._incarnation,
            "paused" if self._is_paused else self.state,
            self.index,
            self._part.tick,
            self.kept,
            {},
            {
                "messages": self._part.sim.runner.scheduler.delivered,
                "batches": self.frames,
                "bytes": self.sent_bytes,
                "waits_for": self._lacking(),
                "held": len(self._outbox),
                "snapshot_s": round(self._part.snapshot_s, 4),
            },
        )

    def _lacking(self) -> list[int]:
        if not self._waits:
            return []
        there = self._pending.get(self.index, {})
        return [peer for peer in self._peers if peer not in there]


def _sent_before(letters: Letters, tick: int) -> Letters:
    kept = [(due, receiver, [each for each in inbox if each[0] < tick]) for due, receiver, inbox in letters]
    return [each for each in kept if each[2]]


def _differs(source: int, window: int) -> Divergence:
    return Divergence(
        subject=f"worker {source}",
        finding=f"it computed window {window} differently from what others know",
        remedy="An actor of it reads a clock, entropy or something else beside its context; "
        "`neuraxis conform` finds it.",
    )
