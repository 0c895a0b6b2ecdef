"""Credit: counterfactuals of known games, and one pass that equals many."""

from __future__ import annotations

import numpy as np
import pytest

from neuraxis.errors import UsageInvalid
from neuraxis.rng import Stream, stream_key
from neuraxis_morphogenesis import credit


def stream() -> Stream:
    return Stream(stream_key(1, "trainer", "credit")).at(5)


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5, 9])
def test_of_independent_seeds_each_gets_what_it_adds(seeds: int) -> None:
    worth = np.arange(1.0, seeds + 1) / 8
    plan = credit.plan(seeds, stream())
    found = credit.credits(plan, 0.25 + plan.on @ worth)
    assert [each.leave_one_out for each in found.seeds] == pytest.approx(list(worth))
    assert [each.shapley for each in found.seeds] == pytest.approx(list(worth))
    assert found.total == pytest.approx(worth.sum())


def test_of_two_seeds_that_do_the_same_neither_is_missed_but_both_share() -> None:
    plan = credit.plan(2, stream())
    found = credit.credits(plan, plan.on.any(axis=1).astype(float))
    assert [each.leave_one_out for each in found.seeds] == [0, 0]
    assert [each.shapley for each in found.seeds] == [0.5, 0.5]


@pytest.mark.parametrize("seeds", [3, 4, 6, 12])
def test_shares_sum_to_the_total_in_any_game(seeds: int) -> None:
    plan = credit.plan(seeds, stream())
    found = credit.credits(plan, np.random.Generator(np.random.Philox(7)).random(len(plan.on)))
    assert sum(each.shapley for each in found.seeds) == pytest.approx(found.total)


def test_up_to_four_seeds_all_configurations_are_scored_and_beyond_a_bounded_number() -> None:
    assert [len(credit.plan(seeds, stream()).on) for seeds in (1, 2, 3, 4)] == [2, 4, 8, 16]
    many = credit.plan(10, stream())
    assert len(many.on) <= 2 + 10 + credit.PERMUTATIONS * 9
    assert len(np.unique(many.on, axis=0)) == len(many.on)


def test_one_pass_with_switches_by_sample_equals_a_pass_for_each_configuration() -> None:
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    seeds = [torch.nn.Linear(6, 6) for _ in range(3)]
    x = torch.randn(8, 6, generator=generator)

    def forward(inputs: torch.Tensor, alphas: torch.Tensor) -> torch.Tensor:
        for index, seed in enumerate(seeds):
            inputs = inputs + alphas[:, index : index + 1] * torch.tanh(seed(inputs))
        return inputs[:, 0]

    plan = credit.plan(3, stream())
    fused = forward(x.repeat(len(plan.on), 1), torch.from_numpy(credit.switches(plan, batch=8)))
    fused = fused.detach()
    apart = [forward(x, torch.from_numpy(row.astype(np.float32)).repeat(8, 1)).detach().mean() for row in plan.on]
    np.testing.assert_allclose(credit.scores(plan, fused.numpy()), [float(each) for each in apart], rtol=1e-5)


def test_rent_grows_with_parameters() -> None:
    assert credit.rent(500, 1000, rate=0.02) == pytest.approx(0.01)
    with pytest.raises(UsageInvalid):
        credit.rent(1, 0, rate=1)


def test_only_what_was_measured_pays_its_rent_and_helped_the_host_is_kept() -> None:
    good = credit.Credit(leave_one_out=0.03, shapley=0.02)
    assert credit.worth_keeping(good, owed=0.01, least=0.01, gained=0.0)
    assert not credit.worth_keeping(None, owed=0.0, least=0.0, gained=1.0)
    assert not credit.worth_keeping(good, owed=0.025, least=0.01, gained=0.1)
    assert not credit.worth_keeping(good, owed=0.0, least=0.01, gained=-0.01)


def test_wrong_number_of_scores_is_refused() -> None:
    plan = credit.plan(2, stream())
    with pytest.raises(UsageInvalid, match="4 configurations"):
        credit.scores(plan, np.zeros(6))
    with pytest.raises(UsageInvalid, match="no seed"):
        credit.plan(0, stream())
