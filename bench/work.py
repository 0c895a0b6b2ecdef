"""The work that every framework does: the same messages, folded into the same accumulators.

Each actor folds what it receives into an accumulator that depends on the order; the fingerprint over all
accumulators proves that two frameworks did the same work.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FACTOR, MASK = 1_000_003, 0xFFFFFFFF
"""An actor folds a value into what it has seen: (seen * FACTOR ^ value) & MASK. It depends on the order."""

RING_ACTORS, RING_HOPS = 100, 200_000
FAN_SINKS, FAN_ROUNDS = 100, 3_000
EXCHANGE_ACTORS = 1_000
EXCHANGE_TICKS = int(os.environ.get("BENCH_EXCHANGE_TICKS", "1000"))
BULK_ACTORS, BULK_TICKS, BULK_BYTES = 10, 2_000, 1 << 20

SHAPES = ("ring", "fan-out", "exchange", "arrays")


def partner(member: int, members: int) -> int:
    """Return to whom a member sends: a fixed permutation."""
    return (member * 7 + 3) % members


def fingerprint(accumulators: Iterable[int]) -> str:
    """Return a hash over all accumulators."""
    return hashlib.sha256(",".join(map(str, accumulators)).encode()).hexdigest()[:16]


def report(messages: int, wall_s: float, accumulators: Iterable[int]) -> None:
    """Print what a run measured, as one line of JSON."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    facts = {"messages": messages, "wall_s": wall_s, "fingerprint": fingerprint(accumulators), "peak_mib": peak}
    print(json.dumps(facts))
