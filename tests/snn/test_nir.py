"""NIR graphs: what they compute here, against an evaluator of its own and against the simulators of the NIR paper."""

from __future__ import annotations

import csv
import hashlib
import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

nir = pytest.importorskip("nir", reason="needs the extra nir: pip install 'neuraxis[nir]'")
h5py = pytest.importorskip("h5py", reason="needs the extra nir: pip install 'neuraxis[nir]'")

from neuraxis import Graph, Resource, Simulation  # noqa: E402
from neuraxis.errors import ExtraMissing, ScenarioInvalid  # noqa: E402
from neuraxis.seams.backend import Backend  # noqa: E402
from neuraxis_snn import MODELS, PAIR_STDP, Network, NetworkInvalid, Spikes  # noqa: E402
from neuraxis_snn.backends.with_numpy import NumpyBackend  # noqa: E402
from neuraxis_snn.nir_graphs import NirNetwork, NirUnusable, nir_graph, read_nir, write_nir  # noqa: E402
from neuraxis_snn.nir_graphs import errors as doors  # noqa: E402
from neuraxis_snn.nir_graphs.actor import NirNeurons  # noqa: E402
from neuraxis_snn.nir_graphs.linear import SYNAPSES_MAX  # noqa: E402
from neuraxis_snn.plugin import neuraxis_register_backends  # noqa: E402
from tests.snn.data import reference  # noqa: E402

MS = 0.001


@pytest.fixture(params=("reference", "numpy", "numba"))
def backend(request: pytest.FixtureRequest) -> Backend:
    return neuraxis_register_backends()[request.param]()


# ---------------------------------------------------------------------------------- graphs


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


class Evaluator:
    """Computes a graph as NIR's definitions say, all layers in one step, forward Euler in float64, dt = 1 ms."""

    def __init__(self, graph: Any) -> None:
        self.nodes, self.edges = graph.nodes, graph.edges
        self.v = {
            name: getattr(node, "v_leak", 0 * getattr(node, "r", np.zeros(1))) for name, node in self.nodes.items()
        }
        self.i = {name: np.zeros_like(node.r) for name, node in self.nodes.items() if hasattr(node, "r")}
        self.past: dict[str, list[np.ndarray]] = {name: [] for name in self.nodes}
        self.spikes: dict[str, list[tuple[int, int]]] = {name: [] for name in self.nodes}

    def step(self, step: int, line: np.ndarray) -> None:
        out: dict[str, np.ndarray] = {}
        while len(out) < len(self.nodes):
            for name, node in self.nodes.items():
                before = [source for source, target in self.edges if target == name]
                if name not in out and all(source in out for source in before):
                    given = line if isinstance(node, nir.Input) else sum(out[source] for source in before)
                    out[name] = self.through(name, node, given, step)

    def through(self, name: str, node: Any, x: np.ndarray, step: int) -> np.ndarray:
        if isinstance(node, nir.Affine | nir.Linear):
            y = node.weight @ x
            return y + node.bias if isinstance(node, nir.Affine) else y
        if isinstance(node, nir.Scale):
            return node.scale * x
        if isinstance(node, nir.Delay):
            self.past[name].append(x)
            steps = np.rint(node.delay / MS).astype(int)
            old = [step - each for each in steps]
            return np.array([self.past[name][t][k] if t >= 0 else 0.0 for k, t in enumerate(old)])
        if isinstance(node, nir.Input | nir.Output):
            return x
        if isinstance(node, nir.CubaLIF):
            self.i[name] = self.i[name] + (MS / node.tau_syn) * (node.w_in * x - self.i[name])
            self.v[name] = self.v[name] + (MS / node.tau_mem) * ((node.v_leak - self.v[name]) + node.r * self.i[name])
        elif isinstance(node, nir.LIF):
            self.v[name] = self.v[name] + (MS / node.tau) * ((node.v_leak - self.v[name]) + node.r * x)
        else:
            self.v[name] = self.v[name] + (MS * node.r) * x
        z = self.v[name] > node.v_threshold
        self.v[name] = np.where(z, node.v_reset, self.v[name])
        self.spikes[name] += [(step, int(k)) for k in np.flatnonzero(z)]
        return z.astype(float)

    def run(self, spikes: Spikes, steps: int, lines: int) -> dict[str, list[tuple[int, int]]]:
        for step in range(steps):
            line = np.zeros(lines)
            line[spikes.neurons[spikes.steps == step]] = 1
            self.step(step, line)
        return self.spikes


# --------------------------------------------------------------- the simulators of the paper

SIMULATORS = {
    # what divides its voltage, steps that it is late, largest difference of voltages found
    "norse": (1.0, 0, 4e-9),
    "snntorch": (25.0, 0, 4e-8),
    "nengo": (9.922825, 0, 6e-4),
    "lava_cpu_float": (1.0, 1, 5e-8),
    "lava_cpu_fixed": (15419.28, 1, 4e-3),
}


def table(simulator: str) -> np.ndarray:
    with reference(f"nir_lif/lif_{simulator}.csv").open() as file:
        return np.array([[float(cell) for cell in row] for row in csv.reader(file)])


