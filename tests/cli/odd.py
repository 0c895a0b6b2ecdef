"""A plugin for tests whose actor does what the environment variable ODD says, at tick 7 or at the moment that it names.

Without ODD the scenario runs to its end: whatever happens on the way, that is the digest it must come to.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from neuraxis import (
    Actor,
    Chart,
    Context,
    Input,
    Manifest,
    Output,
    Resource,
    hookimpl,
    on,
    on_start,
    on_timer,
    parameter,
    state,
)

MANIFEST = Manifest(name="odd", version="1.0")


class Mute(Exception):
    """An exception that cannot be told."""

    def __str__(self) -> str:
        raise RuntimeError("no text either")

    __repr__ = __str__


def misbehave(moment: str) -> Any:
    """Do what ODD says, if this is the moment: `handler:exit` calls sys.exit in a handler."""
    where, _, what = os.environ.get("ODD", "").partition(":")
    if where != moment:
        return None
    if what.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, what))
    return {"exit": leave, "raise": complain, "mute": fall_silent, "print": speak, "interrupt": interrupt}.get(
        what, lambda: what
    )()


def leave() -> NoReturn:
    sys.exit(0)


def complain() -> NoReturn:
    raise ValueError("as it was told")


def fall_silent() -> NoReturn:
    raise Mute


def interrupt() -> NoReturn:
    raise KeyboardInterrupt


def speak() -> None:
    print("a plugin speaks")


class Odd(Actor):
    """Sends a random number every tick that depends on all numbers before."""

    told = Output(int, "a number")
    total: int = state(0)

    def setup(self) -> None:
        misbehave("setup")

    @on_start
    def begin(self, context: Context) -> None:
        context.wake(1, "again")

    @on_timer("again")
    def again(self, context: Context) -> None:
        context.wake(1, "again")
        self.total = (31 * self.total + int(context.stream("numbers").integers(0, 1000))) % 1_000_003
        context.send("told", self.total)
        if context.tick == 7:
            misbehave("handler")

    def figures(self) -> Mapping[str, Any]:
        strange = misbehave("figures")
        if strange == "none":
            return None  # type: ignore[return-value]
        if strange == "strange":
            return {"total": self.total, "big": 2**70, "thing": object(), "nan": float("nan"), "list": [1]}
        return {"total": self.total}

    def invariant(self) -> str | None:
        misbehave("invariant")
        return None

    def charts(self) -> Any:
        return [Chart("sound", rows=(("a",), ("1",))), 5] if misbehave("charts") == "strange" else ()

    def close(self) -> None:
        misbehave("close")
        if marks := os.environ.get("CLOSED"):
            with Path(marks).open("a") as file:
                file.write(f"{type(self).__name__}\n")


class Ear(Actor):
    """Hears numbers."""

    heard = Input(int, "a number")
    data: Resource = parameter(Resource, Resource("", ""), help="a file that it could read")
    last: int = state(0)

    @on(heard)
    def hear(self, _: Context, number: int) -> None:
        self.last = number

    def close(self) -> None:
        Odd.close(self)  # type: ignore[arg-type]


misbehave("import")


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    misbehave("register")
    return {"odd": Odd, "ear": Ear}


@hookimpl
def neuraxis_review_graph() -> Any:
    return misbehave("review") or []


@hookimpl
def neuraxis_simulation_opened() -> None:
    misbehave("opened")


@hookimpl
def neuraxis_snapshot_taken() -> None:
    misbehave("taken")


@hookimpl
def neuraxis_simulation_closed() -> None:
    misbehave("closed")
