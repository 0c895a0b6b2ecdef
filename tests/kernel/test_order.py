"""Order: inboxes are canonical in every graph, and nothing but messages decides what happens."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neuraxis import Actor, Graph, Input, Options, Output, Simulation, on, on_inbox, on_start, on_timer, state
from neuraxis.blueprint import History, execute_again
from neuraxis.errors import ChannelOverflow
from neuraxis.explore.trial import CauseCheck
from neuraxis.graph import OVERFLOWS
from neuraxis.runner import Settings
from neuraxis.scheduler.envelope import activation_id, first_id, sequence_of, source_of
from neuraxis.simulation import TRACE_NAME
from neuraxis.testing.checks import resumed_digest, shuffled_digest
from tests.kernel.actors import Listener, Noisy, log_of, noisy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from neuraxis import Context, Inbox
    from neuraxis.scheduler.calendar import Mail

TICKS = 25


class Chatter(Actor):
    """Talks at random, answers some of what it hears, and remembers when it said what."""

    heard = Input(int)
    also = Input(int)
    out = Output(int)
    total: int = state(0)
    said: list[Any] = state(factory=list)

    @on_start
    def begin(self, context: Context) -> None:
        self.talk(context)

    @on_timer("again")
    def talk(self, context: Context) -> None:
        context.wake(1 + context.stream("pace").integers(0, 4), "again")
        self.say(context, self.total)

    @on(heard)
    def hear(self, context: Context, value: int) -> None:
        self.total = (self.total * 31 + value) % 100_003
        if value % 5 == 0:
            self.say(context, value + 1)

    @on(also)
    def hear_also(self, context: Context, value: int) -> None:
        self.total = (self.total * 37 + value) % 100_003

    def say(self, context: Context, value: int) -> None:
        self.said.append([context.tick, int(context.send("out", value)), value])


class Batcher(Chatter):
    """Likewise, but takes its inbox at once."""

    @on_inbox
    def take(self, context: Context, inbox: Inbox) -> None:
        for each in inbox:
            self.total = (self.total * 31 + each.payload) % 100_003
        if self.total % 3 == 0:
            self.say(context, self.total)


del Batcher.declaration.handlers["heard"], Batcher.declaration.handlers["also"]


class Waiter(Chatter):
    """Likewise, but thinks on another thread before it answers."""

    @on(Chatter.heard)
    async def hear(self, context: Context, value: int) -> None:
        self.total = (self.total * 31 + await context.offload(abs, value)) % 100_003
        self.say(context, self.total)
