"""From a network to a NIR graph.

| model | NIR node | parameters |
|---|---|---|
| `lif_nir`, and what `read_nir` makes | its own | its own |
| `lif_delta` | LIF | tau = dt/(1 - d), r = d/(1 - d), every delay one step longer; d = exp(-dt/tau) |
| `lif_exp` | CubaLIF | tau_mem = dt/(1 - d), tau_syn = dt/(1 - s), w_in = 1/(1 - s), r = f/(1 - d), delays as above |

The first row comes back from `read_nir` with the same bits. The others follow from the exact solution over one step:
forward Euler with these numbers is the same map, so the graph has the same trajectory at this `dt`, up to the
rounding of floats. One thing differs: `lif_delta` drops an input that arrives in the very step in which the neuron
spikes, the graph keeps it. (d, s and f are the constants of `lif_exp`: decays of potential and current, and what a
current adds to the potential in a step.)

Weights are written as the engine adds them: on the grid of its integer sums. Shapes are lost: everything is written
in one dimension, with the same numbers.
"""

from __future__ import annotations

import io
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

import numpy as np

from neuraxis_snn.models import LIF_DELTA, LIF_EXP, Model
from neuraxis_snn.network import Network
from neuraxis_snn.nir_graphs.errors import NirUnusable, library
from neuraxis_snn.nir_graphs.neurons import KINDS, TIMES, constant, model_of
from neuraxis_snn.nir_graphs.reading import NirNetwork, Outlet, read_nir
from neuraxis_snn.numbers import DIGITS, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from neuraxis_snn.network import Population, Projection

MATRIX_BYTES_MAX: Final = 2**31
"""Bytes of the matrices of one projection; NIR has no sparse ones."""

Arrays = dict[str, np.ndarray]


def write_nir(network: Network | NirNetwork, path: str | Path) -> None:
    """Write a network as a NIR file.

    The file appears at once, complete. The same network gives the same bytes with the same libraries.

    Args:
        network: A network of models that NIR has, without plasticity.
        path: Where to.

    Raises:
        NirUnusable: A model, rule or parameter has no counterpart; or the file cannot be written.
        ExtraMissing: `nir` is not installed.
    """
    graph, target, content = nir_graph(network), Path(path), io.BytesIO()
    library("nir").write(content, graph)
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(content.getvalue())
        os.replace(part, target)
    except OSError as error:
        raise NirUnusable(
            graph=str(path), node="", kind="", reason=f"it cannot be written ({error})", remedy="Name another path."
        ) from error


def nir_graph(network: Network | NirNetwork) -> Any:
    """Return a network as a `nir.NIRGraph`. Raises like `write_nir`."""
    return _Writer(network).graph()


