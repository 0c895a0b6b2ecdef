"""The transport within one process: a queue for each member. For tests, and for members that are threads."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import TYPE_CHECKING, Final, final

from neuraxis.errors import TransportFailed, TransportUnusable
from neuraxis.seams.transport import check_run_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.transport import Buffer

NAME: Final = "in-process"


@final
class InProcess:
    """Carries frames between the threads of one process, in the order in which they were sent, losing none.

    Two objects of this class know nothing of each other's runs: all members use one.
    """

    name: Final = NAME
    url: Final = f"{NAME}:"

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def __repr__(self) -> str:
        return f"InProcess({sorted(self._runs)})"

    def check(self) -> None:
        """Nothing can be missing."""

    def create(self, run: str) -> None:
        """Reserve the name of a run.

        Raises:
            TransportUnusable: A run of that name is there already, or it is no name.
        """
        check_run_name(NAME, run)
        made = _Run()
        if self._runs.setdefault(run, made) is not made:
            raise TransportUnusable(
                transport=NAME, reason=f"a run {run!r} is there already", remedy="Name it differently, or remove it."
            )

    def join(self, run: str, member: int) -> InProcessLink:
        """Return the link of a member.

        Raises:
            TransportUnusable: There is no such run.
        """
        check_run_name(NAME, run)
        known = self._runs.get(run)
        if known is None:
            raise TransportUnusable(
                transport=NAME, reason=f"there is no run {run!r}", remedy="The conductor creates it first."
            )
        return InProcessLink(known, member)

    def remove(self, run: str) -> None:
        """Forget a run; its links fail from then on."""
        known = self._runs.pop(run, None)
        if known is not None:
            with known.changed:
                known.removed = True
                known.changed.notify_all()


@final
class _Run:
    """The queues of one run."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.removed = False
        self.queues: dict[int, deque[bytes]] = {}


@final
class InProcessLink:
    """One member's end: see `neuraxis.seams.transport.Link`."""

    def __init__(self, run: _Run, member: int) -> None:
        self._run = run
        self._member = member
        self._queue: deque[bytes] = deque()
        self._closed = False
        with run.changed:
            run.queues[member] = self._queue  # takes the place of a member that was there before

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Put one frame into the queue of a member, if it has joined."""
        frame = b"".join(parts)
        with self._run.changed:
            self._refuse_if_gone()
            queue = self._run.queues.get(member)
            if queue is not None:
                queue.append(frame)
                self._run.changed.notify_all()

    def receive(self, timeout: float) -> Buffer | None:
        """Return the next frame, or None after `timeout` seconds without one."""
        with self._run.changed:
            self._run.changed.wait_for(lambda: self._queue or self._run.removed or self._closed, timeout)
            self._refuse_if_gone()
            return self._queue.popleft() if self._queue else None

    def close(self) -> None:
        """Leave the run."""
        with self._run.changed:
            self._closed = True
            if self._run.queues.get(self._member) is self._queue:
                del self._run.queues[self._member]
            self._run.changed.notify_all()

    def _refuse_if_gone(self) -> None:
        if self._run.removed:
            raise TransportFailed(transport=NAME, reason="the run was removed", remedy="Start a new run.")
        if self._closed:
            raise TransportFailed(transport=NAME, reason="this link is closed", remedy="Join again.")
