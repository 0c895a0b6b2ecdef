"""The transports of the kernel keep the suite of transports: within one process."""

from __future__ import annotations

from neuraxis.cluster.in_process import InProcess
from neuraxis.testing import TransportSuite


class TestInProcess(TransportSuite):
    def setup_method(self) -> None:
        self.made = InProcess()

    def transport(self) -> InProcess:
        return self.made
