"""The plugin `transports` offers its schemes, and keeps to the public doors."""

from __future__ import annotations

import pytest

from neuraxis.plugins.manager import Plugins
from neuraxis.seams.transport import Transport
from neuraxis.testing import assert_uses_public_doors
from neuraxis_transports import plugin


def test_it_offers_nats_and_redis_with_and_without_tls() -> None:
    pytest.importorskip("nats")
    pytest.importorskip("redis")
    transports = Plugins([plugin.__file__]).transports
    made = {scheme: factory(f"{scheme}://127.0.0.1") for scheme, factory in transports.items()}
    assert {scheme: transport.name for scheme, transport in made.items()} == {
        "nats": "nats",
        "redis": "redis",
        "rediss": "redis",
        "tls": "nats",
    }
    assert all(isinstance(transport, Transport) for transport in made.values())
    assert made["nats"].url == "nats://127.0.0.1:4222"
    assert made["rediss"].url == "rediss://127.0.0.1:6379"


def test_it_uses_public_doors() -> None:
    assert_uses_public_doors("neuraxis_transports")
