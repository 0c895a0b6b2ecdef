"""The library: kernels in one SQLite file, put in transactions, checked at every fetch.

Every call opens the file, does one transaction and closes it, so that a crash leaves all of it or nothing, and
any thread or process may call. What is fetched was hashed a moment before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, final

from neuraxis_morphogenesis.blueprints.errors import ArtefactConflict, ArtefactMissing, BlueprintRefused, LibraryDamaged
from neuraxis_morphogenesis.blueprints.kernels import Kernel, Sealed
from neuraxis_morphogenesis.contracts import BlueprintTier

BUSY_S: Final = 30.0
"""How long a call waits for another one's transaction."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kernels (
    name TEXT PRIMARY KEY, blueprint_id TEXT NOT NULL, tier INTEGER NOT NULL, stage INTEGER NOT NULL,
    checksum TEXT NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS timings (
    name TEXT NOT NULL, what TEXT NOT NULL, ms REAL NOT NULL
) STRICT;
"""


@final
class Library:
    """Kernels by name.

    Args:
        path: The file; made when it is absent.

    Raises:
        LibraryDamaged: (every method) The file is no library, or cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def put(self, sealed: Sealed) -> None:
        """Store a kernel. Putting the same one again changes nothing, so a request may come twice.

        Raises:
            ArtefactCorrupt: Its bytes do not fit its checksum.
            ArtefactConflict: Another content has its name; that one stays.
        """
        kernel = sealed.opened()
        row = (kernel.name, kernel.blueprint_id, int(kernel.tier), kernel.stage, sealed.checksum, sealed.data)
        with self._transaction() as file:
            file.execute("INSERT OR IGNORE INTO kernels VALUES (?, ?, ?, ?, ?, ?)", row)
            (held,) = file.execute("SELECT checksum FROM kernels WHERE name = ?", (kernel.name,)).fetchone()
        if held != sealed.checksum:
            raise ArtefactConflict(artefact=kernel.name, held=held, offered=sealed.checksum)

    def fetch(self, name: str, *, quarantine: bool = False) -> Sealed:
        """Return a kernel whose bytes were checked just now.

        Args:
            name: Of the kernel.
            quarantine: True only for the quarantined process; adversarial kernels go nowhere else.

        Raises:
            ArtefactMissing: There is none of that name.
            ArtefactCorrupt: Its bytes are not what was put; all others can still be had.
            BlueprintRefused: It is adversarial.
        """
        with self._transaction() as file:
            row = file.execute("SELECT checksum, data FROM kernels WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise ArtefactMissing(artefact=name)
        found = Sealed(name, *row)
        kernel = found.opened()
        if kernel.tier is BlueprintTier.HIGH_RISK and not quarantine:
            raise BlueprintRefused(
                blueprint_id=kernel.blueprint_id, reason="it is adversarial", remedy="Fetch it in quarantine alone."
            )
        return found

    def kernel(self, name: str, *, quarantine: bool = False) -> Kernel:
        """Return a kernel, opened. Raises what `fetch` raises."""
        return self.fetch(name, quarantine=quarantine).opened()

    def names(
        self, *, tier: BlueprintTier | None = None, stage: int | None = None, blueprint_id: str | None = None
    ) -> tuple[str, ...]:
        """Return the names of all kernels that fit, in order."""
        with self._transaction() as file:
            found = file.execute(
                "SELECT name FROM kernels WHERE (?1 IS NULL OR tier = ?1) AND (?2 IS NULL OR stage = ?2)"
                " AND (?3 IS NULL OR blueprint_id = ?3) ORDER BY name",
                (None if tier is None else int(tier), stage, blueprint_id),
            ).fetchall()
        return tuple(name for (name,) in found)

    def delete(self, name: str) -> None:
        """Forget a kernel, damaged or not. Forgetting what is absent changes nothing."""
        with self._transaction() as file:
            file.execute("DELETE FROM kernels WHERE name = ?", (name,))
            file.execute("DELETE FROM timings WHERE name = ?", (name,))

    def note(self, name: str, what: str, ms: float) -> None:
        """Keep how long something took: wall time lies here, for people, and in no message."""
        with self._transaction() as file:
            file.execute("INSERT INTO timings VALUES (?, ?, ?)", (name, what, ms))

    def timings(self, name: str) -> tuple[tuple[str, float], ...]:
        """Return what was noted about a kernel, in order: what, and milliseconds."""
        with self._transaction() as file:
            found = file.execute("SELECT what, ms FROM timings WHERE name = ? ORDER BY rowid", (name,)).fetchall()
        return tuple((what, ms) for what, ms in found)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=BUSY_S)) as file, file:
                file.execute("PRAGMA synchronous = FULL")
                file.executescript(SCHEMA)
                yield file
        except sqlite3.Error as error:
            raise LibraryDamaged(path=str(self.path), reason=f"{error}") from error
