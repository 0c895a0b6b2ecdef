"""From a NIR graph to a network.

NIR describes neurons in continuous time, and edges between them that take no time. Here:

* Neurons advance by forward Euler with the step `dt`, as in the NIR paper.
* Spikes between neurons take at least one step. So every population has a lag: it computes step t of the graph in
  step t + lag of the engine. Lags are as small as they can be, and delays of the graph are used up by them. A graph
  without cycles so gives exactly the spikes of a simulator that computes all its layers in one step, `lag` steps later.
* A cycle takes time: it needs a `Delay` of at least one step for each population in it.
* Chains of linear nodes become synapses. Weights are rounded once, to the grid of the engine's integer sums;
  `NirNetwork.rounding` says by how much.

Times and parameters are the shortest decimals that the file's floats stand for: a float32 of 0.0025 s is 2.5 ms.

Determinism: exact; the network depends on the graph, `dt` and the precision, and on nothing else.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import suggestion
from neuraxis_snn.network import Network
from neuraxis_snn.nir_graphs.errors import NirUnusable
from neuraxis_snn.nir_graphs.files import load
from neuraxis_snn.nir_graphs.linear import SYNAPSES_MAX, Map, Shape, Synapses, Unfit, size_of, together, unrolled, whole
from neuraxis_snn.nir_graphs.neurons import INPUT, KINDS, TIMES, constant, model_of
from neuraxis_snn.numbers import Precision, ratio, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from neuraxis.seams.backend import Backend
    from neuraxis_snn.engine import Engine

Cycles = Literal["refuse", "one-step"]

LINEAR: Final = {
    "Affine": ("weight", "bias"),
    "AvgPool2d": ("kernel_size", "stride", "padding"),
    "Conv1d": ("weight", "stride", "padding", "dilation", "groups", "bias"),
    "Conv2d": ("weight", "stride", "padding", "dilation", "groups", "bias"),
    "Delay": ("delay",),
    "Flatten": ("start_dim", "end_dim"),
    "Linear": ("weight",),
    "Scale": ("scale",),
    "SumPool2d": ("kernel_size", "stride", "padding"),
}
"""Types of linear nodes, and the attributes that are numbers."""

RING_BYTES_MAX: Final = 2**30
"""Bytes in which the spikes of one population may be kept for their delays."""


WEIGHT_MIN: Final = 1e-100
"""The smallest weight; below it, scales of sums leave the range of floats."""


@final
class Outlet(Struct, frozen=True):
    """What an output of the graph is.

    Attributes:
        population: Whose spikes leave there; where it never spikes (LI, CubaLI, I), its state `v` is the output.
        shape: Shape of the output; neurons are numbered row by row.
        lag: Steps by which the engine is behind the graph.
        spikes: Whether it spikes.
    """

    population: str
    shape: Shape
    lag: int
    spikes: bool


@final
class NirNetwork(Struct, frozen=True, eq=False):
    """A network that was read from a NIR graph.

    Attributes:
        network: It. Places where spikes come in have the names of the graph's inputs, populations those of its nodes.
        inputs: Shape of each input; lines are numbered row by row.
        outputs: What each output is.
        states: Parameters that differ from neuron to neuron: (population, state) to (size,) values.
    """

    network: Network
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Outlet]
    states: Mapping[tuple[str, str], np.ndarray]

    def build(self, backend: Backend) -> Engine:
        """Return an engine that has these states."""
        engine: Engine = backend.build(self.network)
        for (population, state), values in self.states.items():
            engine.write(population, state, values)
        return engine

    def rounding(self) -> dict[str, float]:
        """Return the largest difference between a weight of the graph and what the engine adds, by projection."""
        found = {}
        for each in self.network.projections.values():
            scale = self.network.scale(each.target, each.input)
            error = np.abs(np.rint(each.weights * scale) / scale - each.weights)
            found[each.name] = float(error.max()) if error.size else 0.0
        return found


def read_nir(
    source: Any, *, dt: str, precision: Precision = "float32", cycles: Cycles = "refuse", label: str = ""
) -> NirNetwork:
    """Read a NIR graph.

    Args:
        source: A `nir.NIRGraph`, or the path of a NIR file.
        dt: Length of a step. Graphs from tools that count time in steps (IF nodes with r = 1) mean `"1 s"`.
        precision: Of states and weights.
        cycles: What to do with cycles that have too little delay: refuse them, or let every edge between
            populations of a cycle take at least one step, as recurrent layers of Norse and snnTorch do.
        label: What errors call the graph; default the path.

    Returns:
        The network, its inputs and outputs. Make engines of it with its own `build`.

    Raises:
        NirUnusable: The file or graph is damaged, or holds what the engine cannot compute exactly.
        NetworkInvalid: `dt` or `precision` is none.
        ExtraMissing: A path was given, and `nir` is not installed.
    """
    graph = source
    if isinstance(source, str) or hasattr(source, "__fspath__"):
        graph, label = load(source), label or str(source)
    return _Reader(graph, label or "NIR graph", Network(dt=dt, precision=precision), cycles).network()


@final
class _Signal(Struct, frozen=True, eq=False):
    """What leaves a linear node, or arrives at a neuron.

    Attributes:
        shape: Its shape.
        parts: Synapses by the node that they come from.
        bias: (places,) constant part, or None.
    """

    shape: Shape
    parts: dict[str, Synapses]
    bias: np.ndarray | None


@final
class _Reader:
    """Reads one graph."""

    def __init__(self, graph: Any, label: str, network: Network, cycles: Cycles) -> None:
        self._label, self._network, self._cycles = label, network, cycles
        if type(graph).__name__ != "NIRGraph":
            self._refuse("", "", f"it is a {type(graph).__name__}", "Pass a nir.NIRGraph, or the path of a NIR file.")
        if cycles not in ("refuse", "one-step"):
            self._refuse("", "", f"cycles is {cycles!r}", "Use refuse or one-step.")
        self._nodes: dict[str, Any] = {}
        self._edges: list[tuple[str, str]] = []
        self._doors: list[str] = []
        self._inline(graph, "", 0)
        self._remove_doors()
        self._before: dict[str, list[str]] = {name: [] for name in self._nodes}
        for source, target in self._edges:
            if source in self._before[target]:
                self._refuse_node(target, f"two edges come from {source!r}", "Join them into one.")
            self._before[target].append(source)

    # ------------------------------------------------------------------------------- the graph

    def _inline(self, graph: Any, prefix: str, depth: int) -> None:
        """Take over nodes and edges; those of graphs inside get the name of the node and a point in front."""
        if depth > 16:
            self._refuse(prefix, "NIRGraph", "it lies deeper than 16 graphs", "Use fewer graphs inside graphs.")
        kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
        for name, node in graph.nodes.items():
            path, kind = prefix + name, kinds[name]
            if kind not in KINDS and kind not in LINEAR and kind not in ("Input", "Output", "NIRGraph"):
                remedy = f"Use {', '.join(sorted([*KINDS, *LINEAR]))}."
                self._refuse(path, kind, "the engine has no such nodes", remedy)
            if path in self._nodes:
                self._refuse(path, kind, "the name is taken", "Use another one.")
            if kind == "NIRGraph":
                self._inline(node, f"{path}.", depth + 1)
            else:
                self._nodes[path] = node
                if prefix and kind in ("Input", "Output"):
                    self._doors.append(path)
        for edge in graph.edges:
            source, target = (str(each) for each in edge)
            self._edges.append(
                (self._end(graph, kinds, prefix, source, "Output"), self._end(graph, kinds, prefix, target, "Input"))
            )

    def _end(self, graph: Any, kinds: dict[str, str], prefix: str, name: str, door: str) -> str:
        """Return the node at an end of an edge; of a graph inside, that is its one input or output."""
        if name not in kinds:
            self._refuse(prefix + name, "?", "an edge names it, and it is no node", suggestion(name, kinds))
        if kinds[name] != "NIRGraph":
            return prefix + name
        doors = [each for each, node in graph.nodes[name].nodes.items() if type(node).__name__ == door]
        if len(doors) != 1:
            reason = f"it has {len(doors)} nodes of the type {door}, and an edge leads to it"
            self._refuse(prefix + name, "NIRGraph", reason, f"Give it one {door}.")
        return f"{prefix}{name}.{doors[0]}"

    def _remove_doors(self) -> None:
        """Lead the edges of inputs and outputs of graphs inside past them: such doors only pass signals on."""
        for door in self._doors:
            before = [source for source, target in self._edges if target == door and source != door]
            after = [target for source, target in self._edges if source == door and target != door]
            rest = [edge for edge in self._edges if door not in edge]
            self._edges = [*rest, *((source, target) for target in after for source in before)]
            del self._nodes[door]

    # ---------------------------------------------------------------------------- the network

    def network(self) -> NirNetwork:
        """Return the network."""
        kinds = {name: type(node).__name__ for name, node in self._nodes.items()}
        inputs = {name: self._shape(name, "input_type", "input") for name, kind in kinds.items() if kind == "Input"}
        neurons = [name for name, kind in kinds.items() if kind in KINDS]
        for name in inputs:
            if self._before[name]:
                self._refuse_node(name, "an edge leads to it", "Remove the edge.")
        if not inputs or not neurons:
            self._refuse("", "", "it has no input, or no neurons", "Add a nir.Input and neurons such as nir.LIF.")
        signals = self._linear_signals(kinds, inputs)
        arriving = {name: self._arriving(name, kinds, signals, inputs) for name in neurons}
        lags = self._lags(arriving)
        for name, shape in inputs.items():
            self._network.inputs(name, size_of(shape))
        states: dict[tuple[str, str], np.ndarray] = {}
        for name in neurons:
            self._add_neurons(name, kinds[name], arriving[name], lags[name], states)
        for name in neurons:
            for source, synapses in arriving[name].parts.items():
                self._connect(source, name, synapses, lags[name] - lags.get(source, 0))
        outputs = {
            name: self._outlet(name, kinds, signals, arriving, lags) for name, kind in kinds.items() if kind == "Output"
        }
        if not outputs:
            self._refuse("", "", "it has no output", "Add a nir.Output.")
        return NirNetwork(self._network, inputs, outputs, states)

    def _linear_signals(self, kinds: dict[str, str], inputs: dict[str, Shape]) -> dict[str, _Signal]:
        """Return what leaves every linear node, computed from the inputs and neurons on."""
        waiting = {name: sum(kinds[each] in LINEAR for each in self._before[name]) for name in self._nodes}
        ready = [name for name in self._nodes if kinds[name] in LINEAR and not waiting[name]]
        after: dict[str, list[str]] = {name: [] for name in self._nodes}
        for source, target in self._edges:
            after[source].append(target)
        found: dict[str, _Signal] = {}
        while ready:
            name = ready.pop()
            found[name] = self._through(name, kinds[name], self._arriving(name, kinds, found, inputs))
            for target in after[name]:
                waiting[target] -= 1
                if kinds[target] in LINEAR and not waiting[target]:
                    ready.append(target)
        stuck = [name for name in self._nodes if kinds[name] in LINEAR and name not in found]
        if stuck:
            self._refuse_node(stuck[0], "it lies in a cycle without neurons", "Remove the cycle.")
        return found

    def _arriving(
        self, name: str, kinds: dict[str, str], signals: Mapping[str, _Signal], inputs: Mapping[str, Shape]
    ) -> _Signal:
        """Return the sum of what the edges bring."""
        every = []
        for source in self._before[name]:
            kind = kinds[source]
            if kind in KINDS and not KINDS[kind].spikes:
                remedy = "Lead it to an Output only, or use neurons that spike."
                self._refuse(source, kind, "it sends values, not spikes, to other nodes", remedy)
            if kind == "Output":
                self._refuse(source, kind, "an edge leads away from it", "Remove the edge.")
            if kind in KINDS or kind == "Input":
                shape = inputs[source] if kind == "Input" else self._neuron_shape(source)
                every.append(_Signal(shape, {source: Synapses.one_to_one(size_of(shape))}, None))
            else:
                every.append(signals[source])
        if not every:
            return _Signal(self._lonely_shape(name, kinds[name]), {}, None)
        shapes = [each.shape for each in every]
        if any(shape != shapes[0] for shape in shapes):
            self._refuse_node(name, f"edges bring the shapes {shapes}", "Correct the shapes.")
        parts: dict[str, Synapses] = {}
        for source in dict.fromkeys(part for each in every for part in each.parts):
            parts[source] = together([each.parts[source] for each in every if source in each.parts])
        biases = [each.bias for each in every if each.bias is not None]
        bias = None
        for each in biases:
            bias = each if bias is None else bias + each
        return _Signal(shapes[0], parts, bias)

    def _lonely_shape(self, name: str, kind: str) -> Shape:
        if kind not in KINDS:
            self._refuse_node(name, "nothing arrives at it", "Lead an edge to it, or remove it.")
        return self._neuron_shape(name)

    def _through(self, name: str, kind: str, given: _Signal) -> _Signal:
        """Return what leaves a linear node."""
        node = {each: self._numbers(name, each) for each in LINEAR[kind]}
        try:
            if kind == "Delay":
                return self._delayed(name, node["delay"], given)
            map = unrolled(kind, node, given.shape)
            parts = {source: each.through(map) for source, each in given.parts.items()}
        except Unfit as error:
            raise self._error(name, kind, error.reason, error.remedy) from None
        return _Signal(map.gives, parts, self._bias_through(map, given.bias))

    def _bias_through(self, map: Map, bias: np.ndarray | None) -> np.ndarray | None:
        if bias is None:
            return map.bias
        passed = map.of(bias)
        return passed if map.bias is None else np.add(passed, map.bias)

    def _delayed(self, name: str, delay: np.ndarray, given: _Signal) -> _Signal:
        if delay.shape not in ((), given.shape):
            raise Unfit(f"its delay has the shape {delay.shape} and it gets {given.shape}", "Correct the shapes.")
        if given.bias is not None and given.bias.any():
            raise Unfit("a constant current flows through it", "Put the bias behind the delay.")
        steps = np.broadcast_to(self._steps(name), given.shape).reshape(-1)
        return _Signal(given.shape, {source: each.later(steps) for source, each in given.parts.items()}, None)

    def _steps(self, name: str) -> np.ndarray:
        """Return the delays of a node in steps."""
        exact, which, shape = self._decimals(name, "delay")
        steps = []
        for each in exact:
            count = ratio(each * 1000, self._network.dt)
            if count != count.to_integral_value() or not 0 <= count < 2**31:
                reason = f"a delay of {each} s is {count:.6g} steps of {self._network.dt} ms"
                raise Unfit(reason, "Choose a step that divides all delays.")
            steps.append(int(count))
        found: np.ndarray = np.array(steps, np.int64)[which].reshape(shape)
        return found

    # -------------------------------------------------------------------------------- time

    def _lags(self, arriving: Mapping[str, _Signal]) -> dict[str, int]:
        """Return the least lags: edges between populations must take a step, once the lags are taken into account."""
        edges = [
            (source, target, int(synapses.delays.min()))
            for target, signal in arriving.items()
            for source, synapses in signal.parts.items()
            if source in arriving and len(synapses.delays)
        ]
        if self._cycles == "one-step":
            groups = _cycles(arriving, [(source, target) for source, target, _ in edges])
            for source, target, _ in edges:
                if groups[source] == groups[target]:
                    part = arriving[target].parts[source]
                    part = together([Synapses(part.pre, part.post, part.weights, np.maximum(part.delays, 1))])
                    arriving[target].parts[source] = part
            edges = [(a, b, max(d, 1) if groups[a] == groups[b] else d) for a, b, d in edges]
        lags = dict.fromkeys(arriving, 0)
        for _ in range(len(arriving) + 1):
            changed = ""
            for source, target, delay in edges:
                if lags[source] + 1 - delay > lags[target]:
                    lags[target], changed = lags[source] + 1 - delay, target
            if not changed:
                return lags
        reason = "it lies in a cycle whose delay has fewer steps than the cycle has populations"
        remedy = 'Put a nir.Delay into the cycle, or read it with cycles="one-step".'
        raise self._error(changed, type(self._nodes[changed]).__name__, reason, remedy)

    # ------------------------------------------------------------------------------- the parts

    def _add_neurons(
        self, name: str, kind: str, arriving: _Signal, lag: int, states: dict[tuple[str, str], np.ndarray]
    ) -> None:
        shape, precision, dt = self._neuron_shape(name), self._network.precision, self._network.dt
        if arriving.shape != shape:
            self._refuse_node(name, f"it has the shape {shape} and gets {arriving.shape}", "Correct the shapes.")
        form = KINDS[kind]
        numbers: dict[str, Any] = {}
        varying: list[str] = []
        for each, attribute in form.attributes.items():
            exact, which, _ = self._decimals(name, attribute)
            if each in TIMES:
                exact = [value * 1000 for value in exact]
                if min(exact) * 2 <= dt:
                    reason = f"with {attribute} = {min(exact)} ms, a step of {dt} ms diverges"
                    self._refuse_node(name, reason, "Use a shorter step.")
            if len(exact) == 1:
                numbers[each] = exact[0]
                continue
            varying.append(each)
            became = form.constants.get(each, each)
            made = [constant(each, value, dt) if each in form.constants else value for value in exact]
            states[name, became] = np.array([rounded(value, precision) for value in made])[which]
            states |= {(name, state): states[name, became] for state, start in form.states.items() if start == each}
        biased = arriving.bias is not None and bool(arriving.bias.any())
        if biased:
            states[name, "bias"] = np.asarray(arriving.bias).astype(self._network.kind)
        if lag:
            numbers["lag"] = Decimal(lag)
        model = model_of(kind, varying=tuple(varying), biased=biased, late=lag > 0)
        self._network.population(name, size_of(shape), model, **numbers)

    def _connect(self, source: str, target: str, synapses: Synapses, later: int) -> None:
        pre, post, weights, delays = synapses.pre, synapses.post, synapses.weights, synapses.delays + later
        if not len(pre):
            return
        if np.abs(weights).min() < WEIGHT_MIN:
            reason = f"a weight onto it is {weights[np.abs(weights).argmin()]:g}, too small for the grid of the sums"
            self._refuse_node(target, reason, f"Use 0, or at least {WEIGHT_MIN:g}.")
        sizes = tuple(self._network.populations[each].size for each in (source, target))
        longest = int(delays.max())
        if (longest + 1) * sizes[0] * 4 > RING_BYTES_MAX:
            reason = f"its spikes must be kept for {longest:,} steps, which takes more than {RING_BYTES_MAX:,} bytes"
            self._refuse_node(source, reason, "Use shorter delays, or a longer step.")
        is_matrix = (delays == longest).all() and synapses.distinct.all()
        if is_matrix and len(pre) * 2 >= sizes[0] * sizes[1]:
            dense = np.zeros(sizes)
            dense[pre, post] = weights
            self._network.connect(source, target, INPUT, weights=dense, delay=longest)
        else:
            self._network.connect(source, target, INPUT, weights=weights, pre=pre, post=post, delay=delays)

    def _outlet(
        self,
        name: str,
        kinds: dict[str, str],
        signals: Mapping[str, _Signal],
        arriving: Mapping[str, _Signal],
        lags: Mapping[str, int],
    ) -> Outlet:
        (source, *others) = self._before[name] or [""]
        shape = self._shape(name, "output_type", "output")
        if source in arriving and not others:
            population, given = source, self._neuron_shape(source)
        elif source in signals and not others:
            parts, given = signals[source].parts, signals[source].shape
            (population, *more) = parts
            bias = signals[source].bias
            if (
                more
                or population not in arriving
                or not parts[population].is_one_to_one(size_of(given))
                or (bias is not None)
            ):
                self._refuse_node(name, "it gets sums of spikes", "Let neurons such as nir.LIF or nir.LI lead to it.")
        else:
            self._refuse_node(name, "it does not come from one node of neurons", "Let one node of neurons lead to it.")
        if shape != given:
            self._refuse_node(name, f"it has the shape {shape} and gets {given}", "Correct the shapes.")
        return Outlet(population, shape, lags[population], KINDS[kinds[population]].spikes)

    # --------------------------------------------------------------------------------- numbers

    def _shape(self, name: str, attribute: str, key: str) -> Shape:
        found = getattr(self._nodes[name], attribute)
        value = found.get(key) if isinstance(found, dict) else None
        try:
            numbers = np.asarray(value, dtype=np.float64)
            shape = tuple(whole(each, "shape", 1) for each in numbers.reshape(-1))
        except (TypeError, ValueError, Unfit):
            self._refuse_node(name, f"its shape is {value!r}", "Use whole numbers from 1.")
        if numbers.ndim != 1 or size_of(shape) > SYNAPSES_MAX:
            self._refuse_node(name, f"its shape is {value!r}", f"Use a list, and at most {SYNAPSES_MAX:,} places.")
        return shape

    def _neuron_shape(self, name: str) -> Shape:
        """Return the shape of a node of neurons: that of its arrays, or of what comes next to it."""
        node = self._nodes[name]
        shapes = {np.shape(getattr(node, each)) for each in KINDS[type(node).__name__].attributes.values()}
        many: list[Shape] = sorted(shape for shape in shapes if shape != ())
        if len(many) > 1:
            self._refuse_node(name, f"its parameters have the shapes {many}", "Give all of them one shape.")
        if not many or not 0 < size_of(many[0]) <= SYNAPSES_MAX:
            reason = f"its parameters have the shape {many[0] if many else ()}"
            self._refuse_node(name, reason, f"Give it arrays with 1 … {SYNAPSES_MAX:,} neurons.")
        return many[0]

    def _numbers(self, name: str, attribute: str) -> Any:
        """Return an attribute as finite float64, or as the text that it is."""
        value = getattr(self._nodes[name], attribute, None)
        if isinstance(value, str | bytes):
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        try:
            numbers = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            self._refuse_node(name, f"its {attribute} is {value!r:.60}", "Use numbers.")
        if not np.isfinite(numbers).all():
            self._refuse_node(name, f"its {attribute} has a value that is not finite", "Use finite numbers.")
        return numbers

    def _decimals(self, name: str, attribute: str) -> tuple[list[Decimal], np.ndarray, Shape]:
        """Return the distinct values of an attribute as decimals, which of them each neuron has, and the shape."""
        self._numbers(name, attribute)
        value = np.asarray(getattr(self._nodes[name], attribute))
        distinct, which = np.unique(value.reshape(-1), return_inverse=True)
        exact = [Decimal(str(each)) for each in distinct]  # the shortest decimal that stands for the float
        if attribute in ("tau", "tau_mem", "tau_syn") and min(exact) <= 0:
            self._refuse_node(name, f"its {attribute} is not above 0", "Use a time above 0, in seconds.")
        return exact, which.reshape(-1), value.shape

    # ---------------------------------------------------------------------------------- errors

    def _error(self, node: str, kind: str, reason: str, remedy: str) -> NirUnusable:
        return NirUnusable(graph=self._label, node=node, kind=kind, reason=reason, remedy=remedy)

    def _refuse(self, node: str, kind: str, reason: str, remedy: str) -> NoReturn:
        raise self._error(node, kind, reason, remedy)

    def _refuse_node(self, name: str, reason: str, remedy: str) -> NoReturn:
        raise self._error(name, type(self._nodes[name]).__name__, reason, remedy)


def _cycles(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each node the name of its group: nodes that can reach each other are one (Kosaraju 1978)."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    before: dict[str, list[str]] = {name: [] for name in after}
    for source, target in edges:
        after[source].append(target)
        before[target].append(source)
    order: list[str] = []
    seen: set[str] = set()
    for start in after:
        order += _postorder(start, after, seen)
    groups: dict[str, str] = {}
    found: set[str] = set()
    for start in reversed(order):
        groups |= dict.fromkeys(_postorder(start, before, found), start)
    return groups


def _postorder(start: str, after: Mapping[str, list[str]], seen: set[str]) -> Iterator[str]:
    """Yield the unseen nodes that can be reached, each after those behind it."""
    if start in seen:
        return
    seen.add(start)
    path = [(start, iter(after[start]))]
    while path:
        name, rest = path[-1]
        following = next((each for each in rest if each not in seen), None)
        if following is None:
            path.pop()
            yield name
        else:
            seen.add(following)
            path.append((following, iter(after[following])))
