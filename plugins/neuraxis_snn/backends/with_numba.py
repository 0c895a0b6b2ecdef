"""The whole network compiled into one function.

The function is written by `generate`, kept as a file in the user's cache folder, and compiled by Numba, which
keeps the machine code beside it: a network of a known structure starts in a fraction of a second.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.generate import Source
from neuraxis_snn.backends.kept import Kept
from neuraxis_snn.engine import Engine
from neuraxis_snn.network import network_of, synapses_by_target
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from neuraxis_snn.network import Network, Population, Projection

NAME: Final = "numba"


@final
class NumbaBackend:
    """Computes networks with code compiled by Numba."""

    name: str = NAME

    def __init__(self) -> None:
        """Make sure that Numba is installed.

        Raises:
            ExtraMissing: It is not.
        """
        if importlib.util.find_spec("numba") is None:
            raise ExtraMissing(library="numba", extra="snn", purpose="the backend 'numba'")

    def build(self, network: Any) -> NumbaEngine:
        """Return an engine. Raises `NetworkInvalid` if `network` is none."""
        return NumbaEngine(network_of(network, NAME))


@final
class NumbaEngine(Engine):
    """Calls the compiled function with all state as arguments."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        source = Source(network)
        self._kept = Kept(source.text)
        self._function: Callable[..., Any] = self._call_first
        self._places = [name for name, each in network.populations.items() if each.model is None]
        self._recorded = [name for name, each in network.populations.items() if each.record]
        fixed: dict[str, Any] = {}
        for number, each in enumerate(network.populations.values()):
            fixed |= self._of_population(f"p{number}", each)
        for number, projection in enumerate(network.projections.values()):
            fixed |= self._of_projection(f"j{number}", projection)
        self._arguments = [fixed.get(name) for name in source.arguments]
        self._at = {name: index for index, name in enumerate(source.arguments)}

    def _of_population(self, p: str, each: Population) -> dict[str, Any]:
        name, kind = each.name, self.network.kind
        found: dict[str, Any] = {
            f"{p}_{what}": self.arrays[f"{name}.{what}"]
            for what in ("ring", "count", "hold")
            if f"{name}.{what}" in self.arrays
        }
        if each.model is not None:
            found |= {f"{p}_{state}": self.arrays[f"{name}.{state}"] for state in each.model.states}
            found[f"{p}_n"] = each.size
            found[f"{p}_numbers"] = np.array(list(each.numbers.values()), kind)
            found[f"{p}_refractory"], found[f"{p}_period"] = each.refractory, each.period
            found[f"{p}_unscale"] = np.array([1.0 / self.scales[name, one] for one in each.model.inputs], kind)
        return found

    def _of_projection(self, j: str, each: Projection) -> dict[str, Any]:
        found: dict[str, Any] = {
            f"{j}_weights": self.arrays[f"{each.name}.weights"],
            f"{j}_delays": np.array(each.delays, np.int64),
            f"{j}_indptr": each.indptr,
            f"{j}_indices": each.indices,
        }
        if each.rule is not None:
            kind = self.network.kind
            found[f"{j}_numbers"] = np.array(list(each.numbers.values()), kind)
            found[f"{j}_scale"] = kind(self.scales[each.target, each.input])
            for trace in (*each.rule.pre_traces, *each.rule.post_traces):
                found[f"{j}_{trace}"] = self.arrays[f"{each.name}.{trace}"]
            if not each.is_dense:
                index = synapses_by_target(each, self.network)
                found[f"{j}_ends"], found[f"{j}_synapses"], found[f"{j}_sources"] = index
        return found

    def _call_first(self, *values: Any) -> Any:
        found = self._kept.call_first(*values)
        self._function = self._kept.run
        return found

    def _run(self, steps: int, inputs: Mapping[str, Spikes], *, learning: bool) -> dict[str, Spikes]:
        values = self._arguments
        values[:5] = [self.step, steps, learning, np.uint64(self.key[0]), np.uint64(self.key[1])]
        for number, name in enumerate(self.network.populations):
            if name in inputs:
                spikes = inputs[name]
                values[self._at[f"p{number}_in_ends"]] = np.searchsorted(spikes.steps, np.arange(steps + 1))
                values[self._at[f"p{number}_in"]] = np.ascontiguousarray(spikes.neurons).copy()
        found = self._function(*values)
        return {
            name: Spikes(found[2 * number].copy(), found[2 * number + 1].copy())
            for number, name in enumerate(self._recorded)
        }
