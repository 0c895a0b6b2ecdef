"""The seam of transports: how the members of a distributed run reach each other.

A run over several workers has members: the conductor, number 0, and the workers, from 1 on. Each has one link.
A transport carries frames, whole or not at all; it may lose, repeat, delay and reorder them, and a link may be
away for a while. `neuraxis.cluster` numbers, repeats and checks what it sends, so no result depends on a transport:
`neuraxis.testing.transport_suite` proves what is written here, of every transport.

    transport = Nats("nats://127.0.0.1:4222")
    transport.check()                       # refuses before tick 0
    transport.create("digits-7")            # the conductor reserves the name of the run
    link = transport.join("digits-7", 1)    # a worker, perhaps in another process
    link.send(2, b"frame")
    frame = link.receive(timeout=0.5)       # None if nothing came
    link.close()
    transport.remove("digits-7")            # the conductor, at the end
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from neuraxis.errors import TransportUnusable

Buffer = bytes | bytearray | memoryview

_RUN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

CONDUCTOR: Final = 0
"""The member that starts workers, watches them, and ends the run."""


@runtime_checkable
class Link(Protocol):
    """One member's end. It is used by one thread at a time. A member has one: to join again is to replace it."""

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Send one frame, given in parts, to a member; of any size. Returns soon; does not wait for the receiver.

        While the way is cut, frames may be dropped: whoever needs them sends them again.

        Raises:
            TransportFailed: The way is cut for good: no reconnection can help (refused password, removed run).
        """

    def receive(self, timeout: float) -> Buffer | None:
        """Return the next frame for this member, or None after `timeout` seconds without one.

        Frames from one sender come in the order in which they were sent, where nothing was lost or repeated.
        The bytes are the caller's to keep. With timeout 0 only what is here already is returned.

        Raises:
            TransportFailed: As for `send`.
        """

    def close(self) -> None:
        """Let go of everything; what was sent before is still delivered if the way is there. Twice is harmless."""


@runtime_checkable
class Transport(Protocol):
    """A way between members, made from a URL; never holds a secret in what it prints."""

    @property
    def name(self) -> str:
        """The scheme by which scenarios and `--transport` ask for it."""

    @property
    def url(self) -> str:
        """The URL as it may be printed: without password or token."""

    def check(self) -> None:
        """Reach the other side once and see that it can do what is needed.

        Raises:
            TransportUnusable: Nobody answers at the URL, the password is wrong, the broker is too old or lacks a
                feature; the remedy names what to change.
        """

    def create(self, run: str) -> None:
        """Reserve the name of a run, and make what its members need.

        Args:
            run: Up to 100 letters, digits, `-`, `_` and `.`; neither `-` nor `.` first (`check_run_name`).

        Raises:
            TransportUnusable: A run of that name is there already, or it is no name.
        """

    def join(self, run: str, member: int) -> Link:
        """Return the link of a member of a run that was created. Frames that were sent before may be missing.

        A member that joins a second time (its process was replaced) gets what comes from then on.

        Raises:
            TransportUnusable: There is no such run.
        """

    def remove(self, run: str) -> None:
        """Delete everything of a run from the other side. Harmless if there is nothing."""


def check_run_name(transport: str, run: str) -> None:
    """Refuse what cannot be the name of a run: each transport does in `create` and `join`.

    Args:
        transport: Name of the transport, for the error.
        run: The name.

    Raises:
        TransportUnusable: It is empty, too long, or has other characters than `create` says.
    """
    if _RUN_NAME.fullmatch(run) is None:
        raise TransportUnusable(
            transport=transport,
            reason=f"{run[:120]!r} cannot be the name of a run",
            remedy="Take up to 100 letters, digits, -, _ and . (neither - nor . first).",
        )
