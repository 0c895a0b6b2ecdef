"""The trainer: an actor that owns host, slots, optimisers and every tensor. A tick is a block of optimiser steps.

After each epoch it validates, tells the seeds what it measured, tells the policy the whole state, and waits for the
seeds to settle what is to change. Nothing is changed in the middle of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from neuraxis import (
    Chart,
    Context,
    Input,
    Outcome,
    Output,
    Resource,
    on,
    on_outcome,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.rng import Stream
from neuraxis_morphogenesis.contracts import (
    EmergencyLevel,
    EmergencySignal,
    SystemStatePacket,
    TelemetryPacket,
    pairs,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.messages import Evidence, Orders, SlotOrder
from neuraxis_morphogenesis.model_time import now_ns
from neuraxis_morphogenesis.trainer.clock import HOOK_MS_MAX, ReadClock
from neuraxis_morphogenesis.trainer.data import DataSet, labelled, text
from neuraxis_morphogenesis.trainer.fetching import Fetcher
from neuraxis_morphogenesis.trainer.health import IN_A_ROW
from neuraxis_morphogenesis.trainer.phases import Phase, entered
from neuraxis_morphogenesis.trainer.report import learning_chart, state_packet, telemetry_packet
from neuraxis_morphogenesis.trainer.with_torch.numerics import PROFILES, ensure

SAMPLES_MIN: Final = 2
"""In the last step, which the rest of a budget pays for; a norm over a batch needs two."""


class Trainer(Fetcher):
    """Trains a host, and what grows in it.

    Determinism: machine; under `numerics = "portable"` meant to be the same everywhere.
    """

    determinism = "machine"
    effects = (ReadClock,)

    data: Resource = parameter(Resource, help="what to learn from: labelled arrays, or a text for a transformer")
    host: str = parameter(str, "mlp", choices=("mlp", "cnn", "transformer"), help="kind of the host")
    width: int = parameter(int, 16, at_least=1, help="channels of a block; of the first, for cnn")
    depth: int = parameter(int, 2, at_least=1, help="blocks")
    characters: int = parameter(int, 64, at_least=2, help="characters of a piece of text")
    validation: float = parameter(float, 0.2, at_least=0.001, at_most=0.49, help="share that is never trained on")
    batch: int = parameter(int, 50, at_least=1, help="samples of a step")
    steps_per_tick: int = parameter(int, 16, at_least=1, help="optimiser steps of a tick")
    epochs: int = parameter(int, 40, at_least=1, help="epochs of the whole training")
    budget: float = parameter(float, 0.0, at_least=0, help="multiply-adds of the whole training; 0 for any number")
    optimiser: str = parameter(str, "sgd", choices=("sgd", "adam", "adamw"), help="how weights are changed")
    rate: float = parameter(float, 0.05, at_least=0, help="the host's learning rate at the start")
    momentum: float = parameter(float, 0.9, at_least=0, at_most=0.999, help="of sgd")
    decay: float = parameter(float, 0.0, at_least=0, help="weight decay")
    seed_rate_share: float = parameter(float, 0.1, at_least=0, help="learning rate of seeds, as a share of the host's")
    seed_warmup_epochs: float = parameter(float, 10.0, at_least=0, help="epochs until it is reached")
    gradient_max: float = parameter(float, 100.0, at_least=0, help="norm above which a gradient explodes")
    isolation: str = parameter(
        str, "strict", choices=("strict", "host_learns"), help="whether the host learns meanwhile"
    )
    schedule: str = parameter(
        str, "sigmoid", choices=("linear", "cosine", "sigmoid", "warmup_hold"), help="how alpha rises"
    )
    aggregation: str = parameter(str, "sum", choices=("sum", "pcgrad"), help="how losses of several seeds are joined")
    distil: float = parameter(float, 0.0, at_least=0, help="weight of what was known before a graft; 0.3 is usual")
    distil_every: int = parameter(int, 2, at_least=1, help="steps from one with the teacher to the next")
    common: bool = parameter(
        bool, False, help="whether first weights and order are those of all trainers with it, to compare them"
    )
    grows: bool = parameter(bool, True, help="whether seeds are attached; false for a host of a fixed size")
    healthy_kept: int = parameter(int, 3, at_least=1, help="healthy states that are kept to go back to")
    memory_mb: float = parameter(float, 1024.0, at_least=1, help="memory budget, 10**6 bytes")
    mode: str = parameter(str, "eager", choices=("eager", "compiled"), help="how modules of seeds are run")
    cache: str = parameter(str, "", help="folder of machine code; empty for the usual one")
    is_live: bool = parameter(bool, False, help="whether the wall clock decides: a boundary that took too long is told")
    hook_ms: float = parameter(float, HOOK_MS_MAX, at_least=0, help="wall time of a boundary after validation, then")
    numerics: str = parameter(str, "portable", choices=PROFILES, help="which bits PyTorch is pinned to")

    orders = Input(Orders, "what the seeds want")
    evidence = Output(Evidence, "what was measured in a block or epoch")
    packet = Output(SystemStatePacket, "the whole training, for the policy")
    telemetry = Output(TelemetryPacket, "metrics of an epoch")
    emergency = Output(EmergencySignal, "what must not wait; connect it on the emergency lane")

    phase: str = state("idle")
    epoch: int = state(0)
    cursor: int = state(0)
    is_cut: bool = state(False)
    order: np.ndarray = state(factory=lambda: np.zeros(0, np.int64))
    waiting: list[SlotOrder] = state(factory=list)
    troubles: dict[str, str] = state(factory=dict)
    wishes: dict[str, Any] = state(factory=lambda: {"factor": 1.0, "rollback": "", "purge": False})
    healthy: list[dict[str, Any]] = state(factory=list)
    validated: dict[str, float] = state(factory=dict)
    faults_before: int = state(0)
    failed_in_row: int = state(0)
    rollbacks: int = state(0)
    rolled_back_in: int = state(-1)
    missed: int = state(0)
    is_conservative: bool = state(False)
    curve: list[list[float]] = state(factory=list)
    tested: dict[str, float] = state(factory=dict)
    clock: dict[str, int] = state(factory=dict)
    layers: dict[str, float] = state(factory=dict)
    late: int = state(0)

    def setup(self) -> None:
        """Pin the numerics, read the data, and make room for a training."""
        ensure(self.numerics)
        if self.mode == "compiled" and self.grows:
            from neuraxis_morphogenesis.blueprints.with_torch.load import require_compiler

            require_compiler()
        self._data = self._read()
        self.training = self._fresh(0)

    def _read(self) -> DataSet:
        if self.host == "transformer":
            return text(self.data, steps=self.characters, validation=self.validation)
        return labelled(self.data, validation=self.validation)

    def _fresh(self, seed: int) -> Any:
        from neuraxis_morphogenesis.trainer.with_torch.growth import Config
        from neuraxis_morphogenesis.trainer.with_torch.hosts import Design
        from neuraxis_morphogenesis.trainer.with_torch.training import Training

        shape, classes = self._data.shape, self._data.classes
        design = Design(kind=self.host, shape=shape, classes=classes, width=self.width, depth=self.depth)
        names = ("optimiser", "rate", "momentum", "decay", "seed_rate_share", "seed_warmup_epochs", "gradient_max")
        more = ("isolation", "schedule", "aggregation", "distil", "distil_every", "mode", "cache")
        config = Config(design=design, **{name: getattr(self, name) for name in (*names, *more)})
        return Training(config, self._data, seed=seed)

    def capture(self) -> dict[str, Any]:
        """Return the state, with every tensor."""
        from neuraxis_morphogenesis.trainer.with_torch import state as tensors

        return {**super().capture(), "training": tensors.capture(self.training)}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state, with every tensor."""
        from neuraxis_morphogenesis.trainer.with_torch import state as tensors

        rest = dict(captured)
        tensors.restore(self.training, rest.pop("training"))
        super().restore(rest)

    # ------------------------------------------------------------------------------ blocks

    @on_start
    def begin(self, context: Context) -> None:
        """Draw the weights."""
        self.training = self._fresh(int(self._stream(context, "weights").raw(1)[0] >> np.uint64(1)))
        if self.modules == "library" and self.grows:
            for site in dict.fromkeys(each.site for each in self.training.network.slots):
                context.send("site", site)
        self._enter("training")
        context.wake(1, "block")

    @on_timer("block")
    def block(self, context: Context) -> None:
        """Carry out what was ordered, take the steps of a tick, and tell what was measured."""
        self._apply(context)
        if self.cursor == 0:
            self.order = self._stream(context, "order").permutation(len(self._data.train))
        for _ in range(self.steps_per_tick):
            if self._epoch_is_over or self.phase == "halted":
                break
            self._step(context)
        if self.phase == "halted":
            return
        self.training.watch()
        if self._epoch_is_over:
            self._end_epoch(context)
            return
        if self.grows:
            context.send("evidence", self._evidence(None))
        context.wake(1, "block")

    def _stream(self, context: Context, name: str) -> Stream:
        """Return a stream of its own, or that of all who compare; then by epochs, as their ticks are not the same."""
        return context.stream(name, common=True).at(self.epoch) if self.common else context.stream(name)

    @property
    def _epoch_is_over(self) -> bool:
        return self._is_spent or self.cursor + self.batch > len(self._data.train)

    @property
    def _steps_of_epoch(self) -> int:
        return len(self._data.train) // self.batch

    @property
    def _affordable(self) -> int:
        """Samples that the rest of the budget pays for."""
        return int((self.budget - self.training.macs) / self.training.cost)

    @property
    def _is_spent(self) -> bool:
        return self.budget > 0 and (self.is_cut or self._affordable < SAMPLES_MIN)

    def _step(self, context: Context) -> None:
        indices = self.order[self.cursor : self.cursor + self.batch]
        self.cursor += self.batch
        if self.budget > 0:
            affordable = self._affordable
            self.is_cut = affordable < self.batch
            if affordable < SAMPLES_MIN:
                return
            indices = indices[:affordable]

        def permutations(count: int) -> list[list[int]]:
            return [context.stream("pairs").permutation(count).tolist() for _ in range(count)]

        share = self.batch / len(self._data.train)
        fault = self.training.train(indices, progress=self.progress, epoch_share=share, orders=permutations)
        if fault is None:
            return
        is_of_seed = any(not t.finite or t.is_exploding for t in self.training.tallies.values())
        self._alarm(context, EmergencyLevel.NOTICE, fault, step=self.training.step)
        if fault == "runaway_loss" or (not is_of_seed and self.faults - self.faults_before >= IN_A_ROW):
            self._roll_back(context, fault)
            self.faults_before = self.faults

    @property
    def progress(self) -> float:
        """Share of the whole training that is done."""
        if self.budget > 0:
            return float(self.training.macs / self.budget)
        return (self.epoch + self.cursor / len(self._data.train)) / self.epochs

    @property
    def faults(self) -> int:
        """Steps that were refused."""
        return sum(self.training.faults.values())

    def _end_epoch(self, context: Context) -> None:
        from neuraxis_morphogenesis.trainer.with_torch.layers import layer_metrics
        from neuraxis_morphogenesis.trainer.with_torch.validation import validate

        self._enter("validating")
        self.layers = layer_metrics(self.training)  # now: gradients are no state, and a resumed run would have none
        self.epoch, self.cursor = self.epoch + 1, 0
        found = validate(self.training.network, self._data.validation, context.stream("credit"))
        self.validated = {"accuracy": found.accuracy, "loss": found.loss}
        self._read_clock(context, "begins")
        self.curve.append([float(self.epoch), found.accuracy, found.loss, self.training.macs])
        if self.grows:
            context.send("evidence", self._evidence(found))
            self._enter("assembling")
        else:
            context.send("packet", state_packet(context, self, ()))
            self._settle(context)

    def _evidence(self, validation: Any) -> Evidence:
        from neuraxis_morphogenesis.trainer.with_torch.evidence import memory, slot_evidence

        slots = [
            slot_evidence(self.training, each, validation=validation, trouble=self.troubles.pop(each.name, ""))
            for each in self.training.network.slots
        ]
        return Evidence(
            epoch=self.epoch,
            step=self.training.step,
            ends_epoch=validation is not None,
            is_conservative=self.is_conservative,
            validation_accuracy=self.validated.get("accuracy", 0.0),
            validation_loss=self.validated.get("loss", 0.0),
            training_loss=self.training_loss,
            memory_share=memory(self.training, self.healthy) / (self.memory_mb * 1e6),
            slots=tuple(slots),
        )

    @property
    def training_loss(self) -> float:
        """Mean loss of the epoch so far."""
        tally = self.training.host_tally
        return float(tally.loss_sum / tally.losses) if tally.losses else 0.0

    # ------------------------------------------------------------------------------ orders

    @on(orders)
    def hear(self, context: Context, orders: Orders) -> None:
        """Take orders; they are carried out at the next boundary of a block."""
        self.waiting += orders.orders
        self.wishes["factor"] *= orders.learning_rate_factor
        self.wishes["rollback"] = orders.rollback or self.wishes["rollback"]
        self.wishes["purge"] = orders.purge or self.wishes["purge"]
        if orders.kind == "states" and self.phase == "assembling":
            if not self.is_conservative:
                context.send("packet", state_packet(context, self, orders.states))
            self._enter("awaiting")
        elif orders.kind == "settled" and self.phase == "awaiting":
            self.missed += orders.is_missed
            if orders.is_missed:
                self._alarm(context, EmergencyLevel.ELEVATED, "decision_missed", epoch=self.epoch)
            # one epoch without asking, and the policy is asked again
            self.is_conservative = orders.is_missed
            self._settle(context)

    def _settle(self, context: Context) -> None:
        """Close the epoch: change what was decided, keep a healthy state, and go on."""
        self._enter("applying")
        self._apply(context)
        if self.phase != "halted":
            self._enter("checkpointing")
            self._checkpoint(context)
            self._read_clock(context, "ends")
        context.send("telemetry", telemetry_packet(context, self))
        self.training.host_tally = type(self.training.host_tally)()
        if self.phase == "halted":
            return
        if self.epoch >= self.epochs or self._is_spent:
            self._finish()
            return
        self._enter("training")
        context.wake(1, "block")

    def _read_clock(self, context: Context, moment: str) -> None:
        if self.is_live:
            context.effect(ReadClock(moment), delay=1, to="clock")

    @on_outcome("clock")
    def see_clock(self, context: Context, outcome: Outcome) -> None:
        """Under the live clock: a boundary that took too long is told, and the next epoch asks nobody."""
        assert isinstance(outcome.effect, ReadClock), "no other effect is asked for"
        self.clock[outcome.effect.moment] = int(outcome.value)
        took = (self.clock["ends"] - self.clock["begins"]) / 1e6 if outcome.effect.moment == "ends" else 0.0
        if took > self.hook_ms:
            self.late += 1
            self.is_conservative = True
            self._alarm(context, EmergencyLevel.ELEVATED, "hook_budget", milliseconds=f"{took:.3f}")

    def _apply(self, context: Context) -> None:
        for order in self.waiting:
            self._carry_out(context, order)
        self.waiting = []
        self.training.clear()
        self._attach_fetched(context)
        self.training.rate_factor *= self.wishes["factor"]
        if self.wishes["purge"]:
            self.training.forget_teacher()
            del self.healthy[:-1]
        if self.wishes["rollback"]:
            self._roll_back(context, "commanded", full=self.wishes["rollback"] == "full")
        self.wishes = {"factor": 1.0, "rollback": "", "purge": False}

    def _carry_out(self, context: Context, order: SlotOrder) -> None:
        if order.act == "attach":
            self._note(order.slot, self._attach(context, order))
        elif order.act == "detach":
            self.fetching.pop(order.slot, None)
            self.training.detach(order.slot)
        elif order.act == "fade":
            self.training.fade(order.slot, order.epochs * self._steps_of_epoch)
        elif order.act == "stage":
            steps = order.epochs * self._steps_of_epoch
            how = {"schedule": order.schedule, "window": order.window}
            self.training.enter(order.slot, Stage(order.stage), blend_steps=steps, **how)
        else:
            self.training.network.slot(order.slot).is_paused = order.act == "pause"

    def _attach(self, context: Context, order: SlotOrder) -> str:
        """Make a seed's module, or ask for its kernel. Returns why it cannot be, or nothing."""
        if self.modules == "library":
            return self.ask(context, order, self.training.network.slot(order.slot).site)
        word = int(context.stream(f"seed:{order.slot}").raw(1)[0] >> np.uint64(1))
        given = dict(order.parameters)
        return str(self.training.try_attach(order.slot, order.blueprint_id, given, order.blend, seed=word))

    def _attach_fetched(self, context: Context) -> None:
        """Attach the kernels that have come, and note what became of the others."""
        sites = {each.name: each.site for each in self.training.network.slots}
        for slot, wanted, found in self.settled(context, sites):
            if isinstance(found, str):
                self._note(slot, found)
                continue
            given = wanted["parameters"]
            self._note(slot, self.training.try_attach(slot, wanted["blueprint"], given, wanted["blend"], kernel=found))

    def _note(self, slot: str, trouble: str) -> None:
        if trouble:
            self.troubles[slot] = trouble

    # ------------------------------------------------------------------------------ health

    def _checkpoint(self, context: Context) -> None:
        """Keep the state if it is healthy; three epochs in a row that are not end the training."""
        from neuraxis_morphogenesis.trainer.with_torch import state as tensors

        failed = self.faults > self.faults_before or self.rolled_back_in == self.epoch
        violated = bool(self.training.host_tally.violations) or any(
            each.violations for each in self.training.tallies.values()
        )
        self.faults_before = self.faults
        self.failed_in_row = self.failed_in_row + 1 if failed else 0
        if self.failed_in_row >= IN_A_ROW:
            self._halt(context, "failed_epochs")
        elif not failed and not violated and self.training.is_finite():
            self.healthy = [*self.healthy, tensors.capture(self.training)][-self.healthy_kept :]

    def _roll_back(self, context: Context, reason: str, *, full: bool = False) -> None:
        """Go back to a healthy state: the newest, or the oldest if that did not help. The data go on past the fault."""
        from neuraxis_morphogenesis.trainer.with_torch import state as tensors

        if not self.healthy:
            self._halt(context, f"{reason}: there is no healthy state")
            return
        is_again = self.rolled_back_in == self.epoch + 1
        tensors.roll_back(self.training, self.healthy[0 if full or is_again else -1])
        self.rollbacks += 1
        self.rolled_back_in = self.epoch + 1
        tier = "full" if full or is_again else "fast"
        self._alarm(context, EmergencyLevel.CONSERVATIVE, reason, tier=tier, step=self.training.step)

    def _halt(self, context: Context, reason: str) -> None:
        self._enter("halted")
        self._alarm(context, EmergencyLevel.HALT, reason, epoch=self.epoch)

    def _alarm(self, context: Context, level: EmergencyLevel, reason: str, **facts: object) -> None:
        now = now_ns(context)
        signal = EmergencySignal(
            level=level,
            reason=reason,
            origin=context.path,
            triggered_at_ns=now,
            monotonic_time_ms=now // 10**6,
            attributes=pairs({name: str(value) for name, value in facts.items()}),
        )
        context.send("emergency", signal)

    def _enter(self, phase: Phase) -> None:
        self.phase = entered(self.phase, phase)  # type: ignore[arg-type]  # a state is a plain text

    # ----------------------------------------------------------------------------- reports

    def _finish(self) -> None:
        """Look at the test part, once."""
        from neuraxis_morphogenesis.trainer.with_torch.validation import validate

        found = validate(self.training.network, self._data.test)
        self.tested = {"accuracy": found.accuracy, "loss": found.loss}
        self._enter("done")

    def figures(self) -> Mapping[str, int | float | None]:
        """How good the network is, and what it cost."""
        return {
            "epochs": self.epoch,
            "accuracy": self.validated.get("accuracy"),
            "loss": self.validated.get("loss"),
            "test_accuracy": self.tested.get("accuracy"),
            "parameters": self.training.parameters(),
            "multiply_adds": self.training.macs,
            "faults": self.faults,
            "rollbacks": self.rollbacks,
            "decisions_missed": self.missed,
            "boundaries_late": self.late,
        }

    def charts(self) -> Iterable[Chart]:
        """The learning curve."""
        return [learning_chart(self.curve)]
