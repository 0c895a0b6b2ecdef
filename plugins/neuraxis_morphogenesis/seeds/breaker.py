"""Circuit breakers: what fails again and again is left alone for a while.

CLOSED lets everything through; failures in a row open it. OPEN lets nothing through until its rest is over. HALF_OPEN
lets through a trial: enough successes close it, and a single failure opens it again.

Determinism: exact; times are ticks.
"""

from __future__ import annotations

from typing import final

from msgspec import Struct
from msgspec.structs import replace

from neuraxis import message
from neuraxis_morphogenesis.contracts import CircuitBreakerState as State


@final
@message("morphogenesis.breaker")
class Breaker(Struct, frozen=True, kw_only=True):
    """A circuit breaker. Each change gives a new one.

    Attributes:
        failures_max: Failures in a row that open it.
        rest: Ticks for which it stays open.
        successes_min: Successes that close it again.
        state: What it lets through.
        failures, successes: In a row.
        opened_at: Tick in which it opened.
    """

    failures_max: int = 5
    rest: int = 60
    successes_min: int = 3
    state: State = State.CLOSED
    failures: int = 0
    successes: int = 0
    opened_at: int = 0

    def at(self, tick: int) -> Breaker:
        """Return it as it is in that tick: an open one may be half open by now."""
        if self.state is State.OPEN and tick - self.opened_at >= self.rest:
            return replace(self, state=State.HALF_OPEN, successes=0)
        return self

    @property
    def lets_through(self) -> bool:
        """Whether something may be tried."""
        return self.state is not State.OPEN

    def succeeded(self, tick: int) -> Breaker:
        """Return it after a success."""
        now = self.at(tick)
        if now.state is not State.HALF_OPEN:
            return replace(now, failures=0)
        if now.successes + 1 >= self.successes_min:
            return replace(now, state=State.CLOSED, failures=0, successes=0)
        return replace(now, successes=now.successes + 1)

    def failed(self, tick: int) -> Breaker:
        """Return it after a failure."""
        now = self.at(tick)
        if now.state is State.HALF_OPEN or now.failures + 1 >= self.failures_max:
            return replace(now, state=State.OPEN, failures=0, successes=0, opened_at=tick)
        return replace(now, failures=now.failures + 1)

    def forced(self, state: State, tick: int) -> Breaker:
        """Return it in a state that somebody commanded."""
        return replace(self, state=state, failures=0, successes=0, opened_at=tick)
