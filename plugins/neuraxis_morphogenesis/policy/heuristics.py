"""The controls: policies that learn nothing, with the same ports as the one that does.

`Plateau` grows when validation stands still; `Random` grows at any time. A claim that the network decides well
means that it decides better than these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from neuraxis import Context, parameter, state
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.contracts import SeedState
from neuraxis_morphogenesis.policy.actions import STAYS, Action, Choice
from neuraxis_morphogenesis.policy.decider import Decider, View

POINT: Final = 0.01
LIVE: Final = (Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING, Stage.PROBATIONARY)
ONWARD: Final = {
    Stage.GERMINATED: Action.START_TRAINING,
    Stage.TRAINING: Action.START_GRAFTING,
    Stage.BLENDING: Action.STABILIZE,
    Stage.SHADOWING: Action.EVALUATE,
    Stage.PROBATIONARY: Action.FOSSILIZE,
}
"""The action that moves a seed on from each stage."""


class Plateau(Decider):
    """Grows when the best validation accuracy has not risen by `gain_points` for `patience` epochs.

    A seed that contributes nothing after `cull_after` epochs is culled. Blueprints are taken in the order of
    `prefers`, those first that gained most when they were tried.
    Determinism: exact.
    """

    prefers: tuple[str, ...] = parameter(
        tuple[str, ...], ("BP009", "BP010", "BP021", "BP028"), help="blueprints, the best first"
    )
    first_epoch: int = parameter(int, 5, help="epochs before which nothing grows", at_least=0)
    patience: int = parameter(int, 3, help="epochs without a gain that make a plateau", at_least=1)
    gain_points: float = parameter(float, 0.5, help="percentage points that count as a gain", at_least=0)
    seeds_max: int = parameter(int, 3, help="seeds that ever grow", at_least=0)
    cull_after: int = parameter(int, 5, help="epochs after which a seed must contribute", at_least=1)
    train_epochs: int = parameter(int, 3, help="epochs before a seed is moved on, where it moves them", at_least=0)

    best: float = state(-1.0)
    best_epoch: int = state(0)
    grown: int = state(0)

    def setup(self) -> None:
        """Name the version."""
        super().setup()
        self.version = "plateau/1"

    def consider(self, context: Context, view: View) -> None:
        """Cull, move on, or grow, in this order; else stay."""
        packet = view.packet
        if packet.validation_accuracy >= self.best + self.gain_points * POINT:
            self.best, self.best_epoch = packet.validation_accuracy, packet.current_epoch
        choice = self._cull(view.seeds, view) or self._move(view.seeds, view) or self._grow(view)
        if choice is not None and choice.action == Action.GERMINATE:
            self.grown += 1
            self.best_epoch = packet.current_epoch  # a seed gets as long as the host got
        self.decide(context, view, choice or STAYS)

    def _cull(self, seeds: Sequence[SeedState], view: View) -> Choice | None:
        for index, seed in enumerate(seeds):
            contribution = dict(seed.metrics).get("contribution")
            is_old = seed.age_epochs >= self.cull_after
            if view.allowed.seeds[Action.CULL, index] and is_old and contribution is not None and contribution <= 0:
                return Choice(int(Action.CULL), index)
        return None

    def _move(self, seeds: Sequence[SeedState], view: View) -> Choice | None:
        for index, seed in enumerate(seeds):
            action = ONWARD.get(seed.stage)
            if action is None or not view.allowed.seeds[action, index] or seed.age_epochs < self.train_epochs:
                continue
            return Choice(int(action), index)
        return None

    def _grow(self, view: View) -> Choice | None:
        epoch = view.packet.current_epoch
        if epoch < self.first_epoch or epoch - self.best_epoch < self.patience or self.grown >= self.seeds_max:
            return None
        if any(seed.stage in LIVE for seed in view.seeds) or not view.allowed.actions[Action.GERMINATE]:
            return None
        ids = [entry.blueprint_id for entry in view.candidates]
        wanted = [each for each in self.prefers if each in ids]
        if not wanted:
            return None
        best = max(wanted, key=lambda each: self.memory.get(each, (0.0, 0.0, 0.0, 0.0))[1])
        slot = int(view.allowed.seeds[Action.GERMINATE].argmax())
        return Choice(int(Action.GERMINATE), slot, ids.index(best))


class Random(Decider):
    """Grows with probability `rate` after each epoch, in any free slot, any blueprint, until `grafts_max` grew.

    With `moments_until` it draws the moments of exactly `grafts_max` grafts when it begins, evenly over that share of
    the training; one whose moment finds no free slot grows as soon as there is one. So it can be held to the number of
    grafts that another policy made.
    Where it moves seeds on, it asks for the next stage of each in turn. It never culls.
    Determinism: exact.
    """

    rate: float = parameter(float, 0.1, help="probability of growing after an epoch", at_least=0, at_most=1)
    grafts_max: int = parameter(int, 3, help="seeds that ever grow", at_least=0)
    moments_until: float = parameter(
        float, 0.0, help="share of the training in which all of them grow; 0 for `rate`", at_least=0, at_most=1
    )
    prefers: tuple[str, ...] = parameter(tuple[str, ...], (), help="only these blueprints; empty for all that fit")

    grown: int = state(0)
    turn: int = state(0)
    moments: list[float] = state(factory=list)

    def setup(self) -> None:
        """Name the version."""
        super().setup()
        self.version = "random/1"

    def consider(self, context: Context, view: View) -> None:
        """Draw."""
        self.decide(context, view, self._grow(context, view) or self._move(view) or STAYS)

    def _grow(self, context: Context, view: View) -> Choice | None:
        stream = context.stream("growth")
        draws = self._is_due(context, view) if self.moments_until > 0 else stream.bernoulli(self.rate)
        free = [index for index, is_free in enumerate(view.allowed.seeds[Action.GERMINATE]) if is_free]
        fitting = [
            index
            for index, entry in enumerate(view.candidates)
            if not self.prefers or entry.blueprint_id in self.prefers
        ]
        if not draws or not free or not fitting or self.grown >= self.grafts_max:
            return None
        self.grown += 1
        slot, blueprint = free[stream.integers(0, len(free))], fitting[stream.integers(0, len(fitting))]
        return Choice(int(Action.GERMINATE), slot, blueprint)

    def _is_due(self, context: Context, view: View) -> bool:
        """Whether more moments have passed than grafts were commanded; one that risk held back is still owed."""
        if not self.moments:
            drawn = context.stream("moments").random(self.grafts_max)
            self.moments = sorted((self.moments_until * drawn).tolist())
        progress = dict(view.packet.training_metrics).get("progress", 0.0)
        self.grown = self.counts.get(Action.GERMINATE.name.lower(), 0)
        return sum(each <= progress for each in self.moments) > self.grown

    def _move(self, view: View) -> Choice | None:
        count = len(view.seeds)
        for step in range(count):
            index = (self.turn + step) % count
            action = ONWARD.get(view.seeds[index].stage)
            if action is not None and view.allowed.seeds[action, index]:
                self.turn = index + 1
                return Choice(int(action), index)
        return None
