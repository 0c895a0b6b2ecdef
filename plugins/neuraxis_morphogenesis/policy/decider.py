"""What all policies share: they take the state after each epoch and answer with one signed command, always.

An answer that changes nothing is a PAUSE of nothing, so that the trainer never waits in vain. The record of a
decision goes out under the id of its command, so that what is learned offline can be joined with what came of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis import Actor, Context, Input, Output, Resource, message, on, parameter, state
from neuraxis_morphogenesis.authority import key_of, signed
from neuraxis_morphogenesis.blueprints.catalogue import Blueprint, described, pool
from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    CommandType,
    EmergencyLevel,
    EmergencySignal,
    FieldReport,
    FieldReportOutcome,
    RollbackPayload,
    SeedState,
    SystemStatePacket,
    TelemetryEvent,
    TelemetryLevel,
    TelemetryPacket,
    pairs,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.model_time import now_ns
from neuraxis_morphogenesis.policy.actions import (
    OPERATIONS,
    STAYS,
    Action,
    Choice,
    Options,
    annotated,
    command,
    options,
)
from neuraxis_morphogenesis.policy.graphs import Norms, StateGraph, renormed, slots_of, state_graph
from neuraxis_morphogenesis.policy.reports import Window, closed, observed, opened, remembered
from neuraxis_morphogenesis.policy.risk import Level, Risk, Verdict, evaluate, judge
from neuraxis_morphogenesis.seeds.lifecycle import LEADS_TO

LAYOUTS: Final = ("", "features", "sequence", "map")
SOFTER: Final = 0.9
"""What learning rates are multiplied by instead of a change that is too risky now."""


@final
@message("morphogenesis.decision")
class Decision(Struct, frozen=True, kw_only=True, eq=False):
    """The record of a decision: everything that learning from it needs.

    Attributes:
        command_id: Of the command.
        epoch: That was decided on.
        policy_version: Who decided.
        graph: What it saw.
        choice: What it chose, before risk was asked: action, seed, blueprint.
        lr_factor: For `OPTIMIZER`.
        blending: How alpha is to rise, of `METHODS`, and its window; -1 and empty where that was not chosen.
        breaker: Of `BREAKERS`: which one it forces; -1 for none.
        log_probability: Of the choice, natural logarithm; 0 for a policy that does not draw.
        value: What it expected of the state; 0 for a policy that expects nothing.
        action_mask: (32,) bool: what was allowed.
        seed_mask: (seeds,) bool: which seeds the chosen action could be about.
        blueprint_mask: (blueprints,) bool: what could germinate.
        issued: The action that was commanded, after risk was asked.
        reason: Why it was another one, by name; else empty.
    """

    command_id: str
    epoch: int
    policy_version: str
    graph: StateGraph
    choice: tuple[int, int, int]
    lr_factor: float
    blending: tuple[int, tuple[float, ...]] = (-1, ())
    breaker: int = -1
    log_probability: float
    value: float
    action_mask: np.ndarray
    seed_mask: np.ndarray
    blueprint_mask: np.ndarray
    issued: int
    reason: str


@final
class View(Struct, frozen=True, eq=False):
    """What a policy decides on.

    Attributes:
        packet: The training.
        seeds: All slots.
        candidates: Blueprints that may germinate.
        allowed: What may be done.
        graph: The same as arrays.
    """

    packet: SystemStatePacket
    seeds: tuple[SeedState, ...]
    candidates: tuple[Blueprint, ...]
    allowed: Options
    graph: StateGraph


class Decider(Actor):
    """Base of all policies. A subclass says what it chooses, in `consider`."""

    key: Resource = parameter(Resource, help="file of the key that commands are signed with")
    slots: tuple[str, ...] = parameter(tuple[str, ...], (), help="slots of the host, known before anything grew")
    layout: str = parameter(str, "", choices=LAYOUTS, help="layout of the slots; empty for blueprints of any")
    approved: tuple[str, ...] = parameter(tuple[str, ...], (), help="experimental blueprints that a person approved")
    moves: bool = parameter(bool, False, help="whether it moves seeds on; else their gates do by themselves")
    breakers: bool = parameter(bool, False, help="whether it may force circuit breakers")
    cull_age: int = parameter(int, 3, help="epochs before which it culls no seed", at_least=0)
    observes: int = parameter(int, 3, help="epochs for which it observes what came of a command", at_least=1)
    deadline_ms: int = parameter(int, 0, help="age at which a command is stale; 0 for the verifier's own", at_least=0)
    conservative: bool = parameter(bool, False, help="begin in conservative mode, until a person ends it")

    packet = Input(SystemStatePacket, "the whole training, after an epoch")
    order = Input(bool, "a person orders conservative mode, or ends it")
    command = Output(AdaptationCommand, "the answer, signed")
    decisions = Output(Decision, "the record of a decision")
    reports = Output(FieldReport, "what came of a command")
    risks = Output(Risk, "the risk after each packet")
    telemetry = Output(TelemetryPacket, "what happened")
    emergency = Output(EmergencySignal, "what must not wait; connect it on the emergency lane")

    risk: Risk = state(Risk())
    norms: Norms = state(factory=dict)
    memory: dict[str, tuple[float, float, float, float]] = state(factory=dict)
    windows: list[Window] = state(factory=list)
    counts: dict[str, int] = state(factory=dict)
    version: str = state("")

    def setup(self) -> None:
        """Read the key."""
        self._key = key_of(self.key)
        if self.conservative:
            self.risk = self.risk.ordered(True)

    # -------------------------------------------------------------------------------- flow

    @on(packet)
    def weigh(self, context: Context, packet: SystemStatePacket) -> None:
        """Weigh the risk, close windows that are over, and consider what to do."""
        self.norms = renormed(self.norms, packet)
        self._enter(context, evaluate(self.risk, packet))
        context.send("risks", self.risk)
        self._observe(context, packet)
        self.consider(context, self.view(packet))

    @on(order)
    def obey(self, context: Context, is_on: bool) -> None:
        """Enter or leave conservative mode as a person orders."""
        self._enter(context, self.risk.ordered(is_on))

    @abstractmethod
    def consider(self, context: Context, view: View) -> None:
        """Choose, and call `decide` now or in a later tick."""

    def view(self, packet: SystemStatePacket, graph: StateGraph | None = None) -> View:
        """Return what is there to decide on.

        Args:
            packet: The training.
            graph: That of the packet, if it was made before; it is made anew if other blueprints are allowed by now.
        """
        seeds = slots_of(packet, self.slots)
        candidates = tuple(
            entry
            for entry in pool(approved=self.approved, conservative=self.risk.is_conservative)
            if not self.layout or self.layout in entry.layouts
        )
        allowed = options(
            seeds,
            np.ones(len(candidates), bool),
            moves=self.moves,
            breakers=self.breakers,
            age_min=self.cull_age,
        )
        if graph is None or graph.blueprints != tuple(entry.blueprint_id for entry in candidates):
            graph = state_graph(
                packet, seeds, candidates, norms=self.norms, memory=self.memory, level=int(self.risk.level)
            )
        return View(packet, seeds, candidates, allowed, graph)

    # ---------------------------------------------------------------------------- decision

    def decide(
        self,
        context: Context,
        view: View,
        choice: Choice,
        *,
        log_probability: float = 0.0,
        value: float = 0.0,
        reason: str = "",
    ) -> None:
        """Ask risk, sign and send the command, and keep the record.

        Args:
            context: Of the handler.
            view: What was decided on.
            choice: What was chosen.
            log_probability: Of the choice.
            value: Expected of the state.
            reason: Why the policy could not choose freely, by name.
        """
        entry = described(view.graph.blueprints[choice.blueprint]) if choice.blueprint >= 0 else None
        verdict = self._judged(context, choice, entry)
        issued = {"issue": choice, "hold": STAYS}.get(verdict.act, Choice(int(Action.OPTIMIZER), lr_factor=SOFTER))
        command_id = _uuid(context.stream("commands").raw(2))
        reason = reason or verdict.reason
        target = view.seeds[issued.seed] if issued.seed >= 0 else None
        germinates = issued.action == Action.GERMINATE and entry is not None
        made = command(
            issued,
            seed_id="" if target is None else target.seed_id,
            blueprint_id=entry.blueprint_id if germinates and entry else "",
            parameters=entry.defaults() if germinates and entry else {},
            command_id=command_id,
            issued_at_ns=now_ns(context),
            issued_by=context.path,
            deadline_ms=self.deadline_ms,
            annotations=(*self._annotations(view, choice, entry, value, reason), *pairs(annotated(issued))),
        )
        context.send("command", signed(made, self._key))
        self._count(Action(issued.action).name.lower())
        context.send(
            "decisions",
            Decision(
                command_id=command_id,
                epoch=view.packet.current_epoch,
                policy_version=self.version,
                graph=view.graph,
                choice=(choice.action, choice.seed, choice.blueprint),
                lr_factor=choice.lr_factor,
                blending=(choice.method, choice.window),
                breaker=choice.breaker,
                log_probability=log_probability,
                value=value,
                action_mask=view.allowed.actions,
                seed_mask=view.allowed.seeds[choice.action],
                blueprint_mask=view.allowed.blueprints,
                issued=issued.action,
                reason=reason,
            ),
        )
        if target is not None and Action(issued.action) in OPERATIONS:
            goal = LEADS_TO.get(OPERATIONS[Action(issued.action)], Stage.CULLED)
            window = opened(
                command_id=command_id,
                seed=target,
                blueprint_id=made.seed_operation.blueprint_id if made.seed_operation else "",
                target=int(goal),
                packet=view.packet,
                version=self.version,
            )
            self.windows.append(window)

    def _judged(self, context: Context, choice: Choice, entry: Blueprint | None) -> Verdict:
        changes = choice.action in OPERATIONS and choice.action != Action.CULL
        verdict = judge(
            self.risk,
            changes=changes,
            blueprint_risk=None if entry is None else entry.risk,
            is_quarantined=entry is not None and entry.quarantine_only,
        )
        if verdict.enters:
            self._enter(context, self.risk.conservative(verdict.reason))
        if verdict.asks_rollback:
            self._ask_rollback(context, verdict.reason)
        if verdict.act != "issue":
            self._count("held_back")
        return verdict

    def _ask_rollback(self, context: Context, reason: str) -> None:
        asked = AdaptationCommand(
            command_id=_uuid(context.stream("rollbacks").raw(2)),
            command_type=CommandType.ROLLBACK,
            issued_at_ns=now_ns(context),
            issued_by=context.path,
            rollback_payload=RollbackPayload(reason=reason),
        )
        context.send("command", signed(asked, self._key))
        self._count("rollbacks_asked")

    def _annotations(
        self, view: View, choice: Choice, entry: Blueprint | None, value: float, reason: str
    ) -> tuple[tuple[str, str], ...]:
        told = {
            "policy_action": Action(choice.action).name.lower(),
            "policy_version": self.version,
            "policy_value_estimate": f"{value:.6g}",
            "policy_risk_index": str(int(self.risk.level)),
            "policy_risk_score": f"{self.risk.score:.6g}",
            "feature_coverage": f"{view.graph.coverage():.6g}",
            "risk_reason": reason,
        }
        if entry is not None:
            told |= {
                "blueprint_tier": entry.tier.name,
                "blueprint_stage": str(entry.stage),
                "blueprint_risk": f"{entry.risk:g}",
            }
        return pairs({name: text for name, text in told.items() if text})

    # ---------------------------------------------------------------------- what came of it

    def _observe(self, context: Context, packet: SystemStatePacket) -> None:
        seeds = {seed.seed_id: seed for seed in packet.seed_states}
        is_critical = self.risk.level is Level.CRITICAL
        still_open = []
        for window in self.windows:
            seen = observed(window, seeds, is_critical=is_critical)
            if packet.current_epoch - window["epoch"] < self.observes:
                still_open.append(seen)
                continue
            report = closed(seen, packet, seeds, path=context.path, now_ns=now_ns(context))
            context.send("reports", report)
            self._count(f"reports_{FieldReportOutcome(report.outcome).name.lower()}")
            self.memory = remembered(self.memory, report, was_culled=seen["was_culled"])
        self.windows = still_open

    def _enter(self, context: Context, risk: Risk) -> None:
        """Take over a risk; tell when conservative mode begins and ends."""
        began = risk.is_conservative and not self.risk.is_conservative
        ended = self.risk.is_conservative and not risk.is_conservative
        self.risk = risk
        if began:
            reasons = ", ".join(risk.reasons)
            self.tell(context, "conservative_enter", reasons, TelemetryLevel.CRITICAL)
            signal = EmergencySignal(
                level=EmergencyLevel.CONSERVATIVE,
                reason=risk.reasons[-1],
                origin=context.path,
                triggered_at_ns=now_ns(context),
                monotonic_time_ms=now_ns(context) // 1_000_000,
            )
            context.send("emergency", signal)
            self._count("conservative_entered")
        if ended:
            self.tell(context, "conservative_exit", "calm again", TelemetryLevel.INFO)

    def tell(self, context: Context, event_id: str, text: str, level: TelemetryLevel, **facts: Any) -> None:
        """Send one event as telemetry."""
        event = TelemetryEvent(
            event_id=event_id,
            description=text,
            level=level,
            attributes=pairs({name: str(value) for name, value in facts.items()}),
        )
        packet = TelemetryPacket(
            packet_id=f"{context.path}/{context.tick}/{event_id}",
            timestamp_ns=now_ns(context),
            source_subsystem=context.path,
            level=level,
            events=(event,),
        )
        context.send("telemetry", packet)

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def figures(self) -> Mapping[str, int | float | str | None]:
        """How often it did what, and whether it is conservative."""
        return {**{name: self.counts[name] for name in sorted(self.counts)}, "conservative": self.risk.is_conservative}


def _uuid(words: np.ndarray) -> str:
    """Return 128 bits as a UUID of version 4."""
    bits = int(words[0]) << 64 | int(words[1])
    bits = bits & ~(0xF << 76) | 4 << 76
    bits = bits & ~(3 << 62) | 2 << 62
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
