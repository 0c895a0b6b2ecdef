"""Writing a journal: every record is in the operating system's hands before its effect begins."""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from msgspec.structs import asdict

from neuraxis import codec
from neuraxis.errors import FileUnusable
from neuraxis.files import make_folder, unusable, write_atomically
from neuraxis.journal.record import KIND_OF, MAGIC, START_OF_CHAIN, InputRecord, OutcomeRecord, frame

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from neuraxis.journal.record import Record

BLOB_BYTES_MIN: Final = 65_536
"""Values whose bytes are longer lie in a file of their own, named by their SHA-256."""


@final
class JournalWriter:
    """Appends records to a journal file. One process at a time: the file is locked.

    Attributes:
        path: The file.
        chain: Chain value after the last record.
    """

    def __init__(self, path: Path, *, durable: bool = False, anew: bool = True) -> None:
        """Open a journal for appending.

        Args:
            path: The file.
            durable: Whether `sync` waits for the disk, for power loss. A killed process loses nothing either way.
            anew: Whether to make the file if it does not exist, and to begin it if it has no first line.

        Raises:
            FileUnusable: Another process writes it, or the folder cannot be written.
        """
        self.path = path
        self.chain = START_OF_CHAIN
        self._durable = durable
        self._blobs = path.parent / "blobs"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if anew else 0), 0o644)
        except OSError as error:
            raise unusable(path, error, "Choose a folder that you can write to.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise FileUnusable(
                path=str(path),
                reason="another process is writing this run",
                remedy="Wait until it ends, or stop it.",
            ) from None
        self._end = os.fstat(self._file).st_size
        if anew and self._end < len(MAGIC):  # it is new, or a crash tore its first line
            self._begin()

    def _begin(self) -> None:
        self._end = 0
        try:
            self._write(MAGIC)
        except FileUnusable:
            self.close()
            raise

    def go_on(self, *, end: int, chain: bytes) -> None:
        """Continue after the last sound frame; what a crash left behind it is cut off."""
        os.ftruncate(self._file, end)
        self._end = end
        self.chain = chain

    def append(self, record: Record) -> None:
        """Write one record.

        Raises:
            FileUnusable: The disk is full or the file cannot be written. The journal stays sound.
        """
        facts = asdict(record)
        if isinstance(record, InputRecord):
            facts["payload"] = self._inline_or_blob(facts["payload"])
        elif isinstance(record, OutcomeRecord):
            facts["value"] = self._inline_or_blob(facts["value"])
        data, after = frame(self.chain, KIND_OF[type(record)], codec.pack(facts))
        self._write(data)
        self.chain = after

    def sync(self) -> None:
        """Wait until everything is on the disk, if the journal is durable.

        Raises:
            FileUnusable: The disk does not take it.
        """
        if self._durable:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise unusable(self.path, error, "Check the disk, then resume the run.") from error

    def close(self) -> None:
        """Release the file. Closing twice is harmless."""
        if self._file >= 0:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1

    def _inline_or_blob(self, value: Any) -> dict[str, Any]:
        body = codec.pack(value)
        if len(body) < BLOB_BYTES_MIN:
            return {"value": body}
        name = hashlib.sha256(body).hexdigest()
        target = self._blobs / name
        if not target.exists():
            make_folder(self._blobs)
            write_atomically(target, [body], durable=self._durable)
        return {"blob": name}

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._file, view[written:], self._end + written)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)  # leave no torn frame behind
            again = "resume the run" if self._end > len(MAGIC) else "run it again"  # without a header there is no run
            raise unusable(self.path, error, f"Free space on the disk, then {again}.") from error
        self._end += len(data)
