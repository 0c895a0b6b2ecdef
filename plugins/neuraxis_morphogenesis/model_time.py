"""Model time as messages carry it.

Determinism: exact.
"""

from __future__ import annotations

from neuraxis import Context


def now_ns(context: Context) -> int:
    """Return model time, nanosecond; rounded down where ticks are no whole number of them."""
    return int(context.tick * context.tick_length * 10**9)
