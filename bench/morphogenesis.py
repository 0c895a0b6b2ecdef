"""`python -m bench.morphogenesis`: what networks that grow may take, and what they take.

Each row is an operation with its budget and the percentiles that were measured: p50, p95 and p99 by the clock, and
p50 and p95 of processor time beside them, which a busy machine does not lengthen. Nothing here asserts.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec import Struct
from msgspec.structs import replace
from tests.morphogenesis.packets import COMMAND, REPORT, STATE

from bench.__main__ import heading
from neuraxis import Graph, Resource, Simulation
from neuraxis.blueprint import Blueprint
from neuraxis_morphogenesis.authority import signed, verify
from neuraxis_morphogenesis.blueprints.catalogue import grant, pool, select
from neuraxis_morphogenesis.blueprints.forging import WORKSHOP, Order, forged
from neuraxis_morphogenesis.blueprints.kernels import kernel_name
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.blueprints.with_torch.load import Factory
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.contracts import SeedState, SystemStatePacket, numbers
from neuraxis_morphogenesis.contracts.wire import form_of, from_wire, to_wire
from neuraxis_morphogenesis.policy.graph_policy import GraphPolicy
from neuraxis_morphogenesis.policy.graphs import StateGraph, renormed, slots_of, state_graph
from neuraxis_morphogenesis.policy.inference import Infer, Source
from neuraxis_morphogenesis.policy.risk import Risk, evaluate
from neuraxis_morphogenesis.seeds.actor import Seeds
from neuraxis_morphogenesis.trainer.actor import Trainer

SLOTS = 4
KEY = bytes(range(32))
EPOCHS = 60
BATCH = 50
"""As the trainer's default."""
HOOK = ("assembling", "awaiting", "applying", "checkpointing")
"""Phases of the trainer between validation and the next step."""


class Line(Struct, frozen=True):
    """One row: an operation, its budget in words, and whether the measured value that it is about is within it."""

    what: str
    budget: str
    measured: str
    met: bool | None = None


def main() -> None:
    """Measure everything and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.morphogenesis", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="repetitions of each operation")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(heading())
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors\n")
    print("| what | budget | p50 / p95 / p99 (processor p50 / p95) | met |\n|---|---|---|---|")
    for line in lines(rounds):
        verdict = {True: "yes", False: "**no**", None: ""}[line.met]
        print(f"| {line.what} | {line.budget} | {line.measured} | {verdict} |", flush=True)


def lines(rounds: int) -> Iterator[Line]:
    """Yield the rows."""
    for name, message in (("SystemStatePacket", STATE), ("AdaptationCommand", COMMAND), ("FieldReport", REPORT)):
        yield from _wire(name, message, rounds)
    graph = _graph()
    yield _timed(f"policy: state graph of {SLOTS} slots, 35 blueprints", 3.0, 50, _graph, rounds)
    infer = Infer(Source("bench", 0), graph)
    yield _timed("policy: step of the network (45 ms hard)", 12.0, 95, lambda: infer.perform("bench"), rounds)
    yield _timed("policy: risk", 15.0, 95, lambda: evaluate(Risk(), _packet()), rounds)
    yield _timed("command: signature and verification", 0.5, 50, _authorised, rounds)
    site = Site("features", (64,))
    chosen = pool(site)
    yield _timed(
        "catalogue: select and judge", 300.0, 99, lambda: grant(select(chosen, b"x").blueprint_id, site), rounds
    )
    yield from _kernels(site, rounds)
    yield from _training(rounds)
    yield _taught(rounds)


def _timed(what: str, budget_ms: float, percentile: int, act: Callable[[], Any], rounds: int) -> Line:
    """Return a row of an operation whose percentile must be within a budget."""
    for _ in range(min(10, rounds)):
        act()
    wall, processor = np.empty(rounds), np.empty(rounds)
    with _quiet():
        for index in range(rounds):
            began, used = time.perf_counter(), time.process_time()
            act()
            wall[index], processor[index] = time.perf_counter() - began, time.process_time() - used
    return _line(what, budget_ms, percentile, wall * 1e3, processor * 1e3)


def _line(what: str, budget_ms: float, percentile: int, wall_ms: np.ndarray, processor_ms: np.ndarray) -> Line:
    p50, p95, p99 = (float(np.percentile(wall_ms, each)) for each in (50, 95, 99))
    own = [float(np.percentile(processor_ms, each)) for each in (50, 95)]
    value = {50: p50, 95: p95, 99: p99}[percentile]
    measured = f"{p50:.3g} / {p95:.3g} / {p99:.3g} ms ({own[0]:.3g} / {own[1]:.3g} ms)"
    return Line(what, f"p{percentile} ≤ {budget_ms:g} ms", measured, value <= budget_ms)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the garbage collector out of what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _wire(name: str, message: Any, rounds: int) -> Iterator[Line]:
    kind, data = type(message), to_wire(message)

    def there_and_back() -> None:
        from_wire(kind, to_wire(message))

    yield replace(_timed(f"{name}: there and back", 0.08, 50, there_and_back, 10 * rounds), budget="p50 < 0.08 ms")
    yield Line(f"{name}: size", "< 280 bytes", f"{len(data)} bytes", len(data) < 280)
    binding = form_of(kind).binding
    written, parsed = _blocks(lambda: to_wire(message)), _blocks(lambda: binding.FromString(data))
    told = f"{written} to write, {parsed} to parse"
    yield Line(f"{name}: blocks that the wire form holds", "≤ 4", told, written + parsed <= 4)
    read = _blocks(lambda: from_wire(kind, data))
    yield Line(f"{name}: blocks that our types hold when read", "≤ 4", f"{read}", read <= 4)
    left = _blocks(lambda: from_wire(kind, to_wire(message)) and None)
    yield Line(f"{name}: blocks left behind, there and back", "0", f"{left}", left == 0)


def _blocks(act: Callable[[], Any]) -> int:
    """Return how many of Python's blocks of memory the result of an operation holds."""
    return _held(act) - _held(lambda: None)


