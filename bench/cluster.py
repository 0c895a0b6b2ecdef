"""`python -m bench.cluster [barrier|bulk|scaling …]`: runs over several workers, measured as users run them.

Every run is a real one: a conductor, workers that are processes, journals, digests. What counts is the time from when
all workers stand ready to when all are done.

    barrier  two actors on two workers that send each other a number in every tick: windows a second, beside the bare
             client library in the same run; and windows of 16 ticks
    bulk     two actors that send each other large arrays: payload a second
    scaling  a spiking network of 100,000 neurons with 100 million synapses in eight slices, on one worker and on two
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import transports as bare
from bench.__main__ import as_markdown, heading
from bench.measure import ROOT, Row, at_least
from neuraxis.cluster.epoch import NO_SHARDS, Wish, begin
from neuraxis.launch import open_scenario
from neuraxis.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAIR = """
neuraxis = 1
[scenario]
name = "pair"
tick = "1 ms"
until = {until}
plugins = ["{plugin}"]
[run]
snapshot_every = 1_000_000_000
[actors.player]
kind = "{kind}"
count = 2
shard = 0
{parameter}
[[channels]]
from = "player.out"
to = "player.{port}"
pattern = "ring"
delay = {delay}
"""


class Done(NamedTuple):
    """What a run came to."""

    seconds: float
    digest: str
    memory: list[int]


def run(scenario: Path, workers: int, transport: str = "local:", overrides: Sequence[str] = ()) -> Done:
    """Run a scenario on workers."""
    with tempfile.TemporaryDirectory() as folder:
        opened = open_scenario(scenario, overrides=overrides, shards=NO_SHARDS)
        epoch = begin(opened, Path(folder) / "run", Wish(workers, transport))
        memory: list[int] = [0] * workers

        def look(_tick: int, _note: str) -> None:
            for index, each in enumerate(epoch.conductor.status(time.monotonic()).workers):
                memory[index] = max(memory[index], each.memory)

        try:
            merged = epoch.run(look)
        finally:
            epoch.close()
        return Done(epoch.conductor.computing_s, merged.digest, memory)


def pair(folder: str, *, until: int, delay: int = 1, numbers: int = 0) -> Path:
    """Write the scenario of two players with mail in every tick; or of two that carry arrays."""
    kind, port, parameter = ("pair.player", "ball", f"balls = {delay}")
    if numbers:
        kind, port, parameter = ("pair.carrier", "load", f"numbers = {numbers}")
    plugin = ROOT / "bench" / "pair.py"
    path = Path(folder) / f"pair-{until}-{delay}-{numbers}.toml"
    path.write_text(PAIR.format(until=until, plugin=plugin, delay=delay, kind=kind, port=port, parameter=parameter))
    return path


def rate(folder: str, transport: str, *, ticks: int, delay: int) -> float:
    """Return ticks a second on two workers."""
    return ticks / run(pair(folder, until=ticks, delay=delay), 2, transport).seconds


def alone(folder: str, *, ticks: int, delay: int) -> float:
    """Return ticks a second in one process."""
    with Simulation.from_scenario(pair(folder, until=ticks, delay=delay)) as sim:
        began = time.perf_counter()
        sim.advance(ticks)
        return ticks / (time.perf_counter() - began)


def barrier(rounds: int) -> list[Row]:
    """Measure windows a second."""
    from tests.transports.brokers import NatsServer, RedisServer

    rows = []
    context = multiprocessing.get_context("fork")
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        servers = {
            kind: stack.enter_context(kind(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
            for kind in (NatsServer, RedisServer)
        }
        nats, redis = (servers[kind].url for kind in (NatsServer, RedisServer))
        peers: list[tuple[str, str, float, int, Callable[[], float]]] = [
            ("local", "local:", 0.25, 30_000, lambda: bare.rate(bare.bare_pipe, context.Pipe(), 30_000, 64)),
            ("NATS", nats, 0.45, 3_000, lambda: bare.rate(bare.bare_nats, nats, 3_000, 64)),
            ("Redis", redis, 0.45, 3_000, lambda: bare.rate(bare.bare_redis, redis, 3_000, 64)),
        ]
        for name, url, bar, count, peer in peers:
            pairs = [(rate(folder, url, ticks=count, delay=1), peer()) for _ in range(rounds)]
            share = statistics.median(ours / theirs for ours, theirs in pairs)
            ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            note = f" ({ours:,.0f} windows/s, bare {theirs:,.0f})"
            rows.append(at_least(f"{name}: windows/s over the bare client's", share, bar, "", note=note))
            wide, single = 16 * count, alone(folder, ticks=100_000, delay=16)
            long = [rate(folder, url, ticks=wide, delay=16) for _ in range(rounds)]
            least = min(16 * ours, single)
            note = f" ({statistics.median(long):,.0f} ticks/s; one process {single:,.0f})"
            rows.append(
                at_least(
                    f"{name}: windows of 16 over min(16 x windows of 1, one process)",
                    statistics.median(long) / least,
                    0.6,
                    "",
                    note=note,
                )
            )
    return rows


BULK_BYTES = 16 << 20
BULK_TICKS = 60


def bulk(rounds: int) -> list[Row]:
    """Measure array payload a second between two workers, both ways together."""
    with tempfile.TemporaryDirectory() as folder:
        path = pair(folder, until=BULK_TICKS, numbers=BULK_BYTES // 8)
        speeds = [2 * BULK_BYTES * BULK_TICKS / run(path, 2).seconds / 1e9 for _ in range(rounds)]
    return [at_least("arrays of 16 MiB between two workers of one host", statistics.median(speeds), 1.0, "GB/s")]


def scaling(rounds: int, *overrides: str) -> list[Row]:
    """Measure a large network on one worker and on two."""
    scenario = ROOT / "scenarios" / "brunel_wide.toml"
    small = ("actors.slice.size=50", "actors.slice.degree=10", "scenario.until=2")
    empty = run(scenario, 1, overrides=small).memory[0]  # and its machine code is made for the runs that count
    found = [(run(scenario, 1, overrides=overrides), run(scenario, 2, overrides=overrides)) for _ in range(rounds)]
    speedup = statistics.median(one.seconds / two.seconds for one, two in found)
    one, two = found[0]
    note = f" ({one.seconds:.1f} s on one, {two.seconds:.1f} s on two)"
    share = (max(two.memory) - empty) / (one.memory[0] - empty)
    same = all(one.digest == two.digest for one, two in found)
    sizes = [each / 2**30 for each in (one.memory[0], max(two.memory), empty)]
    memory = "{:.2f} ({:.2f} GiB on one, {:.2f} GiB on two, {:.2f} GiB for a tiny network)".format(share, *sizes)
    return [
        at_least("100,000 neurons, 10^8 synapses: two workers over one", speedup, 1.7, "x", note=note),
        Row("memory of the network in the largest of two workers, over one", memory, "about 1/2", share <= 0.6),
        Row("the same digest", "yes" if same else "no", "yes", same),
    ]


PARTS: dict[str, Callable[..., list[Row]]] = {"barrier": barrier, "bulk": bulk, "scaling": scaling}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    given: Any = parser.parse_args()
    rows = []
    for part in given.parts or PARTS:
        print(f"{part} …", file=sys.stderr, flush=True)
        rows += PARTS[part](1 if part == "scaling" else given.rounds)
        print(json.dumps([[row.what, row.measured, row.met] for row in rows]), file=sys.stderr, flush=True)
    print(heading())
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
