"""Goldens: what a run came to once, kept beside the tests, so that any change of a bit is seen.

A golden holds how it was made, the digests of each block of ticks and each shard in it, and the first
deliveries in words. It is changed on purpose only, with a written reason that stays in the file.
"""

from __future__ import annotations

import hashlib
import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from neuraxis.blueprint import numerics
from neuraxis.codec import ArrayHasher
from neuraxis.errors import GoldenMismatch, UsageInvalid
from neuraxis.files import read_bytes, write_atomically
from neuraxis.trace.record import delivery

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neuraxis.scheduler.calendar import Mail
    from neuraxis.simulation import Simulation
    from neuraxis.wiring import Wiring

FORMAT: Final = 1
BLOCKS_MAX: Final = 256
HEAD_TICKS: Final = 64
HEAD_LINES_MAX: Final = 200


@final
class _Version(Struct, frozen=True):
    """What every golden begins with, whatever its format."""

    format: int


@final
class Reason(Struct, frozen=True):
    """Why a golden was made or changed.

    Attributes:
        text: The reason, as somebody wrote it.
        digest: What the run came to from then on.
    """

    text: str
    digest: str


@final
class Golden(Struct, frozen=True):
    """What a run came to.

    Attributes:
        format: Version of this file's format.
        scenario: Name of the scenario, or its path relative to the golden.
        overrides: Changes to the scenario.
        seed: The seed.
        until: Last tick.
        digests: By determinism class, at the end.
        numerics: What computed it; a class `machine` is compared only where this is the same.
        block: Ticks a block.
        blocks: For each block in which anything was delivered: its last tick, then the digests of the
            shards that had mail in it, by class and shard.
        head: The first deliveries in words.
        reasons: Why it is as it is, oldest first.
    """

    format: int
    scenario: str
    overrides: tuple[str, ...]
    seed: int
    until: int
    digests: dict[str, str]
    numerics: dict[str, str]
    block: int
    blocks: dict[str, dict[str, str]]
    head: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()


