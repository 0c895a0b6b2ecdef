"""A recorded run, to be looked at: executed again, compared with its digests, compared with another run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, final

from msgspec import Struct

from neuraxis import codec
from neuraxis.blueprint import History, Silence, execute_again, replay, replay_on
from neuraxis.errors import Divergence
from neuraxis.journal.read import Journal, read_journal
from neuraxis.journal.record import BlockDigest, Resumed
from neuraxis.launch import reopen
from neuraxis.snapshot.container import read_snapshot
from neuraxis.snapshot.shelf import Shelf
from neuraxis.trace.diff import Difference, differing_stretch, first_difference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from neuraxis.blueprint import Blueprint
    from neuraxis.scheduler.loop import Observer, Scheduler
    from neuraxis.snapshot.container import Snapshot


@final
class Replayed(Struct, frozen=True):
    """What a replay found.

    Attributes:
        ticks: Ticks executed.
        blocks: Recorded digests that were compared.
        digests: By determinism class, at the end.
    """

    ticks: int
    blocks: int
    digests: dict[str, str]


@final
class Recorded:
    """A run folder, opened for reading.

    Attributes:
        journal: Its verified journal.
        blueprint: What decided the run.
        end: The last tick that the journal proves.
    """

    def __init__(self, journal: Journal, blueprint: Blueprint, base: Snapshot | None) -> None:
        self.journal = journal
        self.blueprint = blueprint
        self.history = History(journal.records)
        self._base = base
        ended = journal.ended()
        blocks = journal.blocks()
        last_block = blocks[-1].tick if blocks else 0
        self.end = ended.tick if ended is not None else max(last_block, self.history.last_tick())

    @classmethod
    def open(cls, folder: Path, *, backend: str | None = None) -> Self:
        """Open a run folder.

        Raises:
            JournalDamaged, FileUnusable: Its journal cannot be read.
            PluginUnusable, ScenarioInvalid: Its scenario cannot be built any more.
        """
        opened, wiring, path = reopen(folder, backend=backend)
        messages = opened.blueprint.messages(wiring)
        journal = read_journal(path, messages)
        bases = [mark.base for mark in journal.of(Resumed) if mark.base]
        base = read_snapshot(Shelf(path.parent).folder / bases[-1], messages) if bases else None
        return cls(journal, opened.blueprint, base)

    def execute(self, observer: Observer) -> Scheduler:
        """Execute the run again to its end, calling nothing outside."""
        return execute_again(self.blueprint, self.history, until=self.end, snapshot=self._base, observer=observer)

    def replay(self, show: Callable[[int], None] = lambda _tick: None) -> Replayed:
        """Execute the run again and compare every recorded digest.

        Raises:
            Divergence: A digest differs.
        """
        silence = Silence()
        scheduler = self.blueprint.build(self.blueprint.wire(), run="", log=silence, operators=silence)
        scheduler.effects.recall(set(self.history.intents), self.history.outcomes(), only=True)
        begin = self._base.tick if self._base is not None else 0
        replay(scheduler, self.history, self._base, until=begin)
        compared = 0
        try:
            for block in self._checkpoints(begin):
                replay_on(scheduler, self.history, until=block.tick)
                if scheduler.recorder.digests() != block.digests:
                    raise Divergence(
                        subject=f"replay of {self.journal.path.parent}",
                        finding=f"the digest at the end of tick {block.tick} is not the recorded one",
                        remedy="The code that computes has changed, or the machine: compare the header of the journal.",
                    )
                compared += 1
                show(block.tick)
        finally:
            scheduler.effects.close()
        return Replayed(scheduler.calendar.now, compared, scheduler.recorder.digests())

    def _checkpoints(self, begin: int) -> list[BlockDigest]:
        blocks = [block for block in self.journal.blocks() if block.tick > begin]
        ended = self.journal.ended()
        return blocks if ended is None else [*blocks, BlockDigest(ended.tick, {}, ended.digests)]

    def made_differently(self, other: Recorded) -> list[str]:
        """Return in what two runs were made differently, as sentences."""
        mine, theirs = self.journal.header, other.journal.header
        notes = []
        if mine.seed != theirs.seed:
            notes.append(f"seed {mine.seed} and {theirs.seed}")
        if mine.semantic != theirs.semantic:
            keys = _differing_keys(mine.scenario, theirs.scenario)[:8]
            notes.append(f"the scenarios differ in: {', '.join(keys)}" if keys else "the graphs differ")
        locks = [{entry["name"]: entry for entry in header.lock} for header in (mine, theirs)]
        changed = sorted(name for name in {*locks[0], *locks[1]} if locks[0].get(name) != locks[1].get(name))
        if changed:
            notes.append("other code: " + ", ".join(changed))
        return notes


def difference(a: Recorded, b: Recorded) -> Difference | None:
    """Return the first difference between the deliveries of two runs, or None."""
    end = min(a.end, b.end)
    stretch = differing_stretch(a.journal.blocks(), b.journal.blocks(), end)
    if stretch is None:
        return None
    found = first_difference(a.execute, b.execute, *stretch)
    if found is None and stretch[1] < end:
        # other actors mean other places, and so other chains, even where all mail is alike
        found = first_difference(a.execute, b.execute, stretch[1] + 1, end)
    return found


def _differing_keys(a: object, b: object, where: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted({*a, *b})
        return [each for key in keys for each in _differing_keys(a.get(key), b.get(key), f"{where}.{key}".strip("."))]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [
            each for i, (x, y) in enumerate(zip(a, b, strict=True)) for each in _differing_keys(x, y, f"{where}[{i}]")
        ]
    return [] if codec.pack(a) == codec.pack(b) else [where]
