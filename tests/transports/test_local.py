"""The transport between processes of one host."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from neuraxis.cluster import local, local_stream
from neuraxis.cluster.local import Local
from neuraxis.errors import TransportUnusable
from neuraxis.testing import TransportSuite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuraxis.cluster.local import LocalLink

ECHO = """
import sys
from neuraxis.cluster.local import Local
link = Local(sys.argv[1]).join("digits", 2)
while True:
    link.send(1, [b"here"])
    frame = link.receive(0.02)
    while frame is not None:
        link.send(1, [b"echo", frame])
        frame = link.receive(0.02)
"""


class TestLocal(TransportSuite):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("local")
        folder.chmod(0o700)
        self.folder = folder

    def transport(self) -> Local:
        return Local(f"local:{self.folder}")


@contextmanager
def echo(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is member 2, says that it is here, and sends back what it gets; killed at the end."""
    child = subprocess.Popen([sys.executable, "-c", ECHO, url])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def answered(link: LocalLink, frame: bytes) -> bool:
    """Send a frame until it comes back."""
    until = monotonic() + 30
    while monotonic() < until:
        link.send(2, [frame])
        if link.receive(0.1) == b"echo" + frame:
            return True
    return False


def test_a_temporary_folder_is_private_and_gone_after_the_run() -> None:
    transport = Local()
    assert transport.url == "local:"
    transport.create("digits")
    folder = Path(transport.url.removeprefix("local:"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "digits").stat().st_mode) == 0o700
    transport.remove("digits")
    assert not folder.exists()


def test_processes_reach_each_other_by_the_url_and_a_killed_one_can_be_replaced() -> None:
    transport = Local()
    transport.create("digits")
    link = transport.join("digits", 1)
    for number in range(2):
        with echo(transport.url):
            assert answered(link, bytes(500_000) + bytes([number]))
    link.close()
    transport.remove("digits")


def test_a_member_that_is_stopped_holds_up_nobody_and_is_replaced() -> None:
    transport = Local()
    transport.create("digits")
    link = transport.join("digits", 1)
    with echo(transport.url) as stopped:
        assert answered(link, b"x")
        stopped.send_signal(signal.SIGSTOP)
        for _ in range(10):
            link.send(2, [bytes(5_000_000)])
        with echo(transport.url):
            assert answered(link, b"y")
    link.close()
    transport.remove("digits")


def test_frames_to_a_member_that_does_not_read_are_dropped_whole_beyond_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_stream, "WAITING_BYTES_MAX", 10_000_000)
    monkeypatch.setattr(local, "CLOSE_WAIT_S", 0.1)
    transport = Local()
    transport.create("digits")
    one, two = transport.join("digits", 1), transport.join("digits", 2)
    for number in range(40):
        one.send(2, [bytes([number]) * 1_000_000])
    got = []
    while (frame := two.receive(0.05)) is not None:
        assert bytes(frame) == bytes([frame[0]]) * 1_000_000
        got.append(frame[0])
        one.receive(0)
    assert got == sorted(got)
    assert 10 <= len(got) < 40
    one.close()
    two.close()
    transport.remove("digits")


@pytest.mark.parametrize("url", ["local:relative", "local://host", "local", "tcp://x"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(TransportUnusable, match="Write local:"):
        Local(url)


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for act in (lambda t: t.check(), lambda t: t.create("digits"), lambda t: t.join("digits", 1)):
        with pytest.raises(TransportUnusable, match="chmod 700"):
            act(Local(f"local:{tmp_path}"))


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TransportUnusable, match="shorter"):
        Local(f"local:{tmp_path / ('x' * 100)}").create("digits")


def test_a_stream_that_is_no_member_harms_nobody(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    transport = Local(f"local:{tmp_path}")
    transport.create("digits")
    one, two = transport.join("digits", 1), transport.join("digits", 2)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(os.fspath(tmp_path / "digits" / "2.sock"))
        stranger.sendall(b"\x01\0\0\0" + b"\xff" * 5_000)
        assert two.receive(0.05) is None
        one.send(2, [b"x"])
        assert two.receive(5) == b"x"
    one.close()
    two.close()


def test_links_in_threads_of_their_own_do_not_disturb_each_other() -> None:
    transport = Local()
    transport.create("digits")
    main = transport.join("digits", 1)
    two = transport.join("digits", 2)
    heartbeat = transport.join("digits", 3)
    thread = threading.Thread(target=lambda: [heartbeat.send(2, [b"beat"]) for _ in range(100)])
    thread.start()
    for _ in range(100):
        main.send(2, [b"main"])
    frames = [two.receive(5) for _ in range(200)]
    thread.join()
    assert sorted(frames) == [b"beat"] * 100 + [b"main"] * 100  # type: ignore[type-var]
    for link in (main, two, heartbeat):
        link.close()
    transport.remove("digits")
