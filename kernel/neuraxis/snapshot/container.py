"""The snapshot file: parts that are each verified before anything is restored, and a manifest of them.

    file      = magic  part*  manifest  SHA-256 of the manifest  signature  its xxh3-64 u64 LE
                length of the manifest u32 LE
    manifest  = canonical JSON (RFC 8785): format, facts about the run, and for each part its name,
                encoding, place, size, SHA-256, and one xxh3-64 per 64 KiB
    signature = 96 bytes: Ed25519 public key and signature of the manifest's SHA-256, or zeros

The SHA-256 proves a part; the small sums tell where in it the damage is. The manifest comes last, so that
a part is hashed by one thread while another writes it. Parts are stored raw or in zstd, whichever is
smaller on a sample. The parts: `state` is a tree of plain values (codec.pack), and `array/N` are the large
arrays that the tree refers to.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import rfc8785
from msgspec import Struct
from xxhash import xxh3_64_intdigest

from neuraxis import codec
from neuraxis.errors import SnapshotDamaged, UsageInvalid
from neuraxis.files import read_bytes, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from neuraxis.snapshot.sign import Signer

MAGIC: Final = b"neuraxis snapshot 1\n"
FORMAT: Final = 1
BLOCK_BYTES: Final = 65_536
SIGNATURE_BYTES: Final = 96
UNSIGNED: Final = bytes(SIGNATURE_BYTES)
_FOOT: Final = struct.Struct(f"<32s{SIGNATURE_BYTES}sQI")
_SAMPLE_BYTES: Final = 16_384
_WORTHWHILE: Final = 0.9

OTHER_SNAPSHOT = "Resume from another one; neuraxis snapshot list RUN shows which are sound."


@final
class Snapshot(Struct, frozen=True):
    """The state of a run at the end of a tick.

    Attributes:
        facts: What it is a snapshot of: run, tick, seed, semantic hash, versions.
        state: Tree of plain values and arrays.
    """

    facts: dict[str, Any]
    state: dict[str, Any]

    @property
    def tick(self) -> int:
        """The tick at whose end it was taken."""
        return int(self.facts["tick"])


def write_snapshot(path: Path, snapshot: Snapshot, *, signer: Signer | None = None, durable: bool = False) -> str:
    """Write a snapshot so that it is there whole or not at all.

    Returns:
        SHA-256 of its manifest, which names its content.

    Raises:
        TypeError: The state holds a value that has no canonical form.
        FileUnusable: The disk is full or the folder cannot be written; nothing is left behind.
    """
    from concurrent.futures import ThreadPoolExecutor  # only runs that take snapshots pay for it

    arrays: list[np.ndarray] = []
    tree = codec.pack(snapshot.state, arrays)
    parts: list[dict[str, Any]] = []
    contents: list[memoryview] = []
    offset = len(MAGIC)
    for name, facts, raw in [("state", {}, memoryview(tree)), *_array_parts(arrays)]:
        encoding, stored = _stored(raw)
        parts.append(
            {"name": name, **facts, "encoding": encoding, "offset": offset, "stored": len(stored), "size": len(raw)}
        )
        contents.append(stored)
        offset += len(stored)
    digest = b""

    def pieces() -> Iterator[bytes | memoryview]:
        nonlocal digest
        yield MAGIC
        with ThreadPoolExecutor(max_workers=1) as pool:
            sums = [pool.submit(_sums, content) for content in contents]
            yield from contents
            manifest = rfc8785.dumps(
                {
                    "format": FORMAT,
                    "facts": snapshot.facts,
                    "parts": [{**part, **each.result()} for part, each in zip(parts, sums, strict=True)],
                }
            )
        digest = hashlib.sha256(manifest).digest()
        signature = UNSIGNED if signer is None else signer.sign(digest)
        yield manifest
        yield _FOOT.pack(digest, signature, xxh3_64_intdigest(signature), len(manifest))

    write_atomically(path, pieces(), durable=durable)
    return digest.hex()


def _sums(stored: memoryview) -> dict[str, Any]:
    blocks = [xxh3_64_intdigest(stored[at : at + BLOCK_BYTES]) for at in range(0, len(stored), BLOCK_BYTES)]
    return {"sha256": hashlib.sha256(stored).hexdigest(), "blocks": [f"{each:016x}" for each in blocks]}


def _array_parts(arrays: list[np.ndarray]) -> list[tuple[str, dict[str, Any], memoryview]]:
    return [
        (
            f"array/{number}",
            {"dtype": array.dtype.str, "shape": list(array.shape)},
            array.data.cast("B") if array.size else memoryview(b""),
        )
        for number, array in enumerate(arrays)
    ]


def _stored(raw: memoryview) -> tuple[str, memoryview]:
    import zstandard  # only runs that take snapshots pay for it

    middle = max(0, len(raw) // 2 - _SAMPLE_BYTES // 2)
    sample = raw[middle : middle + _SAMPLE_BYTES]
    compressor = zstandard.ZstdCompressor(level=1)
    if len(compressor.compress(sample)) > len(sample) * _WORTHWHILE:
        return "raw", raw
    return "zstd", memoryview(compressor.compress(raw))


@final
class Manifest(Struct, frozen=True):
    """What a snapshot file says about itself, verified.

    Attributes:
        facts: What it is a snapshot of.
        parts: Its parts as the file lists them.
        digest: SHA-256 of the manifest.
        signature: Public key and signature, or zeros.
        start: Byte offset of the manifest.
    """

    facts: dict[str, Any]
    parts: list[dict[str, Any]]
    digest: bytes
    signature: bytes
    start: int


def read_manifest(path: Path, data: bytes) -> Manifest:
    """Return the verified manifest of a snapshot file.

    Raises:
        SnapshotDamaged: It fails its check.
        UsageInvalid: The file was written by a newer version.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise SnapshotDamaged(path=str(path), part="the first line", offset=0, remedy=OTHER_SNAPSHOT)
    end = len(data) - _FOOT.size
    if end < len(MAGIC):
        raise SnapshotDamaged(path=str(path), part="manifest", offset=len(data), remedy=OTHER_SNAPSHOT)
    digest, signature, check, length = _FOOT.unpack_from(data, end)
    start = end - length
    if start < len(MAGIC) or hashlib.sha256(data[start:end]).digest() != digest:
        raise SnapshotDamaged(path=str(path), part="manifest", offset=max(len(MAGIC), start), remedy=OTHER_SNAPSHOT)
    if xxh3_64_intdigest(signature) != check:
        raise SnapshotDamaged(path=str(path), part="signature", offset=end + 32, remedy=OTHER_SNAPSHOT)
    content = json.loads(data[start:end])
    if content["format"] > FORMAT:
        raise UsageInvalid(
            what=f"{path} has snapshot format {content['format']}, this version reads up to {FORMAT}",
            remedy="Install a newer neuraxis.",
        )
    return Manifest(content["facts"], content["parts"], digest, signature, start)


