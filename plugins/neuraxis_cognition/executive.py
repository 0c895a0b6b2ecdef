"""The executive: finds out what each neuron stands for, and answers what a picture shows.

A neuron stands for the class to whose pictures it spikes most, on average. The answer is the class whose
neurons spike most, on average. Both are learned from pictures of the training set alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from neuraxis import Actor, Context, Input, Output, on, on_start, parameter, state
from neuraxis_cognition.messages import Accuracy, Response, Shown

CLASSES: Final = 10


class Classifier(Actor):
    """Labels neurons and answers; scores its answers, and two controls beside them.

    `shuffled`: the same responses, with the labels of the labelling pictures shuffled: what chance gives.
    `frozen`: the responses of a layer that never learned, labelled and read out in the same way.
    Determinism: exact.
    """

    neurons: int = parameter(int, 100, help="neurons of the layers it reads", at_least=1)
    window: int = parameter(int, 500, help="showings over which the learning curve is averaged", at_least=10)

    shown = Input(Shown, "a picture appears")
    response = Input(Response, "response of the layer that learns")
    control = Input(Response, "response of the layer that never learned")
    progress = Output(Accuracy, "how good the newest answers while training were")

    showing: list[int | str] = state(factory=list)
    counts: np.ndarray = state(factory=lambda: np.zeros(0))
    recent: np.ndarray = state(factory=lambda: np.zeros(0))
    recent_labels: list[int] = state(factory=list)
    exam: dict[str, list[np.ndarray]] = state(factory=lambda: {"label": [], "test": []})
    control_exam: dict[str, list[np.ndarray]] = state(factory=lambda: {"label": [], "test": []})
    labels: dict[str, list[int]] = state(factory=lambda: {"label": [], "test": []})
    order: list[int] = state(factory=list)

    def setup(self) -> None:
        """Make room for the newest responses: those to label by, and those to answer."""
        self.recent = np.zeros((2 * self.window, self.neurons), np.int32)

    @on_start
    def draw(self, context: Context) -> None:
        """Fix how labels are shuffled for the control."""
        self.order = [int(word) for word in context.stream("shuffle").raw(2)]

    @on(shown)
    def look(self, _: Context, shown: Shown) -> None:
        """Remember what is shown."""
        self.showing = [shown.number, shown.phase, shown.label]

    @on(response)
    def hear(self, context: Context, response: Response) -> None:
        """Take the layer's response."""
        number, phase, label = self.showing
        if number != response.number:
            return
        if phase == "train":
            self._practise(context, int(number), int(label), response.counts)
        else:
            self.exam[str(phase)].append(response.counts)
            self.labels[str(phase)].append(int(label))

    @on(control)
    def hear_control(self, _: Context, response: Response) -> None:
        """Take the control's response."""
        number, phase, _label = self.showing
        if number == response.number and phase != "train":
            self.control_exam[str(phase)].append(response.counts)

    def _practise(self, context: Context, number: int, label: int, counts: np.ndarray) -> None:
        """Every `window` showings: answer the newest by the labels that those before them give."""
        self.recent[len(self.recent_labels)] = counts
        self.recent_labels.append(label)
        if len(self.recent_labels) == 2 * self.window:
            known, new = self.recent[: self.window], self.recent[self.window :]
            labels = np.array(self.recent_labels)
            answers = answer(new, stands_for(known, labels[: self.window]))
            share = float(np.count_nonzero(answers == labels[self.window :])) / self.window
            context.send("progress", Accuracy(number + 1, share))
            self.recent[: self.window] = new
            self.recent_labels = self.recent_labels[self.window :]

    def figures(self) -> Mapping[str, int | float | None]:
        """How many of the unseen pictures were answered rightly, and the controls."""
        truth = np.array(self.labels["test"], np.int64)
        labels = np.array(self.labels["label"], np.int64)
        if not len(truth) or not len(labels):
            return {"answered": len(truth), "accuracy": None, "shuffled": None, "frozen": None}
        mixed = labels[np.random.Generator(np.random.PCG64(self.order)).permutation(len(labels))]
        right = score(self.exam["label"], labels, self.exam["test"], truth)
        chance = score(self.exam["label"], mixed, self.exam["test"], truth)
        return {"answered": len(truth), "accuracy": right, "shuffled": chance, "frozen": self._frozen(labels, truth)}

    def _frozen(self, labels: np.ndarray, truth: np.ndarray) -> float | None:
        heard = self.control_exam
        if len(heard["label"]) != len(labels) or len(heard["test"]) != len(truth):
            return None
        return score(heard["label"], labels, heard["test"], truth)


def stands_for(responses: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the class that each neuron stands for.

    Args:
        responses: (pictures, neurons) spike counts.
        labels: (pictures,) classes.

    Returns:
        (neurons,) int64; -1 for a neuron that never spiked.
    """
    sums = np.zeros((CLASSES, responses.shape[1]), np.int64)
    np.add.at(sums, labels, responses)
    pictures = np.maximum(np.bincount(labels, minlength=CLASSES), 1)
    means = sums / pictures[:, None]
    return np.where(sums.sum(axis=0) > 0, means.argmax(axis=0), -1)


def answer(responses: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the answer to each picture.

    Args:
        responses: (pictures, neurons) spike counts.
        classes: (neurons,) what each neuron stands for.

    Returns:
        (pictures,) int64: the class whose neurons spiked most on average; -1 if nothing spiked.
    """
    sums = np.zeros((len(responses), CLASSES), np.int64)
    for each in range(CLASSES):
        sums[:, each] = responses[:, classes == each].sum(axis=1)
    means = sums / np.maximum(np.bincount(classes[classes >= 0], minlength=CLASSES), 1)
    return np.where(sums.sum(axis=1) > 0, means.argmax(axis=1), -1)


def score(known: list[np.ndarray], labels: np.ndarray, asked: list[np.ndarray], truth: np.ndarray) -> float:
    """Return the share of right answers: label neurons by `known`, answer `asked`."""
    answers = answer(np.array(asked), stands_for(np.array(known), labels))
    return float(np.count_nonzero(answers == truth)) / len(truth)
