"""Distributed runs in one thread, with a network that does its worst: the bits of one process, always."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuraxis.cluster.epoch import merge_left_behind
from neuraxis.cluster.folder import open_part, write_plan
from neuraxis.cluster.plan import ALL_SHARDS, Plan, cut, window_of
from neuraxis.cluster.rehearsal import Rehearsal, Weather
from neuraxis.journal.log import MemorySink
from neuraxis.journal.record import InputRecord, OutcomeRecord, Resumed
from neuraxis.launch import Opened, new_sink, open_scenario, resume_run
from neuraxis.scheduler import state
from neuraxis.simulation import Simulation, header_of
from neuraxis.trace.digest import ChainState, DigestRecorder

from .graphs import ROOT, write_web

STORM = Weather(lose=0.1, repeat=0.1, delay=0.1, kill=0.2, kills=3, ask=0.5)

Whole = tuple[str, int, dict[str, Any]]


def alone(opened: Opened) -> Whole:
    """Return digest, messages and figures of a run in one process."""
    with Simulation(opened.blueprint, wiring=opened.blueprint.wire()) as sim:
        sim.advance(until=opened.resolved.until)
        return sim.digest, sim.statistics.messages, sim.figures()


def rehearsal_of(
    opened: Opened, run: Path, owners: tuple[int, ...], *, seed: int, weather: Weather | None
) -> Rehearsal:
    """Return a run over several workers in one thread, ready to begin in a folder of its own."""
    blueprint, wiring = opened.blueprint, opened.resolved.wiring
    messages = blueprint.messages(wiring)
    sink = new_sink(run, messages, opened.plugins, durable=False)
    sink.append(header_of(run.name, blueprint, wiring, opened.settings, opened.plugins.lock()))
    sink.close()
    plan = Plan(1, owners, window_of(wiring, owners), opened.resolved.until, 1_000, None, "rehearsal", "run")
    write_plan(run, plan)
    open_one = partial(
        open_part, run, plan, blueprint=blueprint, settings=opened.settings, plugins=opened.plugins, messages=messages
    )
    return Rehearsal(plan, open_one, messages, seed=seed, weather=weather)


def rehearsed(opened: Opened, folder: Path, owners: tuple[int, ...], *, seed: int, weather: Weather | None) -> Whole:
    """Return digest, messages and figures of the same run over several workers."""
    rehearsal = rehearsal_of(opened, folder / f"run-{seed}", owners, seed=seed, weather=weather)
    try:
        rehearsal.run()
        parts = [each.sim for each in rehearsal.parts.values()]
        whole = state.merged([state.capture(each.runner.scheduler) for each in parts])
        recorder = DigestRecorder(opened.resolved.wiring, opened.blueprint.seed, [])
        recorder.restore({shard: ChainState(*each) for shard, each in whole["scheduler"]["chains"].items()})
        figures = {name: value for each in parts for name, value in each.figures().items()}
        if weather is not None and weather.kills:
            assert rehearsal.counts["killed"] > 0, "a fault that did not fire proves nothing"
        return recorder.digest(), whole["scheduler"]["delivered"], dict(sorted(figures.items()))
    finally:
        rehearsal.close()


def at_random(workers: int, seed: int) -> tuple[int, ...]:
    """Return a partition that no sensible person would choose."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    return (*(int(each) for each in draw.integers(1, workers + 1, ALL_SHARDS - 1)), workers)


def web(tmp_path: Path, **facts: Any) -> Opened:
    """Open a random web of nodes."""
    return open_scenario(write_web(tmp_path, **facts))


def _same(opened: Opened, folder: Path, seeds: range, weather: Weather | None) -> None:
    digest, messages, figures = alone(opened)
    figures = dict(sorted(figures.items()))
    for seed in seeds:
        owners = at_random(2 + seed % 3, seed)
        assert rehearsed(opened, folder, owners, seed=seed, weather=weather) == (digest, messages, figures), seed


def test_a_web_of_nodes_has_the_same_bits_under_random_partitions(tmp_path: Path) -> None:
    _same(web(tmp_path, nodes=40, until=60), tmp_path, range(6), None)


def test_lost_repeated_late_frames_and_killed_workers_change_nothing(tmp_path: Path) -> None:
    _same(web(tmp_path, nodes=40, until=60), tmp_path, range(6), STORM)


def test_windows_of_several_ticks_have_the_same_bits(tmp_path: Path) -> None:
    opened = web(tmp_path, nodes=30, until=80, least=4)
    wiring = opened.resolved.wiring
    assert window_of(wiring, at_random(3, 1)) >= 4
    _same(opened, tmp_path, range(3), STORM)


def test_arrays_arrive_as_they_were_sent(tmp_path: Path) -> None:
    _same(web(tmp_path, nodes=12, until=40, heavy=5_000), tmp_path, range(3), STORM)


