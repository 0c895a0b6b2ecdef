"""Labelled data: an `.npz` file without pickles, or a text, pinned by its SHA-256 in the scenario.

Validation is the end of the training part: nothing is ever trained on it. The test part is looked at once, at the end.
"""

from __future__ import annotations

import io
import itertools
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, final

import numpy as np
from msgspec import Struct

from neuraxis_morphogenesis.errors import DataUnusable

if TYPE_CHECKING:
    from neuraxis import Resource

Part = Literal["train", "validation", "test"]

NAMES: Final = ("inputs", "images")
"""What inputs are called in a file: `train_inputs` or `train_images`."""


@final
class Samples(Struct, frozen=True, eq=False):
    """Inputs with what they show.

    Attributes:
        inputs: (n, …) float32 numbers, or (n, steps) int64 tokens.
        labels: (n,) int64 classes; (n, steps) int64 the next token.
    """

    inputs: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@final
class DataSet(Struct, frozen=True, eq=False):
    """Three parts that have no sample in common.

    Attributes:
        train, validation, test: The parts.
        classes: Number of classes, or of tokens.
    """

    train: Samples
    validation: Samples
    test: Samples
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes of one input."""
        return self.train.inputs.shape[1:]


def labelled(resource: Resource, *, validation: float) -> DataSet:
    """Read labelled arrays.

    Args:
        resource: An `.npz` file with `train_inputs`, `train_labels`, `test_inputs`, `test_labels`. Bytes become numbers
            from 0 to 1; floats stay as they are.
        validation: Share of the training part that is kept for validation; its end.

    Raises:
        DataUnusable: The file is missing or no such file.
    """
    try:
        with np.load(io.BytesIO(Path(resource.path).read_bytes()), allow_pickle=False) as file:
            name = next((each for each in NAMES if f"train_{each}" in file), NAMES[0])
            keys = (f"train_{name}", "train_labels", f"test_{name}", "test_labels")
            inputs, labels, test_inputs, test_labels = (np.array(file[key]) for key in keys)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataUnusable(path=resource.path, reason=f"it cannot be read ({error})") from error
    for values, classes in ((inputs, labels), (test_inputs, test_labels)):
        if classes.ndim != 1 or classes.shape != values.shape[:1] or classes.dtype.kind not in "iu":
            raise DataUnusable(path=resource.path, reason="inputs and labels do not belong together")
    kept = len(labels) - max(1, round(len(labels) * validation))
    if kept < 1 or not len(test_labels):
        raise DataUnusable(path=resource.path, reason="it has too few samples")
    values, classes = _numbers(inputs), labels.astype(np.int64)
    return DataSet(
        Samples(values[:kept], classes[:kept]),
        Samples(values[kept:], classes[kept:]),
        Samples(_numbers(test_inputs), test_labels.astype(np.int64)),
        int(max(labels.max(), test_labels.max())) + 1,
    )


def _numbers(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) / np.float32(255) if values.dtype == np.uint8 else values.astype(np.float32)


def text(resource: Resource, *, steps: int, validation: float) -> DataSet:
    """Read a text as pieces whose next characters are to be guessed.

    The last `validation` share of the text is for the test, and the same share before it for validation.

    Args:
        resource: A text in UTF-8.
        steps: Characters of a piece.
        validation: Share of the text, below one half.

    Raises:
        DataUnusable: The file is missing, no text, or too short.
    """
    try:
        content = Path(resource.path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataUnusable(path=resource.path, reason=f"it cannot be read ({error})") from error
    alphabet = {character: number for number, character in enumerate(sorted(set(content)))}
    tokens = np.array([alphabet[character] for character in content], np.int64)
    held = int(len(tokens) * validation)
    cuts = (0, len(tokens) - 2 * held, len(tokens) - held, len(tokens))
    if min(cuts[1], held) <= steps:
        raise DataUnusable(path=resource.path, reason=f"its parts are shorter than {steps + 1} characters")
    train, held_out, test = (_pieces(tokens[start:end], steps) for start, end in itertools.pairwise(cuts))
    return DataSet(train, held_out, test, len(alphabet))


def _pieces(tokens: np.ndarray, steps: int) -> Samples:
    count = (len(tokens) - 1) // steps
    return Samples(tokens[: count * steps].reshape(count, steps), tokens[1 : count * steps + 1].reshape(count, steps))
