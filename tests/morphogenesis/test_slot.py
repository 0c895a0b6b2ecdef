"""The seed is in the forward pass, and cannot reach the host: slots, blends, isolation, registry."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import Tensor, nn  # noqa: E402

from neuraxis_morphogenesis.blueprints.site import Site  # noqa: E402
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage  # noqa: E402
from neuraxis_morphogenesis.errors import SlotMisused  # noqa: E402
from neuraxis_morphogenesis.seeds.schedule import SCHEDULES, alpha  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch import slot as slots  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch.blend import BLENDS, ISOLATIONS, confidence  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch.isolation import WATCHED, shared, watch  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch.registry import HOST, TEACHER, Registry  # noqa: E402
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot  # noqa: E402

SITES = {
    "features": Site("features", (6,)),
    "sequence": Site("sequence", (5, 4)),
    "map": Site("map", (3, 4, 4)),
}


class Seed(nn.Module):
    """x + tanh(x w) by channel of features; by number elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(x * self.weight) * 0.3 + 0.1


def made(
    stage: Stage, *, blend: str = "convex", isolation: Any = "strict", site: str = "features", step: int = 1
) -> Slot:
    """Return a slot in a stage; in BLENDING alpha is a quarter for step 1 of 4."""
    slot = Slot("a", SITES[site], 1, isolation, "linear")
    slot.module, slot.stage, slot.blend, slot.blend_step, slot.blend_steps = Seed(), stage, blend, step, 4
    return slot


def activation(site: str = "features", *, batch: int = 3) -> Tensor:
    shape = SITES[site].shape
    count = batch * SITES[site].places * SITES[site].channels
    return torch.linspace(-1.0, 1.3, count).reshape(batch, *shape).requires_grad_()


def arriving(slot: Slot, point: Tensor) -> Tensor | None:
    """Return what arrives at the host's activation of a gradient that is one everywhere after the slot."""
    found: Tensor | None = torch.autograd.grad(slot(point).sum(), point, allow_unused=True)[0]
    return found


# ------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("blend", sorted(BLENDS))
@pytest.mark.parametrize("site", sorted(SITES))
def test_at_alpha_zero_the_output_is_the_hosts_to_the_last_bit(site: str, blend: str, isolation: Any) -> None:
    point = activation(site)
    for stage, step in ((Stage.GERMINATED, 0), (Stage.TRAINING, 0), (Stage.BLENDING, 0), (Stage.SHADOWING, 4)):
        slot = made(stage, blend=blend, isolation=isolation, site=site, step=step)
        assert torch.equal(slot(point), point)
        assert slot.alpha == 0


@pytest.mark.parametrize("stage", [Stage.CULLED, Stage.EMBARGOED, Stage.RESETTING, Stage.DORMANT])
def test_a_seed_that_is_gone_changes_nothing(stage: Stage) -> None:
    point = activation()
    assert torch.equal(made(stage)(point), point)


def falling(slot: Slot) -> list[float]:
    """Return alpha of each step until the seed is ramped down."""
    alphas = [slot.alpha]
    while not slot.is_faded:
        slot.advance()
        alphas.append(slot.alpha)
    return alphas


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_alpha_falls_as_it_rose(schedule: str) -> None:
    rising = [alpha(schedule, step, 6) for step in range(7)]
    slot = made(Stage.PROBATIONARY)
    slot.schedule = schedule
    slot.fade(6)
    assert falling(slot) == rising[::-1]
    for step in range(7):
        half = made(Stage.BLENDING, step=step)
        half.schedule, half.blend_steps = schedule, 6
        half.fade(3)  # twice as fast
        assert falling(half) == [alpha(schedule, left, 6) for left in range(step, 0, -2)] + [0.0]


def test_a_seed_that_has_no_share_is_ramped_down_at_once() -> None:
    for stage in (Stage.GERMINATED, Stage.TRAINING, Stage.SHADOWING):
        slot = made(stage)
        slot.fade(6)
        assert slot.is_faded
    paused = made(Stage.PROBATIONARY)
    paused.is_paused = True
    paused.fade(6)
    assert paused.is_faded


def test_confidence_goes_on_weighing_a_seed_that_it_weighed_and_no_other() -> None:
    for stage, is_weighed in ((Stage.BLENDING, True), (Stage.PROBATIONARY, False)):
        slot, point = made(stage, blend="confidence", step=3), activation()
        slot.margins = confidence(torch.tensor([0.0, 0.2, 5.0]))
        before = slot(point)
        slot.fade(4)
        assert slot.is_weighed is is_weighed
        assert torch.equal(slot(point), before)


