"""Distributed runs over real processes: the bits of one process, through kills, stops and resumption."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neuraxis.cluster.folder import read_plan
from neuraxis.cluster.local import Local
from neuraxis.launch import open_scenario
from neuraxis.simulation import Simulation
from tests.transports.brokers import RedisServer, found

from .conftest import ended, processes_of, reaches, status_of, wait_until
from .graphs import ROOT, write_web

if TYPE_CHECKING:
    from .conftest import Start

RING = ROOT / "scenarios" / "ring.toml"
pytestmark = pytest.mark.slow


def alone(path: Path, until: int) -> str:
    """Return the digest of a scenario in one process."""
    with Simulation.from_scenario(path, overrides=[f"scenario.until={until}"]) as sim:
        return sim.advance(until=until).digest


def run_of(start: Start, path: Path, folder: Path, until: int, workers: int, *more: object) -> dict[str, Any]:
    """Run a scenario on workers to its end, and return what it printed."""
    process = start("run", path, "--until", until, "--workers", workers, "--folder", folder, "--json", *more)
    code, found, err = ended(process)
    assert code in (0, 1), err
    return found


def test_a_run_on_workers_has_the_digest_figures_and_records_of_one_process(tmp_path: Path, start: Start) -> None:
    path = write_web(tmp_path, nodes=40, until=300)
    single = start("run", path, "--folder", tmp_path / "one", "--trace", "full", "--json")
    code, one, err = ended(single)
    assert code == 0, err
    found = run_of(start, path, tmp_path / "many", 300, 2, "--trace", "full")
    same = ("digest", "digests", "figures", "messages", "ticks", "dead_letters", "failures", "determinism", "passed")
    assert {key: found[key] for key in same} == {key: one[key] for key in same}
    assert found["workers"] == 2
    lines = [(tmp_path / run / "trace.jsonl").read_text() for run in ("one", "many")]
    assert lines[0] == lines[1]
    for verb in ("verify", "replay"):
        assert ended(start(verb, tmp_path / "many", "--json"))[0] == 0, verb
    code, difference, _ = ended(start("diff", tmp_path / "one", tmp_path / "many", "--json"))
    assert (code, difference["same"]) == (0, True)
    assert not (tmp_path / "many" / "workers").exists()


def test_a_worker_that_is_killed_is_replaced_and_nothing_changes(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 30_000, "--workers", 2, "--folder", run, "--json")
    for worker, tick in ((1, 2_000), (2, 8_000)):
        wait_until(reaches(run, tick), what=f"tick {tick}")
        for pid in processes_of(run, worker):
            os.kill(pid, signal.SIGKILL)
    code, found, err = ended(process)
    assert code in (0, 1), err
    assert found["digest"] == alone(RING, 30_000)


def test_a_stopped_worker_is_replaced_and_does_no_harm_when_it_goes_on(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start(
        "run", RING, "--until", 30_000, "--workers", 2, "--folder", run, "--patience", 4, "--launcher", "join", "--json"
    )
    wait_until(lambda: (run / "workers" / "plan.json").is_file(), what="a plan")
    frozen = start("worker", run, "--index", 2)
    start("worker", run, "--index", 1)
    wait_until(reaches(run, 3_000), what="tick 3,000")
    frozen.send_signal(signal.SIGSTOP)
    wait_until(lambda: (status_of(run) or {}).get("replaced"), what="a worker taken for dead")
    start("worker", run, "--index", 2)
    wait_until(reaches(run, 6_000), what="tick 6,000")
    frozen.send_signal(signal.SIGCONT)
    code, found, err = ended(process)
    assert code in (0, 1), err
    assert found["digest"] == alone(RING, 30_000)
    out, _ = frozen.communicate(timeout=60)  # it was told, or found that it slept for too long
    assert frozen.returncode is not None
    assert "took its place" in out or frozen.returncode == 1, out


@pytest.mark.parametrize("workers", [None, 3])
def test_a_run_whose_conductor_was_killed_goes_on_alone_or_on_other_workers(
    tmp_path: Path, start: Start, workers: int | None
) -> None:
    path = write_web(tmp_path, nodes=40, until=4_000)
    run = tmp_path / "run"
    process = start("run", path, "--workers", 2, "--folder", run, "--json")
    wait_until(lambda: (status_of(run) or {}).get("stable_tick", -1) > 0, what="a snapshot that all have")
    process.kill()
    process.communicate()
    wait_until(lambda: not processes_of(run, 1) and not processes_of(run, 2), what="the end of the workers")
    more = ["--workers", workers] if workers else []
    code, found, err = ended(start("resume", run, *more, "--json"))
    assert code == 0, err
    assert found["digest"] == alone(path, 4_000)
    assert ended(start("verify", run, "--json"))[0] == 0


def test_a_run_whose_broker_stays_full_ends_by_name_and_goes_on_once_there_is_room(
    tmp_path: Path, start: Start
) -> None:
    found(RedisServer)
    run = tmp_path / "run"
    with RedisServer(tmp_path) as server:
        more = ["--transport", server.url, "--patience", 2, "--json"]
        process = start("run", RING, "--until", 50_000, "--workers", 2, "--folder", run, *more)
        wait_until(lambda: (status_of(run) or {}).get("stable_tick", -1) > 0, what="a snapshot that all have")
        server.fill()
        code, told, err = ended(process)
        assert (code, told["error"]["code"]) == (1, "NX306"), err
        assert "takes nothing more: " in told["error"]["message"]
        assert f"neuraxis resume {run}" in told["error"]["message"]
        server.free()
        code, told, err = ended(start("resume", run, "--json"))
    assert code in (0, 1), err
    assert told["digest"] == alone(RING, 50_000)


def test_a_run_that_is_asked_to_stop_ends_in_order_and_goes_on_later(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 60_000, "--workers", 2, "--folder", run, "--json")
    wait_until(reaches(run, 2_000), what="tick 2,000")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143, err
    assert "neuraxis resume" in json.loads(out)["error"]["message"]
    assert not (run / "workers").exists()
    code, found, err = ended(start("resume", run, "--json"))
    assert code in (0, 1), err
    assert found["digest"] == alone(RING, 60_000)


def test_a_run_that_slept_as_a_whole_for_longer_than_its_patience_goes_on(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 15_000, "--workers", 2, "--folder", run, "--patience", 3, "--json")
    wait_until(reaches(run, 1_000), what="tick 1,000")
    everybody = [process.pid, *processes_of(run, 1), *processes_of(run, 2)]
    assert len(everybody) == 3
    for number, pause in ((signal.SIGSTOP, 5.0), (signal.SIGCONT, 0.0)):
        for pid in everybody:
            os.kill(pid, number)
        time.sleep(pause)
    replaced = 0
    while process.poll() is None:
        replaced = max(replaced, (status_of(run) or {}).get("replaced", 0))
        time.sleep(0.05)
    code, found, err = ended(process)
    assert code in (0, 1), err
    assert (found["digest"], replaced) == (alone(RING, 15_000), 0)


def test_a_process_that_starts_after_another_took_its_place_leaves_without_joining(
    tmp_path: Path, start: Start
) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 50, "--workers", 2, "--folder", run, "--launcher", "join", "--json")
    wait_until(lambda: (run / "workers" / "plan.json").is_file() and (run / "journal.nxj").stat().st_size, what="a run")
    (run / "workers" / "1.2").mkdir()
    late = start("worker", run, "--index", 1, "--incarnation", 1)
    assert "took its place" in late.communicate(timeout=60)[0]
    assert late.returncode == 0
    for worker in (1, 2):
        start("worker", run, "--index", worker, "--incarnation", 3)
    assert ended(process)[1]["digest"] == alone(RING, 50)


def test_a_worker_whose_way_was_taken_by_one_that_left_is_replaced(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 30_000, "--workers", 2, "--folder", run, "--patience", 3, "--json")
    wait_until(reaches(run, 1_000), what="tick 1,000")
    plan = read_plan(run)
    Local(plan.transport).join(plan.key, 2).close()
    wait_until(lambda: (status_of(run) or {}).get("replaced"), what="a replaced worker")
    code, found, err = ended(process)
    assert code in (0, 1), err
    assert found["digest"] == alone(RING, 30_000)


def test_every_worker_can_be_replaced_while_the_run_goes_on(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 40_000, "--workers", 2, "--folder", run, "--json")
    wait_until(reaches(run, 2_000), what="tick 2,000")
    process.send_signal(signal.SIGUSR1)
    wait_until(lambda: (status_of(run) or {}).get("replaced", 0) >= 2, what="two replaced workers")
    code, found, err = ended(process)
    assert code in (0, 1), err
    assert found["digest"] == alone(RING, 40_000)


def test_a_tick_that_fails_is_discarded_everywhere(tmp_path: Path, start: Start) -> None:
    path = write_web(tmp_path, nodes=30, until=400, breaks="breaks = 5")
    told = []
    for name, more in (("one", []), ("many", ["--workers", 3])):
        code, found, err = ended(start("run", path, "--folder", tmp_path / name, "--json", *more))
        assert code == 1, err
        told.append((found["error"], _stands(tmp_path / name)))
    assert told[0] == told[1]
    assert told[0][0]["code"] == "NX301"


def _stands(run: Path) -> tuple[int, dict[str, str]]:
    """Return tick and digests of the state where a run ended, found by executing it again."""
    from neuraxis.launch import resume_run

    resumption = resume_run(run)
    assert resumption.simulation is not None
    with resumption.simulation as sim:
        sim.advance(until=max(sim.tick, 0))
        tick = sim.tick
        for _ in range(10_000):
            try:
                sim.advance(1)
            except Exception:
                break
            tick = sim.tick
        sim.recover()
        return tick, sim.digests


def test_two_runs_in_one_folder_are_refused(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    first = start("run", RING, "--until", 200_000, "--workers", 2, "--folder", run, "--json")
    wait_until(reaches(run, 100), what="tick 100")
    for verb in (("run", RING, "--workers", 2, "--folder", run), ("resume", run, "--workers", 2), ("resume", run)):
        code, found, _ = ended(start(*verb, "--json"))
        assert code == 2, verb
        assert found["error"]["code"] in ("NX102", "NX109"), verb
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=120)


def test_the_workers_of_a_conductor_that_is_gone_end_by_themselves(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 2_000_000, "--workers", 2, "--folder", run, "--json")
    wait_until(reaches(run, 100), what="tick 100")
    process.kill()
    process.communicate()
    began = time.monotonic()
    wait_until(lambda: not processes_of(run, 1) and not processes_of(run, 2), what="the end of the workers")
    assert time.monotonic() - began < 60


def test_top_shows_who_does_what(tmp_path: Path, start: Start) -> None:
    run = tmp_path / "run"
    process = start("run", RING, "--until", 2_000_000, "--workers", 2, "--folder", run, "--json")
    wait_until(reaches(run, 500), what="tick 500")
    code, found, err = ended(start("top", run, "--json"))
    assert code == 0, err
    assert [each["worker"] for each in found["workers"]] == [1, 2]
    assert found["tick"] >= 500
    shown = start("top", run, "--once")
    assert "windows/s" in shown.communicate(timeout=60)[0]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)


def test_a_worker_whose_code_is_another_is_refused_before_tick_0(tmp_path: Path, start: Start) -> None:
    path = write_web(tmp_path, nodes=10, until=50)
    run = tmp_path / "run"
    process = start("run", path, "--workers", 2, "--folder", run, "--launcher", "join", "--json")
    wait_until(lambda: (run / "workers" / "plan.json").is_file(), what="a plan")
    plugin = run / "plugins" / "web.py"
    plugin.write_text(plugin.read_text() + "\n# another version\n")
    worker = start("worker", run, "--index", 1)
    code, found, _ = ended(process)
    assert (code, found["error"]["code"]) == (2, "NX105")
    assert "differs" in found["error"]["message"]
    assert worker.wait(timeout=60) == 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--transport", "carrier-pigeon://"], "carrier-pigeon"),
        (["--launcher", "catapult"], "catapult"),
        (["--workers", "65"], "65 workers"),
        (["--transport", "local:relative"], "local:"),
        (["--launcher", "slurm"], "Slurm"),
    ],
)
def test_what_cannot_be_distributed_so_is_refused_before_anything_runs(
    tmp_path: Path, start: Start, more: list[str], says: str
) -> None:
    arguments = ["--workers", "2", *more] if "--workers" not in more else more
    code, found, err = ended(start("run", RING, *arguments, "--folder", tmp_path / "run", "--json"))
    assert code == 2, err
    assert says in found["error"]["message"]


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ({"relai": 1}, "relay"),
        ({"relay": 3}, "1 … 2"),
        ("nothing", "places"),
    ],
)
def test_a_partition_that_cannot_be_is_refused(tmp_path: Path, start: Start, places: Any, says: str) -> None:
    file = tmp_path / "partition.json"
    file.write_text(json.dumps({"places": places}))
    code, found, err = ended(
        start("run", RING, "--workers", 2, "--partition", file, "--folder", tmp_path / "run", "--json")
    )
    assert code == 2, err
    assert says in found["error"]["message"]


def test_a_measured_partition_runs(tmp_path: Path, start: Start) -> None:
    file = tmp_path / "partition.json"
    assert ended(start("partition", RING, "--workers", 2, "--ticks", 500, "--out", file, "--json"))[0] == 0
    found = run_of(start, RING, tmp_path / "run", 1_000, 2, "--partition", file)
    assert found["digest"] == alone(RING, 1_000)


def test_opened_without_actors_a_scenario_makes_none() -> None:
    opened = open_scenario(RING, shards=frozenset())
    assert not opened.resolved.wiring.made()
