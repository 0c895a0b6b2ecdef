"""The calendar: which mail is due in which tick."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, final

from neuraxis.scheduler.envelope import canonical_order, first_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuraxis.scheduler.envelope import Envelope

Mail = dict[int, list["Envelope"]]
"""Due messages by receiver. A receiver's emergency lane is kept apart, under its complement `~position`."""


@final
class Calendar:
    """Mail by the tick in which it is due.

    Messages are appended as they are sent. Actors run in the order of paths, and earlier ticks
    append first, so every inbox is in canonical order without sorting. Where that does not hold (actors
    run in another order, handlers that suspend, inputs) the tick is marked and sorted when it opens.

    Attributes:
        now: The tick that runs, or ran last.
        soon: Mail due at `now + 1`, where most mail goes.
        unsorted: Ticks whose mail is sorted when they open.
        waiting: Messages that were due and wait at their receivers. While there are any, the next tick is run.
        is_plain: Whether there is no other mail and nothing to sort, so that opening a tick is a swap.
    """

    __slots__ = ("_dues", "_later", "is_plain", "now", "soon", "unsorted", "waiting")

    def __init__(self) -> None:
        self.now = -1
        self.soon: Mail = {}
        self.waiting: Mail = {}
        self._later: dict[int, Mail] = {}
        self._dues: list[int] = []
        self.unsorted: set[int] = set()
        self.is_plain = True

    def due(self, tick: int) -> Mail:
        """Return the mail due at a tick after `now`, to append to."""
        if tick == self.now + 1:
            return self.soon
        mail = self._later.get(tick)
        if mail is None:
            mail = self._later[tick] = {}
            heappush(self._dues, tick)
            self.is_plain = False
        return mail

    def next_tick(self) -> int | None:
        """Return the next tick in which anybody has mail, or None."""
        if self.soon or self.waiting:
            return self.now + 1
        while self._dues and self._dues[0] not in self._later:
            heappop(self._dues)
        return self._dues[0] if self._dues else None

    def open(self, tick: int) -> Mail:
        """Make `tick` the current one and return its mail."""
        if self.is_plain and tick == self.now + 1:
            mail, self.soon, self.now = self.soon, {}, tick
            return mail
        mail = self.soon if tick == self.now + 1 else self._later.pop(tick)
        self.turn(tick, {})
        if self.unsorted and tick in self.unsorted:
            self.unsorted.discard(tick)
            for inbox in mail.values():
                inbox.sort(key=canonical_order)
        return mail

    def skip_to(self, tick: int) -> None:
        """Make `tick` the current one; there is no mail up to and including it."""
        if tick > self.now:
            self.turn(tick, {})

    def turn(self, tick: int, page: Mail) -> None:
        """Make `tick` the current one.

        Args:
            tick: It; its own mail was taken.
            page: Empty: serves for the mail of the tick after it, if there is none yet.
        """
        self.now = tick
        self.soon = self._later.pop(tick + 1, page)
        self.is_plain = not self._later and not self.unsorted

    def mark_unsorted(self) -> None:
        """Have all mail that is pending now sorted when its tick opens."""
        self.unsorted.update((self.now + 1, *self._later))
        self.is_plain = False

    def pending(self) -> dict[int, Mail]:
        """Return all future mail by tick, in the order of ticks. Inboxes are the live lists, sorted."""
        for tick in sorted(self.unsorted):
            mail = self.soon if tick == self.now + 1 else self._later.get(tick, {})
            for inbox in mail.values():
                inbox.sort(key=canonical_order)
        self.unsorted.clear()
        everything = {tick: self._later[tick] for tick in sorted(self._later)}
        return {self.now + 1: self.soon, **everything} if self.soon else everything

    def hand_over(self, here: Sequence[bool]) -> list[tuple[int, int, list[Envelope]]]:
        """Remove all future mail for receivers that are not here, and return it.

        Args:
            here: By position, whether a receiver is; then the same from the last position to the first, where the
                complement of a position finds it.

        Returns:
            (tick in which it is due, receiver, inbox), in the order of ticks.
        """
        if self.is_plain:
            soon, due = self.soon, self.now + 1
            return [(due, each, soon.pop(each)) for each in [each for each in soon if not here[each]]]
        leaving: list[tuple[int, int, list[Envelope]]] = []
        later = self._later
        for tick, mail in self.pending().items():
            gone = [each for each in mail if not here[each]]
            if len(gone) == len(mail) and mail is not self.soon:
                del later[tick]
            for receiver in gone:
                leaving.append((tick, receiver, mail.pop(receiver)))
        return leaving

    def take_over(self, letters: Iterable[tuple[int, int, list[Envelope]]], here: Sequence[bool]) -> None:
        """Add mail that another worker handed over: what was sent up to the end of `now`, due after it.

        Args:
            letters: As `hand_over` returns them, to receivers here and elsewhere.
            here: As for `hand_over`.
        """
        for tick, receiver, inbox in letters:
            if not here[receiver]:
                continue
            mail = self.due(tick)
            present = mail.get(receiver)
            if present is None:
                mail[receiver] = inbox
            else:
                present += inbox
                present.sort(key=canonical_order)

    def withdraw(self, position: int, first: int) -> None:
        """Remove all future envelopes that the actor at `position` sent, from message id `first` on."""
        end = first_id(position + 1)
        for mail in self.pending().values():
            for receiver in list(mail):
                kept = [envelope for envelope in mail[receiver] if not first <= envelope[1] < end]
                if kept:
                    mail[receiver] = kept
                else:
                    del mail[receiver]
        self._drop_empty_pages()

    def cancel(self, receiver: int, message: int, prefix: str) -> bool:
        """Remove the message with that id to an entry that begins with `prefix`. Returns whether there was one."""
        for mail in self.pending().values():
            inbox = mail.get(receiver, [])
            for index, envelope in enumerate(inbox):
                if envelope[1] == message and envelope[2].startswith(prefix):
                    del inbox[index]
                    if not inbox:
                        del mail[receiver]
                        self._drop_empty_pages()
                    return True
        return False

    def _drop_empty_pages(self) -> None:
        for tick in [tick for tick, mail in self._later.items() if not mail]:
            del self._later[tick]

    def load(self, now: int, pending: dict[int, Mail]) -> None:
        """Replace everything by what `pending` returned at the end of tick `now`."""
        self.now = now
        self._later = dict(pending)
        self.soon = self._later.pop(now + 1, {})
        self._dues = sorted(self._later)
        self.unsorted = set()
        self.is_plain = not self._later
