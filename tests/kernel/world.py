"""A world that effects touch, and actors that ask it: what the tests of effects and offloading share."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import attrs
import numpy as np

from neuraxis import (
    Actor,
    Effect,
    Graph,
    Input,
    Options,
    Outcome,
    Output,
    Simulation,
    message,
    on,
    on_outcome,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint
from neuraxis.journal.record import IntentRecord
from tests.kernel.actors import Frame, Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis import Context
    from neuraxis.scheduler.effects import Intent

PATIENCE_S = 30
"""How long a test waits for another thread before it gives up; never reached when all is well."""


class World:
    """What the effects of these tests touch: it notes calls, and holds some up until a test lets them go."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self.sim: Simulation | None = None
        self.seen: list[Any] = []

    def gate(self, name: str) -> threading.Event:
        """Return the event of that name."""
        return self.gates.setdefault(name, threading.Event())

    def wait_at(self, name: str) -> None:
        """Wait until the gate of that name is open."""
        assert self.gate(name).wait(PATIENCE_S), f"nobody opened {name!r}"


WORLD = World()


@message("test-ask-world")
@attrs.frozen
class AskWorld(Effect):
    """Does what its word says, with an optional gate to wait at before and one to open after."""

    word: str
    after: str = ""
    then: str = ""

    def perform(self, key: str) -> Any:
        WORLD.calls.append(key)
        WORLD.gate(f"begun {self.word}").set()
        if self.after:
            WORLD.wait_at(self.after)
        value = ANSWERS[self.word]() if self.word in ANSWERS else self.word
        if self.then:
            WORLD.gate(self.then).set()
        return value


def fails(error: BaseException) -> Callable[[], Any]:
    """Return a function that raises."""

    def fail() -> Any:
        raise error

    return fail


ANSWERS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.arange(4),
    "view": lambda: np.arange(8)[::2],
    "frame": lambda: Frame(1, np.arange(3), Point("p", 1.0, 2.0)),
    "tuple": lambda: (1, "two", (np.arange(2), None)),
    "none": lambda: None,
    "dict": dict,
    "set in tuple": lambda: (1, {2}),
    "objects": lambda: np.array([object()]),
    "objects in a frame": lambda: Frame(1, np.array([object()]), Point("p", 1.0, 2.0)),
    "huge": lambda: 2**70,
    "surrogate": lambda: "\ud800",
    "value error": fails(ValueError("no such thing")),
    "timeout": fails(TimeoutError("its own")),
    "memory": fails(MemoryError()),
    "exit": fails(SystemExit()),
    "interrupt": fails(KeyboardInterrupt()),
    "records": lambda: len([each for each in (WORLD.sim.records() if WORLD.sim else []) if type(each) is IntentRecord]),
}


@message("test-ask-async")
@attrs.frozen
class AskAsync(Effect):
    """Likewise, as a coroutine."""

    word: str

    async def perform(self, key: str) -> str:
        WORLD.calls.append(key)
        try:
            await anyio.sleep(0)
            if self.word == "forever":
                WORLD.gate("begun").set()
                await anyio.sleep_forever()
            if self.word == "cancel":
                raise anyio.get_cancelled_exc_class()
        finally:
            WORLD.seen.append(f"end of {self.word}")
        return self.word


class Asker(Actor):
    """Asks the world what it is told to, and remembers the outcomes."""

    effects = (AskWorld, AskAsync)
    delay: int = parameter(int, 3)
    word = Input(str)
    pair = Input(AskWorld)
    slow = Input(AskAsync)
    out = Output(str)
    log: list[Any] = state(factory=list)
    tickets: list[int] = state(factory=list)
    deadline_s: float | None = None

    @on(word)
    def ask(self, context: Context, word: str) -> None:
        self.start(context, AskWorld(word))

    @on(pair)
    def ask_pair(self, context: Context, effect: AskWorld) -> None:
        self.start(context, effect)

    @on(slow)
    def ask_slow(self, context: Context, effect: AskAsync) -> None:
        self.start(context, effect)

    def start(self, context: Context, effect: Effect) -> None:
        self.tickets.append(context.effect(effect, delay=self.delay, to="answer", deadline_s=self.deadline_s))

    @on_outcome("answer")
    def answer(self, context: Context, outcome: Outcome) -> None:
        assert outcome.ticket == self.tickets.pop(0)
        self.log.append([context.tick, outcome.status, outcome.value, outcome.error])
        context.send("out", f"{outcome.status} {outcome.error}")


def asker(cls: type[Actor] = Asker, *, delay: int = 3, **options: Any) -> Graph:
    """Return a graph with an actor `a` that asks the world."""
    graph = Graph("asker")
    graph.add("a", cls, delay=delay, options=Options(**options))
    graph.connect("a.out", "@output.told")
    return graph


def log(sim: Simulation, path: str = "a") -> list[Any]:
    """Return tick, status, value and error of the outcomes that an asker got."""
    return sim.actor(path).log  # type: ignore[attr-defined,no-any-return]


def asked(graph: Graph | Blueprint, *words: str | AskWorld | AskAsync, ticks: int = 10) -> Simulation:
    """Return a simulation in which `a` asked for all this in tick 1."""
    sim = Simulation(graph)
    for word in words:
        port = {str: "word", AskWorld: "pair", AskAsync: "slow"}[type(word)]
        sim.inject(f"a.{port}", word)
    return sim.advance(ticks)


def records(sim: Simulation, kind: type[Any]) -> list[Any]:
    """Return the records of a kind."""
    return [each for each in sim.records() if type(each) is kind]


class Oracle:
    """Fixes the outcomes of some words in advance."""

    def __init__(self, **statuses: Any) -> None:
        self.statuses = statuses

    def outcome(self, intent: Intent) -> Outcome | None:
        status = self.statuses.get(intent.effect.word)  # type: ignore[attr-defined]
        return None if status is None else Outcome(intent.ticket, intent.effect, status, error="by the script")
