"""The journal: what was accepted is in it, what a crash tore is cut off, what was damaged is found and named."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import asdict, replace

from neuraxis import Simulation
from neuraxis.errors import FileUnusable, JournalDamaged, UsageInvalid
from neuraxis.journal.log import EffectRecords, FileSink, MemorySink
from neuraxis.journal.read import Journal, read_journal, verify_journal
from neuraxis.journal.record import (
    CHAIN_BYTES,
    HEAD,
    KIND_OF,
    MAGIC,
    RECORD_OF,
    START_OF_CHAIN,
    BlockDigest,
    End,
    Header,
    InputRecord,
    IntentRecord,
    Kind,
    OutcomeRecord,
    Record,
    Resumed,
    SnapshotMark,
    chained,
    check_byte,
    frame,
)
from neuraxis.journal.write import BLOB_BYTES_MIN, JournalWriter
from neuraxis.launch import resume_graph
from neuraxis.scheduler.effects import Intent, Outcome
from neuraxis.scheduler.envelope import MessageId
from tests.kernel.actors import Point
from tests.kernel.breakage import flipped, read_only
from tests.kernel.test_codec import MESSAGES, points, same, trees
from tests.kernel.victim import SETTINGS, drive, finish, killable, started

if TYPE_CHECKING:
    from collections.abc import Iterator


HEADER = Header(1, "run", {}, 7, "00", [{"name": "neuraxis"}], {"python": "3"}, {"clock": "virtual"})

naturals = st.integers(0, 2**63)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.dictionaries(texts, texts | st.integers(-5, 5) | st.booleans(), max_size=3)
digests = st.dictionaries(st.sampled_from(["exact", "machine"]), texts)
inputs = st.builds(InputRecord, naturals, naturals, texts, texts, trees, st.booleans())
records = st.one_of(
    inputs,
    st.builds(IntentRecord, naturals, naturals, texts, points),
    st.builds(OutcomeRecord, naturals, naturals, st.sampled_from(["value", "error", "missed"]), trees, texts),
    st.builds(SnapshotMark, naturals, texts, texts),
    st.builds(BlockDigest, naturals, st.dictionaries(st.integers(0, 191), st.binary(max_size=32)), digests),
    st.builds(Resumed, naturals, texts, st.lists(st.dictionaries(texts, texts), max_size=2)),
    st.builds(End, naturals, digests, plain),
)
headers = st.builds(Header, st.just(1), texts, plain, st.integers(-(2**63), 2**63), texts, st.just([]), plain, plain)


def journal(folder: Path, *written: Record) -> Path:
    """Write a journal of these records behind a header."""
    writer = JournalWriter(folder / "journal.nxj")
    for record in (HEADER, *written):
        writer.append(record)
    writer.close()
    return folder / "journal.nxj"


def small(folder: Path) -> Path:
    """Write a journal with a few small records."""
    return journal(
        folder,
        InputRecord(1, 2, "ear", "heard", 3, scripted=False),
        SnapshotMark(4, "4.nxs", "ab"),
        End(5, {"exact": "cd"}),
    )


def bounds(data: bytes) -> list[int]:
    """Return where each frame of a sound journal begins, and where the last one ends."""
    found = [len(MAGIC)]
    while found[-1] < len(data):
        length, _, _ = HEAD.unpack_from(data, found[-1])
        found.append(found[-1] + HEAD.size + length + CHAIN_BYTES)
    return found


def alike(written: Record, found: Record) -> bool:
    return type(written) is type(found) and same(asdict(written), asdict(found))


# -------------------------------------------------------------------------------- frames


def test_frame_is_length_kind_check_body_and_chain() -> None:
    data, after = frame(START_OF_CHAIN, Kind.INPUT, b"body")
    chain = hashlib.blake2b(START_OF_CHAIN + b"\4\0\0\0\2body", digest_size=32).digest()
    assert data == b"\4\0\0\0" + b"\2" + bytes([4 ^ 2 ^ 0xA5]) + b"body" + chain
    assert after == chain


def test_journal_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.nxj"
    with closing(JournalWriter(path)) as writer:
        writer.append(replace(HEADER, format=2))
    with pytest.raises(UsageInvalid, match=r"journal format 2, this version reads up to 1. Install a newer neuraxis."):
        read_journal(path, {})


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 47))
def test_check_byte_notices_any_flipped_bit_of_a_head(length: int, kind: int, bit: int) -> None:
    head = HEAD.pack(length, kind, check_byte(length, kind))
    damaged_length, damaged_kind, check = HEAD.unpack(flipped(head, bit))
    assert check != check_byte(damaged_length, damaged_kind)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_chain_binds_a_frame_to_all_before_it(bodies: list[bytes]) -> None:
    chain = other = START_OF_CHAIN
    for number, body in enumerate(bodies):
        chain = chained(chain, len(body), 2, body)
        other = chained(other, len(body), 2, b"x" + body if number == 0 else body)
        assert chain != other


def test_every_kind_of_frame_has_its_record_and_every_record_its_kind() -> None:
    assert set(RECORD_OF) == set(Kind)
    assert {KIND_OF[cls]: cls for cls in KIND_OF} == RECORD_OF


# ---------------------------------------------------------------------------- round trip


@given(headers, st.lists(records, max_size=6))
@settings(deadline=None)
def test_records_come_back_as_they_were_written(header: Header, written: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sink = FileSink(JournalWriter(Path(folder) / "journal.nxj"), MESSAGES)
        for record in (header, *written):
            sink.append(record)
        found = sink.records()
        sink.close()
        assert len(found) == len(written) + 1
        assert all(map(alike, [header, *written], found))
        assert verify_journal(Path(folder) / "journal.nxj") == (len(written) + 1, 0)


def test_journal_tells_its_records_by_kind(tmp_path: Path) -> None:
    asked = InputRecord(1, 2, "ear", "heard", 3, scripted=False)
    intent, outcome = IntentRecord(5, 9, "a", Point("p", 0, 0)), OutcomeRecord(9, 5, "value", 1, "")
    mark = SnapshotMark(4, "4.nxs", "ab")
    early, late, again = BlockDigest(10, {}, {}), BlockDigest(20, {}, {}), BlockDigest(10, {3: b"x"}, {})
    end = End(30, {"exact": "d"}, {"figures": [1]})
    found = read_journal(
        journal(tmp_path, asked, intent, late, early, again, mark, outcome, end, End(31, {})), MESSAGES
    )
    assert found.header == HEADER
    assert found.inputs() == [asked]
    assert found.intents() == [intent]
    assert found.outcomes() == {5: outcome}
    assert found.snapshots() == [mark]
    assert found.blocks() == [again, late]
    assert found.ended() == end
    assert (found.torn, found.damage) == (0, None)
    assert found.end == found.path.stat().st_size


def test_run_that_goes_on_has_no_end(tmp_path: Path) -> None:
    assert read_journal(journal(tmp_path), {}).ended() is None


def test_records_in_memory_come_back_too() -> None:
    sink = MemorySink()
    sink.append(HEADER)
    sink.records().clear()
    sink.sync()
    sink.close()
    sink.close()
    assert sink.records() == [HEADER]


def test_intents_and_outcomes_of_effects_become_records() -> None:
    sink, effect = MemorySink(), Point("p", 0, 0)
    log = EffectRecords(sink)
    log.intent(Intent(MessageId(5), 9, "a", effect, None))  # type: ignore[arg-type]
    log.outcome(9, Outcome(MessageId(5), effect, "error", error="ValueError: no"))  # type: ignore[arg-type]
    assert sink.records() == [IntentRecord(5, 9, "a", effect), OutcomeRecord(9, 5, "error", None, "ValueError: no")]


def test_header_can_be_read_before_the_message_types_are_known(tmp_path: Path) -> None:
    path = journal(tmp_path, InputRecord(1, 2, "ear", "heard", Point("p", 0, 0), scripted=True))
    assert read_journal(path, {}, header_only=True).header == HEADER
    with pytest.raises(UsageInvalid, match=r"frame 1 at byte \d+ .*test-point/1 is not registered.*extra_messages"):
        read_journal(path, {})


# ------------------------------------------------------------------------------ torn ends


def test_last_frame_cut_at_any_byte_is_cut_off_and_the_rest_is_sound(tmp_path: Path) -> None:
    path = small(tmp_path)
    whole = path.read_bytes()
    *_, last, end = bounds(whole)
    before = read_journal(path, {}).records[:-1]
    for size in range(last, end):
        path.write_bytes(whole[:size])
        found = read_journal(path, {})
        assert found.records == before
        assert (found.end, found.torn) == (last, size - last)
        assert verify_journal(path) == (3, size - last)


def test_run_whose_first_record_was_torn_never_began(tmp_path: Path) -> None:
    path = small(tmp_path)
    whole = path.read_bytes()
    for size in range(bounds(whole)[1]):
        path.write_bytes(whole[:size])
        with pytest.raises(FileUnusable, match=r"ended before it began. Run it again."):
            read_journal(path, {})


def test_journal_whose_first_line_was_torn_begins_anew(tmp_path: Path) -> None:
    for size in range(len(MAGIC) + 1):
        (tmp_path / "journal.nxj").write_bytes(MAGIC[:size])
        assert read_journal(journal(tmp_path), {}).header == HEADER


def test_writer_goes_on_behind_the_last_sound_frame(tmp_path: Path) -> None:
    path = small(tmp_path)
    with path.open("ab") as file:
        file.write(path.read_bytes()[-40:-1])
    torn = read_journal(path, {}, tolerate_damage=True)
    writer = JournalWriter(path)
    writer.go_on(end=torn.end, chain=torn.chain)
    writer.append(Resumed(5))
    writer.close()
    assert read_journal(path, {}).records == [*torn.records, Resumed(5)]


# -------------------------------------------------------------------------------- damage


def test_one_flipped_bit_anywhere_is_found_and_named(tmp_path: Path) -> None:
    path = small(tmp_path)
    whole = path.read_bytes()
    begins = bounds(whole)
    for bit in range(8 * len(whole)):
        if 8 * begins[1] < bit and bit % 8 not in (bit // 8 % 8, 7):  # every bit of the header, two of every other byte
            continue
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(JournalDamaged) as found:
            verify_journal(path)
        damage, number = found.value, sum(begin <= bit // 8 for begin in begins) - 1
        assert damage.path == str(path)
        assert damage.sound_frames == max(number, 0)
        assert damage.offset == (begins[number] if number >= 0 else 0)
        in_head = number >= 0 and bit // 8 - begins[number] < HEAD.size
        part = f"the head of frame {number}" if in_head else f"frame {number}"
        assert damage.part == (part if number >= 0 else "the first line")
        assert f"{path}: {damage.part} at byte {damage.offset} is damaged" in str(damage)


def test_damaged_journal_is_read_up_to_the_damage_if_that_is_wanted(tmp_path: Path) -> None:
    path = small(tmp_path)
    whole = path.read_bytes()
    sound = read_journal(path, {})
    begins = bounds(whole)
    for number in range(1, 4):
        path.write_bytes(flipped(whole, 8 * begins[number] + 100))
        with pytest.raises(JournalDamaged) as refused:
            read_journal(path, {})
        found = read_journal(path, {}, tolerate_damage=True)
        assert found.records == sound.records[: number - 1]
        assert found.end == begins[number]
        assert found.damage is not None
        assert str(found.damage) == str(refused.value)
    path.write_bytes(flipped(whole, 8 * begins[0] + 100))
    with pytest.raises(JournalDamaged, match="0 frames before it are sound"):
        read_journal(path, {}, tolerate_damage=True)


@pytest.mark.parametrize(
    ("order", "first_bad"), [([0, 2, 1, 3], 1), ([0, 2, 3], 1), ([0, 1, 1, 2, 3], 2), ([1, 2, 3], 0), ([0, 3], 1)]
)
def test_frames_that_are_swapped_removed_or_repeated_are_found(
    tmp_path: Path, order: list[int], first_bad: int
) -> None:
    path = small(tmp_path)
    whole = path.read_bytes()
    begins = bounds(whole)
    frames = [whole[begins[n] : begins[n + 1]] for n in range(4)]
    path.write_bytes(MAGIC + b"".join(frames[n] for n in order))
    with pytest.raises(JournalDamaged, match=f"^.NX401. .*: frame {first_bad} at byte"):
        verify_journal(path)


def test_frame_of_an_unknown_kind_is_damage(tmp_path: Path) -> None:
    path = journal(tmp_path)
    with path.open("ab") as file:
        file.write(HEAD.pack(0, 99, check_byte(0, 99)) + bytes(32))
    with pytest.raises(JournalDamaged, match="the head of frame 1"):
        verify_journal(path)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x90", b"\x80", b"\x81\xa1x\x01"])
def test_sound_frame_whose_content_is_unknown_is_not_taken_for_damage(tmp_path: Path, body: bytes) -> None:
    path = journal(tmp_path)
    data, _ = frame(read_journal(path, {}).chain, Kind.INPUT, body)
    with path.open("ab") as file:
        file.write(data)
    assert verify_journal(path) == (2, 0)
    with pytest.raises(UsageInvalid, match=r"frame 1 at byte .* cannot be read: .* Read it with the code"):
        read_journal(path, {}, tolerate_damage=True)


def test_journal_that_does_not_begin_with_its_header_never_began(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal.nxj")
    writer.append(Resumed(1))
    writer.close()
    with pytest.raises(FileUnusable, match="ended before it began"):
        read_journal(tmp_path / "journal.nxj", {})


@pytest.mark.parametrize("content", [b"neuraxis jourmal 1\n", b"# a text\n" * 20, b"n-"])
def test_file_that_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal.nxj").write_bytes(content)
    with pytest.raises(JournalDamaged, match="the first line at byte 0"):
        read_journal(tmp_path / "journal.nxj", {})


@pytest.mark.parametrize("name", ["absent.nxj", "."])
def test_journal_that_cannot_be_read_names_the_remedy(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileUnusable, match=r"Name the folder of a run, which holds journal.nxj."):
        read_journal(tmp_path / name, {})


# ------------------------------------------------------------------------------- writing


def test_second_writer_is_refused_until_the_first_has_closed(tmp_path: Path) -> None:
    first = JournalWriter(tmp_path / "journal.nxj")
    with pytest.raises(FileUnusable, match=r"another process is writing this run. Wait until it ends, or stop it."):
        JournalWriter(tmp_path / "journal.nxj")
    first.append(HEADER)
    first.close()
    first.close()
    JournalWriter(tmp_path / "journal.nxj").close()
    assert read_journal(tmp_path / "journal.nxj", {}).header == HEADER


def test_writer_in_another_process_is_refused(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal.nxj")
    program = (
        "import sys; from pathlib import Path; from neuraxis.journal.write import JournalWriter; "
        "JournalWriter(Path(sys.argv[1]))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(writer.path)], capture_output=True, text=True, check=False
    )
    writer.close()
    assert other.returncode == 1
    assert "another process is writing this run" in other.stderr


class FullDisk:
    """Stands in for the writing calls of `os`: takes `free` bytes, then none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self)

    def __call__(self, file: int, data: Any, offset: int) -> int:
        if self.free == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = memoryview(data)[: self.free]
        self.free -= len(part)
        return self._pwrite(file, part, offset)


