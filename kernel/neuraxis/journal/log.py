"""What a simulation writes its records to: a journal file, or memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, final

from neuraxis.journal.read import read_journal
from neuraxis.journal.record import IntentRecord, OutcomeRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from neuraxis.journal.record import Record
    from neuraxis.journal.write import JournalWriter
    from neuraxis.scheduler.effects import Intent, Outcome


class RecordSink(Protocol):
    """Takes records, and gives them back."""

    def append(self, record: Record) -> None:
        """Keep a record; when this returns, a killed process does not lose it."""

    def records(self) -> list[Record]:
        """Return all records, the header first."""

    def sync(self) -> None:
        """Wait until everything is safe from power loss, if that is wanted."""

    def close(self) -> None:
        """Release what is held. Closing twice is harmless."""


@final
class MemorySink:
    """Keeps records in memory, for a simulation without a run folder."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def append(self, record: Record) -> None:
        self._records.append(record)

    def records(self) -> list[Record]:
        return list(self._records)

    def sync(self) -> None:
        """Nothing to wait for."""

    def close(self) -> None:
        """Nothing to release."""


@final
class FileSink:
    """Keeps records in a journal file."""

    def __init__(self, writer: JournalWriter, messages: Mapping[tuple[str, int], type[Any]]) -> None:
        self._writer = writer
        self._messages = messages

    def append(self, record: Record) -> None:
        self._writer.append(record)

    def records(self) -> list[Record]:
        journal = read_journal(Path(self._writer.path), self._messages)
        return [journal.header, *journal.records]

    def sync(self) -> None:
        self._writer.sync()

    def close(self) -> None:
        self._writer.close()


@final
class EffectRecords:
    """Writes intents and outcomes as records."""

    def __init__(self, sink: RecordSink) -> None:
        self._sink = sink

    def intent(self, intent: Intent) -> None:
        """Record an intent; it is about to start."""
        self._sink.append(IntentRecord(intent.ticket, intent.due, intent.path, intent.effect))

    def outcome(self, due: int, outcome: Outcome) -> None:
        """Record an outcome; it is about to be delivered."""
        self._sink.append(OutcomeRecord(due, outcome.ticket, outcome.status, outcome.value, outcome.error))
