"""The network that decides: exact on replay, late when the script says so, and reloaded with a way back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from neuraxis import Outcome, Resource, Simulation
from neuraxis.testing.checks import resumed_digest
from neuraxis_morphogenesis.contracts import PolicyUpdate
from neuraxis_morphogenesis.policy.actions import BREAKERS, METHODS, Action, window
from neuraxis_morphogenesis.policy.errors import PolicyUnusable
from neuraxis_morphogenesis.policy.updates import refusal, signed_update
from neuraxis_morphogenesis.seeds.blending import rise
from tests.morphogenesis.feeding import EPOCH_TICKS, KEY, after, events, fed, log, told

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from safetensors.torch import load as tensors_of  # noqa: E402 - they may be absent
from safetensors.torch import save  # noqa: E402

from neuraxis_morphogenesis.policy.graph_policy import GraphPolicy, pick  # noqa: E402
from neuraxis_morphogenesis.policy.inference import Infer, InstallPolicy, Source, registry_digest  # noqa: E402
from neuraxis_morphogenesis.policy.with_torch import network  # noqa: E402

SECOND_NS = 10**9


@pytest.fixture
def sim(tmp_path: Path) -> Any:
    with fed(tmp_path, GraphPolicy, shelf=str(tmp_path / "shelf"), seed=3, observes=2) as made:
        yield made


def weights(*, seed: int = 4, favours: int | None = None, scale: float = 1.0) -> bytes:
    """Return weights as safetensors; `favours` makes one action the likeliest by far."""
    made = network.fresh(seed)
    with torch.no_grad():
        made.bridge.weight.mul_(scale)
        made.heads.weight.mul_(scale)
        if favours is not None:
            made.heads.bias[favours] = 50.0
    return network.stored(made)


def update(sim: Simulation, tensors: bytes, *, version: str = "learned/1", at_ns: int | None = None) -> PolicyUpdate:
    """Return a signed update that is issued now."""
    now = (sim.tick + 1) * SECOND_NS if at_ns is None else at_ns
    return signed_update(PolicyUpdate(policy_id="p", issued_at_ns=now, policy_version=version, payload=tensors), KEY)


def reasons(sim: Simulation) -> list[str]:
    """Return why updates were refused."""
    found = [event for packet in told(sim, "telemetry") for event in packet.events]
    return [event.description for event in found if event.event_id == "policy_refused"]


# --------------------------------------------------------------------------------- network


def test_same_weights_and_state_give_the_same_bits(sim: Simulation) -> None:
    after(sim, 3)
    graph = told(sim, "decisions")[0].graph
    said = [network.infer(network.restored(weights(seed=3), name="x"), graph) for _ in range(2)]
    said.append(network.infer(network.network_of(3, "", ""), graph))
    for name in said[0]:
        np.testing.assert_array_equal(said[0][name], said[1][name])
        np.testing.assert_array_equal(said[0][name], said[2][name])
    assert len(said[0]["policy"]) == 32
    assert [len(said[0][name]) for name in ("seeds", "blueprints")] == [2, 35]


def test_network_evaluates_and_leaves_the_random_state_of_torch_alone() -> None:
    before = torch.random.get_rng_state()
    made = network.fresh(1)
    assert not any(part.training for part in made.modules())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(part.training for part in network.restored(weights(), name="x").modules())


def test_every_weight_can_learn(sim: Simulation) -> None:
    after(sim, 3)
    graph = told(sim, "decisions")[0].graph
    made = network.fresh(1)
    with torch.enable_grad():
        sum(each.square().sum() for each in made(network.Union(graph)).values()).backward()
    silent = [name for name, each in made.named_parameters() if each.grad is None or not each.grad.any()]
    assert silent == []


def test_pick_draws_by_probability_and_never_what_is_masked() -> None:
    class Draws:
        def __init__(self, *values: float) -> None:
            self.values = list(values)

        def random(self) -> float:
            return self.values.pop(0)

    logits, allowed = np.log([0.5, 0.9, 0.25, 0.25]), np.array([True, False, True, True])
    assert [pick(logits, allowed, Draws(each))[0] for each in (0.0, 0.49, 0.51, 0.74, 0.76, 0.999)] == [
        0,
        0,
        2,
        2,
        3,
        3,
    ]
    assert pick(logits, allowed, Draws(0.6))[1] == pytest.approx(np.log(0.25))
    assert pick(logits, allowed, None) == (0, pytest.approx(np.log(0.5)))


# ------------------------------------------------------------------------------- decisions


def test_record_holds_what_learning_needs(sim: Simulation) -> None:
    after(sim, 12)
    records = told(sim, "decisions")
    assert len(records) == len(told(sim, "command")) > 8
    for record in records:
        said = network.infer(network.network_of(3, "", ""), record.graph)
        logits = np.where(record.action_mask, said["policy"], -np.inf)
        expected = logits[record.choice[0]] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        if record.choice[1] < 0:
            assert record.log_probability == pytest.approx(expected)
        assert record.log_probability <= expected + 1e-12
        assert record.value == said["value"][0]
    assert len({record.choice[0] for record in records}) > 2  # it does not always say the same


def test_a_policy_that_blends_says_how_alpha_is_to_rise(tmp_path: Path) -> None:
    with fed(tmp_path, GraphPolicy, seed=3, blends=True) as sim:
        after(sim, 12)
        grafts = [each for each in told(sim, "command") if "blending_method" in dict(each.annotations)]
        records = [each for each in told(sim, "decisions") if each.issued == Action.GERMINATE]
    assert [each.command_id for each in grafts] == [each.command_id for each in records] != []
    for graft, record in zip(grafts, records, strict=True):
        said = network.infer(network.network_of(3, "", ""), record.graph)
        method, rises = record.blending
        assert dict(graft.annotations)["blending_method"] == METHODS[method]
        assert rises == window(said["schedule"].tolist())
        wanted = rise(dict(graft.annotations), METHODS)
        assert (wanted.schedule, wanted.window, wanted.refusal) == (METHODS[method], rises, "")


def test_a_policy_that_does_not_blend_says_nothing_of_it(sim: Simulation) -> None:
    after(sim, 12)
    assert Action.GERMINATE in {each.issued for each in told(sim, "decisions")}
    assert not any(name.startswith("blending") for each in told(sim, "command") for name, _ in each.annotations)


@pytest.mark.parametrize("action", [Action.BREAKER_OPEN, Action.BREAKER_CLOSE])
def test_a_policy_that_may_force_breakers_says_which_and_never_that_of_isolation(
    tmp_path: Path, action: Action
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights(favours=int(action)))
    held = Resource(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    with fed(tmp_path, GraphPolicy, weights=held, breakers=True) as sim:
        after(sim, 12)
        commands = [each for each in told(sim, "command") if each.circuit_breaker is not None]
        names = [dict(each.annotations)["breaker"] for each in commands]
        chosen = [BREAKERS[each.breaker] for each in told(sim, "decisions") if each.breaker >= 0]
    assert len(commands) > 8
    assert names == chosen
    assert set(names) == {"attach", "blending"}


def test_decisions_replay_exactly_and_nothing_is_asked_again(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    after(sim, 8)

    def never(*_: Any) -> Any:
        raise AssertionError("a replay asked the network")

    monkeypatch.setattr(Infer, "perform", never)
    assert sim.again().recorder.digest() == sim.digest
    assert {resumed_digest(sim, at=at) for at in (9, 20, 33)} == {sim.digest}


def test_two_runs_make_the_same_decisions(tmp_path: Path) -> None:
    digests = []
    for _ in range(2):
        with fed(tmp_path, GraphPolicy, seed=3) as sim:
            digests.append(after(sim, 6).digest)
    assert digests[0] == digests[1]


class Oracle:
    """Fixes what becomes of some inferences."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)

    def outcome(self, intent: Any) -> Outcome | None:
        status = self.statuses.pop(0) if self.statuses else ""
        return Outcome(intent.ticket, intent.effect, status, error="told to") if status else None  # type: ignore[arg-type]


