"""The wall clock, as an effect: what it said is in the journal, so that a replay decides the same."""

from __future__ import annotations

import time
from typing import Final, final

from msgspec import Struct

from neuraxis import Effect, message

HOOK_MS_MAX: Final = 18.0
"""Wall time that everything after validation may take at the end of an epoch, until the next block begins."""


@final
@message("morphogenesis.read_clock")
class ReadClock(Effect, Struct, frozen=True):
    """Asks what the monotonic clock says.

    Attributes:
        moment: `begins` or `ends`: of the boundary of an epoch.
    """

    moment: str

    def perform(self, key: str) -> int:
        """Return nanoseconds."""
        return time.monotonic_ns()
