"""Snapshots: they come back to the last bit or not at all, and going on from one changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from neuraxis import Simulation
from neuraxis.blueprint import History, execute_again
from neuraxis.codec import APART_BYTES_MIN
from neuraxis.errors import ExtraMissing, FileUnusable, SignatureInvalid, SnapshotDamaged, UsageInvalid
from neuraxis.journal.record import SnapshotMark
from neuraxis.runner import Settings
from neuraxis.snapshot.container import (
    BLOCK_BYTES,
    FORMAT,
    MAGIC,
    SIGNATURE_BYTES,
    Snapshot,
    read_manifest,
    read_snapshot,
    verify_snapshot,
    write_snapshot,
)
from neuraxis.snapshot.migrate import Change, Migration, migrate_snapshot
from neuraxis.snapshot.shelf import Shelf, tick_of
from neuraxis.snapshot.sign import KEY_VARIABLE, Signer, verify_signature
from tests.kernel.actors import Frame, Point, noisy
from tests.kernel.breakage import disk_full_at, flipped, read_only
from tests.kernel.test_codec import MESSAGES, keys, same, trees
from tests.kernel.victim import INPUTS, drive, killable

UNTIL = 45
FOOT_BYTES = 32 + SIGNATURE_BYTES + 8 + 4

NOISE = np.random.default_rng(1).integers(0, 256, 3 * BLOCK_BYTES, dtype=np.uint8)

large_arrays = st.builds(
    lambda fill, length, dtype: (np.arange(length) * fill).astype(dtype),
    st.integers(0, 9),
    st.integers(APART_BYTES_MIN, 2 * APART_BYTES_MIN),
    st.sampled_from(["u1", "<i4", ">f8", "?"]),
)
states = st.dictionaries(keys.filter(lambda key: isinstance(key, str)), trees | large_arrays, max_size=4)


def snapshot(tick: int = 7, **state: Any) -> Snapshot:
    return Snapshot(facts={"tick": tick, "run": "r"}, state=state or {"a": [1, 2.5, (b"x", None)]})


def written(folder: Path, content: Snapshot | None = None) -> Path:
    """Write a snapshot with a state and a small array of its own."""
    path = folder / "s.nxs"
    write_snapshot(path, content or snapshot(a=[1, (b"x", None)], b=NOISE[: APART_BYTES_MIN + 24]))
    return path


def resealed(data: bytes, signature: bytes | None = None, **changes: Any) -> bytes:
    """Return a snapshot file whose manifest was changed by somebody who knows the format."""
    digest, old, _, length = struct.unpack(f"<32s{SIGNATURE_BYTES}sQI", data[-FOOT_BYTES:])
    start = len(data) - FOOT_BYTES - length
    manifest = data[start:-FOOT_BYTES]
    if changes:
        manifest = rfc8785.dumps({**json.loads(manifest), **changes})
        digest = hashlib.sha256(manifest).digest()
    signature = old if signature is None else signature
    foot = digest + signature + struct.pack("<QI", xxh3_64_intdigest(signature), len(manifest))
    return data[:start] + manifest + foot


# ---------------------------------------------------------------------------- round trip


@given(states, st.dictionaries(st.text("abc"), st.text("xyz") | st.integers(-9, 9)))
@settings(deadline=None)
def test_snapshot_comes_back_as_it_was_to_the_last_bit(state: dict[str, Any], facts: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.nxs"
        write_snapshot(path, Snapshot({**facts, "tick": 3}, state))
        found = read_snapshot(path, MESSAGES)
        assert found.facts == {**facts, "tick": 3}
        assert found.tick == 3
        assert same(state, found.state)
        assert os.listdir(folder) == ["s.nxs"]


def test_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    content = snapshot(a={"z": 1, "b": NOISE}, c=[np.zeros(5000)])
    digests = [write_snapshot(tmp_path / name, content) for name in ("1.nxs", "2.nxs")]
    assert digests[0] == digests[1]
    assert (tmp_path / "1.nxs").read_bytes() == (tmp_path / "2.nxs").read_bytes()


def test_large_arrays_are_parts_of_their_own_and_compressed_where_that_pays(tmp_path: Path) -> None:
    zeros = np.zeros((300, 1000), dtype=">f4")
    path = written(tmp_path, snapshot(frame=Frame(1, NOISE, Point("p", 1, 2)), zeros=zeros, small=np.arange(3)))
    data = path.read_bytes()
    manifest = verify_snapshot(path, data)
    found = [(part["name"], part["encoding"], part["size"]) for part in manifest.parts]
    assert found[1:] == [("array/0", "raw", NOISE.nbytes), ("array/1", "zstd", zeros.nbytes)]
    assert found[0][0] == "state"
    assert len(data) < NOISE.nbytes + 10_000
    assert manifest.facts == {"tick": 7, "run": "r"}
    state = read_snapshot(path, MESSAGES).state
    assert np.array_equal(state["frame"].free, NOISE)
    assert state["zeros"].shape == (300, 1000)
    with pytest.raises(ValueError, match="read-only"):
        state["zeros"][0, 0] = 1


def test_digest_of_a_snapshot_names_its_content(tmp_path: Path) -> None:
    path = tmp_path / "s.nxs"
    first = write_snapshot(path, snapshot(a=1))
    assert first == read_manifest(path, path.read_bytes()).digest.hex()
    assert write_snapshot(path, snapshot(a=2)) != first


def test_durable_snapshot_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_snapshot(tmp_path / "a.nxs", snapshot())
    assert waited == []
    write_snapshot(tmp_path / "a.nxs", snapshot(), durable=True)
    assert len(waited) == 1


def test_snapshot_of_messages_that_are_not_registered_names_them(tmp_path: Path) -> None:
    path = written(tmp_path, snapshot(p=Point("p", 1, 2)))
    with pytest.raises(
        UsageInvalid, match=r"test-point/1 is not registered. Resume it with the plugins that wrote it."
    ):
        read_snapshot(path, {})


def test_snapshot_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(resealed(path.read_bytes(), format=FORMAT + 1))
    with pytest.raises(UsageInvalid, match=r"format 2, this version reads up to 1. Install a newer neuraxis."):
        read_snapshot(path, {})


def test_snapshot_that_is_missing_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileUnusable, match="neuraxis snapshot list RUN shows what there is"):
        read_snapshot(tmp_path / "absent.nxs", {})


# -------------------------------------------------------------------------------- damage


def test_one_flipped_bit_anywhere_is_found_and_named_by_part_and_offset(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    manifest = read_manifest(path, whole)
    parts = {part["name"]: range(part["offset"], part["offset"] + part["stored"]) for part in manifest.parts}
    foot = len(whole) - FOOT_BYTES
    places = {
        "the first line": range(len(MAGIC)),
        **parts,
        "manifest": [*range(manifest.start, foot + 32), *range(len(whole) - 4, len(whole))],
        "signature": range(foot + 32, len(whole) - 4),
    }
    assert sorted(byte for place in places.values() for byte in place) == list(range(len(whole)))
    offsets = {"the first line": 0, "manifest": manifest.start, "signature": foot + 32}
    for name, place in places.items():
        for byte in place:
            data = flipped(whole, 8 * byte + byte % 8)
            with pytest.raises(SnapshotDamaged) as found:
                verify_snapshot(path, data)
            assert found.value.part == name
            if byte < len(whole) - 4:  # a damaged length leaves no sound place to name
                assert found.value.offset == offsets.get(name, place[0])
            assert f"part {name!r} is damaged at byte {found.value.offset}. Resume from another one" in str(found.value)


def test_damage_is_named_by_the_block_that_it_is_in(tmp_path: Path) -> None:
    path = written(tmp_path, snapshot(noise=NOISE))
    whole = path.read_bytes()
    part = read_manifest(path, whole).parts[1]
    for at in (0, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5, NOISE.nbytes - 1):
        path.write_bytes(flipped(whole, 8 * (part["offset"] + at) + 3))
        with pytest.raises(SnapshotDamaged) as found:
            read_snapshot(path, {})
        assert (found.value.part, found.value.path) == ("array/0", str(path))
        assert found.value.offset == part["offset"] + at // BLOCK_BYTES * BLOCK_BYTES


def test_snapshot_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        with pytest.raises(SnapshotDamaged):
            verify_snapshot(path, whole[:size])


def test_bytes_added_or_taken_out_in_the_middle_are_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    start = read_manifest(path, whole).start
    with pytest.raises(SnapshotDamaged, match="part 'what follows the last part' is damaged"):
        verify_snapshot(path, whole[:start] + b"more" + whole[start:])
    with pytest.raises(SnapshotDamaged, match="part 'array/0' is damaged"):
        verify_snapshot(path, whole[: start - 4] + whole[start:])
    with pytest.raises(SnapshotDamaged, match="part 'manifest' is damaged"):
        verify_snapshot(path, whole + b"more")


def test_damage_that_the_small_sums_do_not_see_is_found_by_the_large_one(tmp_path: Path) -> None:
    path = written(tmp_path)
    manifest = read_manifest(path, path.read_bytes())
    state, array = manifest.parts
    data = resealed(path.read_bytes(), parts=[state, {**array, "sha256": "0" * 64}])
    with pytest.raises(SnapshotDamaged, match=f"part 'array/0' is damaged at byte {manifest.start}"):
        verify_snapshot(path, data)


# --------------------------------------------------------------------- nothing half-written


@pytest.mark.parametrize("size", [0, 10, 100, 1_000, 2_000])
def test_full_disk_leaves_nothing_behind_and_the_old_file_as_it_was(tmp_path: Path, size: int) -> None:
    path = tmp_path / "s.nxs"
    write_snapshot(path, snapshot(tick=1))
    before = path.read_bytes()
    with disk_full_at(size), pytest.raises(FileUnusable, match=r"File too large. Free space"):
        write_snapshot(path, snapshot(a=NOISE))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["s.nxs"]


def test_read_only_folder_is_refused(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(FileUnusable, match=r"Permission denied. Free space, or choose a folder"):
        write_snapshot(tmp_path / "s.nxs", snapshot())
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(FileUnusable, match="Not a directory"):
        write_snapshot(tmp_path / "file" / "s.nxs", snapshot())


def test_state_or_facts_without_canonical_form_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"value\.a is a set"):
        write_snapshot(tmp_path / "s.nxs", snapshot(a={1}))
    with pytest.raises(ValueError, match="nan"):
        write_snapshot(tmp_path / "s.nxs", Snapshot({"tick": 1, "x": float("nan")}, {"a": NOISE}))
    assert os.listdir(tmp_path) == []


# --------------------------------------------------------------------------------- shelf


def test_shelf_names_files_by_tick_and_lists_the_newest_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert (shelf.files(), shelf.entries()) == ([], [])
    for tick in (5, 10**13, 0, 10**12, 40):
        path, digest = shelf.put(snapshot(tick=tick))
        assert tick_of(path) == tick
        assert digest == read_manifest(path, path.read_bytes()).digest.hex()
    shelf.put(snapshot(tick=40), label="migrated")
    (shelf.folder / "backup.nxs").touch()
    (shelf.folder / "000000000041 (copy).nxs").touch()
    assert [path.stem.lstrip("0") for path in shelf.files()] == [str(10**13), str(10**12), "40-migrated", "40", "5", ""]


def test_shelf_keeps_the_newest_and_one_that_is_named(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    named = [shelf.put(snapshot(tick=tick))[0].name for tick in range(6)]
    shelf.keep_newest(2, also=named[1])
    assert [tick_of(path) for path in shelf.files()] == [5, 4, 1]
    shelf.keep_newest(9)
    assert len(shelf.files()) == 3


def test_shelf_offers_the_newest_sound_snapshot_and_names_the_damaged_ones(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    paths = [shelf.put(snapshot(tick=tick))[0] for tick in range(5)]
    for path in paths[3:]:
        path.write_bytes(flipped(path.read_bytes(), 8 * 30))
    found, damage = shelf.newest_sound({})
    assert found is not None
    assert found.tick == 2
    assert [each.path for each in damage if isinstance(each, SnapshotDamaged)] == [str(paths[4]), str(paths[3])]
    entries = shelf.entries()
    assert [entry.manifest is None for entry in entries] == [True, True, False, False, False]
    assert [entry.damage is None for entry in entries] == [False, False, True, True, True]
    assert [entry.bytes for entry in entries] == [path.stat().st_size for path in reversed(paths)]


def test_shelf_looks_no_later_than_it_may(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for tick in (1, 5, 9):
        shelf.put(snapshot(tick=tick))
    assert shelf.newest_sound({}, until=8)[0] == read_snapshot(shelf.files()[1], {})
    assert shelf.newest_sound({}, until=0) == (None, [])


def test_shelf_passes_over_what_is_not_marked_and_names_what_is_another_than_the_marked_one(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    marks = {path.name: digest for path, digest in (shelf.put(snapshot(tick=tick)) for tick in (1, 5, 9, 12))}
    shelf.put(snapshot(tick=9, other=1))
    shelf.put(snapshot(tick=10))
    del marks["000000000012.nxs"]
    found, damage = shelf.newest_sound({}, marked=marks)
    assert found is not None
    assert found.tick == 5
    assert [each.path for each in damage if isinstance(each, SnapshotDamaged)] == [
        str(shelf.folder / "000000000009.nxs")
    ]
    assert shelf.newest_sound({}, marked={**marks, "000000000010.nxs": ""})[0] == snapshot(tick=10)
    assert shelf.newest_sound({}, marked={}) == (None, [])


def test_shelf_in_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    with read_only(tmp_path), pytest.raises(FileUnusable, match="Choose a folder that you can write to"):
        Shelf(tmp_path).put(snapshot())


# ---------------------------------------------------------------------------- signatures

KEY = bytes(range(32))


def signed(folder: Path, key: bytes = KEY) -> tuple[Path, bytes]:
    """Write a signed snapshot, and return it with the signer's public key."""
    signer, path = Signer(key), folder / "signed.nxs"
    write_snapshot(path, snapshot(), signer=signer)
    return path, signer.public


