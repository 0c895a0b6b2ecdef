"""Campaigns: runs over real processes under faults, compared with one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from neuraxis.cluster.epoch import Wish
from neuraxis.errors import UsageInvalid
from neuraxis.explore.campaign import kinds_for, wage
from neuraxis.explore.strikes import OF_WORKERS, Strike, draw_strikes, parse_strikes, text_of
from tests.transports.brokers import NatsServer, RedisServer, Server, found

from .conftest import Start, ended
from .graphs import ROOT

RING = ROOT / "scenarios" / "ring.toml"


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
        parse_strikes(text, workers=2, kinds=kinds_for("local:", restarts=False))


@pytest.mark.slow
def test_a_small_campaign_comes_to_the_result_of_one_process(tmp_path: Path, start: Start) -> None:
    process = start("explore", RING, "--workers", 2, "--until", 4_000, "--faults", 6, "--seed", 3, "--json")
    code, told, err = ended(process)
    assert code == 0, (told, err)
    assert sum(told["fired"].values()) >= 6
    assert told["replaced"] >= told["fired"].get("kill", 0)


@pytest.mark.slow
def test_a_worker_that_is_stopped_and_goes_on_later_changes_nothing(tmp_path: Path) -> None:
    strikes = parse_strikes("stop 2 at 500; kill 1 at 900", workers=2, kinds=OF_WORKERS)
    campaign = wage(
        RING, tmp_path, Wish(2, patience=5.0), seed=1, faults=2, strikes=strikes, overrides=["scenario.until=6000"]
    )
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


@pytest.mark.prove
@pytest.mark.parametrize(("kind", "faults"), [(None, 68), (NatsServer, 66), (RedisServer, 66)])
def test_two_hundred_faults_change_nothing(tmp_path: Path, kind: type[Server] | None, faults: int) -> None:
    until = ["scenario.until=6000"]
    if kind is None:
        campaign = wage(RING, tmp_path, Wish(2, patience=6.0), seed=11, faults=faults, overrides=until)
    else:
        found(kind)
        (tmp_path / "server").mkdir()
        with kind(tmp_path / "server") as server:

            def restart() -> None:
                server.kill()
                server.start()

            wish = Wish(2, server.url, patience=6.0)
            campaign = wage(RING, tmp_path, wish, seed=11, faults=faults, overrides=until, restart=restart)
    print(campaign)  # the table of bench/RESULTS.md
    assert campaign.failure is None
    assert sum(campaign.fired.values()) >= faults
