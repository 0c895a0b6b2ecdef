"""Random partitions over real brokers and real processes: the bits of one process, always."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from neuraxis.cluster.epoch import NO_SHARDS, Wish, begin
from neuraxis.launch import open_scenario
from neuraxis.simulation import Simulation
from tests.transports.brokers import NatsServer, RedisServer, Server, found

from .graphs import ROOT, write_web

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.launch import Opened

BROKERS = [pytest.param(NatsServer, id="nats"), pytest.param(RedisServer, id="redis")]


def at_random(opened: Opened, seed: int) -> tuple[int, dict[str, int]]:
    """Return 2 … 4 workers and a partition that no sensible person would choose; each worker has a shard."""
    wiring = opened.resolved.wiring
    draw = np.random.Generator(np.random.Philox(key=seed))
    shards = [int(each) for each in draw.permutation(sorted({wiring.shards[each] for each in wiring.real()}))]
    workers = min(2 + seed % 3, len(shards))
    owners = {shard: 1 + place for place, shard in enumerate(shards[:workers])}
    owners |= {shard: int(draw.integers(1, workers + 1)) for shard in shards[workers:]}
    return workers, {wiring.paths[each]: owners[wiring.shards[each]] for each in wiring.real()}


def _same(path: Path, until: int, folder: Path, kind: type[Server], seeds: range) -> None:
    found(kind)
    overrides = [f"scenario.until={until}"]
    (folder / "server").mkdir()
    with Simulation.from_scenario(path, overrides=overrides) as sim:
        sim.advance(until=until)
        expected: dict[str, Any] = {
            "digest": sim.digest,
            "messages": sim.statistics.messages,
            "figures": dict(sorted(sim.figures().items())),
        }
    with kind(folder / "server") as server:
        for seed in seeds:
            opened = open_scenario(path, overrides=overrides, shards=NO_SHARDS)
            workers, places = at_random(opened, seed)
            epoch = begin(opened, folder / f"run-{seed}", Wish(workers, server.url, places=places))
            try:
                summary = epoch.conclude(epoch.run(lambda _tick, _note: None), report=None).summary
            finally:
                epoch.close()
            got = {**{name: summary[name] for name in expected}, "figures": dict(sorted(summary["figures"].items()))}
            assert got == expected, (seed, places)
            print(f"{path.stem}, {kind.scheme}, seed {seed}: {workers} workers, {summary['wall_s']} s", flush=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BROKERS)
def test_random_partitions_over_a_broker_have_the_same_bits(tmp_path: Path, kind: type[Server]) -> None:
    _same(write_web(tmp_path, nodes=40, until=40), 40, tmp_path, kind, range(2))


@pytest.mark.prove
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.parametrize(("name", "until"), [("ring", 1_000), ("raster", 100), ("digits", 400), ("web", 60)])
def test_twenty_random_partitions_over_a_broker_have_the_same_bits(
    tmp_path: Path, kind: type[Server], name: str, until: int
) -> None:
    web = name == "web"
    path = write_web(tmp_path, nodes=1_000, until=until) if web else ROOT / "scenarios" / f"{name}.toml"
    _same(path, until, tmp_path, kind, range(20))
