"""The suite for actors: what every actor must keep, whatever it does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar, Final

from neuraxis import codec
from neuraxis.actor import Actor, Input, on
from neuraxis.errors import UsageInvalid
from neuraxis.simulation import Simulation
from neuraxis.testing.checks import FrozenPayloads, resumed_digest, shuffled_digest
from neuraxis.testing.suite import Suite

if TYPE_CHECKING:
    from neuraxis.graph import Graph


TICKS_TRIED: Final = 100
"""Ticks at which a run is stopped and resumed, at most; a shorter run is stopped at every tick."""


class _Bystander(Actor):
    """Does nothing; it is there to be added."""

    nothing = Input(int)

    @on(nothing)
    def ignore(self, context: object, value: int) -> None:
        """Do nothing."""


class ActorSuite(Suite):
    """Derive from it and say how to build a small graph in which your actors do all that they can do.

    Example:
        >>> class TestRelay(ActorSuite):
        ...     ticks = 50
        ...
        ...     def graph(self):
        ...         graph = Graph("pair")
        ...         graph.add("a", Relay)
        ...         ...
        ...         return graph
        ...
        ...     def drive(self, sim):
        ...         sim.inject("a.token", 1)
    """

    ticks: ClassVar[int] = 50
    seed: ClassVar[int] = 7

    def graph(self) -> Graph:
        """Return a new graph, the same every time."""
        raise UsageInvalid(what=f"{type(self).__name__} builds no graph", remedy="Define graph(self).")

    def drive(self, sim: Simulation) -> None:
        """Inject what the graph needs to get going."""

    def run(self, *, until: int | None = None) -> Simulation:
        """Return the simulation after `ticks` ticks, or fewer; to be closed."""
        sim = Simulation(self.graph(), seed=self.seed)
        self.drive(sim)
        return sim.advance(until=self.ticks if until is None else until)

    def digest(self) -> str:
        """Return the digest after `ticks` ticks."""
        with self.run() as sim:
            return sim.digest

    # ------------------------------------------------------------------------------ clauses

    def test_two_runs_give_the_same_digest(self) -> None:
        assert self.digest() == self.digest()

    def test_something_happens(self) -> None:
        with self.run() as sim:
            assert sim.statistics.messages > 0, "no message was delivered, so nothing is tested"

    def test_the_order_of_actors_in_a_tick_changes_nothing(self) -> None:
        with self.run() as sim:
            for key in range(3):
                assert shuffled_digest(sim, key=key) == sim.digest

    def test_stopping_and_resuming_at_any_tick_changes_nothing(self) -> None:
        with self.run() as sim:
            for at in range(0, self.ticks, -(-self.ticks // TICKS_TRIED)):
                assert resumed_digest(sim, at=at) == sim.digest, f"differs when resumed at tick {at}"

    def test_taking_a_snapshot_changes_nothing(self) -> None:
        with self.run(until=0) as sim:
            while sim.tick < self.ticks:
                sim.advance(ticks=1).snapshot()
            assert sim.digest == self.digest()

    def test_splitting_a_run_changes_nothing(self) -> None:
        with self.run(until=0) as sim:
            while sim.tick < self.ticks:
                sim.advance(ticks=min(3, self.ticks - sim.tick))
            assert sim.digest == self.digest()

    def test_adding_an_unrelated_actor_changes_no_state(self) -> None:
        with_bystander = self.graph()
        with_bystander.add("aaa-bystander", _Bystander)
        with Simulation(with_bystander, seed=self.seed) as sim, self.run() as plain:
            self.drive(sim)
            sim.advance(until=self.ticks)
            for path, actor in plain.actors():
                assert codec.pack(actor.capture()) == codec.pack(sim.actor(path).capture()), f"{path} differs"

    def test_payloads_are_not_changed_after_sending(self) -> None:
        with self.run(until=0) as sim:
            FrozenPayloads(sim).advance(self.ticks)

    def test_the_state_can_be_captured_and_restored(self) -> None:
        with self.run() as sim:
            messages = sim.blueprint.messages(sim.wiring)
            for path, actor in sim.actors():
                captured = codec.pack(actor.capture())
                actor.restore(codec.unpack(captured, messages))
                assert codec.pack(actor.capture()) == captured, f"{path} is not what it was"

    def test_the_hash_seed_of_python_changes_nothing(self) -> None:
        cls = type(self)
        code = f"from {cls.__module__} import {cls.__qualname__} as suite; print(suite().digest())"
        paths = os.pathsep.join(each for each in sys.path if each)
        digests = set()
        for hash_seed in ("0", "1", "4294967295"):
            environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": paths}
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
            )
            assert done.returncode == 0, done.stderr
            digests.add(done.stdout.strip())
        assert digests == {self.digest()}
