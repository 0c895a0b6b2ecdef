"""Trainer, seeds and a policy together: whole lives of seeds over real epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from neuraxis import Graph, Options, Resource, Simulation
from neuraxis.testing.checks import resumed_digest
from neuraxis_morphogenesis.authority import signed
from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    CircuitBreakerCommand,
    CircuitBreakerState,
    CommandType,
    GateEvent,
    OptimizerAdjustment,
    RollbackPayload,
    SeedOperation,
    SeedOperationPayload,
    TelemetryLevel,
    numbers,
    pairs,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from tests.morphogenesis.gardener import KEY, Chatter, Watcher, garden

LENIENT = {
    "training_epochs": 1,
    "blending_epochs": 1,
    "probation_epochs": 1,
    "gain_min": -1.0,
    "gradient_ratio_min": 0.0,
    "drift_max": 10.0,
    "correlation_min": -1.0,
    "contribution_min": -1.0,
    "regression_max": 1.0,
}
SHORT = {"epochs": 14, "width": 8, "batch": 50, "steps_per_tick": 4, "rate": 0.02}
GROW = ["GERMINATE", "block1", "BP009", {"depth": 1}]


def stages(sim: Simulation, slot: str = "block1") -> list[str]:
    return [Stage(stage).name for name, stage, *_ in sim.actor("seeds").history if name == slot]


def out(sim: Simulation, port: str) -> list[Any]:
    """Return what left through an output, in order."""
    return [each.value for each in sim.outputs if each.port == port]


def told(sim: Simulation, kind: str) -> list[dict[str, str]]:
    """Return the facts of all events of a kind, in order."""
    packets = out(sim, "told")
    return [{**dict(e.attributes), "text": e.description} for p in packets for e in p.events if e.event_id == kind]


def planted(folder: Path, data: Resource, **options: Any) -> Graph:
    options["trainer"] = SHORT | options.get("trainer", {})
    options["seeds"] = LENIENT | options.get("seeds", {})
    graph = garden(folder, data, **options)
    graph.connect("seeds.telemetry", "@output.told")
    graph.connect("seeds.gates", "@output.gates")
    graph.connect("trainer.emergency", "@output.alarms", lane="emergency")
    return graph


def finished(graph: Graph, *, seed: int = 3, until: int = 600) -> Simulation:
    return Simulation(graph, seed=seed).advance(until=until)


# --------------------------------------------------------------------------------- whole lives


def test_a_seed_lives_from_dormant_to_fossilized_on_mnist_1d(tmp_path: Path, signals: Resource) -> None:
    graph = planted(
        tmp_path,
        signals,
        script={"1": [GROW]},
        trainer={"epochs": 10, "steps_per_tick": 32, "isolation": "host_learns", "rate": 0.05},
        seeds={"training_epochs": 2, "blending_epochs": 2, "probation_epochs": 2, "blend": "residual"},
    )
    sim = finished(graph)
    assert stages(sim) == ["DORMANT", "GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "FOSSILIZED"]
    gates = [(each.gate.name, each.passed) for each in out(sim, "gates")]
    names = ["G0_SANITY", "G1_GRADIENT_HEALTH", "G2_STABILITY", "G3_INTERFACE", "G4_SYSTEM_IMPACT"]
    assert gates == [(name, True) for name in names]
    epochs = [epoch for name, _, epoch, _ in sim.actor("seeds").history if name == "block1"]
    assert epochs == [0, 1, 1, 3, 5, 6, 8]
    assert sim.figures()["trainer.accuracy"] > 0.3
    assert stages(sim, "block2") == ["DORMANT"]


def test_a_culled_seed_is_embargoed_reset_and_its_slot_grows_again(tmp_path: Path, few_signals: Resource) -> None:
    script = {"1": [GROW], "2": [["CULL", "block1"]], "3": [GROW], "10": [GROW]}
    seeds = {"training_epochs": 9, "embargo": 40, "embargo_epochs": 3}
    sim = finished(planted(tmp_path, few_signals, script=script, seeds=seeds))
    assert stages(sim) == [
        *("DORMANT", "GERMINATED", "TRAINING", "CULLED", "EMBARGOED", "RESETTING", "DORMANT", "GERMINATED", "TRAINING")
    ]
    assert [each["text"] for each in told(sim, "command_rejected")] == ["illegal_transition: EMBARGOED to GERMINATED"]
    assert {each["gate"] for each in told(sim, "gate_event")} == {"G0_SANITY", "G5_RESET"}


@pytest.mark.parametrize(("embargo", "epochs"), [(60, 0), (0, 5)])
def test_an_embargo_lasts_for_its_ticks_and_for_its_epochs(
    tmp_path: Path, few_signals: Resource, embargo: int, epochs: int
) -> None:
    script = {"1": [GROW], "2": [["CULL", "block1"]]}
    seeds = {"training_epochs": 9, "embargo": embargo, "embargo_epochs": epochs}
    sim = Simulation(planted(tmp_path, few_signals, script=script, seeds=seeds), seed=3)
    actor = sim.actor("seeds")
    began = ended = 0
    for tick in range(1, 250):
        sim.advance(until=tick)
        stage = actor.book["block1"].stage if actor.book else Stage.UNKNOWN
        if stage is Stage.EMBARGOED and not began:
            began, entry = tick, actor.book["block1"]
        if began and not ended and stage is not Stage.EMBARGOED:
            ended = tick
            assert actor.epoch == entry.embargo_epoch or not epochs
    assert entry.embargo_tick == began - 1 + embargo or entry.embargo_tick == began + embargo
    assert ended - began >= embargo
    assert not embargo or ended - began <= embargo + 6


def test_slots_are_retired_by_administrators_alone(tmp_path: Path, few_signals: Resource) -> None:
    script = {
        "1": [["CANCEL", "block2"], GROW],
        "2": [["CANCEL", "block2", "", {}, {"admin": "true"}]],
        "8": [["CANCEL", "block1", "", {}, {"admin": "true"}]],
        "9": [["GERMINATE", "block2", "BP009", {"depth": 1}]],
    }
    sim = finished(planted(tmp_path, few_signals, script=script))
    assert stages(sim, "block2") == ["DORMANT", "TERMINATED"]
    assert stages(sim)[-2:] == ["FOSSILIZED", "TERMINATED"]
    assert [each["text"] for each in told(sim, "command_rejected")] == [
        "admin_only: a slot is retired by an administrator",
        "illegal_transition: TERMINATED to GERMINATED",
    ]
    assert sim.actor("trainer").training.network.slot("block1").alpha == 1


def test_a_seed_whose_gate_stays_shut_is_culled_when_patience_is_over(tmp_path: Path, few_signals: Resource) -> None:
    seeds = {"gain_min": 2.0, "patience_epochs": 2}
    sim = finished(planted(tmp_path, few_signals, script={"1": [GROW]}, seeds=seeds))
    assert stages(sim)[:4] == ["DORMANT", "GERMINATED", "TRAINING", "CULLED"]
    gates = [each for each in told(sim, "gate_event") if each["gate"] == "G1_GRADIENT_HEALTH"]
    assert len(gates) == 3
    assert gates[-1]["text"].startswith("contribution")


def test_seeds_that_are_commanded_move_only_by_command(tmp_path: Path, few_signals: Resource) -> None:
    script = {
        "1": [GROW],
        "3": [["START_GRAFTING", "block1"]],
        "4": [["EVALUATE", "block1"]],
        "5": [["STABILIZE", "block1"]],
        "6": [["EVALUATE", "block1"]],
        "8": [["FOSSILIZE", "block1"]],
    }
    sim = finished(planted(tmp_path, few_signals, script=script, seeds={"advance": "commanded"}))
    assert stages(sim)[2:] == ["TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "FOSSILIZED"]
    assert [each["text"] for each in told(sim, "command_rejected")] == ["illegal_transition: BLENDING to PROBATIONARY"]


# ----------------------------------------------------------------------------------- ramp-down


def alphas(sim: Simulation, *, until: int) -> dict[int, list[float]]:
    """Return the alphas of block1 that its stages were told with, tick by tick, by stage."""
    found: dict[int, list[float]] = {}
    while sim.tick < until:
        sim.advance(ticks=1)
        entry = sim.actor("seeds").book.get("block1")
        if entry is not None and (not found or found.get(entry.stage, [-1])[-1] != dict(entry.measured).get("alpha")):
            found.setdefault(entry.stage, []).append(dict(entry.measured).get("alpha", 0.0))
    return found


@pytest.mark.parametrize("stage", ["BLENDING", "PROBATIONARY"])
def test_a_seed_with_a_share_in_the_output_is_ramped_down_before_it_is_taken_out(
    tmp_path: Path, few_signals: Resource, stage: str
) -> None:
    seeds = {"blending_epochs": 4, "probation_epochs": 9, "fade_epochs": 3, "embargo": 0, "embargo_epochs": 0}
    epoch = {"BLENDING": "5", "PROBATIONARY": "9"}[stage]
    script = {"1": [GROW], epoch: [["CULL", "block1"]]}
    sim = Simulation(planted(tmp_path, few_signals, script=script, seeds=seeds, trainer={"epochs": 16}), seed=3)
    found = alphas(sim, until=600)[Stage.CULLED]
    assert len(found) > 3
    assert found == sorted(found, reverse=True)
    assert found[0] == (1.0 if stage == "PROBATIONARY" else 0.5)
    assert found[-1] < 0.2
    assert stages(sim)[-5:] == [stage, "CULLED", "EMBARGOED", "RESETTING", "DORMANT"]
    epochs = {Stage(each).name: epoch for name, each, epoch, _ in sim.actor("seeds").history if name == "block1"}
    assert epochs["EMBARGOED"] - epochs["CULLED"] == (3 if stage == "PROBATIONARY" else 2)
    assert sim.actor("trainer").training.is_clean("block1")


@pytest.mark.parametrize(("seeds", "act"), [({"fade_epochs": 0}, "detach"), ({"fade_epochs": 2}, "fade")])
def test_a_ramp_down_can_be_switched_off(
    tmp_path: Path, few_signals: Resource, seeds: dict[str, int], act: str
) -> None:
    graph = planted(
        tmp_path, few_signals, script={"1": [GROW], "7": [["CULL", "block1"]]}, seeds=seeds | {"probation_epochs": 9}
    )
    graph.connect("seeds.orders", "@output.orders")
    sim = finished(graph)
    orders = [each for said in out(sim, "orders") for each in said.orders if each.stage is Stage.CULLED]
    assert [(each.act, each.epochs) for each in orders] == [(act, seeds["fade_epochs"])]


@pytest.mark.parametrize("breaks", ["numbers", "isolation"])
def test_a_seed_that_breaks_is_taken_out_at_once_also_while_it_is_ramped_down(
    tmp_path: Path, few_signals: Resource, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    import torch

    seeds = {"probation_epochs": 9, "fade_epochs": 6}
    script = {"1": [GROW], "7": [["CULL", "block1"]]}
    graph = planted(tmp_path, few_signals, script=script, seeds=seeds, trainer={"epochs": 16})
    graph.connect("seeds.orders", "@output.orders")
    sim = Simulation(graph, seed=3)
    slot = sim.actor("trainer").training.network.slot("block1")
    while slot.stage is not Stage.CULLED:
        sim.advance(ticks=1)
        slot = sim.actor("trainer").training.network.slot("block1")
    sim.advance(ticks=3)
    assert 0 < slot.alpha < 1
    if breaks == "numbers":
        with torch.no_grad():
            next(iter(slot.module.parameters())).fill_(float("nan"))
    else:
        monkeypatch.setattr(Slot, "taken", lambda _, host: host)
    sim.advance(ticks=16)  # two epochs at most; the ramp would take four more
    assert slot.module is None
    acts = [each.act for said in out(sim, "orders") for each in said.orders if each.stage is Stage.CULLED]
    assert acts == ["fade", "detach"]
    sim.advance(until=600)
    reasons = [each["text"] for each in told(sim, "gate_failure")]
    expected = {"numbers": "it makes no numbers any more", "isolation": "isolation_violation: gradient_into_host"}
    assert reasons[0] == "commanded by policy"
    assert [each.split(",")[0] for each in reasons[1:]] == [expected[breaks]]
    assert stages(sim)[-3:] == ["EMBARGOED", "RESETTING", "DORMANT"]
    assert sim.figures()["trainer.epochs"] == 16
    assert sim.figures()["trainer.rollbacks"] == 0


def test_a_paused_seed_is_culled_at_once_and_its_slot_grows_again(tmp_path: Path, few_signals: Resource) -> None:
    seeds = {"probation_epochs": 9, "embargo": 0, "embargo_epochs": 0, "fade_epochs": 3}
    script = {"1": [GROW], "8": [["CULL", "block1"]], "10": [GROW]}
    sim = Simulation(planted(tmp_path, few_signals, script=script, seeds=seeds), seed=3)
    while "PROBATIONARY" not in stages(sim):
        sim.advance(ticks=1)
    commanded(sim, command_type=CommandType.PAUSE, target_seed_id="block1")
    sim.advance(until=600)
    lives = ["CULLED", "EMBARGOED", "RESETTING", "DORMANT", "GERMINATED", "TRAINING", "BLENDING"]
    assert stages(sim)[6:13] == lives
    epochs = [epoch for name, _, epoch, _ in sim.actor("seeds").history if name == "block1"]
    assert epochs[7] - epochs[6] <= 1


def test_seeds_are_paused_no_more_often_in_an_epoch_than_the_quota_says(tmp_path: Path, few_signals: Resource) -> None:
    graph = planted(tmp_path, few_signals, script={"1": [GROW]}, seeds={"training_epochs": 12, "pauses_max": 1})
    sim = Simulation(graph, seed=3)
    while "TRAINING" not in stages(sim):
        sim.advance(ticks=1)
    seeds = sim.actor("seeds")
    pause = {"command_type": CommandType.PAUSE, "target_seed_id": "block1"}
    resume = pause | {"annotations": pairs({"resume": "true"})}
    for number, fields in enumerate((pause, resume, pause, {"command_type": CommandType.PAUSE})):
        commanded(sim, command_id=f"quota/{number}", **fields)
    sim.advance(ticks=1)
    assert not seeds.book["block1"].is_paused
    epoch = seeds.epoch
    while seeds.epoch == epoch:
        sim.advance(ticks=1)
    commanded(sim, **pause)
    sim.advance(until=600)
    assert seeds.book["block1"].is_paused
    assert [each["text"] for each in told(sim, "command_rejected")] == ["pause_quota: 1 in an epoch"]


# ----------------------------------------------------------------------------------- same bits


def test_two_runs_have_the_same_digest_and_another_seed_another(tmp_path: Path, few_signals: Resource) -> None:
    make = lambda: planted(tmp_path, few_signals, script={"1": [GROW]}, trainer={"epochs": 7})  # noqa: E731
    one = finished(make())
    assert one.digest == finished(make()).digest
    assert one.digest != finished(make(), seed=4).digest


@pytest.mark.parametrize("tick", [1, 2, 3, 4, 5, 6, 9, 17, 23, 31, 47])
def test_a_run_that_was_stopped_and_resumed_has_the_same_digest(
    tmp_path: Path, few_signals: Resource, tick: int
) -> None:
    make = lambda: planted(  # noqa: E731
        tmp_path, few_signals, script={"1": [GROW]}, trainer={"epochs": 7, "distil": 0.3, "optimiser": "adam"}
    )
    sim = finished(make(), until=120)
    assert resumed_digest(sim, at=tick) == sim.digest


# ------------------------------------------------------------------------------------ bad input


def commanded(sim: Simulation, **fields: Any) -> None:
    """Give a command from outside, signed and fresh unless the fields say otherwise."""
    now = sim.tick * 10**9
    is_signed = fields.pop("is_signed", True)
    base = {"command_id": f"outside/{sim.tick}", "issued_at_ns": now, "issued_by": "outside", **fields}
    command = AdaptationCommand(**base)
    sim.inject("seeds.command", signed(command, KEY) if is_signed else command)


def germinate(blueprint: str, parameters: dict[str, float], slot: str = "block1") -> dict[str, Any]:
    payload = SeedOperationPayload(
        operation=SeedOperation.GERMINATE, blueprint_id=blueprint, parameters=numbers(parameters)
    )
    return {"command_type": CommandType.SEED, "target_seed_id": slot, "seed_operation": payload}


BAD = [
    ({**germinate("BP009", {"depth": 1}), "is_signed": False}, "missing_signature"),
    ({**germinate("BP009", {"depth": 1}), "issued_at_ns": 1, "execution_deadline_ms": 1}, "stale_command"),
    ({**germinate("BP009", {"depth": 1}), "issued_at_ns": 10**18}, "issued_in_future"),
    (germinate("BP009", {"depth": 5}), "BP009: depth = 5.0"),
    (germinate("BP009", {}), "BP009: parameter 'depth' is missing"),
    (germinate("BP036", {"experts": 4, "capacity": 1}), "BP036: it is experimental and was not approved"),
    (germinate("BP043", {"scale": 5}), "BP043: it is adversarial"),
    (germinate("BP099", {}), "there is no blueprint 'BP099'"),
    (germinate("BP009", {"depth": 1}, "block9"), "unknown_seed: block9"),
    ({"command_type": CommandType.SEED, "target_seed_id": "block1"}, "missing_payload: seed_operation"),
    ({"command_type": CommandType.STRUCTURAL_PRUNING}, "unsupported_command: STRUCTURAL_PRUNING"),
    ({"command_type": CommandType.PAUSE, "target_seed_id": "block1"}, "not_pausable: block1"),
    (
        {
            "command_type": CommandType.OPTIMIZER,
            "optimizer_adjustment": OptimizerAdjustment(hyperparameters=numbers({"lr_factor": 11})),
        },
        "out_of_range: lr_factor 11.0",
    ),
]


@pytest.mark.parametrize(("fields", "reason"), BAD, ids=lambda each: each if isinstance(each, str) else "")
def test_a_bad_command_is_refused_by_name_and_training_goes_on(
    tmp_path: Path, few_signals: Resource, fields: dict[str, Any], reason: str
) -> None:
    sim = Simulation(planted(tmp_path, few_signals, trainer={"epochs": 3}), seed=3).advance(until=5)
    commanded(sim, **fields)
    sim.advance(until=120)
    assert told(sim, "command_rejected")[0]["text"].startswith(reason)
    assert sim.figures()["seeds.commands_refused"] == 1
    assert sim.figures()["trainer.epochs"] == 3
    assert stages(sim) == ["DORMANT"]


def test_a_replayed_command_is_refused(tmp_path: Path, few_signals: Resource) -> None:
    sim = Simulation(planted(tmp_path, few_signals, trainer={"epochs": 3}), seed=3).advance(until=5)
    for _ in range(2):
        commanded(sim, **germinate("BP009", {"depth": 1}))
    sim.advance(until=60)
    assert [each["text"] for each in told(sim, "command_rejected")] == ["nonce_replayed"]
    assert sim.figures()["seeds.germinated"] == 1


def test_commands_change_rates_force_breakers_and_pause_seeds(tmp_path: Path, few_signals: Resource) -> None:
    graph = planted(tmp_path, few_signals, script={"1": [GROW]}, seeds={"training_epochs": 9})
    sim = Simulation(graph, seed=3).advance(until=5)
    factor = OptimizerAdjustment(hyperparameters=numbers({"lr_factor": 0.5}))
    commanded(sim, command_type=CommandType.OPTIMIZER, optimizer_adjustment=factor)
    sim.advance(until=50)
    trainer, seeds = sim.actor("trainer"), sim.actor("seeds")
    assert trainer.training.rate_factor == 0.5
    commanded(sim, command_type=CommandType.PAUSE, target_seed_id="block1")
    sim.advance(until=62)
    slot = trainer.training.network.slot("block1")
    assert slot.is_paused
    commanded(sim, command_type=CommandType.PAUSE, target_seed_id="block1", annotations=pairs({"resume": "true"}))
    sim.advance(until=74)
    assert not slot.is_paused
    opened = CircuitBreakerCommand(desired_state=CircuitBreakerState.OPEN)
    commanded(sim, command_type=CommandType.CIRCUIT_BREAKER, circuit_breaker=opened)
    sim.advance(until=76)
    commanded(sim, **germinate("BP009", {"depth": 1}, "block2"))
    sim.advance(until=100)
    assert {each.state for each in seeds.breakers.values()} == {CircuitBreakerState.OPEN}
    assert told(sim, "command_rejected")[0]["text"] == "breaker_open: attach"
    commanded(sim, command_type=CommandType.ROLLBACK, rollback_payload=RollbackPayload(reason="test"))
    sim.advance(until=112)
    assert trainer.rollbacks == 1


# --------------------------------------------------------------------------- faults and silence


def test_a_policy_that_says_nothing_is_a_missed_decision_and_is_left_alone_for_an_epoch(
    tmp_path: Path, few_signals: Resource
) -> None:
    graph = planted(tmp_path, few_signals, trainer={"epochs": 6})
    graph.actors[-1].parameters["is_silent"] = True
    sim = finished(graph)
    assert sim.figures()["trainer.epochs"] == 6
    assert sim.figures()["trainer.decisions_missed"] == 3
    assert len(told(sim, "deadline_violation")) == 3
    assert [each.reason for each in out(sim, "alarms")] == ["decision_missed"] * 3


def test_a_seed_that_stops_making_numbers_is_culled_and_training_goes_on(tmp_path: Path, few_signals: Resource) -> None:
    import torch

    graph = planted(tmp_path, few_signals, script={"1": [GROW]}, seeds={"probation_epochs": 9})
    sim = Simulation(graph, seed=3)
    slot = sim.actor("trainer").training.network.slot("block1")
    while slot.stage is not Stage.PROBATIONARY:
        sim.advance(ticks=1)
        slot = sim.actor("trainer").training.network.slot("block1")
    with torch.no_grad():
        next(iter(slot.module.parameters())).fill_(float("nan"))
    sim.advance(until=600)
    assert "CULLED" in stages(sim)
    assert told(sim, "gate_failure")[0]["text"] == "it makes no numbers any more"
    figures = sim.figures()
    assert figures["trainer.epochs"] == 14
    assert figures["trainer.accuracy"] > 0.15
    assert "nan_loss" in {each.reason for each in out(sim, "alarms")}


def test_a_host_that_breaks_goes_back_to_a_healthy_state_and_past_the_fault(
    tmp_path: Path, few_signals: Resource
) -> None:
    import torch

    sim = Simulation(planted(tmp_path, few_signals), seed=3)
    sim.advance(until=60)
    trainer = sim.actor("trainer")
    step = trainer.training.step
    with torch.no_grad():
        trainer.training.network.host.head.weight.fill_(float("nan"))
    sim.advance(until=600)
    figures = sim.figures()
    assert figures["trainer.rollbacks"] == 1
    assert figures["trainer.faults"] == 3
    assert figures["trainer.epochs"] == 14
    assert figures["trainer.accuracy"] > 0.15
    assert trainer.training.step > step
    assert [each.level.name for each in out(sim, "alarms")].count("CONSERVATIVE") == 1


def test_a_host_that_breaks_before_any_state_was_healthy_halts(tmp_path: Path, few_signals: Resource) -> None:
    graph = planted(tmp_path, few_signals, trainer={"gradient_max": 1e-9})
    sim = finished(graph)
    assert sim.actor("trainer").phase == "halted"
    alarms = out(sim, "alarms")
    assert alarms[-1].level.name == "HALT"
    assert alarms[-1].reason == "exploding_gradient: there is no healthy state"


def test_a_leak_culls_the_seed_and_its_alarm_arrives_though_every_queue_is_full(
    tmp_path: Path, few_signals: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = garden(tmp_path, few_signals, script={"1": [GROW]}, trainer=SHORT, seeds=LENIENT | {"training_epochs": 9})
    graph.add("chatter", Chatter)
    graph.add("watcher", Watcher, options=Options(messages_per_tick=1))
    for source in ("chatter.telemetry", "seeds.telemetry"):
        graph.connect(source, "watcher.telemetry", capacity=3, overflow="drop_newest")
    graph.connect("seeds.emergency", "watcher.telemetry", lane="emergency")
    sim = Simulation(graph, seed=3)
    while "TRAINING" not in stages(sim):
        sim.advance(ticks=1)
    critical = int(TelemetryLevel.CRITICAL)
    watcher = sim.actor("watcher")
    assert all(level != critical for _, _, level in watcher.seen)
    monkeypatch.setattr(Slot, "taken", lambda _, host: host)
    sim.advance(ticks=20)
    assert stages(sim)[3] == "CULLED"
    tick, name, _ = next(each for each in watcher.seen if each[2] == critical)
    assert name.startswith(f"seeds/{tick - 1}/")


def test_gate_events_tell_what_was_measured(tmp_path: Path, few_signals: Resource) -> None:
    sim = finished(planted(tmp_path, few_signals, script={"1": [GROW]}, trainer={"epochs": 4}))
    opened: GateEvent = next(each for each in out(sim, "gates") if each.gate.name.startswith("G1") and each.passed)
    measured = dict(opened.measured)
    assert measured["isolation_violations"] == 0
    assert {"contribution", "gradient_ratio", "seed_loss", "isolation.dot"} <= set(measured)


def test_a_boundary_that_took_too_long_is_told_and_the_next_epoch_asks_nobody(
    tmp_path: Path, few_signals: Resource
) -> None:
    live = {"epochs": 4, "is_live": True}
    slow = finished(planted(tmp_path, few_signals, trainer=live | {"hook_ms": 0.0}))
    figures = slow.figures()
    assert figures["trainer.epochs"] == figures["trainer.boundaries_late"] == 4
    assert {each.reason for each in out(slow, "alarms")} == {"hook_budget"}
    assert figures["seeds.commands_obeyed"] < 4
    fast = finished(planted(tmp_path, few_signals, trainer=live | {"hook_ms": 60_000.0}))
    assert fast.figures()["trainer.boundaries_late"] == 0
    assert out(fast, "alarms") == []
