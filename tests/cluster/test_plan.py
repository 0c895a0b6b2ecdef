"""Partitions: long windows, even loads, little that is sent; and windows that all workers agree on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from neuraxis.cluster.plan import ALL_SHARDS, WINDOW_MAX, Plan, by_hand, cut, window_of
from neuraxis.errors import UsageInvalid
from neuraxis.launch import open_scenario
from neuraxis.wiring import Wiring

from .graphs import ROOT, write_web


def wiring_of(path: Path) -> Wiring:
    return open_scenario(path, shards=frozenset()).resolved.wiring


@pytest.fixture(scope="module")
def ring() -> Wiring:
    return wiring_of(ROOT / "scenarios" / "ring.toml")


def loads(wiring: Wiring, owners: tuple[int, ...]) -> Counter[int]:
    return Counter(owners[wiring.shards[position]] for position in wiring.real())


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_every_worker_has_something_and_none_too_much(tmp_path: Path, workers: int) -> None:
    wiring = wiring_of(write_web(tmp_path, nodes=200))
    found = loads(wiring, cut(wiring, workers))
    assert set(found) == set(range(1, workers + 1))
    assert max(found.values()) <= 1.1 * 200 / workers + 1


def test_slices_of_a_population_are_shared_evenly() -> None:
    wiring = wiring_of(ROOT / "scenarios" / "brunel_wide.toml")
    assert loads(wiring, cut(wiring, 2)) == {1: 4, 2: 4}
    assert loads(wiring, cut(wiring, 4)) == {1: 2, 2: 2, 3: 2, 4: 2}


CLUSTERS = """
neuraxis = 1
[scenario]
name = "two"
until = 10
plugins = ["{plugin}"]
[actors.left]
kind = "web.node"
count = 4
shard = 0
[actors.right]
kind = "web.node"
count = 4
shard = 10
[[channels]]
from = "left.out"
to = "left.parcel"
pattern = "ring"
[[channels]]
from = "right.out"
to = "right.parcel"
pattern = "ring"
[[channels]]
from = "left.out"
to = "right.parcel"
pattern = "each"
delay = 20
"""


def test_channels_of_short_delay_stay_inside_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(CLUSTERS.format(plugin=Path(__file__).parent / "web.py"))
    wiring = wiring_of(path)
    owners = cut(wiring, 2)
    assert window_of(wiring, owners) == 20
    assert loads(wiring, owners) == {1: 4, 2: 4}


def test_what_was_measured_decides_where_actors_go(ring: Wiring) -> None:
    costs = {f"relay/{number:02d}": 1.0 for number in range(10)}
    owners = cut(ring, 2, costs={**costs, "relay/03": 9.0})
    alone = owners[ring.shards[ring.position["relay/03"]]]
    assert loads(ring, owners)[alone] == 1


def test_a_person_may_place_actors_and_groups(ring: Wiring) -> None:
    owners = by_hand(ring, {"relay/04": 2, "relay/05": 2}, 2)
    assert {owners[ring.shards[ring.position[f"relay/0{each}"]]] for each in (4, 5)} == {2}
    assert set(loads(ring, by_hand(ring, {"relay": 1}, 1))) == {1}


@pytest.mark.parametrize(
    ("places", "says"), [({"rely/04": 1}, "relay/04"), ({"relay/04": 3}, "1 … 2"), ({"relay/04": 0}, "1 … 2")]
)
def test_a_place_that_is_none_is_refused_with_the_remedy(ring: Wiring, places: dict[str, int], says: str) -> None:
    with pytest.raises(UsageInvalid, match=says):
        by_hand(ring, places, 2)


def test_actors_of_one_shard_cannot_be_torn(tmp_path: Path) -> None:
    wiring = wiring_of(write_web(tmp_path, nodes=200))
    first: dict[int, str] = {}
    for position in wiring.real():
        path, shard = wiring.paths[position], wiring.shards[position]
        if shard in first:
            with pytest.raises(UsageInvalid, match="shard = 0 … 63"):
                by_hand(wiring, {first[shard]: 1, path: 2}, 2)
            return
        first[shard] = path
    raise AssertionError("200 actors have 64 shards, so two of them share one")


def test_more_workers_than_shards_are_refused(ring: Wiring) -> None:
    with pytest.raises(UsageInvalid, match="1 … "):
        cut(ring, 11)


def plan(window: int, *, every: int | None = None, until: int = 1_000) -> Plan:
    return Plan(1, (1,) * (ALL_SHARDS - 1) + (2,), window, until, 1_000, every, "local:", "run")


def test_windows_end_at_whole_multiples_wherever_a_run_went_on() -> None:
    assert [plan(16).end_of_window(now, now + 1) for now in (0, 3, 16, 995)] == [16, 16, 32, 1_000]


def test_windows_in_which_nothing_happens_are_skipped() -> None:
    assert plan(16).end_of_window(0, 500) == 512
    assert plan(16).end_of_window(0, None) == 1_000


def test_windows_end_where_a_snapshot_is_wanted() -> None:
    assert plan(16, every=10).end_of_window(0, 1) == 10
    assert plan(16, every=10).end_of_window(10, 11) == 16
    assert plan(16, every=10).end_of_window(0, 95) == 96


def test_a_plan_comes_back_from_its_file() -> None:
    assert Plan.decode(plan(3).encode()) == plan(3)


def test_without_channels_between_workers_windows_are_bounded(ring: Wiring) -> None:
    assert window_of(ring, (1,) * ALL_SHARDS) == WINDOW_MAX
