"""What all policies do, proved on the controls: answers, signatures, reports, conservative mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuraxis.testing.checks import resumed_digest
from neuraxis_morphogenesis.contracts import (
    CommandType,
    FieldReportOutcome,
    SeedState,
    SystemStatePacket,
)
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.policy.actions import METHODS, PLACES, Action, Choice, annotated, options, window
from neuraxis_morphogenesis.policy.decider import Decider, View
from neuraxis_morphogenesis.policy.graphs import NODES, RELATIONS, renormed, slots_of, state_graph
from neuraxis_morphogenesis.policy.heuristics import Plateau, Random
from neuraxis_morphogenesis.seeds.blending import rise
from tests.morphogenesis.feeding import after, events, fed, log, told


def seed(stage: Stage, age: int = 9) -> SeedState:
    return SeedState(seed_id=stage.name, stage=stage, age_epochs=age)


# --------------------------------------------------------------------------------- options


def test_only_what_fits_the_stage_is_allowed() -> None:
    seeds = [seed(stage) for stage in Stage if stage is not Stage.UNKNOWN]
    found = options(seeds, np.ones(3, bool), moves=True, breakers=False, age_min=3)
    who = {action: [seeds[i].stage.name for i in np.flatnonzero(found.seeds[action])] for action in Action}
    assert who[Action.GERMINATE] == ["DORMANT"]
    assert who[Action.START_GRAFTING] == ["TRAINING"]
    assert who[Action.FOSSILIZE] == ["PROBATIONARY"]
    assert who[Action.CULL] == ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY"]
    assert who[Action.STAY] == who[Action.OPTIMIZER] == []
    assert found.actions[[Action.STAY, Action.OPTIMIZER]].all()
    assert not found.actions[[Action.BREAKER_OPEN, Action.BREAKER_CLOSE]].any()
    assert not found.actions[len(Action) :].any()
    assert len(found.actions) == PLACES


def test_young_seed_is_not_culled_and_gates_move_seeds_where_the_policy_does_not() -> None:
    found = options([seed(Stage.TRAINING, age=1)], np.ones(1, bool), moves=False, breakers=True, age_min=3)
    assert not found.seeds[Action.CULL].any()
    assert not found.seeds[Action.START_GRAFTING].any()
    assert found.actions[[Action.BREAKER_OPEN, Action.BREAKER_CLOSE]].all()


def test_nothing_germinates_without_a_blueprint() -> None:
    found = options([seed(Stage.DORMANT)], np.zeros(3, bool), moves=False, breakers=False)
    assert not found.actions[Action.GERMINATE]


# ----------------------------------------------------------------------------------- graph


def test_graph_has_a_mask_for_what_was_not_measured() -> None:
    packet = SystemStatePacket(validation_loss=1.0, seed_states=(seed(Stage.TRAINING),))
    graph = state_graph(packet, packet.seed_states, (), norms={}, memory={}, level=0)
    assert [each.shape[1] for each in graph.values] == list(NODES.values())
    assert len(graph.edges) == len(graph.attributes) == len(RELATIONS)
    seeds, mask = graph.values[1], graph.masks[1]
    assert mask[0].tolist() == [True] * 8 + [False] * 3 + [True, True, False]
    assert not seeds[~mask].any()
    assert 0 < graph.coverage() < 1


def test_slots_that_never_grew_are_in_the_graph() -> None:
    packet = SystemStatePacket(seed_states=(SeedState(seed_id="b", stage=Stage.TRAINING),))
    assert [(each.seed_id, each.stage.name) for each in slots_of(packet, ("a", "b"))] == [
        ("b", "TRAINING"),
        ("a", "DORMANT"),
    ]


def test_norms_follow_what_is_seen_and_ignore_what_is_no_number() -> None:
    norms = renormed({}, SystemStatePacket(validation_loss=1.8))
    assert norms["loss"] == pytest.approx((0.9, 0.9 * (0.09 + 0.1 * 1.0)))
    assert renormed(norms, SystemStatePacket(validation_loss=float("nan"))) == norms


# -------------------------------------------------------------------------------- controls


def test_fresh_system_that_lists_no_seed_grows_all_the_same(tmp_path: Path) -> None:
    with fed(tmp_path, Plateau, feeder={"is_shy": True}, slots=("trunk.0", "trunk.1")) as sim:
        after(sim, 12)
        assert ["GERMINATE", "trunk.0"] in [each[1:3] for each in log(sim)]


def test_plateau_waits_for_a_plateau_grows_one_at_a_time_and_stops(tmp_path: Path) -> None:
    rising = {str(epoch): {"accuracy": 0.05 * epoch} for epoch in range(1, 9)}
    still = {str(epoch): {"accuracy": 0.4} for epoch in range(9, 60)}
    with fed(tmp_path, Plateau, script={**rising, **still}, patience=3) as sim:
        after(sim, 15)
        grown = [each for each in log(sim) if each[1] == "GERMINATE"]
        assert [each[0] for each in grown] == [11]
        assert {each[1] for each in log(sim)} == {"GERMINATE", "PAUSE"}
        assert len(log(sim)) == 14  # an answer to every packet but the newest, which is on its way


def test_plateau_culls_what_contributes_nothing_and_takes_another_slot(tmp_path: Path) -> None:
    script = {str(epoch): {"seeds": {"trunk.0": {"contribution": -0.01}}} for epoch in range(1, 60)}
    with fed(tmp_path, Plateau, script=script, cull_after=4) as sim:
        after(sim, 30)
        said = [each[1:] for each in log(sim) if each[1] != "PAUSE"]
        assert said[:3] == [
            ["GERMINATE", "trunk.0", "BP009"],
            ["CULL", "trunk.0", ""],
            ["GERMINATE", "trunk.1", "BP010"],  # the first one is remembered
        ]


def test_plateau_moves_seeds_on_where_it_is_told_to(tmp_path: Path) -> None:
    with fed(tmp_path, Plateau, moves=True) as sim:
        after(sim, 20)
        assert "START_GRAFTING" in [each[1] for each in log(sim)]


def test_random_grows_as_often_as_it_may_and_its_draws_are_those_of_the_seed(tmp_path: Path) -> None:
    logs = []
    for _ in range(2):
        with fed(tmp_path, Random, rate=0.5, grafts_max=2, prefers=("BP002", "BP009")) as sim:
            after(sim, 20)
            logs.append(log(sim))
            grown = [each for each in log(sim) if each[1] == "GERMINATE"]
            assert len(grown) == 2
            assert {each[3] for each in grown} <= {"BP002", "BP009"}
    assert logs[0] == logs[1]


# --------------------------------------------------------------------------------- answers


class Stubborn(Decider):
    """Wants one thing, after each epoch."""

    def consider(self, context: Any, view: View) -> None:
        ids = [entry.blueprint_id for entry in view.candidates]
        wanted = "BP036" if "BP036" in ids else ids[0]
        self.decide(context, view, Choice(int(Action.GERMINATE), 0, ids.index(wanted)))


def test_every_answer_is_signed_has_an_id_of_its_own_and_a_record(tmp_path: Path) -> None:
    with fed(tmp_path, Random, rate=0.5) as sim:
        after(sim, 10)  # the training refuses what is not signed, replayed or stale
        commands, records = told(sim, "command"), told(sim, "decisions")
        assert [each.command_id for each in commands] == [each.command_id for each in records]
        assert len({each.command_id for each in commands}) == len(commands) == 9
        for command, record in zip(commands, records, strict=True):
            assert record.action_mask[record.choice[0]]
            assert dict(command.annotations)["policy_version"] == record.policy_version == "random/1"
            assert (command.command_type is CommandType.PAUSE) == (record.issued == Action.STAY)


def test_risky_blueprint_becomes_a_smaller_learning_rate_while_risk_is_elevated(tmp_path: Path) -> None:
    script = {str(epoch): {"metrics": {"gradient_norm": 13.0, "hook_latency_ms": 30.0}} for epoch in range(1, 20)}
    with fed(tmp_path, Stubborn, script=script, approved=("BP036",)) as sim:
        after(sim, 6)
        assert [each[1] for each in log(sim)][:4] == ["GERMINATE", "GERMINATE", "OPTIMIZER", "OPTIMIZER"]
        assert told(sim, "decisions")[2].reason == "policy_risk_elevated"
        assert told(sim, "decisions")[2].choice[0] == Action.GERMINATE


def test_loss_that_jumps_begins_conservative_mode_with_the_first_ten_blueprints(
    tmp_path: Path,
) -> None:
    script = {str(epoch): {"loss": 1.0 if epoch < 4 else 2.0} for epoch in range(1, 30)}
    with fed(tmp_path, Stubborn, script=script, approved=("BP036",)) as sim:
        after(sim, 15)
        grown = [each[3] for each in log(sim) if each[1] == "GERMINATE"]
        assert grown[:3] == ["BP036"] * 3
        assert "BP001" in grown
        assert [each.reason for each in told(sim, "emergency")] == ["loss_spike"]
        assert events(sim) == ["conservative_enter", "conservative_exit"]
        modes = [each.is_conservative for each in told(sim, "risks")]
        assert modes.index(True) == 3
        assert sum(modes) == 5


def test_person_orders_conservative_mode_and_ends_it(tmp_path: Path) -> None:
    with fed(tmp_path, Stubborn) as sim:
        sim.inject("policy.order", True)
        after(sim, 10)
        assert sim.figures()["policy.conservative"] is True
        sim.inject("policy.order", False)
        after(sim, 1)
        assert sim.figures()["policy.conservative"] is False


def test_critical_risk_asks_for_a_rollback_and_changes_nothing(tmp_path: Path) -> None:
    worst = {"metrics": {"gradient_norm": 99.0, "loss_volatility": 9.0, "hook_latency_ms": 900.0}, "loss": 9.0}
    with fed(tmp_path, Stubborn, script={"3": {**worst, "seeds": {"trunk.0": {"isolation_violations": 1.0}}}}) as sim:
        after(sim, 4)
        assert [each[1] for each in log(sim) if each[0] == 3] == ["ROLLBACK", "PAUSE"]


# --------------------------------------------------------------------------------- reports


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        (0.5, FieldReportOutcome.SUCCESS),
        (1.0, FieldReportOutcome.NEUTRAL),
        (1.1, FieldReportOutcome.REGRESSION),
    ],
)
def test_report_tells_what_came_of_a_command_over_its_window(
    tmp_path: Path, loss: float, outcome: FieldReportOutcome
) -> None:
    script = {str(epoch): {"loss": 1.0 if epoch < 7 else loss, "accuracy": 0.5} for epoch in range(1, 40)}
    with fed(tmp_path, Plateau, script=script, seeds_max=1, patience=3) as sim:
        after(sim, 14)
        (report,) = told(sim, "reports")
        (command,) = [each for each in told(sim, "command") if each.command_type is CommandType.SEED]
        assert (report.outcome, report.command_id) == (outcome, command.command_id)
        assert report.observation_window_epochs == 3
        assert dict(report.metrics)["loss_delta"] == pytest.approx(loss - 1.0)
        assert report.report_id == f"run/{command.command_id}"


def test_command_that_was_not_carried_out_is_reported_as_aborted(tmp_path: Path) -> None:
    with fed(tmp_path, Stubborn, approved=("BP036",), observes=1) as sim:
        after(sim, 8)
        outcomes = [each.outcome.name for each in told(sim, "reports")]
        assert outcomes[0] == "NEUTRAL"  # the slot was free
        assert set(outcomes[1:]) == {"ABORTED"}  # and is taken now


def test_all_reports_have_names_of_their_own(tmp_path: Path) -> None:
    with fed(tmp_path, Stubborn, observes=1) as sim:
        after(sim, 10)
        names = [each.report_id for each in told(sim, "reports")]
        assert len(set(names)) == len(names) > 5


# ---------------------------------------------------------------------------------- random


@pytest.mark.parametrize("count", [0, 1, 2])
def test_random_growth_makes_as_many_grafts_as_it_is_told_at_moments_of_the_training(
    tmp_path: Path, count: int
) -> None:
    script = {str(epoch): {"metrics": {"progress": epoch / 40}} for epoch in range(1, 41)}
    with fed(tmp_path, Random, script=script, grafts_max=count, moments_until=0.5, layout="features") as sim:
        after(sim, 40)
        drawn = sim.actor("policy").moments  # type: ignore[attr-defined]  # it is a Random
        grown = [each[0] for each in log(sim) if each[1] == "GERMINATE"]
        assert len(drawn) == len(grown) == count
        assert all(0 <= moment < 0.5 for moment in drawn)
        assert grown == [pytest.approx(np.ceil(40 * moment), abs=1) for moment in drawn]


# ------------------------------------------------------------------------------ the same bits


@pytest.mark.parametrize("policy", [Plateau, Random])
def test_run_resumes_at_any_tick_to_the_same_bits(tmp_path: Path, policy: type[Decider]) -> None:
    with fed(tmp_path, policy, observes=2) as sim:
        after(sim, 12)
        assert {resumed_digest(sim, at=at) for at in (1, 20, 43, 61)} == {sim.digest}


def test_the_time_in_which_alpha_rises_is_ordered_and_never_shorter_than_a_tenth() -> None:
    assert window([0.0, 0.0]) == (0.225, 0.775)
    assert window([-1e9, 1e9]) == (0.0, 1.0)
    begin, end = window([1e9, -1e9])
    assert end - begin == pytest.approx(0.1)
    wanted = rise(annotated(Choice(int(Action.GERMINATE), method=1, window=(begin, end))), METHODS)
    assert wanted is not None
    assert (wanted.schedule, wanted.refusal) == ("cosine", "")
    assert annotated(Choice(int(Action.GERMINATE))) == annotated(Choice(int(Action.STAY), method=1)) == {}
