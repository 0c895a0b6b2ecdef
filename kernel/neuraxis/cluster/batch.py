"""What members of a distributed run say to each other: frames, and how they are written.

A frame begins with the length of its head (u32, little-endian) and the head, canonical msgpack of one of the
structures below. A batch goes on with its body and the arrays of its messages, each at a multiple of 64 bytes, so
that a receiver computes on them where they lie.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, final

import msgspec
import numpy as np
import zstandard
from msgspec import Struct, field
from msgspec.structs import replace
from xxhash import xxh3_128, xxh3_128_digest

from neuraxis import codec
from neuraxis.cluster.bulk import BULK_BYTES_MIN
from neuraxis.message import Received

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.seams.transport import Buffer

    Letters = list[tuple[int, int, list[Envelope]]]
    Put = Callable[[list[np.ndarray]], tuple[str, tuple[int, ...]] | None]
    Get = Callable[[str, tuple[int, ...], tuple[int, ...]], list[memoryview] | None]
    Heads = tuple[tuple[str, tuple[int, ...]], ...]

ALIGNMENT: Final = 64
SQUEEZE_BYTES_MIN: Final = 512
"""Parts of this size and more are compressed where the way is longer than one host."""

SQUEEZE_LEVEL: Final = 1


@final
class Failure(Struct, frozen=True, array_like=True):
    """A tick that failed in one worker. The lowest (tick, rank, position) of all workers counts.

    Attributes:
        tick: The tick, which is discarded everywhere.
        rank: What failed in it, in the order in which a tick runs: 0 limits and outcomes, 1 an actor.
        position: The actor.
        error: Name of the error's class.
        facts: Its fields.
    """

    tick: int
    rank: int
    position: int
    error: str
    facts: dict[str, Any]

    def order(self) -> tuple[int, int, int]:
        """Return what decides which of several failures counts."""
        return (self.tick, self.rank, self.position)


@final
class Batch(Struct, frozen=True, array_like=True, tag=1):
    """All that one worker sends to another for one window; sent also when there is nothing.

    Attributes:
        epoch, index, source: Which batch it is: start of the run, number of the window, worker.
        incarnation: How many processes the worker has had.
        end: Last tick of the window.
        event: Next tick in which anything happens that the source knows of; -1 if nothing does.
        asks: Whether all should take a snapshot at the end of this window.
        failure: What failed in it.
        sizes: Bytes of the body, then of each array, as sent.
        heads: Type and shape of each array.
        squeezed: For each of `sizes`, its bytes before it was compressed, or -1 if it was not.
        digest: xxh3 (128 bits) of the body, the arrays and what decides the next window.
        claim: File in shared memory that holds the arrays, and where each begins; None if they follow the body.
    """

    epoch: int
    index: int
    source: int
    incarnation: int
    end: int
    event: int
    asks: bool
    failure: Failure | None
    sizes: tuple[int, ...]
    heads: tuple[tuple[str, tuple[int, ...]], ...]
    squeezed: tuple[int, ...]
    digest: bytes
    claim: tuple[str, tuple[int, ...]] | None = None


@final
class Want(Struct, frozen=True, array_like=True, tag=2):
    """A worker lacks the batches of another from window `index` on."""

    epoch: int
    index: int
    source: int
    incarnation: int


@final
class Report(Struct, frozen=True, array_like=True, tag=3):
    """Where a worker stands. Sent to the conductor again and again; the newest counts.

    Attributes:
        epoch, source, incarnation: Who says it.
        state: `ready`, `running`, `paused`, `ending`, `failed`, `done` or `leaving`.
        index: Last window that it has begun.
        tick: Where it stands.
        kept: (window, tick) of its newest snapshot; (-1, -1) if it has none.
        facts: Why it cannot go on, where it has failed.
        figures: Counts for whoever watches.
    """

    epoch: int
    source: int
    incarnation: int
    state: str
    index: int
    tick: int
    kept: tuple[int, int]
    facts: dict[str, Any]
    figures: dict[str, Any]


@final
class Order(Struct, frozen=True, array_like=True, tag=4):
    """What the conductor wants. Sent again and again; the newest counts, and none is lost for long.

    Attributes:
        epoch: Which start of the run it is about.
        number: Counts orders.
        incarnations: By worker: the process that counts; frames of earlier ones are refused.
        go: Whether windows may be computed.
        stable: Newest window of which every worker has a snapshot; -1 if there is none.
        ask_after: A snapshot is wanted at the end of one window after this; -1 before the first.
        pause: Whether to begin no further window until `stop_at` is known.
        stop_at: Window after which to end; -1 is the end of the run.
        finished: Whether everybody is done and may leave.
        away: Workers that were told to leave for good, with a reason.
    """

    epoch: int
    number: int
    incarnations: dict[int, int]
    go: bool = False
    stable: int = -1
    ask_after: int = -1
    pause: bool = False
    stop_at: int = -1
    finished: bool = False
    away: dict[int, str] = field(default_factory=dict)


Head = Batch | Want | Report | Order

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Head)
_LENGTH: Final = struct.Struct("<I")
_PADDING: Final = bytes(ALIGNMENT)


class FrameDamaged(ValueError):
    """A frame is not what any member sends; it is dropped, and asked for again where it is missed."""


def encode(head: Head, parts: Sequence[Buffer] = ()) -> list[Buffer]:
    """Return the parts of a frame."""
    data = _ENCODER.encode(head)
    if not parts:
        return [_LENGTH.pack(len(data)) + data]
    frame: list[Buffer] = [_LENGTH.pack(len(data)) + data + _gap(len(data) + _LENGTH.size)]
    for part in parts:
        frame.append(part)
        if gap := _gap(_size(part)):
            frame.append(gap)
    return frame


def _size(part: Buffer) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


def _gap(length: int) -> bytes:
    return _PADDING[: -length % ALIGNMENT]


def decode(frame: Buffer) -> tuple[Head, memoryview]:
    """Return the head of a frame, and what follows it.

    Raises:
        FrameDamaged: It is no frame.
    """
    view = memoryview(frame)
    try:
        (length,) = _LENGTH.unpack_from(view)
        if length > view.nbytes - _LENGTH.size:
            raise FrameDamaged("a head that goes beyond the frame")
        head = _DECODER.decode(view[_LENGTH.size : _LENGTH.size + length])
    except (struct.error, msgspec.MsgspecError) as error:
        raise FrameDamaged(str(error)) from error
    start = _LENGTH.size + length
    return head, view[start + (-start % ALIGNMENT) :]


def written(
    batch: Callable[[tuple[int, ...], Heads, tuple[int, ...], bytes], Batch],
    letters: Letters,
    end: int,
    event: int,
    *,
    squeeze: bool,
    put: Put | None = None,
) -> tuple[list[Buffer], list[Buffer], int]:
    """Write mail as the frame of a batch.

    Args:
        batch: Makes the head from sizes, heads, squeezed and digest.
        letters: (tick in which it is due, receiver, inbox).
        end: Last tick of the window.
        event: Next event that the source knows of; -1 if none.
        squeeze: Whether to compress what becomes smaller by it.
        put: Writes arrays into shared memory, where the receiver can read them there.

    Returns:
        The parts of the frame to send now, those to send if it is asked for again, and the bytes of body and arrays.
    """
    mark = _MARK.pack(end, event)
    if not letters:
        frame = encode(batch((), (), (), xxh3_128_digest(mark)))
        return frame, frame, 0
    arrays: list[np.ndarray] = []
    body = _SCALARS + _ENCODER.encode(letters) if _is_scalar(letters) else codec.pack(_flat(letters), arrays)
    if not arrays and (not squeeze or len(body) < SQUEEZE_BYTES_MIN):
        frame = encode(batch((len(body),), (), (-1,), xxh3_128_digest(mark + body)), (body,))
        return frame, frame, len(body)
    hasher = xxh3_128(mark)
    raw: list[Buffer] = [body, *(each.reshape(-1).view(np.uint8).data for each in arrays)]
    for each in raw:
        hasher.update(each)
    digest, sizes = hasher.digest(), tuple(map(_size, raw))
    heads = tuple((each.dtype.str, each.shape) for each in arrays)
    if put is not None and sum(sizes[1:]) >= BULK_BYTES_MIN and (claim := put(arrays)) is not None:
        head = batch(sizes, heads, (-1,) * len(raw), digest)
        return encode(replace(head, claim=claim), raw[:1]), encode(head, raw), sum(sizes)
    parts, squeezed = list(raw), [-1] * len(raw)
    for index, (each, size) in enumerate(zip(raw, sizes, strict=True)):
        if squeeze and size >= SQUEEZE_BYTES_MIN:
            smaller = zstandard.compress(each, SQUEEZE_LEVEL)
            if len(smaller) < size * 7 // 8:
                parts[index], squeezed[index] = smaller, size
    frame = encode(batch(tuple(map(_size, parts)), heads, tuple(squeezed), digest), parts)
    return frame, frame, sum(map(_size, parts))


_SCALARS: Final = b"\xc1"
"""Before mail of numbers alone, which travels as it is: no other body begins with this byte."""

_SCALAR: Final = frozenset((int, float, bool, type(None)))
_SCALAR_DECODER: Final = msgspec.msgpack.Decoder(
    list[tuple[int, int, list[tuple[int, int, str, int | float | bool | None, int | None]]]]
)


def _is_scalar(letters: Letters) -> bool:
    kinds = {type(part) for _, _, inbox in letters for envelope in inbox for part in envelope[3:]}
    return kinds <= _SCALAR


def _flat(letters: Letters) -> list[Any]:
    """Return mail as one list: how many messages, each message once, then to whom each goes.

    A message goes to many receivers as one object, and arrives as one.
    """
    messages: list[Any] = []
    places: list[Any] = []
    known: dict[int, int] = {}
    for due, receiver, inbox in letters:
        for sent, message, port, payload, cause in inbox:
            number = known.get(message)
            if number is None:
                number = known[message] = len(known)
                messages += (sent, message, payload, cause)
            places += (due, receiver, number, port)
    return [len(known), *messages, *places]


_MARK: Final = struct.Struct("<qq")


def read(
    batch: Batch, rest: memoryview, messages: Mapping[tuple[str, int], type[Any]], get: Get | None = None
) -> Letters | None:
    """Return the mail of a batch. Its arrays lie in the frame, frozen.

    Args:
        batch: The head.
        rest: What follows it in the frame.
        messages: Registered message classes by (name, version).
        get: Reads arrays from shared memory.

    Returns:
        (tick in which it is due, receiver, inbox); None if its arrays are in shared memory no more.

    Raises:
        FrameDamaged: The frame is torn, or its content is not what its digest says.
    """
    head = _MARK.pack(batch.end, batch.event)
    if not batch.sizes:
        if xxh3_128_digest(head) != batch.digest:
            raise FrameDamaged("another content than its digest says")
        return []
    if batch.squeezed == (-1,):
        body = bytes(rest[: batch.sizes[0]])
        if xxh3_128_digest(head + body) != batch.digest:
            raise FrameDamaged("another content than its digest says")
        return _letters(body, messages, ())
    mark = xxh3_128(head)
    raw: list[memoryview] = []
    start = 0
    here = len(batch.sizes) if batch.claim is None else 1
    for size, before in zip(batch.sizes[:here], batch.squeezed[:here], strict=True):
        part = rest[start : start + size]
        if part.nbytes != size:
            raise FrameDamaged("a torn frame")
        start += size + (-size % ALIGNMENT)
        if before >= 0:
            try:
                part = memoryview(zstandard.decompress(part, max_output_size=before))
            except zstandard.ZstdError as error:
                raise FrameDamaged(str(error)) from error
        mark.update(part)
        raw.append(part)
    if batch.claim is not None:
        found = get(*batch.claim, batch.sizes[1:]) if get is not None else None
        if found is None:
            return None
        for part in found:
            mark.update(part)
        raw += found
    if mark.digest() != batch.digest:
        raise FrameDamaged("another content than its digest says")
    try:
        arrays = [_frozen(part, dtype, shape) for part, (dtype, shape) in zip(raw[1:], batch.heads, strict=True)]
    except ValueError as error:
        raise FrameDamaged(str(error)) from error
    return _letters(bytes(raw[0]), messages, arrays)


def _letters(body: bytes, messages: Mapping[tuple[str, int], type[Any]], arrays: Sequence[np.ndarray]) -> Letters:
    try:
        if body.startswith(_SCALARS):
            return _SCALAR_DECODER.decode(memoryview(body)[1:])
        flat = codec.unpack(body, messages, arrays)
    except (ValueError, msgspec.MsgspecError) as error:
        raise FrameDamaged(str(error)) from error
    letters: Letters = []
    place: tuple[int, int] | None = None
    inbox: list[Envelope] = []
    for index in range(1 + 4 * flat[0], len(flat), 4):
        due, receiver, number, port = flat[index : index + 4]
        if place != (due, receiver):
            place, inbox = (due, receiver), []
            letters.append((due, receiver, inbox))
        sent, message, payload, cause = flat[1 + 4 * number : 5 + 4 * number]
        inbox.append((sent, message, port, payload, cause))
    return letters


def _frozen(part: memoryview, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array over the bytes of a part, which nobody can write to."""
    owner = part.obj
    if isinstance(owner, np.ndarray):  # a transport that receives into an array gives its memory away
        owner.setflags(write=False)
        first = np.frombuffer(part, np.uint8).ctypes.data - owner.ctypes.data
        flat = owner[first : first + part.nbytes]
    else:
        flat = np.frombuffer(part if isinstance(owner, bytes | Received) else bytes(part), np.uint8)
    array = flat.view(dtype).reshape(shape)
    array.setflags(write=False)
    return array
