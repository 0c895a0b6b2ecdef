"""NATS with JetStream carries a run: the suite, refusals, reconnection."""

from __future__ import annotations

import pytest

pytest.importorskip("nats")

from neuraxis.testing import TransportSuite
from neuraxis_transports.nats import Nats


class TestNats(TransportSuite):
    @pytest.fixture(autouse=True)
    def _server(self, nats_url: str) -> None:
        self.url = nats_url

    def transport(self) -> Nats:
        return Nats(self.url)
