"""The snapshots of one run: a folder of files named by their tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from msgspec import Struct

from neuraxis.errors import DamagedData
from neuraxis.files import make_folder, read_bytes
from neuraxis.snapshot.container import Manifest, Snapshot, read_snapshot, verify_snapshot, write_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from neuraxis.snapshot.sign import Signer

SUFFIX = ".nxs"


@final
class Entry(Struct, frozen=True):
    """One snapshot file, checked.

    Attributes:
        path: The file.
        bytes: Its size.
        manifest: What it says; None if it is damaged.
        damage: What is wrong with it.
    """

    path: Path
    bytes: int
    manifest: Manifest | None
    damage: DamagedData | None


def tick_of(path: Path) -> int:
    """Return the tick that a snapshot file's name tells."""
    return int(path.stem.partition("-")[0])


@final
class Shelf:
    """The folder `snapshots/` of a run."""

    def __init__(self, run: Path) -> None:
        self.folder = run / "snapshots"

    def put(
        self, snapshot: Snapshot, *, label: str = "", signer: Signer | None = None, durable: bool = False
    ) -> tuple[Path, str]:
        """Write a snapshot. Returns its file and the SHA-256 of its manifest.

        Args:
            snapshot: What to write.
            label: Part of the file's name, behind the tick.
            signer: Signs it.
            durable: Whether to wait for the disk.

        Raises:
            FileUnusable: The disk is full or the folder read-only; nothing is left behind.
        """
        make_folder(self.folder)
        path = self.folder / f"{snapshot.tick:012d}{'-' if label else ''}{label}{SUFFIX}"
        return path, write_snapshot(path, snapshot, signer=signer, durable=durable)

    def files(self) -> list[Path]:
        """Return all snapshot files, newest first; of one tick, those with a label before the one without."""
        present = self.folder.glob(f"*{SUFFIX}") if self.folder.is_dir() else ()
        ours = [path for path in present if path.stem.partition("-")[0].isdecimal()]
        return sorted(ours, key=lambda path: (tick_of(path), path.stem), reverse=True)

    def entries(self) -> list[Entry]:
        """Verify every snapshot, newest first."""
        return [self._entry(path) for path in self.files()]

    def newest_sound(
        self,
        messages: Mapping[tuple[str, int], type[Any]],
        *,
        until: int | None = None,
        marked: Mapping[str, str] | None = None,
    ) -> tuple[Snapshot | None, list[DamagedData]]:
        """Return the newest snapshot that passes all checks, and the damage found in newer ones.

        Args:
            messages: Message classes by (name, version).
            until: Only snapshots of this tick or earlier.
            marked: Only these, by the name of the file, with the SHA-256 of their manifests; empty accepts any.
                What the journal does not mark may be of a past that a crash or damage has undone.
        """
        damage: list[DamagedData] = []
        for path in self.files():
            if until is not None and tick_of(path) > until:
                continue
            if marked is not None and path.name not in marked:
                continue
            try:
                return read_snapshot(path, messages, sha256=marked[path.name] if marked else ""), damage
            except DamagedData as error:
                damage.append(error)
        return None, damage

    def keep_newest(self, count: int, *, also: str = "") -> None:
        """Delete all but the newest `count` files, and the one named `also`."""
        for path in self.files()[count:]:
            if path.name != also:
                path.unlink(missing_ok=True)

    def _entry(self, path: Path) -> Entry:
        data = read_bytes(path, remedy="Check the permissions of the run folder.")
        try:
            return Entry(path, len(data), verify_snapshot(path, data), None)
        except DamagedData as error:
            return Entry(path, len(data), None, error)
