"""A run with all that a journal holds, to be stopped, killed and resumed by tests.

    python -m tests.kernel.victim FOLDER

starts it in a folder, or goes on with it there, and prints a dot every few ticks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from neuraxis import Actor, Effect, Output, Simulation, message, on_outcome, on_start, on_timer, state
from neuraxis.blueprint import Blueprint, ScriptedInput
from neuraxis.journal.record import InputRecord
from neuraxis.launch import resume_graph
from neuraxis.plugins.manager import Plugins
from neuraxis.runner import Settings
from tests.kernel.actors import noisy

if TYPE_CHECKING:
    from neuraxis import Context, Outcome

INPUTS = [(3, 5), (3, 6), (17, 7), (31, 8)]
UNTIL = 40
FAR = 1_500
SETTINGS = Settings(block=10, snapshot_every=15)
RARELY = Settings(block=100, snapshot_every=250)


@message("test-double")
@attrs.frozen
class Double(Effect):
    """Doubles a number, outside."""

    number: int

    def perform(self, key: str) -> int:
        return 2 * self.number


class Asker(Actor):
    """Has a number doubled every few ticks, and passes it on."""

    out = Output(int)
    number: int = state(1)

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(2, "ask")

    @on_timer("ask")
    def ask(self, context: Context) -> None:
        context.effect(Double(self.number), delay=4, to="doubled")
        context.wake(9, "ask")

    @on_outcome("doubled")
    def take(self, context: Context, outcome: Outcome) -> None:
        self.number = (outcome.value + context.tick) % 1009
        context.send("out", self.number)


def killable() -> Blueprint:
    """Return a run with random numbers, inputs, scripted inputs and effects."""
    graph = noisy(3)
    graph.add("asker", Asker)
    graph.connect("asker.out", "n0.heard")
    scripted = (ScriptedInput(8, "n1", "heard", 1), ScriptedInput(25, "n2", "heard", 2))
    return Blueprint(graph, 5, inputs=scripted, extra_messages={("test-double", 1): Double})


def started(folder: Path | None = None, settings: Settings = SETTINGS) -> Simulation:
    """Open it, in a folder or in memory."""
    return Simulation(killable(), folder=folder, plugins=Plugins(), settings=settings)


def drive(sim: Simulation, *, until: int = UNTIL) -> Simulation:
    """Inject the inputs that the run has not had yet, and advance it."""
    done = sum(isinstance(record, InputRecord) and not record.scripted for record in sim.records())
    for tick, value in INPUTS[done:]:
        if tick <= until:
            sim.advance(until=max(tick, sim.tick))
            sim.inject("n0.heard", value)
    return sim.advance(until=max(until, sim.tick))


def finish(sim: Simulation, *, until: int = UNTIL) -> str:
    """Drive it to its end, close it, and return its digest."""
    drive(sim, until=until).finish()
    sim.close()
    return sim.digest


def main(folder: Path) -> None:
    """Start or go on, and print a dot every 25 ticks."""
    is_begun = (folder / "journal.nxj").exists()
    sim = resume_graph(folder, killable(), settings=RARELY).simulation if is_begun else started(folder, RARELY)
    assert sim is not None, "it is killed before it ends"
    while sim.tick < FAR:
        drive(sim, until=sim.tick + 25)
        sys.stdout.write(".")
        sys.stdout.flush()
    finish(sim, until=FAR)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