def take(sim: Simulation, *, scenario: str = "", overrides: tuple[str, ...] = ()) -> Golden:
    """Return the golden of a simulation up to where it stands, executing it again from its beginning.

    Args:
        sim: The simulation, run as far as the golden is to reach.
        scenario: Path of the scenario relative to the golden, so that it can be made again.
        overrides: Changes that were made to it.
    """
    block = max(1, -(-sim.tick // BLOCKS_MAX))
    watcher = _Watcher(sim.wiring, block)
    sim.again(observer=watcher)
    watcher.close_block()
    return Golden(
        format=FORMAT,
        scenario=scenario or sim.name,
        overrides=overrides,
        seed=sim.blueprint.seed,
        until=sim.tick,
        digests=sim.digests,
        numerics=numerics(),
        block=block,
        blocks=watcher.blocks,
        head=tuple(watcher.head),
    )


@final
class _Watcher:
    """Hashes the deliveries of every block of ticks by shard, and keeps the first ones in words."""

    def __init__(self, wiring: Wiring, block: int) -> None:
        self.blocks: dict[str, dict[str, str]] = {}
        self.head: list[str] = []
        self._wiring = wiring
        self._block = block
        self._end = 0
        self._encode = ArrayHasher().encoder.encode
        self._sums: dict[int, hashlib.blake2b] = {}

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        if tick > self._end:
            self.close_block()
            self._end = -(-tick // self._block) * self._block
        for receiver in order:
            shard = self._wiring.shards[receiver]
            if shard not in self._sums:
                self._sums[shard] = hashlib.blake2b(digest_size=8)
            self._sums[shard].update(self._encode((tick, receiver, mail[receiver])))
        if tick <= HEAD_TICKS and len(self.head) < HEAD_LINES_MAX:
            lines = [str(delivery(self._wiring, tick, to, envelope)) for to in order for envelope in mail[to]]
            self.head += lines[: HEAD_LINES_MAX - len(self.head)]

    def close_block(self) -> None:
        if self._sums:
            self.blocks[str(self._end)] = {str(shard): each.hexdigest() for shard, each in sorted(self._sums.items())}
            self._sums = {}


# --------------------------------------------------------------------------------- checking


def check(sim: Simulation, golden: Golden, *, command: str) -> None:
    """Compare a simulation, run as far as the golden reaches, with the golden.

    A class `machine` is compared only where the same libraries compute, `statistical` never.

    Args:
        sim: The simulation.
        golden: What it should come to.
        command: What changes the golden on purpose, for the message.

    Raises:
        GoldenMismatch: With the first divergence.
        UsageInvalid: The simulation stands at another tick.
    """
    if sim.tick != golden.until:
        raise UsageInvalid(
            what=f"the golden of {golden.scenario} ends at tick {golden.until}, the simulation stands at {sim.tick}",
            remedy=f"Advance to tick {golden.until} before comparing.",
        )
    comparable = ["exact", *(["machine"] if golden.numerics == numerics() else [])]
    digests = sim.digests
    different = [name for name in comparable if digests.get(name) != golden.digests.get(name)]
    if different:
        raise GoldenMismatch(
            subject=f"{golden.scenario} differs from its golden ({', '.join(different)})",
            finding=first_divergence(golden, take(sim), sim.wiring),
            remedy=f"If the change is meant: {command}",
        )


def first_divergence(expected: Golden, got: Golden, wiring: Wiring) -> str:
    """Return where two goldens of one run begin to differ, in words."""
    for ours, theirs in zip_longest(expected.head, got.head, fillvalue="nothing"):
        if ours != theirs:
            return f"first divergence:\n  golden: {ours}\n  now:    {theirs}"
    if expected.block != got.block or expected.seed != got.seed:
        return f"they were made differently: seed {expected.seed} and {got.seed}"
    for end in sorted({*expected.blocks, *got.blocks}, key=int):
        ours_by_shard, theirs_by_shard = expected.blocks.get(end, {}), got.blocks.get(end, {})
        shards = sorted({*ours_by_shard, *theirs_by_shard}, key=int)
        changed = [shard for shard in shards if ours_by_shard.get(shard) != theirs_by_shard.get(shard)]
        if changed:
            first = int(end) - expected.block + 1
            where = f"tick {end}" if expected.block == 1 else f"ticks {first} to {end}"
            return f"first divergence in {where}, among what these received: {_actors_of(changed, wiring)}"
    return "seed, scenario or parameters differ, the deliveries do not"


def _actors_of(shards: list[str], wiring: Wiring) -> str:
    wanted = {int(shard) for shard in shards}
    paths = [path for path, shard in zip(wiring.paths, wiring.shards, strict=True) if shard in wanted]
    return ", ".join(paths[:8]) + (f" and {len(paths) - 8} more" if len(paths) > 8 else "")


# ------------------------------------------------------------------------------------ files


def write_golden(path: Path, golden: Golden, *, reason: str) -> Golden:
    """Write a golden, keeping the reasons that the file already holds, and return it.

    Raises:
        UsageInvalid: There is no reason.
        FileUnusable: The file cannot be written.
    """
    if not reason.strip():
        raise UsageInvalid(what="a golden changes only with a reason", remedy='Pass --reason "…", a sentence.')
    before = read_golden(path).reasons if path.exists() else ()
    digest = " ".join(f"{name}:{value}" for name, value in golden.digests.items())
    kept = replace(golden, reasons=(*before, Reason(reason.strip(), digest)))
    text = json.dumps(msgspec.to_builtins(kept), indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, [text.encode()])
    return kept


def read_golden(path: Path) -> Golden:
    """Read a golden.

    Raises:
        FileUnusable: It is missing.
        UsageInvalid: It is no golden, or of a newer format.
    """
    data = read_bytes(path, remedy="Make it with: neuraxis golden update")
    try:
        version = msgspec.json.decode(data, type=_Version).format  # first of all: a newer one has other fields
        if version > FORMAT:
            what = f"{path} has golden format {version}, this version reads up to {FORMAT}"
            raise UsageInvalid(what=what, remedy="Install a newer neuraxis.")
        return msgspec.json.decode(data, type=Golden)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageInvalid(what=f"{path} is no golden: {error}", remedy="Restore it, or make it anew.") from error
