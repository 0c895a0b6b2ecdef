"""Effects: the only way out to the world, and the only room of the scheduler that knows threads.

An effect is intended in a tick, written to the journal and started when that tick closes, and its
outcome is delivered exactly at the tick that the actor chose. Until the outcome is there, model time
stands still. Effects run at least once: after a crash, an intent without outcome starts again with the
same key, by which the far side can tell that it is the same request.
"""

from __future__ import annotations

import inspect
import time
import weakref
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, final

import numpy as np
from msgspec import Struct

from neuraxis.codec import NOT_CANONICAL, encode
from neuraxis.errors import DeclarationInvalid, UsageInvalid, told
from neuraxis.message import SCALARS, Freezer, Misfit, describe, message_type
from neuraxis.scheduler.envelope import MessageId, sequence_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.from_thread import BlockingPortal

    from neuraxis.scheduler.calendar import Mail

Clock = Literal["virtual", "live"]

OFFLOAD_THREADS: Final = 4


class Effect:
    """Something done outside the simulation. Derive a registered message class from it.

    Example:
        >>> @message("read-file")
        ... @attrs.frozen
        ... class ReadFile(Effect):
        ...     path: str
        ...
        ...     def perform(self, key: str) -> bytes:
        ...         return Path(self.path).read_bytes()
    """

    def perform(self, key: str) -> Any:
        """Do it and return the value of the outcome. May be `async def`.

        Args:
            key: Names this request over crashes and restarts: run, actor and sequence. Pass it on to
                services that deduplicate.

        Returns:
            None, a scalar, an array, a registered message, or a tuple of these.
        """
        raise UsageInvalid(what=f"{type(self).__name__} does not say what to do", remedy="Define perform(self, key).")


@final
class Outcome(Struct, frozen=True):
    """What became of an effect.

    Attributes:
        ticket: What `context.effect` returned.
        effect: The request.
        status: `value`, `error` (perform raised) or `missed` (not done by its deadline).
        value: The value, frozen.
        error: Type and text of the exception.
    """

    ticket: MessageId
    effect: Effect
    status: Literal["value", "error", "missed"]
    value: Any = None
    error: str = ""


@final
class Intent(Struct, frozen=True):
    """An effect that an actor asked for.

    Attributes:
        ticket: Id that the outcome will carry.
        due: Tick in which the outcome is delivered.
        path: The actor.
        effect: The request.
        deadline_s: Wall-clock limit under `clock = "live"`.
    """

    ticket: MessageId
    due: int
    path: str
    effect: Effect
    deadline_s: float | None


class EffectLog(Protocol):
    """Where intents and outcomes are written down before they take effect."""

    def intent(self, intent: Intent) -> None:
        """Record an intent; it is about to start."""

    def outcome(self, due: int, outcome: Outcome) -> None:
        """Record an outcome; it is about to be delivered."""


class Script(Protocol):
    """Fixes outcomes in advance: a scenario's scripted misses, or `explore`."""

    def outcome(self, intent: Intent) -> Outcome | None:
        """Return the outcome that this intent is to have, or None to carry it out."""


