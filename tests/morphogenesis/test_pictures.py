"""The script that makes the data of `grow_images` from archives of JPEG files."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

ROOT = Path(__file__).parents[2]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    """The script, told to take two images of each class for training and one for the test."""
    spec = importlib.util.spec_from_file_location("from_jpeg_tar", ROOT / "scenarios" / "data" / "from_jpeg_tar.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.TARGET, module.OF_TRAIN, module.OF_TEST = tmp_path / "made.npz", 2, 1  # type: ignore[attr-defined]
    return module


def jpeg(grey: int, side: int = 32) -> bytes:
    stream = io.BytesIO()
    image.new("RGB", (side, side), (grey, grey, grey)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def archive(path: Path, files: dict[str, bytes], *links: str) -> Path:
    with tarfile.open(path, "w:xz") as made:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
        for name in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            made.addfile(member)
    return path


def pictures(count: int) -> dict[str, bytes]:
    """Return files of all classes, the highest numbers first: class 3, number 1 is grey 3 * 20 + 1 * 5."""
    numbers = range(count - 1, -1, -1)
    return {
        f"part/{label}/{n:04}.jpg": jpeg(place * 20 + n * 5) for n in numbers for place, label in enumerate(CLASSES)
    }


def test_classes_take_turns_and_images_come_by_number(tmp_path: Path, script: ModuleType) -> None:
    train, test = archive(tmp_path / "a.tar.xz", pictures(3)), archive(tmp_path / "b.tar.xz", pictures(1))
    script.main(train, test)
    first = (tmp_path / "made.npz").read_bytes()
    with np.load(tmp_path / "made.npz", allow_pickle=False) as made:
        assert made["train_images"].shape == (20, 32, 32, 3)
        assert made["test_images"].shape == (10, 32, 32, 3)
        assert made["train_labels"].tolist() == [*range(10), *range(10)]
        greys = made["train_images"].mean(axis=(1, 2, 3))
    assert greys == pytest.approx([place * 20 + n * 5 for n in (0, 1) for place in range(10)], abs=1.5)
    script.main(train, test)
    assert (tmp_path / "made.npz").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("part/cat/0000.jpg", b"no picture", "is no JPEG file"),
        ("part/cat/0000.jpg", jpeg(9, side=33), "33 × 33 pixels"),
        ("part/cat/0000.jpg", b"\xff" * 70_000, "is no image of one of"),
        ("../cat/0000.png", b"", "is no image of one of"),
        ("part/lion/0000.jpg", jpeg(9), "is no image of one of"),
    ],
)
def test_what_is_no_such_picture_is_refused(
    tmp_path: Path, script: ModuleType, name: str, content: bytes, complaint: str
) -> None:
    with pytest.raises(SystemExit, match=complaint):
        script.images(archive(tmp_path / "a.tar.xz", {name: content}), 1)


def test_links_and_too_few_pictures_are_refused(tmp_path: Path, script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="is no image of one of"):
        script.images(archive(tmp_path / "a.tar.xz", pictures(1), "part/cat/0001.jpg"), 1)
    with pytest.raises(SystemExit, match="fewer than 2 images of airplane"):
        script.images(archive(tmp_path / "b.tar.xz", pictures(1)), 2)
