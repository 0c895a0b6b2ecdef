"""What happens when an actor fails: `restart` and `isolate`.

`stop` is the loop's own answer. Under the other two policies every handled message is an activation of
its own: when it raises, what it sent is taken back, the message goes to the dead letters, the actor's
state is the one of its newest checkpoint, and ticks and sequence numbers go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, final

from msgspec import Struct

from neuraxis.errors import told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis.graph import Options
    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.context import Context
    from neuraxis.scheduler.envelope import Envelope
    from neuraxis.scheduler.limits import DeadLetters


class GuardState(Struct):
    """What a guard remembers.

    Attributes:
        checkpoint: State of the actor at the end of tick `checkpoint_tick`; None before tick 0 ended.
        failures: Failures so far.
        apart_until: First tick in which an isolated actor takes mail again.
    """

    checkpoint: dict[str, Any] | None = None
    checkpoint_tick: int = -1
    failures: int = 0
    apart_until: int = 0


class Ward(Protocol):
    """The scheduler's side of one supervised actor."""

    def capture(self) -> dict[str, Any]:
        """Return the actor's state."""

    def renew(self, checkpoint: Mapping[str, Any]) -> None:
        """Replace the actor by a new one with this state."""

    def handle(self, tick: int, envelopes: list[Envelope]) -> None:
        """Have the actor handle these messages to the end."""

    def withdraw(self, first: int) -> None:
        """Take back every message, timer and effect of the actor from id `first` on."""


@final
class Guard:
    """Supervises one actor under `restart` or `isolate`."""

    def __init__(
        self,
        position: int,
        options: Options,
        ward: Ward,
        context: Context,
        dead_letters: DeadLetters,
        *,
        whole_inbox: bool,
    ) -> None:
        self.state = GuardState()
        self._position = position
        self._options = options
        self._ward = ward
        self._context = context
        self._dead_letters = dead_letters
        self._whole_inbox = whole_inbox

    @property
    def isolates(self) -> bool:
        """Whether a failure keeps the actor apart for a while."""
        return self._options.on_failure == "isolate"

    def run(self, tick: int, inbox: list[Envelope]) -> None:
        """Handle an inbox, activation by activation.

        Raises:
            Exception: What the actor raised at tick 0, before it has a checkpoint, or after more than
                `failures_max` failures.
        """
        self._checkpoint(tick)
        activations = [inbox] if self._whole_inbox else [[envelope] for envelope in inbox]
        for envelopes in activations:
            if tick < self.state.apart_until:
                self._refuse(tick, envelopes, "receiver is isolated")
                continue
            first = self._context._next
            try:
                self._ward.handle(tick, envelopes)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - supervision is where an actor's failure is handled
                self._recover(tick, first, envelopes, error)

    def apart(self, tick: int, mail: Mail) -> None:
        """Send the mail of an isolated actor to the dead letters instead of delivering it."""
        if tick < self.state.apart_until and self._position in mail:
            self._refuse(tick, mail.pop(self._position), "receiver is isolated")

    def _checkpoint(self, tick: int) -> None:
        """Keep the state at the end of the last checkpoint tick; nothing has changed it since."""
        every = self._options.checkpoint_every
        due = 0 if every is None else (tick - 1) // every * every
        if tick > 0 and self.state.checkpoint_tick < due:
            self.state.checkpoint = self._ward.capture()
            self.state.checkpoint_tick = due

    def _recover(self, tick: int, first: int, envelopes: list[Envelope], error: Exception) -> None:
        self.state.failures += 1
        if self.state.checkpoint is None or self.state.failures > self._options.failures_max:
            raise error
        self._ward.withdraw(first)
        self._refuse(tick, envelopes, f"handler raised {type(error).__name__}")
        self._ward.renew(self.state.checkpoint)
        if self.isolates:
            self.state.apart_until = tick + self._options.pause
        self._context.log("actor failed", policy=self._options.on_failure, error=told(error))

    def _refuse(self, tick: int, envelopes: list[Envelope], reason: str) -> None:
        for envelope in envelopes:
            self._dead_letters.add(tick, self._position, envelope, reason)
