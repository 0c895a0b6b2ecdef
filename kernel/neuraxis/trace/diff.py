"""Diff: the first place where two runs differ, by tick, actor, message and field.

The journals' block digests tell between which ticks it lies; executing both runs again over that stretch
tells where exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis import codec
from neuraxis.message import message_type
from neuraxis.scheduler.envelope import causes_of
from neuraxis.trace.record import cut, fields_of, message_name, short

if TYPE_CHECKING:
    from neuraxis.blueprint import Execute
    from neuraxis.journal.record import BlockDigest
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.envelope import Envelope

_WHOLE: Final = sys.maxsize
_LEAD: Final = 40
"""Characters shown before those that differ."""


@final
class Difference(Struct, frozen=True):
    """The first difference between two runs.

    Attributes:
        tick: Where it is.
        actor: Path of the receiver.
        message: Which of its messages in that tick, as `path#sequence`, and its place in the inbox.
        field: What differs: `presence`, `port`, `sent`, `source`, `cause`, or a part of the payload.
        a, b: What the two runs have there.
    """

    tick: int
    actor: str
    message: str
    field: str
    a: str
    b: str

    def __str__(self) -> str:
        place = f"tick {self.tick}, {self.actor}, message {self.message}, {self.field}"
        return f"first difference at {place}:\n  A: {self.a}\n  B: {self.b}"


@final
class Window:
    """Keeps the deliveries of some ticks, by tick and path of the receiver."""

    def __init__(self, execute: Execute, first: int, last: int) -> None:
        """Execute a run again and keep the ticks from `first` to `last`."""
        self.ticks: dict[int, dict[str, list[Envelope]]] = {}
        self._first = first
        self._last = last
        self._kept: list[tuple[int, int, list[Envelope]]] = []
        self.paths = execute(self).wiring.paths
        for tick, receiver, inbox in self._kept:
            self.ticks.setdefault(tick, {})[self.paths[receiver]] = inbox

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        if self._first <= tick <= self._last:
            self._kept += [(tick, receiver, list(mail[receiver])) for receiver in order]


def differing_stretch(a: list[BlockDigest], b: list[BlockDigest], end: int) -> tuple[int, int] | None:
    """Return the first and last tick between which the deliveries of two runs begin to differ.

    The chains of the shards tell it; the digests would not, for seed and scenario are in them from the start.

    Args:
        a, b: Block digests of the two runs.
        end: Last tick that both runs reached.

    Returns:
        None if all common blocks agree and reach `end`.
    """
    others = {block.tick: block for block in b}
    sound = -1
    for block in a:
        other = others.get(block.tick)
        if other is None or block.tick > end:
            continue
        if other.shards != block.shards:
            return sound + 1, block.tick
        sound = block.tick
    return (sound + 1, end) if sound < end else None


def first_difference(a: Execute, b: Execute, first: int, last: int) -> Difference | None:
    """Execute two runs again and return their first difference from tick `first` to `last`, or None."""
    return compare(Window(a, first, last), Window(b, first, last))


def compare(a: Window, b: Window) -> Difference | None:
    """Return the first difference between the deliveries of two windows, or None."""
    for tick in sorted({*a.ticks, *b.ticks}):
        actors_a, actors_b = a.ticks.get(tick, {}), b.ticks.get(tick, {})
        for path in sorted({*actors_a, *actors_b}):
            found = _compare_inboxes(actors_a.get(path, []), actors_b.get(path, []), a.paths, b.paths)
            if found is not None:
                message, field, text_a, text_b = found
                return Difference(tick, path, message, field, text_a, text_b)
    return None


def _compare_inboxes(
    a: list[Envelope], b: list[Envelope], paths_a: tuple[str, ...], paths_b: tuple[str, ...]
) -> tuple[str, str, str, str] | None:
    for place in range(max(len(a), len(b))):
        left = a[place] if place < len(a) else None
        right = b[place] if place < len(b) else None
        if left is None or right is None:
            present = left or right
            assert present is not None, "one of two inboxes is longer"
            paths = paths_a if left is not None else paths_b
            text = f"{present[2]} {short(present[3])}"
            name = f"{message_name(paths, present[1])} (place {place})"
            return name, "presence", text if left else "nothing", text if right else "nothing"
        for field, mine, other in _fields(left, right, paths_a, paths_b):
            if mine != other:
                return f"{message_name(paths_a, left[1])} (place {place})", field, mine, other
    return None


def _fields(
    a: Envelope, b: Envelope, paths_a: tuple[str, ...], paths_b: tuple[str, ...]
) -> Iterator[tuple[str, str, str]]:
    yield "source", message_name(paths_a, a[1]), message_name(paths_b, b[1])
    yield "port", a[2], b[2]
    yield "sent", str(a[0]), str(b[0])
    if codec.encode(a[3]) != codec.encode(b[3]):
        yield _payload_difference("payload", a[3], b[3])
    causes_a = ", ".join(message_name(paths_a, each) for each in causes_of(a[4]))
    causes_b = ", ".join(message_name(paths_b, each) for each in causes_of(b[4]))
    yield "cause", causes_a, causes_b


def _payload_difference(where: str, a: Any, b: Any) -> tuple[str, str, str]:
    """Return the smallest part of two payloads that differs, and what stands there."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype:
        unequal = np.flatnonzero(a.reshape(-1).view(np.uint8) != b.reshape(-1).view(np.uint8))
        first = int(unequal[0]) // a.itemsize
        place = ", ".join(str(int(each)) for each in np.unravel_index(first, a.shape)) if a.ndim else ""
        return f"{where}[{place}]", *_told(a.reshape(-1)[first], b.reshape(-1)[first])
    if type(a) is type(b) and message_type(type(a)) is not None:
        for (name, left), (_, right) in zip(fields_of(a), fields_of(b), strict=True):
            if codec.encode(left) != codec.encode(right):
                return _payload_difference(f"{where}.{name}", left, right)
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            if codec.encode(left) != codec.encode(right):
                return _payload_difference(f"{where}[{index}]", left, right)
    return where, *_told(a, b)


def _told(a: Any, b: Any) -> tuple[str, str]:
    """Return two unequal values as short texts that differ too."""
    left, right = (short(each.item() if isinstance(each, np.generic) else each, width=_WHOLE) for each in (a, b))
    if left == right:  # such as two NaNs
        left, right = codec.encode(a).hex(), codec.encode(b).hex()
    first = next((at for at, (x, y) in enumerate(zip(left, right, strict=False)) if x != y), min(len(left), len(right)))
    begin = max(0, first - _LEAD)
    dots = "…" if begin else ""
    return dots + cut(left[begin:]), dots + cut(right[begin:])
