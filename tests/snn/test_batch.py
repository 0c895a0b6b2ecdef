"""Many copies of a network at once: each has the bits of the same network alone."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from neuraxis.errors import ExtraMissing
from neuraxis_snn import MODELS, PAIR_STDP, EngineMisuse, Model, Network, NetworkInvalid, Spikes
from neuraxis_snn.backends import with_cupy, with_torch
from neuraxis_snn.backends.batch import Batch
from neuraxis_snn.backends.reference import ReferenceBackend
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.backends.with_torch import TorchBackend
from neuraxis_snn.engine import Engine
from neuraxis_snn.errors import DeviceMissing, StateNotFinite
from neuraxis_snn.plasticity import REWARD_STDP
from neuraxis_snn.short_term import TSODYKS_MARKRAM
from neuraxis_snn.upkeep import Upkeep
from tests.snn.devices import limit_threads, needs_torch, require_cuda
from tests.snn.kernels import KernelBackend, needs_compiler

COPIES = 5
STEPS = 60


def _torch(device: str) -> TorchBackend:
    if device == "cuda":
        require_cuda()
    limit_threads()
    return TorchBackend(device=device)


@pytest.fixture(
    params=[
        "numpy",
        pytest.param("kernels", marks=[needs_compiler, pytest.mark.prove]),
        pytest.param("cpu", marks=needs_torch),
        pytest.param("cuda", marks=needs_torch),
    ],
    ids=["numpy", "cupy-on-the-processor", "torch", "torch-cuda"],
)
def backend(request: pytest.FixtureRequest) -> Any:
    own = {"numpy": NumpyBackend, "kernels": KernelBackend}
    return own[request.param]() if request.param in own else _torch(request.param)


def network(number: int = 0, *, size: int = 6) -> Network:
    """Everything at once: static synapses with delays, two rules, upkeep, short-term plasticity, drives, sources.

    Copies with another number differ in every kind of parameter, in rates, and in weights.
    """
    rng = np.random.default_rng(number)
    made = Network(dt="1 ms", precision="float64" if size == 6 else "float32")
    made.inputs("in", 8)
    made.population("source", 7, MODELS["poisson"])
    made.population(
        "layer", size, MODELS["lif_exp"], tau=f"{10 + number} ms", rest="-52 mV", refractory=f"{2 + number} ms"
    )
    made.connect("in", "layer", "exc", weights=rng.uniform(2, 9, (8, size)), delay=0, name="push")
    pre, post = np.nonzero(np.random.default_rng(9).random((7, size)) < 0.7)
    delays = 1 + pre % 4
    made.connect("source", "layer", "inh", weights=-rng.uniform(0, 3, len(pre)), pre=pre, post=post, delay=delays)
    made.connect(
        "in", "layer", "exc", weights=rng.uniform(0, 2, (8, size)), rule=PAIR_STDP, w_max=2.0 + number, name="a"
    )
    ends: dict[str, Any] = {"pre": pre, "post": post, "upkeep": Upkeep(window="25 ms", total=3.0), "rule": REWARD_STDP}
    made.connect("source", "layer", "exc", weights=0.5, name="b", tau_c=f"{300 + number} ms", **ends)
    weights = rng.uniform(0, 4, (size, size))
    made.connect("layer", "layer", "exc", weights=weights, short_term=TSODYKS_MARKRAM, use=0.3 + number / 20)
    made.drive("layer", "exc", rate=100.0 + 200 * number, weight=1.0 + number)
    return made


def prepare(engine: Engine, number: int) -> None:
    engine.key = (number, 0xDEADBEEF)
    engine.write("source", "chance", 2.0**24 * (0.05 + number / 50))
    engine.reward("b", 1.0 + number)


def volley(number: int) -> dict[str, Spikes]:
    rng = np.random.default_rng(100 + number)
    return {"in": Spikes.of(zip(rng.integers(0, STEPS, 90).tolist(), rng.integers(0, 8, 90).tolist(), strict=True))}


def state(engine: Engine) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in engine.capture()["arrays"].items()}


def pairs(found: dict[str, Spikes]) -> dict[str, Any]:
    return {name: each.pairs() for name, each in found.items()}


@pytest.mark.parametrize("differ", [False, True])
def test_every_copy_has_the_bits_of_the_network_alone(backend: Any, differ: bool) -> None:
    shared = network()
    networks = [network(number) if differ else shared for number in range(COPIES)]
    batch = backend.build_batch(networks)
    alone = [ReferenceBackend().build(each) for each in networks]
    for number in range(COPIES):
        prepare(batch[number], number)
        prepare(alone[number], number)
    for learning in (True, False, True):
        given = [volley(number) for number in range(COPIES)]
        found = batch.advance(STEPS, given, learning=learning)
        for number in range(COPIES):
            truth = alone[number].advance(STEPS, given[number], learning=learning)
            assert pairs(found[number]) == pairs(truth)
            assert len(truth["layer"]) > 10, "a network that never spikes proves nothing"
            assert state(batch[number]) == state(alone[number])
            assert batch[number].counters() == alone[number].counters()
    assert len({repr(sorted(state(each).items())) for each in batch}) == COPIES, "they are no copies of each other"


def test_what_a_copy_captures_goes_on_elsewhere_and_comes_back(backend: Any) -> None:
    made = network()
    batch, other = backend.build_batch([made] * 3), backend.build_batch([made] * 2)
    for number, engine in enumerate(batch):
        prepare(engine, number)
    batch.advance(STEPS, [volley(number) for number in range(3)])
    alone = ReferenceBackend().build(made)
    alone.restore(batch[2].capture())
    for engine, captured in zip(other, (batch[2], batch[0]), strict=True):
        engine.restore(captured.capture())
    truth = batch.advance(STEPS, [volley(number) for number in (7, 8, 9)])
    assert pairs(alone.advance(STEPS, volley(9))) == pairs(truth[2])
    assert [pairs(each) for each in other.advance(STEPS, [volley(9), volley(7)])] == [pairs(truth[2]), pairs(truth[0])]
    assert [state(each) for each in other] == [state(batch[2]), state(batch[0])]


def test_cutting_a_run_of_a_batch_changes_nothing(backend: Any) -> None:
    made = network()
    whole, parts = (backend.build_batch([made] * 2) for _ in range(2))
    for number in range(2):
        prepare(whole[number], number)
        prepare(parts[number], number)
    whole.advance(STEPS)
    for steps in (0, 1, 3, STEPS - 4):
        parts.advance(steps)
    assert [state(each) for each in whole] == [state(each) for each in parts]


def test_equations_may_be_constants(backend: Any) -> None:
    steady = Model(
        name="steady", parameters={}, states={"x": 0.0, "y": 1.0}, inputs=("push",), update="x = 2", threshold="x > 1"
    )
    texts = {"on_pre": "w = w_max", "on_post": "w = 0.25 + pre", "bump_pre": "pre = 2", "drift_post": "post = 3"}
    clear = structs.replace(PAIR_STDP, **texts)
    half = structs.replace(TSODYKS_MARKRAM, on_spike="efficacy = 0.5")
    made = Network(dt="1 ms")
    made.inputs("lines", 4)
    made.population("cells", 3, steady)
    made.connect("lines", "cells", "push", weights=0.5, rule=clear, short_term=half)
    given = {"lines": Spikes.of([(0, 0), (0, 3), (2, 1), (5, 3)])}
    engines = [each.build(made) for each in (ReferenceBackend(), backend)]
    found = [pairs(each.advance(9, given)) for each in engines]
    assert found[0] == found[1]
    assert state(engines[0]) == state(engines[1])


def test_a_batch_refuses_what_does_not_fit() -> None:
    made = network()
    batch = NumpyBackend().build_batch([made] * 3)
    with pytest.raises(EngineMisuse, match="Advance the batch"):
        batch[1].advance(1)
    with pytest.raises(EngineMisuse, match="3 copies and inputs for 2"):
        batch.advance(1, [{}, {}])
    with pytest.raises(EngineMisuse, match="lies outside"):
        batch.advance(1, [{}, {"in": Spikes.of([(1, 0)])}, {}])
    before = batch[0].capture()
    batch.advance(1)
    batch[0].restore(before)
    with pytest.raises(EngineMisuse, match="different steps"):
        batch.advance(1)
    with pytest.raises(NetworkInvalid, match="at least one"):
        NumpyBackend().build_batch([])
    with pytest.raises(NetworkInvalid, match="precision is not alike in copy 0 and copy 1"):
        NumpyBackend().build_batch([made, network(size=5)])
    other = network()
    other.connect("layer", "layer", "inh", weights=-1.0, name="more")
    with pytest.raises(NetworkInvalid, match="projection more is not alike"):
        NumpyBackend().build_batch([made, other])


def test_a_copy_that_runs_away_is_named() -> None:
    made = Network(dt="1 ms")
    made.population("source", 2, MODELS["poisson_rate"])
    batch = NumpyBackend().build_batch([made] * 3)
    for state in ("rate", "slope"):
        batch[1].write("source", state, 3e38)
    with pytest.raises(StateNotFinite) as found:
        batch.advance(1024)
    assert found.value.__notes__ == ["This is copy 1 of a batch."]


def test_a_batch_is_a_sequence_of_engines() -> None:
    batch = NumpyBackend().build_batch([network()] * 3)
    assert isinstance(batch, Batch)
    assert len(batch) == len(batch[:]) == 3
    assert all(isinstance(each, Engine) for each in batch)


# ---------------------------------------------------------------------------------- devices


def test_without_torch_the_backend_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_torch.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match="pip install 'neuraxis\\[torch\\]'"):
        TorchBackend()


@needs_torch
def test_a_device_that_is_not_there_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    with pytest.raises(DeviceMissing, match='Use "cpu" or "cuda"'):
        TorchBackend(device="abacus")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceMissing, match="built without CUDA"):
        TorchBackend(device="cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceMissing, match="there are 1 CUDA devices"):
        TorchBackend(device="cuda:1")


@needs_torch
def test_torch_computes_on_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seen = []
    monkeypatch.setattr(
        torch, "searchsorted", lambda *a, _real=torch.searchsorted, **k: seen.append(a) or _real(*a, **k)
    )
    TorchBackend().build(network()).advance(4)
    assert len(seen) == 4, "the drive draws once a step"
    assert all(isinstance(each, torch.Tensor) for each in seen[0])


def _pretend(monkeypatch: pytest.MonkeyPatch, cupy: Any) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(with_cupy.importlib.util, "find_spec", lambda _: True)


def test_without_cupy_or_its_device_the_backend_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(with_cupy.importlib.util, "find_spec", lambda _: None)
        with pytest.raises(ExtraMissing, match="pip install 'neuraxis\\[cuda\\]'"):
            with_cupy.CupyBackend()
    _pretend(monkeypatch, SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)))
    with pytest.raises(DeviceMissing, match=r"CuPy finds no CUDA device\. Install a driver"):
        with_cupy.CupyBackend()


def test_kernels_are_compiled_without_contraction_and_launched_for_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def module(*, code: str, options: tuple[str, ...]) -> Any:
        calls.append((code, options))
        return SimpleNamespace(get_function=lambda name: lambda *given: calls.append((name, *given)))

    _pretend(monkeypatch, SimpleNamespace(RawModule=module))
    with_cupy._launched("a program", "add_at")(1_000, "an array", 7)
    (code, options), (name, grid, block, given) = calls
    assert (code, name) == ("a program", "add_at")
    assert {"--fmad=false", "--ftz=false", "--prec-div=true"} <= set(options)
    assert grid[0] * block[0] >= 1_000
    assert [given[0], given[2]] == [1_000, 7]
    assert isinstance(given[0], np.int64)
    assert isinstance(given[2], np.int64)
