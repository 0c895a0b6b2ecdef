"""An associative layer that learns what its inputs have in common, without being told what they are.

Excitatory neurons with adaptive thresholds receive all inputs through plastic synapses; each drives an inhibitory
partner that inhibits all others, so that few neurons answer to one picture and different neurons to different ones.

Source: Diehl & Cook, Front. Comput. Neurosci. 9:99 (2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from neuraxis import Context, Inbox, Input, Output, on_inbox, on_start, parameter, state
from neuraxis_cognition.messages import Fields, Response, Shown
from neuraxis_snn import MODELS, TRIPLET_STDP, Network, Spikes
from neuraxis_snn.actors import EngineActor

INITIAL_WEIGHT: Final = 0.3
"""Largest initial weight of a plastic synapse; they are uniform between 0 and this."""

PLASTIC: Final = "inputs->excitatory"


class Associative(EngineActor):
    """Learns pictures without labels, and answers each with spikes.

    While the layer learns, the weights onto every neuron are scaled to one sum before each picture. In the
    phases `label` and `test` weights and thresholds stand still. A layer with `learns = false` is a control:
    it sleeps while others train.
    Determinism: exact.
    """

    inputs: int = parameter(int, 784, help="number of input lines", at_least=1)
    neurons: int = parameter(
        int, 100, help="number of excitatory neurons, and of their inhibitory partners", at_least=2
    )
    learns: bool = parameter(bool, True, help="whether it learns in the phase train")
    total: float = parameter(float, 78.0, help="sum of the weights onto a neuron", at_least=0)
    excite: float = parameter(float, 10.4, help="weight from a neuron to its partner")
    inhibit: float = parameter(float, 17.0, help="weight from a partner to all other neurons")
    theta_plus: float = parameter(float, "0.05 mV", unit="mV", help="how much a spike raises the neuron's threshold")
    rate_pre: float = parameter(float, 1e-4, help="how much an arriving spike weakens a synapse")
    rate_post: float = parameter(float, 1e-2, help="how much an outgoing spike strengthens a synapse")
    tell_fields: int = parameter(int, 1_000, help="showings between two reports of the weights", at_least=1)

    spikes_in = Input(Spikes, "spikes of the inputs in the tick before")
    shown = Input(Shown, "a picture appears")
    resting = Input(int, "the showing of that number is over")
    spikes = Output(Spikes, "spikes of the excitatory neurons in this tick")
    response = Output(Response, "how often each neuron spiked while the picture was shown")
    fields = Output(Fields, "the weights, now and then")

    counts: np.ndarray = state(factory=lambda: np.zeros(0, np.int32))
    awake: bool = state(False)
    learning: bool = state(False)
    spiked: int = state(0)

    def setup(self) -> None:
        """Lay out the network; initial weights are drawn at the start."""
        self.counts = np.zeros(self.neurons, np.int32)
        self.engine = self._build(np.zeros((self.inputs, self.neurons)))

    def _build(self, weights: np.ndarray) -> Any:
        network = Network(dt=f"{self.dt!r} ms")
        network.inputs("inputs", self.inputs)
        network.population("excitatory", self.neurons, MODELS["lif_adaptive"], theta_plus=self.theta_plus)
        network.population("inhibitory", self.neurons, MODELS["lif_conductance"], record=False)
        network.connect(
            "inputs",
            "excitatory",
            "exc",
            weights=weights,
            delay=0,
            rule=TRIPLET_STDP,
            name=PLASTIC,
            rate_pre=self.rate_pre,
            rate_post=self.rate_post,
        )
        each = np.arange(self.neurons)
        network.connect("excitatory", "inhibitory", "exc", weights=self.excite, pre=each, post=each)
        others = self.inhibit * (1.0 - np.eye(self.neurons))
        network.connect("inhibitory", "excitatory", "inh", weights=others)
        return self.backend.build(network)

    @on_start
    def begin(self, context: Context) -> None:
        """Draw the initial weights."""
        size = self.inputs * self.neurons
        draws = context.stream("weights").random(size).reshape(self.inputs, self.neurons)
        self.engine = self._build(draws * INITIAL_WEIGHT)
        self.engine.normalise(PLASTIC, self.total)

    @on_inbox
    def compute(self, context: Context, inbox: Inbox) -> None:
        """Answer what is over, take note of what appears, and compute the steps of this tick."""
        for number in inbox.payloads("resting"):
            if self.awake:
                context.send("response", Response(number, self.counts.copy()))
        for shown in inbox.payloads("shown"):
            self._appear(context, shown)
        spikes = inbox.payloads("spikes_in")
        if not self.awake or not spikes:
            return
        found = self.engine.advance(self.steps(context), {"inputs": spikes[0]}, learning=self.learning)["excitatory"]
        if len(found):
            self.counts += np.bincount(found.neurons, minlength=self.neurons).astype(np.int32)
            self.spiked += len(found)
            context.send("spikes", found)

    def _appear(self, context: Context, shown: Shown) -> None:
        self.awake = self.learns or shown.phase != "train"
        self.learning = self.learns and shown.phase == "train"
        self.counts = np.zeros(self.neurons, np.int32)
        if self.learning:
            self.engine.normalise(PLASTIC, self.total)
        if self.learning and shown.number % self.tell_fields == 0:
            context.send("fields", Fields(shown.number, self.engine.weights(PLASTIC)))

    def figures(self) -> Mapping[str, int]:
        """How many spikes there were, and how often weights met their bounds."""
        return {"spikes": self.spiked, "weights_held_back": sum(self.engine.counters().values())}
