"""Brokers for the tests: started on free ports, in folders of their own, and gone at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.transports.brokers import NatsServer, RedisServer, found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of ours, or that which `NEURAXIS_TEST_REDIS` names."""
    yield from _url(RedisServer, tmp_path_factory)


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of ours, or that which `NEURAXIS_TEST_NATS` names."""
    yield from _url(NatsServer, tmp_path_factory)


def _url(kind: type[RedisServer] | type[NatsServer], folders: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip(kind.library)
    given = kind.given()
    if given:
        yield given
        return
    found(kind)
    with kind(folders.mktemp(kind.library)) as server:
        yield server.url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, which may kill it: it writes at once, as a busy disk delays what a kill would lose."""
    pytest.importorskip("redis")
    found(RedisServer)
    with RedisServer(tmp_path, "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server for one test, which may kill it."""
    pytest.importorskip("nats")
    found(NatsServer)
    with NatsServer(tmp_path) as server:
        yield server