def scripted(folder: Path, *statuses: str, **parameters: Any) -> Simulation:
    """Return a run in which inferences are missed or fail as a script says."""
    made = fed(folder, GraphPolicy, **parameters)
    blueprint = replace(made.blueprint, script=Oracle(*statuses))
    made.close()
    return Simulation(blueprint)


def test_late_inference_is_answered_with_a_pause_and_replays_as_late(tmp_path: Path) -> None:
    with scripted(tmp_path, "", "missed") as sim:
        after(sim, 5)
        assert [each.reason for each in told(sim, "decisions")][:3] == ["", "timeout_inference", ""]
        assert log(sim)[1][1] == "PAUSE"
        assert [each.reason for each in told(sim, "emergency")] == ["timeout_inference"]
        assert sim.figures()["policy.conservative"] is True
        assert sim.again().recorder.digest() == sim.digest


def test_live_clock_makes_a_late_inference_a_miss_and_its_replay_misses_too(tmp_path: Path) -> None:
    made = fed(tmp_path, GraphPolicy, deadline="1 ms")
    blueprint = replace(made.blueprint, clock="live")
    made.close()
    with Simulation(blueprint) as sim:
        after(sim, 3)  # no network of this size answers within a millisecond
        assert {each.reason for each in told(sim, "decisions")} == {"timeout_inference"}
        assert {each[1] for each in log(sim)} == {"PAUSE"}
        assert sim.again().recorder.digest() == sim.digest


def test_breaker_opens_after_three_failures_and_the_policy_still_answers(tmp_path: Path) -> None:
    with scripted(tmp_path, "error", "error", "error", rest=30) as sim:
        after(sim, 12)
        said = [each.reason for each in told(sim, "decisions")]
        assert said[:3] == ["inference_failed"] * 3
        assert set(said[3:8]) == {"breaker_open"}
        assert said[-1] == ""
        assert len(log(sim)) == len(said)


# ---------------------------------------------------------------------------------- reload


