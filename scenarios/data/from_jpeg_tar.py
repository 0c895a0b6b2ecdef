"""Makes cifar10-part.npz for `grow_images` from two archives of JPEG files.

    pip install pillow
    python scenarios/data/from_jpeg_tar.py TRAIN.tar.xz TEST.tar.xz

An archive holds files named …/CLASS/NUMBER.jpg of 32 × 32 pixels. The first 500 of each class are taken for training
and the first 100 for the test, by number; classes take turns, so that any part of the file holds all of them. The
archives are read as streams: nothing is unpacked to disk, and everything but such a file is refused. JPEG loses detail,
so accuracies on this file are not those of CIFAR-10.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

TARGET = Path(__file__).parent / "cifar10-part.npz"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
OF_TRAIN, OF_TEST = 500, 100  # images of each class
BYTES_MAX = 65_536  # of one file; images of this size take a kilobyte
NAME = re.compile(r"(?:[\w.-]+/)*(?P<label>[a-z]+)/(?P<number>\d+)\.jpg")


def images(path: Path, count: int) -> dict[str, list[np.ndarray]]:
    """Return the first images of each class: (32, 32, 3) uint8 each."""
    found: dict[str, dict[int, np.ndarray]] = {label: {} for label in CLASSES}
    with tarfile.open(path, mode="r|xz") as archive:
        for member in archive:
            if member.isdir():
                continue
            match = NAME.fullmatch(member.name)
            if not member.isfile() or match is None or match["label"] not in found or member.size > BYTES_MAX:
                sys.exit(f"{path}: {member.name} is no image of one of {', '.join(CLASSES)}. Name another archive.")
            file = archive.extractfile(member)
            found[match["label"]][int(match["number"])] = pixels(b"" if file is None else file.read(), member.name)
    short = [label for label, held in found.items() if len(held) < count]
    if short:
        sys.exit(f"{path}: fewer than {count} images of {', '.join(short)}. Name another archive.")
    return {label: [held[number] for number in sorted(held)[:count]] for label, held in found.items()}


def pixels(content: bytes, name: str) -> np.ndarray:
    """Return the pixels of a JPEG file: (32, 32, 3) uint8."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.size != (SIDE, SIDE):
                sys.exit(f"{name} has {image.size[0]} × {image.size[1]} pixels, not {SIDE} × {SIDE}.")
            return np.asarray(image.convert("RGB"), np.uint8)
    except OSError as error:
        sys.exit(f"{name} is no JPEG file ({error}).")


def turns(found: dict[str, list[np.ndarray]], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels, one of each class in turn: (n, 32, 32, 3) uint8 and (n,) uint8."""
    taken = [found[label][number] for number in range(count) for label in CLASSES]
    return np.stack(taken), np.tile(np.arange(len(CLASSES), dtype=np.uint8), count)


def main(train: Path, test: Path) -> None:
    """Write the file and print its SHA-256."""
    train_images, train_labels = turns(images(train, OF_TRAIN), OF_TRAIN)
    test_images, test_labels = turns(images(test, OF_TEST), OF_TEST)
    np.savez_compressed(
        TARGET,
        allow_pickle=False,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
    )
    digest = hashlib.sha256(TARGET.read_bytes()).hexdigest()
    sys.stdout.write(f'{TARGET}: {len(train_labels):,} + {len(test_labels):,} images\nsha256 = "{digest}"\n')


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
