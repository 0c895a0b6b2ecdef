"""P1 and P2 on the project's own scenarios: the same digest, whatever is done to the run.

What is varied: the hash seed of Python, the order in which actors are registered and run, the trace level, the
backend, the instruction set, stops, and kill -9 at random moments. One negative control breaks it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from neuraxis import Graph, Simulation
from neuraxis.blueprint import Blueprint
from neuraxis.launch import Opened, open_scenario, resume_run
from neuraxis.scheduler.loop import Scheduler
from neuraxis.trace.golden import read_golden

ROOT = Path(__file__).parents[2]
BACKENDS = ("reference", "numpy", "numba")
ENDS = {"ring": 20_000, "raster": 20, "digits": 40}
PROVED = {("digits", "reference")}
"""What takes half a minute."""


def scenario(name: str) -> Path:
    return ROOT / "scenarios" / f"{name}.toml"


def known(name: str) -> dict[str, str]:
    golden = read_golden(ROOT / "golden" / f"{name}.json")
    assert golden.until == ENDS[name]
    return dict(golden.digests)


def digests(blueprint: Blueprint, end: int) -> dict[str, str]:
    with Simulation(blueprint) as sim:
        return sim.advance(until=end).digests


def opened(name: str, **options: Any) -> Opened:
    return open_scenario(scenario(name), **options)


def in_a_process(name: str, *arguments: str, **environment: str) -> dict[str, str]:
    """Run a scenario in a process of its own and return its digests."""
    command = [sys.executable, "-m", "neuraxis", "run", str(scenario(name)), "--json", *arguments]
    if name == "digits":
        command += ["--until", str(ENDS[name])]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: a short run of digits answers nothing
    found: dict[str, str] = json.loads(done.stdout)["digests"]
    return found


# ------------------------------------------------------------------------------------ P1


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        pytest.param(name, backend, marks=pytest.mark.prove if (name, backend) in PROVED else ())
        for name, backend in product(ENDS, BACKENDS)
    ],
)
def test_every_backend_gives_the_golden_digest(name: str, backend: str) -> None:
    assert digests(opened(name, backend=backend).blueprint, ENDS[name]) == known(name)


@pytest.mark.parametrize("name", ENDS)
def test_the_order_in_which_actors_are_registered_decides_nothing(name: str) -> None:
    blueprint = opened(name).blueprint
    for seed in range(3):
        mixed = Graph(blueprint.graph.name)
        mixed.tick = blueprint.graph.tick
        rng = random.Random(seed)
        mixed.actors = rng.sample(blueprint.graph.actors, len(blueprint.graph.actors))
        mixed.channels = rng.sample(blueprint.graph.channels, len(blueprint.graph.channels))
        assert digests(replace(blueprint, graph=mixed), ENDS[name]) == known(name)


@pytest.mark.parametrize("name", ENDS)
def test_the_order_in_which_actors_run_decides_nothing(name: str) -> None:
    assert digests(_shuffled(opened(name).blueprint, 7), ENDS[name]) == known(name)


def _shuffled(blueprint: Blueprint, seed: int) -> Blueprint:
    def shuffle(tick: int, order: Sequence[int]) -> Sequence[int]:
        return random.Random(f"{seed}/{tick}").sample(list(order), len(order))

    def arm(scheduler: Scheduler) -> None:
        scheduler.shuffle = shuffle

    return replace(blueprint, arm=arm)


def test_an_actor_that_shares_a_global_breaks_the_digest_under_another_order() -> None:
    """The negative control: what the promise forbids does break it, so the tests above can fail."""
    from tests.promises.sharing import graph

    plain = Blueprint(graph())
    assert digests(plain, 50) == digests(plain, 50)
    assert digests(plain, 50) != digests(_shuffled(plain, 7), 50)


def test_an_actor_that_iterates_a_set_breaks_the_digest_under_another_hash_seed() -> None:
    program = (
        "from neuraxis import Simulation\n"
        "from tests.promises.sharing import set_graph\n"
        "print(Simulation(set_graph()).advance(ticks=5).digest)\n"
    )
    found = set()
    for seed in ("1", "2", "3", "4"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) > 1


def _hash_seeds(name: str, seeds: Sequence[int], folder: Path) -> None:
    for seed in seeds:
        assert in_a_process(name, "--folder", str(folder / str(seed)), PYTHONHASHSEED=str(seed)) == known(name)


@pytest.mark.parametrize("name", ENDS)
def test_the_hash_seed_of_python_decides_nothing(name: str, tmp_path: Path) -> None:
    _hash_seeds(name, (0, 1, 4_294_967_295), tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize("name", ENDS)
def test_twenty_hash_seeds_decide_nothing(name: str, tmp_path: Path) -> None:
    _hash_seeds(name, range(100, 120), tmp_path)


@pytest.mark.parametrize("name", ENDS)
def test_the_trace_level_decides_nothing(name: str, tmp_path: Path) -> None:
    assert in_a_process(name, "--trace", "full", "--folder", str(tmp_path / "run")) == known(name)
    assert (tmp_path / "run" / "trace.jsonl").stat().st_size > 1_000


def _dispatched() -> list[str]:
    from numpy._core import _multiarray_umath as core

    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("raster", "numpy"),
        ("raster", "numba"),
        ("digits", "numpy"),
        pytest.param("digits", "numba", marks=pytest.mark.prove),
    ],
)
def test_a_plain_instruction_set_gives_the_same_bits(name: str, backend: str, tmp_path: Path) -> None:
    features = " ".join(_dispatched())
    found = in_a_process(
        name,
        "--backend",
        backend,
        "--folder",
        str(tmp_path / "run"),
        NPY_DISABLE_CPU_FEATURES=features,
        NUMBA_CPU_NAME="generic",
        NEURAXIS_CACHE=str(tmp_path / "cache"),
    )
    assert found == known(name)


# ------------------------------------------------------------------------------------ P2


@pytest.mark.parametrize("name", ENDS)
def test_stopping_and_resuming_at_random_ticks_changes_nothing(name: str, tmp_path: Path) -> None:
    rng = random.Random(name)
    stops = sorted(rng.sample(range(1, ENDS[name]), 4))
    first = opened(name)
    sim = Simulation(first.blueprint, folder=tmp_path / "run", plugins=first.plugins, settings=first.settings)
    for stop in stops:
        sim.advance(until=stop)
        if rng.random() < 0.7:
            sim.snapshot()
        sim.close()
        resumption = resume_run(tmp_path / "run")
        assert resumption.simulation is not None
        sim = resumption.simulation
    with sim:
        assert sim.advance(until=ENDS[name]).digests == known(name)


def _kill_again_and_again(name: str, end: int, kills: int, longest: float, seed: int, folder: Path) -> None:
    """Start a run, kill it at random moments and resume it, `kills` times; then let it end, and compare."""
    rng = random.Random(seed)
    begin = ["run", str(scenario(name)), "--folder", str(folder), "--until", str(end), "--json"]
    command, struck = begin, 0
    while struck < kills:
        process = subprocess.Popen(
            [sys.executable, "-m", "neuraxis", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            process.wait(rng.uniform(0.05, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            struck += 1
        _, complaint = process.communicate()
        assert process.returncode in (0, 1, -signal.SIGKILL), complaint.decode()
        if process.returncode in (0, 1):  # it came to its end: go on with a new one
            _require_digest(folder, name, end)
            folder = folder.with_name(f"{folder.name}x")
            begin[3] = str(folder)
            command = begin
        elif _has_begun(folder):
            command = ["resume", str(folder), "--json"]
    done = subprocess.run([sys.executable, "-m", "neuraxis", *command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    _require_digest(folder, name, end)


def _has_begun(folder: Path) -> bool:
    """Tell whether the header of the journal is complete; else nothing was accepted, and `run` begins anew."""
    from neuraxis.errors import NeuraxisError
    from neuraxis.journal.read import read_journal

    try:
        read_journal(folder / "journal.nxj", {}, header_only=True)
    except NeuraxisError:
        return False
    return True


_EXPECTED: dict[tuple[str, int], str] = {}


def _require_digest(folder: Path, name: str, end: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "neuraxis", "resume", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    if (name, end) not in _EXPECTED:
        with Simulation(opened(name, overrides=[f"scenario.until={end}"]).blueprint) as sim:
            _EXPECTED[name, end] = sim.advance(until=end).digest
    assert json.loads(done.stdout)["digest"] == _EXPECTED[name, end], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_twenty_kills_of_ring_change_nothing(seed: int, tmp_path: Path) -> None:
    _kill_again_and_again("ring", 800_000, 10, 1.4, seed, tmp_path / "run")


@pytest.mark.slow
def test_three_kills_of_digits_change_nothing(tmp_path: Path) -> None:
    _kill_again_and_again("digits", 300, 3, 3.0, 1, tmp_path / "run")


@pytest.mark.prove
@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("seed", range(100, 105))
def test_fifty_kills_of_each_scenario_change_nothing(name: str, seed: int, tmp_path: Path) -> None:
    end = {"ring": 1_500_000, "raster": 20, "digits": 600}[name]
    _kill_again_and_again(name, end, 10, {"ring": 2.0, "raster": 1.5, "digits": 4.0}[name], seed, tmp_path / "run")


def test_a_short_run_of_digits_has_spikes_to_compare() -> None:
    with Simulation(opened("digits").blueprint) as sim:
        sim.advance(until=ENDS["digits"])
        spikes = sim.figures()["associative.spikes"]
        assert isinstance(spikes, int)
        assert spikes > 20
