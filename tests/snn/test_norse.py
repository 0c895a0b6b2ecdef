"""Norse's own neurons: in Norse's step function, and as a model on every other backend."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from neuraxis.errors import ExtraMissing
from neuraxis_snn import MODELS, PAIR_STDP, Network, NetworkInvalid, Spikes
from neuraxis_snn.backends import with_norse
from neuraxis_snn.engine import Engine
from neuraxis_snn.norse_model import LIF_NORSE
from neuraxis_snn.plugin import neuraxis_register_backends

STEPS = 100
ABSENT = any(importlib.util.find_spec(each) is None for each in ("torch", "norse"))
needs_norse = pytest.mark.skipif(ABSENT, reason="needs torch and norse: pip install --no-deps norse==1.1.0 nirtorch")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Norse and torch warn of their own use of Python while they are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def network(seed: int, **parameters: Any) -> Network:
    rng = np.random.default_rng(seed)
    made = Network(dt="1 ms")
    made.inputs("in", 15)
    made.population("a", 20, LIF_NORSE, **parameters)
    made.population("b", 9, LIF_NORSE, tau="7.3 ms", tau_syn="3.1 ms", leak=-0.11, threshold=0.41, reset=-0.3)
    made.connect("in", "a", "current", weights=rng.normal(0.3, 0.4, (15, 20)), delay=0)
    pre, post = np.nonzero(rng.random((20, 9)) < 0.5)
    delays = rng.integers(1, 6, len(pre))
    made.connect("a", "b", "current", weights=rng.normal(0.2, 0.5, len(pre)), pre=pre, post=post, delay=delays)
    made.connect("b", "a", "current", weights=rng.uniform(0, 0.1, (9, 20)), rule=PAIR_STDP, w_max=0.2)
    return made


def run(engine: Engine, seed: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    rng = np.random.default_rng(seed)
    given = Spikes.of(zip(rng.integers(0, STEPS, 300).tolist(), rng.integers(0, 15, 300).tolist(), strict=True))
    found = engine.advance(STEPS, {"in": given})
    states = {name: array.tobytes() for name, array in engine.capture()["arrays"].items()}
    return {name: each.pairs() for name, each in found.items()}, states


@needs_norse
@pytest.mark.parametrize("other", ["reference", "numpy", "numba", "torch"])
def test_every_backend_gives_the_bits_of_norse(other: str) -> None:
    backends = neuraxis_register_backends()
    for seed, parameters in enumerate([{}, {"tau": "3.7 ms", "tau_syn": "11 ms", "reset": -0.25, "leak": 0.2}]):
        truth = run(backends["norse"]().build(network(seed, **parameters)), seed)
        assert run(backends[other]().build(network(seed, **parameters)), seed) == truth
        assert all(len(each) > 20 for each in truth[0].values())


@needs_norse
def test_it_is_norse_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    from norse.torch.functional import lif

    calls, step = [], lif.lif_feed_forward_step

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(named["dt"])
        return step(*arguments, **named)

    monkeypatch.setattr(lif, "lif_feed_forward_step", counted)
    run(neuraxis_register_backends()["norse"]().build(network(1)), 1)
    assert calls == [0.001] * STEPS * 2


@needs_norse
def test_a_state_of_norse_goes_on_elsewhere() -> None:
    backends = neuraxis_register_backends()
    first = backends["norse"]().build(network(1))
    run(first, 1)
    second = backends["numpy"]().build(network(1))
    second.restore(first.capture())
    assert run(first, 2) == run(second, 2)


@needs_norse
def test_norse_refuses_what_it_does_not_compute_and_says_what_does() -> None:
    backend = neuraxis_register_backends()["norse"]()
    other = Network(dt="1 ms")
    other.population("a", 1, MODELS["lif_exp"])
    with pytest.raises(NetworkInvalid, match="Use the backend numba or numpy"):
        backend.build(other)
    with pytest.raises(NetworkInvalid, match="float32"):
        backend.build(Network(dt="1 ms", precision="float64"))
    with pytest.raises(NetworkInvalid, match="it got a str"):
        backend.build("a network")


def test_without_norse_the_backend_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_norse.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match="--no-deps norse"):
        with_norse.NorseBackend()


def test_the_model_of_norse_has_the_same_bits_on_all_other_backends() -> None:
    backends = neuraxis_register_backends()
    found = [run(backends[name]().build(network(3)), 3) for name in ("reference", "numpy", "numba")]
    assert found[0] == found[1] == found[2]
    assert all(len(each) > 20 for each in found[0][0].values())
