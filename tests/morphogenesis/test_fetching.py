"""The trainer gets kernels from the library; what is missing, late, damaged or wrong is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from msgspec.structs import replace  # noqa: E402
from safetensors.torch import save  # noqa: E402

from neuraxis import Graph, Resource, Simulation  # noqa: E402
from neuraxis.testing.checks import resumed_digest  # noqa: E402
from neuraxis_morphogenesis.blueprints.catalogue import described, grant  # noqa: E402
from neuraxis_morphogenesis.blueprints.compiler import Compiler  # noqa: E402
from neuraxis_morphogenesis.blueprints.kernels import Kernel, Sealed, kernel_name, sealed  # noqa: E402
from neuraxis_morphogenesis.blueprints.librarian import Librarian  # noqa: E402
from neuraxis_morphogenesis.blueprints.library import Library  # noqa: E402
from neuraxis_morphogenesis.blueprints.site import Site  # noqa: E402
from neuraxis_morphogenesis.blueprints.with_torch import build  # noqa: E402
from neuraxis_morphogenesis.contracts import (  # noqa: E402
    KernelArtifactError,
    KernelArtifactReady,
    KernelCatalogUpdate,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage  # noqa: E402
from tests.morphogenesis.test_growth import GROW, out, planted, stages, told  # noqa: E402
from tests.morphogenesis.test_training import same, weights  # noqa: E402

SITE = Site("features", (8,))
GRANTED = grant("BP009", SITE, {"depth": 1})
NAME = kernel_name(GRANTED, 0)


def kernel(**changes: Any) -> Kernel:
    """Return the kernel that the script's seed asks for."""
    module = build(GRANTED, seed=77)
    tensors = {name: value.contiguous() for name, value in module.state_dict().items()}
    entry = described("BP009")
    made = Kernel(
        name=NAME,
        blueprint_id="BP009",
        parameters=GRANTED.parameters,
        site=SITE,
        tier=entry.tier,
        stage=entry.stage,
        seed=0,
        weights=save(tensors),
        graph_digest="g",
        guard_digest="h",
        torch_version=str(torch.__version__),
    )
    return replace(made, **changes)


def borrowing(folder: Path, data: Resource, *, trainer: Any = None, connected: bool = True, **options: Any) -> Graph:
    """Return a garden whose trainer asks a librarian for kernels."""
    options = {"script": {"1": [GROW]}, **options}
    graph = planted(folder, data, trainer={"modules": "library", "epochs": 8, **(trainer or {})}, **options)
    graph.add("librarian", Librarian, library=str(folder / "library.sqlite"))
    if connected:
        graph.connect("trainer.request", "librarian.request")
        for port in ("ready", "kernel", "failed"):
            graph.connect(f"librarian.{port}", f"trainer.{port}")
    return graph


def stocked(folder: Path, content: Sealed | None = None) -> KernelCatalogUpdate:
    """Put a kernel into the library; return what its compiler tells of it."""
    put = content or sealed(kernel())
    Library(folder / "library.sqlite").put(put)
    return KernelCatalogUpdate(blueprint_id="BP009", artifact_ref=put.name, checksum=put.checksum)


def grown(graph: Graph, update: KernelCatalogUpdate | None, *, until: int = 200) -> Simulation:
    sim = Simulation(graph, seed=3)
    if update is not None:
        sim.inject("librarian.update", update)
    return sim.advance(until=until)


def test_a_seed_is_made_of_the_kernel_that_the_library_holds(tmp_path: Path, few_signals: Resource) -> None:
    graph = borrowing(tmp_path, few_signals, seeds={"training_epochs": 12})
    sim = Simulation(graph, seed=3)
    sim.inject("librarian.update", stocked(tmp_path))
    slot = sim.actor("trainer").training.network.slot("block1")
    while slot.module is None:
        sim.advance(ticks=1)
        slot = sim.actor("trainer").training.network.slot("block1")
        assert not (slot.module is None and "TRAINING" in stages(sim))
    assert stages(sim) == ["DORMANT", "GERMINATED"]
    assert same(weights(slot.module), weights(build(GRANTED, seed=77)))
    sim.advance(until=200)
    assert stages(sim)[2] == "TRAINING"
    assert sim.actor("trainer").fetched == 1
    assert sim.figures()["trainer.epochs"] == 8