def test_disk_that_is_full_after_any_byte_leaves_no_half_written_record(tmp_path: Path) -> None:
    path, mark = journal(tmp_path), SnapshotMark(4, "4.nxs", "ab")
    before = read_journal(path, {})
    (tmp_path / "whole").mkdir()
    length = journal(tmp_path / "whole", mark).stat().st_size - before.end
    for free in range(length):
        writer = JournalWriter(path)
        writer.go_on(end=before.end, chain=before.chain)
        with pytest.MonkeyPatch.context() as patch:
            disk = FullDisk(patch, free)
            with pytest.raises(FileUnusable, match=r"No space left on device. Free space on the disk"):
                writer.append(mark)
            assert path.stat().st_size == before.end
            disk.free = 10_000
            writer.append(mark)
        writer.close()
        assert read_journal(path, {}).records == [mark]


def test_record_that_cannot_be_taken_back_is_cut_off_by_the_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = journal(tmp_path, Resumed(1))
    sound = read_journal(path, {})
    writer = JournalWriter(path)
    writer.go_on(end=sound.end, chain=sound.chain)
    FullDisk(monkeypatch, 50)
    monkeypatch.setattr(os, "ftruncate", broken)
    with pytest.raises(FileUnusable):
        writer.append(SnapshotMark(4, "4.nxs", "ab"))
    writer.close()
    found = read_journal(path, {})
    assert (found.records, found.torn) == ([Resumed(1)], 50)


