"""The loop: one tick after the other.

A tick opens the calendar, leaves in the mail what is delivered (outcomes, limits, isolation), records it,
runs the actors with mail, and closes. An actor that raises under `stop` takes the whole tick with it:
nothing of the tick counts, and the scheduler is unusable until it is rebuilt from an earlier boundary.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from neuraxis.actor import START, TIMER, Population
from neuraxis.codec import NOT_CANONICAL
from neuraxis.errors import ActorFailed, NeuraxisError, PayloadRejected, SimulationUnusable, told
from neuraxis.message import Freezer, Misfit, coerce
from neuraxis.scheduler.calendar import Calendar
from neuraxis.scheduler.context import Context
from neuraxis.scheduler.envelope import MessageId, activation_id, canonical_order, first_id, source_of
from neuraxis.scheduler.inbox import Inbox
from neuraxis.scheduler.limits import DeadLetters, Limits
from neuraxis.scheduler.offload import Activation
from neuraxis.scheduler.supervision import Guard
from neuraxis.trace.digest import FOLD_BYTES, DigestRecorder
from neuraxis.wiring import INPUT, STARTER, resolve_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from neuraxis.actor import Actor
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.effects import Effects, Intent
    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.wiring import Wiring

    Failure = tuple[int, Envelope | None, Exception]
    Handlers = dict[str, Callable[[Context, Any], Any]]
    Runner = Callable[[int, list[Envelope]], None]


OUTPUTS_KEPT: Final = 10_000
INBOX: Final = "@inbox"


class Observer(Protocol):
    """Sees the mail of every tick as it is delivered. Must not change anything."""

    def tick(self, tick: int, order: Sequence[int], mail: Mail) -> None:
        """Take note of a tick: the receivers with mail, ascending, and their inboxes."""


class Operators(Protocol):
    """Takes the log lines of actors."""

    def line(self, path: str, tick: int, event: str, facts: Mapping[str, Any]) -> None:
        """Take one line."""


@final
class Scheduler:
    """Runs a wired graph.

    Attributes:
        wiring: The graph.
        actors: The actors by position; None for the outside world.
        calendar: What is due when.
        contexts: The actors' contexts by position.
        guards: Supervision by position, for actors under `restart` or `isolate`.
        limits: Backlogs.
        dead_letters: What was due and not delivered.
        when_closed: What is left to do when the tick closes.
        freezer: Counts copied arrays.
        delivered: Messages delivered so far.
        outputs: The newest envelopes that reached `@output`, with their tick.
        next_external: Next message id of `@input` and of `@start`.
        failed: Why the scheduler cannot go on, or None.
        is_torn: Whether it failed in the middle of a tick that could not be taken back.
        observer: Sees every tick; None is cheaper.
        shuffle: Permutes the order in which actors run; None runs them by path.
        prepares: What is done to the mail of a tick before its limits apply: where faults strike.
    """

    def __init__(self, wiring: Wiring, *, seed: int, effects: Effects, operators: Operators) -> None:
        self.wiring = wiring
        self.actors = wiring.actors
        self.when_closed: list[Callable[[], None]] = []
        self.recorder = DigestRecorder(wiring, seed, self.when_closed)
        self.effects = effects
        self.calendar = Calendar()
        self.contexts: dict[int, Context] = {}
        self.guards: dict[int, Guard] = {}
        self.dead_letters = DeadLetters(wiring.paths)
        self.limits = Limits(wiring, self.calendar, self.dead_letters)
        self.freezer = Freezer()
        self.delivered = 0
        self.outputs: deque[tuple[int, Envelope]] = deque(maxlen=OUTPUTS_KEPT)
        self.next_external = {path: first_id(wiring.position[path]) for path in (INPUT, STARTER)}
        self.failed: str | None = None
        self.is_torn = False
        self.observer: Observer | None = None
        self.shuffle: Callable[[int, Sequence[int]], Sequence[int]] | None = None
        self._seed = seed
        self._operators = operators
        self._traps: dict[int, Callable[[int], None]] = {}
        self._parked: list[Activation] = []
        self._plan: list[tuple[Any, Handlers, Runner | None]] = [
            self._admit(position) if wiring.actors[position] is not None else (None, {}, self._collect)
            for position in range(len(wiring.paths))
        ]
        self.prepares: list[Callable[[int, Mail], None]] = []
        self._isolating = [guard for guard in self.guards.values() if guard.isolates]

    # ------------------------------------------------------------------------------- the loop

    def advance(self, until: int) -> None:
        """Run all ticks up to and including `until`.

        Raises:
            ActorFailed: An actor under `stop` raised. Its tick is discarded.
            ChannelOverflow: A channel with policy `error` overflowed. Likewise.
            PayloadRejected: A payload has no canonical form. Likewise.
            SimulationUnusable: The scheduler failed before.
        """
        if self.failed is not None:
            raise SimulationUnusable(reason=self.failed, remedy="Resume from a snapshot, or run again.")
        calendar = self.calendar
        is_simple = not (self.prepares or self._isolating or self.limits.has_lanes or self.observer or self.shuffle)
        try:
            if is_simple:
                self._run_single_file(until)
            while (tick := calendar.next_tick()) is not None and tick <= until:
                self._run_tick(tick)
                if is_simple:
                    self._run_single_file(until)
        except BaseException:
            if self.failed is None:  # interrupted, or out of memory, in the middle of a tick
                self._fail(calendar.now, f"tick {calendar.now} was interrupted")
                self.is_torn = True
            raise
        calendar.skip_to(until)

    def _run_single_file(self, until: int) -> None:
        """Run ticks as `_run_tick` does, those in which one actor has mail without its general means.

        Returns when there is no mail for the next tick, or `until` is reached. The page of the calendar
        that is emptied serves as the next one, and the record is written in place: a ring of actors that
        pass on a token spends most of its time in these lines.
        """
        calendar, plan, effects, chores = self.calendar, self._plan, self.effects, self.when_closed
        backlogs, least_limit, unsorted, delivered = self.limits.backlogs, self.limits.least, calendar.unsorted, 0
        encode, buffer_of, settle = self.recorder.encode, self.recorder.buffer_of, self.recorder.settle
        try:
            while mail := calendar.soon:
                tick = calendar.now + 1
                if tick > until:
                    break
                if len(mail) > 1 or unsorted or backlogs or effects.open:
                    self._run_tick(tick)
                    continue
                position, inbox = mail.popitem()
                if len(inbox) > least_limit:
                    mail[position] = inbox
                    self._run_tick(tick)
                    continue
                if calendar.is_plain:
                    calendar.now = tick
                else:
                    calendar.turn(tick, mail)
                try:
                    record = encode((tick, position, inbox))
                except NOT_CANONICAL as error:
                    raise self._blame_sender(tick, {position: inbox}) from error
                buffer = buffer_of[position]
                buffer += record
                if len(buffer) >= FOLD_BYTES:
                    chores.append(settle)
                context, handlers, run = plan[position]
                envelope: Envelope | None = None
                try:
                    if run is None:
                        for envelope in inbox:
                            context._cause = envelope[1]
                            handlers[envelope[2]](context, envelope[3])
                    else:
                        run(tick, inbox)
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - where the failure of an actor under `stop` surfaces
                    self._stop(tick, {position: inbox}, (position, envelope, error))
                if chores:
                    self._close(tick, {position: inbox})
                delivered += len(inbox)
        finally:
            self.delivered += delivered

    def _run_tick(self, tick: int) -> None:
        """Run one tick: leave in the mail what is delivered, record it, run the actors, close."""
        mail, limits = self.calendar.open(tick), self.limits
        sizes = list(map(len, mail.values()))
        looks = limits.backlogs or limits.has_lanes or self.effects.open or self.prepares or self._isolating
        if looks or max(sizes) > limits.least:
            self._prepare(tick, mail)
            sizes = list(map(len, mail.values()))
        order: Sequence[int] = sorted(mail)
        try:
            self.recorder.record(tick, order, mail)
        except NOT_CANONICAL as error:
            raise self._blame_sender(tick, mail) from error
        if self.observer is not None:
            self.observer.tick(tick, order, mail)
        if self.shuffle is not None:
            self.when_closed.append(self.calendar.mark_unsorted)
            order = self.shuffle(tick, order)
        plan = self._plan
        envelope: Envelope | None = None
        for position in order:
            context, handlers, run = plan[position]
            inbox = mail[position]
            try:
                if run is None:
                    for envelope in inbox:
                        context._cause = envelope[1]
                        handlers[envelope[2]](context, envelope[3])
                else:
                    envelope = None
                    run(tick, inbox)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                self._stop(tick, mail, (position, envelope, error), unstarted=_after(position, order))
        if self.when_closed:
            self._close(tick, mail)
        self.delivered += sum(sizes)

    def _prepare(self, tick: int, mail: Mail) -> None:
        """Leave in the mail of a tick what is delivered: outcomes in place, limits applied, isolation respected."""
        try:
            if self.effects.open:
                self.effects.deliver(tick, mail)
            for prepare in self.prepares:
                prepare(tick, mail)
            self.limits.apply(tick, mail)
            for guard in self._isolating:
                guard.apart(tick, mail)
        except NeuraxisError as error:
            self._fail(tick, str(error))
            raise

    def _close(self, tick: int, mail: Mail) -> None:
        """Finish what the tick left to do: suspended handlers, then effects and full buffers."""
        if self._parked:
            self._finish_parked(tick, mail)
        chores = list(self.when_closed)
        self.when_closed.clear()
        try:
            for chore in chores:
                chore()
        except NeuraxisError as error:  # an intent could not be journaled: the tick has not happened
            self.recorder.discard(tick, sorted(mail), mail)
            self._fail(tick, str(error))
            raise

    # ---------------------------------------------------------------------- ways to run an actor

    def _admit(self, position: int) -> tuple[Context, Handlers, Runner | None]:
        spec = self.wiring.specs[position]
        assert spec is not None, "real positions have specifications"
        context = self.contexts[position] = Context(
            self.wiring,
            position,
            seed=self._seed,
            calendar=self.calendar,
            surroundings=self,
            freezer=self.freezer,
            entries=spec.cls.declaration.handlers,
            members=self.actors[position].size if issubclass(spec.cls, Population) else 0,  # type: ignore[union-attr]
            row_of=spec.row_of,
        )
        handlers: Handlers = {}
        self._bind(position, handlers)
        declaration = spec.cls.declaration
        runner: Runner | None = None
        if spec.options.on_failure != "stop":
            ward = _Ward(self, position, handlers)
            guard = Guard(position, spec.options, ward, context, self.dead_letters, whole_inbox=bool(declaration.inbox))
            self.guards[position] = guard
            runner = guard.run
        elif declaration.inbox is not None:
            runner = partial(self._run_inbox, position, handlers)
        elif declaration.is_async:
            runner = partial(self._run_async, position, handlers)
        return context, handlers, runner

    def _bind(self, position: int, handlers: Handlers) -> None:
        """Fill the table of an actor's handlers by entry."""
        actor = self.actors[position]
        assert actor is not None, "real positions have actors"
        for entry, method in type(actor).declaration.handlers.items():
            bound = getattr(actor, method)
            handlers[entry] = _without_payload(bound) if entry == START or entry.startswith(TIMER) else bound
        if actor.declaration.inbox is not None:
            handlers[INBOX] = getattr(actor, actor.declaration.inbox)
        trap = self._traps.get(position)
        if trap is not None:
            handlers.update({entry: _trapped(trap, handler) for entry, handler in handlers.items()})

    def set_trap(self, position: int, trap: Callable[[int], None]) -> None:
        """Call `trap(tick)` before every handler of an actor; it may raise in the actor's place."""
        self._traps[position] = trap
        self._bind(position, self._plan[position][1])

    def _run_inbox(self, position: int, handlers: Handlers, tick: int, inbox: list[Envelope]) -> None:
        """Run an actor that takes its inbox at once: its timers and outcomes first, then all messages, if any."""
        todo = [envelope for envelope in inbox if envelope[2][0] == "@"]
        messages = [envelope for envelope in inbox if envelope[2][0] != "@"] if todo else inbox
        if messages or any(envelope[2] != START for envelope in todo):
            whole = Inbox(messages, self.wiring.paths)
            todo.append((tick, activation_id(position, tick), INBOX, whole, None))
        self._run_async(position, handlers, tick, todo)

    def _run_async(self, position: int, handlers: Handlers, _: int, inbox: list[Envelope]) -> None:
        activation = Activation(position, self.contexts[position], handlers, inbox, self.effects)
        if not activation.run():
            self._parked.append(activation)
            self.when_closed.append(self.calendar.mark_unsorted)

    def _finish_parked(self, tick: int, mail: Mail) -> None:
        """Drive suspended handlers to their end, in the order of paths, round by round."""
        parked, self._parked = sorted(self._parked, key=lambda each: each.position), []
        while parked:
            waiting = []
            for activation in parked:
                try:
                    if not activation.run():
                        waiting.append(activation)
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - as in `advance`
                    self._parked = waiting
                    self._stop(tick, mail, (activation.position, activation.envelope, error))
            parked = waiting

    def _collect(self, tick: int, inbox: list[Envelope]) -> None:
        self.outputs.extend((tick, envelope) for envelope in inbox)

    # -------------------------------------------------------------------------------- failure

    def _stop(self, tick: int, mail: Mail, failure: Failure, unstarted: Iterable[int] = ()) -> None:
        """Discard the tick and raise for the failing actor with the lowest path."""
        position, envelope, error = self._lowest_failure(tick, mail, failure, unstarted)
        self.recorder.discard(tick, sorted(mail), mail)
        path = self.wiring.paths[position]
        self._fail(tick, f"{path} failed at tick {tick}")
        handling = "its inbox"
        if envelope is not None:
            handling = f"{envelope[2]} from {self.wiring.paths[source_of(envelope[1])]}"
        text = str(error) if isinstance(error, NeuraxisError) else told(error)
        raise ActorFailed(actor=path, tick=tick, error=text, handling=handling) from error

    def _lowest_failure(self, tick: int, mail: Mail, failure: Failure, unstarted: Iterable[int]) -> Failure:
        """Finish the actors before the failed one that have not ended yet; the first that fails counts."""
        parked = {each.position: each for each in self._parked}
        for position in sorted(each for each in {*parked, *unstarted} if each < failure[0]):
            activation = parked.get(position)
            try:
                if activation is None:
                    self._run_one(tick, position, mail[position])
                    activation = next((each for each in self._parked if each.position == position), None)
                while activation is not None and not activation.run():
                    pass
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - as in `advance`
                return position, activation.envelope if activation is not None else None, error
        return failure

    def _run_one(self, tick: int, position: int, inbox: list[Envelope]) -> None:
        context, handlers, run = self._plan[position]
        if run is not None:
            run(tick, inbox)
            return
        for envelope in inbox:
            context._cause = envelope[1]
            handlers[envelope[2]](context, envelope[3])

    def _fail(self, tick: int, reason: str) -> None:
        self.failed = reason
        self.calendar.now = tick - 1
        while self.outputs and self.outputs[-1][0] >= tick:
            self.outputs.pop()

    def _blame_sender(self, tick: int, mail: Mail) -> PayloadRejected:
        found = self.recorder.find_unencodable(sorted(mail), mail)
        assert found is not None, "the recorder just refused one of these"
        receiver, envelope, error = found
        source = self.wiring.paths[source_of(envelope[1])]
        place = (source, self.wiring.paths[receiver], envelope[2])
        joined = (each.output for each in self.wiring.channels if (each.source, each.target, each.input) == place)
        self._fail(tick, f"{source} sent a payload without canonical form")
        return PayloadRejected(
            actor=source,
            port=next(joined, envelope[2]),
            expected="values with a canonical byte form",
            got=f"one without: {error}",
        )

    # ------------------------------------------------------------------------ the outside world

    def start(self) -> None:
        """Put the start of every actor that wants one into tick 0. Called once, on a new run."""
        message = self.next_external[STARTER]
        for position in self.wiring.real():
            spec = self.wiring.specs[position]
            if spec is not None and START in spec.cls.declaration.handlers:
                if self.wiring.here[position]:
                    self.calendar.soon[position] = [(-1, message, START, None, None)]
                message += 1  # also for those that other workers start: ids do not tell who runs what
        self.next_external[STARTER] = message

    def inject(self, position: int, port: str, payload: Any) -> MessageId:
        """Send an input to an actor at the boundary after the current tick; it is due in the next one.

        Raises:
            PayloadRejected: It is not what the port takes.
        """
        message = self.next_external[INPUT]
        envelope = (self.calendar.now, message, port, self.admit_input(position, port, payload), None)
        inbox = self.calendar.soon.setdefault(position, [])
        inbox.append(envelope)
        inbox.sort(key=canonical_order)
        self.next_external[INPUT] = message + 1
        return MessageId(message)

    def admit_input(self, position: int, port: str, payload: Any) -> Any:
        """Return `payload` checked and frozen as the port demands.

        Raises:
            PayloadRejected: It is not what the port takes.
        """
        actor = self.actors[position]
        assert actor is not None, "inputs go to real actors"
        kind = resolve_kind(actor, type(actor).declaration.inputs[port].kind)
        admit = self.freezer.admission(kind)
        try:
            payload = coerce(kind, payload) if admit is None else admit(payload)  # type: ignore[arg-type]
            self.recorder.encode(payload)
        except Misfit as misfit:
            raise PayloadRejected(
                actor=self.wiring.paths[position], port=port, expected=misfit.expected, got=misfit.got
            ) from None
        except NOT_CANONICAL as error:
            expected = "values with a canonical byte form"
            got = f"one without: {error}"
            raise PayloadRejected(actor=self.wiring.paths[position], port=port, expected=expected, got=got) from error
        return payload

    def intend(self, intent: Intent) -> None:
        """Take note of an effect that is to start when the tick closes."""
        if not self.effects.fresh:  # first of all, because where it fails the tick is discarded
            self.when_closed.insert(0, self.effects.close_tick)
        self.effects.fresh.append(intent)

    def log(self, path: str, tick: int, event: str, facts: Mapping[str, Any]) -> None:
        """Pass a line of an actor on to the operators."""
        self._operators.line(path, tick, event, facts)


