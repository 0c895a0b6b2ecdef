"""Steps, guards, credit and state of a training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from neuraxis import Resource  # noqa: E402
from neuraxis.codec import pack, unpack  # noqa: E402
from neuraxis.rng import Stream, stream_key  # noqa: E402
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage  # noqa: E402
from neuraxis_morphogenesis.errors import RateTampered  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch.distill import distillation  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch.registry import HOST, TEACHER, Registry  # noqa: E402
from neuraxis_morphogenesis.trainer.data import labelled  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch import numerics, state  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.counting import multiply_adds  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.evidence import slot_evidence  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.growth import Config  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.hosts import Design  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.network import loss_of  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.optimiser import Optimisers  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.pcgrad import combine  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.training import Training  # noqa: E402
from neuraxis_morphogenesis.trainer.with_torch.validation import validate  # noqa: E402

STREAM = Stream(stream_key(1, "trainer", "credit")).at(5)


@pytest.fixture
def training(few_signals: Resource) -> Training:
    return new(few_signals)


def new(resource: Resource, **changes: Any) -> Training:
    numerics.ensure("native")
    data = labelled(resource, validation=0.2)
    depth = changes.pop("depth", 2)
    design = Design(kind="mlp", shape=data.shape, classes=data.classes, width=8, depth=depth)
    return Training(Config(design=design, **changes), data, seed=5)


def run(training: Training, steps: int = 1, *, start: int = 0) -> list[str | None]:
    size = len(training.data.train)
    batches = [np.arange(start + n * 20, start + n * 20 + 20) % size for n in range(steps)]
    orders = lambda count: [list(range(count))] * count  # noqa: E731
    return [training.train(each, progress=0.1, epoch_share=20 / size, orders=orders) for each in batches]


def grow(training: Training, slot: str = "block1", stage: Stage = Stage.TRAINING, *, seed: int = 9) -> Any:
    training.attach(slot, "BP009", {"depth": 1.0}, "convex", seed=seed)
    training.enter(slot, stage, blend_steps=4)
    return training.network.slot(slot)


def steal(training: Training, thief: str, parameter: Any) -> None:
    """Let an optimiser change what belongs to somebody else."""
    group = training.optimisers.group(thief)
    group.parameters.append(parameter)
    group.memory.append({})


def weights(module: Any) -> dict[str, np.ndarray]:
    return state.tensors(module)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def logits(training: Training) -> Any:
    training.network.train(False)
    with torch.no_grad():
        return training.network.logits(torch.from_numpy(training.data.validation.inputs))


# ------------------------------------------------------------------- the seed is in the forward


def test_in_training_weights_of_the_seed_change_and_what_the_host_does_and_learns_does_not(
    few_signals: Resource,
) -> None:
    alone, grown = new(few_signals), new(few_signals)
    slot = grow(grown)
    before = weights(slot.module)
    assert run(alone, 12) == run(grown, 12) == [None] * 12
    assert not same(before, weights(slot.module))
    assert same(weights(alone.network.host), weights(grown.network.host))
    assert torch.equal(logits(alone), logits(grown))


def test_a_graft_changes_no_output_at_all(training: Training) -> None:
    run(training, 4)
    before = logits(training)
    for stage in (Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.SHADOWING):
        grow(training, stage=stage)
        assert torch.equal(logits(training), before)


@pytest.mark.parametrize("isolation", ["strict", "host_learns"])
def test_while_a_seed_blends_the_block_before_it_learns_as_the_isolation_says(
    few_signals: Resource, isolation: Any
) -> None:
    training = new(few_signals, isolation=isolation)
    slot = grow(training, stage=Stage.BLENDING)
    slot.blend_step = 2
    first, second = (weights(each) for each in training.network.host.blocks)
    run(training)
    assert same(first, weights(training.network.host.blocks[0])) is (isolation == "strict")
    assert not same(second, weights(training.network.host.blocks[1]))


def test_a_fossil_changes_the_output_and_learns_no_more(training: Training) -> None:
    slot = grow(training, stage=Stage.PROBATIONARY)
    run(training, 6)
    training.enter("block1", Stage.FOSSILIZED)
    before, upstream = weights(slot.module), weights(training.network.host.blocks[0])
    run(training, 3)
    assert same(before, weights(slot.module))
    assert not same(upstream, weights(training.network.host.blocks[0]))
    live = logits(training)
    slot.is_paused = True
    assert not torch.equal(live, logits(training))


@pytest.mark.parametrize("isolation", ["strict", "host_learns"])
def test_a_culled_seed_is_ramped_down_frozen_while_the_host_gets_used_to_it(
    few_signals: Resource, isolation: Any
) -> None:
    training = new(few_signals, isolation=isolation)
    slot = grow(training, stage=Stage.PROBATIONARY)
    run(training, 6)
    training.fade("block1", 4)
    before, host = weights(slot.module), weights(training.network.host)
    alphas = []
    for _ in range(4):
        alphas.append(slot.alpha)
        training.clear()
        assert run(training) == [None]
        training.watch()
        assert training.tallies["block1"].violations == []
    assert alphas == pytest.approx([1, 0.9547, 0.5, 0.0453], abs=1e-3)
    assert same(before, weights(slot.module))
    assert not same(host, weights(training.network.host))
    last = logits(training)
    assert not training.is_clean("block1")
    training.clear()
    assert training.is_clean("block1")
    assert torch.equal(logits(training), last)


def test_a_seed_that_is_being_ramped_down_is_captured_and_goes_on_falling(few_signals: Resource) -> None:
    one, other = new(few_signals, optimiser="adam"), new(few_signals, optimiser="adam")
    grow(one, stage=Stage.PROBATIONARY)
    run(one, 3)
    one.fade("block1", 6)
    run(one, 2)
    state.restore(other, unpack(pack(state.capture(one)), {}))
    assert other.network.slot("block1").alpha == one.network.slot("block1").alpha == pytest.approx(0.883, abs=1e-3)
    for each in (one, other):
        run(each, 3, start=60)
    assert pack(state.capture(one)) == pack(state.capture(other))


def test_a_seed_counts_half_in_its_first_epoch_of_probation_and_whole_from_then_on(few_signals: Resource) -> None:
    moved = []
    for steps_before in (0, 19, 20):
        training = new(few_signals, momentum=0.0)
        slot = grow(training, stage=Stage.PROBATIONARY)
        before = weights(slot.module)
        training.tallies["block1"].present = steps_before  # of 20 in an epoch
        assert run(training) == [None]
        moved.append(max(float(abs(each - before[name]).max()) for name, each in weights(slot.module).items()))
    assert moved[0] == moved[1] > 0
    assert moved[2] == pytest.approx(2 * moved[0], rel=1e-3)


def test_alpha_rises_by_one_step_of_its_schedule_with_each_step(training: Training) -> None:
    slot = grow(training, stage=Stage.BLENDING)
    alphas = []
    for _ in range(6):
        alphas.append(slot.alpha)
        run(training)
    assert alphas == pytest.approx([0, 0.0453, 0.5, 0.9547, 1, 1], abs=1e-3)
    measured = dict(slot_evidence(training, slot, validation=None).measured)
    assert measured["alpha_error"] == 0
    slot.blend_step = 1
    assert dict(slot_evidence(training, slot, validation=None).measured)["alpha_error"] > 0.9


# ------------------------------------------------------------------------------------- guards


def test_an_update_of_what_belongs_to_others_is_refused_before_it_happens(training: Training) -> None:
    slot = grow(training)
    run(training)
    thief = training.network.slot("block2")
    grow(training, "block2", seed=11)
    stolen = next(iter(slot.module.parameters()))
    steal(training, "block2", stolen)
    before = weights(thief.module)
    run(training)
    assert "cross_seed_update" in training.tallies["block2"].violations
    assert same(before, weights(thief.module))


def test_without_the_registry_the_same_theft_goes_through(monkeypatch: pytest.MonkeyPatch, training: Training) -> None:
    grow(training)
    thief = grow(training, "block2", seed=11)
    stolen = next(iter(training.network.slot("block1").module.parameters()))
    steal(training, "block2", stolen)
    monkeypatch.setattr(Registry, "breach", lambda *_: None)
    before = weights(thief.module)
    run(training, 2)
    assert not same(before, weights(thief.module))


def test_a_module_that_shares_a_tensor_with_the_host_is_found_at_the_end_of_the_block(training: Training) -> None:
    slot = grow(training)
    training.watch()
    assert training.tallies["block1"].violations == []
    slot.module.register_buffer("mine", training.network.host.blocks[1][0].weight.detach())
    training.watch()
    assert "shared_tensor" in training.tallies["block1"].violations


def test_the_monitor_finds_a_removed_detach_in_a_whole_network(
    monkeypatch: pytest.MonkeyPatch, training: Training
) -> None:
    slot = grow(training)
    monkeypatch.setattr(type(slot), "taken", lambda _, host: host)
    training.watch()
    assert "gradient_into_host" in training.tallies["block1"].violations


def test_a_learning_rate_that_somebody_else_wrote_is_found(training: Training) -> None:
    run(training)
    training.optimisers.group(HOST).rate = 1.0
    with pytest.raises(RateTampered, match=r"the learning rate of 'host' is 1\.0"):
        run(training)


def test_a_seed_learns_at_a_tenth_of_the_hosts_rate_once_it_is_warm(training: Training) -> None:
    slot = grow(training)
    run(training)
    assert training.seed_rate(slot) == pytest.approx(training.rate * 0.1 * (0.01 + 0.99 * 0.1 * 20 / 400))
    training.ages["block1"] = 10.0
    assert training.seed_rate(slot) == pytest.approx(training.rate * 0.1)


# ------------------------------------------------------------------------------------- faults


def test_a_loss_that_is_no_number_has_a_name_and_changes_nothing(training: Training) -> None:
    run(training, 3)
    before = weights(training.network.host)
    training.data.train.inputs[40:60] = np.nan
    assert run(training, 1, start=40) == ["nan_loss"]
    assert same(before, weights(training.network.host))
    assert training.faults == {"nan_loss": 1}
    assert run(training) == [None]


def test_an_exploding_gradient_has_a_name_and_changes_nothing(few_signals: Resource) -> None:
    training = new(few_signals, gradient_max=1e-6)
    before = weights(training.network.host)
    assert run(training) == ["exploding_gradient"]
    assert same(before, weights(training.network.host))


def test_a_loss_far_above_those_before_it_is_runaway_at_the_third_time(training: Training) -> None:
    training.losses.extend([1.0] * 20)
    for block in training.network.host.blocks:
        torch.nn.init.constant_(block[0].weight, 3.0)
    with torch.no_grad():
        training.network.host.head.weight.mul_(300)
    training.config = type(training.config)(design=training.config.design, gradient_max=1e9, rate=0.0)
    assert run(training, 3) == [None, None, "runaway_loss"]


def test_a_seed_that_explodes_is_not_updated_and_the_host_goes_on(training: Training) -> None:
    slot = grow(training)
    with torch.no_grad():
        for name, each in slot.module.named_parameters():
            each.mul_(1e6) if "out" not in name else each.fill_(1e3)
    host, before = weights(training.network.host), weights(slot.module)
    assert run(training) == [None]
    measured = dict(slot_evidence(training, slot, validation=None).measured)
    assert measured["exploding"] == 1 or measured["finite"] == 0
    assert same(before, weights(slot.module))
    assert not same(host, weights(training.network.host))


def test_a_seed_that_makes_no_numbers_is_told_apart_from_a_bad_host(training: Training) -> None:
    slot = grow(training, stage=Stage.PROBATIONARY)
    with torch.no_grad():
        next(iter(slot.module.parameters())).fill_(float("nan"))
    assert run(training) == ["nan_loss"]
    assert training.tallies["block1"].measured()["finite"] == 0


def test_going_back_gives_the_weights_of_the_healthy_state_and_goes_past_the_fault(training: Training) -> None:
    slot = grow(training)
    run(training, 3)
    healthy = state.capture(training)
    host, seed = weights(training.network.host), weights(slot.module)
    run(training, 3, start=60)
    grow(training, "block2", seed=3)
    state.roll_back(training, healthy)
    assert same(host, weights(training.network.host))
    assert same(seed, weights(slot.module))
    assert training.step == 6
    assert training.network.slot("block2").module is not None


# ------------------------------------------------------------------------------ aggregation


def test_conflicting_gradients_lose_what_works_against_the_other() -> None:
    g, h = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    combined = combine([g, h], [[0, 1], [0, 1]])
    assert combined.conflict_rate == 1
    assert torch.allclose(combined.gradient, torch.tensor([0.5, 0.5]) + torch.tensor([0.0, 1.0]))
    assert combine([g, g], [[0, 1], [1, 0]]).conflict_rate == 0
    assert torch.equal(combine([g, g], [[0, 1], [1, 0]]).gradient, 2 * g)


def test_pcgrad_without_a_live_seed_is_the_sum(few_signals: Resource) -> None:
    one, other = new(few_signals), new(few_signals, aggregation="pcgrad")
    for each in (one, other):
        grow(each)
        run(each, 3)
    assert same(weights(one.network.host), weights(other.network.host))


def test_pcgrad_trains_host_and_every_seed(few_signals: Resource) -> None:
    training = new(few_signals, aggregation="pcgrad", isolation="host_learns")
    live, young = grow(training, stage=Stage.PROBATIONARY), grow(training, "block2", seed=2)
    before = [weights(each) for each in (training.network.host, live.module, young.module)]
    assert run(training, 3) == [None] * 3
    after = [weights(each) for each in (training.network.host, live.module, young.module)]
    assert not any(same(a, b) for a, b in zip(before, after, strict=True))


def test_pcgrad_leaves_a_paused_seed_paused(few_signals: Resource) -> None:
    training = new(few_signals, aggregation="pcgrad")
    slot = grow(training, stage=Stage.PROBATIONARY)
    slot.is_paused = True
    before = weights(slot.module)
    run(training, 3)
    assert slot.is_paused
    assert same(before, weights(slot.module))


# ----------------------------------------------------------------------------- distillation


def test_distillation_is_scaled_by_the_square_of_the_temperature_and_trains_only_the_student() -> None:
    student = torch.tensor([[1.0, 0.0, -1.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    value = distillation(student, teacher)
    p, q = torch.softmax(teacher.detach() / 4, -1), torch.softmax(student.detach() / 4, -1)
    assert float(value.detach()) == pytest.approx(16 * float((p * (p / q).log()).sum()), rel=1e-5)
    value.backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_the_teacher_is_behind_a_fence(few_signals: Resource) -> None:
    training = new(few_signals, distil=0.3)
    assert training.teacher is None
    grow(training, stage=Stage.BLENDING)
    before = weights(training.teacher)
    run(training, 3)
    training.watch()
    assert same(before, weights(training.teacher))
    assert training.registry.breach(HOST, list(training.teacher.parameters())) == "teacher_update"
    assert training.tallies["block1"].violations == []
    assert training.registry.count(TEACHER) > 0
    training.forget_teacher()
    assert training.registry.count(TEACHER) == 0


@pytest.mark.parametrize("aggregation", ["sum", "pcgrad"])
def test_the_teacher_is_asked_in_every_second_step_and_paid_for(few_signals: Resource, aggregation: str) -> None:
    taught, alone = (new(few_signals, distil=each, aggregation=aggregation) for each in (0.3, 0.0))
    spent = []
    for each in (taught, alone):
        run(each)
        grow(each, stage=Stage.BLENDING)
        before = each.macs
        run(each, 4)
        spent.append(each.macs - before)
    assert spent[0] - spent[1] == 2 * 20 * (40 * 8 + 8 * 8 + 8 * 10)  # without the seed, which it does not know
    assert not same(weights(taught.network.host), weights(alone.network.host))


def test_what_the_teacher_knows_weighs_the_same_however_often_it_is_asked(few_signals: Resource) -> None:
    pushed = []
    for every in (1, 4):
        training = new(few_signals, distil=0.1, distil_every=every, rate=0.0, momentum=0.0)
        run(training, 3)
        grow(training, stage=Stage.BLENDING)
        with torch.no_grad():
            training.network.host.head.weight.add_(0.1 * torch.sign(training.network.host.head.weight))
        found = []
        for _ in range(4):  # the rate is 0: each step sees the same weights
            run(training)
            found.append(training.network.host.head.weight.grad.clone())
        pushed.append(sum(found) / 4)
    assert torch.allclose(*pushed, atol=1e-5)


# ------------------------------------------------------------------------------------- credit


def test_credit_is_what_is_lost_when_a_seed_is_taken_out(training: Training) -> None:
    for number, name in enumerate(("block1", "block2")):
        slot = grow(training, name, Stage.PROBATIONARY, seed=number)
        with torch.no_grad():
            for each in slot.module.parameters():
                each.add_(0.3)
    found = validate(training.network, training.data.validation, STREAM)
    labels = torch.from_numpy(training.data.validation.labels)

    def accuracy() -> float:
        return float((logits(training).argmax(1) == labels).double().mean())

    assert found.accuracy == accuracy()
    assert found.loss == pytest.approx(float(loss_of(logits(training), labels)), rel=1e-6)
    for name in ("block1", "block2"):
        slot = training.network.slot(name)
        slot.is_paused = True
        assert found.contribution[name] == pytest.approx(found.accuracy - accuracy(), abs=1e-12)
        slot.is_paused = False


def test_above_four_seeds_credit_is_sampled_and_adds_up_to_the_whole(few_signals: Resource) -> None:
    training = new(few_signals, depth=5)
    for number in range(5):
        slot = grow(training, f"block{number + 1}", Stage.PROBATIONARY, seed=number)
        with torch.no_grad():
            for each in slot.module.parameters():
                each.add_(0.2)
    found = validate(training.network, training.data.validation, STREAM)
    for slot in training.network.slots:
        slot.is_paused = True
    without = validate(training.network, training.data.validation).accuracy
    assert sum(found.contribution.values()) == pytest.approx(found.accuracy - without, abs=1e-9)


def test_multiply_adds_are_those_of_the_products(training: Training) -> None:
    run(training)
    assert training.macs == 3 * 20 * (40 * 8 + 8 * 8 + 8 * 10)
    grow(training)
    before = training.macs
    run(training)
    assert training.macs - before > 3 * 20 * (40 * 8 + 8 * 8 + 8 * 10)


def test_every_pass_of_a_step_is_counted(few_signals: Resource) -> None:
    host, seed = 40 * 8 + 8 * 8 + 8 * 10, 3 * 8 * 8
    for changes, blend, passes in (
        ({}, "convex", 3 * (host + 2 * seed)),
        ({"aggregation": "pcgrad"}, "convex", 3 * (3 * host + 2 * seed)),  # none, the one, the other
        ({}, "confidence", 3 * (host + 2 * seed) + host + 2 * seed),  # and one more look at how sure the host is
    ):
        training = new(few_signals, **changes)
        for slot in ("block1", "block2"):
            training.attach(slot, "BP009", {"depth": 1.0}, blend, seed=1)
            training.enter(slot, Stage.BLENDING, blend_steps=4)
        assert training.cost == passes


# -------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("stage", [Stage.TRAINING, Stage.BLENDING, Stage.PROBATIONARY, Stage.FOSSILIZED])
def test_a_captured_training_goes_on_bit_for_bit(few_signals: Resource, optimiser: str, stage: Stage) -> None:
    changes = {"optimiser": optimiser, "rate": 0.01, "distil": 0.3}
    first, second = new(few_signals, **changes), new(few_signals, **changes)
    grow(first, stage=Stage.TRAINING)
    run(first, 3)
    first.enter("block1", stage, blend_steps=5)
    run(first, 2)
    kept = unpack(pack(state.capture(first)), {})
    state.restore(second, kept)
    assert pack(state.capture(second)) == pack(state.capture(first))
    run(first, 4, start=100)
    run(second, 4, start=100)
    assert pack(state.capture(second)) == pack(state.capture(first))


def test_weights_start_from_the_seed_alone(few_signals: Resource) -> None:
    one, other = new(few_signals), new(few_signals)
    torch.manual_seed(1)
    assert same(weights(one.network.host), weights(other.network.host))
    assert math.isfinite(float(logits(one).sum()))


@pytest.mark.parametrize(
    ("family", "peer"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, foreach=False)),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01, foreach=False)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01, foreach=False)),
    ],
)
def test_optimisers_do_what_those_of_pytorch_do(family: str, peer: Any) -> None:
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    optimisers = Optimisers(family, momentum=0.9, decay=0.01, registry=Registry())
    optimisers.add("a", [ours])
    other = peer([theirs])
    for step in range(6):
        for each in (ours, theirs):
            each.grad = torch.sin(each.detach() * (step + 1))
        optimisers.step("a", 0.1)
        other.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_multiply_adds_of_convolutions_and_attention_are_counted() -> None:
    conv = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert multiply_adds(conv, torch.zeros(2, 3, 8, 8)) == 2 * 5 * 8 * 8 * 3 * 9

    class Product(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x @ x.transpose(1, 2)

    assert multiply_adds(Product(), torch.zeros(4, 6, 3)) == 4 * 6 * 6 * 3
