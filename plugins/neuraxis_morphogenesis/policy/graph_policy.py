"""The policy whose network decides, and how its weights change while it runs.

    verify    signature, freshness, registry, shapes, finite values; a fresh network takes them
    shadow    both networks see the same states; the new one must speak in finite numbers, in time
    swap      the new one decides; the old one is kept
    watch     if the loss jumps, risk becomes critical, or the new one fails: back to the old one

Inference takes a tick, so the seeds actor needs `decision_ticks = 5` or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from neuraxis import Context, Input, Outcome, Resource, on, on_outcome, parameter, state
from neuraxis_morphogenesis.contracts import PolicyUpdate, SystemStatePacket, TelemetryLevel
from neuraxis_morphogenesis.model_time import now_ns
from neuraxis_morphogenesis.policy.actions import BLENDS, BREAKERS, METHODS, STAYS, Action, Choice, window
from neuraxis_morphogenesis.policy.decider import Decider, View
from neuraxis_morphogenesis.policy.inference import Infer, Inference, InstallPolicy, Source
from neuraxis_morphogenesis.policy.risk import RAMPS, Level
from neuraxis_morphogenesis.policy.updates import refusal, tensors_of
from neuraxis_morphogenesis.seeds.breaker import Breaker

NO_WEIGHTS: Final = Resource("", "")
CLAMP: Final = 2.0
"""Largest logit in conservative mode."""


class GraphPolicy(Decider):
    """Decides by a heterogeneous graph network.

    With `draws` it draws from its distribution, from the stream `decisions`; else it takes the likeliest. In
    conservative mode it takes the likeliest of clamped logits. Weights are those of `seed` until an update comes.
    Determinism: machine.
    """

    determinism = "machine"
    effects = (Infer, InstallPolicy)

    seed: int = parameter(int, 0, help="of the first weights", at_least=0)
    weights: Resource = parameter(Resource, NO_WEIGHTS, help="weights to begin with, as safetensors")
    shelf: str = parameter(str, "policies", help="folder where updates are kept; write it relative: messages carry it")
    draws: bool = parameter(bool, True, help="whether it draws, or takes the likeliest")
    blends: bool = parameter(bool, False, help="whether it says how alpha is to rise; else trainer and seeds do")
    deadline: float = parameter(float, "45 ms", unit="ms", help="for an inference, under the live clock", at_least=1)
    delay: int = parameter(int, 1, unit="ticks", help="until an inference is delivered", at_least=1)
    rest: int = parameter(int, "30 s", unit="ticks", help="how long an open breaker of inference rests", at_least=1)
    shadows: int = parameter(int, 3, help="states that a new policy sees beside the old one", at_least=1)
    watches: int = parameter(int, 5, help="states after which a new policy is trusted", at_least=1)

    update = Input(PolicyUpdate, "new weights, signed")

    source: Source = state(Source("", 0))
    previous: list[Source] = state(factory=list)
    candidate: list[Source] = state(factory=list)
    shadowed: dict[str, int] = state(factory=lambda: {"seen": 0, "agreed": 0})
    watched: dict[str, float] = state(factory=lambda: {"left": 0.0, "loss": 0.0})
    newest_ns: int = state(-1)
    asked: dict[int, SystemStatePacket] = state(factory=dict)
    shadow_tickets: dict[int, str] = state(factory=dict)
    breaker: Breaker = state(Breaker())

    def setup(self) -> None:
        """Name the first weights."""
        super().setup()
        held = self.weights
        self.version = f"seed/{self.seed}" if held == NO_WEIGHTS else f"file/{held.sha256[:12]}"
        self.source = Source(self.version, self.seed, held.path, held.sha256)
        self.breaker = Breaker(failures_max=3, rest=self.rest)

    # --------------------------------------------------------------------------- decisions

    def consider(self, context: Context, view: View) -> None:
        """Ask the network; while its breaker is open, stay."""
        self._watch(context, view.packet)
        if not self.breaker.at(context.tick).lets_through:
            self.decide(context, view, STAYS, reason="breaker_open")
            return
        ticket = self._ask(context, self.source, view, "inferred")
        self.asked[ticket] = view.packet
        if self.candidate:
            ticket = self._ask(context, self.candidate[0], view, "shadowed")
            self.shadow_tickets[ticket] = self.candidate[0].checksum

    def _ask(self, context: Context, source: Source, view: View, to: str) -> int:
        request = Infer(source, view.graph)
        return int(context.effect(request, delay=self.delay, to=to, deadline_s=self.deadline / 1e3))

    @on_outcome("inferred")
    def inferred(self, context: Context, outcome: Outcome) -> None:
        """Choose by what the network said; if it failed or was late, stay and become conservative."""
        graph = outcome.effect.graph  # type: ignore[attr-defined]  # it is an Infer; what it saw is recorded
        view = self.view(self.asked.pop(outcome.ticket), graph)
        said: Inference | None = outcome.value if outcome.status == "value" else None
        if said is not None and said.is_finite() and len(said.blueprints) == len(view.candidates):
            self.breaker = self.breaker.succeeded(context.tick)
            self._choose(context, view, said)
            return
        # a person may have ordered conservative mode since it was asked: then it was asked about other blueprints
        is_outdated = said is not None and said.is_finite()
        reason = "conservative_mode" if is_outdated else "timeout_inference"
        if outcome.status == "error" or (said is not None and not said.is_finite()):
            reason = "inference_failed"
        if not is_outdated:
            self.breaker = self.breaker.failed(context.tick)
            self._enter(context, self.risk.conservative(reason))
            self.tell(context, reason, outcome.error or reason, TelemetryLevel.ERROR)
            self._count(reason)
            if self.watched["left"] > 0:
                self._roll_back(context, reason)
        self.decide(context, self.view(view.packet), STAYS, reason=reason)

    def _choose(self, context: Context, view: View, said: Inference) -> None:
        logits = np.clip(said.logits, -CLAMP, CLAMP) if self.risk.is_conservative else said.logits
        stream = context.stream("decisions") if self.draws and not self.risk.is_conservative else None
        action, log_probability = pick(logits, view.allowed.actions, stream)
        seed = blueprint = -1
        if view.allowed.seeds[action].any():
            seed, more = pick(said.seeds, view.allowed.seeds[action], stream)
            log_probability += more
        if action == Action.GERMINATE:
            blueprint, more = pick(said.blueprints, view.allowed.blueprints, stream)
            log_probability += more
        factor = 2.0 ** float(said.numbers[0]) if action == Action.OPTIMIZER else 1.0
        method, breaker = -1, -1
        rises: tuple[float, ...] = ()
        if self.blends and action in BLENDS:
            method, more = pick(said.blend, np.ones(len(METHODS), bool), stream)
            log_probability += more
            rises = window(said.schedule.tolist())
        if action in (Action.BREAKER_OPEN, Action.BREAKER_CLOSE):
            breaker, more = pick(said.breaker, np.ones(len(BREAKERS), bool), stream)
            log_probability += more
        choice = Choice(action, seed, blueprint, factor, method, rises, breaker)
        self.decide(context, view, choice, log_probability=log_probability, value=said.value)

    # ---------------------------------------------------------------------------- updates

    @on(update)
    def verify(self, context: Context, update: PolicyUpdate) -> None:
        """Verify who sent it and when; then have a fresh network take it."""
        why = refusal(update, key=self._key, now_ns=now_ns(context), newest_ns=self.newest_ns)
        if why is not None:
            self._refuse(context, update.policy_version, why)
            return
        self.newest_ns = update.issued_at_ns
        request = InstallPolicy(update.policy_version, self.shelf, tensors_of(update))
        context.effect(request, delay=self.delay, to="installed")

    @on_outcome("installed")
    def installed(self, context: Context, outcome: Outcome) -> None:
        """Let it run in the shadow of the one that decides."""
        if outcome.status != "value":
            version = outcome.effect.version  # type: ignore[attr-defined]  # it is an InstallPolicy
            self._refuse(context, version, outcome.error)
            return
        self.candidate = [outcome.value]
        self.shadowed = {"seen": 0, "agreed": 0}
        self.tell(context, "policy_verified", outcome.value.version, TelemetryLevel.INFO)

    @on_outcome("shadowed")
    def shadow(self, context: Context, outcome: Outcome) -> None:
        """Compare it with the one that decides; swap when it has seen enough."""
        checksum = self.shadow_tickets.pop(outcome.ticket)
        if not self.candidate or self.candidate[0].checksum != checksum:
            return  # another one came in the meantime
        if outcome.status != "value" or not outcome.value.is_finite():
            version = self.candidate.pop().version
            self._refuse(context, version, f"shadow: {outcome.error or 'it does not speak in finite numbers'}")
            return
        self.shadowed = {**self.shadowed, "seen": self.shadowed["seen"] + 1}
        if self.shadowed["seen"] >= self.shadows:
            self._swap(context)

    def _swap(self, context: Context) -> None:
        self.previous, self.source = [self.source], self.candidate.pop()
        self.version = self.source.version
        self.watched = {"left": float(self.watches), "loss": self.risk.loss}
        self._count("policies_swapped")
        self.tell(context, "policy_swapped", self.version, TelemetryLevel.INFO, previous=self.previous[0].version)

    def _watch(self, context: Context, packet: SystemStatePacket) -> None:
        """Go back if the training suffers; trust the new policy when it was watched for long enough."""
        if self.watched["left"] <= 0:
            return
        rise = packet.validation_loss - self.watched["loss"]
        if math.isnan(rise) or rise > RAMPS["loss_rise"][1]:
            self._roll_back(context, "loss_spike")
        elif self.risk.level is Level.CRITICAL:
            self._roll_back(context, "risk_critical")
        else:
            self.watched = {**self.watched, "left": self.watched["left"] - 1}
            if self.watched["left"] <= 0:
                self.tell(context, "policy_confirmed", self.version, TelemetryLevel.INFO)

    def _roll_back(self, context: Context, reason: str) -> None:
        bad, self.source = self.source, self.previous.pop()
        self.version = self.source.version
        self.watched = {"left": 0.0, "loss": 0.0}
        self.candidate = []
        self._count("policies_rolled_back")
        self.tell(context, "policy_rolled_back", reason, TelemetryLevel.ERROR, bad=bad.version, now=self.version)

    def _refuse(self, context: Context, version: str, reason: str) -> None:
        self._count("policies_refused")
        self.tell(context, "policy_refused", reason, TelemetryLevel.ERROR, version=version)

    def figures(self) -> Mapping[str, int | float | str | None]:
        """Those of every policy, and its version."""
        return {**super().figures(), "version": self.version}


def pick(logits: np.ndarray, allowed: np.ndarray, stream: Any) -> tuple[int, float]:
    """Return the index that was picked among those allowed, and the logarithm of its probability.

    Args:
        logits: (n,) float64.
        allowed: (n,) bool, at least one.
        stream: Draws; None takes the likeliest, the first of equals.

    Determinism: machine.
    """
    masked = np.where(allowed, logits, -np.inf)
    shifted = masked - masked.max()
    shares = np.exp(shifted)
    total = float(shares.sum())
    if stream is None:
        index = int(masked.argmax())
    else:
        reached = np.cumsum(shares) > stream.random() * total
        index = int(reached.argmax())
    return index, float(shifted[index] - math.log(total))