def test_record_that_the_system_takes_in_pieces_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: pwrite(file, memoryview(data)[:7], at))
    assert read_journal(small(tmp_path), {}).ended() == End(5, {"exact": "cd"})


def test_journal_that_cannot_begin_gives_its_file_free_again(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        FullDisk(patch, 5)
        with pytest.raises(FileUnusable, match="No space left"):
            JournalWriter(tmp_path / "journal.nxj")
    assert read_journal(journal(tmp_path), {}).header == HEADER


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(FileUnusable, match="Choose a folder that you can write to"):
        JournalWriter(tmp_path / "journal.nxj")
    with pytest.raises(FileUnusable, match="No such file or directory"):
        JournalWriter(tmp_path / "absent" / "journal.nxj")


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_journal_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fdatasync", waited.append)
    writer = JournalWriter(tmp_path / "journal.nxj", durable=durable)
    writer.append(HEADER)
    assert waited == []
    FileSink(writer, {}).sync()
    assert len(waited) == durable
    writer.close()
    assert len(waited) == 2 * durable


def test_disk_that_fails_on_waiting_is_told_and_the_file_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    writer = JournalWriter(tmp_path / "journal.nxj", durable=True)
    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(FileUnusable, match=r"Input/output error. Check the disk"):
        writer.sync()
    with pytest.raises(FileUnusable, match="Input/output error"):
        writer.close()
    JournalWriter(tmp_path / "journal.nxj").close()


# --------------------------------------------------------------------------------- blobs


def large(fill: int, *, extra: int = 0) -> bytes:
    """Return bytes that `pack` makes exactly as long as the smallest blob, and some more."""
    return bytes([fill]) * (BLOB_BYTES_MIN - 3 + extra)


def blobs(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").glob("*"))


def test_large_values_lie_in_files_of_their_own_named_by_their_hash(tmp_path: Path) -> None:
    array = np.arange(100_000, dtype=np.float32)
    written = [
        InputRecord(1, 2, "ear", "heard", array, scripted=False),
        OutcomeRecord(3, 4, "value", large(1), ""),
        OutcomeRecord(5, 6, "value", array, ""),
        InputRecord(7, 8, "ear", "heard", large(1, extra=-2), scripted=False),
    ]
    path = journal(tmp_path, *written)
    assert len(blobs(tmp_path)) == 2
    assert all(hashlib.sha256(each.read_bytes()).hexdigest() == each.name for each in blobs(tmp_path))
    assert path.stat().st_size < 2 * BLOB_BYTES_MIN
    assert all(map(alike, written, read_journal(path, {}).records))


def test_blob_that_is_missing_is_named(tmp_path: Path) -> None:
    path = journal(tmp_path, OutcomeRecord(3, 4, "value", large(1), ""))
    blobs(tmp_path)[0].unlink()
    with pytest.raises(FileUnusable, match=r"blobs/[0-9a-f]{64}: .* Restore it from a copy of the run folder."):
        read_journal(path, {})


def test_flipped_bit_in_a_blob_is_found_and_what_is_before_it_can_be_read(tmp_path: Path) -> None:
    path = journal(tmp_path, Resumed(1), OutcomeRecord(3, 4, "value", large(1), ""), Resumed(2))
    blob = blobs(tmp_path)[0]
    blob.write_bytes(flipped(blob.read_bytes(), 77_777))
    with pytest.raises(JournalDamaged, match=f"{blob.name}: blob at byte 0 is damaged; 2 frames before it are sound"):
        read_journal(path, {})
    found = read_journal(path, {}, tolerate_damage=True)
    assert found.records == [Resumed(1)]
    assert found.end == bounds(path.read_bytes())[2]


def test_blob_that_cannot_be_written_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal.nxj")
    writer.append(HEADER)
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(FileUnusable, match="blobs: File exists"):
        writer.append(OutcomeRecord(3, 4, "value", large(1), ""))
    writer.append(Resumed(1))
    writer.close()
    assert read_journal(tmp_path / "journal.nxj", {}).records == [Resumed(1)]


# ------------------------------------------------------------------------ a run is killed


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run, and its digest."""
    folder = tmp_path_factory.mktemp("killable") / "run"
    digest = finish(started(folder))
    return folder, digest


def copies(finished: Path, folder: Path) -> Iterator[tuple[Path, bytes, list[int]]]:
    data = (finished / "journal.nxj").read_bytes()
    for number, size in enumerate(bounds(data)):
        shutil.copytree(finished, folder / str(number))
        yield folder / str(number), data[:size], bounds(data)


def test_run_that_is_killed_after_any_record_resumes_to_the_same_digest(
    tmp_path: Path, finished: tuple[Path, str]
) -> None:
    folder, digest = finished
    kinds = {
        type(record) for record in read_journal(folder / "journal.nxj", killable().messages(killable().wire())).records
    }
    assert kinds >= {InputRecord, IntentRecord, OutcomeRecord, SnapshotMark, BlockDigest, End}
    for number, (copy, data, begins) in enumerate(copies(folder, tmp_path)):
        # half of the next frame was under way
        rest = (folder / "journal.nxj").read_bytes()[len(data) :][: 20 * (number % 2)]
        (copy / "journal.nxj").write_bytes(data + rest)
        if number == 0:
            with pytest.raises(FileUnusable, match="ended before it began"):
                resume_graph(copy, killable(), settings=SETTINGS)
            continue
        resumption = resume_graph(copy, killable(), settings=SETTINGS)
        if number == len(begins) - 1:
            assert resumption.simulation is None
            assert resumption.end is not None
            continue
        assert resumption.simulation is not None
        assert any("cut off 20 bytes" in note for note in resumption.notes) is bool(rest)
        assert finish(resumption.simulation) == digest
        again = read_journal(copy / "journal.nxj", killable().messages(killable().wire()))
        assert again.ended() is not None
        assert verify_journal(copy / "journal.nxj") == (len(again.records) + 1, 0)


def test_run_that_is_killed_again_and_again_resumes_to_the_same_digest(
    tmp_path: Path, finished: tuple[Path, str]
) -> None:
    folder = tmp_path / "run"
    sim: Simulation | None = started(folder)
    for size in range(1, 9):
        assert sim is not None
        drive(sim, until=5 * size - 1)
        sim.close()  # without an end: as good as killed
        with (folder / "journal.nxj").open("r+b") as file:
            file.truncate(file.seek(0, os.SEEK_END) - (size % 3) * 10)
        sim = resume_graph(folder, killable(), settings=SETTINGS).simulation
    assert sim is not None
    assert finish(sim) == finished[1]


# --------------------------------------------------------------------------------- model


class JournalMachine(RuleBasedStateMachine):
    """A journal under writing, crashes, full disks and damage, beside the list of what it must hold."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "journal.nxj"
        self.writer: JournalWriter | None = JournalWriter(self.path)
        self.writer.append(HEADER)
        self.model: list[Record] = []

    @precondition(lambda self: self.writer is not None)
    @rule(record=records)
    def append(self, record: Record) -> None:
        self.writer.append(record)
        self.model.append(record)

    @precondition(lambda self: self.writer is not None)
    @rule(record=records, free=st.integers(0, 60))
    def append_to_a_full_disk(self, record: Record, free: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            FullDisk(patch, free)
            with pytest.raises(FileUnusable):
                self.writer.append(attrs_free(record, free))

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close(self) -> None:
        self.writer.close()
        self.writer = None

    @precondition(lambda self: self.writer is None)
    @rule()
    def go_on(self) -> None:
        found = self.read()
        self.writer = JournalWriter(self.path)
        self.writer.go_on(end=found.end, chain=found.chain)

    @precondition(lambda self: self.writer is None and self.model)
    @rule(data=st.data())
    def tear(self, data: st.DataObject) -> None:
        found = self.read()
        whole = self.path.read_bytes()[: found.end]
        *_, last, end = bounds(whole)
        self.path.write_bytes(whole[: data.draw(st.integers(last, end - 1), label="size")])
        self.model.pop()

    @precondition(lambda self: self.writer is None)
    @rule(data=st.data())
    def damage_is_found(self, data: st.DataObject) -> None:
        whole = self.path.read_bytes()
        sound = self.read().end
        bit = data.draw(st.integers(0, 8 * sound - 1), label="bit")
        self.path.write_bytes(flipped(whole, bit))
        with pytest.raises(JournalDamaged):
            verify_journal(self.path)
        self.path.write_bytes(whole)

    @invariant()
    def holds_what_was_written(self) -> None:
        if hasattr(self, "path"):
            assert [*map(type, found := self.read().records)] == [*map(type, self.model)]
            assert all(map(alike, self.model, found))

    def read(self) -> Journal:
        return read_journal(self.path, MESSAGES)

    def teardown(self) -> None:
        if getattr(self, "writer", None) is not None:
            self.writer.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()


def attrs_free(record: Record, free: int) -> Record:
    """Return a record that surely needs more than `free` bytes."""
    return record if struct.calcsize("<IBB") + CHAIN_BYTES > free else SnapshotMark(1, "x" * 100, "")


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