def read_snapshot(path: Path, messages: Mapping[tuple[str, int], type[Any]], *, sha256: str = "") -> Snapshot:
    """Read a snapshot; every part is verified before anything is used.

    Args:
        path: The file.
        messages: Message classes by (name, version).
        sha256: SHA-256 that its manifest must have, as its mark in the journal says; empty accepts any.

    Raises:
        FileUnusable: The file is missing or unreadable.
        SnapshotDamaged: A part fails its check; names part and byte. Or it is another snapshot than the marked one.
    """
    data = read_bytes(path, remedy="neuraxis snapshot list RUN shows what there is.")
    manifest = verify_snapshot(path, data)
    if sha256 and manifest.digest.hex() != sha256:
        raise SnapshotDamaged(path=str(path), part="manifest", offset=manifest.start, remedy=OTHER_SNAPSHOT)
    contents = [_raw(part, memoryview(data)) for part in manifest.parts]
    arrays = []
    for part, content in zip(manifest.parts[1:], contents[1:], strict=True):
        array = np.frombuffer(content, dtype=part["dtype"]).reshape(part["shape"])
        array.setflags(write=False)
        arrays.append(array)
    try:
        state = codec.unpack(bytes(contents[0]), messages, arrays)
    except ValueError as error:
        raise UsageInvalid(
            what=f"{path} cannot be read: {error}", remedy="Resume it with the plugins that wrote it."
        ) from error
    return Snapshot(facts=manifest.facts, state=state)


def verify_snapshot(path: Path, data: bytes) -> Manifest:
    """Check every byte of a snapshot file.

    Raises:
        SnapshotDamaged: Names the part, and the byte at which its damaged block of 64 KiB begins.
    """
    manifest = read_manifest(path, data)
    view = memoryview(data)
    end = len(MAGIC)
    for part in manifest.parts:
        end = part["offset"] + part["stored"]
        stored = view[part["offset"] : min(end, manifest.start)]
        if len(stored) < part["stored"] or hashlib.sha256(stored).hexdigest() != part["sha256"]:
            offset = part["offset"] + _first_damaged_byte(part, stored)
            raise SnapshotDamaged(path=str(path), part=part["name"], offset=offset, remedy=OTHER_SNAPSHOT)
    if end != manifest.start:
        what = "what follows the last part"
        raise SnapshotDamaged(path=str(path), part=what, offset=end, remedy=OTHER_SNAPSHOT)
    return manifest


def _first_damaged_byte(part: Mapping[str, Any], stored: memoryview) -> int:
    for number, expected in enumerate(part["blocks"]):
        at = number * BLOCK_BYTES
        block = stored[at : at + BLOCK_BYTES]
        if f"{xxh3_64_intdigest(block):016x}" != expected:
            return at
    return len(stored)


def _raw(part: Mapping[str, Any], data: memoryview) -> bytes | memoryview:
    stored = data[part["offset"] : part["offset"] + part["stored"]]
    if part["encoding"] == "raw":
        return stored
    import zstandard

    return zstandard.ZstdDecompressor().decompress(stored, max_output_size=part["size"])
