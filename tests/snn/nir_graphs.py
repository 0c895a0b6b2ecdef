"""NIR graphs for tests: nodes, graphs of every kind, spikes, and what networks of them computed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from neuraxis_snn import Spikes
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.nir_graphs import NirNetwork

# Tests take both from here, and are skipped where one is absent.
nir = pytest.importorskip("nir", reason="needs the extra nir: pip install 'neuraxis[nir]'")
h5py = pytest.importorskip("h5py", reason="needs the extra nir: pip install 'neuraxis[nir]'")

MS = 0.001


def full(size: int, value: float) -> np.ndarray:
    return np.full(size, value, np.float64)


def lif(size: int, **changes: Any) -> Any:
    values = {"tau": 4 * MS, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changes}
    return nir.LIF(**{name: np.broadcast_to(value, (size,)).astype(float) for name, value in values.items()})


def cuba(size: int, **changes: Any) -> Any:
    values = {"tau_syn": 2 * MS, "tau_mem": 4 * MS, "r": 2.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    values |= {"w_in": 1.0, **changes}
    return nir.CubaLIF(**{name: np.broadcast_to(value, (size,)).astype(float) for name, value in values.items()})


def graph_of(nodes: dict[str, Any], *edges: tuple[str, str]) -> Any:
    return nir.NIRGraph(nodes=nodes, edges=list(edges), type_check=False)


def chain(size: int, *nodes: Any, out: int | None = None) -> Any:
    """Return a graph in a row: input, nodes, output."""
    named = {f"n{number}": node for number, node in enumerate(nodes)}
    names = ["input", *named, "output"]
    last = size if out is None else out
    ends = {"input": nir.Input({"input": np.array([size])}), "output": nir.Output({"output": np.array([last])})}
    return graph_of({**ends, **named}, *pairwise(names))


def volleys(lines: int, steps: int, count: int, seed: int) -> Spikes:
    rng = np.random.default_rng(seed)
    return Spikes.of(zip(rng.integers(0, steps, count).tolist(), rng.integers(0, lines, count).tolist(), strict=True))


def run(made: NirNetwork, spikes: Spikes, steps: int, place: str = "input") -> tuple[dict[str, Any], dict[str, bytes]]:
    engine = made.build(NumpyBackend())
    found = engine.advance(steps, {place: spikes})
    return {name: each.pairs() for name, each in found.items()}, states_of(engine)


def states_of(engine: Any) -> dict[str, bytes]:
    names = [
        f"{each.name}.{state}"
        for each in engine.network.populations.values()
        if each.model is not None
        for state in each.model.states
    ]
    return {name: engine.arrays[name].tobytes() for name in names}


def recurrent(delay: float | None) -> Any:
    nodes = chain(2, nir.Linear(np.array([[2.0, 0.5], [0.25, 2.0]])), lif(2)).nodes
    back: dict[str, Any] = {"back": nir.Linear(np.array([[0.0, 1.5], [-1.0, 0.0]]))}
    edges = [("input", "n0"), ("n0", "n1"), ("n1", "output"), ("back", "n1")]
    if delay is None:
        return graph_of({**nodes, **back}, *edges, ("n1", "back"))
    back["delay"] = nir.Delay(full(2, delay))
    return graph_of({**nodes, **back}, *edges, ("n1", "delay"), ("delay", "back"))


WEIGHTS = st.integers(-32, 64).map(lambda each: each / 32)
TAUS = st.sampled_from([1 * MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS])
"""Times for which dt/tau is a power of two: the evaluator then rounds like the engine."""


def matrices(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(WEIGHTS, min_size=rows * columns, max_size=rows * columns).map(
        lambda each: np.array(each).reshape(rows, columns)
    )


def arrays(size: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return st.lists(values, min_size=size, max_size=size).map(np.array)


@st.composite
def neurons(draw: st.DrawFn, size: int) -> Any:
    ends = {
        "v_threshold": draw(arrays(size, st.sampled_from([0.25, 0.5, 1.0]))),
        "v_reset": draw(arrays(size, st.sampled_from([0.0, -0.5, 0.125]))),
    }
    kind = draw(st.sampled_from(["LIF", "CubaLIF", "IF"]))
    if kind == "IF":
        return nir.IF(r=draw(arrays(size, st.sampled_from([1000.0, 500.0]))), **ends)
    shared = {"r": full(size, draw(st.sampled_from([1.0, 2.0]))), "v_leak": full(size, draw(WEIGHTS) / 2), **ends}
    tau = draw(arrays(size, TAUS))
    if kind == "LIF":
        return nir.LIF(tau=tau, **shared)
    return nir.CubaLIF(tau_mem=tau, tau_syn=draw(arrays(size, TAUS)), w_in=draw(arrays(size, WEIGHTS)), **shared)


@st.composite
def joints(draw: st.DrawFn, before: int, after: int) -> list[Any]:
    found: list[Any] = []
    if draw(st.booleans()):
        found.append(nir.Delay(draw(arrays(before, st.integers(0, 4).map(lambda each: each * MS)))))
    if draw(st.booleans()):
        found.append(nir.Linear(draw(matrices(after, before))))
    else:
        found.append(nir.Affine(draw(matrices(after, before)), draw(arrays(after, WEIGHTS))))
    if draw(st.booleans()):
        found.append(nir.Scale(draw(arrays(after, WEIGHTS))))
    return found


@st.composite
def layered(draw: st.DrawFn) -> Any:
    """Return a graph of up to four layers, in which every layer may hear of all before it."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array([sizes[0]])})}
    edges = []
    layers = ["input"]
    for number, size in enumerate(sizes[1:]):
        name = f"layer{number}"
        nodes[name] = draw(neurons(size))
        sources = [draw(st.sampled_from(layers)) for _ in range(draw(st.integers(0, 2)))]
        for source in dict.fromkeys([layers[-1], *sources]):
            last = source
            for position, node in enumerate(draw(joints(sizes[layers.index(source)], size))):
                here = f"{source}-{name}-{position}"
                nodes[here] = node
                edges.append((last, here))
                last = here
            edges.append((last, name))
        layers.append(name)
    nodes["output"] = nir.Output({"output": np.array([sizes[-1]])})
    return graph_of(nodes, *edges, (layers[-1], "output"))
