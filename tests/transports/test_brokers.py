"""What both brokers must survive: being killed, cut, stalled; and whom they refuse."""

from __future__ import annotations

import itertools
from time import monotonic
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("nats")
pytest.importorskip("redis")

from neuraxis.errors import TransportFailed, TransportUnusable
from neuraxis.testing.tcp_proxy import TcpProxy
from neuraxis_transports.nats import Nats
from neuraxis_transports.redis import Redis
from tests.transports.brokers import NatsServer, RedisServer, Server, found, free_port, may_mount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from neuraxis.seams.transport import Link, Transport

KINDS = [pytest.param((NatsServer, Nats), id="nats"), pytest.param((RedisServer, Redis), id="redis")]
SECRET = "correct-horse-battery"


class Broker:
    """A server of one kind, and the transport over it."""

    def __init__(self, kind: tuple[type[Server], Callable[[str], Transport]], folder: Path) -> None:
        self.server_class, self.make = kind
        self.folder = folder
        found(self.server_class)

    def server(self, *options: str) -> Server:
        return self.server_class(self.folder, *options)

    def with_password(self) -> Server:
        redis = self.server_class is RedisServer
        return self.server("--requirepass", SECRET) if redis else self.server("--user", "ann", "--pass", SECRET)

    @property
    def user(self) -> str:
        return "default" if self.server_class is RedisServer else "ann"


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Broker:
    return Broker(request.param, tmp_path)


@pytest.fixture
def pair(broker: Broker) -> Iterator[tuple[Server, TcpProxy, Link, Link]]:
    """A server, a proxy before it, and two links: the first through the proxy."""
    with broker.server() as server, TcpProxy("127.0.0.1", server.port) as proxy:
        direct = broker.make(server.url)
        direct.create("digits")
        one = broker.make(f"{server.scheme}://127.0.0.1:{proxy.port}").join("digits", 1)
        two = direct.join("digits", 2)
        yield server, proxy, one, two
        one.close()
        two.close()


_numbers = itertools.count(1)


def carried(sender: Link, member: int, receiver: Link) -> bool:
    """Send a frame of its own kind again and again until it arrives."""
    frame = next(_numbers).to_bytes(8, "little") * 50_000
    until = monotonic() + 30
    while monotonic() < until:
        sender.send(member, [frame])
        while (got := receiver.receive(0.05)) is not None:
            if got == frame:
                return True
    return False


def both_ways(one: Link, two: Link) -> bool:
    return carried(one, 2, two) and carried(two, 1, one)


def next_short(link: Link) -> bytes | None:
    """The next frame of one byte; those that `carried` sent once too often are passed over."""
    until = monotonic() + 30
    while monotonic() < until:
        frame = link.receive(0.1)
        if frame is not None and len(frame) == 1:
            return bytes(frame)
    return None


def both_ways_alternating(one: Link, two: Link) -> bool:
    """As `both_ways`; each looks around now and then, so that one that lost its stream can make it again."""
    for _ in range(3):
        two.receive(0.05)
        one.receive(0.05)
    return both_ways(one, two)


def test_a_server_that_is_killed_and_started_again_carries_on(pair: tuple[Server, TcpProxy, Link, Link]) -> None:
    server, _, one, two = pair
    assert both_ways(one, two)
    for _ in range(2):
        server.kill()
        for link in (one, two):
            link.send(3, [b"lost"])
            link.receive(0.05)
            link.send(3, [bytes(500_000)])
        server.start()
        assert both_ways(one, two)


def test_a_broken_connection_is_made_again(pair: tuple[Server, TcpProxy, Link, Link]) -> None:
    _, proxy, one, two = pair
    assert both_ways(one, two)
    for _ in range(3):
        proxy.cut()
        one.send(2, [bytes(500_000)])
        one.receive(0.05)
        proxy.mend()
        assert both_ways(one, two)


@pytest.mark.slow
def test_a_connection_that_stalls_is_made_again(pair: tuple[Server, TcpProxy, Link, Link]) -> None:
    _, proxy, one, two = pair
    assert both_ways(one, two)
    proxy.stall()
    until = monotonic() + 8
    while monotonic() < until:
        one.send(2, [b"x"])
        one.receive(0.1)
    proxy.mend()
    assert both_ways(one, two)


def test_a_slow_connection_carries_everything(pair: tuple[Server, TcpProxy, Link, Link]) -> None:
    _, proxy, one, two = pair
    proxy.delay_s = 0.01
    for number in range(20):
        one.send(2, [bytes([number])])
        two.send(1, [bytes([number])])
    assert [two.receive(30) for _ in range(20)] == [bytes([number]) for number in range(20)]
    assert [one.receive(30) for _ in range(20)] == [bytes([number]) for number in range(20)]


def test_what_came_while_the_connection_was_broken_is_read_afterwards(
    pair: tuple[Server, TcpProxy, Link, Link],
) -> None:
    _, proxy, one, two = pair
    assert both_ways(one, two)
    proxy.cut()
    one.receive(0.05)
    for number in range(10):
        two.send(1, [bytes([number])])
    two.receive(0.1)
    proxy.mend()
    assert [next_short(one) for _ in range(10)] == [bytes([number]) for number in range(10)]


