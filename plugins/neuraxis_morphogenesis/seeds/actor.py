"""The seeds actor: owns the life of every seed, its gates, its embargo, and who may command.

It decides by evidence that the trainer measured, and by commands that were signed. What it decides goes to the trainer
as orders, which the trainer carries out at the next boundary of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from neuraxis import Context, Input, on, on_timer
from neuraxis_morphogenesis.authority import verify
from neuraxis_morphogenesis.blueprints.catalogue import described, grant
from neuraxis_morphogenesis.blueprints.errors import BlueprintRefused, BlueprintUnknown
from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    CircuitBreakerState,
    CommandType,
    SeedOperation,
    TelemetryLevel,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleGate as Gate
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.messages import Evidence, Orders, SlotEvidence, SlotOrder
from neuraxis_morphogenesis.model_time import now_ns
from neuraxis_morphogenesis.seeds.blending import rise
from neuraxis_morphogenesis.seeds.book import Entry
from neuraxis_morphogenesis.seeds.keeper import BREAKERS, Keeper
from neuraxis_morphogenesis.seeds.lifecycle import GATES, GROWING, LEADS_TO, NEXT
from neuraxis_morphogenesis.seeds.lives import life

MEMORY_SHARE_MAX: Final = 0.9
"""Share of the memory budget above which nothing germinates and everything that can be had again is dropped."""

RATE_FACTORS: Final = (0.1, 10.0)
"""What a command may multiply learning rates by."""


class Seeds(Keeper):
    """Owns the life of every seed.

    `advance = "auto"`: a seed moves on when its gate opens, and is culled when its patience is over. `"commanded"`: it
    moves on only by command, through the same gates.
    Determinism: exact; what it decides by is of class machine.
    """

    evidence = Input(Evidence, "what the trainer measured")
    command = Input(AdaptationCommand, "a decision, signed")

    # ---------------------------------------------------------------------------- evidence

    @on(evidence)
    def weigh(self, context: Context, evidence: Evidence) -> None:
        """Take what was measured, and move seeds on."""
        self.epoch, self.step = evidence.epoch, evidence.step
        if evidence.ends_epoch:
            self.accuracy, self.loss = evidence.validation_accuracy, evidence.validation_loss
            self.germinated = self.paused = 0
        for each in evidence.slots:
            self._weigh_slot(context, each)
        if evidence.memory_share > MEMORY_SHARE_MAX:
            self.wishes["purge"] = True
            share = f"{evidence.memory_share:.3f}"
            self._tell("", "memory_cleanup", "memory is short", TelemetryLevel.WARNING, context, share=share)
        if not evidence.ends_epoch:
            if self.pending and self.awaited < 0:
                self._order(context, "urgent")
            return
        for name in list(self.book):
            self._advance(context, name)
        self.counts["memory_percent"] = int(100 * evidence.memory_share)
        self._end_epoch(context, evidence)

    def _weigh_slot(self, context: Context, found: SlotEvidence) -> None:
        entry = self.book.get(found.slot)
        if entry is None:
            entry = Entry(slot=found.slot, site=found.site, depth=found.depth)
            self.book[found.slot] = entry
            self._move(context, found.slot, Stage.DORMANT)
            entry = self.book[found.slot]
        measured = dict(found.measured)
        self.book[found.slot] = entry = replace(entry, measured=found.measured)
        if "contribution" in measured and entry.stage is not Stage.CULLED:  # there it falls with alpha
            self.credits[life(found.slot, entry.born)] = measured["contribution"]
        if entry.stage is Stage.GERMINATED:
            self._germinating(context, entry, found)
        elif entry.stage in GROWING:
            broken = self._broken(context, entry, found, measured)
            if broken:
                self._cull(context, entry.slot, broken, is_broken=True)
        elif entry.stage is Stage.CULLED:
            self._fading(context, entry, found, measured)
        elif entry.stage is Stage.EMBARGOED:
            if context.tick >= entry.embargo_tick and self.epoch >= entry.embargo_epoch:
                self._tell(entry.slot, "embargo_end", "the embargo is over", TelemetryLevel.INFO, context)
                self._move(context, entry.slot, Stage.RESETTING)
        elif entry.stage is Stage.RESETTING:
            measured = {"isolation_violations": float(len(found.violations)), **measured}
            if self._ask(context, entry, Gate.G5_RESET, measured).passed:
                self.book[entry.slot] = Entry(
                    slot=entry.slot, site=entry.site, depth=entry.depth, stage=entry.stage, measured=entry.measured
                )
                self._move(context, entry.slot, Stage.DORMANT)

    def _germinating(self, context: Context, entry: Entry, found: SlotEvidence) -> None:
        if found.is_attached:
            self.breakers["attach"] = self.breakers["attach"].succeeded(context.tick)
            self._move(context, entry.slot, Stage.TRAINING)
        elif found.trouble:
            self._failed("attach", context)
            self._cull(context, entry.slot, found.trouble)

    def _fading(self, context: Context, entry: Entry, found: SlotEvidence, measured: Mapping[str, float]) -> None:
        """Wait until a culled seed is ramped down, and take it out at once if it breaks meanwhile."""
        broken = self._broken(context, entry, found, measured) if entry.is_fading else ""
        if broken:
            self._tell(entry.slot, "gate_failure", broken, TelemetryLevel.WARNING, context, stage=entry.stage.name)
            self.pending.append(SlotOrder(slot=entry.slot, act="detach", stage=Stage.CULLED))
            self.book[entry.slot] = replace(entry, is_fading=False)
        elif not (entry.is_fading and found.is_attached):
            self._embargo(context, entry)

    def _broken(self, context: Context, entry: Entry, found: SlotEvidence, measured: Mapping[str, float]) -> str:
        """Return why a seed must go at once, or nothing."""
        if found.violations:
            self._failed("isolation", context)
            level = TelemetryLevel.CRITICAL
            text = ", ".join(sorted(set(found.violations)))
            self._tell(entry.slot, "parameter.violation", text, level, context, count=len(found.violations))
            return f"isolation_violation: {text}"
        if measured.get("finite", 1.0) < 1:
            return "it makes no numbers any more"
        return "exploding_gradient" if measured.get("exploding", 0.0) > 0 else ""

    def _embargo(self, context: Context, entry: Entry) -> None:
        until, epoch = context.tick + self.embargo, self.epoch + self.embargo_epochs
        self._move(context, entry.slot, Stage.EMBARGOED)
        self.book[entry.slot] = replace(self.book[entry.slot], embargo_tick=until, embargo_epoch=epoch, is_fading=False)
        self._tell(
            entry.slot, "embargo_start", "nothing grows here for a while", TelemetryLevel.INFO, context, until=until
        )

    def _advance(self, context: Context, name: str) -> None:
        """Ask the gate of a seed's stage if it is time, and move the seed on, or cull it if it waited too long."""
        entry = self.book[name]
        if self.advance != "auto" or entry.is_paused or entry.stage not in GROWING or entry.stage is Stage.GERMINATED:
            return
        age = self.epoch - entry.entered
        least = {
            Stage.TRAINING: self.training_epochs,
            Stage.BLENDING: self.blending_epochs,
            Stage.SHADOWING: 1,
            Stage.PROBATIONARY: self.probation_epochs,
        }[entry.stage]
        if age >= least:
            self._try(context, name, is_last=age >= least + self.patience_epochs)

    # ---------------------------------------------------------------------------- commands

    @on(command)
    def obey(self, context: Context, command: AdaptationCommand) -> None:
        """Judge a command, and carry it out."""
        verdict = verify(command, key=self._key, nonces=self.nonces, now_ns=now_ns(context))
        self.nonces = verdict.nonces
        refusal: str = verdict.rejection or ""
        if not refusal:
            self.decisions += 1
            refusal = self._carry_out(context, command)
        verb = "commands_refused" if refusal else "commands_obeyed"
        self.counts[verb] = self.counts.get(verb, 0) + 1
        if refusal:
            level = TelemetryLevel.ERROR
            name = command.target_seed_id if command.target_seed_id in self.book else ""
            self._tell(name, "command_rejected", refusal, level, context, command_id=command.command_id)

    def _carry_out(self, context: Context, command: AdaptationCommand) -> str:
        """Return why not, or nothing."""
        kind = command.command_type
        if kind is CommandType.SEED:
            return self._operate(context, command)
        if kind is CommandType.PAUSE:
            return self._pause(context, command)
        if kind is CommandType.OPTIMIZER:
            return self._adjust(command)
        if kind is CommandType.CIRCUIT_BREAKER:
            return self._force(context, command)
        if kind is CommandType.ROLLBACK:
            asked = command.rollback_payload
            self.wishes["rollback"] = "full" if asked is not None and asked.full else "fast"
            return ""
        if kind is CommandType.EMERGENCY:
            self.wishes["purge"] = True
            return ""
        return f"unsupported_command: {kind.name}"

    def _operate(self, context: Context, command: AdaptationCommand) -> str:
        asked, entry = command.seed_operation, self.book.get(command.target_seed_id)
        if asked is None:
            return "missing_payload: seed_operation"
        if entry is None:
            return f"unknown_seed: {command.target_seed_id}"
        operation = asked.operation
        wanted = rise(dict(command.annotations), self.schedules)
        if wanted is not None and operation in (SeedOperation.GERMINATE, SeedOperation.START_GRAFTING):
            if wanted.refusal:
                return wanted.refusal
            entry = replace(entry, schedule=wanted.schedule, window=wanted.window)
            if operation is SeedOperation.START_GRAFTING and entry.stage is Stage.TRAINING:
                self.book[entry.slot] = entry
        if operation is SeedOperation.GERMINATE:
            return self._germinate(context, entry, asked.blueprint_id, dict(asked.parameters))
        if operation is SeedOperation.CANCEL and entry.stage in (Stage.DORMANT, Stage.FOSSILIZED):
            if dict(command.annotations).get("admin") != "true":
                return "admin_only: a slot is retired by an administrator"
            self._move(context, entry.slot, Stage.TERMINATED)
            return ""
        if operation in (SeedOperation.CULL, SeedOperation.CANCEL):
            if entry.stage not in GROWING:
                return f"illegal_transition: {entry.stage.name} to CULLED"
            self._cull(context, entry.slot, f"commanded by {command.issued_by}")
            return ""
        if operation is SeedOperation.FINE_TUNE:
            return "" if entry.stage is Stage.PROBATIONARY else f"illegal_transition: {entry.stage.name} to FINE_TUNE"
        target = LEADS_TO.get(operation)
        if target is None or NEXT.get(entry.stage) is not target or target is Stage.TRAINING:
            return f"illegal_transition: {entry.stage.name} to {target.name if target else operation.name}"
        return "" if self._try(context, entry.slot, is_last=False) else f"gate_shut: {GATES[entry.stage].name}"

    def _germinate(self, context: Context, entry: Entry, blueprint_id: str, parameters: dict[str, float]) -> str:
        """Ask G0: may this grow here, now?"""
        refusal = self._may_germinate(context, entry)
        if not refusal:
            try:
                granted = grant(blueprint_id, entry.site, parameters, approved=self.approved)
            except (BlueprintUnknown, BlueprintRefused) as error:
                refusal = error.message()
        if entry.stage is not Stage.DORMANT:
            return refusal
        self._gate(context, entry.slot, Gate.G0_SANITY, not refusal, refusal, {})
        if refusal:
            return refusal
        self.germinated += 1
        found = replace(entry, blueprint_id=blueprint_id, risk=described(blueprint_id).risk, born=self.epoch)
        self.book[entry.slot] = found
        self._move(context, entry.slot, Stage.GERMINATED)
        self.pending.append(
            SlotOrder(
                slot=entry.slot,
                act="attach",
                stage=Stage.GERMINATED,
                blueprint_id=blueprint_id,
                parameters=granted.parameters,
                blend=self.blend,
            )
        )
        return ""

    def _may_germinate(self, context: Context, entry: Entry) -> str:
        if entry.stage is not Stage.DORMANT:
            return f"illegal_transition: {entry.stage.name} to GERMINATED"
        for name in ("attach", "isolation"):
            if not self.breakers[name].at(context.tick).lets_through:
                return f"breaker_open: {name}"
        if self.counts.get("memory_percent", 0) > 100 * MEMORY_SHARE_MAX:
            return "memory_short"
        return f"too_many_seeds: {self.seeds_max} in an epoch" if self.germinated >= self.seeds_max else ""

    def _pause(self, context: Context, command: AdaptationCommand) -> str:
        """Pause or resume a seed; without a target it means that nothing is to change."""
        if not command.target_seed_id:
            return ""
        entry = self.book.get(command.target_seed_id)
        resumes = dict(command.annotations).get("resume") == "true"
        if entry is None or entry.stage not in GROWING[1:] or entry.is_paused is not resumes:
            return f"not_pausable: {command.target_seed_id}"
        if not resumes and self.paused >= self.pauses_max:
            return f"pause_quota: {self.pauses_max} in an epoch"
        self.paused += not resumes
        self.book[entry.slot] = replace(entry, is_paused=not resumes)
        verb = "resume" if resumes else "pause"
        self.pending.append(SlotOrder(slot=entry.slot, act="resume" if resumes else "pause", stage=entry.stage))
        self._tell(entry.slot, verb, verb, TelemetryLevel.INFO, context)
        return ""

    def _adjust(self, command: AdaptationCommand) -> str:
        asked = command.optimizer_adjustment
        if asked is None:
            return "missing_payload: optimizer_adjustment"
        wanted = dict(asked.hyperparameters)
        factor = wanted.pop("lr_factor", None)
        if wanted or factor is None:
            return f"unknown_hyperparameter: {', '.join(sorted(wanted)) or 'lr_factor is missing'}"
        if not RATE_FACTORS[0] <= factor <= RATE_FACTORS[1]:
            return f"out_of_range: lr_factor {factor!r}"
        self.wishes["factor"] = self.wishes["factor"] * factor
        return ""

    def _force(self, context: Context, command: AdaptationCommand) -> str:
        asked = command.circuit_breaker
        name = dict(command.annotations).get("breaker", "")
        if asked is None or asked.desired_state is CircuitBreakerState.UNKNOWN:
            return "missing_payload: circuit_breaker"
        if name and name not in BREAKERS:
            return f"unknown_breaker: {name}"
        for each in [name] if name else BREAKERS:
            self.breakers[each] = self.breakers[each].forced(asked.desired_state, context.tick)
        return ""

    # ------------------------------------------------------------------------------ orders

    def _end_epoch(self, context: Context, evidence: Evidence) -> None:
        states = tuple(each.state(self.epoch) for each in self.book.values())
        context.send("orders", Orders(kind="states", epoch=self.epoch, states=states))
        self._flush(context)
        self.decisions = 0
        if self.decides and not evidence.is_conservative:
            self.awaited = self.epoch
            context.wake(self.decision_ticks, "settle")
        else:
            self._order(context, "settled")

    @on_timer("settle")
    def settle(self, context: Context) -> None:
        """The time for decisions is over: tell the trainer to go on."""
        is_missed = self.decisions == 0
        if is_missed:
            text = f"no decision within {self.decision_ticks} ticks"
            self._tell("", "deadline_violation", text, TelemetryLevel.ERROR, context, epoch=self.awaited)
        self.awaited = -1
        self._order(context, "settled", is_missed=is_missed)

    def _order(self, context: Context, kind: Any, *, is_missed: bool = False) -> None:
        orders = Orders(
            kind=kind,
            epoch=self.epoch,
            orders=tuple(self.pending),
            learning_rate_factor=self.wishes["factor"],
            rollback=self.wishes["rollback"],
            purge=self.wishes["purge"],
            decisions=self.decisions,
            is_missed=is_missed,
        )
        self.pending = []
        self.wishes = {"factor": 1.0, "rollback": "", "purge": False}
        context.send("orders", orders)
