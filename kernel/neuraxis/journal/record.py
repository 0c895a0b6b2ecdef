"""Frames of a journal, and the records they hold.

A journal is a file of frames, each bound to all frames before it:

    file   = magic  frame*
    frame  = length u32 LE | kind u8 | check u8 | body | chain (32 bytes)
    check  = XOR of the four length bytes, the kind, and 0xA5
    chain  = BLAKE2b-256(chain of the frame before | length | kind | body)

A frame that ends beyond the end of the file was torn by a crash and never took effect: it is cut off.
The check byte tells a torn frame from a length that was damaged. Bodies are canonical msgpack.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum
from typing import Any, Final, final

from msgspec import Struct, field

FORMAT: Final = 1
MAGIC: Final = b"neuraxis journal 1\n"
HEAD: Final = struct.Struct("<IBB")
CHAIN_BYTES: Final = 32
START_OF_CHAIN: Final = hashlib.blake2b(MAGIC, digest_size=CHAIN_BYTES).digest()


class Kind(IntEnum):
    """What a frame holds."""

    HEADER = 1
    INPUT = 2
    INTENT = 3
    OUTCOME = 4
    SNAPSHOT = 5
    BLOCK = 6
    RESUMED = 7
    END = 8


def check_byte(length: int, kind: int) -> int:
    """Return the check byte of a frame's head."""
    low = length ^ length >> 8 ^ length >> 16 ^ length >> 24
    return (low & 0xFF) ^ kind ^ 0xA5


def chained(chain: bytes, length: int, kind: int, body: bytes) -> bytes:
    """Return the chain value after a frame."""
    return hashlib.blake2b(chain + struct.pack("<IB", length, kind) + body, digest_size=CHAIN_BYTES).digest()


def frame(chain: bytes, kind: Kind, body: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of a frame, and the chain value after it."""
    after = chained(chain, len(body), kind, body)
    return HEAD.pack(len(body), kind, check_byte(len(body), kind)) + body + after, after


# ---------------------------------------------------------------------------------- records


@final
class Header(Struct, frozen=True):
    """The first record of every journal.

    Attributes:
        format: Version of the journal's format.
        run: Name of the run.
        scenario: The scenario in canonical form, all includes and overrides applied.
        seed: The seed.
        semantic: SHA-256 of what decides results, hexadecimal.
        lock: Kernel and plugins with version and content hash.
        numerics: Python, numpy, machine and instruction set that compute.
        settings: What does not decide results: backend, clock, trace level, workers.
    """

    format: int
    run: str
    scenario: dict[str, Any]
    seed: int
    semantic: str
    lock: list[dict[str, str]]
    numerics: dict[str, str]
    settings: dict[str, Any]


@final
class InputRecord(Struct, frozen=True):
    """An input, injected at the boundary after `tick`.

    Attributes:
        tick: The tick before the boundary; the input is delivered in the next one.
        id: The id of its message.
        target, port: Where it goes.
        payload: What it carries.
        scripted: Whether the scenario asked for it.
    """

    tick: int
    id: int
    target: str
    port: str
    payload: Any
    scripted: bool


@final
class IntentRecord(Struct, frozen=True):
    """An effect that is about to start."""

    ticket: int
    due: int
    path: str
    effect: Any


@final
class OutcomeRecord(Struct, frozen=True):
    """An outcome that is about to be delivered at tick `due`."""

    due: int
    ticket: int
    status: str
    value: Any
    error: str


@final
class SnapshotMark(Struct, frozen=True):
    """A snapshot of the end of `tick` is complete on disk."""

    tick: int
    file: str
    sha256: str


@final
class BlockDigest(Struct, frozen=True):
    """Digests at the end of `tick`: of each shard that had mail, and of each determinism class."""

    tick: int
    shards: dict[int, bytes]
    digests: dict[str, str]


@final
class Resumed(Struct, frozen=True):
    """The run went on from the end of `tick`, after a stop.

    Attributes:
        tick: Where it stood.
        base: Name of the snapshot that it went on from with other code than before; executing the run
            again begins there. Empty if the code was the same.
        lock: The other code; empty if it was the same.
    """

    tick: int
    base: str = ""
    lock: list[dict[str, str]] = field(default_factory=list)


@final
class End(Struct, frozen=True):
    """The run is complete.

    Attributes:
        tick: Last tick.
        digests: By determinism class.
        result: What the command printed: figures, expectations, counts.
    """

    tick: int
    digests: dict[str, str]
    result: dict[str, Any] = field(default_factory=dict)


Record = Header | InputRecord | IntentRecord | OutcomeRecord | SnapshotMark | BlockDigest | Resumed | End

RECORD_OF: Final[dict[Kind, type[Any]]] = {
    Kind.HEADER: Header,
    Kind.INPUT: InputRecord,
    Kind.INTENT: IntentRecord,
    Kind.OUTCOME: OutcomeRecord,
    Kind.SNAPSHOT: SnapshotMark,
    Kind.BLOCK: BlockDigest,
    Kind.RESUMED: Resumed,
    Kind.END: End,
}
KIND_OF: Final = {cls: kind for kind, cls in RECORD_OF.items()}
