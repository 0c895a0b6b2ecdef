"""A policy for tests: it gives the commands that a script names, and otherwise says that all may stay as it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from neuraxis import Actor, Context, Graph, Input, Output, Resource, on, on_start, on_timer, parameter, state
from neuraxis_morphogenesis.authority import key_of, signed
from neuraxis_morphogenesis.contracts import (
    AdaptationCommand,
    CommandType,
    SeedOperation,
    SeedOperationPayload,
    SystemStatePacket,
    TelemetryPacket,
    numbers,
    pairs,
)

KEY = bytes(range(100, 132))


class Gardener(Actor):
    """Gives the commands of a script."""

    key: Resource = parameter(Resource, help="what commands are signed with")
    script: str = parameter(str, "{}", help="JSON: epoch to [operation, slot, blueprint, parameters, annotations]")
    is_silent: bool = parameter(bool, False, help="whether it says nothing at all where the script says nothing")

    packet = Input(SystemStatePacket, "the whole training")
    command = Output(AdaptationCommand, "a decision")

    @on(packet)
    def decide(self, context: Context, packet: SystemStatePacket) -> None:
        """Give the commands of the epoch."""
        lines = json.loads(self.script).get(str(packet.current_epoch), [])
        now = int(context.tick * context.tick_length * 10**9)
        for number, line in enumerate(lines):
            operation, slot, blueprint, parameters, annotations = [*line, *("", {}, {})[len(line) - 2 :]]
            context.send(
                "command",
                signed(
                    AdaptationCommand(
                        command_id=f"{packet.current_epoch}/{number}",
                        command_type=CommandType.SEED,
                        target_seed_id=slot,
                        issued_at_ns=now,
                        issued_by=context.path,
                        seed_operation=SeedOperationPayload(
                            operation=SeedOperation[operation], blueprint_id=blueprint, parameters=numbers(parameters)
                        ),
                        annotations=pairs(annotations),
                    ),
                    key_of(self.key),
                ),
            )
        if not lines and not self.is_silent:
            stay = AdaptationCommand(
                command_id=f"{packet.current_epoch}/stay",
                command_type=CommandType.PAUSE,
                issued_at_ns=now,
                issued_by=context.path,
            )
            context.send("command", signed(stay, key_of(self.key)))


class Chatter(Actor):
    """Sends more telemetry than anybody reads."""

    telemetry = Output(TelemetryPacket, "nothing of interest")

    @on_start
    def begin(self, context: Context) -> None:
        """Begin."""
        context.wake(1, "again")

    @on_timer("again")
    def again(self, context: Context) -> None:
        """Send a hundred packets."""
        for number in range(100):
            context.send("telemetry", TelemetryPacket(packet_id=f"{context.tick}/{number}"))
        context.wake(1, "again")


class Watcher(Actor):
    """Notes which packets arrive, and when."""

    telemetry = Input(TelemetryPacket, "what somebody observed")
    seen: list[list[Any]] = state(factory=list)

    @on(telemetry)
    def see(self, context: Context, packet: TelemetryPacket) -> None:
        """Take note."""
        self.seen.append([context.tick, packet.packet_id, int(packet.level)])


def resource(path: Path) -> Resource:
    """Return a file as a resource."""
    return Resource(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


def garden(folder: Path, data: Resource, *, script: Any = None, trainer: Any = None, seeds: Any = None) -> Graph:
    """Return a graph of trainer, seeds and gardener."""
    key = folder / "key"
    if not key.exists():
        key.write_bytes(KEY)
    graph = Graph("garden", tick="1 s")
    graph.add("trainer", _kinds()[0], data=data, numerics="native", **(trainer or {}))
    graph.add("seeds", _kinds()[1], key=resource(key), **(seeds or {}))
    graph.add("policy", Gardener, key=resource(key), script=json.dumps(script or {}))
    graph.connect("trainer.evidence", "seeds.evidence")
    graph.connect("seeds.orders", "trainer.orders")
    graph.connect("trainer.packet", "policy.packet")
    graph.connect("policy.command", "seeds.command")
    return graph


def _kinds() -> tuple[type[Actor], type[Actor]]:
    from neuraxis_morphogenesis.seeds.actor import Seeds
    from neuraxis_morphogenesis.trainer.actor import Trainer

    return Trainer, Seeds
