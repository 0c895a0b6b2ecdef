"""NIR graphs: what they compute here, against an evaluator of its own and against the simulators of the NIR paper."""

from __future__ import annotations

import csv
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuraxis.seams.backend import Backend
from neuraxis_snn import Spikes
from neuraxis_snn.backends.with_numpy import NumpyBackend
from neuraxis_snn.nir_graphs import NirUnusable, read_nir
from tests.snn.data import reference
from tests.snn.nir_graphs import MS, chain, cuba, full, graph_of, layered, lif, nir, recurrent, run, states_of, volleys


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
