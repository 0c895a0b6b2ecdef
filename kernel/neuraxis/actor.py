"""What an actor is: declared parameters, ports and state, and handlers that react.

An actor is a class. Its body declares everything that others need to know, as class attributes:

    class Relay(Actor):
        \"\"\"Passes a token on, one higher.\"\"\"

        limit: int = parameter(int, 1_000, help="pass on tokens below this value", at_least=1)
        token = Input(int, "the token")
        onward = Output(int, "the token for the next relay")
        seen: int = state(0)

        @on(token)
        def pass_on(self, context: Context, value: int) -> None:
            self.seen += 1
            if value < self.limit:
                context.send("onward", value + 1)

Handlers reach the world only through their context. What an actor must remember from tick to tick is
declared with `state`, so that it can be captured, restored, compared and migrated.
"""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar, final

import numpy as np
from msgspec import Struct, field

from neuraxis.errors import DeclarationInvalid, suggestion
from neuraxis.message import SCALARS, ArraySpec, message_type
from neuraxis.parameter import KINDS, REQUIRED, TICKS, Parameter, Resource, Unfit, parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from neuraxis.report import Chart

F = TypeVar("F", bound="Callable[..., Any]")

Determinism = Literal["exact", "machine", "statistical"]
"""`exact`: same bits on every machine; `machine`: on one machine and library build; `statistical`: neither."""

DETERMINISM_CLASSES: Final[tuple[Determinism, ...]] = ("exact", "machine", "statistical")
"""From strongest to weakest."""

START: Final = "@start"
TIMER: Final = "@timer:"
OUTCOME: Final = "@outcome:"


# ---------------------------------------------------------------------------- declarations


@final
class State(Struct, frozen=True, eq=False):
    """A value that an actor keeps from tick to tick. Made by `state`."""

    default: Any
    factory: Callable[[], Any] | None


def state(default: Any = None, *, factory: Callable[[], Any] | None = None) -> Any:
    """Declare an attribute as state: it is captured in snapshots and restored from them.

    Args:
        default: Initial value, immutable.
        factory: Makes the initial value, for lists, dicts and arrays.

    Raises:
        DeclarationInvalid: The default could be changed in place and so be shared between actors.
    """
    if isinstance(default, list | dict | set | np.ndarray):
        raise DeclarationInvalid(
            subject=f"state({default!r})",
            reason="would be shared by all actors of the class",
            remedy="Use state(factory=…), or set it in setup().",
        )
    return State(default=default, factory=factory)


@final
class Input:
    """Declares a port that receives messages of one kind."""

    def __init__(self, kind: type[Any] | ArraySpec, help: str = "") -> None:
        self.kind = kind
        self.help = help


@final
class Output:
    """Declares a port that sends messages of one kind.

    Args:
        kind: A scalar type, an array specification, or a registered message class.
        help: One sentence.
        evidence: Whether every message must name what it rests on (`because=[…]`).
    """

    def __init__(self, kind: type[Any] | ArraySpec, help: str = "", *, evidence: bool = False) -> None:
        self.kind = kind
        self.help = help
        self.evidence = evidence


@final
class _Reaction(Struct, frozen=True):
    """What a handler reacts to."""

    source: Literal["input", "inbox", "start", "timer", "outcome"]
    subject: Any = None


def on(port: Input) -> Callable[[F], F]:
    """React to each message on an input port: `handler(self, context, payload)`."""
    return _marks(_Reaction("input", port))


def on_inbox(handler: F) -> F:
    """React to all messages of a tick at once: `handler(self, context, inbox)`.

    It runs after the timers and outcomes of the tick, and once for them also where there is no message.
    The cause of what it sends is the activation, not a single message.
    """
    return _marks(_Reaction("inbox"))(handler)


def on_start(handler: F) -> F:
    """React once, at tick 0, before any message: `handler(self, context)`."""
    return _marks(_Reaction("start"))(handler)


def on_timer(name: str) -> Callable[[F], F]:
    """React when a timer that was set with `context.wake(ticks, name)` is due: `handler(self, context)`."""
    return _marks(_Reaction("timer", name))


def on_outcome(name: str) -> Callable[[F], F]:
    """React to the outcome of an effect started with `effect(…, to=name)`: `handler(self, context, outcome)`."""
    return _marks(_Reaction("outcome", name))