def voltages(backend: Backend) -> tuple[list[int], np.ndarray]:
    """Return the steps of spikes, and the voltage of every step, of the graph that the paper publishes."""
    made = read_nir(reference("nir_lif/lif_norse.nir"), dt="0.1 ms")
    (population,) = (each.population for each in made.outputs.values())
    engine, spikes, trace = made.build(backend), [], []
    for step, amplitude in enumerate(table("norse")[:, 0]):
        volley = Spikes.of([(0, 0)] if amplitude else [])
        spikes += [step] * len(engine.advance(1, {"input": volley})[population])
        trace.append(float(engine.read(population, "v")[0]))
    return spikes, np.array(trace)


def test_the_file_of_the_nir_paper_spikes_exactly_at_the_published_steps(backend: Backend) -> None:
    spikes, _ = voltages(backend)
    assert spikes == [460, 510, 710, 760]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_voltages_are_those_of_the_simulators_of_the_paper(simulator: str) -> None:
    unit, late, limit = SIMULATORS[simulator]
    spikes, mine = voltages(NumpyBackend())
    theirs = table(simulator)
    assert [step - late for step in np.flatnonzero(theirs[:, 2])] == spikes
    others = theirs[late:, 1] / unit
    # a simulator that is late shows the voltage before the reset at its spike
    same = np.ones(len(others), bool) if not late else ~np.isin(np.arange(len(others)), [each - 1 for each in spikes])
    assert np.abs(others - mine[: len(others)])[same].max() < limit


# --------------------------------------------------------------------------- what it computes


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


@settings(deadline=None)
@given(graph=layered(), seed=st.integers(0, 1000))
@pytest.mark.compiled
def test_layers_spike_as_if_all_of_them_were_computed_in_one_step(graph: Any, seed: int) -> None:
    lines = int(graph.nodes["input"].input_type["input"][0])
    spikes, steps = volleys(lines, 30, 40, seed), 30
    made = read_nir(graph, dt="1 ms", precision="float64")
    truth = Evaluator(graph).run(spikes, steps, lines)
    lag = {each.name: int(each.numbers.get("lag", 0)) for each in made.network.populations.values()}
    engine = made.build(NumpyBackend())
    found = engine.advance(steps + max(lag.values()), {"input": spikes})
    for name, each in found.items():
        assert [(step - lag[name], k) for step, k in each.pairs() if step - lag[name] < steps] == truth[name], name
    assert made.outputs["output"].lag == lag[made.outputs["output"].population]


def test_a_layer_adds_one_step_of_lag_and_a_delay_takes_it_back() -> None:
    two = chain(1, lif(1), nir.Linear(np.eye(1)), lif(1))
    assert read_nir(two, dt="1 ms").outputs["output"].lag == 1
    slow = chain(1, lif(1), nir.Delay(full(1, MS)), nir.Linear(np.eye(1)), lif(1))
    assert read_nir(slow, dt="1 ms").outputs["output"].lag == 0


def recurrent(delay: float | None) -> Any:
    nodes = chain(2, nir.Linear(np.array([[2.0, 0.5], [0.25, 2.0]])), lif(2)).nodes
    back: dict[str, Any] = {"back": nir.Linear(np.array([[0.0, 1.5], [-1.0, 0.0]]))}
    edges = [("input", "n0"), ("n0", "n1"), ("n1", "output"), ("back", "n1")]
    if delay is None:
        return graph_of({**nodes, **back}, *edges, ("n1", "back"))
    back["delay"] = nir.Delay(full(2, delay))
    return graph_of({**nodes, **back}, *edges, ("n1", "delay"), ("delay", "back"))


def test_a_cycle_with_a_delay_of_one_step_feeds_back_one_step_later() -> None:
    spikes = volleys(2, 40, 30, 1)
    found, _ = run(read_nir(recurrent(MS), dt="1 ms"), spikes, 40)
    v, z, truth = np.zeros(2), np.zeros(2), []
    for step in range(40):
        line = np.zeros(2)
        line[spikes.neurons[spikes.steps == step]] = 1
        drive = np.array([[2.0, 0.5], [0.25, 2.0]]) @ line + np.array([[0.0, 1.5], [-1.0, 0.0]]) @ z
        v = v + 0.25 * (-v + 2 * drive)
        z = (v > 1).astype(float)
        v = np.where(z, 0, v)
        truth += [(step, int(k)) for k in np.flatnonzero(z)]
    assert found["n1"] == truth
    assert len(truth) > 5


def test_a_cycle_without_delay_is_refused_or_takes_one_step() -> None:
    with pytest.raises(NirUnusable, match=r"node 'n1' \(LIF\).*cycle.*one-step") as error:
        read_nir(recurrent(None), dt="1 ms")
    assert error.value.kind == "LIF"
    spikes = volleys(2, 40, 30, 1)
    late = read_nir(recurrent(None), dt="1 ms", cycles="one-step")
    assert run(late, spikes, 40) == run(read_nir(recurrent(MS), dt="1 ms"), spikes, 40)


def test_a_cycle_without_neurons_is_refused() -> None:
    nodes = chain(1, lif(1)).nodes
    loop = graph_of({**nodes, "a": nir.Scale(full(1, 1.0))}, ("input", "a"), ("a", "a"), ("a", "n0"), ("n0", "output"))
    with pytest.raises(NirUnusable, match="cycle without neurons"):
        read_nir(loop, dt="1 ms")


