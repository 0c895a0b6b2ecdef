"""Reading a journal: verify every frame, cut off what a crash tore, refuse what was damaged."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, final

from msgspec import Struct, field

from neuraxis import codec
from neuraxis.errors import FileUnusable, JournalDamaged, UsageInvalid
from neuraxis.files import read_bytes
from neuraxis.journal.record import (
    CHAIN_BYTES,
    FORMAT,
    HEAD,
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
    SnapshotMark,
    chained,
    check_byte,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REMEDY = "Resume from a snapshot taken before the damage: neuraxis resume RUN --discard-damaged"


@final
class Journal(Struct):
    """All records of a journal, verified.

    Attributes:
        path: The file.
        header: Its first record.
        records: All records after the header, in order.
        end: Byte offset after the last sound frame.
        chain: Chain value there.
        torn: Bytes of an unfinished frame that a crash left at the end.
        damage: The error that ended reading early, if damage was to be tolerated.
    """

    path: Path
    header: Header
    records: list[Record]
    end: int
    chain: bytes
    torn: int = 0
    damage: JournalDamaged | None = None
    _blobs: dict[str, bytes] = field(default_factory=dict)

    def of(self, kind: type[Any]) -> Iterator[Any]:
        """Return the records of one kind, in order."""
        return (record for record in self.records if isinstance(record, kind))

    def inputs(self) -> list[InputRecord]:
        """Return all inputs."""
        return list(self.of(InputRecord))

    def intents(self) -> list[IntentRecord]:
        """Return all intents."""
        return list(self.of(IntentRecord))

    def outcomes(self) -> dict[int, OutcomeRecord]:
        """Return all outcomes by ticket."""
        return {record.ticket: record for record in self.of(OutcomeRecord)}

    def snapshots(self) -> list[SnapshotMark]:
        """Return the marks of all snapshots, oldest first."""
        return list(self.of(SnapshotMark))

    def blocks(self) -> list[BlockDigest]:
        """Return all block digests, one for each tick that has one, by tick."""
        return [each for _, each in sorted({record.tick: record for record in self.of(BlockDigest)}.items())]

    def ended(self) -> End | None:
        """Return the end record, if the run is complete."""
        return next(iter(self.of(End)), None)


def read_journal(
    path: Path,
    messages: Mapping[tuple[str, int], type[Any]],
    *,
    tolerate_damage: bool = False,
    header_only: bool = False,
) -> Journal:
    """Read and verify a journal.

    Args:
        path: The file.
        messages: Message classes by (name, version), for inputs, effects and outcomes.
        tolerate_damage: Whether to stop before damage and keep the error in `damage`, instead of raising it.
        header_only: Whether to stop after the header, when the message classes are not known yet.

    Raises:
        FileUnusable: The file is missing or empty, or a blob is.
        JournalDamaged: A frame or blob fails its check; names it and its offset.
        UsageInvalid: A record is sound, but of a message type that is not in `messages`.
    """
    scan = _Scan(path, _content(path))
    records: list[Record] = []
    try:
        for kind, body in scan.frames():
            records.append(_record(scan, kind, body, messages))
            if header_only:
                break
    except JournalDamaged as damage:
        if not tolerate_damage or not records:
            raise
        scan.damage = damage
    if records and isinstance(records[0], Header) and records[0].format > FORMAT:
        what = f"{path} has journal format {records[0].format}, this version reads up to {FORMAT}"
        raise UsageInvalid(what=what, remedy="Install a newer neuraxis.")
    if not records or not isinstance(records[0], Header):
        raise FileUnusable(path=str(path), reason="the run ended before it began", remedy="Run it again.")
    return Journal(path, records[0], records[1:], end=scan.end, chain=scan.chain, torn=scan.torn, damage=scan.damage)


def verify_journal(path: Path) -> tuple[int, int]:
    """Check the chain of a journal without reading its records.

    Returns:
        Frames, and bytes of an unfinished frame that a crash left at the end.

    Raises:
        FileUnusable, JournalDamaged: As `read_journal`.
    """
    scan = _Scan(path, _content(path))
    return sum(1 for _ in scan.frames()), scan.torn


def _content(path: Path) -> bytes:
    data = read_bytes(path, remedy="Name the folder of a run, which holds journal.nxj.")
    if data[: len(MAGIC)] != MAGIC:
        if MAGIC.startswith(data):
            raise FileUnusable(path=str(path), reason="the run ended before it began", remedy="Run it again.")
        raise JournalDamaged(path=str(path), part="the first line", offset=0, sound_frames=0, remedy=REMEDY)
    return data


@final
class _Scan:
    """Walks over the frames of a journal file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data
        self.end = len(MAGIC)
        self.chain = START_OF_CHAIN
        self.count = 0
        self.torn = 0
        self.damage: JournalDamaged | None = None

    def frames(self) -> Iterator[tuple[Kind, bytes]]:
        data = self.data
        while self.end < len(data):
            if self.end + HEAD.size > len(data):
                self.torn = len(data) - self.end
                return
            length, kind, check = HEAD.unpack_from(data, self.end)
            if check != check_byte(length, kind) or kind not in RECORD_OF:
                raise self.damaged("the head of frame")
            start = self.end + HEAD.size
            after = start + length + CHAIN_BYTES
            if after > len(data):
                self.torn = len(data) - self.end
                return
            body = data[start : start + length]
            chain = chained(self.chain, length, kind, body)
            if chain != data[start + length : after]:
                raise self.damaged("frame")
            yield Kind(kind), body
            self.end, self.chain = after, chain
            self.count += 1

    def damaged(self, part: str) -> JournalDamaged:
        return JournalDamaged(
            path=str(self.path), part=f"{part} {self.count}", offset=self.end, sound_frames=self.count, remedy=REMEDY
        )


def _record(scan: _Scan, kind: Kind, body: bytes, messages: Mapping[tuple[str, int], type[Any]]) -> Record:
    try:
        facts = codec.unpack(body, messages)
        if kind is Kind.INPUT:
            facts["payload"] = _value(scan, facts["payload"], messages)
        elif kind is Kind.OUTCOME:
            facts["value"] = _value(scan, facts["value"], messages)
        record: Record = RECORD_OF[kind](**facts)
    except (ValueError, TypeError, KeyError) as error:
        # the chain proves the bytes: it is the code that does not know what they mean
        raise UsageInvalid(
            what=f"{scan.path}: frame {scan.count} at byte {scan.end} cannot be read: {error}",
            remedy="Read it with the code that wrote it; actors name their effects in `effects = (…,)`, and a program "
            "that builds its graph names further message types in Blueprint(…, extra_messages=…).",
        ) from error
    return record


def _value(scan: _Scan, stored: Mapping[str, Any], messages: Mapping[tuple[str, int], type[Any]]) -> Any:
    if "blob" not in stored:
        return codec.unpack(stored["value"], messages)
    blob = scan.path.parent / "blobs" / stored["blob"]
    body = read_bytes(blob, remedy="Restore it from a copy of the run folder.")
    if hashlib.sha256(body).hexdigest() != stored["blob"]:
        raise JournalDamaged(path=str(blob), part="blob", offset=0, sound_frames=scan.count, remedy=REMEDY)
    return codec.unpack(body, messages)
