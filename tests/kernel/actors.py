"""Small actors that the tests of the kernel share. Each does one thing that a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from neuraxis import (
    Actor,
    Array,
    Graph,
    Input,
    Options,
    Output,
    Resource,
    Simulation,
    array,
    message,
    on,
    on_inbox,
    on_start,
    on_timer,
    parameter,
    state,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from neuraxis import Context, Inbox
    from neuraxis.scheduler.calendar import Mail


@message("test-point")
@attrs.frozen
class Point:
    """A message with a name and a place."""

    name: str
    x: float
    y: float


@message("test-frame")
@attrs.frozen
class Frame:
    """A message with an array of any shape, one of a known shape, and a nested message."""

    number: int
    free: Array
    corner: Point


class Speaker(Actor):
    """Sends what its plan says: "3:7" is the value 7 at tick 3; "3:7 5:8" is a plan."""

    plan: str = parameter(str, "", help="what to send when")
    out = Output(int, "the values")
    sent: int = state(0)

    def setup(self) -> None:
        self.by_tick: dict[int, list[int]] = {}
        for item in self.plan.split():
            tick, _, value = item.partition(":")
            self.by_tick.setdefault(int(tick), []).append(int(value))

    @on_start
    def begin(self, context: Context) -> None:
        for tick in sorted(self.by_tick):
            if tick > 0:
                context.wake(tick, "speak")
        self.speak(context)

    @on_timer("speak")
    def speak(self, context: Context) -> None:
        for value in self.by_tick.get(context.tick, ()):
            context.send("out", value)
            self.sent += 1


class Listener(Actor):
    """Remembers what it heard: tick, source and value."""

    heard = Input(int, "anything")
    also = Input(int, "anything else")
    log: list[Any] = state(factory=list)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.log.append([context.tick, context.source, value])

    @on(also)
    def hear_also(self, context: Context, value: int) -> None:
        self.log.append([context.tick, context.source, -value])

    def at(self, tick: int) -> list[int]:
        """Return the values heard in a tick."""
        return [value for when, _, value in self.log if when == tick]

    def figures(self) -> dict[str, int]:
        return {"heard": len(self.log)}


class Collector(Actor):
    """Takes whole inboxes and remembers them: tick, then port, source, sent tick and payload of each message."""

    a = Input(int)
    b = Input(int)
    out = Output(int)
    log: list[Any] = state(factory=list)

    @on_inbox
    def take(self, context: Context, inbox: Inbox) -> None:
        self.log.append([context.tick, [[each.port, each.source, each.sent, each.payload] for each in inbox]])
        context.send("out", len(inbox))


class Relay(Actor):
    """Passes a token on, one higher, up to a limit; the first one may start."""

    limit: int = parameter(int, 1_000)
    starts: bool = parameter(bool, False)
    token = Input(int)
    onward = Output(int)
    seen: int = state(0)

    @on_start
    def begin(self, context: Context) -> None:
        if self.starts:
            context.send("onward", 1)

    @on(token)
    def pass_on(self, context: Context, value: int) -> None:
        self.seen += 1
        if value < self.limit:
            context.send("onward", value + 1)


class Noisy(Actor):
    """Every tick sends a random number that depends on everything it ever heard: any lost bit shows."""

    heard = Input(int)
    out = Output(int)
    total: int = state(0)
    history: list[int] = state(factory=list)

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(1, "again")

    @on_timer("again")
    def again(self, context: Context) -> None:
        context.wake(1 + context.stream("pace").integers(0, 3), "again")
        context.send("out", (self.total + context.stream("noise").integers(0, 1000)) % 100_003)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.total = (self.total * 31 + value) % 1_000_003
        self.history.append(value)


class Fragile(Actor):
    """Echoes what it hears; raises on values below zero, after having sent, set a timer and changed its state."""

    heard = Input(int)
    out = Output(int)
    seen: list[int] = state(factory=list)
    rang: int = state(0)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.seen.append(value)
        context.send("out", value)
        if value < 0:
            context.wake(1, "ring")
            raise ValueError(f"cannot stand {value}")

    @on_timer("ring")
    def ring(self, context: Context) -> None:
        self.rang += 1


class Evident(Actor):
    """Keeps the messages it hears, and names the one that its parameter says."""

    which: int = parameter(int, 0)
    heard = Input(int)
    out = Output(int, evidence=True)
    kept: list[int] = state(factory=list)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.kept.append(context.message)
        if len(self.kept) == 3:
            context.send("out", value, because=[self.kept[self.which]])  # type: ignore[list-item]


class Camera(Actor):
    """Sends an array of its own every tick."""

    side: int = parameter(int, 4)
    tick_me = Input(int)
    picture = Output(array("float32", "side", "side"))
    frame = Output(Frame)

    @on(tick_me)
    def shoot(self, context: Context, value: int) -> None:
        import numpy as np

        context.send("picture", np.full((self.side, self.side), value, np.float32))
        context.send("frame", Frame(value, np.arange(value), Point("p", float(value), 0.5)))


class Dial(Actor):
    """Has parameters of every kind."""

    tau: float = parameter(float, "20 ms", unit="ms", at_least=0, help="how slow")
    wait: int = parameter(int, "5 ms", unit="ticks", at_least=1)
    size: int = parameter(int, help="how large", at_least=1)
    mode: str = parameter(str, "soft", choices=("soft", "hard"))
    flags: tuple[bool, ...] = parameter(tuple[bool, ...], ())
    data: Resource | None = parameter(Resource, None)
    secret: int = parameter(int, 0, semantic=False)
    picture = Input(array("float32", "size", None))
    number = Input(int)
    point = Input(Point)
    out = Output(array("float32", "size", "size"))
    words = Output(str)
    points = Output(Point)

    @on(picture)
    def see(self, context: Context, value: np.ndarray) -> None: ...

    @on(number)
    def count(self, context: Context, value: int) -> None: ...

    @on(point)
    def go(self, context: Context, value: Point) -> None: ...


class Plain(Dial):
    """A dial without the parameter that needs a file."""

    data: Any = parameter(int, 0)


def ring(size: int = 4, *, limit: int = 1_000, delay: int = 1) -> Graph:
    """Return a ring of relays in which one token goes round."""
    graph = Graph("ring")
    for index in range(size):
        graph.add(f"relay/{index}", Relay, limit=limit, starts=index == 0)
    for index in range(size):
        graph.connect(f"relay/{index}.onward", f"relay/{(index + 1) % size}.token", delay=delay)
    return graph


def noisy(size: int = 4) -> Graph:
    """Return a graph in which every actor hears two others, at different delays, and all is random."""
    graph = Graph("noisy")
    for index in range(size):
        graph.add(f"n{index}", Noisy)
    for index in range(size):
        graph.connect(f"n{index}.out", f"n{(index + 1) % size}.heard", delay=1)
        graph.connect(f"n{index}.out", f"n{(index + 2) % size}.heard", delay=2 + index % 3)
    graph.connect("n0.out", "@output.zero")
    return graph


def dials(**sizes: int) -> Graph:
    """Return a graph of dials of these sizes."""
    graph = Graph("dials")
    for path, size in sizes.items():
        graph.add(path, Plain, size=size)
    return graph


def talk(*plans: str, **options: Any) -> Graph:
    """Return a graph with one speaker a plan, `s0`, `s1` …, and a listener `ear` whose options are given."""
    graph = Graph("talk")
    graph.add("ear", Listener, options=Options(**options))
    for index, plan in enumerate(plans):
        graph.add(f"s{index}", Speaker, plan=plan)
    return graph


def heard(*plans: str, delay: int = 1, port: str = "heard") -> Simulation:
    """Return a simulation in which a listener heard speakers with these plans."""
    graph = talk(*plans)
    for index in range(len(plans)):
        graph.connect(f"s{index}.out", f"ear.{port}", delay=delay)
    return Simulation(graph).advance(20)


def evident(which: int) -> Simulation:
    graph = Graph("evident")
    graph.add("e", Evident, which=which)
    graph.add("s", Speaker, plan="1:5 2:6 3:7")
    graph.connect("s.out", "e.heard")
    graph.connect("e.out", "@output.answer")
    return Simulation(graph).advance(9)


def log_of(sim: Simulation, path: str = "ear") -> list[Any]:
    """Return what a listener or collector remembers."""
    return sim.actor(path).log  # type: ignore[attr-defined,no-any-return]


class Deliveries:
    """Keeps all that was delivered, tick by tick."""

    def __init__(self) -> None:
        self.ticks: list[tuple[int, list[tuple[int, list[Any]]]]] = []

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        self.ticks.append((tick, [(position, list(mail[position])) for position in order]))