def signer_of(path: Path, expected: bytes | None = None) -> bytes | None:
    return verify_signature(path, verify_snapshot(path, path.read_bytes()), expected=expected)


def test_signed_snapshot_tells_who_signed_it(tmp_path: Path) -> None:
    path, public = signed(tmp_path)
    assert signer_of(path) == public
    assert signer_of(path, expected=public) == public
    assert read_snapshot(path, {}) == snapshot()
    assert KEY not in path.read_bytes()


def test_unsigned_snapshot_is_accepted_unless_a_signature_is_expected(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert signer_of(path) is None
    with pytest.raises(SignatureInvalid, match=r"the snapshot is not signed. Use one that is."):
        signer_of(path, expected=Signer(KEY).public)


def test_signature_by_another_key_is_refused(tmp_path: Path) -> None:
    path, public = signed(tmp_path)
    other = Signer(bytes(32)).public
    with pytest.raises(SignatureInvalid, match=f"signed by {public.hex()}. Expected {other.hex()}"):
        signer_of(path, expected=other)


def test_signature_does_not_fit_other_content(tmp_path: Path) -> None:
    path, public = signed(tmp_path)
    whole = path.read_bytes()
    for forged in (
        resealed(whole, facts={"tick": 8, "run": "r"}),
        resealed(whole, signature=public + bytes(64)),
        resealed(whole, signature=flipped(whole[-FOOT_BYTES + 32 : -12], 8 * 40)),
        resealed(whole, signature=b"\xff" * 96),
    ):
        path.write_bytes(forged)
        with pytest.raises(
            SignatureInvalid, match=r"the signature does not fit the content. Do not use this snapshot."
        ):
            signer_of(path)


def test_key_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert Signer.from_environment() is None
    (tmp_path / "key").write_text(KEY.hex() + "\n")
    for value in (KEY.hex(), f"@{tmp_path / 'key'}"):
        monkeypatch.setenv(KEY_VARIABLE, value)
        signer = Signer.from_environment()
        assert signer is not None
        assert signer.public == Signer(KEY).public


@pytest.mark.parametrize("content", [b"secret", b"ab" * 31, b"\xff\xfe\x00", b"ab" * 33])
def test_key_that_is_none_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "key").write_bytes(content)
    values = [f"@{tmp_path / 'key'}"] + ([content.decode()] if content.isascii() else [])
    for value in values:
        monkeypatch.setenv(KEY_VARIABLE, value)
        with pytest.raises(UsageInvalid, match=f"{KEY_VARIABLE} holds no Ed25519 key. Set it to 64 hexa") as refused:
            Signer.from_environment()
        assert "secret" not in str(refused.value)


