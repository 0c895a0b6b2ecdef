"""The eye: shows labelled pictures one after the other, as Poisson spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from neuraxis import (
    Context,
    Input,
    Output,
    Resource,
    on,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis_cognition.data import ImagesUnusable, load
from neuraxis_cognition.messages import Phase, Response, Shown
from neuraxis_snn import MODELS, NO_SPIKES, Network, Spikes
from neuraxis_snn.actors import EngineActor
from neuraxis_snn.encoders import poisson

STRENGTH: Final = 2
"""Strength of a first showing, at which a white pixel has its rate. A repeated one is stronger by one, each time."""


class Eye(EngineActor):
    """Shows pictures: each for a while, then nothing for a while.

    A pixel makes Poisson spikes at a rate in proportion to its brightness. While training, a picture to which
    too few spikes came back is shown again, stronger.
    Determinism: exact.
    """

    images: Resource = parameter(Resource, help="labelled images")
    train: int = parameter(int, help="showings to learn from; or pictures, see repeats_count", at_least=0)
    repeats_count: bool = parameter(bool, True, help="whether showing a picture again counts as one of `train`")
    label: int = parameter(int, help="pictures to find out what neurons stand for; the last of the training set")
    test: int = parameter(int, help="unseen pictures to answer", at_least=0)
    show: int = parameter(int, "350 ms", unit="ticks", help="how long a picture is shown", at_least=1)
    rest: int = parameter(int, "150 ms", unit="ticks", help="how long nothing is shown after it", at_least=3)
    exam_rest: int = parameter(int, "150 ms", unit="ticks", help="the same while nothing is learned", at_least=3)
    rate: float = parameter(float, "63.75 Hz", unit="Hz", help="rate of a white pixel", at_least=0)
    enough: int = parameter(int, 5, help="spikes that must come back while training", at_least=0)
    strongest: int = parameter(int, 8, help="strength at which a picture is given up", at_least=2)
    exam: int = parameter(int, 4, help="strength while nothing is learned; 2 is a first showing's", at_least=1)

    response = Input(Response, "how often the neurons spiked while the picture was shown")
    shown = Output(Shown, "a picture appears")
    spikes = Output(Spikes, "spikes of the pixels in this tick; empty in a rest")
    resting = Output(int, "the showing of that number is over")

    number: int = state(0)
    done: int = state(0)
    moment: int = state(0)
    picture: int = state(-1)
    strength: int = state(STRENGTH)
    came_back: int = state(0)

    def setup(self) -> None:
        """Read the images, and make the network of pixels."""
        self._data = load(self.images)
        if self.label > len(self._data.train_images) or self.test > len(self._data.test_images):
            have = f"{len(self._data.train_images)} training and {len(self._data.test_images)} test images"
            raise ImagesUnusable(path=self.images.path, reason=f"it has {have}, fewer than are to be shown")
        self._pixels = self._data.train_images.shape[1]
        network = Network(dt=f"{self.dt!r} ms")
        network.population("pixels", self._pixels, MODELS["poisson"])
        self.engine = self.backend.build(network)
        self._chances: dict[int, np.ndarray] = {}

    @on_start
    def begin(self, context: Context) -> None:
        """Draw the key of the noise and begin with the first picture."""
        self.seed_noise(context)
        context.wake(1, "tick")

    @on_timer("tick")
    def tick(self, context: Context) -> None:
        """Show a picture, or rest."""
        if self.moment == 0 and not self._appear(context):
            return
        if self.moment < self.show:
            context.send("spikes", self.engine.advance(self.steps(context))["pixels"])
        else:
            if self.moment == self.show:
                context.send("resting", self.number)
            context.send("spikes", NO_SPIKES)
        self.moment += 1
        if self.moment == self.show + (self.rest if self.phase == "train" else self.exam_rest):
            self.number, self.moment = self.number + 1, 0
        context.wake(1, "tick")

    @on(response)
    def hear(self, _: Context, response: Response) -> None:
        """Take note of how many spikes came back."""
        if response.number == self.number:
            self.came_back = int(response.counts.sum())

    @property
    def phase(self) -> Phase:
        """What the present showing is for."""
        if self.done < self.train:
            return "train"
        return "label" if self.done < self.train + self.label else "test"

    def _appear(self, context: Context) -> bool:
        """Show the next picture, or the last one again. Returns whether there is one."""
        weak = self.came_back < self.enough and self.strength < self.strongest
        again = self.picture >= 0 and self.phase == "train" and weak
        if self.number > 0 and (self.repeats_count or not again):
            self.done += 1
        if self.done == self.train + self.label + self.test:
            return False
        phase, images, labels = self.phase, self._data.train_images, self._data.train_labels
        if phase == "train":
            self.picture = self.picture if again else (self.picture + 1) % len(images)
            self.strength = self.strength + 1 if again else STRENGTH
        elif phase == "label":
            self.picture = len(images) - self.label + self.done - self.train
            self.strength = self.exam
        else:
            images, labels = self._data.test_images, self._data.test_labels
            self.picture, self.strength = self.done - self.train - self.label, self.exam
        self.came_back = 0
        self.engine.write("pixels", "chance", self._chance()[images[self.picture]])
        context.send("shown", Shown(self.number, self.picture, int(labels[self.picture]), phase))
        return True

    def _chance(self) -> np.ndarray:
        """Return the chance of a spike in a step for each brightness: (256,)."""
        if self.strength not in self._chances:
            rates = np.arange(256) / 255 * self.rate * (self.strength / STRENGTH)
            self._chances[self.strength] = poisson(rates, f"{self.dt!r} ms")
        return self._chances[self.strength]

    def figures(self) -> Mapping[str, int]:
        """How far it is."""
        return {"showings": self.number}
