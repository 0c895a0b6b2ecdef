"""A plugin for tests of distributed runs: nodes that use everything that an actor may use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import attrs
import numpy as np

from neuraxis import (
    Actor,
    Array,
    Context,
    Effect,
    Input,
    Manifest,
    Outcome,
    Output,
    hookimpl,
    message,
    on,
    on_outcome,
    on_start,
    on_timer,
    parameter,
    state,
)

MANIFEST = Manifest(name="web", version="1.0")


@message("web-parcel")
@attrs.frozen
class Parcel:
    """A value with an array of some length."""

    value: int
    weight: float
    content: Array


@message("web-lookup")
@attrs.frozen
class Lookup(Effect):
    """Looks a number up in the world; the world always says the same of one key."""

    number: int

    def perform(self, key: str) -> int:
        """Return a number that depends on what is asked, and on who asks."""
        who = key.partition("/")[2]  # without the name of the run
        return int.from_bytes(hashlib.sha256(f"{who}/{self.number}".encode()).digest()[:6], "little")


class Node(Actor):
    """Folds what it gets, and sends on what comes of it."""

    busy: int = parameter(int, 3, help="the smaller, the more it does", at_least=1)
    breaks: int = parameter(int, 0, help="raises at every so-manieth message; 0 never")
    heavy: int = parameter(int, 0, help="length of the arrays that it sends")
    parcel = Input(Parcel, "from other nodes")
    number = Input(int, "from outside")
    out = Output(Parcel, "to other nodes")
    told = Output(int, "to the outside")
    folded: int = state(0)
    seen: int = state(0)

    @on_start
    def begin(self, context: Context) -> None:
        """Send a first parcel, now and then."""
        if context.stream("begin").bernoulli(0.3):
            self.send_on(context, 1)
        context.wake(7, "again")

    @on(parcel)
    def take(self, context: Context, parcel: Parcel) -> None:
        """Fold the parcel in."""
        self.fold(context, parcel.value + int(parcel.content.sum()) % 1_000_003)

    @on(number)
    def take_number(self, context: Context, number: int) -> None:
        """Fold the number in."""
        self.fold(context, number)

    def fold(self, context: Context, value: int) -> None:
        """Mix a value into the state; what follows depends on the state."""
        self.seen += 1
        self.folded = (self.folded * 1_000_003 + value * 7_919 + context.tick) % (2**61 - 1)
        if self.breaks and self.seen % self.breaks == 0:
            raise ValueError(f"broke at message {self.seen}")
        if self.folded % self.busy == 0:
            self.send_on(context, self.folded % 1_000_000)
        if self.folded % 11 == 0:
            context.effect(Lookup(self.folded % 997), delay=3, to="found")
        if self.folded % 13 == 0:
            context.send("told", self.folded % 1_000_000)

    def send_on(self, context: Context, value: int) -> None:
        """Send a parcel with numbers that were drawn."""
        draw = context.stream("content")
        content = np.asarray(draw.integers(0, 1_000, self.heavy or 3), dtype=np.int64)
        context.send("out", Parcel(value, float(draw.random()), content))

    @on_timer("again")
    def again(self, context: Context) -> None:
        """Go on from time to time, so that nothing dies out."""
        context.wake(7 + context.stream("again").integers(0, 5), "again")
        if self.folded % 2 == 0:
            self.send_on(context, self.folded % 1_000)

    @on_outcome("found")
    def found(self, context: Context, outcome: Outcome) -> None:
        """Fold in what the world said."""
        self.fold(context, outcome.value if outcome.status == "value" else 1)

    def figures(self) -> Mapping[str, int]:
        """What it saw."""
        return {"seen": self.seen, "folded": self.folded}


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer the node."""
    return {"web.node": Node}


@hookimpl
def neuraxis_register_messages() -> list[type]:
    """Offer what states hold."""
    return [Lookup]