def test_file_of_a_key_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, f"@{tmp_path / 'absent'}")
    with pytest.raises(UsageInvalid, match=r"cannot be read \(No such file or directory\). Name a file"):
        Signer.from_environment()


def test_missing_library_names_the_extra_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = signed(tmp_path)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(ExtraMissing, match=r"signing snapshots needs cryptography.*pip install 'neuraxis\[sign\]'"):
        Signer(KEY)
    with pytest.raises(ExtraMissing, match="verifying a signed snapshot needs cryptography"):
        signer_of(path)
    assert read_snapshot(path, {}) == snapshot()


# ----------------------------------------------------------------------------- migrations


def old(**actors: tuple[str, int, dict[str, Any]]) -> Snapshot:
    """Return a snapshot with actors of (kind, version, state)."""
    entries = {path: {"kind": kind, "version": version, "state": s} for path, (kind, version, s) in actors.items()}
    return Snapshot({"tick": 1}, {"scheduler": {"now": 1}, "actors": entries})


def renamed(state: dict[str, Any]) -> dict[str, Any]:
    state["log"] = state.pop("history")
    return state


def lengthened(state: dict[str, Any]) -> dict[str, Any]:
    state["log"].append(0)
    return {**state, "gain": np.ones(3, np.float32)}


STEPS = {
    ("ear", 1): Migration("ear", 1, renamed, "history is called log"),
    ("ear", 2): Migration("ear", 2, lengthened, "a gain"),
}


