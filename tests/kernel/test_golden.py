"""Goldens: what they hold, how a run that differs is told, and which files are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from neuraxis import Graph, Simulation
from neuraxis.blueprint import numerics
from neuraxis.errors import FileUnusable, GoldenMismatch, UsageInvalid
from neuraxis.trace.golden import FORMAT, HEAD_LINES_MAX, HEAD_TICKS, Golden, check, read_golden, take, write_golden
from tests.kernel.actors import Listener, Speaker, heard, noisy, talk
from tests.kernel.breakage import disk_full_at, read_only

if TYPE_CHECKING:
    from pathlib import Path


def run(seed: int = 1, ticks: int = 400, size: int = 3) -> Simulation:
    return Simulation(noisy(size), seed=seed).advance(ticks)


def mismatch(sim: Simulation, golden: Golden) -> str:
    with pytest.raises(GoldenMismatch) as found:
        check(sim, golden, command="make golden")
    assert str(found.value).endswith("If the change is meant: make golden")
    assert found.value.exit_code == 3
    return found.value.finding


def test_run_agrees_with_its_golden_and_with_what_was_written(tmp_path: Path) -> None:
    golden = take(run(), scenario="noisy.toml", overrides=("a=1",))
    kept = write_golden(tmp_path / "g.json", golden, reason="first ")
    assert read_golden(tmp_path / "g.json") == kept
    assert replace(kept, reasons=()) == golden
    assert (golden.scenario, golden.overrides, golden.seed, golden.until) == ("noisy.toml", ("a=1",), 1, 400)
    assert golden.digests == run().digests
    check(run(), kept, command="")
    assert take(run()).scenario == "noisy"


def test_golden_holds_blocks_and_a_readable_head() -> None:
    golden = take(run(ticks=600))
    assert golden.block == 3
    assert all(int(end) % 3 == 0 for end in golden.blocks)
    assert len(golden.head) <= HEAD_LINES_MAX
    assert golden.head[0].split()[:3] == ["0", "n0.@start", "<-"]
    assert int(golden.head[-1].split()[0]) <= HEAD_TICKS
    quiet = take(heard("0:1 70:2"))
    assert quiet == take(heard("0:1 70:2"))


def test_head_of_a_golden_ends_where_it_should() -> None:
    def head(plan: str) -> list[str]:
        graph = talk(plan)
        graph.connect("s0.out", "ear.heard")
        return [line for line in take(Simulation(graph).advance(100)).head if "ear.heard" in line]

    assert len(head(f"{HEAD_TICKS - 1}:1 {HEAD_TICKS}:2")) == 1
    assert (
        len(head(" ".join(f"5:{value}" for value in range(HEAD_LINES_MAX)))) == HEAD_LINES_MAX - 2
    )  # its start and its timer


def test_golden_changes_only_with_a_reason_and_keeps_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    for reason in ("", "  "):
        with pytest.raises(UsageInvalid, match=r"a golden changes only with a reason. Pass --reason"):
            write_golden(path, take(run()), reason=reason)
    assert not path.exists()
    write_golden(path, take(run()), reason="made")
    write_golden(path, take(run(seed=2)), reason="another seed")
    found = read_golden(path)
    assert [(each.text, each.digest) for each in found.reasons] == [
        ("made", f"exact:{run().digests['exact']}"),
        ("another seed", f"exact:{run(seed=2).digests['exact']}"),
    ]


def test_mismatch_in_the_first_ticks_prints_the_delivery() -> None:
    golden = take(heard("1:1 5:2"))
    assert mismatch(heard("1:1 5:3"), golden).splitlines() == [
        "first divergence:",
        "  golden:        6  ear.heard  <-  s0#3 (sent 5): 2  because s0#1",
        "  now:           6  ear.heard  <-  s0#3 (sent 5): 3  because s0#1",
    ]
    assert mismatch(heard("1:1 5:2 7:3"), take(heard("1:1 5:2 9:3"))).startswith("first divergence:")
    fewer = talk("1:1")
    fewer.connect("s0.out", "ear.heard")
    assert mismatch(Simulation(fewer).advance(20), golden).count("\n") == 2


def test_mismatch_beyond_the_head_names_ticks_and_receivers() -> None:
    def late(value: int, ticks: int) -> Simulation:
        graph = talk(f"1:1 90:{value}")
        graph.connect("s0.out", "ear.heard")
        return Simulation(graph).advance(ticks)

    assert mismatch(late(3, 200), take(late(2, 200))) == "first divergence in tick 91, among what these received: ear"
    found = mismatch(late(3, 1_000), take(late(2, 1_000)))
    assert found == "first divergence in ticks 89 to 92, among what these received: ear"


def test_mismatch_names_at_most_eight_receivers() -> None:
    def crowd(value: int) -> Simulation:
        graph = Graph("crowd")
        graph.add("s", Speaker, plan=f"90:{value}")
        for number in range(12):
            graph.add(f"ear/{number:02d}", Listener)
            graph.connect("s.out", f"ear/{number:02d}.heard")
        return Simulation(graph).advance(100)

    found = mismatch(crowd(2), take(crowd(1)))
    assert "ear/00, ear/01" in found
    assert found.endswith("and 4 more")


def test_mismatch_of_seed_or_wiring_alone_says_so() -> None:
    quiet = Simulation(talk()).advance(5)
    assert mismatch(Simulation(talk(), seed=2).advance(5), take(quiet)) == "they were made differently: seed 0 and 2"
    slower = Graph("talk", tick="2 ms")
    slower.add("ear", Listener)
    assert mismatch(Simulation(slower).advance(5), take(quiet)) == (
        "seed, scenario or parameters differ, the deliveries do not"
    )


def test_golden_is_compared_only_where_it_ends() -> None:
    with pytest.raises(UsageInvalid, match=r"ends at tick 400, the simulation stands at 399. Advance to tick 400"):
        check(run(ticks=399), take(run()), command="")


@pytest.mark.parametrize(("determinism", "elsewhere"), [("machine", True), ("machine", False), ("statistical", False)])
def test_class_machine_is_compared_on_the_same_machine_only_and_statistical_never(
    determinism: str, elsewhere: bool
) -> None:
    made = type("Torch", (Listener,), {"determinism": determinism})

    def sim(value: int) -> Simulation:
        graph = Graph("torch")
        graph.add("torch", made)
        opened = Simulation(graph)
        opened.inject("torch.heard", value)
        return opened.advance(3)

    golden = take(sim(1))
    assert golden.numerics == numerics()
    if elsewhere:
        golden = replace(golden, numerics={**golden.numerics, "machine": "abacus"})
    if determinism == "machine" and not elsewhere:
        assert "first divergence" in mismatch(sim(2), golden)
    else:
        check(sim(2), golden, command="")
    check(sim(1), golden, command="")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 1}', b'{"format": "one"}'])
def test_file_that_is_no_golden_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "g.json").write_bytes(damage)
    with pytest.raises(UsageInvalid, match=r"g.json is no golden: .* Restore it, or make it anew."):
        read_golden(tmp_path / "g.json")


def test_golden_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    write_golden(path, take(heard("1:1")), reason="made")
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageInvalid):
            read_golden(path)


def test_golden_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    write_golden(tmp_path / "g.json", replace(take(run()), format=FORMAT + 1), reason="from the future")
    with pytest.raises(UsageInvalid, match=r"golden format 2, this version reads up to 1. Install a newer neuraxis."):
        read_golden(tmp_path / "g.json")


def test_golden_that_is_missing_or_cannot_be_written_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="Make it with: neuraxis golden update"):
        read_golden(tmp_path / "g.json")
    golden = take(run())
    with read_only(tmp_path), pytest.raises(FileUnusable, match="choose a folder that you can write to"):
        write_golden(tmp_path / "g.json", golden, reason="made")
    write_golden(tmp_path / "g.json", golden, reason="made")
    with disk_full_at(500), pytest.raises(FileUnusable, match="Free space"):
        write_golden(tmp_path / "g.json", golden, reason="again")
    assert [each.text for each in read_golden(tmp_path / "g.json").reasons] == ["made"]
