"""Driving handlers that are coroutines.

A coroutine that does not suspend costs no turn of an event loop: it is driven directly. One that
awaits `context.offload` is parked; when all actors of the tick have run, the parked ones are resumed
in the order of paths, each waiting for its own result. The computations overlap, the order does not
depend on which ends first.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Protocol, final

from neuraxis.errors import ForeignAwait

if TYPE_CHECKING:
    from neuraxis.scheduler.context import Context
    from neuraxis.scheduler.envelope import Envelope


@final
class Offload:
    """A pure computation that a handler awaits."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments

    def __await__(self) -> Generator[Offload, Any, Any]:
        return (yield self)


class Pending(Protocol):
    """A computation under way."""

    def result(self) -> Any:
        """Wait for it and return its value, or raise what it raised."""


class Workbench(Protocol):
    """Where offloaded computations run."""

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Pending:
        """Start a computation."""


@final
class Activation:
    """One actor's work in one tick, which may have to wait for offloaded computations.

    Attributes:
        position: The actor.
        envelope: The message being handled.
    """

    __slots__ = (
        "_coroutine",
        "_pending",
        "_rest",
        "_workbench",
        "context",
        "envelope",
        "handlers",
        "position",
    )

    def __init__(
        self,
        position: int,
        context: Context,
        handlers: dict[str, Callable[..., Any]],
        inbox: list[Envelope],
        workbench: Workbench,
    ) -> None:
        self.position = position
        self.context = context
        self.handlers = handlers
        self.envelope = inbox[0]
        self._rest = iter(inbox)
        self._workbench = workbench
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._pending: Pending | None = None

    def run(self) -> bool:
        """Go on until the inbox is empty or a computation is under way. Returns whether all is done."""
        pending, self._pending = self._pending, None
        if pending is not None:
            try:
                value = pending.result()
            except Exception as error:
                if isinstance(error, MemoryError):
                    raise
                suspended = self._step(error=error)
            else:
                suspended = self._step(value)
            if suspended:
                return False
        for envelope in self._rest:
            self.envelope = envelope
            self.context._cause = envelope[1]
            answer = self.handlers[envelope[2]](self.context, envelope[3])
            if isinstance(answer, Coroutine):
                self._coroutine = answer
                if self._step():
                    return False
        return True

    def _step(self, value: Any = None, *, error: Exception | None = None) -> bool:
        """Drive the coroutine to its next stop. Returns whether it waits for a computation."""
        coroutine = self._coroutine
        assert coroutine is not None, "only a parked activation is resumed"
        try:
            request = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration:
            self._coroutine = None
            return False
        if not isinstance(request, Offload):
            coroutine.close()
            raise ForeignAwait(actor=self.context.path, awaited=type(request).__qualname__)
        self._pending = self._workbench.submit(request.function, request.arguments)
        return True