def _held(act: Callable[[], Any]) -> int:
    with _quiet():
        # a full collection empties the interpreter's lists of free floats and tuples: they fill again here
        for _ in range(100):
            act()
        before = sys.getallocatedblocks()
        result = act()
        held = sys.getallocatedblocks() - before
    del result
    return held


def _packet() -> SystemStatePacket:
    seeds = tuple(
        SeedState(
            seed_id=f"block{index}",
            stage=(Stage.DORMANT, Stage.TRAINING, Stage.BLENDING, Stage.PROBATIONARY)[index % 4],
            layer_depth=index,
            metrics=numbers({"alpha": 0.5, "contribution": 0.01}),
        )
        for index in range(SLOTS)
    )
    metrics = numbers({"gradient_norm": 1.0, "loss_delta": -0.01, "optimizer_lr": 0.05})
    return SystemStatePacket(
        current_epoch=7, validation_loss=0.7, validation_accuracy=0.6, training_metrics=metrics, seed_states=seeds
    )


def _graph() -> StateGraph:
    packet = _packet()
    norms = renormed({}, packet)
    return state_graph(packet, slots_of(packet, ()), pool(), norms=norms, memory={}, level=0)


def _authorised() -> None:
    command = signed(COMMAND, KEY)
    verify(command, key=KEY, nonces={}, now_ns=command.issued_at_ns)


def _kernels(site: Site, rounds: int) -> Iterator[Line]:
    granted = grant("BP009", site)
    name = kernel_name(granted, 0)
    order = Order(
        granted=granted,
        name=name,
        seed=0,
        mode="eager",
        cache="",
        quarantine=False,
        provoke=False,
        limits=WORKSHOP,
    )
    made, facts = forged(order)
    yield Line("compiler: export of BP009, eager", "", f"{float(facts['export_ms']):,.0f} ms, once")
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder) / "library.sqlite")
        library.put(made)
        fetched = library.fetch(name)
        yield _timed("kernel at hand: check, make an instance", 10.0, 50, Factory(fetched).make, rounds)
        yield _timed("kernel from the library: fetch, check, make", 10.0, 50, lambda: _from(library, name), rounds)
        yield _timed("library: fetch and check (p99 ≤ 500 ms)", 200.0, 95, lambda: library.fetch(name), rounds)


def _from(library: Library, name: str) -> Any:
    return Factory(library.fetch(name)).make()


