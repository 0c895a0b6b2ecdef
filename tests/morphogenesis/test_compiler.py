"""The compiler and the librarian: at least once, in any order of failures, and never for whom it is forbidden."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from neuraxis import Simulation
from neuraxis.launch import resume_graph
from neuraxis.testing.checks import resumed_digest
from neuraxis_morphogenesis.blueprints import compiler
from neuraxis_morphogenesis.blueprints.errors import ForgeFailed
from neuraxis_morphogenesis.blueprints.forging import Order
from neuraxis_morphogenesis.blueprints.kernels import Sealed, kernel_name, sealed
from neuraxis_morphogenesis.blueprints.librarian import Librarian
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.contracts import KernelArtifactError, KernelPrefetchRequest
from tests.morphogenesis.compiling import BLUEPRINTS, TICKS, graph
from tests.morphogenesis.test_library import kernel

pytest.importorskip("torch")


class Forge:
    """Makes kernels at once, without torch; fails as often as it is told to."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.calls: list[str] = []

    def __call__(self, order: Order) -> tuple[Sealed, dict[str, float | str]]:
        blueprint_id = order.granted.blueprint_id
        self.calls.append(blueprint_id)
        if self.failures.get(blueprint_id, 0) >= self.calls.count(blueprint_id):
            raise ForgeFailed(artefact=order.name, ending="crashed", phase="built", reason="told to")
        made = sealed(kernel(blueprint_id, seed=order.seed))
        assert made.name == kernel_name(order.granted, order.seed)
        return made, {"export_ms": 1.0}


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Forge:
    made = Forge()
    monkeypatch.setattr(compiler, "forged", made)
    monkeypatch.setattr(compiler, "version", lambda _: "2")  # what the kernels of this forge say
    return made


def told(sim: Simulation, port: str) -> list[Any]:
    """Return what went out at a port."""
    return [each.value for each in sim.outputs if each.port == port]


def run(path: Path, **parameters: Any) -> Simulation:
    """Return a run that compiled on the site `features 8`."""
    return Simulation(graph(path / "library.sqlite", **parameters)).advance(ticks=TICKS)


def test_everything_that_fits_is_made_once(forge: Forge, tmp_path: Path) -> None:
    with run(tmp_path, approved=("BP036",), jobs=4) as sim:
        made = [each.blueprint_id for each in told(sim, "ready")]
        assert made == sorted(made)
        assert len(made) == 36
        assert sorted(forge.calls) == made
        assert Library(tmp_path / "library.sqlite").names()[0].startswith("BP001")


def test_what_is_in_the_library_is_not_made_again_and_the_run_is_the_same(forge: Forge, tmp_path: Path) -> None:
    with run(tmp_path, blueprints=("BP002", "BP009")) as sim:
        digest = sim.digest
    with run(tmp_path, blueprints=("BP002", "BP009")) as sim:
        assert sim.digest == digest
    assert forge.calls == ["BP002", "BP009"]


