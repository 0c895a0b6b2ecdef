"""A training for tests of policies: it tells what a script says, and carries out commands in a simple way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from neuraxis import (
    Actor,
    Context,
    Graph,
    Input,
    Output,
    Resource,
    Simulation,
    on,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis.blueprint import Blueprint
from neuraxis_morphogenesis.authority import key_of, verify
from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    CommandType,
    SeedOperation,
    SeedState,
    SystemStatePacket,
    numbers,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.breaker import Breaker

KEY = bytes(range(32))
EPOCH_TICKS = 6


class Feeder(Actor):
    """Sends a packet after each epoch of `EPOCH_TICKS` ticks.

    `script`: JSON, epoch to what differs: `loss`, `accuracy`, `metrics`, and `seeds` as slot to metrics.
    """

    key: Resource = parameter(Resource)
    script: str = parameter(str, "{}")
    slots: tuple[str, ...] = parameter(tuple[str, ...], ("trunk.0", "trunk.1"))
    is_shy: bool = parameter(bool, False, help="list only seeds that grew")

    command = Input(AdaptationCommand)
    packet = Output(SystemStatePacket)

    stages: dict[str, int] = state(factory=dict)
    born: dict[str, int] = state(factory=dict)
    epoch: int = state(0)
    log: list[Any] = state(factory=list)
    nonces: dict[str, int] = state(factory=dict)

    @on_start
    def begin(self, context: Context) -> None:
        self.stages = {name: int(Stage.DORMANT) for name in self.slots}
        context.wake(EPOCH_TICKS, "epoch")

    @on_timer("epoch")
    def tell(self, context: Context) -> None:
        self.epoch += 1
        said = json.loads(self.script).get(str(self.epoch), {})
        metrics = {"gradient_norm": 1.0, "loss_volatility": 0.01, "optimizer_lr": 0.1, **said.get("metrics", {})}
        seeds = tuple(
            SeedState(
                seed_id=name,
                stage=Stage(stage),
                layer_depth=index,
                metrics=numbers(said.get("seeds", {}).get(name, {})),
                age_epochs=self.epoch - self.born.get(name, self.epoch),
            )
            for index, (name, stage) in enumerate(self.stages.items())
            if not self.is_shy or stage != Stage.DORMANT
        )
        context.send(
            "packet",
            SystemStatePacket(
                current_epoch=self.epoch,
                validation_accuracy=said.get("accuracy", 0.5),
                validation_loss=said.get("loss", 1.0),
                training_metrics=numbers(metrics),
                seed_states=seeds,
                training_run_id="run",
            ),
        )
        context.wake(EPOCH_TICKS, "epoch")

    @on(command)
    def obey(self, context: Context, command: AdaptationCommand) -> None:
        now = int(context.tick * context.tick_length * 10**9)
        verdict = verify(command, key=key_of(self.key), nonces=self.nonces, now_ns=now)
        assert verdict.rejection is None, verdict.rejection
        self.nonces = verdict.nonces
        asked = command.seed_operation
        name = asked.operation.name if asked is not None else command.command_type.name
        self.log.append([self.epoch, name, command.target_seed_id, asked.blueprint_id if asked else ""])
        if command.command_type is CommandType.SEED and asked is not None:
            if asked.operation is SeedOperation.GERMINATE:
                self.stages[command.target_seed_id] = int(Stage.TRAINING)
                self.born[command.target_seed_id] = self.epoch
            elif asked.operation is SeedOperation.CULL:
                self.stages[command.target_seed_id] = int(Stage.CULLED)


def key_resource(folder: Path) -> Resource:
    """Return a key in a file."""
    path = folder / "key"
    path.write_bytes(KEY)
    return Resource(str(path), hashlib.sha256(KEY).hexdigest())


def fed(folder: Path, policy: type[Actor], *, script: Any = None, feeder: Any = None, **parameters: Any) -> Simulation:
    """Return a simulation of a policy and a training, with every port of the policy an output."""
    key = key_resource(folder)
    graph = Graph("fed", tick="1 s")
    graph.add("training", Feeder, key=key, script=json.dumps(script or {}), **(feeder or {}))
    graph.add("policy", policy, key=key, **parameters)
    graph.connect("training.packet", "policy.packet")
    graph.connect("policy.command", "training.command")
    for port in ("command", "decisions", "reports", "risks", "telemetry", "emergency"):
        graph.connect(f"policy.{port}", f"@output.{port}")
    held = Breaker.__neuraxis_message__  # type: ignore[attr-defined]  # only a state holds it
    return Simulation(Blueprint(graph, seed=5, extra_messages={(held.name, held.version): Breaker}))


def after(sim: Simulation, epochs: int) -> Simulation:
    """Return a simulation after some epochs more."""
    return sim.advance(ticks=EPOCH_TICKS * epochs)


def told(sim: Simulation, port: str) -> list[Any]:
    """Return what went out at a port."""
    return [each.value for each in sim.outputs if each.port == port]


def log(sim: Simulation) -> list[Any]:
    """Return the commands that the training heard."""
    return list(sim.actor("training").log)


def events(sim: Simulation) -> list[str]:
    """Return the events that the policy told."""
    return [event.event_id for packet in told(sim, "telemetry") for event in packet.events]
