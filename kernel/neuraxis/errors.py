"""Every error that Neuraxis raises on purpose.

    NeuraxisError
    ├── InputError                    what a person wrote cannot be used           exit code 2
    │   ├── ScenarioInvalid           all mistakes of one scenario file or graph
    │   ├── FileUnusable              a file is missing, unreadable or not writable
    │   ├── UnitInvalid               a quantity without unit, or with the wrong one
    │   ├── DeclarationInvalid        an actor, port, message or hook is declared wrongly
    │   ├── PluginUnusable            a plugin is absent, broken or of another version
    │   ├── DuplicateName             two plugins offer one name
    │   ├── ExtraMissing              an optional library is not installed
    │   ├── TransportUnusable         a broker is unreachable, refuses, or cannot do what is needed
    │   └── UsageInvalid              a call or command line makes no sense
    ├── ContractError                 an actor broke its contract while running    exit code 1
    │   ├── PortUnknown
    │   ├── PayloadRejected           wrong type, shape, dtype or value for a port
    │   ├── EvidenceMissing           an output that must name its evidence did not
    │   ├── ForeignAwait              a handler awaited something other than `offload`
    │   └── StateNotCapturable
    ├── RunError                      the run cannot go on                         exit code 1
    │   ├── ActorFailed
    │   ├── ChannelOverflow
    │   ├── InvariantBroken
    │   ├── NoReply
    │   ├── SimulationUnusable        closed, or failed before
    │   ├── TransportFailed           the way between workers is cut for good
    │   ├── WorkerLost                a worker is missing and was not replaced
    │   └── WorkerFailed              a worker cannot go on, and told why
    ├── DamagedData                   bytes on disk are not what was written       exit code 4
    │   ├── JournalDamaged
    │   ├── SnapshotDamaged
    │   └── SignatureInvalid
    └── Divergence                    two runs that must agree do not              exit code 3
        └── GoldenMismatch

An error carries its facts as fields and its remedy in the last sentence. It survives pickling, so
that it can travel home from another process.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, dataclass_transform

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

PROBLEMS_SHOWN: Final = 30
"""Mistakes of one scenario that its error prints; all of them are in its fact `problems`."""

GOT_CHARACTERS: Final = 300
"""Characters of a wrong value that an error prints."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was probably meant to be, or None."""
    from difflib import get_close_matches  # only errors need it

    candidates = sorted(known)
    close = get_close_matches(name, candidates, n=1, cutoff=0.6)
    if close:
        return close[0]
    inside = [candidate for candidate in candidates if name and (name in candidate or candidate in name)]
    return inside[0] if inside else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a sentence that leads from an unknown name to a known one."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"Did you mean {close!r}?"
    if not names:
        return "None is known here."
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"Known: {shown}."


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 part`, `2 parts`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def told(error: BaseException) -> str:
    """Return type and text of an exception that foreign code raised; making its text may fail, too."""
    try:
        text = str(error)
    except Exception as other:  # noqa: BLE001 - it must not hide what it was to tell
        text = f"(its text cannot be made: {type(other).__name__})"
    return f"{type(error).__name__}: {_cut(text)}" if text else type(error).__name__


@dataclass_transform(kw_only_default=True, eq_default=False)
class NeuraxisError(Exception):
    """Root of every error raised on purpose.

    The annotations of a subclass are its facts: keyword arguments of the constructor, and attributes.
    """

    code: ClassVar[str] = "NX000"
    exit_code: ClassVar[int] = 1
    _facts: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = cls.__annotations__ if "__annotations__" in cls.__dict__ else {}
        cls._facts = (*cls._facts, *(name for name, hint in own.items() if "ClassVar" not in hint))

    def __init__(self, **facts: Any) -> None:
        if set(facts) != set(self._facts):
            raise TypeError(f"{type(self).__name__} takes the facts {self._facts}, got {tuple(facts)}")
        super().__init__()
        self.__dict__.update(facts)

    def facts(self) -> dict[str, Any]:
        """Return the facts by name."""
        return {name: getattr(self, name) for name in self._facts}

    def message(self) -> str:
        """Say what happened, where, and what to do about it."""
        return ""

    def __str__(self) -> str:
        return f"[{self.code}] {self.message()}"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self.facts()), (), {**self.__dict__}


# ------------------------------------------------------------------------------------ input


class InputError(NeuraxisError):
    """What a person wrote cannot be used. Nothing was run and nothing was written."""

    exit_code: ClassVar[int] = 2


class Problem(Struct, frozen=True, kw_only=True):
    """One mistake in a scenario file or graph.

    Attributes:
        where: File and line, `"ring.toml:7"`, or `""` for a graph built in Python.
        key: Dotted key, `"actors.relay.hops"`.
        got: What stands there, as a short text.
        expected: What to write instead, as a sentence.
    """

    where: str
    key: str
    got: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        got = f" is {_cut(self.got).rstrip('.')}" if self.got else ""
        return f"{place}{_cut(self.key)}{got}. {self.expected}"


def _cut(text: str) -> str:
    """Return a text of what somebody wrote, cut to what fits on a screen."""
    return text if len(text) <= GOT_CHARACTERS else f"{text[:GOT_CHARACTERS]}… ({len(text):,} characters)"


class ScenarioInvalid(InputError):
    """A scenario file or graph has mistakes; all of them are here."""

    code: ClassVar[str] = "NX101"
    name: str
    problems: tuple[Problem, ...]

    def message(self) -> str:
        count = len(self.problems)
        head = f"{self.name} has {counted(count, 'mistake')}:"
        hidden = count - PROBLEMS_SHOWN
        more = [f"… and {hidden:,} more. Correct these first."] if hidden > 0 else []
        return "\n  ".join([head, *map(str, self.problems[:PROBLEMS_SHOWN]), *more])


class FileUnusable(InputError):
    """A file or folder is missing, unreadable, read-only or full."""

    code: ClassVar[str] = "NX102"
    path: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.path}: {self.reason}. {self.remedy}"


class UnitInvalid(InputError):
    """A quantity is written without a unit, with an unknown one, or with one of another dimension."""

    code: ClassVar[str] = "NX103"
    text: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.text!r} {self.reason}. {self.remedy}"


class DeclarationInvalid(InputError):
    """An actor, port, message type, parameter or hook is declared in a way that cannot work."""

    code: ClassVar[str] = "NX104"
    subject: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.subject}: {self.reason}. {self.remedy}"


class PluginUnusable(InputError):
    """A plugin that the scenario names is absent, broken, of another API or not the locked one."""

    code: ClassVar[str] = "NX105"
    plugin: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"plugin {self.plugin!r}: {self.reason.rstrip('.')}. {self.remedy}"


class DuplicateName(InputError):
    """Two plugins offer one name."""

    code: ClassVar[str] = "NX106"
    what: str
    name: str
    first: str
    second: str

    def message(self) -> str:
        return (
            f"{self.what} {self.name!r} is offered by {self.first} and by {self.second}. "
            "Name only one of them under `plugins` in the scenario."
        )


class ExtraMissing(InputError):
    """An optional library is not installed."""

    code: ClassVar[str] = "NX107"
    library: str
    extra: str
    purpose: str

    def message(self) -> str:
        return (
            f"{self.purpose} needs {self.library}, which is not installed. "
            f"Install it with: pip install 'neuraxis[{self.extra}]'"
        )


class TransportUnusable(InputError):
    """A transport cannot carry this run: wrong URL, wrong password, old broker, missing feature, name in use."""

    code: ClassVar[str] = "NX108"
    transport: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"transport {self.transport}: {self.reason.rstrip('.')}. {self.remedy}"


class UsageInvalid(InputError):
    """A call, option or argument makes no sense here."""

    code: ClassVar[str] = "NX109"
    what: str
    remedy: str

    def message(self) -> str:
        return f"{self.what}. {self.remedy}"


# --------------------------------------------------------------------------------- contract


class ContractError(NeuraxisError):
    """An actor broke its contract while it ran: a mistake in its code."""


class PortUnknown(ContractError):
    """An actor used a port that it does not declare."""

    code: ClassVar[str] = "NX201"
    actor: str
    port: str
    known: tuple[str, ...]

    def message(self) -> str:
        return f"{self.actor} declares no output, timer or outcome {self.port!r}. " + suggestion(self.port, self.known)


class PayloadRejected(ContractError):
    """A payload does not fit the port it was sent on."""

    code: ClassVar[str] = "NX202"
    actor: str
    port: str
    expected: str
    got: str

    def message(self) -> str:
        return f"{self.actor}.{self.port} carries {self.expected}, got {self.got}. Send what the port declares."


class EvidenceMissing(ContractError):
    """An output declared with `evidence=True` was sent without `because`."""

    code: ClassVar[str] = "NX203"
    actor: str
    port: str

    def message(self) -> str:
        return (
            f"{self.actor}.{self.port} is a declared output and must name its evidence. "
            "Pass because=[…] with the messages that the answer rests on (context.message, kept in state)."
        )


class ForeignAwait(ContractError):
    """An async handler suspended on something other than `context.offload`."""

    code: ClassVar[str] = "NX204"
    actor: str
    awaited: str

    def message(self) -> str:
        return (
            f"an async handler of {self.actor} awaited {self.awaited}. Inside a tick only context.offload may be "
            "awaited; use context.effect for files, services and time."
        )


class StateNotCapturable(ContractError):
    """An actor's captured state holds a value that has no canonical byte form."""

    code: ClassVar[str] = "NX205"
    actor: str
    where: str
    got: str

    def message(self) -> str:
        return (
            f"state of {self.actor} at {self.where} is {self.got}, which cannot be captured. Use numbers, text, bytes, "
            "lists, tuples, dicts with text or integer keys, arrays, or registered messages."
        )


# -------------------------------------------------------------------------------------- run


class RunError(NeuraxisError):
    """The run cannot go on."""


class ActorFailed(RunError):
    """An actor under supervision `stop` raised; its tick was discarded everywhere.

    The original exception is the `__cause__`.
    """

    code: ClassVar[str] = "NX301"
    actor: str
    tick: int
    error: str
    handling: str

    def message(self) -> str:
        return (
            f"{self.actor} failed at tick {self.tick} while handling {self.handling}: {self.error.rstrip('.')}. "
            f"The run stands at the end of tick {self.tick - 1}. Correct the actor, or let it go on with "
            'on_failure = "restart" or "isolate".'
        )


class ChannelOverflow(RunError):
    """More messages wait on a channel than its capacity allows, and its policy is `error`."""

    code: ClassVar[str] = "NX302"
    channel: str
    tick: int
    waiting: int
    capacity: int

    def message(self) -> str:
        return (
            f"channel {self.channel} holds {self.waiting} waiting messages at tick {self.tick}, its capacity is "
            f"{self.capacity}. Raise capacity or messages_per_tick, choose overflow = "
            '"drop_oldest" | "drop_newest" | "dead_letter", or let the receiver grant credits.'
        )


class InvariantBroken(RunError):
    """An invariant of the scenario does not hold at a tick boundary."""

    code: ClassVar[str] = "NX303"
    invariant: str
    tick: int
    got: str

    def message(self) -> str:
        return (
            f"invariant {self.invariant} does not hold at the end of tick {self.tick}: {self.got}. "
            "Correct the actors; neuraxis why RUN PATH#NUMBER tells what led to a message."
        )


class NoReply(RunError):
    """`ask` got no correlated answer in time."""

    code: ClassVar[str] = "NX304"
    target: str
    within: int
    tick: int

    def message(self) -> str:
        return (
            f"{self.target} gave no answer within {self.within} ticks (now tick {self.tick}). An answer is a message "
            "to @output whose causes include the question; raise within=… if it needs longer."
        )


class SimulationUnusable(RunError):
    """The simulation is closed, or failed before."""

    code: ClassVar[str] = "NX305"
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.reason}. {self.remedy}"


class WorkerFailed(RunError):
    """A worker of a distributed run cannot go on; it told why."""

    code: ClassVar[str] = "NX308"
    worker: int
    text: str

    def message(self) -> str:
        return f"worker {self.worker}: {self.text.rstrip('.')}. Correct that; neuraxis resume RUN goes on."


class TransportFailed(RunError):
    """The way between the members of a distributed run is cut for good."""

    code: ClassVar[str] = "NX306"
    transport: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"transport {self.transport}: {self.reason.rstrip('.')}. {self.remedy}"


class WorkerLost(RunError):
    """A worker is missing for longer than allowed, and was not replaced."""

    code: ClassVar[str] = "NX307"
    worker: int
    reason: str
    remedy: str

    def message(self) -> str:
        return f"worker {self.worker} is lost: {self.reason.rstrip('.')}. {self.remedy}"


# ---------------------------------------------------------------------------------- damage


class DamagedData(NeuraxisError):
    """Bytes on disk are not what was written."""

    exit_code: ClassVar[int] = 4


class JournalDamaged(DamagedData):
    """A frame of a journal fails its check.

    Attributes:
        sound_frames: Frames before the damage, all of them verified.
        offset: Byte offset of the damaged frame in the file.
    """

    code: ClassVar[str] = "NX401"
    path: str
    part: str
    offset: int
    sound_frames: int
    remedy: str

    def message(self) -> str:
        return (
            f"{self.path}: {self.part} at byte {self.offset} is damaged; "
            f"{self.sound_frames} frames before it are sound. {self.remedy}"
        )


class SnapshotDamaged(DamagedData):
    """A part of a snapshot fails its check."""

    code: ClassVar[str] = "NX402"
    path: str
    part: str
    offset: int
    remedy: str

    def message(self) -> str:
        return f"{self.path}: part {self.part!r} is damaged at byte {self.offset}. {self.remedy}"


class SignatureInvalid(DamagedData):
    """A snapshot's signature is missing, or not by the expected key."""

    code: ClassVar[str] = "NX403"
    path: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.path}: {self.reason}. {self.remedy}"


# ------------------------------------------------------------------------------- divergence


class Divergence(NeuraxisError):
    """Two runs that must agree do not.

    Attributes:
        subject: What was compared.
        finding: The first difference: tick, actor, message, field.
    """

    code: ClassVar[str] = "NX501"
    exit_code: ClassVar[int] = 3
    subject: str
    finding: str
    remedy: str

    def message(self) -> str:
        return f"{self.subject}: {self.finding}. {self.remedy}"


class GoldenMismatch(Divergence):
    """A run differs from its golden."""

    code: ClassVar[str] = "NX502"
