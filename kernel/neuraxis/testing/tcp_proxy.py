"""A proxy between a client and a server, which cuts, stalls and slows down what passes through it."""

from __future__ import annotations

import contextlib
import socket
from threading import Event, Lock, Thread
from time import sleep
from typing import Final, final

_PIECE: Final = 1 << 16
_POLL_S: Final = 0.05


@final
class TcpProxy:
    """Listens on a free port of this host and passes bytes on, both ways. A context.

    Example:
        >>> with TcpProxy("127.0.0.1", 6379) as proxy:
        ...     transport = Redis(f"redis://127.0.0.1:{proxy.port}")
        ...     proxy.cut()      # all connections break; new ones are closed at once
        ...     proxy.mend()

    Attributes:
        port: Where it listens, on 127.0.0.1.
        delay_s: How long each piece of a stream waits before it is passed on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay_s = 0.0
        self._whole = True
        self._flowing = Event()
        self._flowing.set()
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        self._closed = False
        self._threads = [self._thread(self._accept)]

    def cut(self) -> None:
        """Break all connections, and every new one, until `mend`."""
        self._whole = False
        self._break()

    def stall(self) -> None:
        """Pass nothing on, while all connections stand, until `mend`: what a lost network looks like."""
        self._flowing.clear()

    def mend(self) -> None:
        """Pass everything on again."""
        self._whole = True
        self._flowing.set()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed = True
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break()
        for thread in self._threads:
            thread.join()

    def _thread(self, work: object, *arguments: object) -> Thread:
        thread = Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _break(self) -> None:
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._connected() if self._whole else None
            if server is None:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            self._threads.append(self._thread(self._pair, client, server))
            if not self._whole or self._closed:
                self._break()

    def _connected(self) -> socket.socket | None:
        try:
            return socket.create_connection(self._target, 5)
        except OSError:
            return None

    def _pair(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on both ways, and let go of both ends when one is done."""
        back = self._thread(self._pass_on, server, client)
        self._pass_on(client, server)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                while not self._flowing.wait(_POLL_S):
                    if self._closed:
                        break
                if self.delay_s:
                    sleep(self.delay_s)
                sink.settimeout(None)
                sink.sendall(piece)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