def test_each_blend_follows_its_equation() -> None:
    point = activation()
    x, a = point.detach(), 0.25
    s = made(Stage.BLENDING).module(x)
    expected = {
        "convex": (1 - a) * x + a * s,
        "residual": x + a * (s - x),
        "multiply": x * (1 + a * torch.tanh(s - x)),
        "channel": torch.where(torch.arange(6) < 1, s, torch.where(torch.arange(6) == 1, 0.5 * (x + s), x)),
        "confidence": (1 - a) * x + a * s,
    }
    for blend, value in expected.items():
        assert torch.allclose(made(Stage.BLENDING, blend=blend)(point), value, atol=1e-6)


def test_confidence_gives_each_sample_an_alpha_of_its_own() -> None:
    slot, point = made(Stage.BLENDING, blend="confidence"), activation()
    slot.margins = confidence(torch.tensor([0.0, 0.2, 5.0]))
    assert slot.margins.tolist() == pytest.approx([0.2315, 0.5, 1.0], abs=1e-4)
    x = point.detach()
    share = (slot.margins * 0.25).reshape(-1, 1)
    assert torch.allclose(slot(point), x + share * (slot.module(x) - x), atol=1e-6)


def test_alpha_runs_from_zero_to_one_and_stays_there() -> None:
    assert [made(Stage.BLENDING, step=step).alpha for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert made(Stage.PROBATIONARY).alpha == made(Stage.FOSSILIZED).alpha == made(Stage.TERMINATED).alpha == 1


@pytest.mark.parametrize("blend", ["convex", "residual", "multiply", "channel", "confidence"])
def test_the_function_is_the_same_in_probation_and_as_a_fossil(blend: str) -> None:
    point = activation()
    assert torch.equal(made(Stage.PROBATIONARY, blend=blend)(point), made(Stage.FOSSILIZED, blend=blend)(point))


def test_a_paused_seed_is_identity_and_comes_back_as_it_was() -> None:
    slot, point = made(Stage.PROBATIONARY), activation()
    before = slot(point)
    slot.is_paused = True
    assert torch.equal(slot(point), point)
    assert not slot.learns
    slot.is_paused = False
    assert torch.equal(slot(point), before)


def test_what_would_be_if_is_asked_for_each_sample_whatever_the_stage() -> None:
    point = activation()
    for stage in (Stage.TRAINING, Stage.SHADOWING, Stage.PROBATIONARY, Stage.FOSSILIZED):
        slot = made(stage)
        mixed = slot(point, torch.tensor([0.0, 1.0, 0.0]))
        assert torch.equal(mixed[0], point[0])
        assert torch.equal(mixed[1], slot.module(point)[1])


def test_a_module_that_breaks_its_shape_contract_is_refused_by_name() -> None:
    slot = made(Stage.PROBATIONARY)
    slot.module = nn.Linear(6, 5)
    with pytest.raises(SlotMisused, match=r"slot 'a': its module made torch.float32 \(3, 5\)"):
        slot(activation())


# ---------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_in_training_the_host_gets_its_own_gradient_and_the_seed_gets_the_same(isolation: Any) -> None:
    slot, point = made(Stage.TRAINING, isolation=isolation), activation()
    output = slot(point)
    weights = torch.linspace(0.1, 2.0, output.numel()).reshape(output.shape)
    (output * weights).sum().backward()
    assert torch.equal(point.grad, weights)
    x = point.detach()
    own = torch.autograd.grad((slot.module(x) * weights).sum(), slot.module.weight)[0]
    assert torch.equal(slot.module.weight.grad, own)
    assert own != 0


def test_strict_isolation_cuts_the_host_off_while_a_seed_is_mixed_in() -> None:
    for blend in BLENDS:
        assert arriving(made(Stage.BLENDING, blend=blend), activation()) is None
    assert arriving(made(Stage.PROBATIONARY), activation()) is None


def test_a_host_that_learns_gets_its_share_and_nothing_through_the_seed() -> None:
    point = activation()
    shares = {"convex": 0.75, "residual": 1.0, "confidence": 0.75}
    for blend, share in shares.items():
        gradient = arriving(made(Stage.BLENDING, blend=blend, isolation="host_learns"), point)
        assert torch.equal(gradient, torch.full_like(point, share))
    gradient = arriving(made(Stage.BLENDING, blend="channel", isolation="host_learns"), point)
    assert torch.allclose(gradient, torch.tensor([0.0, 0.5, 1, 1, 1, 1]).expand_as(point))


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_through_a_fossil_gradients_flow_to_the_host(isolation: Any) -> None:
    slot, point = made(Stage.FOSSILIZED, isolation=isolation), activation()
    through = torch.autograd.grad(slot.module(point).sum(), point)[0]
    assert torch.equal(arriving(slot, point), through)


# ---------------------------------------------------------------------------------- isolation


def looked(slot: Slot, *, others: Any = (), foreign: Any = ()) -> tuple[str, ...]:
    layer = nn.Linear(6, 6)
    host = layer(torch.linspace(-1, 1, 18).reshape(3, 6))
    return watch(slot, host, others, [*layer.parameters(), *foreign]).leaks


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("blend", sorted(BLENDS))
@pytest.mark.parametrize("stage", WATCHED)
def test_a_sound_slot_has_no_leak(stage: Stage, blend: str, isolation: Any) -> None:
    assert looked(made(stage, blend=blend, isolation=isolation)) == ()


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("stage", WATCHED)
def test_a_removed_detach_is_found(monkeypatch: pytest.MonkeyPatch, stage: Stage, isolation: Any) -> None:
    monkeypatch.setattr(Slot, "taken", lambda _, host: host)
    assert "gradient_into_host" in looked(made(stage, isolation=isolation))


def test_a_seed_that_pushes_a_gradient_past_its_detached_input_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "straight_through", lambda host, seed: host + seed - seed.detach() + 0.1 * host)
    assert looked(made(Stage.TRAINING)) == ("host_gradient_changed",)
    monkeypatch.setitem(BLENDS, "convex", lambda base, taken, seed, alpha, site: base + alpha * (seed - taken) * base)
    assert looked(made(Stage.BLENDING, isolation="host_learns")) == ()
    slot = made(Stage.BLENDING)
    monkeypatch.setattr(Slot, "__call__", lambda self, host: host + self.alpha * self.branch(self.taken(host)))
    assert looked(slot) == ("host_gradient_changed",)