@pytest.mark.parametrize("disk_megabytes", [0, pytest.param(48, marks=pytest.mark.slow)])
def test_a_broker_that_is_full_is_refused_and_carries_on_once_it_has_room(broker: Broker, disk_megabytes: int) -> None:
    if disk_megabytes and not may_mount():
        pytest.skip("this user cannot mount a disk of a few megabytes")
    with broker.server_class(broker.folder, disk_megabytes=disk_megabytes, store_megabytes=48) as server:
        url = server.url + ("?megabytes=16" if broker.server_class is NatsServer else "")
        transport = broker.make(url)
        transport.create("digits")
        one, two = transport.join("digits", 1), transport.join("digits", 2)
        assert both_ways(one, two)
        server.fill()
        for number in range(6):
            one.send(2, [bytes(20_000)])
            while (frame := two.receive(0.2)) is not None:  # a server finds out by what it could not write
                assert len(frame) != 20_000 or number == 0, "it was not full"
        with pytest.raises(TransportUnusable, match=r"takes nothing more|no room|cannot store|did not come back"):
            transport.check()
        server.free()
        assert both_ways(one, two)
        transport.check()
        one.close()
        two.close()


def test_a_redis_that_forgot_everything_carries_on(tmp_path: Path) -> None:
    found(RedisServer)
    with RedisServer(tmp_path, "--appendonly", "no") as server:
        transport = Redis(server.url)
        transport.create("digits")
        one, two = transport.join("digits", 1), transport.join("digits", 2)
        assert both_ways(one, two)
        server.kill()
        server.start()
        assert both_ways_alternating(one, two)
        transport.remove("digits")
        with pytest.raises(TransportFailed, match="removed"):
            one.receive(30)
        one.close()
        two.close()


def test_a_nats_server_that_forgot_everything_ends_the_run(tmp_path: Path) -> None:
    found(NatsServer)
    with NatsServer(tmp_path) as server:
        transport = Nats(server.url + "?storage=memory")
        transport.create("digits")
        link = transport.join("digits", 1)
        server.kill()
        server.start()
        with pytest.raises(TransportFailed, match="removed"):
            link.receive(30)
        link.close()


# ------------------------------------------------------------------------------- refusals


def refusals(transport: Transport) -> list[str]:
    texts = []
    for act in (transport.check, lambda: transport.create("digits"), lambda: transport.join("digits", 1)):
        with pytest.raises(TransportUnusable) as caught:
            act()
        texts.append(str(caught.value))
    return texts


def test_nobody_at_the_url_is_refused_with_the_remedy(broker: Broker) -> None:
    url = f"{broker.server_class.scheme}://127.0.0.1:{free_port()}"
    for text in refusals(broker.make(url)):
        assert f"nobody answers at {url}" in text
        assert "Start a server there" in text


def test_a_wrong_password_is_refused_and_not_printed(broker: Broker) -> None:
    with broker.with_password() as server:
        wrong = broker.make(server.url.replace("//", f"//{broker.user}:wrong-secret@"))
        for text in (*refusals(wrong), wrong.url, repr(wrong)):
            assert "wrong-secret" not in text
            assert SECRET not in text
        assert "refuses this user" in refusals(wrong)[0]
        assert "refuses this user" in refusals(broker.make(server.url))[0]


def test_the_password_comes_from_the_environment_a_file_or_the_url(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with broker.with_password() as server:
        named = server.url.replace("//", f"//{broker.user}@")
        (tmp_path / "secret").write_text(SECRET + "\n")
        broker.make(f"{named}?password_file={tmp_path}/secret").check()
        broker.make(server.url.replace("//", f"//{broker.user}:{SECRET}@")).check()
        monkeypatch.setenv("NEURAXIS_TRANSPORT_PASSWORD", SECRET)
        transport = broker.make(named)
        transport.check()
        assert transport.url == named
        assert SECRET not in repr(transport)
        broker.make(transport.url).check()


def test_a_user_that_is_refused_later_fails_and_never_hangs(broker: Broker) -> None:
    with broker.server() as server:
        transport = broker.make(server.url)
        transport.create("digits")
        link = transport.join("digits", 1)
        server.kill()
        server.options = broker.with_password().options
        server.start()
        with pytest.raises(TransportFailed, match="refuses this user"):
            link.receive(30)
        link.close()


def test_a_server_of_the_other_kind_is_refused(broker: Broker, tmp_path: Path) -> None:
    other = NatsServer if broker.server_class is RedisServer else RedisServer
    found(other)
    with other(tmp_path) as server:
        url = f"{broker.server_class.scheme}://127.0.0.1:{server.port}"
        with pytest.raises(TransportUnusable, match=f"{url}.* no (NATS|Redis).*correct host, port and scheme"):
            broker.make(url).check()


@pytest.mark.parametrize(
    ("tail", "told"),
    [
        ("", "HOST:PORT"),
        ("host:port", "HOST:PORT"),
        ("host:99999", "HOST:PORT"),
        ("host?colour=red", "colour"),
        ("host?ca=/nowhere", "not encrypted"),
        ("ann@host?password_file=/nowhere/at/all", "password_file"),
        ("host/not-a-place", "Write"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(broker: Broker, tail: str, told: str) -> None:
    with pytest.raises(TransportUnusable, match=told):
        broker.make(f"{broker.server_class.scheme}://{tail}")


def test_a_secret_in_a_url_that_cannot_be_read_is_not_printed(broker: Broker) -> None:
    with pytest.raises(TransportUnusable) as caught:
        broker.make(f"{broker.server_class.scheme}://ann:{SECRET}@host:{SECRET}")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
