"""What a handler sees of the world: its context, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

from neuraxis.actor import OUTCOME, TIMER
from neuraxis.errors import EvidenceMissing, PayloadRejected, PortUnknown, UsageInvalid
from neuraxis.message import ArraySpec, Freezer, Misfit, coerce
from neuraxis.rng import ROW_OF_SINGLE, Stream, member_rows, stream_key
from neuraxis.scheduler.envelope import SEQUENCE_BITS, MessageId, first_id, source_of
from neuraxis.scheduler.offload import Offload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from fractions import Fraction

    from neuraxis.scheduler.calendar import Calendar
    from neuraxis.scheduler.effects import Effect, Intent
    from neuraxis.wiring import Wiring


class Surroundings(Protocol):
    """What contexts need from the scheduler beside the calendar."""

    def intend(self, intent: Intent) -> None:
        """Take note of an effect that is to start when the tick closes."""

    def log(self, path: str, tick: int, event: str, facts: Mapping[str, Any]) -> None:
        """Pass a line on to the operators."""


@final
class Context:
    """An actor's door to the world.

    Attributes:
        path: The actor's path.
        tick_length: Length of a tick, second, exact.
    """

    __slots__ = (
        "_calendar",
        "_cause",
        "_draws_as",
        "_entries",
        "_members",
        "_next",
        "_paths",
        "_routes",
        "_row",
        "_seed",
        "_short_routes",
        "_streams",
        "_surroundings",
        "path",
        "tick_length",
    )

    def __init__(
        self,
        wiring: Wiring,
        position: int,
        *,
        seed: int,
        calendar: Calendar,
        surroundings: Surroundings,
        freezer: Freezer,
        entries: Iterable[str],
        members: int,
        row_of: tuple[str, int] | None,
    ) -> None:
        """Made by the scheduler, once for each actor."""
        self.path: str = wiring.paths[position]
        self.tick_length: Fraction = wiring.tick
        self._calendar = calendar
        self._surroundings = surroundings
        self._seed = seed
        self._paths = wiring.paths
        self._entries = {
            (prefix, entry.removeprefix(prefix)): entry
            for entry in entries
            for prefix in (TIMER, OUTCOME)
            if entry.startswith(prefix)
        }
        self._members = members
        self._draws_as, self._row = (self.path, ROW_OF_SINGLE) if row_of is None else (row_of[0], row_of[1] + 1)
        self._streams: dict[tuple[str, str], Stream] = {}
        self._next: int = first_id(position)
        self._cause: Any = None
        self._routes = {
            name: (route.kind, freezer.admission(route.kind), route.evidence, route.groups)
            for name, route in wiring.routes[position].items()
        }
        # the usual output: one delay, one input port, no evidence
        self._short_routes = {
            name: (np.ndarray if isinstance(kind, ArraySpec) else kind, admit, *groups[0])
            for name, (kind, admit, evidence, groups) in self._routes.items()
            if not evidence and len(groups) == 1
        }

    # ---------------------------------------------------------------------------- messages

    def send(self, output: str, payload: Any, because: Iterable[MessageId] = ()) -> MessageId:
        """Send a payload on an output. It is due after the delay of each channel.

        Args:
            output: Name of a declared output.
            payload: Of the kind that the output declares. Arrays are frozen; do not change them afterwards.
            because: Messages kept in state that this one rests on, beside the one being handled.

        Returns:
            The id of the message.

        Raises:
            PortUnknown: There is no such output.
            PayloadRejected: Wrong type, shape or dtype.
            EvidenceMissing: The output demands `because`.
        """
        try:
            kind, admit, delay, port, receivers = self._short_routes[output]
        except KeyError:
            return self._send_with_care(output, payload, because)
        if because or type(payload) is not kind:
            return self._send_with_care(output, payload, because)
        if admit is not None:
            try:
                payload = admit(payload)
            except Misfit as misfit:
                raise self._rejection(output, misfit) from None
        message = self._next
        self._next = message + 1
        calendar = self._calendar
        envelope = (calendar.now, message, port, payload, self._cause)
        mail = calendar.soon if delay == 1 else calendar.due(calendar.now + delay)
        for receiver in receivers:
            if receiver in mail:
                mail[receiver].append(envelope)
            else:
                mail[receiver] = [envelope]
        return message  # type: ignore[return-value]  # NewType's call costs as much as the rest of this line

    def _send_with_care(self, output: str, payload: Any, because: Iterable[MessageId]) -> MessageId:
        try:
            kind, admit, evidence, groups = self._routes[output]
        except KeyError:
            raise PortUnknown(actor=self.path, port=output, known=tuple(self._routes)) from None
        try:
            payload = coerce(kind, payload) if admit is None else admit(payload)  # type: ignore[arg-type]
        except Misfit as misfit:
            raise self._rejection(output, misfit) from None
        cause = (self._cause, *because) if because else self._cause
        if evidence and not because:
            raise EvidenceMissing(actor=self.path, port=output)
        message = self._next
        self._next = message + 1
        for delay, port, receivers in groups:
            envelope = (self.tick, message, port, payload, cause)
            mail = self._calendar.due(self.tick + delay)
            for receiver in receivers:
                mail.setdefault(receiver, []).append(envelope)
        return MessageId(message)

    def _rejection(self, output: str, misfit: Misfit) -> PayloadRejected:
        return PayloadRejected(actor=self.path, port=output, expected=misfit.expected, got=misfit.got)

    @property
    def tick(self) -> int:
        """The tick that runs."""
        return self._calendar.now

    @property
    def message(self) -> MessageId:
        """Id of the message being handled; of the activation, for a handler that takes its inbox at once."""
        cause = self._cause
        return MessageId(cause)

    @property
    def source(self) -> str:
        """Path of the actor that sent the message being handled; `@input` for an input."""
        return self._paths[source_of(self._cause)]

    # ------------------------------------------------------------------------------- timers

    def wake(self, ticks: int, name: str) -> MessageId:
        """Set a timer: the handler `@on_timer(name)` runs `ticks` ticks from now.

        Returns:
            The id of the timer, for `cancel`.

        Raises:
            PortUnknown: No handler reacts to `name`.
            UsageInvalid: `ticks` is below 1.
        """
        return self._note_to_self(ticks, TIMER, name)

    def cancel(self, timer: MessageId) -> bool:
        """Take back a timer of this actor that is not due yet. Returns whether there was one."""
        return self._calendar.cancel(source_of(self._next), timer, TIMER)

    def _note_to_self(self, ticks: int, prefix: str, name: str) -> MessageId:
        entry = self._entries.get((prefix, name))
        if entry is None:
            known = tuple(sorted(each for kind, each in self._entries if kind == prefix))
            raise PortUnknown(actor=self.path, port=name, known=known)
        if ticks < 1:
            raise UsageInvalid(what=f"{self.path} waits {ticks} ticks for {name!r}", remedy="Wait at least 1 tick.")
        message = self._next
        self._next = message + 1
        calendar = self._calendar
        mail = calendar.soon if ticks == 1 else calendar.due(calendar.now + ticks)
        mail.setdefault(message >> SEQUENCE_BITS, []).append((calendar.now, message, entry, None, self._cause))
        return MessageId(message)

    # --------------------------------------------------------------------------- randomness

    def stream(self, name: str, *, common: bool = False) -> Stream:
        """Return the actor's random stream of that name, positioned in this tick.

        Args:
            name: Of the stream.
            common: Draw what every actor draws that asks for this name so, whatever its path: common random numbers,
                by which actors can be compared that should meet the same chance.
        """
        drawn_as, row = ("", ROW_OF_SINGLE) if common else (self._draws_as, self._row)
        stream = self._streams.get((drawn_as, name))
        if stream is None:
            stream = self._streams[drawn_as, name] = Stream(stream_key(self._seed, drawn_as, name), row=row)
        return stream.at(self.tick)

    def rows(self, name: str, draws: int = 1) -> np.ndarray:
        """Return this tick's random words of every member of a population.

        Calling it twice in a tick with one name gives the same words.

        Returns:
            (size, draws) uint64; row `r` is what the stream `name` of member `r` draws.

        Raises:
            UsageInvalid: The actor is no population.
        """
        if not self._members:
            raise UsageInvalid(
                what=f"{self.path} has no members",
                remedy="Derive the actor from Population, or use stream().",
            )
        return member_rows(stream_key(self._seed, self.path, name), tick=self.tick, size=self._members, draws=draws)

    # ------------------------------------------------------------------------ the outside

    def effect(self, effect: Effect, *, delay: int, to: str, deadline_s: float | None = None) -> MessageId:
        """Touch the outside world: read a file, call a service, ask the time.

        The effect starts when this tick closes. Its outcome, whatever it is, reaches the handler
        `@on_outcome(to)` exactly `delay` ticks from now; model time waits for it.

        Args:
            effect: What to do: a registered message type derived from `Effect`.
            delay: Ticks until the outcome is delivered, at least 1.
            to: Name of the outcome handler.
            deadline_s: Wall-clock seconds after which the outcome is a miss. Only under `clock = "live"`.

        Returns:
            The ticket: the id that the outcome carries.

        Raises:
            PortUnknown: No handler reacts to `to`.
            UsageInvalid: `delay` is below 1.
        """
        from neuraxis.scheduler.effects import (
            Intent,
        )  # the room that knows the world; only what uses it loads it

        ticket = self._note_to_self(delay, OUTCOME, to)
        self._surroundings.intend(
            Intent(ticket=ticket, due=self.tick + delay, path=self.path, effect=effect, deadline_s=deadline_s)
        )
        return ticket

    def offload(self, function: Callable[..., Any], *arguments: Any) -> Offload:
        """Run a pure function on another thread, inside this tick: `result = await context.offload(f, x)`.

        The only thing that a handler may await. The function must not touch actors or contexts.
        """
        return Offload(function, arguments)

    def log(self, event: str, **facts: Any) -> None:
        """Tell the operators something. The log is no part of the run: nothing can depend on it."""
        self._surroundings.log(self.path, self.tick, event, facts)