def test_migration_brings_old_states_up_to_date_and_tells_what_it_changed() -> None:
    before = old(a=("ear", 1, {"history": [1], "seen": 3}), b=("ear", 2, {"log": []}), c=("eye", 1, {"x": 1}))
    after, changes = migrate_snapshot(before, {"ear": 2, "eye": 1}, STEPS)
    assert after.state["actors"]["a"] == {"kind": "ear", "version": 2, "state": {"log": [1], "seen": 3}}
    assert after.state["actors"]["b"] == before.state["actors"]["b"]
    assert after.state["scheduler"] == {"now": 1}
    assert after.facts == before.facts
    assert list(map(str, changes)) == ["a.version: 1 -> 2", "a.history: [1] -> absent", "a.log: absent -> [1]"]


def test_migration_goes_step_by_step_and_leaves_the_given_snapshot_as_it_is() -> None:
    before = old(a=("ear", 1, {"history": [1, [2, {"k": [3]}]]}))
    copy = old(a=("ear", 1, {"history": [1, [2, {"k": [3]}]]}))
    after, changes = migrate_snapshot(before, {"ear": 3}, STEPS)
    assert after.state["actors"]["a"]["version"] == 3
    assert after.state["actors"]["a"]["state"]["log"] == [1, [2, {"k": [3]}], 0]
    assert Change("a", "gain", "absent", "array float32(3,)") in changes
    assert before == copy
    between, _ = migrate_snapshot(before, {"ear": 2}, STEPS)
    assert same(after.state, migrate_snapshot(between, {"ear": 3}, STEPS)[0].state)