def test_new_weights_are_verified_shadowed_swapped_watched_and_trusted(sim: Simulation) -> None:
    after(sim, 2)
    sim.inject("policy.update", update(sim, weights(favours=11)))
    after(sim, 12)
    assert [each for each in events(sim) if each.startswith("policy")] == [
        "policy_verified",
        "policy_swapped",
        "policy_confirmed",
    ]
    records = told(sim, "decisions")
    versions = [each.policy_version for each in records]
    assert versions[0] == "seed/3"
    swapped = versions.index("learned/1")
    assert swapped >= 2 + 3
    assert {each.choice[0] for each in records[:swapped]} != {11}
    assert {each.choice[0] for each in records[swapped:]} == {11}  # the new policy really decides otherwise
    assert sim.again().recorder.digest() == sim.digest


def test_new_policy_under_which_the_loss_jumps_is_rolled_back(tmp_path: Path) -> None:
    script = {str(epoch): {"loss": 1.0 if epoch < 8 else 1.4} for epoch in range(1, 40)}
    with fed(tmp_path, GraphPolicy, script=script, shelf=str(tmp_path / "shelf"), shadows=2) as sim:
        after(sim, 2)
        sim.inject("policy.update", update(sim, weights(favours=11)))
        after(sim, 12)
        versions = [each.policy_version for each in told(sim, "decisions")]
        assert list(dict.fromkeys(versions)) == ["seed/0", "learned/1"]
        assert versions[-1] == "seed/0"
        assert "policy_rolled_back" in events(sim)
        assert sim.figures()["policy.policies_rolled_back"] == 1


def test_new_policy_that_cannot_speak_in_numbers_never_decides(sim: Simulation) -> None:
    after(sim, 2)
    sim.inject("policy.update", update(sim, weights(scale=1e25)))
    after(sim, 6)
    assert len(reasons(sim)) == 1
    assert {each.policy_version for each in told(sim, "decisions")} == {"seed/3"}


@pytest.mark.parametrize("wrong", ["signature", "replay", "stale", "future", "no name"])
def test_update_of_the_wrong_sender_or_time_is_refused(sim: Simulation, wrong: str) -> None:
    after(sim, 12)
    good = update(sim, weights())
    sent = {
        "signature": replace(good, policy_version="forged"),
        "replay": good,
        "stale": update(sim, weights(), at_ns=(sim.tick - 62) * SECOND_NS),
        "future": update(sim, weights(), at_ns=(sim.tick + 9) * SECOND_NS),
        "no name": update(sim, weights(), version=""),
    }[wrong]
    if wrong == "replay":
        sim.inject("policy.update", good)
    sim.inject("policy.update", sent)
    after(sim, 1)
    expected = {"signature": "invalid_signature", "replay": "not_newer", "stale": "stale_update"}
    expected |= {"future": "issued_in_future", "no name": "missing_version"}
    assert reasons(sim) == [expected[wrong]]


@pytest.mark.parametrize("wrong", ["shapes", "registry", "no tensors", "not finite"])
def test_update_with_the_wrong_tensors_is_refused_and_the_policy_goes_on(sim: Simulation, wrong: str) -> None:
    tensors = tensors_of(weights())
    meta = {"registry": registry_digest()}
    sent = {
        "shapes": save({**tensors, "bridge.bias": torch.zeros(3)}, metadata=meta),
        "registry": save(tensors, metadata={"registry": "another"}),
        "no tensors": b"\x08\0\0\0\0\0\0\0nonsense",
        "not finite": save({**tensors, "bridge.bias": torch.full((128,), float("nan"))}, metadata=meta),
    }[wrong]
    after(sim, 2)
    sim.inject("policy.update", update(sim, sent))
    after(sim, 3)
    (reason,) = reasons(sim)
    expected = {"shapes": "shapes", "registry": "registry", "no tensors": "no safetensors", "not finite": "not_finite"}
    assert expected[wrong] in reason
    assert {each.policy_version for each in told(sim, "decisions")} == {"seed/3"}


def test_refusal_checks_the_version_of_the_schema() -> None:
    sent = signed_update(PolicyUpdate(version=9, issued_at_ns=5, policy_version="v", payload=b"t"), KEY)
    assert refusal(sent, key=KEY, now_ns=5, newest_ns=-1) == "unknown_version"


def test_installing_twice_changes_nothing_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    request = InstallPolicy("v", str(tmp_path), weights())
    source = request.perform("k")
    assert request.perform("k") == source
    Path(source.path).write_bytes(weights(seed=9))
    with pytest.raises(PolicyUnusable, match="checksum"):
        network.network_of(0, source.path, source.checksum)


def test_policy_begins_with_weights_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights(favours=11))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with fed(tmp_path, GraphPolicy, weights=Resource(str(path), sha256)) as sim:
        after(sim, 4)
        assert {each.choice[0] for each in told(sim, "decisions")} == {11}
        assert sim.figures()["policy.version"] == f"file/{sha256[:12]}"


def test_source_of_a_policy_is_a_name_and_no_weights() -> None:
    assert len(json.dumps(str(Source("v", 0, "p", "c")))) < 200
    assert EPOCH_TICKS > 3
