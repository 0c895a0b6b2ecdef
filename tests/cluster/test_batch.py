"""Batches: written once, read as they were, and refused where a byte is another."""

from __future__ import annotations

import secrets
import struct
from functools import partial
from typing import Any

import numpy as np
import pytest
from xxhash import xxh3_128_digest

from neuraxis.cluster.batch import Batch, FrameDamaged, Want, decode, encode, read, written
from neuraxis.cluster.bulk import SHARED, Bulk, folder_of, remove
from neuraxis.codec import encode as canonical
from neuraxis.message import Freezer

from .web import Parcel

MESSAGES = {("web-parcel", 1): Parcel}


def head(sizes: Any, heads: Any, squeezed: Any, digest: bytes) -> Batch:
    """Return the head of a batch of some window."""
    return Batch(1, 7, 2, 1, 70, 71, False, None, sizes, heads, squeezed, digest)


def frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def letters(length: int = 3) -> Any:
    """Return mail of all kinds, of which one message goes to two receivers."""
    parcel = Parcel(4, float("nan"), frozen(np.arange(length, dtype=np.int64)))
    shared = (69, 2**44 + 5, "parcel", parcel, (3, 4))
    return [
        (71, 9, [(68, 2**44 + 4, "number", 2**62, None), shared]),
        (71, ~10, [shared]),
        (75, 9, [(69, 2**44 + 6, "word", "ä", -17)]),
    ]


def sent(mail: Any, **how: Any) -> bytes:
    now, _, _ = written(head, mail, 70, 71, squeeze=how.pop("squeeze", False), **how)
    return b"".join(now)


def got(frame: bytes, get: Any = None) -> Any:
    batch, rest = decode(frame)
    assert isinstance(batch, Batch)
    return read(batch, rest, MESSAGES, get)


@pytest.mark.parametrize("length", [0, 3, 50_000])
@pytest.mark.parametrize("squeeze", [False, True])
def test_mail_comes_back_as_it_was(length: int, squeeze: bool) -> None:
    mail = letters(length)
    back = got(sent(mail, squeeze=squeeze))
    assert canonical(back) == canonical(mail)
    assert back[0][2][1][3] is back[1][2][0][3], "a message to two receivers is one object"


def test_numbers_come_back_as_they_were() -> None:
    values = [2**64 - 1, -(2**63), True, None, 1, 1.0, float("inf")]
    mail = [(71, ~9, [(70, 2**44 + at, "in", value, None if at else -3)]) for at, value in enumerate(values)]
    assert repr(got(sent(mail))) == repr(mail)  # an int is no float, a tuple no list


def test_arrays_of_a_frame_are_frozen_and_travel_on_without_a_copy() -> None:
    content = got(sent(letters(50_000)))[0][2][1][3].content
    freezer = Freezer()
    assert freezer.freeze(content) is content
    assert freezer.copies == 0
    assert content.ctypes.data % 8 == 0


def test_no_mail_is_a_batch_too() -> None:
    assert got(sent([])) == []


NUMBERS = [(71, 9, [(70, 2**44, "in", 5, None)])]


@pytest.mark.parametrize("mail", [[], NUMBERS, letters(3), letters(50_000)], ids=["none", "numbers", "small", "large"])
def test_a_frame_with_another_byte_or_less_of_them_is_refused(mail: Any) -> None:
    frame = sent(mail)
    whole = canonical(got(frame))
    draw = np.random.Generator(np.random.Philox(key=3))
    refused = 0
    for place in {0, 1, 4, 5, len(frame) - 1, *(int(each) for each in draw.integers(0, len(frame), 200))}:
        damaged = bytearray(frame)
        damaged[place] ^= 0x41
        for each in (bytes(damaged), frame[:place]):
            try:
                found = got(each)
            except (FrameDamaged, AssertionError):
                refused += 1
                continue
            assert canonical(found) == whole, "padding, or what decides nothing"
    assert refused > 20


@pytest.mark.parametrize("body", [b"\xc1", b"\xc1\xc1", b"\xc1\x91\x93\x01\x02\x03", b"\x93\x01\xc0"])
def test_a_body_that_no_member_writes_is_refused(body: bytes) -> None:
    batch = head((len(body),), (), (-1,), xxh3_128_digest(struct.pack("<qq", 70, 71) + body))
    with pytest.raises(FrameDamaged):
        got(b"".join(encode(batch, (body,))))


def test_other_frames_come_back_too() -> None:
    want = Want(1, 2, 3, 4)
    assert decode(b"".join(encode(want)))[0] == want


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no shared memory here")
def test_large_arrays_lie_in_shared_memory_until_they_are_forgotten() -> None:
    token = secrets.token_hex(8)
    writer, reader = Bulk(token, 1, 1), Bulk(token, 2, 1)
    try:
        assert writer.reaches(2, 1)
        assert not writer.reaches(2, 2)
        mail = letters(100_000)
        frame = sent(mail, put=partial(writer.put, 7))
        assert len(frame) < 2_000
        back = got(frame, reader.get)
        assert canonical(back) == canonical(mail)
        freezer = Freezer()
        content = back[0][2][1][3].content
        assert freezer.freeze(content) is content
        writer.forget(6)
        assert got(frame, reader.get) is not None
        writer.forget(7)
        assert got(frame, reader.get) is None, "it is asked for again, and then carries its arrays"
        assert int(content[-1]) == 99_999, "whoever has it keeps it"
        again = b"".join(written(head, mail, 70, 71, squeeze=False, put=partial(writer.put, 8))[1])
        assert canonical(got(again)) == canonical(mail)
    finally:
        writer.close()
        reader.close()
        remove(token)
    assert not folder_of(token).exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "absent", ""])
def test_a_claim_to_anything_else_is_not_followed(name: str) -> None:
    bulk = Bulk(secrets.token_hex(8), 1, 1)
    try:
        assert bulk.get(name, (0,), (8,)) is None
        assert bulk.get("1.1", (0,), (8,)) is None, "beyond its end"
    finally:
        bulk.close()