@final
class _Ward:
    """The scheduler's side of one supervised actor."""

    def __init__(self, scheduler: Scheduler, position: int, handlers: Handlers) -> None:
        self._scheduler = scheduler
        self._position = position
        self._handlers = handlers

    def _actor(self) -> Actor:
        actor = self._scheduler.actors[self._position]
        assert actor is not None, "only real actors are supervised"
        return actor

    def capture(self) -> dict[str, Any]:
        return self._actor().capture()

    def renew(self, checkpoint: Mapping[str, Any]) -> None:
        scheduler, position = self._scheduler, self._position
        spec = scheduler.wiring.specs[position]
        assert spec is not None, "only real actors are supervised"
        actor = spec.cls(**spec.parameters)
        actor.restore(checkpoint)
        replaced = self._actor()
        scheduler.actors[position] = actor
        scheduler._bind(position, self._handlers)
        try:
            replaced.close()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is replaced already: it can do no more harm
            facts = {"error": told(error)}
            scheduler.log(spec.path, scheduler.calendar.now, "actor failed to close", facts)

    def handle(self, tick: int, envelopes: list[Envelope]) -> None:
        """Have the actor handle messages to the end; offloaded computations are waited for at once."""
        scheduler, position = self._scheduler, self._position
        if self._actor().declaration.inbox is not None:
            scheduler._run_inbox(position, self._handlers, tick, envelopes)
        else:
            scheduler._run_async(position, self._handlers, tick, envelopes)
        while scheduler._parked and scheduler._parked[-1].position == position:
            if scheduler._parked[-1].run():
                scheduler._parked.pop()

    def withdraw(self, first: int) -> None:
        scheduler, position = self._scheduler, self._position
        scheduler._parked = [each for each in scheduler._parked if each.position != position]
        scheduler.calendar.withdraw(position, first)
        scheduler.effects.withdraw(position, first)


def _after(position: int, order: Sequence[int]) -> list[int]:
    """Return what comes after `position` in the order in which actors run."""
    positions = list(order)
    return positions[positions.index(position) + 1 :]


def _trapped(trap: Callable[[int], None], handler: Callable[[Context, Any], Any]) -> Callable[[Context, Any], Any]:
    def trapped(context: Context, payload: Any) -> Any:
        trap(context.tick)
        return handler(context, payload)

    return trapped


def _without_payload(method: Callable[[Context], Any]) -> Callable[[Context, Any], Any]:
    return lambda context, _: method(context)
