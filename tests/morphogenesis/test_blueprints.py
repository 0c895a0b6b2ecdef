"""The modules of blueprints: identity at the start, then they learn; a sequence never sees its future."""

from __future__ import annotations

from itertools import combinations

import pytest

from neuraxis_morphogenesis.blueprints.catalogue import CATALOGUE, grant
from neuraxis_morphogenesis.blueprints.site import Site

torch = pytest.importorskip("torch")

from neuraxis_morphogenesis.blueprints.with_torch import MODULES, build  # noqa: E402 - torch may be absent

SITES = {
    "features": Site("features", (40,)),
    "sequence": Site("sequence", (24, 16)),
    "map": Site("map", (12, 9, 7)),
}
GRAFTABLE = [entry for entry in CATALOGUE.values() if not entry.quarantine_only]
CASES = [pytest.param(e.blueprint_id, SITES[where], id=f"{e.name}-{where}") for e in GRAFTABLE for where in e.layouts]
IDS = [pytest.param(e.blueprint_id, SITES[e.layouts[-1]], id=e.name) for e in GRAFTABLE]


def fresh(blueprint_id: str, site: Site, *, seed: int = 7) -> torch.nn.Module:
    """Return a module with default parameters."""
    return build(grant(blueprint_id, site, approved=[blueprint_id]), seed=seed)


def numbers(site: Site, *, seed: int = 0, batch: int = 6) -> torch.Tensor:
    """Return (batch, *site.shape) normal numbers, with a negative zero among them."""
    x = torch.randn(batch, *site.shape, generator=torch.Generator().manual_seed(seed))
    x.view(-1)[0] = -0.0
    return x


def bits(x: torch.Tensor) -> torch.Tensor:
    """Return the bit patterns."""
    return x.detach().contiguous().view(torch.int32)


def test_every_graftable_blueprint_has_a_class_of_its_own() -> None:
    assert list(MODULES) == [entry.blueprint_id for entry in GRAFTABLE]
    assert len(set(MODULES.values())) == len(MODULES)
    assert [(a.__name__, b.__name__) for a, b in combinations(MODULES.values(), 2) if issubclass(a, b)] == []


@pytest.mark.parametrize(("blueprint_id", "site"), CASES)
def test_module_starts_as_the_identity_bit_for_bit_and_learns(blueprint_id: str, site: Site) -> None:
    module, x, wanted = fresh(blueprint_id, site), numbers(site), numbers(site, seed=1)
    assert torch.equal(bits(module(x)), bits(x))
    assert torch.equal(bits(module.eval()(x)), bits(x))
    weights = dict(module.train().named_parameters())
    if blueprint_id == "BP001":
        assert not weights
        return
    optimiser = torch.optim.SGD(module.parameters(), lr=0.01)
    before = (module(x) - wanted).square().mean()
    before.backward()
    optimiser.step()
    optimiser.zero_grad()
    after = (module(x) - wanted).square().mean()
    after.backward()
    assert after < before
    assert [name for name, each in weights.items() if each.grad is None or not each.grad.any()] == []


@pytest.mark.parametrize(("blueprint_id", "site"), CASES)
def test_ends_of_the_ranges_build_and_start_as_the_identity(blueprint_id: str, site: Site) -> None:
    ranges = CATALOGUE[blueprint_id].ranges
    for end in ("low", "high"):
        parameters = {name: getattr(each, end) for name, each in ranges.items()}
        module = build(grant(blueprint_id, site, parameters, approved=[blueprint_id]), seed=1)
        x = numbers(site, batch=2)
        assert torch.equal(bits(module(x)), bits(x))


@pytest.mark.parametrize("blueprint_id", [e.blueprint_id for e in GRAFTABLE if "sequence" in e.layouts])
def test_sequence_does_not_see_its_future_nor_its_length(blueprint_id: str) -> None:
    site = SITES["sequence"]
    module, x = fresh(blueprint_id, site), numbers(site)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05)  # away from the identity
    module.eval()
    other = torch.cat([x[:, :11], numbers(site, seed=9)[:, 11:]], dim=1)
    with torch.no_grad():
        whole, changed, short = module(x), module(other), module(x[:, :11])
    torch.testing.assert_close(whole[:, :11], changed[:, :11], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole[:, :11], short, rtol=1e-5, atol=1e-5)
    assert blueprint_id == "BP001" or not torch.equal(whole, x)


@pytest.mark.parametrize(("blueprint_id", "site"), IDS)
def test_first_weights_depend_on_the_seed_alone(blueprint_id: str, site: Site) -> None:
    first = fresh(blueprint_id, site).state_dict()
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    again, other = fresh(blueprint_id, site).state_dict(), fresh(blueprint_id, site, seed=8).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    random = [name for name, value in first.items() if value.dim() > 1 and value.any()]
    assert all(not torch.equal(first[name], other[name]) for name in random)


def test_two_grafts_of_one_blueprint_share_nothing() -> None:
    one, two = fresh("BP009", SITES["map"]), fresh("BP009", SITES["map"])
    assert not {each.data_ptr() for each in one.parameters()} & {each.data_ptr() for each in two.parameters()}


def test_dropout_goes_on_where_a_saved_module_stood() -> None:
    module, x = fresh("BP004", SITES["features"]), numbers(SITES["features"])
    with torch.no_grad():
        module.out.weight.fill_(0.1)
    first = module(x)
    copy = fresh("BP004", SITES["features"], seed=99)
    copy.load_state_dict(module.state_dict())
    second = module(x)
    assert not torch.equal(first, second)
    assert torch.equal(copy(x), second)
    assert torch.equal(module.eval()(x), copy.eval()(x))
