"""Envelopes: what the scheduler wraps around a payload.

An envelope is a plain tuple `(sent, id, port, payload, cause)`:

    sent     tick in which it was sent
    id       source position * 2**44 + the source's sequence number
    port     entry of the receiver: an input, or `@start`, `@timer:NAME`, `@outcome:NAME`
    payload  the value
    cause    id of the message that was being handled, or (that id, *evidence ids); None for inputs and starts

Sorting by the first three gives the canonical order of an inbox: send tick, source path, source
sequence. A tuple, because a frozen class costs several times as much to create. The field order and
the packing of the id are part of the digest.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final, NewType

SEQUENCE_BITS: Final = 44
SEQUENCE_MASK: Final = 2**SEQUENCE_BITS - 1

MessageId = NewType("MessageId", int)
"""Names one message of a run: who sent it, and as the how-manieth."""

Envelope = tuple[int, int, str, Any, Any]

canonical_order: Final = itemgetter(0, 1, 2)


def source_of(message: int) -> int:
    """Return the position of the actor that sent a message."""
    return message >> SEQUENCE_BITS


def sequence_of(message: int) -> int:
    """Return the number of a message among those of its source."""
    return message & SEQUENCE_MASK


def first_id(position: int) -> int:
    """Return the id of the first message of the actor at `position`."""
    return position << SEQUENCE_BITS


def causes_of(cause: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the ids in the cause field of an envelope, each once: evidence may name what is being handled."""
    if cause is None:
        return ()
    return tuple(dict.fromkeys(cause)) if isinstance(cause, tuple) else (cause,)


def activation_id(position: int, tick: int) -> int:
    """Return the id of an activation, the cause of what an actor sends that takes its inbox at once.

    It is negative, which no message id is.
    """
    return ~(position << SEQUENCE_BITS | tick)


def activation_of(cause: int) -> tuple[int, int]:
    """Return position and tick of the activation with a negative id."""
    return ~cause >> SEQUENCE_BITS, ~cause & SEQUENCE_MASK