def test_run_does_not_depend_on_where_the_library_lies(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with run(Path(), blueprints=("BP002",)) as sim:
            request(sim, "BP002")
            digests.append(sim.digest)
    assert digests[0] == digests[1]
    assert forge.calls == ["BP002", "BP002"]


def test_bad_blueprint_is_tried_again_after_a_pause_and_stops_nobody(forge: Forge, tmp_path: Path) -> None:
    forge.failures = {"BP003": 99, "BP005": 1}
    with run(tmp_path, blueprints=("BP002", "BP003", "BP005", "BP009"), retries=2) as sim:
        assert [each.blueprint_id for each in told(sim, "ready")] == ["BP002", "BP009", "BP005"]
        (error,) = told(sim, "failed")
        assert error.blueprint_id == "BP003"
        assert "told to" in error.reason
        assert forge.calls.count("BP003") == 3
        assert sim.figures()["compiler.retried"] == 3
        assert sim.figures()["compiler.open"] == 0


def test_forbidden_blueprints_are_given_up_by_name(forge: Forge, tmp_path: Path) -> None:
    with run(tmp_path, blueprints=("BP036", "BP045", "BP077", "BP002")) as sim:
        reasons = {each.blueprint_id: each.reason for each in told(sim, "failed")}
        assert "was not approved" in reasons["BP036"]
        assert "adversarial" in reasons["BP045"]
        assert "no blueprint" in reasons["BP077"]
        assert [each.blueprint_id for each in told(sim, "ready")] == ["BP002"]
        assert forge.calls == ["BP002"]


def test_damaged_kernel_is_made_again(forge: Forge, tmp_path: Path) -> None:
    with run(tmp_path, blueprints=("BP002",)):
        pass
    with closing(sqlite3.connect(tmp_path / "library.sqlite")) as file, file:
        file.execute("UPDATE kernels SET data = x'00'")
    with run(tmp_path, blueprints=("BP002",)) as sim:
        assert [each.blueprint_id for each in told(sim, "ready")] == ["BP002"]
    assert forge.calls == ["BP002", "BP002"]


def test_compiling_resumes_at_any_tick(forge: Forge, tmp_path: Path) -> None:
    forge.failures = {"BP003": 1}
    with run(tmp_path, blueprints=("BP002", "BP003", "BP005")) as sim:
        calls = len(forge.calls)
        assert {resumed_digest(sim, at=at) for at in (1, 3, 6, 9)} == {sim.digest}
        assert len(forge.calls) == calls


# ------------------------------------------------------------------------------- librarian


def request(sim: Simulation, blueprint_id: str, name: str = "r") -> None:
    sim.inject("librarian.request", KernelPrefetchRequest(request_id=name, blueprint_id=blueprint_id))
    sim.advance(ticks=5)


def test_librarian_fetches_once_and_then_has_it_at_hand(forge: Forge, tmp_path: Path) -> None:
    with run(tmp_path, blueprints=("BP002",)) as sim:
        request(sim, "BP002", "first")
        request(sim, "BP002", "second")
        assert [each.request_id for each in told(sim, "librarian_ready")] == ["first", "second"]
        assert [each.opened().blueprint_id for each in told(sim, "librarian_kernel")] == ["BP002", "BP002"]
        assert sim.figures()["librarian.misses"] == sim.figures()["librarian.hits"] == 1


def test_librarian_keeps_only_so_many_at_hand(forge: Forge, tmp_path: Path) -> None:
    compiling = graph(tmp_path / "library.sqlite", blueprints=("BP002", "BP003"))
    compiling.add("small", Librarian, library=str(tmp_path / "library.sqlite"), at_hand_max=1)
    compiling.connect("compiler.ready", "small.update")
    with Simulation(compiling).advance(ticks=TICKS) as sim:
        for blueprint_id in ("BP002", "BP003", "BP002"):
            sim.inject("small.request", KernelPrefetchRequest(request_id="r", blueprint_id=blueprint_id))
            sim.advance(ticks=5)
        assert (sim.figures()["small.misses"], sim.figures()["small.hits"]) == (3, 0)


def test_librarian_names_what_it_cannot_bring(forge: Forge, tmp_path: Path) -> None:
    with run(tmp_path, blueprints=("BP002", "BP003")) as sim:
        request(sim, "BP009")
        Library(tmp_path / "library.sqlite").delete(kernel("BP003").name)
        request(sim, "BP003")
        errors = told(sim, "librarian_failed")
        assert [type(each) for each in errors] == [KernelArtifactError] * 2
        assert "no kernel of BP009" in errors[0].reason
        assert "ArtefactMissing" in errors[1].reason
        assert told(sim, "librarian_kernel") == []


# ---------------------------------------------------------------------------- the real forge


@pytest.mark.slow
def test_compiling_that_is_killed_goes_on_to_the_same_library(tmp_path: Path) -> None:
    library = Library(tmp_path / "library.sqlite")
    victim = subprocess.Popen([sys.executable, "-m", "tests.morphogenesis.compiling", str(tmp_path)])
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (library.path.exists() and library.names()):
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert [name[:5] for name in library.names()] == ["BP002"]
    first = library.fetch(library.names()[0])
    compiling = graph(library.path, blueprints=BLUEPRINTS)
    resumed = resume_graph(tmp_path / "run", compiling).simulation
    assert resumed is not None
    with resumed as sim:
        sim.advance(until=TICKS)
        assert [each.blueprint_id for each in told(sim, "ready")] == list(BLUEPRINTS)
        digest = sim.digest
    assert library.fetch(library.names()[0]) == first
    with Simulation(compiling).advance(ticks=TICKS) as sim:
        assert sim.digest == digest