def _training(rounds: int) -> Iterator[Line]:
    """Measure the hook after validation in a real training, and what watching isolation takes."""
    with tempfile.TemporaryDirectory() as folder, Simulation(_growing(Path(folder))) as sim:
        wall, processor = _hooks(sim)
        yield _line("epoch: hook after validation, all actors", 18.0, 95, wall, processor)
        training = sim.actor("trainer").training  # type: ignore[attr-defined]  # the trainer's
        for number, slot in enumerate(training.network.slots):
            training.detach(slot.name)
            training.attach(slot.name, "BP009", {"depth": 2.0}, "convex", seed=number)
            training.enter(slot.name, (Stage.TRAINING, Stage.BLENDING)[number % 2], blend_steps=10)
        what = f"isolation: watching {len(training.network.slots)} live seeds once (12 ms at most)"
        yield _timed(what, 8.0, 50, training.watch, rounds)


def _taught(rounds: int) -> Line:
    """Measure steps with a live seed and a teacher beside the same steps without a teacher, in turn.

    In pairs, as the teacher is asked in every second one.
    """
    with ExitStack() as stack:
        steps: list[Callable[[], Any]] = []
        for weight in (0.0, 0.3):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            sim = stack.enter_context(Simulation(_growing(folder, distil=weight)))
            sim.advance(ticks=1)
            training = sim.actor("trainer").training  # type: ignore[attr-defined]  # the trainer's
            slot = training.network.slots[0]
            training.attach(slot.name, "BP009", {"depth": 2.0}, "convex", seed=1)
            training.enter(slot.name, Stage.BLENDING, blend_steps=10**6)
            if (training.teacher is not None) != (weight > 0):
                raise SystemExit("a teacher is there without being asked for, or is not")
            steps.append(partial(_two, partial(training.train, np.arange(BATCH), progress=0.1, epoch_share=0.0)))
        took = np.empty((rounds + 10, 2))
        with _quiet():
            for row in took:
                for index, step in enumerate(steps):
                    used = time.process_time()
                    step()
                    row[index] = time.process_time() - used
    without, taught = (float(each) * 1e3 for each in np.median(took[10:], axis=0))
    measured = f"{taught / without:.2f} x ({taught:.3g} ms beside {without:.3g} ms of processor time)"
    what = f"distillation: two steps of {BATCH} samples with a teacher over two without"
    return Line(what, "≤ 1.2 x", measured, taught <= 1.2 * without)


def _two(step: Callable[[], Any]) -> None:
    step()
    step()


def _growing(folder: Path, *, distil: float = 0.0) -> Blueprint:
    """Return a trainer of MNIST-1D with seeds that germinate at once, and the graph policy beside."""
    key = folder / "key"
    key.write_bytes(KEY)
    held = Resource(str(key), hashlib.sha256(KEY).hexdigest())
    data = Path(__file__).parents[1] / "scenarios" / "data" / "mnist1d.npz"
    signals = Resource(str(data), hashlib.sha256(data.read_bytes()).hexdigest())
    graph = Graph("growing", tick="1 s")
    graph.add(
        "trainer", Trainer, data=signals, numerics="native", epochs=EPOCHS, width=16, steps_per_tick=64, distil=distil
    )
    graph.add("seeds", Seeds, key=held, training_epochs=5, decision_ticks=5)
    graph.add("policy", GraphPolicy, key=held, layout="features", seed=2)
    for source, target in (
        ("trainer.evidence", "seeds.evidence"),
        ("seeds.orders", "trainer.orders"),
        ("trainer.packet", "policy.packet"),
        ("policy.command", "seeds.command"),
    ):
        graph.connect(source, target)
    return Blueprint(graph, seed=3)


def _hooks(sim: Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Return wall and processor time, ms, of each epoch's ticks in which the trainer neither trains nor validates."""
    wall: list[float] = []
    processor: list[float] = []
    trainer: Any = sim.actor("trainer")
    spent = used_ms = 0.0
    while trainer.phase != "done":
        before = trainer.phase
        began, used = time.perf_counter(), time.process_time()
        sim.advance(ticks=1)
        took, cpu = time.perf_counter() - began, time.process_time() - used
        if before in HOOK:  # also the tick that carries out what was decided, after which the trainer trains
            spent += took * 1e3
            used_ms += cpu * 1e3
        if before in HOOK and trainer.phase not in HOOK:
            wall.append(spent)
            processor.append(used_ms)
            spent = used_ms = 0.0
    return np.array(wall[1:]), np.array(processor[1:])  # the first one loads libraries


if __name__ == "__main__":
    main()
