"""The plan of a distributed run: who owns which shards, and how long a window is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec
from msgspec import Struct

from neuraxis.actor import DETERMINISM_CLASSES
from neuraxis.errors import UsageInvalid, suggestion
from neuraxis.wiring import SHARDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis.wiring import Wiring

ALL_SHARDS: Final = SHARDS * len(DETERMINISM_CLASSES)
WORKERS_MAX: Final = ALL_SHARDS
WINDOW_MAX: Final = 100
"""Ticks of a window at most: at its end a worker listens to what else there is to do."""


@final
class Plan(Struct, frozen=True):
    """What every member of a distributed run must know, and agree on. Decides no result.

    Attributes:
        epoch: How many times the run was started or resumed on workers, from 1.
        owners: The worker of each shard; workers count from 1.
        window: Ticks between two exchanges: the smallest delay of a channel from one worker to another.
        until: Where the run ends, tick.
        block: Ticks between block digests.
        snapshot_every: Ticks between snapshots that the scenario asks for, or None.
        transport: Where members meet, without secrets.
        key: Name of the run at the transport.
        base: File name of the snapshot in the run folder that the epoch begins from; empty for the beginning.
        token: Names the run in shared memory; nobody can guess it.
        patience: Seconds without a sign of life after which a worker counts as lost.
    """

    epoch: int
    owners: tuple[int, ...]
    window: int
    until: int
    block: int
    snapshot_every: int | None
    transport: str
    key: str
    base: str = ""
    token: str = ""
    patience: float = 60.0

    @property
    def workers(self) -> range:
        """The members that are workers."""
        return range(1, max(self.owners) + 1)

    def shards_of(self, worker: int) -> frozenset[int]:
        """Return the shards that a worker owns."""
        return frozenset(shard for shard, owner in enumerate(self.owners) if owner == worker)

    def end_of_window(self, now: int, event: int | None) -> int:
        """Return the end of the window after tick `now`; all workers come to the same.

        Windows end at whole multiples of their length, so that where the run was cut before does not matter, and
        where the scenario wants a snapshot. Windows in which nothing happens are skipped.

        Args:
            now: End of the window before.
            event: The next tick in which anything happens anywhere, or None.
        """
        if event is None:
            return self.until
        end = -(-max(event, now + 1) // self.window) * self.window
        if self.snapshot_every is not None:
            end = min(end, -(-max(event, now + 1) // self.snapshot_every) * self.snapshot_every)
        return min(end, self.until)

    def encode(self) -> bytes:
        """Return the plan as a file holds it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def decode(cls, data: bytes) -> Plan:
        """Return the plan that a file holds.

        Raises:
            msgspec.MsgspecError: It holds none.
        """
        return msgspec.json.decode(data, type=cls)


def window_of(wiring: Wiring, owners: Sequence[int]) -> int:
    """Return the smallest delay of a channel between actors of two workers, ticks, or `WINDOW_MAX`."""
    return min(
        WINDOW_MAX,
        *(
            channel.delay
            for channel in wiring.channels
            if owners[wiring.shards[wiring.position[channel.source]]]
            != owners[wiring.shards[wiring.position[channel.target]]]
        ),
        WINDOW_MAX,
    )


