"""Makes data files for the scenarios from the MNIST files in idx format.

    python scenarios/data/from_idx.py FOLDER            # mnist.npz: all 60,000 + the test images in FOLDER
    python scenarios/data/from_idx.py FOLDER --part     # mnist-part.npz: 10,000 + 1,000, as shipped

FOLDER holds train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz and one pair of test files whose names begin
with t10k. The result does not depend on when or where it is made, so its SHA-256 is the one that a scenario pins.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PART_OF_TRAIN = 10_000  # the first ones
PART_OF_TEST = 1_000  # evenly spread: MNIST's first test images are harder than its last


def images(path: Path) -> np.ndarray:
    """Return the images of an idx file: (n, 28, 28) uint8."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)


def labels(path: Path) -> np.ndarray:
    """Return the labels of an idx file: (n,) uint8."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=8)


def main(folder: Path, *, part: bool) -> None:
    """Write the file and print its SHA-256."""
    (test_images,), (test_labels,) = folder.glob("t10k*images*.gz"), folder.glob("t10k*labels*.gz")
    sets = {
        "train_images": images(folder / "train-images-idx3-ubyte.gz"),
        "train_labels": labels(folder / "train-labels-idx1-ubyte.gz"),
        "test_images": images(test_images),
        "test_labels": labels(test_labels),
    }
    if part:
        steps = {name: len(array) // PART_OF_TEST if name.startswith("test") else 1 for name, array in sets.items()}
        sets = {name: array[:: steps[name]][:PART_OF_TRAIN] for name, array in sets.items()}
    target = HERE / ("mnist-part.npz" if part else "mnist.npz")
    np.savez_compressed(target, allow_pickle=False, **sets)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    sys.stdout.write(
        f'{target}: {len(sets["train_images"]):,} + {len(sets["test_images"]):,} images\nsha256 = "{digest}"\n'
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), part="--part" in sys.argv[2:])
