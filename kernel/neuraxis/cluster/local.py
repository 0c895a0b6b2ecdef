"""The transport between processes of one host: Unix-domain sockets in a private folder.

    FOLDER/RUN/MEMBER.sock      where a member listens

Each member connects to another when it first sends to it, and then sends only in that direction: a connection
carries the frames of one sender, so their order is that of the stream. What the kernel's buffer does not take is
copied, and a thread sends it on: nobody ever waits for a peer to read, so two members that send each other big
frames cannot lock each other up, and what was sent goes out while its sender computes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import stat
import tempfile
from collections import deque
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final, final

from neuraxis.cluster.local_stream import HELLO, Incoming, Outgoing
from neuraxis.errors import TransportFailed, TransportUnusable
from neuraxis.seams.transport import check_run_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuraxis.seams.transport import Buffer

NAME: Final = "local"


CLOSE_WAIT_S: Final = 5.0
"""How long `close` waits at most for members to take what was sent."""


_PATH_BYTES_MAX: Final = 107
LOOKS: Final = 30
"""Looks before a wait: a peer with as much to do is often ready within the time that it takes to wake up."""

LOOKS_ALONE: Final = 250
"""The same, about a quarter of a millisecond, of a process that takes nobody's time by looking."""

_SOCKET_BUFFER: Final = 4 << 20


@final
class Local:
    """Carries frames between processes of one user on one host.

    Args:
        url: `local:` makes a folder for temporary files when a run is created; `local:/path` names it. The folder
            must be the user's own, and closed to others.

    Attributes:
        looks: How often links look for a frame before they sleep. Each takes about a microsecond.
    """

    name: Final = NAME

    def __init__(self, url: str = "local:") -> None:
        text = url.removeprefix("local:")
        if not url.startswith("local:") or text.startswith("//") or (text and not os.path.isabs(text)):
            raise TransportUnusable(
                transport=NAME, reason=f"{url!r} is no URL of it", remedy="Write local: or local:/absolute/path."
            )
        self._folder = Path(text) if text else None
        self._temporary = not text
        self.looks = LOOKS

    @property
    def url(self) -> str:
        """`local:/path`, by which other processes can join, once a run was created."""
        return f"{NAME}:{self._folder or ''}"

    def __repr__(self) -> str:
        return f"Local({self.url!r})"

    def check(self) -> None:
        """See that the folder is the user's own and closed to others, if it is there already.

        Raises:
            TransportUnusable: It is not.
        """
        folder = self._folder
        if folder is None or not folder.exists():
            return
        facts = folder.stat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise TransportUnusable(
                transport=NAME,
                reason=f"{folder} is no folder of this user that is closed to others",
                remedy=f"Run: chmod 700 {folder}, or name a folder that is not there yet.",
            )

    def create(self, run: str) -> None:
        """Make the folder of a run.

        Raises:
            TransportUnusable: It is there already, cannot be made, or its path is too long for a socket.
        """
        check_run_name(NAME, run)
        self.check()
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="neuraxis-"))
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = self._folder / run
            if len(os.fsencode(folder / "4294967295.sock")) > _PATH_BYTES_MAX:
                raise TransportUnusable(
                    transport=NAME,
                    reason=f"the path {folder} is too long for a socket",
                    remedy="Name a shorter folder, local:/tmp/…, or a shorter run.",
                )
            folder.mkdir(mode=0o700)
        except FileExistsError as error:
            raise TransportUnusable(
                transport=NAME,
                reason=f"a run {run!r} is there already",
                remedy=f"Give its folder another name; if nobody runs it any more, delete {folder}.",
            ) from error
        except OSError as error:
            raise TransportUnusable(
                transport=NAME, reason=f"the folder cannot be made: {error}", remedy="Name another with local:/path."
            ) from error

    def join(self, run: str, member: int) -> LocalLink:
        """Listen in the folder of a run, in the place of whoever was this member before.

        Raises:
            TransportUnusable: There is no such run, or the folder lets no socket be made.
        """
        check_run_name(NAME, run)
        self.check()
        folder = self._folder / run if self._folder is not None else None
        if folder is None or not folder.is_dir():
            raise TransportUnusable(
                transport=NAME,
                reason=f"there is no run {run!r} at {self.url}",
                remedy="The conductor creates it first.",
            )
        return LocalLink(folder, member, self.looks)

    def remove(self, run: str) -> None:
        """Delete the folder of a run, and the folder around it if it was made for this run."""
        if self._folder is None:
            return
        shutil.rmtree(self._folder / run, ignore_errors=True)
        if self._temporary:
            with contextlib.suppress(OSError):  # other runs are in it
                self._folder.rmdir()
                self._folder = None