@final
class Effects:
    """Starts effects, waits for them, and puts their outcomes into the mail.

    Attributes:
        fresh: Intents of the tick that runs.
        open: Intents that have started, by ticket.
    """

    def __init__(self, run: str, *, clock: Clock, log: EffectLog, script: Script | None = None) -> None:
        """Prepare for a run.

        Args:
            run: Name of the run, the first part of every key.
            clock: Under `virtual` an effect may take as long as it needs; `live` enforces deadlines.
            log: Where intents and outcomes are recorded.
            script: Outcomes fixed in advance.
        """
        self.fresh: list[Intent] = []
        self.open: dict[int, Intent] = {}
        self._recorded: dict[int, Outcome] = {}
        self._known: set[int] = set()
        self._journaled: set[int] = set()
        self._running: dict[int, tuple[Future[Any], float]] = {}
        self._due: dict[int, list[int]] = {}
        self._run = run
        self._clock = clock
        self._log = log
        self._script = script
        self._world: World | None = None
        self._forbidden = False

    # ------------------------------------------------------------------- for the scheduler

    def withdraw(self, position: int, first: int) -> None:
        """Forget the fresh intents of an actor from id `first` on."""
        self.fresh = [each for each in self.fresh if source_of(each.ticket) != position or each.ticket < first]

    def close_tick(self) -> None:
        """Record and start what was intended in the tick that ends."""
        fresh, self.fresh = sorted(self.fresh, key=lambda intent: intent.ticket), []
        for intent in fresh:
            if message_type(type(intent.effect)) is None:
                raise DeclarationInvalid(
                    subject=f"effect {type(intent.effect).__name__} of {intent.path}",
                    reason="is not a registered message type, so it could not start again after a crash",
                    remedy='Decorate the class with @message("…") and @attrs.frozen.',
                )
            self.open[intent.ticket] = intent
            self._due.setdefault(intent.due, []).append(intent.ticket)
            if intent.ticket in self._recorded:
                continue
            if intent.ticket not in self._known:
                self._log.intent(intent)
            self._start(intent)

    def deliver(self, tick: int, mail: Mail) -> None:
        """Put the outcomes due in `tick` into the mail, waiting for those that are not there yet."""
        for ticket in self._due.pop(tick, ()):
            outcome = self._outcome(self.open.pop(ticket))
            inbox = mail[source_of(ticket)]
            for index, (sent, message, port, _, cause) in enumerate(inbox):
                if message == ticket:
                    inbox[index] = (sent, message, port, outcome, cause)

    def close(self) -> None:
        """Stop what is under way. Its intents stay open and start again on resume."""
        if self._world is not None:
            self._world.close()
            self._world = None

    # ---------------------------------------------------------------- for resume and replay

    def recall(self, intents: set[int], outcomes: Mapping[int, Outcome], *, only: bool) -> None:
        """Use what a journal holds instead of touching the world again.

        Args:
            intents: Tickets whose intent is recorded already.
            outcomes: Recorded outcomes by ticket.
            only: Whether an effect without recorded outcome is an error, as in a replay.
        """
        self._known = set(intents)
        self._journaled = set(outcomes)
        self._recorded = dict(outcomes)
        self._forbidden = only

    def reopen(self, intents: list[Intent]) -> None:
        """Take over the intents that were open in a snapshot; those without outcome start again."""
        for intent in intents:
            self.open[intent.ticket] = intent
            self._due.setdefault(intent.due, []).append(intent.ticket)
            if intent.ticket not in self._recorded:
                self._start(intent)

    # -------------------------------------------------------------------------- offloading

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Start a pure computation on another thread."""
        return self._outside().submit(function, arguments)

    # ------------------------------------------------------------------------------- parts

    def _start(self, intent: Intent) -> None:
        scripted = self._script.outcome(intent) if self._script is not None else None
        if scripted is not None:
            self._recorded[intent.ticket] = scripted
            return
        if self._forbidden:
            return  # it stays open; only a replay that goes on until it is due lacks it
        key = f"{self._run}/{intent.path}/{sequence_of(intent.ticket)}"
        self._running[intent.ticket] = (self._outside().perform(intent.effect, key), time.monotonic())

    def _outcome(self, intent: Intent) -> Outcome:
        ticket = intent.ticket
        outcome = self._recorded.pop(ticket, None)
        if outcome is None and self._forbidden:
            raise UsageInvalid(
                what=f"the replay reached an effect of {intent.path} whose outcome the journal does not hold",
                remedy="Replay no further than the recorded run went, or resume it instead.",
            )
        if outcome is None:
            future, started = self._running.pop(ticket)
            outcome = _await_outcome(intent, future, started, patient=self._clock == "virtual")
        if ticket not in self._journaled:
            self._log.outcome(intent.due, outcome)
        return outcome

    def _outside(self) -> World:
        if self._world is None:
            self._world = World()
        return self._world


def _await_outcome(intent: Intent, future: Future[Any], started: float, *, patient: bool) -> Outcome:
    left = None
    if not patient and intent.deadline_s is not None:
        left = max(0.0, started + intent.deadline_s - time.monotonic())
    try:
        error = future.exception(timeout=left)
    except FutureTimeout:
        future.cancel()
        return Outcome(intent.ticket, intent.effect, "missed")
    except CancelledError as cancelled:  # the effect cancelled itself
        error = cancelled
    if isinstance(error, MemoryError):
        raise error
    if error is None:
        value = future.result()
        if isinstance(value, _End):
            raise value.error
        try:
            return Outcome(intent.ticket, intent.effect, "value", _frozen_value(value))
        except NOT_CANONICAL as unfit:
            error = unfit
    return Outcome(intent.ticket, intent.effect, "error", error=told(error))


def _frozen_value(value: Any) -> Any:
    """Return what an effect returned, frozen.

    Raises:
        TypeError, OverflowError, UnicodeEncodeError: It cannot be sent, or has no canonical form.
    """
    _require_sendable(value)
    try:
        frozen = Freezer().freeze_within(value)
    except Misfit as misfit:
        raise TypeError(f"an effect returned {misfit.got} in place of {misfit.expected}") from None
    encode(frozen)
    return frozen


def _require_sendable(value: Any) -> None:
    if type(value) is tuple:
        for item in value:
            _require_sendable(item)
    elif not (
        value is None
        or isinstance(value, np.ndarray)
        or type(value) in SCALARS
        or message_type(type(value)) is not None
    ):
        raise TypeError(
            f"an effect returned {describe(value)}; return None, scalars, arrays, registered messages or tuples"
        )


@final
class World:
    """A thread with an event loop for effects, and a few threads for offloaded computations.

    They end when it is closed, when nobody refers to it any more, or with the interpreter.
    """

    def __init__(self) -> None:
        from anyio import run  # loads asyncio; only runs with effects pay for it
        from anyio.from_thread import BlockingPortal

        ready: Future[BlockingPortal] = Future()

        async def serve() -> None:
            async with BlockingPortal() as portal:
                ready.set_result(portal)
                await portal.sleep_until_stopped()

        # a daemon, so that a program that forgets to close its simulation still ends
        thread = Thread(target=run, args=(serve,), name="neuraxis-effects", daemon=True)
        thread.start()
        self._portal = ready.result()
        self._pool = ThreadPoolExecutor(max_workers=OFFLOAD_THREADS, thread_name_prefix="neuraxis-offload")
        self._end = weakref.finalize(self, _end_world, self._portal, thread, self._pool)

    def perform(self, effect: Effect, key: str) -> Future[Any]:
        """Start an effect."""
        return self._portal.start_task_soon(_perform, effect, key)

    def submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        """Start a computation."""
        return self._pool.submit(function, *arguments)

    def close(self) -> None:
        """Cancel what is under way and end the threads."""
        self._end()


def _end_world(portal: BlockingPortal, thread: Thread, pool: ThreadPoolExecutor) -> None:
    pool.shutdown(wait=True, cancel_futures=True)
    portal.call(portal.stop, True)
    thread.join()


@final
class _End(Struct, frozen=True):
    """What an effect raised to end the process. It is passed on as a value: raised there, it would end its thread."""

    error: BaseException


async def _perform(effect: Effect, key: str) -> Any:
    try:
        if inspect.iscoroutinefunction(effect.perform):
            return await effect.perform(key)
        from anyio import to_thread

        return await to_thread.run_sync(effect.perform, key, abandon_on_cancel=True)
    except (KeyboardInterrupt, SystemExit) as error:
        return _End(error)
