"""Brokers that cannot do what is needed are refused before tick 0, with the remedy; and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("nats")
pytest.importorskip("redis")

from neuraxis.errors import TransportUnusable
from neuraxis_transports.nats import Nats
from neuraxis_transports.redis import Redis
from tests.transports.brokers import NatsServer, RedisServer, found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def pretending(greeting: bytes, answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server that is none: it greets, and answers each piece that it gets. Yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with sock:
                    sock.sendall(greeting)
                    while piece := sock.recv(65_536):
                        sock.sendall(answer(piece))

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_redis_that_is_too_old_is_refused_and_told_why() -> None:
    info = b"# Server\r\nredis_version:5.0.7\r\nredis_mode:standalone\r\n"
    with (
        pretending(b"", lambda _: b"$%d\r\n%s\r\n" % (len(info), info)) as port,
        pytest.raises(TransportUnusable, match=r"version 5\.0\.7.*NOMKSTREAM.*Use Redis 6\.2"),
    ):
        Redis(f"redis://127.0.0.1:{port}").check()


def test_a_nats_server_that_is_too_old_is_refused_and_told_why() -> None:
    info = b'INFO {"server_id":"x","version":"2.2.6","max_payload":1048576,"proto":1,"headers":true}\r\n'
    with (
        pretending(info, lambda piece: b"PONG\r\n" if b"PING" in piece else b"") as port,
        pytest.raises(TransportUnusable, match=r"version 2\.2.*consumers.*2\.9 or newer"),
    ):
        Nats(f"nats://127.0.0.1:{port}").check()


def _nats(folder: Path, settings: str) -> NatsServer:
    found(NatsServer)
    (folder / "nats.conf").write_text(settings)
    return NatsServer(folder, "-c", str(folder / "nats.conf"))


def test_a_nats_server_without_jetstream_is_refused(tmp_path: Path) -> None:
    found(NatsServer)
    with (
        NatsServer(tmp_path, "--no-jetstream") as server,
        pytest.raises(TransportUnusable, match=r"no JetStream.*nats-server -js"),
    ):
        Nats(server.url).check()


def test_a_nats_server_that_takes_small_messages_only_is_refused(tmp_path: Path) -> None:
    with (
        _nats(tmp_path, "max_payload: 1024") as server,
        pytest.raises(TransportUnusable, match=r"at most 1,024 bytes.*max_payload"),
    ):
        Nats(server.url).check()


def test_frames_are_cut_to_what_a_nats_server_takes(tmp_path: Path) -> None:
    with _nats(tmp_path, "max_payload: 10000") as server:
        transport = Nats(server.url)
        transport.check()
        transport.create("digits")
        link = transport.join("digits", 1)
        link.send(1, [bytes(range(250)) * 1_000])
        assert link.receive(30) == bytes(range(250)) * 1_000
        link.close()


def test_a_nats_server_without_room_is_refused_and_a_smaller_stream_fits(tmp_path: Path) -> None:
    with _nats(tmp_path, "jetstream { max_file_store: 100MB, max_memory_store: 100MB }") as server:
        for query in ("", "?storage=memory"):
            with pytest.raises(TransportUnusable, match=r"no room for a stream of .*megabytes="):
                Nats(server.url + query).check()
        Nats(server.url + "?megabytes=50").check()
        Nats(server.url + "?storage=memory&megabytes=50").check()


def test_a_redis_that_throws_keys_away_is_refused(tmp_path: Path) -> None:
    found(RedisServer)
    with (
        RedisServer(tmp_path, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(TransportUnusable, match=r"throws keys away.*noeviction"),
    ):
        Redis(server.url).check()


def test_a_user_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    found(RedisServer)
    rights = ("--user", "ann", "on", ">pass", "~*", "-@all", "+info", "+auth")
    refused = pytest.raises(TransportUnusable, match=r"refuses this user.*rights")
    with RedisServer(tmp_path, *rights) as server, refused:
        Redis(server.url.replace("//", "//ann:pass@")).check()
    users = 'authorization { users = [{user: ann, password: pass, permissions: {publish: ["x"]}}] }'
    (tmp_path / "other").mkdir()
    refused = pytest.raises(TransportUnusable, match=r"refuses this user.*rights")
    with _nats(tmp_path / "other", users) as server, refused:
        Nats(server.url.replace("//", "//ann:pass@")).check()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nats://host?storage=tape", "storage=tape"),
        ("nats://host?megabytes=many", "megabytes=many"),
        ("nats://:secret@host", "no user"),
        ("redis://ann@host", "no password"),
        ("redis://host/zero", "database"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(url: str, told: str) -> None:
    with pytest.raises(TransportUnusable, match=told):
        (Nats if url.startswith("nats") else Redis)(url)


def test_a_token_for_redis_is_refused_and_for_nats_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(NatsServer)
    monkeypatch.setenv("NEURAXIS_TRANSPORT_TOKEN", "sesame")
    with pytest.raises(TransportUnusable, match="PASSWORD"):
        Redis("redis://host")
    with NatsServer(tmp_path, "--auth", "sesame") as server:
        Nats(server.url).check()
        monkeypatch.delenv("NEURAXIS_TRANSPORT_TOKEN")
        with pytest.raises(TransportUnusable, match="refuses this user"):
            Nats(server.url).check()
        as_user = Nats(server.url.replace("//", "//sesame@"))  # the way of NATS to write a token
        as_user.check()
        assert "sesame" not in as_user.url


# ------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, a certificate of 127.0.0.1 and one of a client, made for this test."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("papers")
    now = datetime.datetime.now(datetime.UTC)

    def write(name: str, issuer: object, signer: object, *extensions: object) -> tuple[object, object]:
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(signer or own, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return subject, own

    subject, signer = write("ca", None, None, x509.BasicConstraints(ca=True, path_length=None))
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    write("server", subject, signer, here)
    write("client", subject, signer)
    return folder


@contextlib.contextmanager
def _nats_over_tls(folder: Path, papers: Path) -> Iterator[str]:
    found(NatsServer)
    files = ("--tlscert", f"{papers}/server.pem", "--tlskey", f"{papers}/server.key", "--tlscacert", f"{papers}/ca.pem")
    with NatsServer(folder, "--tlsverify", *files) as server:
        yield f"127.0.0.1:{server.port}"


@contextlib.contextmanager
def _redis_over_tls(folder: Path, papers: Path) -> Iterator[str]:
    """The server of the wheel speaks no TLS, so something before it does, as in many installations."""
    found(RedisServer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{papers}/ca.pem")
    context.load_cert_chain(f"{papers}/server.pem", f"{papers}/server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    loop = asyncio.new_event_loop()
    with RedisServer(folder) as server:

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while piece := await reader.read(65_536):
                    writer.write(piece)
                    await writer.drain()
            writer.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            back, forth = await asyncio.open_connection("127.0.0.1", server.port)
            await asyncio.gather(pass_on(reader, forth), pass_on(back, writer))

        front = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
        thread = Thread(target=loop.run_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{front.sockets[0].getsockname()[1]}"
        loop.call_soon_threadsafe(front.close)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.mark.parametrize("kind", ["nats", "redis"])
def test_frames_travel_over_tls_when_both_sides_show_their_papers(kind: str, tmp_path: Path, papers: Path) -> None:
    scheme, make, over_tls = ("tls", Nats, _nats_over_tls) if kind == "nats" else ("rediss", Redis, _redis_over_tls)
    with over_tls(tmp_path, papers) as place:
        plain = f"{scheme}://{place}"
        ours = f"ca={papers}/ca.pem&cert={papers}/client.pem&key={papers}/client.key"
        transport = make(f"{plain}?{ours}")
        transport.check()
        transport.create("digits")
        link = transport.join("digits", 1)
        link.send(1, [bytes(range(250)) * 4_000])
        assert link.receive(30) == bytes(range(250)) * 4_000
        link.close()
        make(transport.url).check()
        for lacking in ("", f"?ca={papers}/ca.pem"):
            with pytest.raises(TransportUnusable, match=r"\?ca=….*&cert=…"):
                make(plain + lacking).check()
        with pytest.raises(TransportUnusable, match=r"scheme|no trust"):
            make(f"{kind}://{place}").check()


@pytest.mark.parametrize("make", [Nats, Redis])
def test_papers_that_cannot_be_used_are_refused(make: type[Nats] | type[Redis], papers: Path) -> None:
    scheme = "tls" if make is Nats else "rediss"
    for query in ("ca=/nowhere.pem", f"ca={papers}/ca.key", f"cert={papers}/client.pem&key={papers}/ca.key"):
        with pytest.raises(TransportUnusable, match="PEM files"):
            make(f"{scheme}://127.0.0.1?{query}")
