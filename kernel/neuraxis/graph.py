"""The graph: actors at paths, joined by channels with delays.

A `Graph` is what a scenario file describes, or what a program builds with `add` and `connect`.
`neuraxis.wiring.wire` checks it and makes it ready to run. Nothing depends on the order in which
actors and channels were added.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, final

from msgspec import Struct

from neuraxis import units
from neuraxis.parameter import whole_ticks

if TYPE_CHECKING:
    from fractions import Fraction

    from neuraxis.actor import Actor

OUTPUT: Final = "@output"
PATH: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*")

Overflow = Literal["error", "drop_oldest", "drop_newest", "dead_letter"]
Lane = Literal["normal", "emergency"]
Tolerance = Literal["loss", "duplication"]
Policy = Literal["stop", "restart", "isolate"]

OVERFLOWS: Final[tuple[Overflow, ...]] = ("error", "drop_oldest", "drop_newest", "dead_letter")
LANES: Final[tuple[Lane, ...]] = ("normal", "emergency")
TOLERANCES: Final[tuple[Tolerance, ...]] = ("loss", "duplication")
POLICIES: Final[tuple[Policy, ...]] = ("stop", "restart", "isolate")


@final
class Options(Struct, frozen=True):
    """How the kernel treats one actor.

    Attributes:
        on_failure: `stop` ends the run; `restart` goes on from the actor's newest checkpoint;
            `isolate` does so after a pause in which its mail goes to the dead letters.
        checkpoint_every: Ticks between the actor's own checkpoints; None keeps the one of tick 0.
        failures_max: Failures after which `restart` and `isolate` turn into `stop`.
        pause: Ticks for which `isolate` keeps the actor apart.
        messages_per_tick: Messages it takes in one tick; the rest waits. None takes all.
        shard: Virtual shard, if not by the hash of the path.
    """

    on_failure: Policy = "stop"
    checkpoint_every: int | None = None
    failures_max: int = 1_000
    pause: int = 100
    messages_per_tick: int | None = None
    shard: int | None = None


DEFAULT_OPTIONS: Final = Options()


@final
class ActorSpec(Struct, frozen=True):
    """One actor of a graph: where it is, what it is, and how it is treated.

    Attributes:
        path: Its place, `"cortex/layer-4"`.
        kind: Its name in scenarios and digests.
        cls: Its class.
        parameters: As they were written; checked when the graph is wired.
        options: How the kernel treats it.
        key: Where it stands in the scenario, `"actors.relay"`.
        row_of: Path of the population that it is a row of, and the row: it then draws what that row draws.
    """

    path: str
    kind: str
    cls: type[Actor]
    parameters: dict[str, Any]
    options: Options = DEFAULT_OPTIONS
    key: str = ""
    row_of: tuple[str, int] | None = None


@final
class ChannelSpec(Struct, frozen=True):
    """One channel of a graph.

    Attributes:
        source, output: The sending actor's path and output port.
        target, input: The receiving actor's path and input port; `@output` is the outside world.
        delay: Ticks from sending to delivery, at least 1.
        lane: `emergency` is delivered first and is exempt from limits.
        capacity: Messages that may wait beyond the receiver's `messages_per_tick`; None is no bound.
        overflow: What happens to a message beyond the capacity.
        tolerates: Faults that the receiver is built for; `explore` injects only these.
        key: Where it stands in the scenario, `"channels[3]"`.
    """

    source: str
    output: str
    target: str
    input: str
    delay: int = 1
    lane: Lane = "normal"
    capacity: int | None = None
    overflow: Overflow = "error"
    tolerates: tuple[Tolerance, ...] = ()
    key: str = ""

    @property
    def name(self) -> str:
        """The channel as people write it: `a.out -> b.in`."""
        return f"{self.source}.{self.output} -> {self.target}.{self.input}"


@final
class Graph:
    """Actors and channels, before they are checked and wired.

    Example:
        >>> graph = Graph("pair", tick="1 ms")
        >>> graph.add("left", Relay, limit=10)
        >>> graph.add("right", Relay)
        >>> graph.connect("left.onward", "right.token", delay=2)
    """

    def __init__(self, name: str, *, tick: str = "1 ms") -> None:
        """Start an empty graph.

        Args:
            name: For reports and run folders.
            tick: Length of a tick, as a quantity of time.

        Raises:
            UnitInvalid: `tick` is no time.
        """
        self.name = name
        self.tick: Fraction = units.parse(tick).exactly("s")
        self.actors: list[ActorSpec] = []
        self.channels: list[ChannelSpec] = []

    def add(
        self,
        path: str,
        cls: type[Actor],
        /,
        *,
        kind: str | None = None,
        options: Options = DEFAULT_OPTIONS,
        **parameters: Any,
    ) -> None:
        """Add an actor at `path`. `kind` is its name in the digest, if not the name of the class."""
        self.actors.append(ActorSpec(path, kind or cls.__name__, cls, parameters, options))

    def connect(self, source: str, target: str, *, delay: int | str = 1, **options: Any) -> None:
        """Join `"path.output"` to `"path.input"`, or to `"@output.name"`.

        Args:
            source, target: Ends of the channel.
            delay: Whole number of ticks, or a time that is one.
            options: Further fields of `ChannelSpec`.

        Raises:
            UnitInvalid: `delay` is a text, but no time that is a whole number of ticks.
        """
        (sender, _, output), (receiver, _, port) = source.rpartition("."), target.rpartition(".")
        ticks = whole_ticks(delay, self.tick)
        self.channels.append(ChannelSpec(sender, output, receiver, port, delay=ticks, **options))
