"""Strikes: what a campaign does to the processes of a run and to the way between them, drawn from a seed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final

from msgspec import Struct

from neuraxis.errors import UsageInvalid
from neuraxis.rng import Stream, stream_key
from neuraxis.testing.faulty_transport import FrameFaults

if TYPE_CHECKING:
    from collections.abc import Sequence

BURSTS: Final = {
    "lose": (10, FrameFaults(lose=0.5)),
    "repeat": (10, FrameFaults(repeat=0.5)),
    "delay": (10, FrameFaults(delay=0.5)),
    "cut": (1, FrameFaults(cut=1.0, cut_frames=10)),
}
"""Frames that a worker sends, and what happens to them; frames that are delayed are overtaken by later ones."""

OF_WORKERS: Final = ("kill", "stop", *BURSTS)
"""`kill` is SIGKILL; `stop` is SIGSTOP, and SIGCONT after another process took the worker's place."""

OF_THE_CONDUCTOR: Final = ("orphan",)
"""`orphan` is SIGKILL to the conductor; its workers must end by themselves, and the run is resumed."""

OF_THE_BROKER: Final = ("disconnect", "restart", "fill")
"""`disconnect` breaks all connections for a second; `restart` runs what restarts the broker; `fill` fills its disk."""

_SHARES: Final = {
    "kill": 3,
    "stop": 1,
    "lose": 2,
    "repeat": 2,
    "delay": 2,
    "cut": 2,
    "orphan": 1,
    "disconnect": 2,
    "restart": 1,
    "fill": 1,
}
_TEXT: Final = re.compile(r"(?P<kind>[a-z]+)(?: (?P<worker>\d+))? at (?P<tick>\d+)")


@final
class Strike(Struct, frozen=True, order=True):
    """One fault.

    Attributes:
        tick: It happens once all workers have reached this tick.
        kind: One of `OF_WORKERS`, `OF_THE_CONDUCTOR` or `OF_THE_BROKER`.
        worker: Whom it strikes; 0 for the conductor and the broker.
    """

    tick: int
    kind: str
    worker: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.worker} at {self.tick}" if self.worker else f"{self.kind} at {self.tick}"


def text_of(strikes: Sequence[Strike]) -> str:
    """Return strikes as `parse_strikes` reads them: `kill 2 at 300; restart at 500`."""
    return "; ".join(map(str, strikes))


def parse_strikes(text: str, *, workers: int, kinds: Sequence[str]) -> tuple[Strike, ...]:
    """Return the strikes that a text names.

    Args:
        text: For example `kill 2 at 300; restart at 500`.
        workers: How many there are.
        kinds: Those that are possible.

    Raises:
        UsageInvalid: It is not of this form, or names what is impossible.
    """
    strikes = []
    for part in filter(None, map(str.strip, text.split(";"))):
        found = _TEXT.fullmatch(part)
        if found is None:
            raise UsageInvalid(what=f"{part!r} is no fault", remedy='Write "kill 2 at 300" or "disconnect at 500".')
        strike = Strike(int(found["tick"]), found["kind"], int(found["worker"] or 0))
        if strike.kind not in kinds:
            raise UsageInvalid(what=f"{strike.kind!r} is not possible here", remedy=f"Choose of {', '.join(kinds)}.")
        if (strike.worker > 0) != (strike.kind in OF_WORKERS) or strike.worker > workers:
            raise UsageInvalid(
                what=f"{part!r} names no worker that there is",
                remedy=f"Name worker 1 … {workers} for {', '.join(OF_WORKERS)}, and none for the others.",
            )
        strikes.append(strike)
    return tuple(sorted(strikes))


def draw_strikes(
    seed: int, number: int, *, count: int, workers: int, until: int, kinds: Sequence[str]
) -> tuple[Strike, ...]:
    """Return the strikes of one round: the same for the same arguments.

    Args:
        seed: Of the campaign.
        number: Of the round, from 1.
        count: How many.
        workers: How many there are.
        until: Last tick of the run; the last tenth is spared, for there a run may end before a fault happens.
        kinds: Those that are possible.
    """
    stream = Stream(stream_key(seed, f"round {number}", "strikes")).at(0)
    bag = [kind for kind in kinds for _ in range(_SHARES[kind])]
    strikes = []
    for _ in range(count):
        kind = bag[int(stream.integers(0, len(bag)))]
        worker = 1 + int(stream.integers(0, workers))
        tick = int(stream.integers(1, max(2, until * 9 // 10)))
        strikes.append(Strike(tick, kind, worker if kind in OF_WORKERS else 0))
    return tuple(sorted(strikes))
