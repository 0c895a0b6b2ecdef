"""The suite for populations: a population is its members, row by row."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from neuraxis.graph import ActorSpec, Graph
from neuraxis.message import ArraySpec, array
from neuraxis.rng import Stream
from neuraxis.simulation import Simulation
from neuraxis.testing.suite import Suite

if TYPE_CHECKING:
    from neuraxis.actor import Population


class PopulationSuite(Suite):
    """Derive from it and name the population; its `member` class is what it is held to.

    Population and member declare the same ports: arrays of n rows here, single values (or one row)
    there. They declare the same states, with one more axis in the population.
    """

    population: ClassVar[type[Population]]
    size: ClassVar[int] = 5
    ticks: ClassVar[int] = 20
    parameters: ClassVar[dict[str, Any]] = {}

    def inputs(self, tick: int, stream: Stream) -> dict[str, np.ndarray]:
        """Return one array for each input that gets mail at `tick`, one row a member."""
        ports = self.population.declaration.inputs
        return {name: stream.integers(-1000, 1000, self.size).astype(_dtype(port.kind)) for name, port in ports.items()}

    def test_rows_equal_the_members_run_one_by_one(self) -> None:
        whole, single = self._run()
        assert whole.keys() == single.keys(), "outputs differ in number"
        for name in whole:
            assert whole[name] == single[name], f"{name} differs"

    # -------------------------------------------------------------------------------- parts

    def _run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        member = self.population.member
        assert member is not None, f"{self.population.__name__} names no member class"
        together, apart = Graph("population"), Graph("members")
        together.add("p", self.population, size=self.size, **self.parameters)
        for row in range(self.size):
            path = f"p/{row:0{len(str(self.size))}d}"  # so that paths sort as rows do
            apart.actors.append(ActorSpec(path, member.__name__, member, dict(self.parameters), row_of=("p", row)))
        for name in self.population.declaration.outputs:
            together.connect(f"p.{name}", f"@output.{name}")
            for spec in apart.actors:
                apart.connect(f"{spec.path}.{name}", f"@output.{name}")
        return self._drive(Simulation(together, seed=3)), self._drive(Simulation(apart, seed=3))

    def _drive(self, sim: Simulation) -> dict[str, Any]:
        stream = Stream((1, 2))
        found: dict[str, Any] = {}
        members = [path for path, _ in sim.actors() if path != "p"]
        for tick in range(self.ticks):
            for port, rows in self.inputs(tick, stream.at(tick)).items():
                assert len(rows) == self.size, f"inputs() must give {self.size} rows"
                if members:
                    for path, value in zip(members, rows, strict=True):
                        sim.inject(f"{path}.{port}", value if np.ndim(value) else value.item())
                else:
                    sim.inject(f"p.{port}", np.array(rows))
            sim.advance(ticks=1)
            found[f"states after tick {tick}"] = self._states(sim, members)
            found[f"outputs of tick {tick}"] = _outputs(sim, members)
        sim.close()
        return found

    def _states(self, sim: Simulation, members: list[str]) -> dict[str, list[Any]]:
        if not members:
            return {name: np.asarray(value).tolist() for name, value in sim.actor("p").capture().items()}
        states = [sim.actor(path).capture() for path in members]
        return {name: [np.asarray(state[name]).tolist() for state in states] for name in states[0]}


def _outputs(sim: Simulation, members: list[str]) -> dict[str, list[list[Any]]]:
    """Return what left in the tick that ran last: for each port its batches, each with one row a member."""
    said: dict[str, dict[str, list[Any]]] = {}
    for output in sim.outputs:
        if output.tick == sim.tick:
            value = np.asarray(output.value).tolist()
            said.setdefault(output.port, {}).setdefault(output.source, []).append(value)
    if not members:
        return {port: by_source["p"] for port, by_source in said.items()}
    return {
        port: [list(batch) for batch in zip_longest(*(by_source.get(path, []) for path in members))]
        for port, by_source in said.items()
    }


def _dtype(kind: Any) -> str:
    assert isinstance(kind, ArraySpec), "a population takes and sends arrays; override inputs() for others"
    return array(kind.dtype).dtype
