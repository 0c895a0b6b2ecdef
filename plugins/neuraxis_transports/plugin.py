"""The plugin `transports`: how the members of a distributed run reach each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuraxis import Manifest, __version__, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis.seams.transport import Transport

MANIFEST = Manifest(name="transports", version=__version__)


@hookimpl
def neuraxis_register_transports() -> Mapping[str, Callable[[str], Transport]]:
    """Offer NATS and Redis, each with and without TLS."""
    return {"nats": _nats, "redis": _redis, "rediss": _redis, "tls": _nats}


def _nats(url: str) -> Transport:
    from neuraxis_transports.nats import Nats  # takes 0.1 s to import

    return Nats(url)


def _redis(url: str) -> Transport:
    from neuraxis_transports.redis import Redis

    return Redis(url)