@pytest.mark.parametrize("policy", ["restart", "isolate"])
def test_actors_that_break_are_restarted_or_kept_apart_as_in_one_process(tmp_path: Path, policy: str) -> None:
    options = f'breaks = 3\non_failure = "{policy}"\npause = 9\ncheckpoint_every = 4'
    _same(web(tmp_path, nodes=20, until=60, breaks=options), tmp_path, range(3), STORM)


@pytest.mark.parametrize(("name", "until"), [("ring", 300), ("raster", 40)])
def test_the_scenarios_that_are_shipped_have_the_same_bits(tmp_path: Path, name: str, until: int) -> None:
    opened = open_scenario(ROOT / "scenarios" / f"{name}.toml", overrides=[f"scenario.until={until}"])
    _same(opened, tmp_path, range(3), STORM if name == "ring" else None)


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_the_partition_found_automatically_has_the_same_bits(tmp_path: Path, workers: int) -> None:
    opened = web(tmp_path, nodes=40, until=40)
    digest, messages, figures = alone(opened)
    owners = cut(opened.resolved.wiring, workers)
    assert set(owners) == set(range(1, workers + 1))
    assert rehearsed(opened, tmp_path, owners, seed=1, weather=None) == (
        digest,
        messages,
        dict(sorted(figures.items())),
    )


def test_one_seed_gives_one_course_of_events(tmp_path: Path) -> None:
    opened = web(tmp_path, nodes=20, until=30)
    courses = []
    for attempt in ("a", "b"):
        rehearsal = rehearsal_of(opened, tmp_path / attempt, at_random(3, 4), seed=9, weather=STORM)
        rehearsal.run()
        rehearsal.close()
        courses.append(rehearsal.counts)
    assert courses[0] == courses[1]


def test_a_worker_that_is_killed_right_after_its_snapshot_can_still_catch_up(tmp_path: Path) -> None:
    """Its own word of that snapshot must not let others forget what its next process needs."""
    opened = open_scenario(ROOT / "scenarios" / "raster.toml", overrides=["scenario.until=100"])
    _same(opened, tmp_path, range(3, 4), STORM)


@pytest.mark.prove
@pytest.mark.parametrize(("name", "until"), [("ring", 2_000), ("raster", 100), ("digits", 400), ("web", 60)])
def test_twenty_random_partitions_of_each_scenario_have_the_same_bits(tmp_path: Path, name: str, until: int) -> None:
    if name == "web":
        opened = web(tmp_path, nodes=1_000, until=until)
    else:
        opened = open_scenario(ROOT / "scenarios" / f"{name}.toml", overrides=[f"scenario.until={until}"])
    _same(opened, tmp_path, range(20), STORM)


def test_a_run_that_is_cut_off_at_any_turn_goes_on_alone_to_the_same_bits(tmp_path: Path) -> None:
    opened = web(tmp_path, nodes=40, until=60)
    digest, _, figures = alone(opened)
    went_on_from = set()
    for turns in range(10, 250, 12):
        run = tmp_path / f"run-{turns}"
        weather = Weather(delay=0.1, ask=0.5)
        rehearsal = rehearsal_of(opened, run, at_random(2 + turns % 3, turns), seed=turns, weather=weather)
        rehearsal.run(turns)
        rehearsal.close()
        assert merge_left_behind(run)
        with resume_run(run).simulation as sim:
            went_on_from.add(sim.tick)
            sim.advance(until=60)
            assert (sim.digest, sim.figures()) == (digest, figures), turns
    assert len(went_on_from) > 5


def test_an_outcome_that_is_known_behind_an_input_does_not_let_it_come_late(tmp_path: Path) -> None:
    opened = web(tmp_path, nodes=40, until=100)
    with Simulation(opened.blueprint, wiring=opened.blueprint.wire()) as sim:
        sim.advance(until=20)
        snapshot = sim.snapshot()
        sim.advance(until=60)
        records = sim.records()
    # so it is after a kill: one worker was at tick 60, the one that gives the input of tick 40 at tick 20
    known = [each for each in records if not (isinstance(each, InputRecord) and each.tick > 20)]
    assert len(known) == len(records) - 1
    assert any(isinstance(each, OutcomeRecord) and each.due > 41 for each in known)
    sink = MemorySink()
    for each in known:
        sink.append(each)
    with Simulation.resumed(
        opened.blueprint,
        opened.blueprint.wire(),
        known,
        sink,
        snapshot=snapshot,
        folder=tmp_path / "run",
        plugins=None,
        settings=opened.settings,
        mark=Resumed(60),
    ) as again:
        again.advance(until=100)
        assert again.digest == alone(opened)[0]
