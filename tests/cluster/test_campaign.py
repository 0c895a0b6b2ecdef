"""Campaigns: runs over real processes under faults, compared with one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from neuraxis.cluster.epoch import Wish
from neuraxis.errors import UsageInvalid, WorkerLost
from neuraxis.explore.campaign import Campaign, kinds_for, wage
from neuraxis.explore.round import BrokerDeeds, Round
from neuraxis.explore.strikes import OF_WORKERS, Strike, draw_strikes, parse_strikes, text_of
from neuraxis.explore.struck_conductor import Task, processes_path
from tests.transports.brokers import NatsServer, RedisServer, Server, found, may_mount

from .conftest import Start, ended
from .graphs import ROOT

RING = ROOT / "scenarios" / "ring.toml"
FAULTS = 34
EVERYWHERE = kinds_for("local:", BrokerDeeds())


@contextmanager
def broker_in(folder: Path, kind: type[Server]) -> Iterator[tuple[Server, str]]:
    """A broker that can be full: its disk where one can be mounted, else what it may store. Yields it and its URL."""
    found(kind)
    (folder / "server").mkdir()
    disk = 128 if may_mount() else 0
    with kind(folder / "server", disk_megabytes=disk, store_megabytes=160) as server:
        yield server, server.url + ("?megabytes=64" if kind is NatsServer else "")


def struck_as(plan: str, folder: Path, *, patience: float, until: int) -> Campaign:
    """One round of ring on two workers, struck by that plan."""
    strikes = parse_strikes(plan, workers=2, kinds=EVERYWHERE)
    overrides = [f"scenario.until={until}"]
    wish = Wish(2, patience=patience)
    return wage(RING, folder, wish, seed=1, faults=len(strikes), strikes=strikes, overrides=overrides)


def test_one_seed_draws_the_same_faults_and_another_seed_others() -> None:
    plans = [
        draw_strikes(seed, 3, count=20, workers=4, until=1_000, kinds=(*OF_WORKERS, "restart")) for seed in (7, 7, 8)
    ]
    assert plans[0] == plans[1] != plans[2]
    assert all(1 <= each.tick < 900 and each.worker <= 4 for each in plans[0])


def test_a_plan_of_faults_is_read_as_it_is_written() -> None:
    plan = (Strike(3, "kill", 2), Strike(5, "restart"), Strike(9, "cut", 1))
    assert text_of(plan) == "kill 2 at 3; restart at 5; cut 1 at 9"
    assert parse_strikes(text_of(plan), workers=2, kinds=(*OF_WORKERS, "restart")) == plan


@pytest.mark.parametrize(
    ("text", "says"),
    [("kill", "no fault"), ("restart at 5", "not possible"), ("kill 3 at 5", "no worker"), ("kill at 5", "no worker")],
)
def test_a_plan_that_cannot_be_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageInvalid, match=says):
        parse_strikes(text, workers=2, kinds=kinds_for("local:", BrokerDeeds()))


@pytest.mark.slow
def test_a_small_campaign_comes_to_the_result_of_one_process(tmp_path: Path, start: Start) -> None:
    process = start("explore", RING, "--workers", 2, "--until", 4_000, "--faults", 6, "--seed", 3, "--json")
    code, told, err = ended(process)
    assert code == 0, (told, err)
    assert sum(told["fired"].values()) >= 6
    assert told["replaced"] >= told["fired"].get("kill", 0)


@pytest.mark.slow
def test_a_worker_that_is_stopped_and_goes_on_later_changes_nothing(tmp_path: Path) -> None:
    campaign = struck_as("stop 2 at 500; kill 1 at 900", tmp_path, patience=5.0, until=6_000)
    assert campaign.failure is None
    assert campaign.fired == {"stop": 1, "kill": 1}
    assert campaign.replaced >= 2


@pytest.mark.slow
def test_an_actor_that_reads_its_process_is_found(tmp_path: Path, start: Start) -> None:
    for name in ("ring.toml", "ring.py"):
        shutil.copy(RING.with_name(name), tmp_path)
    plugin = tmp_path / "ring.py"
    text = plugin.read_text()
    changed = text.replace("value + 1)", "value + 1 + __import__('os').getpid())")
    assert changed != text
    plugin.write_text(changed)
    command = ["--workers", 2, "--until", 500, "--faults", 1, "--plan", "kill 1 at 100", "--seed", 5, "--json"]
    code, told, err = ended(start("explore", tmp_path / "ring.toml", *command))
    assert (code, told["passed"]) == (3, False), err
    assert "--plan 'kill 1 at 100'" in told["command"]
    assert Path(told["folder"]).is_dir()
    shutil.rmtree(Path(told["folder"]).parent)


@pytest.mark.slow
def test_a_conductor_that_is_killed_leaves_no_worker_and_its_run_is_resumed(tmp_path: Path) -> None:
    campaign = struck_as("orphan at 300; stop 1 at 1500; orphan at 1550", tmp_path, patience=20.0, until=9_000)
    assert campaign.failure is None
    assert campaign.fired == {"stop": 1, "orphan": 2}


@pytest.mark.slow
def test_a_worker_that_outlives_its_conductor_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuraxis.explore.round.ENDS_S", 1.0)
    orders, run = tmp_path / "orders", tmp_path / "run"
    orders.mkdir()
    with subprocess.Popen(["tail", "-f", "/dev/null", "--pid", str(os.getpid()), orders]) as stubborn:
        processes_path(orders).write_text(f"1 {stubborn.pid}\n")  # as if a conductor had started it
        task = Task(str(RING), ["scenario.until=90000"], None, str(run), Wish(2, patience=3.0), 1)
        strikes = parse_strikes("orphan at 300", workers=2, kinds=EVERYWHERE)
        with pytest.raises(
            WorkerLost, match=f"process {stubborn.pid} .* does not end, though its conductor was killed"
        ):
            Round(task, orders, run, strikes, limit_s=120, deeds=BrokerDeeds()).run()
        assert stubborn.wait(10) == -9  # nothing is left behind


@pytest.mark.slow
@pytest.mark.parametrize("kind", [NatsServer, RedisServer])
def test_a_broker_that_is_full_for_a_while_changes_nothing(tmp_path: Path, kind: type[Server]) -> None:
    with broker_in(tmp_path, kind) as (server, url):
        deeds = BrokerDeeds(fill=server.fill, free=server.free)
        strikes = parse_strikes("fill at 200; kill 1 at 201", workers=2, kinds=kinds_for(url, deeds))
        wish = Wish(2, url, patience=20.0)
        overrides = ["scenario.until=1000"]
        campaign = wage(RING, tmp_path, wish, seed=1, faults=2, strikes=strikes, overrides=overrides, deeds=deeds)
    assert campaign.failure is None
    assert campaign.fired == {"fill": 1, "kill": 1}


def test_a_disk_that_is_filled_and_never_freed_is_refused(tmp_path: Path, start: Start) -> None:
    code, told, _ = ended(start("explore", RING, "--workers", 2, "--fill", "true", "--json"))
    assert code == 2
    assert "--free" in told["error"]["message"]


@pytest.mark.prove
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("kind", [None, NatsServer, RedisServer], ids=["local", "nats", "redis"])
def test_two_hundred_faults_change_nothing(tmp_path: Path, kind: type[Server] | None, seed: int) -> None:
    """Six campaigns of 34 faults. Each prints a row of the table in bench/RESULTS.md; run it with -s to see it."""
    began = time.monotonic()

    def show(fired: int, note: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {fired} of {FAULTS} faults, {note}", flush=True)

    with ExitStack() as stack:
        url, deeds = "local:", BrokerDeeds()
        if kind is not None:
            server, url = stack.enter_context(broker_in(tmp_path, kind))
            deeds = BrokerDeeds(server.restart, server.fill, server.free)
        wish = Wish(2, url, patience=6.0)
        overrides = ["scenario.until=4000"]
        campaign = wage(
            RING, tmp_path, wish, seed=seed, faults=FAULTS, overrides=overrides, limit_s=600.0, deeds=deeds, show=show
        )
    planned, fired = sum(campaign.planned.values()), sum(campaign.fired.values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(campaign.fired.items(), key=lambda each: -each[1]))
    seconds = time.monotonic() - began
    print(f"| {url.partition(':')[0]} | {seed} | {campaign.rounds} | {seconds:.0f} | {planned} | {fired} | {kinds} |")
    assert campaign.failure is None
    assert fired >= FAULTS