def by_hand(wiring: Wiring, places: Mapping[str, int], workers: int) -> tuple[int, ...]:
    """Return the owners that a person chose.

    Args:
        wiring: The graph.
        places: Worker by path of an actor, or by a group: `relay` stands for `relay/…` too. The rest is placed as
            `cut` does.
        workers: How many there are.

    Raises:
        UsageInvalid: A path is unknown, a worker does not exist, or two actors of one shard are given to two workers.
    """
    known = [wiring.paths[position] for position in wiring.real()]
    chosen: dict[int, tuple[str, int]] = {}
    for name, worker in places.items():
        if not 1 <= worker <= workers:
            raise UsageInvalid(what=f"{name} is placed at worker {worker}", remedy=f"Write 1 … {workers}.")
        paths = [path for path in known if path == name or path.startswith(f"{name}/")]
        if not paths:
            groups = [*known, *{path.rpartition("/")[0] for path in known if "/" in path}]
            raise UsageInvalid(what=f"the partition names an unknown actor {name!r}", remedy=suggestion(name, groups))
        for path in paths:
            shard = wiring.shards[wiring.position[path]]
            other, before = chosen.setdefault(shard, (path, worker))
            if before != worker:
                remedy = f"Actors of one shard stay together: write shard = 0 … {SHARDS - 1} to one of them."
                raise UsageInvalid(
                    what=f"{other} is placed at worker {before} and {path} at {worker}, but both are of one shard",
                    remedy=remedy,
                )
    return cut(wiring, workers, fixed={shard: worker for shard, (_, worker) in chosen.items()})


def cut(
    wiring: Wiring,
    workers: int,
    *,
    costs: Mapping[str, float] | None = None,
    traffic: Mapping[tuple[str, str], float] | None = None,
    fixed: Mapping[int, int] | None = None,
) -> tuple[int, ...]:
    """Return owners of all shards such that windows are long, loads are even, and little is sent.

    First the longest window is found with which loads can still be even: channels of shorter delay stay inside a
    worker. Then groups of shards are placed one after the other, the heaviest first, where they fit and have most
    traffic with, and moved while that lessens what is sent between workers.

    Args:
        wiring: The graph.
        workers: How many there are.
        costs: Seconds that each actor took in a measurement; by default all cost the same.
        traffic: Messages or bytes from path to path in a measurement; by default 1 for each channel.
        fixed: Shards that are placed already.

    Returns:
        Worker by shard. No worker is without a shard.

    Raises:
        UsageInvalid: There are more workers than shards with actors.
    """
    load = [0.0] * ALL_SHARDS
    for position in wiring.real():
        load[wiring.shards[position]] += 1.0 if costs is None else costs.get(wiring.paths[position], 0.0)
    filled = sorted({wiring.shards[position] for position in wiring.real()})
    if not 1 <= workers <= max(1, len(filled)):
        raise UsageInvalid(
            what=f"{workers} workers cannot share {len(filled)} shards with actors",
            remedy=f"Choose 1 … {max(1, len(filled))}, or give more actors a shard of their own.",
        )
    sent = _sent(wiring, traffic)
    delays = sorted({channel.delay for channel in wiring.channels}, reverse=True)
    best: list[int] | None = None
    for window in [*delays, 0]:
        owner = _placed(_groups(wiring, filled, window, fixed or {}), load, sent, workers, fixed or {})
        if owner is not None:
            best = owner
            break
    assert best is not None, "groups of single shards always fit"
    return tuple(best)


EVEN: Final = 1.3
"""Largest load of a worker over the mean that a longer window is worth."""


BALANCED: Final = 1.05
"""Largest load over the mean that sending less is worth."""


def _sent(wiring: Wiring, traffic: Mapping[tuple[str, str], float] | None) -> dict[tuple[int, int], float]:
    """Return what is sent between two shards, both ways, by the pair in ascending order."""
    sent: dict[tuple[int, int], float] = {}
    for channel in wiring.channels:
        a, b = (wiring.shards[wiring.position[path]] for path in (channel.source, channel.target))
        if a != b:
            amount = 1.0 if traffic is None else traffic.get((channel.source, channel.target), 0.0)
            pair = (a, b) if a < b else (b, a)
            sent[pair] = sent.get(pair, 0.0) + amount
    return sent


