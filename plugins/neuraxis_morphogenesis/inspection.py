"""`neuraxis inspect growth RUN`: the life of each seed and what it contributes; as JSON also learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from neuraxis.hooks import Found, Inspection, Restored
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.actor import Seeds
from neuraxis_morphogenesis.seeds.book import Entry
from neuraxis_morphogenesis.trainer.actor import Trainer

HEAD: Final = ("actor", "slot", "blueprint", "from epoch", "to epoch", "came to", "contributes")
ENDS: Final = (Stage.FOSSILIZED, Stage.CULLED)


def look(restored: Restored) -> Found:
    """Return what every trainer and every seeds actor came to.

    A trainer has its `figures`, and as `curve` epoch, accuracy, loss and multiply-adds of each validation. A seeds
    actor has its `figures`, and as `lives` a dict for each seed that germinated: `slot`, `blueprint`, `born` and
    `ended` (epochs; None for a seed that still grows), `stage` that it came to, and `contribution`, the accuracy that
    was lost without it at the newest validation (None where it is not in the network).
    """
    values: dict[str, Any] = {}
    rows: list[tuple[str, ...]] = [HEAD]
    for path, actor in restored.actors.items():
        values[path] = {"figures": dict(actor.figures())}
        if isinstance(actor, Trainer):
            values[path]["curve"] = [list(each) for each in actor.curve]
        if isinstance(actor, Seeds):
            values[path]["lives"] = found = lives(actor.history, actor.book)
            rows += [_row(path, each) for each in found]
    return Found(values, tuple(rows))


def lives(history: Sequence[Sequence[Any]], book: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """Return a dict for each seed that germinated, in the order of births.

    Args:
        history: Slot, stage, epoch and blueprint of each move, in order.
        book: What is known of each slot now.
    """
    found: list[dict[str, Any]] = []
    newest: dict[str, dict[str, Any]] = {}
    for slot, number, epoch, blueprint in history:
        stage = Stage(number)
        if stage is Stage.GERMINATED:
            newest[slot] = {"slot": slot, "blueprint": blueprint, "born": epoch, "ended": None, "contribution": None}
            found.append(newest[slot])
        if slot in newest and newest[slot]["ended"] is None:
            newest[slot]["stage"] = stage.name
            newest[slot]["ended"] = epoch if stage in ENDS else None
    for slot, entry in book.items():
        if slot in newest and newest[slot]["stage"] != Stage.CULLED.name:
            newest[slot]["contribution"] = dict(entry.measured).get("contribution")
    return found


def _row(path: str, life: Mapping[str, Any]) -> tuple[str, ...]:
    gives, ended = life["contribution"], life["ended"]
    told = ("-" if ended is None else str(ended), life["stage"], "-" if gives is None else f"{gives:+.4f}")
    return (path, life["slot"], life["blueprint"], str(life["born"]), *told)


GROWTH: Final = Inspection(
    help="The life of each seed and what it contributes; with --json also learning curves.",
    kinds=(Trainer, Seeds),
    needs="Add an actor of kind morphogenesis.trainer to the scenario, and run it again.",
    look=look,
)
