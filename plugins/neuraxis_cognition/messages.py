"""What the layers send each other."""

from __future__ import annotations

from typing import Annotated, Literal, final

import numpy as np
from msgspec import Struct

from neuraxis import array, message

Phase = Literal["train", "label", "test"]


@final
@message("cognition.shown")
class Shown(Struct, frozen=True):
    """A picture appears, and stays until the rest begins.

    Attributes:
        number: Number of the presentation, from 0.
        picture: Number of the picture in its set.
        label: What it shows, for the executive alone.
        phase: `train`: learn from it. `label`: find out what neurons stand for. `test`: answer.
    """

    number: int
    picture: int
    label: int
    phase: Phase


@final
@message("cognition.response")
class Response(Struct, frozen=True, eq=False):
    """How often each neuron spiked while a picture was shown.

    Attributes:
        number: Number of the presentation.
        counts: (neurons,) int32.
    """

    number: int
    counts: Annotated[np.ndarray, array("int32", None)]


@final
@message("cognition.fields")
class Fields(Struct, frozen=True, eq=False):
    """The weights onto every neuron: its receptive field.

    Attributes:
        number: Number of the presentation before which they were so.
        weights: (inputs, neurons) float32.
    """

    number: int
    weights: Annotated[np.ndarray, array("float32", None, None)]


@final
@message("cognition.accuracy")
class Accuracy(Struct, frozen=True):
    """Share of right answers among the newest presentations.

    Attributes:
        number: Presentations so far.
        share: From 0 to 1.
    """

    number: int
    share: float