REFUSALS = ["missing", "unconnected", "damaged", "replaced", "wrong site", "wrong tensors"]


@pytest.mark.parametrize("case", REFUSALS)
def test_a_kernel_that_cannot_be_used_is_refused_by_name_and_training_goes_on(
    tmp_path: Path, few_signals: Resource, case: str
) -> None:
    update: KernelCatalogUpdate | None = None
    if case == "damaged":
        import sqlite3

        update = stocked(tmp_path)
        with sqlite3.connect(tmp_path / "library.sqlite") as file:
            file.execute("UPDATE kernels SET data = substr(data, 1, 100)")
    elif case == "replaced":
        update = replace(stocked(tmp_path), checksum="0" * 64)
    elif case == "wrong site":
        update = stocked(tmp_path, sealed(kernel(site=Site("features", (9,)))))
    elif case == "wrong tensors":
        update = stocked(tmp_path, sealed(kernel(weights=save({"a": torch.zeros(1)}))))
    reason = {
        "missing": f"kernel_missing: no kernel of {NAME} was compiled",
        "unconnected": f"kernel_late: {NAME} did not come within 10 ticks",
        "damaged": "kernel_missing: ",
        "replaced": "kernel_missing: ",
        "wrong site": f"kernel_wrong: {NAME} holds BP009 for features (9)",
        "wrong tensors": "kernel_corrupt: ",
    }[case]
    sim = grown(borrowing(tmp_path, few_signals, connected=case != "unconnected"), update)
    assert stages(sim)[:4] == ["DORMANT", "GERMINATED", "CULLED", "EMBARGOED"]
    assert told(sim, "gate_failure")[0]["text"].startswith(reason)
    assert sim.actor("seeds").breakers["attach"].failures == 1
    figures = sim.figures()
    assert figures["trainer.epochs"] == 8
    assert figures["trainer.faults"] == 0
    assert sim.actor("trainer").fetching == sim.actor("trainer").arrived == {}


@pytest.mark.parametrize("case", ["another content", "announced alone", "late", "nobody asked"])
def test_the_trainer_judges_what_comes_itself(tmp_path: Path, few_signals: Resource, case: str) -> None:
    graph = borrowing(tmp_path, few_signals, connected=False)
    graph.connect("trainer.request", "@output.asked")
    sim = Simulation(graph, seed=3)
    held = sealed(kernel())
    if case == "nobody asked":
        sim.inject("trainer.kernel", held)
        sim.advance(until=200)
        assert sim.actor("trainer").arrived == {}
        return
    while not out(sim, "asked"):
        sim.advance(ticks=1)
    asked = out(sim, "asked")[0]
    assert asked.blueprint_id == NAME
    if case == "late":
        sim.advance(ticks=24)
    checksum = held.checksum if case != "another content" else "0" * 64
    sim.inject("trainer.ready", KernelArtifactReady(request_id=asked.request_id, checksum=checksum))
    if case != "announced alone":
        sim.inject("trainer.kernel", held)
    sim.advance(until=200)
    name = "kernel_corrupt" if case == "another content" else "kernel_late"
    assert told(sim, "gate_failure")[0]["text"].startswith(f"{name}: {NAME}")
    assert sim.figures()["trainer.epochs"] == 8


