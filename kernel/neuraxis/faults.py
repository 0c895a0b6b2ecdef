"""Faults: what can go wrong, as data.

A fault names its place and its tick exactly, so that it needs no memory: a run that is stopped and resumed
meets the same faults. Each notes whether it fired; a fault that did not fire proves nothing.

    crash PATH at TICK              the actor's first handler in that tick raises
    lose SOURCE -> PATH.INPUT at TICK         mail due on the channel is lost
    duplicate SOURCE -> PATH.INPUT at TICK    mail due on the channel arrives twice
    overflow SOURCE -> PATH.INPUT at TICK     the mailbox is full: the channel's policy strikes
    miss PATH#SEQUENCE              the effect with that ticket is not done in time
    fail PATH#SEQUENCE              the effect with that ticket raises
    restart at TICK                 the run is stopped, captured and resumed; must change nothing
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, final

from msgspec import Struct

from neuraxis.errors import UsageInvalid, suggestion
from neuraxis.scheduler.effects import Outcome
from neuraxis.scheduler.envelope import sequence_of, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from neuraxis.graph import ChannelSpec
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.effects import Intent
    from neuraxis.scheduler.loop import Scheduler
    from neuraxis.wiring import Wiring

Kind = Literal["crash", "lose", "duplicate", "overflow", "miss", "fail", "restart"]
KINDS: Final[tuple[Kind, ...]] = ("crash", "lose", "duplicate", "overflow", "miss", "fail", "restart")

_FORMS: Final = {
    "crash": re.compile(r"crash (?P<path>\S+) at (?P<tick>\d+)"),
    "lose": re.compile(r"lose (?P<source>\S+) -> (?P<path>\S+)\.(?P<port>[^.\s]+) at (?P<tick>\d+)"),
    "duplicate": re.compile(r"duplicate (?P<source>\S+) -> (?P<path>\S+)\.(?P<port>[^.\s]+) at (?P<tick>\d+)"),
    "overflow": re.compile(r"overflow (?P<source>\S+) -> (?P<path>\S+)\.(?P<port>[^.\s]+) at (?P<tick>\d+)"),
    "miss": re.compile(r"miss (?P<path>\S+)#(?P<tick>\d+)"),
    "fail": re.compile(r"fail (?P<path>\S+)#(?P<tick>\d+)"),
    "restart": re.compile(r"restart at (?P<tick>\d+)"),
}


@final
class InjectedCrash(Exception):
    """Raised in an actor by a fault. Not a `NeuraxisError`: to the kernel it is a failure like any other."""


@final
class Fault(Struct, frozen=True, order=True):
    """One thing that goes wrong.

    Attributes:
        tick: When; for an effect, the sequence number of its ticket.
        kind: What.
        path: The actor, or the receiver of the channel.
        source: The sender of the channel.
        port: The input of the channel.
    """

    tick: int
    kind: Kind
    path: str = ""
    source: str = ""
    port: str = ""

    def __str__(self) -> str:
        if self.kind == "crash":
            return f"crash {self.path} at {self.tick}"
        if self.kind in ("miss", "fail"):
            return f"{self.kind} {self.path}#{self.tick}"
        if self.kind == "restart":
            return f"restart at {self.tick}"
        return f"{self.kind} {self.source} -> {self.path}.{self.port} at {self.tick}"


Plan = tuple[Fault, ...]


def plan_text(plan: Iterable[Fault]) -> str:
    """Return a plan as one line."""
    return "; ".join(str(fault) for fault in sorted(plan))


def parse_plan(text: str) -> Plan:
    """Read a plan from one line.

    Raises:
        UsageInvalid: A part of it is no fault.
    """
    return tuple(sorted(parse_fault(part.strip()) for part in text.split(";") if part.strip()))


def parse_fault(text: str) -> Fault:
    """Read one fault.

    Raises:
        UsageInvalid: It has none of the forms.
    """
    word = text.partition(" ")[0]
    match = _FORMS[word].fullmatch(text) if word in _FORMS else None
    if match is None:
        lines = [line.strip() for line in (__doc__ or "").splitlines() if line.startswith("    ")]
        forms = "; ".join(re.split(r"\s{2,}", line)[0] for line in lines)
        hint = suggestion(word, KINDS) if word not in _FORMS else ""
        raise UsageInvalid(what=f"{text!r} is no fault. {hint}".rstrip(), remedy=f"The forms are: {forms}")
    facts = match.groupdict()
    tick = int(facts.pop("tick"))
    return Fault(tick, word, **facts)  # type: ignore[arg-type]  # `word` is a key of the forms


def check_plan(plan: Plan, wiring: Wiring) -> None:
    """Check that every place in a plan exists and tolerates its fault.

    Raises:
        UsageInvalid: An actor or channel is unknown, or declares no tolerance for the fault.
    """
    channels = {(each.source, each.target, each.input): each for each in wiring.channels}
    for fault in plan:
        if fault.path and fault.path not in wiring.position:
            raise UsageInvalid(
                what=f"{fault}: there is no actor {fault.path!r}", remedy=suggestion(fault.path, wiring.paths)
            )
        if fault.kind in ("lose", "duplicate", "overflow"):
            channel = channels.get((fault.source, fault.path, fault.port))
            if channel is None or not tolerates(channel, fault.kind):
                what = f"{fault}: the channel does not exist, or does not declare that it tolerates this"
                remedy = (
                    'Declare tolerates = ["loss"] or ["duplication"], or a capacity with a policy other than "error".'
                )
                raise UsageInvalid(what=what, remedy=remedy)


def tolerates(channel: ChannelSpec, kind: str) -> bool:
    """Tell whether the scenario allows a fault on a channel."""
    if kind == "overflow":
        return channel.capacity is not None and channel.overflow != "error"
    return {"lose": "loss", "duplicate": "duplication"}[kind] in channel.tolerates


# --------------------------------------------------------------------------- doing them


@final
class Faults:
    """A plan, done to schedulers.

    Attributes:
        fired: The faults that have happened, in any of the schedulers that were armed.
    """

    def __init__(self, plan: Plan) -> None:
        self.fired: set[Fault] = set()
        self._crashes = {(fault.path, fault.tick): fault for fault in plan if fault.kind == "crash"}
        self._mail: dict[int, list[Fault]] = {}
        for fault in plan:
            if fault.kind in ("lose", "duplicate", "overflow"):
                self._mail.setdefault(fault.tick, []).append(fault)
        self._effects = {(fault.path, fault.tick): fault for fault in plan if fault.kind in ("miss", "fail")}

    def arm(self, scheduler: Scheduler) -> None:
        """Have the faults happen in a scheduler that has not started."""
        for path in sorted({path for path, _ in self._crashes}):
            scheduler.set_trap(scheduler.wiring.position[path], partial(self._crash, path, set()))
        if self._mail:
            scheduler.prepares.insert(0, lambda tick, mail: self._tamper(scheduler, tick, mail))

    def forget_crash(self, path: str, tick: int) -> None:
        """Have a crash not happen again: the run went on after it."""
        del self._crashes[path, tick]

    def _crash(self, path: str, struck: set[int], tick: int) -> None:
        """Raise in the first handler of a tick; the rest of its inbox may follow."""
        fault = self._crashes.get((path, tick))
        if fault is not None and tick not in struck:
            struck.add(tick)
            self.fired.add(fault)
            raise InjectedCrash(str(fault))

    def _tamper(self, scheduler: Scheduler, tick: int, mail: Mail) -> None:
        for fault in self._mail.get(tick, ()):
            position = scheduler.wiring.position[fault.path]
            source = scheduler.wiring.position[fault.source]
            inbox = mail.get(position, [])
            struck = [each for each in inbox if source_of(each[1]) == source and each[2] == fault.port]
            if not struck:
                continue
            self.fired.add(fault)
            if fault.kind == "duplicate":
                mail[position] = [copy for each in inbox for copy in ((each, each) if each in struck else (each,))]
                continue
            ids = {each[1] for each in struck}
            kept = [each for each in inbox if not (each[1] in ids and each[2] == fault.port)]
            for each in struck:
                scheduler.dead_letters.add(tick, position, each, f"fault: {fault.kind}")
            if kept:
                mail[position] = kept
            else:
                del mail[position]

    # ------------------------------------------------------------------ as a script of effects

    def outcome(self, intent: Intent) -> Outcome | None:
        """Return the outcome that a fault fixes for an effect, or None."""
        fault = self._effects.get((intent.path, sequence_of(intent.ticket)))
        if fault is None:
            return None
        self.fired.add(fault)
        if fault.kind == "miss":
            return Outcome(intent.ticket, intent.effect, "missed")
        return Outcome(intent.ticket, intent.effect, "error", error=f"InjectedFailure: {fault}")