def test_migration_step_that_is_missing_is_named() -> None:
    with pytest.raises(UsageInvalid, match=r"no migration takes a \(ear\) from version 3 to 4.* register_migrations"):
        migrate_snapshot(old(a=("ear", 1, {"history": []})), {"ear": 5}, STEPS)


def test_state_that_is_newer_than_its_class_is_refused() -> None:
    with pytest.raises(UsageInvalid, match=r"version 4 of a \(ear\), its class is at version 3. Use the plugin"):
        migrate_snapshot(old(a=("ear", 4, {})), {"ear": 3}, STEPS)


def test_states_of_kinds_that_are_not_wanted_stay_as_they_are() -> None:
    before = old(a=("ear", 1, {"history": []}))
    assert migrate_snapshot(before, {}, STEPS) == (before, [])


def test_differences_are_told_shortly_and_only_where_bits_differ() -> None:
    def step(_: dict[str, Any]) -> dict[str, Any]:
        return {
            "same": [np.arange(3), float("nan")],
            "arrays": [np.arange(4)],
            "nested": {"p": Frame(1, np.arange(3), Point("p", 1.0, 2.0))},
            "kind": 1.0,
            "long": "y" * 100,
        }

    state = {
        "same": [np.arange(3), float("nan")],
        "arrays": [np.arange(3)],
        "nested": {"p": Frame(1, np.arange(3), Point("p", 1.0, 2.0))},
        "kind": 1,
        "long": "x" * 100,
    }
    _, changes = migrate_snapshot(old(a=("eye", 1, state)), {"eye": 2}, {("eye", 1): Migration("eye", 1, step, "")})
    assert [(each.field, each.before, each.after) for each in changes] == [
        ("version", "1", "2"),
        ("arrays", "[array([0, 1, 2])]", "[array([0, 1, 2, 3])]"),
        ("kind", "1", "1.0"),
        ("long", "'" + "x" * 56 + "…", "'" + "y" * 56 + "…"),
    ]