def _marks(reaction: _Reaction) -> Callable[[F], F]:
    def mark(handler: F) -> F:
        handler.__neuraxis_reaction__ = reaction  # type: ignore[attr-defined]
        return handler

    return mark


@final
class Declaration(Struct, frozen=True):
    """Everything that a class of actors declares.

    Attributes:
        parameters, states, inputs, outputs: By name.
        handlers: Entry name to attribute name of the method. Entries are input names, `@start`,
            `@timer:NAME` and `@outcome:NAME`.
        inbox: Method that takes whole inboxes, or None.
        is_async: Whether any handler is `async def`.
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    handlers: dict[str, str] = field(default_factory=dict)
    inbox: str | None = None
    is_async: bool = False


# ----------------------------------------------------------------------------------- actor


class Actor:
    """Base of all actors. Subclasses declare; see the module's example.

    Attributes:
        declaration: What the class declares; collected when the class is made.
        determinism: Class of the actor's own computation.
        effects: The kinds of effect that the actor may start.
        state_version: Version of the captured state; raise it when the meaning of the state changes,
            and register a migration.
    """

    declaration: ClassVar[Declaration] = Declaration()
    determinism: ClassVar[Determinism] = "exact"
    effects: ClassVar[tuple[type[Any], ...]] = ()
    state_version: ClassVar[int] = 1

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.declaration = _collect(cls)

    def __init__(self, **parameters: Any) -> None:
        """Make an actor with parameter values as the actor sees them, or as text with a unit.

        Raises:
            DeclarationInvalid: A value is missing, unknown or unfit.
        """
        declared = self.declaration
        for name, declared_parameter in declared.parameters.items():
            subject = f"{type(self).__name__}.{name}"
            value = parameters.pop(name, declared_parameter.default)
            if value is REQUIRED:
                remedy = f"Pass {name}=…: {declared_parameter.description()}."
                raise DeclarationInvalid(subject=subject, reason="has no value", remedy=remedy)
            try:
                fits = isinstance(value, int | float) and declared_parameter.unit is not None
                setattr(self, name, value if fits else declared_parameter.accept(value))
            except Unfit as unfit:
                raise DeclarationInvalid(subject=subject, reason=f"is {unfit.got}", remedy=unfit.expected) from None
        for name in parameters:
            raise DeclarationInvalid(
                subject=f"{type(self).__name__}.{name}",
                reason="is no parameter",
                remedy=suggestion(name, declared.parameters),
            )
        for name, declared_state in declared.states.items():
            factory = declared_state.factory
            setattr(self, name, declared_state.default if factory is None else factory())
        self.setup()

    def setup(self) -> None:
        """Derive what follows from the parameters alone: arrays of the right size, tables, names.

        Called once when the actor is made, before a captured state is restored.
        """

    def capture(self) -> dict[str, Any]:
        """Return all state as a tree of plain values and arrays that the actor will not change any more."""
        return {name: _isolated(getattr(self, name)) for name in self.declaration.states}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a state that `capture` returned.

        Raises:
            DeclarationInvalid: The names of the state differ from those declared.
        """
        if set(captured) != set(self.declaration.states):
            raise DeclarationInvalid(
                subject=f"state of {type(self).__name__}",
                reason=f"holds {sorted(captured)}, the actor declares {sorted(self.declaration.states)}",
                remedy="Raise state_version and register a migration.",
            )
        for name, value in captured.items():
            setattr(self, name, _isolated(value))

    def figures(self) -> Mapping[str, int | float | str | None]:
        """Return the figures that the run reports for this actor, by name."""
        return {}

    def charts(self) -> Iterable[Chart]:
        """Return pictures and tables for the run's HTML report."""
        return ()

    def invariant(self) -> str | None:
        """Return a sentence that says what is wrong with the state, or None. Must not change anything."""
        return None

    def close(self) -> None:
        """Release what the actor holds outside Python's memory. Called once, after the last tick."""


def _isolated(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | dict):
        return copy.deepcopy(value)
    return value


# ------------------------------------------------------------------------------ collection