def _groups(wiring: Wiring, filled: Sequence[int], window: int, fixed: Mapping[int, int]) -> list[list[int]]:
    """Return the sets of shards that a window of this length keeps together."""
    root = list(range(ALL_SHARDS))

    def find(shard: int) -> int:
        while root[shard] != shard:
            root[shard] = root[root[shard]]
            shard = root[shard]
        return shard

    for channel in wiring.channels:
        if channel.delay < window:
            a, b = (find(wiring.shards[wiring.position[path]]) for path in (channel.source, channel.target))
            root[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for shard in sorted({*filled, *fixed}):
        groups.setdefault(find(shard), []).append(shard)
    return list(groups.values())


def _placed(
    groups: list[list[int]],
    load: Sequence[float],
    sent: Mapping[tuple[int, int], float],
    workers: int,
    fixed: Mapping[int, int],
) -> list[int] | None:
    """Place groups on workers; None if loads would not be even, or a worker would stay empty."""
    weight = [sum(load[shard] for shard in group) for group in groups]
    group_of = {shard: index for index, group in enumerate(groups) for shard in group}
    between: list[dict[int, float]] = [{} for _ in groups]
    for (a, b), amount in sent.items():
        ga, gb = group_of.get(a), group_of.get(b)
        if ga is not None and gb is not None and ga != gb:
            between[ga][gb] = between[ga].get(gb, 0.0) + amount
            between[gb][ga] = between[gb].get(ga, 0.0) + amount
    pinned: dict[int, int] = {}
    for shard, worker in fixed.items():
        if pinned.setdefault(group_of[shard], worker) != worker:
            return None
    if len(groups) < workers:
        return None
    mean = sum(weight) / workers
    limit = max(mean * EVEN, max(weight)) if len(groups) == len(group_of) else mean * EVEN
    owner: dict[int, int] = dict(pinned)
    loads = [0.0] * (workers + 1)
    members = [0] * (workers + 1)
    for group, worker in pinned.items():
        loads[worker] += weight[group]
        members[worker] += 1
    todo = sorted((each for each in range(len(groups)) if each not in pinned), key=lambda each: (-weight[each], each))
    for index, group in enumerate(todo):
        empty = [worker for worker in range(1, workers + 1) if not members[worker]]
        choices = empty if len(todo) - index <= len(empty) else range(1, workers + 1)
        fitting = [worker for worker in choices if loads[worker] + weight[group] <= mean * BALANCED + 1e-12]

        def gain(worker: int, group: int = group) -> tuple[float, float, int]:
            amount = sum(each for other, each in between[group].items() if owner.get(other) == worker)
            return (-amount, loads[worker], worker)

        worker = min(fitting, key=gain) if fitting else min(choices, key=lambda each: (loads[each], each))
        owner[group] = worker
        loads[worker] += weight[group]
        members[worker] += 1
    if max(loads) > limit + 1e-12 and not pinned:
        return None
    _improve(owner, weight, between, loads, members, max(mean * BALANCED, *loads), pinned)
    by_shard = [1] * ALL_SHARDS
    for group, worker in owner.items():
        for shard in groups[group]:
            by_shard[shard] = worker
    return by_shard


def _improve(
    owner: dict[int, int],
    weight: Sequence[float],
    between: Sequence[Mapping[int, float]],
    loads: list[float],
    members: list[int],
    limit: float,
    pinned: Mapping[int, int],
) -> None:
    """Move single groups to other workers while that lessens what is sent, in a fixed order."""
    for _ in range(8):
        moved = False
        for group in sorted(owner):
            here = owner[group]
            if group in pinned or members[here] == 1:
                continue
            with_worker: dict[int, float] = {}
            for other, amount in between[group].items():
                with_worker[owner[other]] = with_worker.get(owner[other], 0.0) + amount
            for worker in sorted(with_worker, key=lambda each: (-with_worker[each], each)):
                if worker == here or with_worker[worker] <= with_worker.get(here, 0.0):
                    break
                if loads[worker] + weight[group] <= limit:
                    owner[group] = worker
                    loads[here] -= weight[group]
                    loads[worker] += weight[group]
                    members[here] -= 1
                    members[worker] += 1
                    moved = True
                    break
        if not moved:
            return