def test_parameters_that_differ_become_states_on_every_backend(backend: Backend) -> None:
    nodes = [nir.Linear(np.ones((3, 1)) * 0.75), lif(3, tau=[2 * MS, 4 * MS, 8 * MS], v_threshold=[0.5, 1.0, 0.25])]
    nodes += [nir.Affine(np.eye(3), np.array([0.0, 0.5, 0.625])), cuba(3, w_in=[1.0, 2.0, 3.0], v_leak=[0, 0.1, 0.2])]
    graph = chain(1, *nodes, out=3)
    made = read_nir(graph, dt="1 ms")
    assert set(made.states) == {("n1", "rate"), ("n1", "threshold"), ("n3", "weight"), ("n3", "leak"), ("n3", "v")} | {
        ("n3", "bias")
    }
    spikes = Spikes.of((step, 0) for step in range(0, 60, 2))
    engine = made.build(backend)
    found = engine.advance(60, {"input": spikes})
    truth, states = run(made, spikes, 60)
    assert {name: each.pairs() for name, each in found.items()} == truth
    assert states_of(engine) == states
    assert all(truth.values())


def test_integrators_that_never_spike_hold_their_value_for_reading() -> None:
    for node in (nir.LI(tau=full(1, 4 * MS), r=full(1, 2.0), v_leak=full(1, 0.5)), nir.I(r=full(1, 100.0))):
        made = read_nir(chain(1, nir.Linear(np.eye(1)), node), dt="1 ms")
        outlet = made.outputs["output"]
        assert not outlet.spikes
        engine = made.build(NumpyBackend())
        before = float(engine.read(outlet.population, "v")[0])
        engine.advance(1, {"input": Spikes.of([(0, 0)])})
        rise = 0.5 if isinstance(node, nir.LI) else 0.1
        assert engine.read(outlet.population, "v")[0] == np.float32(before + rise)
    cubali = nir.CubaLI(tau_syn=full(1, 2 * MS), tau_mem=full(1, 4 * MS), r=full(1, 1.0), v_leak=full(1, 0.0))
    engine = read_nir(chain(1, cubali), dt="1 ms").build(NumpyBackend())
    engine.advance(1, {"input": Spikes.of([(0, 0)])})
    assert (engine.read("n0", "i")[0], engine.read("n0", "v")[0]) == (0.5, 0.125)


def test_graphs_inside_graphs_are_taken_apart() -> None:
    inner = chain(2, nir.Linear(np.eye(2) * 3), lif(2))
    outer = chain(2, inner, nir.Linear(np.eye(2) * 3), lif(2))
    made = read_nir(outer, dt="1 ms")
    flat = read_nir(chain(2, *[nir.Linear(np.eye(2) * 3), lif(2)] * 2), dt="1 ms")
    spikes = volleys(2, 40, 60, 1)
    found, truth = run(made, spikes, 40)[0], run(flat, spikes, 40)[0]
    assert (found["n0.n1"], found["n2"]) == (truth["n1"], truth["n3"])
    assert truth["n3"]


def test_rounding_of_weights_is_told() -> None:
    exact = read_nir(chain(1, nir.Linear(np.array([[0.5]])), lif(1)), dt="1 ms")
    assert exact.rounding() == {"input->n1": 0.0}
    coarse = read_nir(chain(2, nir.Linear(np.array([[1000.0, 1 / 3]])), lif(1), out=1), dt="1 ms")
    (error,) = coarse.rounding().values()
    assert 0 < error < 1000 * 2.0**-20


def test_a_float32_stands_for_its_shortest_decimal() -> None:
    wide, narrow = lif(1, tau=2.5 * MS), lif(1)
    for name in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        setattr(narrow, name, getattr(wide, name).astype(np.float32))
    numbers = [read_nir(chain(1, each), dt="0.1 ms").network.populations["n0"].numbers for each in (wide, narrow)]
    assert numbers[0] == numbers[1]
    assert numbers[0]["rate"] == np.float32(0.04)


