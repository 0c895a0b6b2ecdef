"""Checking a run folder, byte by byte, without the plugins that made it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from neuraxis.errors import JournalDamaged, SnapshotDamaged, UsageInvalid, counted
from neuraxis.files import read_bytes
from neuraxis.journal.read import REMEDY, verify_journal
from neuraxis.launch import JOURNAL_NAME
from neuraxis.snapshot.container import verify_snapshot
from neuraxis.snapshot.shelf import Shelf
from neuraxis.snapshot.sign import verify_signature

if TYPE_CHECKING:
    from pathlib import Path

Finding = tuple[str, str]


def check_run(folder: Path, signed_by: str | None = None) -> list[Finding]:
    """Check journal, blobs and snapshots of a run.

    Args:
        folder: The run folder.
        signed_by: Public key that must have signed the snapshots, hexadecimal.

    Returns:
        (file, what was checked) for every file.

    Raises:
        JournalDamaged, SnapshotDamaged, SignatureInvalid: Names file, part and byte, and the newest
            sound snapshot.
    """
    frames, torn = verify_journal(folder / JOURNAL_NAME)
    note = f", {counted(torn, 'byte')} of an unfinished record at the end" if torn else ""
    findings = [(JOURNAL_NAME, f"{counted(frames, 'frame')}, chain unbroken{note}")]
    for blob in sorted((folder / "blobs").glob("*")):
        if hashlib.sha256(read_bytes(blob, remedy="Check its permissions.")).hexdigest() != blob.name:
            raise JournalDamaged(path=str(blob), part="blob", offset=0, sound_frames=frames, remedy=REMEDY)
        findings.append((f"blobs/{blob.name[:12]}…", "SHA-256"))
    files = Shelf(folder).files()
    damaged: list[SnapshotDamaged] = []
    for path in files:
        try:
            findings += check_snapshot(path, signed_by)
        except SnapshotDamaged as damage:
            damaged.append(damage)
    if damaged:
        bad = {damage.path for damage in damaged}
        sound = next((path.name for path in files if str(path) not in bad), None)
        first = damaged[0]
        remedy = (
            f"The newest sound snapshot is {sound}; resume uses it."
            if sound
            else "No snapshot is sound; resume starts over."
        )
        raise SnapshotDamaged(path=first.path, part=first.part, offset=first.offset, remedy=remedy)
    return findings


def check_snapshot(path: Path, signed_by: str | None = None) -> list[Finding]:
    """Check one snapshot file. Like `check_run`."""
    manifest = verify_snapshot(path, read_bytes(path, remedy="Name a snapshot file, *.nxs."))
    signer = verify_signature(path, manifest, expected=_key(signed_by))
    signed = f", signed by {signer.hex()[:16]}…" if signer is not None else ""
    return [(path.name, f"{counted(len(manifest.parts), 'part')}, SHA-256 of each{signed}")]


def _key(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UsageInvalid(what="the public key is no Ed25519 key", remedy="Pass 64 hexadecimal digits.")
    return key