# ---------------------------------------------------------------------------- simulations


def test_taking_a_snapshot_changes_no_digest(tmp_path: Path) -> None:
    with Simulation(noisy(), seed=3) as plain, Simulation(noisy(), seed=3, folder=tmp_path / "run") as often:
        plain.advance(40)
        for tick in range(40):
            taken = often.snapshot()
            assert taken.tick == tick
            assert taken.facts["digests"] == often.digests
            often.advance(1)
        assert often.digest == plain.digest
        marks = [record for record in often.records() if isinstance(record, SnapshotMark)]
    assert [mark.tick for mark in marks] == list(range(40))
    files = Shelf(tmp_path / "run").files()
    assert [path.name for path in files] == [mark.file for mark in reversed(marks)][:5]
    assert read_manifest(files[0], files[0].read_bytes()).digest.hex() == marks[-1].sha256


def test_snapshots_are_taken_when_the_settings_say_so_and_the_newest_are_kept(tmp_path: Path) -> None:
    settings_ = Settings(snapshot_every=10, snapshots_kept=2)
    with Simulation(noisy(), folder=tmp_path / "run", settings=settings_) as sim:
        sim.advance(45)
    assert [tick_of(path) for path in Shelf(tmp_path / "run").files()] == [40, 30]


@pytest.fixture(scope="module")
def whole_run() -> Simulation:
    """A run with random numbers, inputs, scripted inputs and effects, all of it in memory."""
    sim = drive(Simulation(killable()), until=UNTIL)
    sim.close()
    return sim


@given(at=st.integers(0, UNTIL))
@settings(max_examples=20, deadline=None)
def test_going_on_from_a_snapshot_of_any_tick_gives_the_same_digest(whole_run: Simulation, at: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Simulation(killable()) as sim:
        for tick, value in INPUTS:
            if tick < at:
                sim.advance(until=tick)
                sim.inject("n0.heard", value)
        path, _ = Shelf(Path(folder)).put(sim.advance(until=at).snapshot())
        found = read_snapshot(path, sim.blueprint.messages(sim.wiring))
    again = execute_again(killable(), History(whole_run.records()), until=UNTIL, snapshot=found)
    assert again.recorder.digest() == whole_run.digest


def test_snapshot_on_a_full_disk_is_no_snapshot_and_the_run_goes_on(tmp_path: Path) -> None:
    with Simulation(noisy(), seed=3) as plain:
        digest = plain.advance(20).digest
    with Simulation(noisy(), seed=3, folder=tmp_path / "run") as sim:
        sim.advance(10)
        with disk_full_at(700), pytest.raises(FileUnusable):
            sim.snapshot()
        assert os.listdir(tmp_path / "run" / "snapshots") == []
        assert not any(isinstance(record, SnapshotMark) for record in sim.records())
        assert sim.advance(10).digest == digest