def test_layers_spike_as_in_norse_which_reads_the_same_graph() -> None:
    pytest.importorskip("torch", reason="needs torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # norse and torch warn of their own use of Python while they are imported
        norse = pytest.importorskip("norse.torch", reason="needs norse: pip install --no-deps norse==1.1.0 nirtorch")
        import torch

        rng, steps = np.random.default_rng(1), 300
        first = nir.Affine(rng.integers(-8, 24, (30, 20)) / 16, np.zeros(30))
        second = nir.Affine(rng.integers(-8, 24, (10, 30)) / 16, rng.integers(0, 3, 10) / 16)
        layers = [lif(30, r=1.0, v_threshold=0.5), cuba(10, tau_mem=8 * MS, v_threshold=0.5)]
        graph = chain(20, first, layers[0], second, layers[1], out=10)
        module, state, truth = norse.from_nir(graph, ignore_warnings=True, dt=MS), None, []
        lines = (rng.random((steps, 20)) < 0.05).astype(np.float32)
        with torch.no_grad():
            for step in range(steps):
                given = [torch.from_numpy(lines[step])] + ([state] if state is not None else [])
                out, state = module(*given)
                truth += [(step, int(k)) for k in np.flatnonzero(out.numpy())]
    made = read_nir(graph, dt="1 ms")
    spikes = Spikes.of((int(step), int(line)) for step, line in zip(*np.nonzero(lines), strict=True))
    found = made.build(NumpyBackend()).advance(steps + 1, {"input": spikes})["n3"].pairs()
    assert [(step - 1, k) for step, k in found if step <= steps] == truth
    assert len(truth) > 500


# ------------------------------------------------------------------------------ convolutions


def slow_convolution(x: np.ndarray, node: Any, groups: int, padding: Any, bias: np.ndarray) -> np.ndarray:
    """Return a two-dimensional convolution, one product at a time."""
    weight, stride, dilation = node.weight, node.stride, node.dilation
    many, fewer, rows, columns = weight.shape
    if padding == "same":
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, (rows, columns), strict=True)]
        sizes = x.shape[1:]
    else:
        sizes = [
            (x.shape[1 + a] + 2 * padding[a] - dilation[a] * ((rows, columns)[a] - 1) - 1) // stride[a] + 1
            for a in (0, 1)
        ]
    y = np.zeros((many, *sizes))
    for (o, r, c), _ in np.ndenumerate(y):
        y[o, r, c] = bias[o]
        for i in range(fewer):
            for a in range(rows):
                for b in range(columns):
                    p, q = r * stride[0] - padding[0] + a * dilation[0], c * stride[1] - padding[1] + b * dilation[1]
                    if 0 <= p < x.shape[1] and 0 <= q < x.shape[2]:
                        y[o, r, c] += weight[o, i, a, b] * x[o // (many // groups) * fewer + i, p, q]
    return y


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"),
    [
        (1, (1, 1), (0, 0), (1, 1)),
        (2, (2, 1), (1, 2), (1, 2)),
        (1, (1, 1), "same", (1, 1)),
        (2, (1, 1), "same", (2, 1)),
    ],
)
def test_a_convolution_unrolls_to_what_it_computes(groups: int, stride: Any, padding: Any, dilation: Any) -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.integers(-3, 4, (4, 2 // groups, 3, 2)) / 4, rng.integers(-2, 3, 4) / 4
    node = nir.Conv2d((6, 5), weight, stride, padding, dilation, groups, bias)
    x = rng.integers(0, 2, (2, 6, 5)).astype(float)
    truth = slow_convolution(x, node, groups, padding, bias)
    li = nir.LI(tau=np.full(truth.shape, MS), r=np.ones(truth.shape), v_leak=np.zeros(truth.shape))
    ends = {"input": nir.Input({"input": np.array(x.shape)}), "output": nir.Output({"output": np.array(truth.shape)})}
    graph = graph_of({**ends, "conv": node, "li": li}, ("input", "conv"), ("conv", "li"), ("li", "output"))
    made = read_nir(graph, dt="1 ms")
    engine = made.build(NumpyBackend())
    engine.advance(1, {"input": Spikes.of((0, int(k)) for k in np.flatnonzero(x))})
    assert np.array_equal(engine.read("li", "v").reshape(truth.shape), truth)
    assert made.inputs == {"input": (2, 6, 5)}
    assert made.outputs["output"].shape == truth.shape


def test_a_line_is_convolved_and_images_are_pooled_and_flattened() -> None:
    line = nir.Conv1d(5, np.array([[[1.0, 2.0, 4.0]]]), 2, 1, 1, 1, np.array([0.5]))
    li = nir.LI(tau=np.full((1, 3), MS), r=np.ones((1, 3)), v_leak=np.zeros((1, 3)))
    ends = {"input": nir.Input({"input": np.array([1, 5])}), "output": nir.Output({"output": np.array([1, 3])})}
    graph = graph_of({**ends, "conv": line, "li": li}, ("input", "conv"), ("conv", "li"), ("li", "output"))
    engine = read_nir(graph, dt="1 ms").build(NumpyBackend())
    engine.advance(1, {"input": Spikes.of([(0, 0), (0, 1), (0, 3)])})
    assert engine.read("li", "v").tolist() == [6.5, 5.5, 1.5]  # windows (-, 1, 1), (1, 0, 1), (1, 0, -)

    for pool, factor in ((nir.SumPool2d, 1.0), (nir.AvgPool2d, 0.25)):
        node = pool(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
        li = nir.LI(tau=full(2, MS), r=full(2, 1.0), v_leak=full(2, 0.0))
        ends = {"input": nir.Input({"input": np.array([1, 2, 4])}), "output": nir.Output({"output": np.array([2])})}
        nodes = {**ends, "pool": node, "flat": nir.Flatten({"input": np.array([1, 1, 2])}, 0, -1), "li": li}
        names = ["input", "pool", "flat", "li", "output"]
        engine = read_nir(graph_of(nodes, *pairwise(names)), dt="1 ms").build(NumpyBackend())
        engine.advance(1, {"input": Spikes.of([(0, 0), (0, 4), (0, 5), (0, 7)])})
        assert engine.read("li", "v").tolist() == [3 * factor, factor]


# -------------------------------------------------------------------------------- round trips


def bits(made: NirNetwork | Network, spikes: Spikes, steps: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    given = made if isinstance(made, NirNetwork) else NirNetwork(made, {}, {}, {})
    return run(given, spikes, steps)


@settings(deadline=None, max_examples=40)
@given(graph=layered(), seed=st.integers(0, 1000), precision=st.sampled_from(["float32", "float64"]))
def test_a_graph_that_was_read_and_written_comes_back_with_the_same_bits(graph: Any, seed: int, precision: Any) -> None:
    first = read_nir(graph, dt="1 ms", precision=precision)
    second = read_nir(nir_graph(first), dt="1 ms", precision=precision)
    lines = int(graph.nodes["input"].input_type["input"][0])
    spikes = volleys(lines, 30, 40, seed)
    assert bits(first, spikes, 34) == bits(second, spikes, 34)
    assert first.outputs["output"].lag == second.outputs["output"].lag


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Return a network of `lif_nir`, with sparse synapses of any weight and delay."""
    dt = draw(st.sampled_from(["0.1 ms", "0.5 ms", "1 ms"]))
    network = Network(dt=dt, precision=draw(st.sampled_from(["float32", "float64"])))
    network.inputs("in", draw(st.integers(1, 4)))
    names = ["in"]
    for number in range(draw(st.integers(1, 3))):
        values = {
            "tau": f"{draw(st.integers(20, 400)) / 10} ms",
            "threshold": draw(st.floats(0.01, 1.0)),
            "resistance": draw(st.floats(0.5, 30.0)),
            "reset": draw(st.floats(-1.0, 0.0)),
        }
        network.population(f"p{number}", draw(st.integers(1, 4)), MODELS["lif_nir"], **values)
        names.append(f"p{number}")
    for number in range(draw(st.integers(1, 5))):
        source = "in" if number == 0 else draw(st.sampled_from(names))
        target = names[1] if number == 0 else draw(st.sampled_from(names[1:]))
        sizes = [network.populations[each].size for each in (source, target)]
        count = draw(st.integers(1, 8))
        pre, post = (draw(st.lists(st.integers(0, n - 1), min_size=count, max_size=count)) for n in sizes)
        delays = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
        weights = draw(st.lists(st.floats(-2.0, 4.0).map(lambda each: round(each, 12)), min_size=count, max_size=count))
        network.connect(
            source,
            target,
            "current",
            weights=np.array(weights),
            pre=np.array(pre),
            post=np.array(post),
            delay=np.array(delays),
            name=f"j{number}",
        )
    return network


@settings(deadline=None, max_examples=60)
@given(network=networks(), seed=st.integers(0, 1000))
@pytest.mark.compiled
def test_a_network_that_was_written_and_read_comes_back_with_the_same_bits(network: Network, seed: int) -> None:
    again = read_nir(nir_graph(network), dt=f"{network.dt} ms", precision=network.precision)
    spikes = volleys(network.populations["in"].size, 60, 80, seed)
    found = []
    for each in (NirNetwork(network, {}, {}, {}), again):
        found.append(run(each, spikes, 60, "in"))
    assert found[0] == found[1]


def test_a_file_is_written_alike_twice_and_read_again(tmp_path: Path, backend: Backend) -> None:
    made = read_nir(recurrent(MS), dt="1 ms")
    write_nir(made, tmp_path / "a.nir")
    write_nir(made, tmp_path / "b.nir")
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()
    again = read_nir(tmp_path / "a.nir", dt="1 ms")
    spikes = volleys(2, 40, 30, 1)
    found = [each.build(backend).advance(40, {"input": spikes})["n1"].pairs() for each in (made, again)]
    assert found[0] == found[1]
    assert found[0]
    assert nir.read(tmp_path / "a.nir").nodes["n1"].tau.tolist() == [0.004, 0.004], "other tools read it"


@pytest.mark.parametrize("model", ["lif_delta", "lif_exp"])
def test_exact_models_become_nodes_with_the_same_trajectory(model: str) -> None:
    network = Network(dt="0.1 ms", precision="float64")
    network.inputs("in", 5)
    values = {"rest": "-60 mV", "threshold": "-50 mV", "reset": "-62 mV", "refractory": "0 ms"}
    network.population("a", 6, MODELS[model], **values)
    network.population("b", 4, MODELS[model], **values)
    kind = MODELS[model].inputs[0]
    rng = np.random.default_rng(1)
    strength = 1.0 if model == "lif_delta" else 4.0
    network.connect("in", "a", kind, weights=rng.uniform(1, 4, (5, 6)) * strength, delay=0)
    pre, post = np.nonzero(rng.random((6, 4)) < 0.7)
    network.connect("a", "b", kind, weights=6.0 * strength, pre=pre, post=post, delay=2 * rng.integers(1, 5, len(pre)))
    again = read_nir(nir_graph(network), dt="0.1 ms", precision="float64")
    # lif_delta drops what arrives in the step of a spike: here a hears in even steps and spikes in odd ones
    spikes = Spikes.of((2 * step, line) for step, line in volleys(5, 1500, 1200, 2).pairs())
    first, second = NumpyBackend().build(network), again.build(NumpyBackend())
    found = [each.advance(3100, {"in": spikes}) for each in (first, second)]
    for name in ("a", "b"):
        assert found[0][name].pairs() == found[1][name].pairs()
        assert len(found[0][name]) > 20
        assert np.abs(first.read(name, "v") - second.read(name, "v")).max() < 1e-9


def test_a_network_without_counterpart_is_refused() -> None:
    def network(model: str = "lif_nir", **values: Any) -> Network:
        made = Network(dt="0.1 ms")
        made.inputs("in", 1)
        made.population("p", 1, MODELS[model], **values)
        return made

    exp = network("lif_exp", refractory="0 ms")
    exp.connect("in", "p", "exc", weights=1.0)
    exp.connect("in", "p", "inh", weights=-1.0, name="other")
    plastic = network()
    plastic.connect("in", "p", "current", weights=0.5, rule=PAIR_STDP)
    silent = Network(dt="1 ms")
    silent.population("p", 1, MODELS["lif_nir"], record=False)
    biased = read_nir(chain(1, nir.Affine(np.eye(1), full(1, 1.0)), lif(1)), dt="1 ms").network
    varying = read_nir(chain(2, lif(2, tau=[4 * MS, 8 * MS])), dt="1 ms").network
    driven = network()
    driven.drive("p", "current", rate="10 Hz", weight=1.0)
    slash = Network(dt="1 ms")
    slash.inputs("a/b", 1)
    cases = [
        (network("lif_conductance"), "no node for this model"),
        (network("lif_delta"), "no refractory time"),
        (exp, "one time constant"),
        (plastic, "no plasticity"),
        (silent, "records no population"),
        (biased, "constant current is not known"),
        (varying, "differs from neuron to neuron"),
        (driven, "no noise"),
        (slash, "cannot hold that name"),
    ]
    for made, complaint in cases:
        with pytest.raises(NirUnusable, match=complaint):
            nir_graph(made)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = read_nir(chain(1, lif(1)), dt="1 ms")
    with pytest.raises(NirUnusable, match="cannot be written"):
        write_nir(made, tmp_path / "nowhere" / "x.nir")


# ------------------------------------------------------------------------------ wrong graphs


def wrong_graphs() -> dict[str, tuple[Any, str]]:
    inputs, outputs = nir.Input({"input": np.array([1])}), nir.Output({"output": np.array([1])})
    li = nir.LI(tau=full(1, MS * 4), r=full(1, 1.0), v_leak=full(1, 0.0))
    conv = nir.Conv2d(None, np.ones((1, 1, 9, 9)), 1, 0, 1, 1, np.zeros(1))
    image = {"input": nir.Input({"input": np.array([1, 4, 4])}), "conv": conv, "n": lif(1), "output": outputs}
    bad_output = chain(1, lif(1))
    bad_output.nodes["output"] = nir.Output({"output": np.array([3])})
    one = {"input": inputs, "n": lif(1), "output": outputs}
    large = chain(1, lif(1))
    large.nodes["input"] = nir.Input({"input": np.array([2**20, 2**20])})
    return {
        "nothing": (graph_of({}), "no input"),
        "no neurons": (chain(1, nir.Scale(full(1, 2.0))), "no input, or no neurons"),
        "no output": (graph_of({"input": inputs, "n": lif(1)}, ("input", "n")), "no output"),
        "threshold": (chain(1, nir.Threshold(full(1, 1.0))), r"'n0' \(Threshold\): the engine has no such nodes"),
        "shape": (chain(2, nir.Linear(np.ones((1, 3))), lif(1), out=1), r"it takes \(3,\) and gets \(2,\)"),
        "neuron shape": (chain(2, lif(3), out=3), r"has the shape \(3,\) and gets \(2,\)"),
        "output shape": (bad_output, r"has the shape \(3,\) and gets \(1,\)"),
        "matrix": (chain(2, nir.Linear(np.ones((2, 1, 2))), lif(1)), "Use a matrix"),
        "bias": (chain(1, nir.Affine(np.ones((1, 1)), np.ones(3)), lif(1)), "its bias has the shape"),
        "scale": (chain(1, nir.Scale(np.ones(3)), lif(1)), "its scale has the shape"),
        "nan weight": (chain(1, nir.Linear(np.full((1, 1), np.nan)), lif(1)), "weight has a value that is not finite"),
        "tiny weight": (chain(1, nir.Linear(np.full((1, 1), 5e-324)), lif(1)), "too small"),
        "inf tau": (chain(1, lif(1, tau=np.inf)), "tau has a value that is not finite"),
        "zero tau": (chain(1, lif(1, tau=0.0)), "not above 0"),
        "short tau": (chain(1, lif(1, tau=0.4 * MS)), "diverges"),
        "nan threshold": (chain(1, lif(1, v_threshold=np.nan)), "v_threshold has a value that is not finite"),
        "odd delay": (chain(1, nir.Delay(full(1, 1.5 * MS)), lif(1)), r"1\.5000 steps"),
        "negative delay": (chain(1, nir.Delay(full(1, -MS)), lif(1)), "steps"),
        "long delay": (chain(1, nir.Delay(full(1, 1e6)), lif(1)), "must be kept"),
        "delayed bias": (
            chain(1, nir.Affine(np.eye(1), full(1, 1.0)), nir.Delay(full(1, MS)), lif(1)),
            "Put the bias behind",
        ),
        "value to neurons": (chain(1, li, lif(1)), "sends values, not spikes"),
        "sums to output": (chain(1, lif(1), nir.Scale(full(1, 2.0))), "sums of spikes"),
        "edge to nowhere": (graph_of({"input": inputs, "n": lif(1)}, ("input", "m")), "Did you mean|Known"),
        "edge twice": (graph_of({"input": inputs, "n": lif(1)}, ("input", "n"), ("input", "n")), "two edges"),
        "edge to input": (
            graph_of(one, ("input", "n"), ("n", "input"), ("n", "output")),
            "Remove the edge",
        ),
        "edge from output": (
            graph_of(one, ("input", "n"), ("output", "n"), ("n", "output")),
            "leads away",
        ),
        "lonely linear": (
            graph_of({**chain(1, lif(1)).nodes, "w": nir.Linear(np.eye(1))}, ("w", "n0"), ("n0", "output")),
            "nothing arrives",
        ),
        "large kernel": (graph_of(image, ("input", "conv"), ("conv", "n"), ("n", "output")), "larger than the image"),
        "large input": (large, f"at most {SYNAPSES_MAX:,}"),
        "no numbers": (chain(1, nir.Scale(np.array(["x"])), lif(1)), "Use numbers"),
        "flatten": (chain(1, nir.Flatten({"input": np.array([1])}, 0, 5), lif(1)), "Correct start_dim"),
    }


@pytest.mark.parametrize("name", wrong_graphs())
def test_a_wrong_graph_is_refused_with_node_reason_and_remedy(name: str) -> None:
    graph, complaint = wrong_graphs()[name]
    with pytest.raises(NirUnusable, match=complaint) as error:
        read_nir(graph, dt="1 ms")
    assert str(error.value).endswith((".", "?"))
    assert error.value.exit_code == 2


def test_a_step_that_is_none_and_an_object_that_is_no_graph_are_refused() -> None:
    with pytest.raises(NetworkInvalid, match="dt"):
        read_nir(chain(1, lif(1)), dt="0 ms")
    with pytest.raises(NirUnusable, match="it is a int"):
        read_nir(3, dt="1 ms")
    with pytest.raises(NirUnusable, match="Use refuse or one-step"):
        read_nir(chain(1, lif(1)), dt="1 ms", cycles="maybe")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ hostile files


def written(change: Callable[[Any], None] = lambda _: None, graph: Any = None) -> bytes:
    """Return a NIR file, after something was done to it."""
    content = io.BytesIO()
    nir.write(content, graph or chain(1, nir.Linear(np.eye(1)), lif(1)))
    with h5py.File(content, "r+") as file:
        change(file)
    return content.getvalue()


def replace(place: str, value: Any, **how: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[place]
        file.create_dataset(place, data=value, **how)

    return change


def huge(file: Any) -> None:
    del file["node/nodes/n0/weight"]
    file.create_dataset("node/nodes/n0/weight", shape=(2**40, 2**40), dtype="f8", chunks=(1024, 1024))


def soft_link(file: Any) -> None:
    file["node/nodes/again"] = h5py.SoftLink("/node/nodes/n0")


def external_link(file: Any) -> None:
    file["node/nodes/other"] = h5py.ExternalLink("/etc/passwd", "/")


def external_array(file: Any) -> None:
    del file["node/nodes/n0/weight"]
    file.create_dataset("node/nodes/n0/weight", shape=(1, 1), dtype="f8", external=[("/etc/hostname", 0, 8)])


def contains_itself(file: Any) -> None:
    file["node/nodes/n0/self"] = file["node/nodes"]


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no NIR graph, or damaged"),
    "text": (b"import os", "no NIR graph, or damaged"),
    "cut": (written()[: len(written()) // 2], "no NIR graph, or damaged"),
    "no version": (written(lambda file: file.__delitem__("version")), "no version"),
    "future version": (written(replace("version", "7.0.0")), "version '7.0.0'"),
    "odd version": (written(replace("version", 3)), "version '3'"),
    "no graph": (written(replace("node/type", "LIF")), "outermost node"),
    "unknown node": (written(replace("node/nodes/n1/type", "Izhikevich")), r"node 'n1' \(Izhikevich\)"),
    "no node": (written(replace("node/nodes/n1/type", "Any")), "no nodes of the type 'Any'"),
    "unknown attribute": (written(lambda file: file.create_dataset("node/nodes/n1/x", data=1)), "damaged"),
    "missing attribute": (written(lambda file: file.__delitem__("node/nodes/n1/tau")), "damaged"),
    "mismatched attribute": (written(replace("node/nodes/n1/tau", np.ones(4))), "damaged"),
    "text for numbers": (written(replace("node/nodes/n0/weight", "x")), "damaged"),
    "complex numbers": (written(replace("node/nodes/n0/weight", np.ones((1, 1), complex))), "Use numbers and texts"),
    "odd edges": (written(replace("node/edges", np.ones((2, 3)))), "damaged"),
    "huge": (written(huge), "more than 4,294,967,296 bytes"),
    "soft link": (written(soft_link), "is a link"),
    "external link": (written(external_link), "is a link"),
    "external array": (written(external_array), "lies in another file"),
    "contains itself": (written(contains_itself), "deeper than|more than"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    content, complaint = HOSTILE[name]
    (tmp_path / "x.nir").write_bytes(content)
    with pytest.raises(NirUnusable, match=complaint):
        read_nir(tmp_path / "x.nir", dt="1 ms")


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_file_with_wrong_bytes_gives_a_network_or_a_typed_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(GOOD)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("wrong") / "x.nir"
    path.write_bytes(content)
    with suppress(NirUnusable):  # anything else fails the test
        assert read_nir(path, dt="1 ms").inputs


GOOD = written()


def test_a_missing_file_and_a_missing_library_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NirUnusable, match="cannot be read"):
        read_nir(tmp_path / "none.nir", dt="1 ms")

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(doors.importlib, "import_module", absent)
    with pytest.raises(ExtraMissing, match=r"neuraxis\[nir\]"):
        read_nir(tmp_path / "none.nir", dt="1 ms")


# ---------------------------------------------------------------------------------- as actors

SCENARIO = """
neuraxis = 1

[scenario]
name = "from_nir"
tick = "5 ms"
until = "40 ms"
plugins = ["snn"]

[resources.graph]
path = "graph.nir"
sha256 = "{sha256}"

[actors.net]
kind = "snn.nir"
file = "graph"
dt = "1 ms"

[actors.raster]
kind = "snn.raster"
size = 2
dt = "1 ms"

[[channels]]
from = "net.spikes"
to = "raster.spikes"

[[inputs]]
at = "5 ms"
to = "net.spikes_in"
value = {{ steps = [0, 1, 3], neurons = [0, 1, 0] }}

[[inputs]]
at = "20 ms"
to = "net.spikes_in"
value = {{ steps = [0, 0, 2, 2], neurons = [0, 1, 0, 1] }}

[expect]
"net.came" = 7
"""


def test_a_scenario_runs_a_nir_file(tmp_path: Path) -> None:
    graph = chain(2, nir.Linear(np.array([[3.0, 0.0], [1.0, 2.5]])), lif(2), nir.Linear(np.eye(2) * 4), cuba(2))
    nir.write(tmp_path / "graph.nir", graph)
    sha256 = hashlib.sha256((tmp_path / "graph.nir").read_bytes()).hexdigest()
    (tmp_path / "scenario.toml").write_text(SCENARIO.format(sha256=sha256))
    with Simulation.from_scenario(tmp_path / "scenario.toml") as sim:
        figures = sim.advance(until="40 ms").figures()
    made = read_nir(graph, dt="1 ms")
    at = [(5, 0), (6, 1), (8, 0), (20, 0), (20, 1), (22, 0), (22, 1)]
    truth = made.build(NumpyBackend()).advance(40, {"input": Spikes.of(at)})["n3"]
    assert figures["net.spikes"] == len(truth) > 2
    assert figures["net.lag"] == 1


def test_an_actor_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    nir.write(tmp_path / "graph.nir", recurrent(MS))

    def graph() -> Graph:
        made = Graph("nir", tick="5 ms")
        made.add("net", NirNeurons, file=Resource(str(tmp_path / "graph.nir"), ""), dt="1 ms", backend=NumpyBackend())
        return made

    with Simulation(graph()) as sim:
        sim.inject("net.spikes_in", Spikes.of([(0, 0), (1, 1), (2, 0)]))
        sim.inject("net.spikes_in", Spikes.of([(3, 1)]))
        sim.advance(ticks=3)
        kept = sim.actor("net").capture()
        sim.advance(ticks=5)
        truth = sim.actor("net").capture()
    with Simulation(graph()) as sim:
        sim.actor("net").restore(kept)
        sim.advance(ticks=5)
        again = sim.actor("net").capture()
    assert again["engine"]["step"] == truth["engine"]["step"] == 40
    assert {name: each.tobytes() for name, each in again["engine"]["arrays"].items()} == {
        name: each.tobytes() for name, each in truth["engine"]["arrays"].items()
    }
    assert again["spiked"] == truth["spiked"] > 1


@pytest.mark.parametrize(
    ("graph", "changes", "complaint"),
    [
        (lambda: chain(1, lif(1)), {"entry": "nowhere"}, "no such entry"),
        (lambda: chain(1, nir.I(r=full(1, 1.0))), {}, "never spikes"),
        (lambda: recurrent(None), {}, "cycle"),
        (lambda: chain(1, nir.Threshold(full(1, 1.0))), {}, "no such nodes"),
    ],
)
def test_a_file_that_an_actor_cannot_use_is_a_mistake_of_the_graph(
    tmp_path: Path, graph: Callable[[], Any], changes: dict[str, Any], complaint: str
) -> None:
    nir.write(tmp_path / "graph.nir", graph())
    made = Graph("nir", tick="5 ms")
    resource = Resource(str(tmp_path / "graph.nir"), "")
    made.add("net", NirNeurons, file=resource, dt="1 ms", backend=NumpyBackend(), **changes)
    with pytest.raises(ScenarioInvalid, match=complaint):
        Simulation(made)


def test_a_graph_with_two_inputs_needs_to_be_told_which(tmp_path: Path) -> None:
    nodes = chain(1, lif(1)).nodes
    graph = graph_of(
        {**nodes, "other": nir.Input({"input": np.array([1])})}, ("input", "n0"), ("other", "n0"), ("n0", "output")
    )
    nir.write(tmp_path / "graph.nir", graph)
    resource = Resource(str(tmp_path / "graph.nir"), "")
    made = Graph("nir", tick="5 ms")
    made.add("net", NirNeurons, file=resource, dt="1 ms", backend=NumpyBackend())
    with pytest.raises(ScenarioInvalid, match="Write entry = one of"):
        Simulation(made)
    told = Graph("nir", tick="5 ms")
    told.add("net", NirNeurons, file=resource, dt="1 ms", backend=NumpyBackend(), entry="other")
    with Simulation(told) as sim:
        sim.inject("net.spikes_in", Spikes.of([(0, 0)]))
        assert sim.advance(ticks=2).figures()["net.came"] == 1
