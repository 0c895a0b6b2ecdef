"""The scheduler between two ticks, as a tree of plain values."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from neuraxis.codec import NOT_CANONICAL, pack
from neuraxis.errors import StateNotCapturable, told
from neuraxis.graph import OUTPUT
from neuraxis.scheduler.effects import Intent
from neuraxis.scheduler.envelope import source_of
from neuraxis.scheduler.limits import DEAD_LETTERS_KEPT, DeadLetter
from neuraxis.scheduler.supervision import GuardState
from neuraxis.trace.digest import ChainState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis.scheduler.calendar import Mail
    from neuraxis.scheduler.loop import Scheduler
    from neuraxis.wiring import Wiring


def capture(scheduler: Scheduler) -> dict[str, Any]:
    """Return everything that the scheduler and its actors need to go on from the end of the current tick.

    Raises:
        StateNotCapturable: An actor's own `capture` failed.
    """
    wiring = scheduler.wiring
    return {
        "scheduler": _scheduler(scheduler),
        "actors": {wiring.paths[position]: _actor(scheduler, position) for position in wiring.made()},
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


def part_of(captured: Mapping[str, Any], wiring: Wiring, *, first: bool) -> dict[str, Any]:
    """Return what one worker of a distributed run takes of a captured state.

    Args:
        captured: What `capture` returned in one process, or `merged`.
        wiring: The wiring of the worker.
        first: Whether it takes the counts, of which only the sum over all workers has a meaning.
    """
    own, here, position = captured["scheduler"], wiring.here, wiring.position

    def is_here(path: str) -> bool:
        return here[position[path]]

    def kept(mail: list[Any]) -> list[Any]:
        return [each for each in mail if here[each[0] if each[0] >= 0 else ~each[0]]]

    mail = [[tick, kept(each)] for tick, each in own["mail"]]
    counts = own["dead_letters"]["counts"] if first else {}
    letters = [each for each in own["dead_letters"]["newest"] if is_here(DeadLetter(*each).target)]
    return {
        "scheduler": {
            **own,
            "delivered": own["delivered"] if first else 0,
            "mail": [[tick, each] for tick, each in mail if each],
            "next": {path: each for path, each in own["next"].items() if is_here(path)},
            "backlogs": kept(own["backlogs"]),
            "guards": {path: each for path, each in own["guards"].items() if is_here(path)},
            "dead_letters": {"counts": counts, "newest": letters},
            "outputs": own["outputs"] if is_here(OUTPUT) else [],
            "chains": {
                shard: each
                for shard, each in own["chains"].items()
                if any(here[at] for at, its in enumerate(wiring.shards) if its == shard)
            },
            "intents": [each for each in own["intents"] if here[source_of(Intent(*each).ticket)]],
        },
        "actors": {path: each for path, each in captured["actors"].items() if is_here(path)},
    }


def merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the state of a whole run from those that its workers captured at the end of one tick."""
    all_of = [part["scheduler"] for part in parts]
    mail: dict[int, list[Any]] = {}
    counts: dict[str, int] = {}
    for own in all_of:
        for tick, each in own["mail"]:
            mail.setdefault(tick, []).extend(each)
        for reason, count in own["dead_letters"]["counts"].items():
            counts[reason] = counts.get(reason, 0) + count
    letters = [DeadLetter(*each) for own in all_of for each in own["dead_letters"]["newest"]]
    letters.sort(key=lambda each: (each.tick, each.target, each.id))
    return {
        "scheduler": {
            "now": all_of[0]["now"],
            "delivered": sum(own["delivered"] for own in all_of),
            "mail": [[tick, sorted(mail[tick], key=itemgetter(0))] for tick in sorted(mail)],
            "next": _joined(own["next"] for own in all_of),
            "next_external": all_of[0]["next_external"],
            "backlogs": sorted((each for own in all_of for each in own["backlogs"]), key=itemgetter(0)),
            "guards": _joined(own["guards"] for own in all_of),
            "dead_letters": {
                "counts": dict(sorted(counts.items())),
                "newest": [list(asdict(each).values()) for each in letters[-DEAD_LETTERS_KEPT:]],
            },
            "outputs": [each for own in all_of for each in own["outputs"]],
            "chains": _joined(own["chains"] for own in all_of),
            "intents": sorted((each for own in all_of for each in own["intents"]), key=itemgetter(0)),
        },
        "actors": _joined(part["actors"] for part in parts),
    }


def _joined(parts: Iterable[Mapping[Any, Any]]) -> dict[Any, Any]:
    whole = {key: value for part in parts for key, value in part.items()}
    return {key: whole[key] for key in sorted(whole)}


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