def test_a_seed_that_is_culled_while_its_kernel_is_fetched_gets_none(tmp_path: Path, few_signals: Resource) -> None:
    script = {"1": [GROW], "2": [["CULL", "block1"]]}
    graph = borrowing(tmp_path, few_signals, connected=False, script=script, trainer={"kernel_ticks": 60})
    sim = grown(graph, None)
    assert stages(sim)[:3] == ["DORMANT", "GERMINATED", "CULLED"]
    assert told(sim, "gate_failure")[0]["text"] == "commanded by policy"
    failed = KernelArtifactError(request_id="trainer/block1/0", reason="too late")
    sim.inject("trainer.failed", failed)
    sim.advance(ticks=3)
    assert sim.actor("trainer").troubles == {}


@pytest.mark.parametrize("tick", [5, 9, 10, 11, 12, 13, 21])
def test_a_run_that_is_stopped_while_a_kernel_is_on_its_way_goes_on_to_the_same_digest(
    tmp_path: Path, few_signals: Resource, tick: int
) -> None:
    update = stocked(tmp_path)
    sim = grown(borrowing(tmp_path, few_signals, trainer={"epochs": 5}), update, until=60)
    assert "TRAINING" in stages(sim)
    assert resumed_digest(sim, at=tick) == sim.digest


@pytest.mark.slow
def test_compiler_librarian_and_trainer_work_together(tmp_path: Path, few_signals: Resource) -> None:
    graph = borrowing(tmp_path, few_signals)
    graph.add("compiler", Compiler, library=str(tmp_path / "library.sqlite"), blueprints=("BP002",))
    graph.connect("trainer.site", "compiler.site")
    graph.connect("compiler.ready", "librarian.update")
    graph.actors[-3].parameters["script"] = '{"3": [["GERMINATE", "block2", "BP002", {"scale": 1.0}]]}'
    sim = grown(graph, None)
    assert sim.figures()["compiler.made"] == 1
    assert "TRAINING" in stages(sim, "block2")
    assert sim.actor("trainer").fetched == 1


# --------------------------------------------------------------------------------------- modes


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of torch
def test_compiled_seeds_change_nothing_at_alpha_zero_leak_nothing_and_have_the_same_bits_twice(
    tmp_path: Path, few_signals: Resource
) -> None:
    def trained(mode: str) -> Simulation:
        options = {"mode": mode, "epochs": 7, "isolation": "host_learns", "cache": str(tmp_path / "cache")}
        graph = planted(tmp_path, few_signals, script={"1": [GROW]}, trainer=options, seeds={"blend": "multiply"})
        return Simulation(graph, seed=3)

    sim, eager = trained("compiled"), trained("eager")
    slot = None
    while slot is None or slot.stage is not Stage.TRAINING:
        sim.advance(ticks=1)
        slot = sim.actor("trainer").training.network.slot("block1")
    x = torch.linspace(-1, 1, 40).reshape(5, 8)
    assert torch.equal(slot.branch(x), x)
    while slot.stage is Stage.TRAINING:
        sim.advance(ticks=1)
        assert torch.equal(slot(x), x)
    eager.advance(until=sim.tick)
    hosts = [weights(each.actor("trainer").training.network.host) for each in (sim, eager)]
    assert same(*hosts)
    sim.advance(until=400)
    assert slot.code is not None
    assert stages(sim)[-1] == "FOSSILIZED"
    assert told(sim, "parameter.violation") == []
    assert sim.digest == trained("compiled").advance(until=400).digest


def test_compiled_without_a_compiler_is_refused_at_setup() -> None:
    code = (
        "from neuraxis_morphogenesis.blueprints.errors import CompilerMissing\n"
        "from neuraxis_morphogenesis.blueprints.with_torch.load import require_compiler\n"
        "try:\n    require_compiler()\nexcept CompilerMissing as error:\n    print(error)\n"
    )
    environment = {**os.environ, "CXX": "/nowhere/g++", "PATH": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith('[BLP104] mode = "compiled" cannot work here: No working C++ compiler')
    assert done.stdout.strip().endswith('or use mode = "eager".')