@final
class LocalLink:
    """One member's end: see `neuraxis.seams.transport.Link`."""

    def __init__(self, folder: Path, member: int, looks: int) -> None:
        self._folder = folder
        self._member = member
        self._looks = looks
        self._path = folder / f"{member}.sock"
        self._ready: deque[Buffer] = deque()
        self._out: dict[int, Outgoing] = {}
        self._in: dict[int, Incoming] = {}
        self._closed = False
        replaces = self._path.exists()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._inode = self._listen()
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        if replaces:
            self._announce()

    def _listen(self) -> int:
        """Take the place of the socket atomically, so that others find either the old or the new one."""
        new = self._folder / f"{os.getpid()}.{self._listener.fileno()}"
        try:
            self._listener.bind(os.fspath(new))
            self._listener.listen(128)
            inode = new.stat().st_ino
            new.rename(self._path)
        except OSError as error:
            self._listener.close()
            raise TransportUnusable(
                transport=NAME,
                reason=f"no socket can be made in {self._folder}: {error}",
                remedy="Name another folder.",
            ) from error
        return inode

    def _announce(self) -> None:
        """Connect to all who may still be connected to a member that this one replaces: the hello tells them."""
        for path in sorted(self._folder.glob("*.sock")):
            if path != self._path and path.stem.isdigit():
                self._connect(int(path.stem))

    # ------------------------------------------------------------------------------ sending

    def send(self, member: int, parts: Sequence[Buffer]) -> None:
        """Send one frame; drop it if the member is not there, or does not read for long.

        Raises:
            TransportFailed: The run was removed, or this link is closed.
        """
        for _ in range(2):
            out = self._out.get(member) or self._connect(member)
            if out is None:
                return
            try:
                out.send(parts)
            except ConnectionError:
                self._drop(member)  # replaced or ended: who is there now gets the frame, from its start
            else:
                return

    def _connect(self, member: int) -> Outgoing | None:
        if self._closed:
            raise TransportFailed(transport=NAME, reason="this link is closed", remedy="Join again.")
        path = os.fspath(self._folder / f"{member}.sock")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            inode = os.stat(path).st_ino
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
            sock.connect(path)
            sock.send(HELLO.pack(self._member))
        except OSError:  # not there yet, or no more: as if cut
            sock.close()
            self._refuse_if_removed()
            return None
        out = self._out[member] = Outgoing(sock, inode)
        return out

    def _drop(self, member: int) -> None:
        self._out.pop(member).close(0.0)

    # ---------------------------------------------------------------------------- receiving

    def receive(self, timeout: float) -> Buffer | None:
        """Return the next frame, or None after `timeout` seconds without one.

        Raises:
            TransportFailed: The run was removed, or this link is closed.
        """
        if self._ready:
            return self._ready.popleft()
        if self._closed:
            raise TransportFailed(transport=NAME, reason="this link is closed", remedy="Join again.")
        until = monotonic() + timeout
        left = timeout
        for _ in range(self._looks if timeout > 0 else 0):
            self._turn(0.0)
            if self._ready:
                return self._ready.popleft()
        while True:
            self._turn(left)
            if self._ready:
                return self._ready.popleft()
            left = until - monotonic()
            if left <= 0:
                self._refuse_if_removed()
                return None

    def _turn(self, timeout: float) -> None:
        """Wait for something to do, and do it."""
        for fd, _ in self._epoll.poll(timeout):
            incoming = self._in.get(fd)
            if incoming is None:
                self._accept()
            elif not incoming.read(self._ready):
                self._epoll.unregister(fd)
                self._in.pop(fd).sock.close()
            elif incoming.hello:
                incoming.hello = False
                self._greeted(incoming.sender)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            self._in[sock.fileno()] = Incoming(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _greeted(self, member: int) -> None:
        """A member connected: if it replaces one to which this one is connected, the next frame goes to the new."""
        out = self._out.get(member)
        if out is not None and out.inode != self._inode_of(member):
            self._drop(member)

    def _inode_of(self, member: int) -> int:
        try:
            return os.stat(self._folder / f"{member}.sock").st_ino
        except OSError:
            return 0

    def _refuse_if_removed(self) -> None:
        if not self._folder.is_dir():
            raise TransportFailed(transport=NAME, reason="the run was removed", remedy="Start a new run.")

    # ------------------------------------------------------------------------------ closing

    def close(self) -> None:
        """Wait until all is sent, for `CLOSE_WAIT_S` at most, and let go of everything."""
        if self._closed:
            return
        self._closed = True
        until = monotonic() + CLOSE_WAIT_S
        for out in self._out.values():
            out.close(until - monotonic())
        for incoming in self._in.values():
            incoming.sock.close()
        self._epoll.close()
        self._listener.close()
        if self._inode_of(self._member) == self._inode:
            self._path.unlink(missing_ok=True)
        self._ready.clear()
        self._out.clear()
        self._in.clear()
