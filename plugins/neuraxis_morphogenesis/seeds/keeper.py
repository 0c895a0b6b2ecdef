"""The book of seeds: what the seeds actor remembers, how a seed is moved, and what is told about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec.structs import replace

from neuraxis import Actor, Chart, Context, Output, Resource, parameter, state
from neuraxis_morphogenesis.authority import key_of
from neuraxis_morphogenesis.contracts import (
    CircuitBreakerState,
    GateEvent,
    TelemetryEvent,
    TelemetryLevel,
    TelemetryPacket,
    numbers,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleGate as Gate
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.messages import Act, Orders, SlotOrder
from neuraxis_morphogenesis.seeds.book import Entry, complete
from neuraxis_morphogenesis.seeds.breaker import Breaker
from neuraxis_morphogenesis.seeds.gates import Finding, Thresholds, judge
from neuraxis_morphogenesis.seeds.lifecycle import GATES, GROWING, NEXT
from neuraxis_morphogenesis.seeds.lives import stays
from neuraxis_morphogenesis.seeds.plots import lives_chart
from neuraxis_morphogenesis.seeds.report import life_chart, packet
from neuraxis_morphogenesis.seeds.schedule import SCHEDULES
from neuraxis_morphogenesis.seeds.telemetry import event, queued

BREAKERS: Final = ("attach", "blending", "isolation")
BLENDS: Final = ("convex", "residual", "channel", "confidence", "multiply")
TOLD: Final = ("finite", "exploding", "alpha", "isolation_violations", "contribution", "seed_loss", "learning_rate")
"""What must be told about a seed in SHADOWING for its telemetry to be complete."""


class Keeper(Actor):
    """Keeps the book of all seeds: every move, what a gate found, and what is told about it.

    Determinism: exact; what it decides by is of class machine.
    """

    key: Resource = parameter(Resource, help="file of the key that commands are signed with")
    advance: str = parameter(str, "auto", choices=("auto", "commanded"), help="who moves seeds on")
    blend: str = parameter(str, "convex", choices=BLENDS, help="how outputs of seeds are mixed")
    training_epochs: int = parameter(int, 10, at_least=1, help="epochs in TRAINING before its gate is asked")
    blending_epochs: int = parameter(int, 5, at_least=1, help="epochs in which alpha rises")
    fade_epochs: int = parameter(int, 5, at_least=0, help="epochs in which alpha falls from 1 after a cull; 0: at once")
    schedules: tuple[str, ...] = parameter(
        tuple[str, ...], tuple(SCHEDULES), help="how alpha may rise if a command says so"
    )
    probation_epochs: int = parameter(int, 3, at_least=1, help="epochs in PROBATIONARY before its gate is asked")
    patience_epochs: int = parameter(int, 10, at_least=0, help="epochs for which a gate may stay shut before the cull")
    decides: bool = parameter(bool, True, help="whether a policy is asked after each epoch")
    decision_ticks: int = parameter(int, 4, at_least=3, help="ticks in which its decision must arrive")
    embargo: int = parameter(int, "30 s", unit="ticks", at_least=0, help="how long a slot stays empty after a cull")
    embargo_epochs: int = parameter(int, 5, at_least=0, help="and for how many epochs at least")
    approved: tuple[str, ...] = parameter(tuple[str, ...], (), help="experimental blueprints that a person approved")
    seeds_max: int = parameter(int, 100, at_least=1, help="seeds that may germinate in an epoch")
    pauses_max: int = parameter(int, 10_000, at_least=0, help="seeds that may be paused in an epoch")
    rest: int = parameter(int, "60 s", unit="ticks", at_least=1, help="how long an open circuit breaker rests")
    isolation_rest: int = parameter(int, "30 s", unit="ticks", at_least=1, help="the same, after breaches of isolation")
    gain_min: float = parameter(float, 0.005, help="G1: accuracy that a seed adds when switched in")
    gradient_ratio_min: float = parameter(float, 0.1, at_least=0, help="G1: its gradient over the host's")
    gradient_health_min: float = parameter(float, 0.7, at_least=0, help="G1: share of sound gradients")
    drift_max: float = parameter(float, 0.12, at_least=0, help="G2: rise of the validation loss, as a share")
    correlation_min: float = parameter(float, 0.9, help="G3: correlation of outputs with and without the seed")
    contribution_min: float = parameter(float, 0.01, help="G4: accuracy that is lost without the seed")
    regression_max: float = parameter(float, 0.01, help="G4: accuracy that may have been lost in the stage")

    orders = Output(Orders, "what the trainer is to do at the next boundary")
    gates = Output(GateEvent, "what a gate found")
    moves = Output(Entry, "a seed that has just moved, as the book has it")
    breaker = Output(Breaker, "a circuit breaker after a failure")
    telemetry = Output(TelemetryPacket, "what happened in an epoch")
    emergency = Output(TelemetryPacket, "what must not wait; connect it on the emergency lane")

    book: dict[str, Entry] = state(factory=dict)
    nonces: dict[str, int] = state(factory=dict)
    breakers: dict[str, Breaker] = state(factory=dict)
    pending: list[SlotOrder] = state(factory=list)
    wishes: dict[str, Any] = state(factory=lambda: {"factor": 1.0, "rollback": "", "purge": False})
    events: dict[str, tuple[TelemetryEvent, ...]] = state(factory=dict)
    history: list[list[Any]] = state(factory=list)
    credits: dict[str, float] = state(factory=dict)
    counts: dict[str, int] = state(factory=dict)
    epoch: int = state(0)
    step: int = state(0)
    accuracy: float = state(0.0)
    loss: float = state(0.0)
    germinated: int = state(0)
    paused: int = state(0)
    decisions: int = state(0)
    awaited: int = state(-1)

    def setup(self) -> None:
        """Read the key, and make the breakers."""
        self._key = key_of(self.key)
        self._thresholds = Thresholds(
            **{name: getattr(self, name) for name in Thresholds.__struct_fields__ if name != "violations_max"}
        )
        self.breakers = {name: Breaker(rest=self.rest) for name in BREAKERS}
        self.breakers["isolation"] = Breaker(failures_max=3, rest=self.isolation_rest)

    # ------------------------------------------------------------------------------- moves

    def _try(self, context: Context, name: str, *, is_last: bool) -> bool:
        """Ask the gate at the exit of a seed's stage. Returns whether the seed moved on."""
        entry = self.book[name]
        target = NEXT[entry.stage]
        if target is Stage.BLENDING and not self.breakers["blending"].at(context.tick).lets_through:
            self._tell(name, "breaker_open", "blending waits", TelemetryLevel.WARNING, context, breaker="blending")
            return False
        measured = entry.judged(accuracy=self.accuracy, loss=self.loss)
        measured["telemetry"] = complete(measured, TOLD)
        finding = self._ask(context, entry, GATES[entry.stage], measured)
        if entry.stage is Stage.BLENDING and (finding.passed or finding.is_final):
            breaker = self.breakers["blending"]
            now = context.tick
            self.breakers["blending"] = breaker.succeeded(now) if finding.passed else breaker.failed(now)
        if finding.passed:
            self._move(context, name, target)
        elif finding.is_final or is_last:
            self._cull(context, name, finding.reason)
        return finding.passed

    def _ask(self, context: Context, entry: Entry, gate: Gate, measured: Mapping[str, float]) -> Finding:
        finding = judge(gate, measured, self._thresholds)
        self._gate(context, entry.slot, gate, finding.passed, finding.reason, measured)
        return finding

    def _gate(
        self, context: Context, slot: str, gate: Gate, passed: bool, reason: str, measured: Mapping[str, float]
    ) -> None:
        found = numbers(dict(measured))
        told = GateEvent(gate=gate, passed=passed, reason=reason, seed_id=slot, epoch=self.epoch, measured=found)
        context.send("gates", told)
        level = TelemetryLevel.INFO if passed else TelemetryLevel.WARNING
        self._tell(slot, "gate_event", reason or "open", level, context, gate=gate.name, passed=passed)
        verb = "passed" if passed else "held"
        self.counts[f"gates_{verb}"] = self.counts.get(f"gates_{verb}", 0) + 1

    def _move(self, context: Context, name: str, target: Stage) -> None:
        """Move a seed, and tell the trainer and the world."""
        entry = self.book[name].to(target, epoch=self.epoch, step=self.step, accuracy=self.accuracy, loss=self.loss)
        self.book[name] = entry
        context.send("moves", entry)
        self.history.append([name, int(target), self.epoch, entry.blueprint_id])
        self._tell(name, "seed_state", target.name, TelemetryLevel.INFO, context, stage=target.name)
        if target in GROWING[1:] or target in (Stage.FOSSILIZED, Stage.TERMINATED):
            order = SlotOrder(slot=name, act="stage", stage=target)
            if target is Stage.BLENDING:
                how = {"schedule": entry.schedule, "window": entry.window}
                order = replace(order, epochs=self.blending_epochs, **how)
            self.pending.append(order)
        verb = target.name.lower()
        self.counts[verb] = self.counts.get(verb, 0) + 1

    def _cull(self, context: Context, name: str, reason: str, *, is_broken: bool = False) -> None:
        """Cull a seed. One that has a share in the output is ramped down, unless it is broken."""
        entry = self.book[name]
        has_share = entry.stage in (Stage.BLENDING, Stage.PROBATIONARY) and not entry.is_paused
        fades = has_share and self.fade_epochs > 0 and not is_broken
        self._tell(name, "gate_failure", reason, TelemetryLevel.WARNING, context, stage=entry.stage.name)
        self._move(context, name, Stage.CULLED)
        self.book[name] = replace(self.book[name], is_fading=fades)
        act: Act = "fade" if fades else "detach"
        epochs = self.fade_epochs if fades else 0
        self.pending.append(SlotOrder(slot=name, act=act, stage=Stage.CULLED, epochs=epochs))

    def _failed(self, name: str, context: Context) -> None:
        self.breakers[name] = after = self.breakers[name].failed(context.tick)
        context.send("breaker", after)
        if after.state is CircuitBreakerState.OPEN:
            self._tell("", "breaker_open", name, TelemetryLevel.ERROR, context, breaker=name)

    # --------------------------------------------------------------------------- telemetry

    def _tell(self, slot: str, kind: str, text: str, level: TelemetryLevel, context: Context, **facts: object) -> None:
        """Queue an event; what is CRITICAL goes out at once, past every queue."""
        told = event(kind, text, level, **({"seed_id": slot} if slot else {}), **facts)
        if level is TelemetryLevel.CRITICAL:
            context.send("emergency", packet(context, self, (told,)))
        self.events[slot] = queued(self.events.get(slot, ()), told)

    def _flush(self, context: Context) -> None:
        waiting = tuple(each for name in sorted(self.events) for each in self.events[name])
        context.send("telemetry", packet(context, self, waiting))
        self.events = {}

    def figures(self) -> Mapping[str, int]:
        """How many seeds reached which stage, and what became of commands."""
        names = ("germinated", "fossilized", "culled", "terminated", "commands_obeyed", "commands_refused")
        return {name: self.counts.get(name, 0) for name in names}

    def charts(self) -> Iterable[Chart]:
        """The life of each seed, as a picture and as a table."""
        found = stays(self.history, self.epoch)
        return [lives_chart(found, self.credits), life_chart(found, self.credits)]
