"""Redis Streams, and what speaks like Redis (Valkey): a stream for each member.

    neuraxis:{RUN}        reserves the name of a run
    neuraxis:{RUN}:N      the stream of member N: its only reader, and whoever sends to it, write its name
    neuraxis:{RUN}:       the members that ever joined, so that a run can be deleted

Frames go out on one connection without waiting for replies, which are read later; a request for what comes stands
open at the broker on another connection, so a frame is pushed as soon as it is there. A read frame is trimmed.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from neuraxis.errors import ExtraMissing, TransportUnusable
from neuraxis.seams.transport import check_run_name
from neuraxis_transports.address import PASSWORD, TLS_REMEDY, parse
from neuraxis_transports.once_around import send_once_around

try:
    import redis
    from redis.connection import Connection, SSLConnection
except ModuleNotFoundError as error:
    if error.name != "redis":
        raise
    raise ExtraMissing(library="redis", extra="redis", purpose="the transport redis") from error

from neuraxis_transports.redis_link import BROKEN, NAME, REFUSED, RedisLink, call, facts, is_full, key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from neuraxis_transports.address import Address

VERSION_MIN: Final = (6, 2)
"""Version of Redis from which XADD has NOMKSTREAM: with it, a late frame cannot bring a removed run back."""

FULL_REMEDY: Final = "Make room: on its disk, or above its maxmemory."
CONNECT_S: Final = 3.0
REPLY_S: Final = 5.0


@final
class Redis:
    """Carries frames through a server that speaks the protocol of Redis.

    Args:
        url: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS: see
            `neuraxis_transports.address`.
    """

    name: Final = NAME

    def __init__(self, url: str) -> None:
        address = parse(url, transport=NAME, schemes={"redis": False, "rediss": True}, port=6379)
        self._address = address
        if address.token is not None:
            raise _unusable("a token is given, but Redis knows users and passwords", f"Set {PASSWORD} instead.")
        if address.user is not None and address.password is None:
            raise _unusable("the URL names a user, but there is no password", f"Set {PASSWORD}, or ?password_file=….")
        if address.place and not address.place.isdecimal():
            raise _unusable(f"{address.place!r} is no number of a database", "Write redis://HOST:PORT/0.")
        address.tls_context()  # refuses certificates that cannot be used

    @property
    def url(self) -> str:
        """The URL without password."""
        return self._address.shown

    def __repr__(self) -> str:
        return f"Redis({self.url!r})"

    def check(self) -> None:
        """See that the server answers, is new enough, keeps what it is given, and lets this user send and read.

        Raises:
            TransportUnusable: It does not.
        """
        with self._talk() as ask:
            told = facts(ask("INFO"))
            version = told.get("redis_version", "0")
            if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
                raise _unusable(
                    f"the server at {self.url} has version {version}, and cannot keep a late frame from bringing a "
                    "removed run back (XADD NOMKSTREAM)",
                    "Use Redis 6.2 or newer, or Valkey.",
                )
            if told.get("redis_mode") == "cluster":
                raise _unusable(f"the server at {self.url} is part of a cluster", "Use a single server.")
            if told.get("maxmemory", "0") != "0" and told.get("maxmemory_policy", "").startswith("allkeys"):
                raise _unusable(
                    f"the server at {self.url} throws keys away when its memory is full",
                    "Set maxmemory-policy noeviction.",
                )
        send_once_around(self)

    def create(self, run: str) -> None:
        """Reserve the name of a run.

        Raises:
            TransportUnusable: It is in use, or the server cannot be reached.
        """
        check_run_name(NAME, run)
        with self._talk() as ask:
            if ask("SET", key(run), "1", "NX") is None:
                raise _unusable(
                    f"a run {run!r} is there already",
                    f"Give its folder another name; if nobody runs it any more, delete the keys {key(run)}*.",
                )

    def join(self, run: str, member: int) -> RedisLink:
        """Return the link of a member.

        Raises:
            TransportUnusable: There is no such run, or the server cannot be reached.
        """
        check_run_name(NAME, run)
        link = RedisLink(self.connection, self.url, run, member)
        try:
            with _translated(self._address):
                if not link.connect(creating=False):
                    raise _unusable(f"there is no run {run!r} at {self.url}", "The conductor creates it first.")
        except TransportUnusable:
            link.close()
            raise
        return link

    def remove(self, run: str) -> None:
        """Delete all keys of a run."""
        check_run_name(NAME, run)
        with self._talk() as ask:
            members = ask("SMEMBERS", f"{key(run)}:")
            keys = [f"{key(run)}:{member.decode()}" for member in sorted(members)]
            ask("DEL", key(run), f"{key(run)}:", *keys)

    @contextmanager
    def _talk(self) -> Iterator[Callable[..., Any]]:
        """Connect for a short conversation, whose failures say what to change."""
        connection = self.connection()
        try:
            with _translated(self._address):
                connection.connect()
                yield partial(call, connection)
        finally:
            connection.disconnect()

    def connection(self) -> Any:
        """Return a connection that is not connected yet."""
        address = self._address
        options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "db": int(address.place or 0),
            "username": address.user,
            "password": address.password,
            "protocol": 2,
            "driver_info": None,
            "socket_timeout": REPLY_S,
            "socket_connect_timeout": CONNECT_S,
            "socket_read_size": 1 << 18,
        }
        if not address.tls:
            return Connection(**options)
        files = address.files
        return SSLConnection(
            **options, ssl_ca_certs=files.get("ca"), ssl_certfile=files.get("cert"), ssl_keyfile=files.get("key")
        )


# --------------------------------------------------------------------------------- talking


@contextmanager
def _translated(address: Address) -> Iterator[None]:
    """Turn what the library raises into `TransportUnusable`."""
    url = address.shown
    try:
        yield
    except REFUSED as error:
        raise _unusable(
            f"the server at {url} refuses this user: {error}",
            f"Correct the user in the URL, the password in {PASSWORD}, or the rights of the user.",
        ) from error
    except BROKEN as error:
        if "SSL" in str(error):
            reason = f"there is no trust between this side and the server at {url}: {error}"
            raise _unusable(reason, TLS_REMEDY) from error
        raise _unusable(
            f"nobody answers at {url}: {error}",
            address.remedy,
        ) from error
    except redis.InvalidResponse as error:
        raise _unusable(f"what answers at {url} is no Redis: {error}", address.remedy) from error
    except redis.RedisError as error:
        if is_full(error):
            raise _unusable(f"the server at {url} takes nothing more: {error}", FULL_REMEDY) from error
        raise _unusable(
            f"the server at {url} does not do what is asked: {error}", "Use Redis 6.2 or newer, or Valkey."
        ) from error


def _unusable(reason: str, remedy: str) -> TransportUnusable:
    return TransportUnusable(transport=NAME, reason=reason, remedy=remedy)
