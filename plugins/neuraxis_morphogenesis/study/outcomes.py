"""What an arm of a run came to. An arm is a trainer, with its seeds and policy where it has some.

Actors are told apart by name: the trainer of arm `plateau` is `plateau` or `plateau_trainer`, its seeds actor is
`plateau_seeds`.

Determinism: exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, final

from msgspec import Struct

SUFFIX: Final = "_trainer"
ORDER: Final = ("small", "large", "random", "plateau", "policy")
"""Arms in tables; others come behind, by name."""


@final
class Life(Struct, frozen=True):
    """A seed that germinated.

    Attributes:
        slot, blueprint: Where, and what.
        born, ended: Epochs; None for a seed that still grew at the end.
        stage: What it came to.
        contribution: Accuracy on validation that was lost without it at the end; None where it is not in the network.
    """

    slot: str
    blueprint: str
    born: int
    ended: int | None
    stage: str
    contribution: float | None


@final
class Outcome(Struct, frozen=True):
    """What one arm came to with one seed.

    Attributes:
        accuracy: On the test part; 0 for an arm that did not come to its end.
        validated: Accuracy on the validation part at the end.
        parameters: Of host and seeds at the end.
        multiply_adds: That training took.
        epochs: Epochs of training.
        curve: Epoch, accuracy, loss and multiply-adds of each validation.
        lives: All seeds, in the order of births.
    """

    accuracy: float
    validated: float
    parameters: int
    multiply_adds: float
    epochs: int
    curve: tuple[tuple[float, float, float, float], ...]
    lives: tuple[Life, ...]

    @property
    def tried(self) -> int:
        """Seeds that germinated."""
        return len(self.lives)

    @property
    def kept(self) -> tuple[Life, ...]:
        """Seeds that became part of the host."""
        return tuple(each for each in self.lives if each.stage == "FOSSILIZED")


def outcomes(actors: Mapping[str, Mapping[str, Any]]) -> dict[str, Outcome]:
    """Return what each arm came to, in the order of tables.

    Args:
        actors: What `neuraxis inspect growth RUN --json` tells of each actor.
    """
    trainers = {path.removesuffix(SUFFIX): path for path, told in actors.items() if "curve" in told}
    return {arm: _outcome(actors[trainers[arm]], actors.get(f"{arm}_seeds", {})) for arm in ordered(trainers)}


def ordered(arms: Iterable[str]) -> list[str]:
    """Return arms in the order of tables."""
    return sorted(arms, key=lambda arm: (ORDER.index(arm) if arm in ORDER else len(ORDER), arm))


def _outcome(trainer: Mapping[str, Any], seeds: Mapping[str, Any]) -> Outcome:
    figures = trainer["figures"]
    return Outcome(
        accuracy=figures["test_accuracy"] or 0.0,
        validated=figures["accuracy"] or 0.0,
        parameters=figures["parameters"],
        multiply_adds=figures["multiply_adds"],
        epochs=figures["epochs"],
        curve=tuple(tuple(each) for each in trainer["curve"]),
        lives=tuple(Life(**each) for each in seeds.get("lives", ())),
    )
