"""The scheduler between two ticks, as a tree of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from neuraxis.codec import NOT_CANONICAL, pack
from neuraxis.errors import StateNotCapturable, told
from neuraxis.scheduler.effects import Intent
from neuraxis.scheduler.limits import DeadLetter
from neuraxis.scheduler.supervision import GuardState
from neuraxis.trace.digest import ChainState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.loop import Scheduler


def capture(scheduler: Scheduler) -> dict[str, Any]:
    """Return everything that the scheduler and its actors need to go on from the end of the current tick.

    Raises:
        StateNotCapturable: An actor's own `capture` failed.
    """
    wiring = scheduler.wiring
    return {
        "scheduler": _scheduler(scheduler),
        "actors": {wiring.paths[position]: _actor(scheduler, position) for position in wiring.real()},
    }


def uncapturable(captured: Mapping[str, Any], error: Exception) -> Exception:
    """Return what is wrong with a captured state that cannot be written: actor and part, or else `error`."""
    for path, entry in captured["actors"].items():
        for name, value in entry["state"].items():
            try:
                pack(value)
            except NOT_CANONICAL as unfit:
                return StateNotCapturable(actor=path, where=name, got=f"without canonical bytes ({unfit})")
    return error


def restore(scheduler: Scheduler, captured: Mapping[str, Any]) -> None:
    """Take over what `capture` returned. The scheduler has the same wiring and has not run."""
    wiring, own = scheduler.wiring, captured["scheduler"]
    for path, entry in captured["actors"].items():
        actor = scheduler.actors[wiring.position[path]]
        assert actor is not None, "captured actors are real"
        actor.restore(entry["state"])
    scheduler.calendar.load(own["now"], {tick: _loaded(mail) for tick, mail in own["mail"]})
    scheduler.delivered = own["delivered"]
    for path, context in _contexts(scheduler):
        context._next = own["next"][path]
    scheduler.next_external = dict(own["next_external"])
    scheduler.limits.backlogs.update(_loaded(own["backlogs"]))
    for path, guard in own["guards"].items():
        scheduler.guards[wiring.position[path]].state = GuardState(**guard)
    scheduler.dead_letters.counts = dict(own["dead_letters"]["counts"])
    scheduler.dead_letters.newest.extend(DeadLetter(*each) for each in own["dead_letters"]["newest"])
    scheduler.outputs.extend((tick, tuple(envelope)) for tick, envelope in own["outputs"])
    scheduler.recorder.restore({shard: ChainState(*each) for shard, each in own["chains"].items()})
    scheduler.effects.reopen([Intent(*each) for each in own["intents"]])


def _scheduler(scheduler: Scheduler) -> dict[str, Any]:
    wiring, calendar = scheduler.wiring, scheduler.calendar
    return {
        "now": calendar.now,
        "delivered": scheduler.delivered,
        "mail": [[tick, _mail(mail)] for tick, mail in calendar.pending().items()],
        "next": {path: context._next for path, context in _contexts(scheduler)},
        "next_external": dict(scheduler.next_external),
        "backlogs": _mail(scheduler.limits.backlogs),
        "guards": {wiring.paths[position]: asdict(guard.state) for position, guard in scheduler.guards.items()},
        "dead_letters": {
            "counts": dict(scheduler.dead_letters.counts),
            "newest": [list(asdict(each).values()) for each in scheduler.dead_letters.newest],
        },
        "outputs": [[tick, list(envelope)] for tick, envelope in scheduler.outputs],
        "chains": {shard: [each.chain, each.tail] for shard, each in scheduler.recorder.capture().items()},
        "intents": [list(asdict(each).values()) for each in scheduler.effects.open.values()],
    }


def _contexts(scheduler: Scheduler) -> list[tuple[str, Any]]:
    return [(scheduler.wiring.paths[position], context) for position, context in scheduler.contexts.items()]


def _mail(mail: Mail) -> list[list[Any]]:
    return [[receiver, [list(envelope) for envelope in inbox]] for receiver, inbox in mail.items()]


def _loaded(mail: list[list[Any]]) -> Mail:
    return {receiver: [tuple(envelope) for envelope in inbox] for receiver, inbox in mail}


def _actor(scheduler: Scheduler, position: int) -> dict[str, Any]:
    actor, spec = scheduler.actors[position], scheduler.wiring.specs[position]
    assert actor is not None, "real positions have actors"
    assert spec is not None, "real positions have specifications"
    try:
        state = actor.capture()
    except AttributeError as error:
        raise StateNotCapturable(
            actor=spec.path, where=str(error.name), got="not set; give it a default or set it in setup()"
        ) from error
    except Exception as error:  # a `capture` of its own; or lists within lists, too deep to be copied
        raise StateNotCapturable(
            actor=spec.path, where="capture()", got=f"something that raised {told(error)}"
        ) from error
    return {"kind": spec.kind, "version": actor.state_version, "state": state}
