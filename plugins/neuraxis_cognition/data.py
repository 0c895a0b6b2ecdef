"""Labelled images: a `.npz` file without pickles, pinned by its SHA-256 in the scenario."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, final

import numpy as np
from msgspec import Struct

from neuraxis.errors import InputError

if TYPE_CHECKING:
    from neuraxis import Resource

PARTS: Final = ("train_images", "train_labels", "test_images", "test_labels")


class ImagesUnusable(InputError):
    """A data file holds no labelled images."""

    code: ClassVar[str] = "COG101"
    path: str
    reason: str

    def message(self) -> str:
        return f"{self.path}: {self.reason}. Name an .npz file with the uint8 arrays {', '.join(PARTS)}."


@final
class Images(Struct, frozen=True):
    """Labelled images in two sets.

    Attributes:
        train_images, test_images: (n, pixels) uint8.
        train_labels, test_labels: (n,) uint8.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def load(resource: Resource) -> Images:
    """Read labelled images.

    Raises:
        ImagesUnusable: The file is no such file.
    """
    try:
        with np.load(io.BytesIO(Path(resource.path).read_bytes()), allow_pickle=False) as file:
            parts = [np.array(file[name]) for name in PARTS]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ImagesUnusable(path=resource.path, reason=f"it cannot be read ({error})") from error
    for images, labels in (parts[:2], parts[2:]):
        if images.dtype != np.uint8 or labels.shape != images.shape[:1] or images.ndim < 2 or not len(images):
            raise ImagesUnusable(path=resource.path, reason="images and labels do not belong together")
    images, labels, others, their_labels = parts
    return Images(images.reshape(len(images), -1), labels, others.reshape(len(others), -1), their_labels)