@final
class _Writer:
    """Writes one network."""

    def __init__(self, given: Network | NirNetwork) -> None:
        self._nir = library("nir")
        self._states: Mapping[tuple[str, str], np.ndarray] = {}
        self._outputs: Mapping[str, Outlet] | None = None
        self._bias: Arrays = {}
        self._network = given.network if isinstance(given, NirNetwork) else given
        if isinstance(given, NirNetwork):
            self._states, self._outputs = given.states, given.outputs
            self._bias = {name: values for (name, state), values in given.states.items() if state == "bias"}
        self._nodes: dict[str, Any] = {}
        self._edges: list[tuple[str, str]] = []
        self._shift: dict[str, int] = {}
        self._kept: set[str] = set()
        """Populations that come back with the same bits."""

    def graph(self) -> Any:
        populations = self._network.populations
        for each in populations.values():
            self._check_name(each.name)
            if each.model is None:
                self._nodes[each.name] = self._nir.Input({"input": np.array([each.size])})
            else:
                self._nodes[each.name] = self._neurons(each)
        for drive in self._network.drives:
            self._refuse(drive, "drive", "NIR has no noise", "Give the spikes of a source as inputs.")
        for projection in self._network.projections.values():
            self._write_projection(projection)
        places = [each for each in populations.values() if each.model is None]
        for target in list(self._bias):
            if not places:
                self._refuse(target, "neurons", "a constant current needs an input to come with", "Add an input.")
            self._write_joint(places[0].name, target, np.zeros((populations[target].size, places[0].size)), 0)
        for name, population in self._leaving().items():
            name = self._add(name, self._nir.Output({"output": np.array([populations[population].size])}))
            self._edges.append((population, name))
        made = self._nir.NIRGraph(nodes=self._nodes, edges=self._edges, type_check=False)
        self._check_that_it_comes_back(made)
        return made

    def _leaving(self) -> dict[str, str]:
        """Return outputs by name: those that were read, or one for each recorded population."""
        if self._outputs is not None:
            return {name: each.population for name, each in self._outputs.items()}
        recorded = [each.name for each in self._network.populations.values() if each.model is not None and each.record]
        if not recorded:
            self._refuse("", "", "it records no population", "Record one: it becomes the output.")
        return {"output" if len(recorded) == 1 else f"output {name}": name for name in recorded}

    # ---------------------------------------------------------------------------------- neurons

    def _neurons(self, each: Population) -> Any:
        model = each.model
        assert model is not None, "places where spikes come in are no neurons"
        if model in (LIF_DELTA, LIF_EXP):
            return self._exact(each, model)
        kind = self._kind_of(each, model)
        if "bias" in model.states and each.name not in self._bias:
            self._refuse(each.name, kind, "its constant current is not known", "Pass the NirNetwork that was read.")
        self._kept.add(each.name)
        self._shift[each.name] = 0
        values = {name: self._values(each, kind, parameter) for parameter, name in KINDS[kind].attributes.items()}
        return getattr(self._nir, kind)(**values)

    def _kind_of(self, each: Population, model: Model) -> str:
        for kind, form in KINDS.items():
            varying = tuple(name for name in form.parameters if form.constants.get(name, name) in model.states)
            biased, late = "bias" in model.states, "lag" in model.parameters
            if model is model_of(kind, varying=varying, biased=biased, late=late):
                return kind
        remedy = "Use lif_nir, lif_delta, lif_exp, or models that read_nir makes; give a source's spikes as inputs."
        raise self._error(each.name, model.name, "NIR has no node for this model", remedy)

    def _values(self, each: Population, kind: str, parameter: str) -> np.ndarray:
        """Return a parameter of all neurons as NIR writes it: times in seconds, float64."""
        became = KINDS[kind].constants.get(parameter)
        if parameter in each.numbers:
            used = each.numbers[became] if became is not None else each.numbers[parameter]
            written = each.numbers[parameter]
            return np.full(each.size, self._written(each, parameter, became, used, written))
        stored = self._states.get((each.name, became or parameter))
        if stored is None:
            reason = f"its {parameter} differs from neuron to neuron, and is not known"
            self._refuse(each.name, kind, reason, "Pass the NirNetwork that read_nir returned.")
        distinct, which = np.unique(stored, return_inverse=True)
        return np.array([self._written(each, parameter, became, used, None) for used in distinct])[which.reshape(-1)]

    def _written(self, each: Population, parameter: str, became: str | None, used: Any, written: Any) -> float:
        """Return the number that gives `used` when it is read again."""
        if became is None:
            return float(str(used))
        dt, is_time = self._network.dt, parameter in TIMES
        unit, exact = Decimal(1000) if is_time else Decimal(1), Decimal(float(used))
        guesses = [Decimal(str(written)) / unit] if written is not None else []
        if exact:
            guesses.append(DIGITS.divide(dt, exact * unit) if is_time else DIGITS.divide(exact * 1000, dt))
        else:
            guesses.append(Decimal(0))
        near = [float(guess) for guess in guesses]
        near += [float(np.nextafter(guess, way)) for guess in near for way in (np.inf, -np.inf)]
        for value in near:
            back = constant(parameter, Decimal(repr(value)) * unit, dt) if value or not is_time else None
            if back is not None and rounded(back, self._network.precision) == used:
                return value
        reason = f"no float64 stands for its {parameter}"
        raise self._error(each.name, "neurons", reason, "Use a value with fewer digits.")

    def _exact(self, each: Population, model: Model) -> Any:
        """Return the node whose forward Euler step is the exact step of `lif_delta` or `lif_exp`."""
        if each.refractory:
            self._refuse(each.name, model.name, "NIR has no refractory time", 'Use refractory = "0 ms".')
        size, dt = each.size, self._network.dt
        self._shift[each.name] = 1

        def full(value: Decimal | float) -> np.ndarray:
            return np.full(size, float(value))

        numbers = {name: Decimal(float(value)) for name, value in each.numbers.items()}
        shared = {
            "v_leak": full(numbers["rest"]),
            "v_threshold": full(numbers["threshold"]),
            "v_reset": full(numbers["reset"]),
        }
        left = 1 - numbers["decay_v"]
        tau = full(DIGITS.divide(dt, left) / 1000)
        if model is LIF_DELTA:
            return self._nir.LIF(tau=tau, r=full(DIGITS.divide(numbers["decay_v"], left)), **shared)
        used = self._used_inputs(each.name)
        if len(used) > 1 and numbers["decay_exc"] != numbers["decay_inh"]:
            reason = "a CubaLIF has one time constant of its current"
            self._refuse(each.name, model.name, reason, "Use equal tau_exc and tau_inh, or one kind of input.")
        current = used[0] if used else "exc"
        gone = 1 - numbers[f"decay_{current}"]
        return self._nir.CubaLIF(
            tau_mem=tau,
            tau_syn=full(DIGITS.divide(dt, gone) / 1000),
            r=full(DIGITS.divide(numbers[f"from_{current}"], left)),
            w_in=full(DIGITS.divide(Decimal(1), gone)),
            **shared,
        )

    def _used_inputs(self, target: str) -> list[str]:
        found = [each.input for each in self._network.projections.values() if each.target == target]
        return list(dict.fromkeys(found))

    # --------------------------------------------------------------------------------- synapses

    def _write_projection(self, each: Projection) -> None:
        if each.rule is not None:
            remedy = "Write a network with the weights that it learned, without rule."
            self._refuse(each.name, "projection", "NIR has no plasticity", remedy)
        network = self._network
        scale = network.scale(each.target, each.input)
        weights = np.rint(each.weights * scale) / scale
        sizes = (network.populations[each.source].size, network.populations[each.target].size)
        late = self._lag(each.target) - self._lag(each.source) - self._shift[each.target]
        for delay, matrix in self._matrices(each, weights, sizes):
            self._write_joint(each.source, each.target, matrix, delay - late)

    def _matrices(
        self, each: Projection, weights: np.ndarray, sizes: tuple[int, int]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield delays and matrices (post, pre); synapses with the same ends and delay lie in different ones."""
        if each.indptr is None or each.indices is None:
            yield each.delays[0], weights.T
            return
        for bundle, delay in enumerate(each.delays):
            pointers = each.indptr[bundle]
            begin, end = int(pointers[0]), int(pointers[-1])
            pre, post = np.repeat(np.arange(sizes[0]), np.diff(pointers)), each.indices[begin:end]
            place = pre * sizes[1] + post  # in order, because synapses lie in order of (delay, pre, post)
            rank = np.arange(end - begin) - np.searchsorted(place, place, "left")
            many = int(rank.max(initial=0)) + 1
            if len(each.delays) * many * sizes[0] * sizes[1] * 8 > MATRIX_BYTES_MAX:
                reason = f"its matrices have more than {MATRIX_BYTES_MAX:,} bytes; NIR has no sparse ones"
                self._refuse(each.name, "projection", reason, "Write a smaller network, or one with fewer delays.")
            for number in range(many):
                matrix, chosen = np.zeros((sizes[1], sizes[0])), rank == number
                matrix[post[chosen], pre[chosen]] = weights[begin:end][chosen]
                yield delay, matrix

    def _write_joint(self, source: str, target: str, matrix: np.ndarray, delay: int) -> None:
        """Write one matrix, behind its delay; the first onto neurons with a constant current brings that too."""
        before = source
        if delay:
            seconds = float(self._network.dt * delay / 1000)
            before = self._add("delay", self._nir.Delay(np.full(matrix.shape[1], seconds)))
            self._edges.append((source, before))
        bias = self._bias.pop(target, None)
        if bias is not None:
            node = self._nir.Affine(matrix, bias.astype(np.float64))
        elif matrix.shape[0] == matrix.shape[1] and not (matrix - np.diag(np.diag(matrix))).any():
            node = self._nir.Scale(np.diag(matrix).copy())
        else:
            node = self._nir.Linear(matrix)
        name = self._add("weights", node)
        self._edges += [(before, name), (name, target)]

    def _lag(self, name: str) -> int:
        return int(self._network.populations[name].numbers.get("lag", 0))

    # ----------------------------------------------------------------------------------- checks

    def _check_that_it_comes_back(self, graph: Any) -> None:
        """Read the graph, and compare: what promises the same bits must keep that promise."""
        network = self._network
        again = read_nir(graph, dt=f"{network.dt:f} ms", precision=network.precision, label="what was written")
        for name, error in again.rounding().items():
            if error and again.network.projections[name].target in self._kept:
                self._refuse(name, "projection", "its weights do not fit one grid", "Use weights with fewer digits.")
        for name in sorted(self._kept):
            mine, other = network.populations[name].numbers, again.network.populations[name].numbers
            differ = [each for each in mine if each not in other or mine[each] != other[each]]
            if differ:
                self._refuse(name, "neurons", f"its {differ} would change", "Use values with fewer digits.")

    def _check_name(self, name: str) -> None:
        if not name or "/" in name or name.strip(".") == "":
            self._refuse(name or "?", "population", "NIR files cannot hold that name", "Use letters and digits.")

    def _add(self, name: str, node: Any) -> str:
        """Add a node under a name that is free, and return that."""
        free, number = name, 1
        while free in self._nodes or (number == 1 and name in self._network.populations):
            number += 1
            free = f"{name} {number}"
        self._nodes[free] = node
        return free

    def _error(self, node: str, kind: str, reason: str, remedy: str) -> NirUnusable:
        return NirUnusable(graph="the network", node=node, kind=kind, reason=reason, remedy=remedy)

    def _refuse(self, node: str, kind: str, reason: str, remedy: str) -> NoReturn:
        raise self._error(node, kind, reason, remedy)
