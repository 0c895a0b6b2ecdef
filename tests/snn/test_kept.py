"""Generated code and its machine code in the cache folder: used again if it is sound, and never if it is not."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from neuraxis.waiting import shown_by
from neuraxis_snn.backends import kept
from neuraxis_snn.backends.kept import Kept, called
from tests.kernel.breakage import disk_full_at

pytestmark = pytest.mark.compiled

TEXT = """import numba

@numba.njit(cache=True)
def run(x):
    return x + {}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setattr(kept, "_cache_folder", lambda: tmp_path)
    return tmp_path


def loaded(text: str = TEXT.format(1)) -> tuple[int, bool]:
    """Use generated code as a new process does: what it gives for 1, and whether it was compiled."""
    for name in [each for each in sys.modules if each.startswith("neuraxis_network_")]:
        del sys.modules[name]
    code = Kept(text)
    found = code.ready(1)(1)
    return found, not code.run.stats.cache_hits


def files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


@pytest.fixture(autouse=True)
def modules() -> object:
    """Leave the modules of other tests as they are."""
    before = {name: each for name, each in sys.modules.items() if name.startswith("neuraxis_network_")}
    yield
    for name in [each for each in sys.modules if each.startswith("neuraxis_network_")]:
        del sys.modules[name]
    sys.modules.update(before)


def test_machine_code_is_compiled_once_and_loaded_then(folder: Path) -> None:
    assert loaded() == (2, True)
    assert {each.suffix for each in files(folder)} == {".py", ".nbi", ".nbc", ".sums"}
    assert loaded() == loaded() == (2, False)
    assert loaded(TEXT.format(5)) == (6, True), "other code is another file"


def test_whoever_shows_progress_hears_that_machine_code_is_made_and_whether_it_is_kept(folder: Path) -> None:
    told: list[str] = []

    @contextmanager
    def show(what: str) -> Iterator[None]:
        yield
        told.append(what)

    with shown_by(show), disk_full_at(200):
        assert loaded() == (2, True)
    assert told == ["making machine code, which cannot be kept"]
    with shown_by(show):
        assert loaded() == (2, True)
        code = Kept(TEXT.format(1))
        assert [code.ready(1)(1), code.ready(1)(1)] == [2, 2], "it is ready, and nothing more is made"
    assert told[1:] == ["making machine code, which is kept for the next run"]


@pytest.mark.parametrize("suffix", [".py", ".nbi", ".nbc", ".sums"])
@pytest.mark.parametrize("damage", ["emptied", "torn", "one bit", "foreign", "gone", "a folder"])
def test_a_file_that_is_not_what_was_kept_is_never_used(folder: Path, suffix: str, damage: str) -> None:
    loaded(TEXT.format(5))
    (foreign,) = (each.read_bytes() for each in files(folder) if each.suffix == suffix)
    before = files(folder)
    loaded()
    (file,) = (each for each in files(folder) if each.suffix == suffix and each not in before)
    data = file.read_bytes()
    times = file.stat()
    if damage in ("gone", "a folder"):
        file.unlink()
        if damage == "a folder":
            file.mkdir()
    else:
        flipped = bytes([*data[: len(data) // 2], data[len(data) // 2] ^ 1, *data[len(data) // 2 + 1 :]])
        file.write_bytes({"emptied": b"", "torn": data[:-9], "one bit": flipped, "foreign": foreign}[damage])
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    found, is_compiled = loaded()
    assert found == 2
    assert is_compiled or suffix == ".py", "the text of the module is not taken from the file"
    assert loaded()[0] == 2
    assert damage == "a folder" or not loaded()[1], "it is kept again"


@pytest.mark.parametrize("limit", [0, 60, 200, 2_000])
def test_machine_code_that_finds_no_room_serves_without_being_kept(folder: Path, limit: int) -> None:
    with disk_full_at(limit):
        assert loaded() == (2, True)
    assert not [each for each in files(folder) if each.suffix == ".draft"]
    assert loaded() == (2, True)
    assert loaded() == (2, False)


def test_a_cache_folder_that_cannot_be_made_is_replaced_by_one_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NEURAXIS_CACHE", str(tmp_path / "file"))
    kept._cache_folder.cache_clear()
    try:
        assert kept._cache_folder().is_dir()
        assert loaded()[0] == 2
    finally:
        kept._cache_folder.cache_clear()
    assert (tmp_path / "file").read_text() == "no folder"


SEVERAL = """import numba

@numba.njit(cache=True)
def up(x):
    return x + 1

@numba.njit(cache=True)
def down(x):
    return x - 1

run = {"up": up, "down": down}
"""


def test_the_machine_code_of_several_functions_is_kept_whenever_one_is_compiled(folder: Path) -> None:
    def used(name: str, value: float) -> tuple[float, bool]:
        for each in [each for each in sys.modules if each.startswith("neuraxis_network_")]:
            del sys.modules[each]
        code = Kept(SEVERAL)
        return code.call(name, value), not code.run[name].stats.cache_hits

    assert used("up", 1) == (2, True)
    assert used("down", 1) == (0, True)
    assert used("down", 0.5) == (-0.5, True)
    assert [used("up", 1), used("down", 1), used("down", 0.5)] == [(2, False), (0, False), (-0.5, False)]
    (machine_code, *_) = (each for each in files(folder) if each.suffix == ".nbc")
    machine_code.write_bytes(b"")
    assert used("up", 1) == (2, True)


def test_one_of_several_functions_serves_where_machine_code_cannot_be_kept(folder: Path) -> None:
    code = Kept(SEVERAL)
    with disk_full_at(200):
        assert code.call("up", 1) == 2
        assert code.call("down", 1) == 0


def test_what_a_signal_raises_while_arrays_are_handed_over_comes_out_as_it_was_raised() -> None:
    import numba

    send = ctypes.CDLL(None)["raise"]
    send.argtypes, send.restype = [ctypes.c_int], ctypes.c_int

    @numba.njit
    def interrupted(number: int) -> tuple[np.ndarray, int]:
        send(number)
        return np.zeros(3), number

    def stop(number: int, _frame: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(SystemError, match="returned a result with an exception set"):
            interrupted(signal.SIGTERM.value)
        with pytest.raises(KeyboardInterrupt) as raised:
            called(interrupted, (signal.SIGTERM.value,))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert raised.value.args == (signal.SIGTERM,)


def test_a_system_error_of_another_cause_stays_one() -> None:
    def failing() -> None:
        raise SystemError("of its own")

    with pytest.raises(SystemError, match="of its own"):
        called(failing, ())
