"""Policies with the real trainer and seeds, on real signals: they grow, nothing waits in vain, the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")

from neuraxis import Graph, Resource, Simulation
from neuraxis.blueprint import Blueprint
from neuraxis.testing.checks import resumed_digest
from neuraxis_morphogenesis.policy.decider import Decider
from neuraxis_morphogenesis.policy.graph_policy import GraphPolicy
from neuraxis_morphogenesis.policy.heuristics import Plateau, Random
from neuraxis_morphogenesis.seeds.actor import Seeds
from neuraxis_morphogenesis.seeds.book import Entry
from neuraxis_morphogenesis.seeds.breaker import Breaker
from neuraxis_morphogenesis.trainer.actor import Trainer
from tests.morphogenesis.gardener import KEY, resource

PARAMETERS: dict[type[Decider], dict[str, Any]] = {
    Plateau: {"first_epoch": 2, "patience": 1, "prefers": ("BP002", "BP021")},
    Random: {"rate": 0.6, "prefers": ("BP002", "BP021")},
    GraphPolicy: {"seed": 2},
}


def growing(folder: Path, data: Resource, policy: type[Decider], **parameters: Any) -> Blueprint:
    """Return trainer, seeds and a policy."""
    path = folder / "key"
    path.write_bytes(KEY)
    key = resource(path)
    graph = Graph("growing", tick="1 s")
    graph.add("trainer", Trainer, data=data, numerics="native", epochs=10, width=8, batch=50, steps_per_tick=8)
    graph.add("seeds", Seeds, key=key, training_epochs=1, blending_epochs=1, decision_ticks=5)
    graph.add("policy", policy, key=key, layout="features", **PARAMETERS[policy], **parameters)
    graph.connect("trainer.evidence", "seeds.evidence")
    graph.connect("seeds.orders", "trainer.orders")
    graph.connect("trainer.packet", "policy.packet")
    graph.connect("policy.command", "seeds.command")
    for port in ("decisions", "reports", "telemetry"):
        graph.connect(f"policy.{port}", f"@output.{port}")
    held = {(each.name, each.version): kind for kind in (Entry, Breaker) for each in [kind.__neuraxis_message__]}  # type: ignore[attr-defined]  # only states hold them
    return Blueprint(graph, seed=3, extra_messages=held)


@pytest.mark.parametrize("policy", [Plateau, Random, GraphPolicy])
def test_policy_grows_a_real_network_and_answers_every_epoch(
    tmp_path: Path, few_signals: Resource, policy: type[Decider]
) -> None:
    with Simulation(growing(tmp_path, few_signals, policy)) as sim:
        sim.advance(ticks=200)
        figures = sim.figures()
        assert figures["trainer.epochs"] == 10
        assert figures["seeds.germinated"] >= 1
        assert figures["seeds.commands_refused"] == 0 or policy is GraphPolicy
        records = [each.value for each in sim.outputs if each.port == "decisions"]
        assert [each.epoch for each in records] == list(range(1, 11))
        assert {each.reason for each in records} <= {"", "policy_risk_elevated", "conservative_mode"}
        assert not sim.actor("trainer").is_conservative  # type: ignore[attr-defined]  # nobody was late
        reports = [each.value for each in sim.outputs if each.port == "reports"]
        known = {each.command_id for each in records}
        assert reports
        assert all(each.command_id in known for each in reports)


def test_growth_by_the_network_resumes_to_the_same_bits(tmp_path: Path, few_signals: Resource) -> None:
    with Simulation(growing(tmp_path, few_signals, GraphPolicy)) as sim:
        sim.advance(ticks=60)
        assert {resumed_digest(sim, at=at) for at in (13, 37)} == {sim.digest}
