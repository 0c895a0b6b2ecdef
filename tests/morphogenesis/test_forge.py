"""The forge's child: kernels that load and run, and limits that hold whatever a blueprint does."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from neuraxis_morphogenesis.blueprints import compiler, forging
from neuraxis_morphogenesis.blueprints.catalogue import CATALOGUE, grant
from neuraxis_morphogenesis.blueprints.compiler import CompileBlueprint
from neuraxis_morphogenesis.blueprints.errors import ArtefactCorrupt, BlueprintRefused, ForgeFailed
from neuraxis_morphogenesis.blueprints.forging import GIB, Limits, Order, Report, carry_out, forged
from neuraxis_morphogenesis.blueprints.kernels import Sealed, kernel_name, sealed
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.blueprints.site import Site

torch = pytest.importorskip("torch")

from neuraxis_morphogenesis.blueprints.with_torch import build, load  # noqa: E402 - torch may be absent

SITE = Site("features", (16,))
ROOMY = Limits(memory_bytes=8 * GIB, cpu_s=600, wall_s=600.0, file_bytes=2**20)


def order(blueprint_id: str, *, provoke: bool = False, limits: Limits = ROOMY, quarantine: bool | None = None) -> Order:
    """Return an order for a kernel on `SITE`."""
    adversarial = CATALOGUE[blueprint_id].quarantine_only
    granted = grant(blueprint_id, SITE, approved=[blueprint_id], quarantine=adversarial)
    return Order(
        granted=granted,
        name=kernel_name(granted, 3),
        seed=3,
        mode="eager",
        cache="",
        quarantine=adversarial if quarantine is None else quarantine,
        provoke=provoke,
        limits=limits,
    )


def examined(blueprint_id: str, **limits: float) -> Report:
    """Return what became of an adversarial blueprint that was let learn under limits."""
    return carry_out(order(blueprint_id, provoke=True, limits=replace(ROOMY, **limits)))


@pytest.fixture(scope="module")
def made() -> Sealed:
    kernel, facts = forged(order("BP009"))
    assert float(facts["gradient"]) > 0
    return kernel


def test_kernel_of_the_forge_loads_as_fresh_instances_that_learn(made: Sealed, tmp_path: Path) -> None:
    library = Library(tmp_path / "library.sqlite")
    library.put(made)
    factory = load.Factory(library.fetch(made.name))
    one, two = factory.make(), factory.make()
    x = torch.rand(5, 16) - 0.5
    assert torch.equal(one(x), x)
    torch.optim.SGD(one.parameters(), lr=0.1).zero_grad()
    (one(x) - 1).square().mean().backward()
    torch.optim.SGD(one.parameters(), lr=0.1).step()
    assert not torch.equal(one(x), x)
    assert torch.equal(two(x), x)
    assert torch.equal(factory.make()(x), x)


def test_kernel_holds_an_id_and_tensors_and_no_code(made: Sealed) -> None:
    kernel = made.opened()
    assert int.from_bytes(kernel.weights[:8], "little") < len(kernel.weights)
    header = json.loads(kernel.weights[8 : 8 + int.from_bytes(kernel.weights[:8], "little")])
    assert {value["dtype"] for value in header.values()} == {"F32"}
    assert (kernel.blueprint_id, kernel.site) == ("BP009", SITE)


def test_kernel_with_tensors_of_another_shape_is_refused(made: Sealed) -> None:
    kernel = replace(made.opened(), site=Site("features", (17,)))
    with pytest.raises(ArtefactCorrupt, match="do not fit"):
        load.instance(kernel)
    with pytest.raises(ArtefactCorrupt, match="do not fit"):
        load.instance(replace(made.opened(), weights=b"\x80\x04pickle"))


def test_kernel_with_a_parameter_out_of_range_is_refused(made: Sealed) -> None:
    kernel = replace(made.opened(), parameters=(("depth", 9.0),))
    with pytest.raises(BlueprintRefused, match="from 1 to 4"):
        load.Factory(sealed(kernel)).make()


@pytest.mark.slow
def test_same_order_gives_the_same_bytes(made: Sealed) -> None:
    assert forged(order("BP009"))[0] == made


@pytest.mark.slow
def test_child_refuses_an_adversarial_blueprint_outside_of_the_quarantine() -> None:
    with pytest.raises(ForgeFailed, match="adversarial"):
        forged(order("BP045", quarantine=False))


@pytest.mark.slow
def test_adversarial_kernel_is_made_and_loaded_in_quarantine_and_fetched_nowhere_else(tmp_path: Path) -> None:
    request = CompileBlueprint(
        blueprint_id="BP045",
        parameters=(("frequency", 0.05),),
        site=SITE,
        seed=0,
        mode="eager",
        library=str(tmp_path / "library.sqlite"),
        cache="",
    )
    update = request.perform("key")
    with pytest.raises(BlueprintRefused, match="adversarial"):
        Library(request.library).fetch(update.artifact_ref)
    found = Library(request.library).fetch(update.artifact_ref, quarantine=True)
    with pytest.raises(BlueprintRefused, match="adversarial"):
        load.Factory(found).make()
    assert request.perform("key") == update


@pytest.mark.slow
def test_what_becomes_no_number_is_told() -> None:
    report = examined("BP045")
    assert report.ending == "finished"
    assert report.facts["finite"] == 0.0


@pytest.mark.slow
def test_leak_ends_at_the_limit_of_memory() -> None:
    report = examined("BP047", memory_bytes=4 * GIB)
    assert (report.ending, report.phases[-2:]) == ("memory", ("trained", "out of memory"))


@pytest.mark.slow
def test_endless_loop_ends_at_the_limit_of_processor_time() -> None:
    report = examined("BP046", cpu_s=15)
    assert (report.ending, report.phases[-1]) == ("cpu", "trained")


@pytest.mark.slow
def test_deadlock_ends_at_the_limit_of_time() -> None:
    report = examined("BP048", wall_s=30.0)
    assert (report.ending, report.kernel) == ("time", None)


@pytest.mark.slow
def test_child_that_is_cut_off_while_it_speaks_is_told_as_crashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forging, "CHILD", "this")  # a module that prints what is no frame
    report = carry_out(order("BP009"))
    assert (report.ending, report.phases, report.kernel) == ("crashed", (), None)


def test_child_sees_no_secrets_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "x")
    monkeypatch.setattr(forging, "CHILD", "tests.morphogenesis.nosy")
    report = carry_out(order("BP009"))
    assert report.ending == "finished"
    assert "PATH" in report.facts
    assert "SECRET_OF_THE_PARENT" not in report.facts


SITES = {"features": SITE, "sequence": Site("sequence", (8, 4)), "map": Site("map", (4, 6, 6))}

SWEEP = """
import sys, json, torch
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.blueprints.with_torch.load import Factory, runnable
library, seen = Library(sys.argv[1]), []
for name in library.names():
    if name[:5] >= "BP043":
        continue
    module = Factory(library.fetch(name)).make()
    run = runnable(module, "compiled", sys.argv[2])
    x = torch.rand(4, *module.site.shape) - 0.5
    assert torch.equal(run(x), x), name
    parameters = list(module.parameters())
    if parameters:
        (run(x) - 1).square().mean().backward()
        assert any(each.grad is not None and each.grad.any() for each in parameters), name
    seen.append(name[:5])
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_one_process_compiles_more_kinds_of_modules_than_torch_expects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # all but the machine code
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    for number in (2, 3, 5, 8, 9, 10, 11, 12, 14, 21, 42):
        module = build(grant(f"BP{number:03}", SITE, approved=["BP042"]), seed=0)
        x = torch.rand(4, 16) - 0.5
        assert torch.equal(load.machine_code(module, str(tmp_path))(x), x)


@pytest.mark.prove
@pytest.mark.timeout(7_200)
def test_all_fifty_compile_save_verify_load_run_and_learn(tmp_path: Path) -> None:
    library, cache = str(tmp_path / "library.sqlite"), str(tmp_path / "cache")
    for entry in CATALOGUE.values():
        request = CompileBlueprint(
            blueprint_id=entry.blueprint_id,
            parameters=tuple(entry.defaults().items()),
            site=SITES[entry.layouts[-1]],
            seed=0,
            mode="compiled",
            library=library,
            cache=cache,
        )
        request.perform("sweep")
    assert len(Library(library).names()) == 50
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, library, cache], capture_output=True, text=True, timeout=3000, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [f"BP{number:03}" for number in range(1, 43)]


def test_compiler_takes_the_installed_torch() -> None:
    assert compiler.version("torch") == str(torch.__version__)
