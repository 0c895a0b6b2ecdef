"""Actors that do what is forbidden: negative controls."""

from __future__ import annotations

from neuraxis import Actor, Context, Graph, Input, Output, on, on_start, on_timer

SHARED = [0]


class Sharer(Actor):
    """Counts in a variable that all its kind share: the order in which they run decides."""

    heard = Input(int)
    told = Output(int)

    @on_start
    def begin(self, context: Context) -> None:
        SHARED[0] = 0
        context.wake(1, "again")

    @on_timer("again")
    def again(self, context: Context) -> None:
        SHARED[0] += 1
        context.send("told", SHARED[0])
        context.wake(1, "again")

    @on(heard)
    def hear(self, _: Context, value: int) -> None:
        """Only its delivery matters."""


class Setter(Actor):
    """Sends the words of a set in the order in which Python keeps them."""

    heard = Input(str)
    told = Output(str)

    @on_start
    def begin(self, context: Context) -> None:
        for word in {"sensory", "associative", "working", "episodic", "semantic", "executive"}:
            context.send("told", word)

    @on(heard)
    def hear(self, _: Context, value: str) -> None:
        """Only its delivery matters."""


def graph() -> Graph:
    """Return eight sharers in a ring."""
    made = Graph("sharing")
    for number in range(8):
        made.add(f"s{number}", Sharer)
    for number in range(8):
        made.connect(f"s{number}.told", f"s{(number + 1) % 8}.heard")
    return made


def set_graph() -> Graph:
    """Return an actor that tells itself the words of a set."""
    made = Graph("set")
    made.add("setter", Setter)
    made.connect("setter.told", "setter.heard")
    return made
