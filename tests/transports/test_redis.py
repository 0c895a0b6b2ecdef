"""Redis Streams carry a run: the suite, refusals, reconnection."""

from __future__ import annotations

import pytest

pytest.importorskip("redis")

from neuraxis.testing import TransportSuite
from neuraxis_transports.redis import Redis


class TestRedis(TransportSuite):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str) -> None:
        self.url = redis_url

    def transport(self) -> Redis:
        return Redis(self.url)