def test_a_seed_that_computes_with_a_parameter_of_another_is_found() -> None:
    slot, other = made(Stage.TRAINING), Seed()
    slot.module.weight = other.weight
    assert looked(slot, others=list(other.parameters())) == ("gradient_into_other_seed",)


def test_a_seed_that_computes_with_a_parameter_of_the_host_is_found() -> None:
    slot, parameter = made(Stage.PROBATIONARY), nn.Parameter(torch.tensor(0.5))
    slot.module.weight = parameter
    assert "gradient_into_host" in looked(slot, foreign=[parameter])


def test_tensors_that_share_memory_are_found_also_as_views() -> None:
    whole = torch.zeros(10)
    owners = {
        "host": [whole[:5]],
        "a": [whole[5:]],
        "b": [torch.zeros(3)],
        "c": [torch.zeros(0)],
        "d": [torch.zeros(0)],
    }
    assert shared(owners) == {"host": "a", "a": "host"}
    assert shared({"a": [torch.zeros(5)], "b": [torch.zeros(5)]}) == {}


def test_the_cosine_of_the_two_gradients_is_that_of_common_vectors() -> None:
    seen = watch(made(Stage.TRAINING), activation(), (), ())
    assert 0.9 < seen.cosine <= 1
    assert seen.host_norm == pytest.approx(18**0.5)


# ----------------------------------------------------------------------------------- registry


def test_each_breach_has_its_name() -> None:
    registry = Registry()
    parts = {owner: [nn.Parameter(torch.zeros(1))] for owner in (HOST, "a", "b", TEACHER)}
    for owner, parameters in parts.items():
        assert registry.register(owner, parameters) is None
    assert registry.breach("a", parts["a"]) is None
    assert registry.breach("a", parts["b"]) == "cross_seed_update"
    assert registry.breach("a", parts[HOST]) == "host_update"
    assert registry.breach("a", parts[TEACHER]) == registry.breach(HOST, parts[TEACHER]) == "teacher_update"
    assert registry.breach("a", [nn.Parameter(torch.zeros(1))]) == "unregistered_parameter"
    registry.forget("b")
    assert registry.breach("b", parts["b"]) == "unregistered_parameter"


def test_registering_again_changes_nothing_and_registering_what_others_own_registers_nothing() -> None:
    registry = Registry()
    mine, yours = [nn.Parameter(torch.zeros(1))], [nn.Parameter(torch.zeros(1))]
    assert registry.register("a", mine) is registry.register("a", mine) is None
    assert registry.count("a") == 1
    assert registry.register("b", [*yours, *mine]) == "cross_seed_update"
    assert registry.count("b") == 0
    assert registry.breach("b", yours) == "unregistered_parameter"
