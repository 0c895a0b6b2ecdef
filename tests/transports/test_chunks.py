"""Frames that are cut and joined: whole or not at all, whatever becomes of their chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from neuraxis_transports.chunks import HEAD, OPEN_FRAMES_MAX, Cutter, Joiner

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOM = 16


def cutter(member: int = 1) -> Cutter:
    return Cutter(member, HEAD.size + ROOM)


def joined(joiner: Joiner, chunks: Sequence[bytes]) -> list[bytes]:
    return [bytes(frame) for chunk in chunks if (frame := joiner.join(chunk)) is not None]


@given(st.lists(st.lists(st.binary(max_size=50), max_size=4), max_size=5))
def test_frames_come_out_as_they_went_in(frames: list[list[bytes]]) -> None:
    one, joiner = cutter(), Joiner()
    chunks = [chunk for parts in frames for chunk in one.cut(parts)]
    assert all(len(chunk) <= HEAD.size + ROOM for chunk in chunks)
    assert joined(joiner, chunks) == [b"".join(parts) for parts in frames]


@given(st.data())
def test_lost_repeated_and_exchanged_chunks_never_make_a_wrong_frame(data: st.DataObject) -> None:
    senders = [cutter(1), cutter(1), cutter(2)]  # the second replaced the first
    frames = [bytes([number]) * data.draw(st.integers(0, 70)) for number in range(6)]
    chunks = [chunk for number, frame in enumerate(frames) for chunk in senders[number % 3].cut([frame])]
    arrived = data.draw(st.lists(st.sampled_from(chunks), max_size=40))
    assert set(joined(Joiner(), arrived)) <= set(frames)


@given(st.permutations(range(5)))
def test_the_order_of_the_chunks_of_a_frame_does_not_matter(order: list[int]) -> None:
    frame = bytes(range(5 * ROOM))
    chunks = cutter().cut([frame])
    assert joined(Joiner(), [chunks[each] for each in order]) == [frame]


def test_a_lost_chunk_loses_its_frame_and_no_other() -> None:
    one, joiner = cutter(), Joiner()
    frames = [bytes([number]) * 40 for number in range(20)]
    chunks = [chunk for number, frame in enumerate(frames) for chunk in one.cut([frame])[number % 2 :]]
    assert joined(joiner, chunks) == frames[::2]


def test_frames_that_never_end_are_given_up_for_new_ones() -> None:
    joiner = Joiner()
    one = cutter()
    first = one.cut([bytes(40)])
    assert joined(joiner, first[:-1]) == []
    for _ in range(OPEN_FRAMES_MAX):
        joiner.join(one.cut([bytes(40)])[0])
    assert joined(joiner, first[-1:]) == []


def test_what_is_no_chunk_is_ignored() -> None:
    joiner = Joiner()
    huge = HEAD.pack(1, 2, 3, 1 << 60, 0) + b"x"
    beyond = HEAD.pack(1, 2, 3, 10, 9) + b"xx"
    empty = HEAD.pack(1, 2, 3, 10, 0)
    assert joined(joiner, [b"", b"short", huge, beyond, empty]) == []
