"""What a bus holds itself to, and how it stands."""

from __future__ import annotations

from typing import final

import msgspec
from msgspec import Struct

from neuraxis.errors import UsageInvalid
from neuraxis.seams.bus import Priority
from neuraxis_transports.guards import BreakerState


@final
class BusRules(Struct, frozen=True, kw_only=True):
    """What a bus holds itself to.

    Attributes:
        messages_max: Messages that a lane holds which not every group is done with.
        shed: Share of `messages_max` from which on messages of a priority are refused, by priority.
        emergencies_per_minute: Emergencies that one publisher may send, as a bucket of that size that fills evenly.
        attempts_max: Times that a message is handed over within a group before it is a dead letter.
        pause_s: Pause after the first failure, seconds; doubled after each further one.
        pause_s_max: Longest pause, seconds; less than `claim_s`.
        claim_s: Time after which an unfinished message is handed over to another consumer, seconds.
        dedup_s: Time for which an id is known, seconds.
        ttl_s: Age from which on a message is a dead letter, seconds.
        conservative_at: Share of `messages_max` from which on a topic is conservative.
        conservative_to: Share down to which it must drain to leave that mode.
        conservative_s: How long that mode lasts at least, seconds.
        conservative_takes: Lowest priority that a conservative topic takes, within its own share.
        breaker_failures: Failures of the broker in a row after which it is left alone.
        breaker_s: How long it is left alone, seconds; then one call tries it again.
    """

    messages_max: int = 5_000
    shed: dict[Priority, float] = msgspec.field(
        default_factory=lambda: {
            Priority.LOW: 0.5,
            Priority.NORMAL: 0.75,
            Priority.HIGH: 0.85,
            Priority.CRITICAL: 0.95,
            Priority.EMERGENCY: 1.0,
        }
    )
    emergencies_per_minute: int = 120
    attempts_max: int = 5
    pause_s: float = 0.5
    pause_s_max: float = 30.0
    claim_s: float = 60.0
    dedup_s: float = 120.0
    ttl_s: float = 3_600.0
    conservative_at: float = 0.8
    conservative_to: float = 0.2
    conservative_s: float = 60.0
    conservative_takes: Priority = Priority.HIGH
    breaker_failures: int = 3
    breaker_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.pause_s <= self.pause_s_max < self.claim_s:
            # otherwise another consumer would take over what waits for its next attempt
            raise UsageInvalid(what="the pauses of a bus do not fit", remedy="Keep pause_s <= pause_s_max < claim_s.")
        if set(self.shed) != set(Priority) or self.attempts_max < 1 or self.messages_max < 1:
            raise UsageInvalid(
                what="the limits of a bus do not fit",
                remedy="Name a share for every priority; attempts_max and messages_max are at least 1.",
            )
        if not 0 <= self.conservative_to < self.conservative_at or self.breaker_failures < 1:
            raise UsageInvalid(
                what="the conservative mode or the breakers of a bus do not fit",
                remedy="Keep conservative_to < conservative_at; breaker_failures is at least 1.",
            )


@final
class BusState(Struct, frozen=True):
    """How a connection to a bus stands.

    Attributes:
        conservative: Topics in conservative mode, as far as this publisher has met it.
        publishing, consuming: Its breakers.
    """

    conservative: tuple[str, ...]
    publishing: BreakerState
    consuming: BreakerState