def _collect(cls: type[Actor]) -> Declaration:
    found = Declaration()
    names: dict[int, str] = {}
    is_async = False
    inbox = None
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Parameter):
                _check_parameter(cls, name, value)
                found.parameters[name] = value
            elif isinstance(value, State):
                found.states[name] = value
            elif isinstance(value, Input):
                found.inputs[name] = _checked_port(cls, name, value)
                names[id(value)] = name
            elif isinstance(value, Output):
                found.outputs[name] = _checked_port(cls, name, value)
            elif isinstance(reaction := getattr(value, "__neuraxis_reaction__", None), _Reaction):
                _check_handler(cls, name, value)
                is_async = is_async or inspect.iscoroutinefunction(value)
                if reaction.source == "inbox":
                    inbox = name
                else:
                    found.handlers[_entry(cls, name, reaction, names)] = name
    _check_coverage(cls, found, inbox)
    return Declaration(
        parameters=found.parameters,
        states=found.states,
        inputs=found.inputs,
        outputs=found.outputs,
        handlers=found.handlers,
        inbox=inbox,
        is_async=is_async,
    )


def _entry(cls: type[Actor], method: str, reaction: _Reaction, names: Mapping[int, str]) -> str:
    if reaction.source == "start":
        return START
    if reaction.source == "timer":
        return TIMER + str(reaction.subject)
    if reaction.source == "outcome":
        return OUTCOME + str(reaction.subject)
    port = names.get(id(reaction.subject))
    if port is None:
        raise DeclarationInvalid(
            subject=f"{cls.__name__}.{method}",
            reason="reacts to something that is no input of this class",
            remedy="Write @on(port) with an Input declared above it in the class body.",
        )
    return port


def _check_handler(cls: type[Actor], method: str, handler: Any) -> None:
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DeclarationInvalid(
            subject=f"{cls.__name__}.{method}",
            reason="is a generator: calling it would do nothing",
            remedy="Remove `yield`, and send each value with context.send.",
        )


def _checked_port(cls: type[Actor], name: str, port: Any) -> Any:
    kind = port.kind
    if isinstance(kind, ArraySpec) or kind in SCALARS or (isinstance(kind, type) and message_type(kind)):
        return port
    raise DeclarationInvalid(
        subject=f"{cls.__name__}.{name}",
        reason=f"carries {getattr(kind, '__name__', kind)}, which is no message",
        remedy='Use a scalar type, array("float32", …), or a class registered with @message.',
    )


def _check_parameter(cls: type[Actor], name: str, declared: Parameter) -> None:
    subject = f"{cls.__name__}.{name}"
    if declared.is_seam:
        if declared.semantic:
            reason = "what computes must not decide results, so it stays out of the digest"
            raise DeclarationInvalid(subject=subject, reason=reason, remedy="Declare it with semantic=False.")
        return
    if declared.element not in KINDS and declared.kind is not Resource:
        reason = f"a parameter cannot be a {getattr(declared.kind, '__name__', declared.kind)}"
        remedy = "Use bool, int, float, str, tuple[…, ...] of these, Resource, or the protocol of a seam."
        raise DeclarationInvalid(subject=subject, reason=reason, remedy=remedy)
    if declared.unit == TICKS and declared.element is not int:
        raise DeclarationInvalid(subject=subject, reason="counts ticks but is no int", remedy="Declare it as int.")


def _check_coverage(cls: type[Actor], found: Declaration, inbox: str | None) -> None:
    handled = {name for name in found.inputs if name in found.handlers}
    if inbox is not None and handled:
        raise DeclarationInvalid(
            subject=cls.__name__,
            reason=f"takes whole inboxes in {inbox!r} and single messages of {sorted(handled)}",
            remedy="Use either @on_inbox or @on for all inputs.",
        )
    missing = [] if inbox is not None else [name for name in found.inputs if name not in handled]
    if missing:
        raise DeclarationInvalid(
            subject=cls.__name__,
            reason=f"no handler reacts to input {missing[0]!r}",
            remedy="Add a method decorated with @on(…), or take all inputs in one @on_inbox method.",
        )


# ------------------------------------------------------------------------------ population


class Population(Actor):
    """Many alike actors as one, working on arrays with one row a member.

    It is one source, with one record a batch. `context.rows(name, draws)` gives each member the
    random numbers that a single actor in its place would draw, and `neuraxis.testing.PopulationSuite`
    proves a population equal to its `member` class, row by row.
    """

    member: ClassVar[type[Actor] | None] = None
    size: int = parameter(int, help="number of members", at_least=1)
