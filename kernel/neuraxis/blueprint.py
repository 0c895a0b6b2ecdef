"""A blueprint of a run: all that decides it, so that it can be built once more.

A simulation is built from a blueprint; so is the same simulation when it resumes, when a failure takes it
back to an earlier boundary, and when `why`, `diff` and `replay` execute it again to look closer.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import numpy as np
from msgspec import Struct, field

from neuraxis.journal.record import InputRecord, IntentRecord, OutcomeRecord
from neuraxis.scheduler import state
from neuraxis.scheduler.effects import Clock, EffectLog, Effects, Intent, Outcome
from neuraxis.scheduler.envelope import MessageId
from neuraxis.scheduler.loop import Operators, Scheduler
from neuraxis.wiring import INPUT, Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis.graph import Graph
    from neuraxis.journal.record import Record
    from neuraxis.scheduler.effects import Script
    from neuraxis.scheduler.loop import Observer
    from neuraxis.snapshot.container import Snapshot


@final
class ScriptedInput(Struct, frozen=True):
    """An input that the scenario asks for: injected at the boundary after `tick`."""

    tick: int
    path: str
    port: str
    payload: Any


@final
class Blueprint(Struct, frozen=True):
    """What decides a run.

    Attributes:
        graph: Actors and channels.
        seed: Root of all random streams.
        inputs: Inputs that the scenario scripts, by tick.
        clock: Whether effects may miss wall-clock deadlines.
        extra_messages: Message classes beyond those of the graph's ports, by (name, version).
        script: Outcomes of effects fixed in advance.
        arm: Called with every scheduler that is built, before it starts: where scripted faults hook in.
    """

    graph: Graph
    seed: int = 0
    inputs: tuple[ScriptedInput, ...] = ()
    clock: Clock = "virtual"
    extra_messages: Mapping[tuple[str, int], type[Any]] = field(default_factory=dict)
    script: Script | None = None
    arm: Callable[[Scheduler], None] | None = None

    def wire(self) -> Wiring:
        """Make the actors and check the graph.

        Raises:
            ScenarioInvalid: With every mistake in it.
        """
        return wire(self.graph)

    def messages(self, wiring: Wiring) -> dict[tuple[str, int], type[Any]]:
        """Return every message class that the run may read back, by (name, version)."""
        return {**wiring.messages(), **self.extra_messages}

    def build(self, wiring: Wiring, *, run: str, log: EffectLog, operators: Operators) -> Scheduler:
        """Return a scheduler that has not started."""
        effects = Effects(run, clock=self.clock, log=log, script=self.script)
        scheduler = Scheduler(wiring, seed=self.seed, effects=effects, operators=operators)
        if self.arm is not None:
            self.arm(scheduler)
        return scheduler


# --------------------------------------------------------------------------------- history


@final
class History:
    """The recorded past of a run: its inputs in order, and what its effects came to."""

    def __init__(self, records: Sequence[Record] = ()) -> None:
        self.inputs = [record for record in records if isinstance(record, InputRecord)]
        self.intents = {record.ticket: record for record in records if isinstance(record, IntentRecord)}
        self._outcomes = [record for record in records if isinstance(record, OutcomeRecord)]

    def outcomes(self) -> dict[int, Outcome]:
        """Return the recorded outcomes by ticket."""
        return {
            each.ticket: Outcome(
                MessageId(each.ticket),
                self.intents[each.ticket].effect,
                each.status,  # type: ignore[arg-type]  # it was written from an Outcome
                each.value,
                each.error,
            )
            for each in self._outcomes
        }

    def last_tick(self) -> int:
        """Return the last tick that the records prove to have been completed."""
        return max([each.tick for each in self.inputs] + [each.due - 1 for each in self._outcomes], default=0)


def replay(scheduler: Scheduler, history: History, snapshot: Snapshot | None, *, until: int) -> None:
    """Bring a new scheduler through the recorded past.

    Args:
        scheduler: Built from the run's blueprint, not started, with `effects.recall` done.
        history: The past.
        snapshot: Where to begin; None is the beginning of the run.
        until: Tick to end at.
    """
    if snapshot is None:
        scheduler.start()
        scheduler.advance(0)
    else:
        state.restore(scheduler, snapshot.state)
    replay_on(scheduler, history, until=until)


def replay_on(scheduler: Scheduler, history: History, *, until: int, with_last_inputs: bool = False) -> None:
    """Go on with a replay to the end of tick `until`, from where the scheduler stands.

    Args:
        scheduler: The scheduler.
        history: The past.
        until: Tick to end at.
        with_last_inputs: Whether to inject also the inputs of the boundary after that tick.
    """
    first = scheduler.next_external[INPUT]
    last = until if with_last_inputs else until - 1
    for record in history.inputs:
        if record.id >= first and record.tick <= last:
            scheduler.advance(record.tick)
            message = scheduler.inject(scheduler.wiring.position[record.target], record.port, record.payload)
            assert message == record.id, "inputs get their ids in the order of the journal"
    scheduler.advance(until)


@final
class Silence:
    """Takes log lines and records of a run that is only executed again, and drops them."""

    def line(self, path: str, tick: int, event: str, facts: Mapping[str, Any]) -> None:
        """The run said it before."""

    def intent(self, intent: Intent) -> None:
        """It is recorded already."""

    def outcome(self, due: int, outcome: Outcome) -> None:
        """It is recorded already."""


Execute = Callable[["Observer"], "Scheduler"]
"""Executes a recorded run once more with an observer, and returns its scheduler."""


def execute_again(
    blueprint: Blueprint,
    history: History,
    *,
    until: int,
    snapshot: Snapshot | None = None,
    observer: Observer | None = None,
) -> Scheduler:
    """Execute a recorded run once more, calling nothing outside.

    Args:
        blueprint: What decided the run.
        history: Its inputs and outcomes.
        until: Last tick to execute.
        snapshot: Where to begin; None is the beginning.
        observer: Sees every tick.

    Returns:
        The scheduler at the end of tick `until`, to look at.
    """
    silence = Silence()
    scheduler = blueprint.build(blueprint.wire(), run="", log=silence, operators=silence)
    scheduler.effects.recall(set(history.intents), history.outcomes(), only=True)
    scheduler.observer = observer
    try:
        replay(scheduler, history, snapshot, until=until)
    finally:
        scheduler.effects.close()
    return scheduler


def numerics() -> dict[str, str]:
    """Return what computes here: versions, machine and instruction set."""
    config: Any = np.show_config(mode="dicts")
    simd = config.get("SIMD Extensions", {})
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
        "byteorder": sys.byteorder,
        "simd": " ".join([*simd.get("baseline", []), *simd.get("found", [])]),
    }
