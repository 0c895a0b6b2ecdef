"""The library: puts may come twice, fetches are checked, and one damaged kernel leaves the others whole."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from neuraxis_morphogenesis.blueprints.catalogue import described, grant
from neuraxis_morphogenesis.blueprints.errors import (
    ArtefactConflict,
    ArtefactCorrupt,
    ArtefactMissing,
    BlueprintRefused,
    LibraryDamaged,
)
from neuraxis_morphogenesis.blueprints.kernels import Kernel, Sealed, kernel_name, sealed
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import BlueprintTier

SITE = Site("features", (8,))


def kernel(blueprint_id: str = "BP009", *, weights: bytes = b"w" * 1000, seed: int = 0) -> Kernel:
    """Return a kernel of any weights."""
    entry = described(blueprint_id)
    granted = grant(blueprint_id, SITE, approved=[blueprint_id], quarantine=entry.quarantine_only)
    return Kernel(
        name=kernel_name(granted, seed),
        blueprint_id=blueprint_id,
        parameters=granted.parameters,
        site=SITE,
        tier=entry.tier,
        stage=entry.stage,
        seed=seed,
        weights=weights,
        graph_digest="g",
        guard_digest="d",
        torch_version="2",
    )


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "kernels.sqlite")


def test_kernel_comes_back_as_it_was_put(library: Library) -> None:
    library.put(sealed(kernel()))
    assert library.kernel(kernel().name) == kernel()
    assert Library(library.path).kernel(kernel().name) == kernel()


def test_putting_twice_changes_nothing(library: Library) -> None:
    for _ in range(3):
        library.put(sealed(kernel()))
    assert library.names() == (kernel().name,)


def test_other_content_under_one_name_is_refused_and_the_first_stays(library: Library) -> None:
    library.put(sealed(kernel()))
    with pytest.raises(ArtefactConflict, match="The first stays"):
        library.put(sealed(kernel(weights=b"other")))
    assert library.kernel(kernel().name) == kernel()


def test_kernel_that_does_not_fit_its_checksum_is_not_put(library: Library) -> None:
    whole = sealed(kernel())
    with pytest.raises(ArtefactCorrupt, match="checksum"):
        library.put(replace(whole, data=whole.data[:-1] + b"!"))
    assert library.names() == ()


@pytest.mark.parametrize("damage", ["a bit", "cut", "another kernel"])
def test_damaged_kernel_is_refused_by_name_and_the_rest_stay_whole(library: Library, damage: str) -> None:
    names = [kernel(each).name for each in ("BP002", "BP009", "BP021")]
    for each in ("BP002", "BP009", "BP021"):
        library.put(sealed(kernel(each)))
    with closing(sqlite3.connect(library.path)) as file, file:
        (data,) = file.execute("SELECT data FROM kernels WHERE name = ?", (names[1],)).fetchone()
        position = len(data) // 2
        wrong = {
            "a bit": data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :],
            "cut": data[:position],
            "another kernel": sealed(kernel("BP002")).data,
        }[damage]
        file.execute("UPDATE kernels SET data = ? WHERE name = ?", (wrong, names[1]))
    with pytest.raises(ArtefactCorrupt, match=names[1]):
        library.fetch(names[1])
    assert [library.kernel(names[index]).blueprint_id for index in (0, 2)] == ["BP002", "BP021"]
    library.delete(names[1])
    library.put(sealed(kernel("BP009")))
    assert library.kernel(names[1]) == kernel("BP009")


def test_sealed_kernel_under_a_wrong_name_is_refused() -> None:
    whole = sealed(kernel())
    with pytest.raises(ArtefactCorrupt, match="it holds BP009"):
        Sealed("another", whole.checksum, whole.data).opened()


def test_adversarial_kernel_goes_to_the_quarantine_alone(library: Library) -> None:
    library.put(sealed(kernel("BP045")))
    with pytest.raises(BlueprintRefused, match="adversarial"):
        library.fetch(kernel("BP045").name)
    assert library.kernel(kernel("BP045").name, quarantine=True).blueprint_id == "BP045"
    with pytest.raises(BlueprintRefused, match="adversarial"):
        kernel("BP045").granted()


def test_absent_kernel_is_an_error_and_not_a_kernel_without_content(library: Library) -> None:
    with pytest.raises(ArtefactMissing, match="Compile"):
        library.fetch("BP009-none")


def test_kernels_are_found_by_tier_stage_and_blueprint(library: Library) -> None:
    for each in ("BP002", "BP009", "BP036"):
        library.put(sealed(kernel(each)))
    library.put(sealed(kernel("BP009", seed=1)))
    assert [name[:5] for name in library.names(tier=BlueprintTier.EXPERIMENTAL)] == ["BP036"]
    assert [name[:5] for name in library.names(stage=1)] == ["BP009", "BP009"]
    assert len(library.names(blueprint_id="BP009")) == 2
    assert library.names(tier=BlueprintTier.SAFE, stage=5) == ()


def test_file_that_is_no_library_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"no library at all " * 100)
    with pytest.raises(LibraryDamaged, match=r"notes\.txt"):
        Library(path).names()


def test_puts_from_many_threads_all_arrive(library: Library) -> None:
    failures: list[BaseException] = []

    def put(seed: int) -> None:
        try:
            library.put(sealed(kernel(seed=seed // 2)))
        except BaseException as error:  # a thread must not keep it to itself
            failures.append(error)

    threads = [threading.Thread(target=put, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(library.names()) == 4


def test_times_are_kept_beside_the_kernels(library: Library) -> None:
    library.put(sealed(kernel()))
    library.note(kernel().name, "export_ms", 12.5)
    assert library.timings(kernel().name) == (("export_ms", 12.5),)
