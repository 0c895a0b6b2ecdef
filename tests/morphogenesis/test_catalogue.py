"""The catalogue: what it holds, and whom it refuses, also by explicit id."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuraxis_morphogenesis.blueprints.catalogue import (
    CATALOGUE,
    CONSERVATIVE,
    described,
    descriptor,
    grant,
    pool,
    select,
)
from neuraxis_morphogenesis.blueprints.errors import BlueprintRefused, BlueprintUnknown, SiteInvalid
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import BlueprintDescriptor, BlueprintTier

FEATURES = Site("features", (40,))


def test_catalogue_holds_fifty_blueprints_in_three_tiers() -> None:
    tiers = [entry.tier for entry in CATALOGUE.values()]
    assert list(CATALOGUE) == [f"BP{number:03}" for number in range(1, 51)]
    assert [tiers.count(tier) for tier in BlueprintTier] == [0, 35, 7, 8]
    assert len({entry.name for entry in CATALOGUE.values()}) == 50


def test_risk_and_approval_follow_the_tier() -> None:
    for entry in CATALOGUE.values():
        low, high = {BlueprintTier.SAFE: (0, 0.5), BlueprintTier.EXPERIMENTAL: (0.7, 0.8)}.get(entry.tier, (0.9, 1.0))
        assert low <= entry.risk <= high, entry
        assert entry.approval_required == (entry.tier is not BlueprintTier.SAFE)
        assert entry.quarantine_only == (entry.tier is BlueprintTier.HIGH_RISK)


def test_defaults_lie_in_their_ranges() -> None:
    ranges = [(entry.name, name, each) for entry in CATALOGUE.values() for name, each in entry.ranges.items()]
    assert [(entry, name) for entry, name, each in ranges if not each.fits(each.default)] == []


def test_unknown_id_is_refused_by_name() -> None:
    with pytest.raises(BlueprintUnknown, match="BP051"):
        described("BP051")


@pytest.mark.parametrize("blueprint_id", [f"BP{number:03}" for number in range(43, 51)])
def test_adversarial_blueprint_is_refused_by_its_id_even_if_approved(blueprint_id: str) -> None:
    with pytest.raises(BlueprintRefused, match="adversarial"):
        grant(blueprint_id, FEATURES, approved=[blueprint_id])
    assert grant(blueprint_id, FEATURES, quarantine=True).blueprint_id == blueprint_id


@pytest.mark.parametrize("blueprint_id", [f"BP{number:03}" for number in range(36, 43)])
def test_experimental_blueprint_needs_approval_by_its_own_id(blueprint_id: str) -> None:
    with pytest.raises(BlueprintRefused, match="was not approved"):
        grant(blueprint_id, FEATURES, approved=["BP035"])
    with pytest.raises(BlueprintRefused, match="was not approved"):
        grant(blueprint_id, FEATURES, quarantine=True)
    assert grant(blueprint_id, FEATURES, approved=[blueprint_id]).blueprint_id == blueprint_id


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "'depth' is missing"),
        ({"depth": 2, "width": 3}, "'width' is missing or unknown"),
        ({"depth": 0}, "from 1 to 4"),
        ({"depth": 5}, "from 1 to 4"),
        ({"depth": 1.5}, "a whole number"),
        ({"depth": float("nan")}, "from 1 to 4"),
        ({"depth": float("inf")}, "from 1 to 4"),
    ],
)
def test_parameters_are_checked_by_explicit_id_too(parameters: dict[str, float], reason: str) -> None:
    with pytest.raises(BlueprintRefused, match=reason):
        grant("BP009", FEATURES, parameters)


def test_both_ends_of_a_range_are_in_it() -> None:
    for entry in CATALOGUE.values():
        for ends in ({n: r.low for n, r in entry.ranges.items()}, {n: r.high for n, r in entry.ranges.items()}):
            site = Site(entry.layouts[0], (40,))
            grant(entry.blueprint_id, site, ends, approved=[entry.blueprint_id], quarantine=entry.quarantine_only)


def test_blueprint_that_looks_ahead_does_not_fit_a_sequence() -> None:
    with pytest.raises(BlueprintRefused, match="does not fit a site of sequence"):
        grant("BP006", Site("sequence", (16, 8)))
    with pytest.raises(BlueprintRefused, match="does not fit a site of map"):
        grant("BP031", Site("map", (4, 8, 8)))


@pytest.mark.parametrize(
    ("layout", "shape"), [("features", (4, 4)), ("map", (4,)), ("sequence", (0, 4)), ("tree", (4,))]
)
def test_impossible_site_is_refused(layout: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(SiteInvalid, match="Use features"):
        Site(layout, shape)  # type: ignore[arg-type]  # this is the point


def test_pool_never_offers_what_may_not_be_grafted() -> None:
    assert [entry.blueprint_id for entry in pool()] == [f"BP{number:03}" for number in range(1, 36)]
    assert [entry.blueprint_id for entry in pool(approved=["BP036", "BP050"])][-1] == "BP036"
    assert tuple(entry.blueprint_id for entry in pool(approved=["BP036"], conservative=True)) == CONSERVATIVE
    assert "BP006" not in [entry.blueprint_id for entry in pool(Site("sequence", (16, 8)))]


def test_selection_depends_on_the_context_alone() -> None:
    everything = pool()
    assert select(everything).blueprint_id == "BP001"
    picks = [select(everything, f"epoch {number}".encode()).blueprint_id for number in range(200)]
    assert picks == [select(everything, f"epoch {number}".encode()).blueprint_id for number in range(200)]
    assert len(set(picks)) > 25
    with pytest.raises(BlueprintRefused, match="nothing fits"):
        select(())


def test_same_request_has_the_same_name_and_another_one_another() -> None:
    first = grant("BP009", FEATURES, {"depth": 2})
    assert first.artefact == grant("BP009", FEATURES, {"depth": 2.0}).artefact
    others = [grant("BP009", FEATURES, {"depth": 3}), grant("BP009", Site("features", (41,)), {"depth": 2})]
    assert len({first.artefact, *(each.artefact for each in others)}) == 3


def test_every_entry_has_a_descriptor_that_survives_the_wire() -> None:
    wire = pytest.importorskip("neuraxis_morphogenesis.contracts.wire")
    for entry in CATALOGUE.values():
        told = wire.from_wire(BlueprintDescriptor, wire.to_wire(descriptor(entry)))
        assert (told.blueprint_id, told.tier, told.stage) == (entry.blueprint_id, entry.tier, entry.stage)
        assert (told.quarantine_only, told.approval_required) == (entry.quarantine_only, entry.approval_required)
        assert [name for name, _ in told.allowed_parameters] == sorted(entry.ranges)


def test_page_lists_the_catalogue_as_it_is() -> None:
    text = (Path(__file__).parents[2] / "docs" / "blueprints.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:4] == "| BP"]
    told = [
        [
            entry.blueprint_id,
            f"`{entry.name}`",
            f"{entry.risk:g}",
            str(entry.stage),
            ", ".join(f"{name} {r.low:g}–{r.high:g} ({r.default:g})" for name, r in entry.ranges.items()) or "–",
            "any" if len(entry.layouts) == 3 else ", ".join(entry.layouts),
            entry.description,
        ]
        for entry in CATALOGUE.values()
    ]
    assert rows == told
