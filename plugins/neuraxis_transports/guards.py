"""What keeps a bus from wearing itself out: breakers before a broker that is away, caution with a topic that is full.

Both depend on calls and on the clock of the bus only.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, final

from neuraxis.errors import TransportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BreakerState = Literal["closed", "open", "trying"]


@final
class Breaker:
    """Stops asking a broker that failed several times in a row; after a pause one call tries it again.

    What counts is a broker that cannot be used. A message that was refused by a rule is an answer of the bus, and one
    that a consumer could not handle says nothing about the broker: neither counts.

    Args:
        what: What it guards, for the error.
        failures_max: Failures in a row after which it opens.
        pause_s: How long it stays open, seconds.
        clock: Seconds.
    """

    def __init__(self, what: str, failures_max: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._what = what
        self._failures_max = failures_max
        self._pause_s = pause_s
        self._clock = clock
        self._failures = 0
        self._opened_at = 0.0
        self._reason = ""

    @property
    def state(self) -> BreakerState:
        """`open`: calls fail at once; `trying`: the next one is let through, and decides."""
        if self._failures < self._failures_max:
            return "closed"
        return "open" if self._left_s() > 0 else "trying"

    def _left_s(self) -> float:
        waited = self._clock() - self._opened_at
        return self._pause_s - waited if waited >= 0 else 0.0  # a clock that was set back must not hold it open

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Let one use of the broker through, or none.

        Raises:
            TransportFailed: The broker failed, now or too often before.
        """
        if self.state == "open":
            raise TransportFailed(
                transport="bus",
                reason=f"{self._what} failed {self._failures} times in a row, last because {self._reason}",
                remedy=f"Try again in {self._left_s():.1f} s; until then the broker is left alone.",
            )
        try:
            yield
        except TransportFailed as error:
            self._failures += 1
            self._reason, self._opened_at = error.reason, self._clock()
            raise
        self._failures = 0


@final
class Caution:
    """Topics in conservative mode: they were nearly full, and take only what matters until they have drained.

    Args:
        from_messages: Messages in the lane at which the mode begins.
        to_messages: Messages down to which it must drain.
        least_s: How long the mode lasts at least, seconds.
        clock: Seconds.
    """

    def __init__(self, from_messages: int, to_messages: int, least_s: float, clock: Callable[[], float]) -> None:
        self._from = from_messages
        self._to = to_messages
        self._least_s = least_s
        self._clock = clock
        self._since: dict[str, float] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """Those in conservative mode."""
        return tuple(sorted(self._since))

    def refuses(self, topic: str, length: Callable[[], int]) -> bool:
        """Tell whether a topic is, and stays, in conservative mode.

        Args:
            topic: The topic.
            length: Asks for the messages of its lane; not called before the mode may end.
        """
        since = self._since.get(topic)
        if since is None:
            return False
        if 0 <= self._clock() - since < self._least_s or length() > self._to:
            return True
        del self._since[topic]
        return False

    def shed(self, topic: str, length: Callable[[], int]) -> None:
        """Take note that a topic was too full for a message."""
        if length() >= self._from:
            self._since[topic] = self._clock()
