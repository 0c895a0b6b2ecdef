"""Why: from a message back to the inputs that caused it.

Causes are not kept while a run goes on: they cost memory, and a run can be executed again. The first
execution notes who caused whom, a few bytes a delivery; the second keeps the messages on the way.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import UsageInvalid, suggestion
from neuraxis.scheduler.envelope import SEQUENCE_MASK, activation_of, causes_of, first_id, source_of
from neuraxis.trace.record import Delivery, delivery, message_name
from neuraxis.wiring import INPUT, STARTER

if TYPE_CHECKING:
    from neuraxis.blueprint import Execute
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.wiring import Wiring

_NO_CAUSE: Final = -(2**63)

MESSAGES_MAX: Final = 10_000
"""Messages that an explanation holds at most."""

NAMING: Final = 'A message is named path#sequence, counting from 0; trace = "full" lists all of them.'


@final
class Step(Struct, frozen=True):
    """One message of an explanation.

    Attributes:
        name: Its id, `path#sequence`.
        deliveries: Where it went, among the actors on the way.
        causes: Ids of the messages that it rests on.
        is_root: Whether it is an input, or the start of an actor.
    """

    name: str
    deliveries: tuple[Delivery, ...]
    causes: tuple[str, ...]
    is_root: bool


@final
class Explanation(Struct, frozen=True):
    """All messages that one message rests on, nearest first.

    Attributes:
        message: The message that was asked about.
        steps: It and its causes, by id.
        roots: Ids of the inputs and starts at which the chains end.
        truncated: Whether there were more than `MESSAGES_MAX`.
    """

    message: str
    steps: dict[str, Step]
    roots: tuple[str, ...]
    truncated: bool

    def lines(self, *, limit: int = 60) -> list[str]:
        """Return the explanation as a tree of at most `limit` messages; where several causes meet, it indents."""
        lines: list[str] = []
        seen: set[str] = set()
        stack = [(self.message, 0)]
        while stack and len(lines) < limit:
            name, depth = stack.pop()
            step = self.steps.get(name)
            arrow = "<- " if lines else ""
            text = f"{'  ' * depth}{arrow}{_told(step) if step is not None else name + ' …'}"
            if name in seen:
                lines.append(f"{text}  (see above)")
                continue
            seen.add(name)
            lines.append(text)
            if step is not None:
                deeper = depth + (len(step.causes) > 1)
                stack += [(cause, deeper) for cause in reversed(step.causes)]
        hidden = len(self.steps.keys() - seen)
        if hidden or self.truncated:
            lines.append(f"… and {f'at least {hidden + 1}' if self.truncated else hidden} more messages")
        lines.append(f"begins with: {', '.join(self.roots[:10])}{' …' if len(self.roots) > 10 else ''}")
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _told(step: Step) -> str:
    first, *more = step.deliveries
    others = f" and {len(more)} more" if more else ""
    return f"{step.name}: {first.payload}  ->  {first.target}.{first.port}{others}, tick {first.tick}"


def explain(execute: Execute, wanted: int | str) -> Explanation:
    """Explain a message.

    Args:
        execute: Executes the run once more with an observer.
        wanted: The message's id, or `path#sequence`.

    Raises:
        UsageInvalid: No such message was delivered.
    """
    ledger = _Ledger()
    wiring = execute(ledger).wiring
    message = _parse(wiring, wanted) if isinstance(wanted, str) else wanted
    if not 0 <= message < first_id(len(wiring.paths)):
        raise UsageInvalid(what=f"there is no message {wanted!r}", remedy=NAMING)
    causes, truncated = ledger.walk(message)
    if not causes:
        raise UsageInvalid(
            what=f"no message {message_name(wiring.paths, message)} was delivered",
            remedy=NAMING,
        )
    keeper = _Keeper(set(causes))
    execute(keeper)
    return _explanation(wiring, message, causes, keeper, truncated=truncated)


def _explanation(
    wiring: Wiring, message: int, causes: dict[int, tuple[int, ...]], keeper: _Keeper, *, truncated: bool
) -> Explanation:
    paths = wiring.paths
    outside = (wiring.position[INPUT], wiring.position[STARTER])
    steps = {}
    for each, because in causes.items():
        deliveries = tuple(delivery(wiring, tick, to, envelope) for tick, to, envelope in keeper.kept.get(each, ()))
        names = tuple(message_name(paths, cause) for cause in because)
        name = message_name(paths, each)
        steps[name] = Step(name, deliveries, names, source_of(each) in outside)
    roots = tuple(name for name, step in steps.items() if step.is_root)
    return Explanation(message_name(paths, message), steps, roots, truncated)


def _parse(wiring: Wiring, text: str) -> int:
    path, mark, sequence = text.rpartition("#")
    if not mark or not sequence.isdecimal():
        raise UsageInvalid(what=f"{text!r} names no message", remedy="Write path#sequence, such as relay/03#17.")
    if path not in wiring.position:
        raise UsageInvalid(what=f"there is no actor {path!r}", remedy=suggestion(path, wiring.paths))
    return first_id(wiring.position[path]) + min(int(sequence[:15]), SEQUENCE_MASK)  # more digits are more than any


@final
class _Ledger:
    """Notes for every delivery: message, first cause, receiver, tick; 32 bytes each."""

    def __init__(self) -> None:
        self._messages, self._causes = array("Q"), array("q")
        self._receivers, self._ticks = array("q"), array("q")
        self._evidence: dict[int, tuple[int, ...]] = {}

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        for receiver in order:
            for _, message, _, _, cause in mail[receiver]:
                if isinstance(cause, tuple):
                    self._evidence[message] = causes_of(cause)
                    cause = cause[0]
                self._messages.append(message)
                self._causes.append(_NO_CAUSE if cause is None else cause)
                self._receivers.append(receiver)
                self._ticks.append(tick)

    def walk(self, wanted: int) -> tuple[dict[int, tuple[int, ...]], bool]:
        """Return the messages that lead to `wanted` with their causes, nearest first, and whether some are left out."""
        messages = np.frombuffer(self._messages, np.uint64) if self._messages else np.empty(0, np.uint64)
        causes = np.frombuffer(self._causes, np.int64) if self._causes else np.empty(0, np.int64)
        by_message = np.argsort(messages, kind="stable")
        inboxes = self._inboxes()
        found: dict[int, tuple[int, ...]] = {}
        queue = deque([wanted])
        while queue and len(found) < MESSAGES_MAX:
            message = queue.popleft()
            if message in found:
                continue
            at = int(np.searchsorted(messages, np.uint64(message), sorter=by_message))
            if at == len(messages) or int(messages[by_message[at]]) != message:
                continue
            first = int(causes[by_message[at]])
            direct = self._evidence.get(message) or causes_of(None if first == _NO_CAUSE else first)
            expanded: list[int] = []
            for cause in direct:
                expanded += inboxes.get(activation_of(cause), []) if cause < 0 else [cause]
            found[message] = tuple(expanded)
            queue.extend(expanded)
        return found, any(message not in found for message in queue)

    def _inboxes(self) -> dict[tuple[int, int], list[int]]:
        """Return the messages that went into each activation which is a cause."""
        wanted = {activation_of(cause) for cause in self._causes if _NO_CAUSE < cause < 0}
        wanted |= {activation_of(cause) for causes in self._evidence.values() for cause in causes if cause < 0}
        inboxes: dict[tuple[int, int], list[int]] = {key: [] for key in wanted}
        if wanted:
            for message, receiver, tick in zip(self._messages, self._receivers, self._ticks, strict=True):
                if (receiver, tick) in inboxes:
                    inboxes[receiver, tick].append(message)
        return inboxes


@final
class _Keeper:
    """Keeps the deliveries of some messages."""

    def __init__(self, wanted: set[int]) -> None:
        self._wanted = wanted
        self.kept: dict[int, list[tuple[int, int, tuple[int, int, str, object, object]]]] = {}

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        for receiver in order:
            for envelope in mail[receiver]:
                if envelope[1] in self._wanted:
                    self.kept.setdefault(envelope[1], []).append((tick, receiver, envelope))
