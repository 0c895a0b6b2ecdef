"""Two actors: neurons that scenarios can wire up, and a raster plot of what neurons did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neuraxis import (
    Actor,
    Backend,
    Chart,
    Context,
    Inbox,
    Input,
    Output,
    on,
    on_inbox,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis_snn.engine import Engine
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import MODELS
from neuraxis_snn.network import Network, steps_per_tick
from neuraxis_snn.plots import raster
from neuraxis_snn.spikes import NO_SPIKES, Spikes


class EngineActor(Actor):
    """Base of actors that compute a network: what the engine remembers is part of their state.

    Attributes:
        engine: The engine; `setup` makes it.
        backend: What made it.
    """

    dt: float = parameter(float, "0.5 ms", unit="ms", help="step; a whole fraction of a tick")
    backend: Backend = parameter(Backend, semantic=False, help="what computes the network")
    engine: Engine

    def seed_noise(self, context: Context) -> None:
        """Draw the key of the engine's noise from the actor's stream `noise`."""
        word = int(context.stream("noise").raw(1)[0])
        self.engine.key = (word & 0xFFFFFFFF, word >> 32)

    def steps(self, context: Context) -> int:
        """Return how many steps make a tick."""
        return steps_per_tick(context.tick_length, self.dt)

    def capture(self) -> dict[str, Any]:
        """Return the state, with the engine's."""
        return {**super().capture(), "engine": self.engine.capture()}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state."""
        rest = dict(captured)
        self.engine.restore(rest.pop("engine"))
        super().restore(rest)


class Neurons(EngineActor):
    """A population of neurons with spikes from outside, and synapses among themselves.

    It computes all steps of a tick at once, every tick, and sends the spikes of the tick as one message.
    Determinism: exact.
    """

    size: int = parameter(int, help="number of neurons", at_least=1)
    model: str = parameter(str, "lif_exp", choices=sorted(MODELS), help="model of the neurons")
    values: tuple[str, ...] = parameter(tuple[str, ...], (), help='parameters of the model: "tau = 10 ms"')
    dt: float = parameter(float, "0.1 ms", unit="ms", help="step; a whole fraction of a tick")
    precision: str = parameter(str, "float64", choices=("float32", "float64"), help="of states and weights")
    lines: int = parameter(int, 1, at_least=1, help="number of lines on which spikes come in")
    joined: str = parameter(str, "one-to-one", choices=("one-to-one", "all-to-all"), help="how lines reach neurons")
    weight: float = parameter(float, 1.0, help="weight of the synapses from the lines")
    chance: float = parameter(float, 0.0, at_least=0, at_most=1, help="probability of a synapse between two neurons")
    among: float = parameter(float, 0.0, help="weight of these synapses")
    delay: float = parameter(float, "1 ms", unit="ms", help="delay of these synapses")

    spikes_in = Input(Spikes, "spikes on the lines, with steps counted from the start of the tick")
    spikes = Output(Spikes, "spikes of the neurons in this tick")
    spiked: int = state(0)

    def setup(self) -> None:
        """Check the parameters; the network is built at the start, when its random synapses can be drawn."""
        model = MODELS[self.model]
        if not model.inputs:
            remedy = "Choose a model that takes input."
            raise NetworkInvalid(subject=self.model, reason="it takes no input", remedy=remedy)
        if self.joined == "one-to-one" and self.lines != self.size:
            reason = f"{self.lines} lines cannot be joined one-to-one to {self.size} neurons"
            raise NetworkInvalid(subject="lines", reason=reason, remedy='Use equal numbers, or joined = "all-to-all".')
        self.engine = self._build((np.empty(0, np.int64), np.empty(0, np.int64)))
        self._pairs = (np.empty(0, np.int64), np.empty(0, np.int64))

    def _build(self, pairs: tuple[np.ndarray, np.ndarray]) -> Engine:
        model = MODELS[self.model]
        network = Network(dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]
        network.inputs("lines", self.lines)
        network.population("neurons", self.size, model, **self._written())
        excitatory, inhibitory = model.inputs[0], model.inputs[-1]
        ends = (np.arange(self.size),) * 2 if self.joined == "one-to-one" else (None, None)
        kind = excitatory if self.weight >= 0 else inhibitory
        network.connect("lines", "neurons", kind, weights=self.weight, pre=ends[0], post=ends[1], delay=0)
        if len(pairs[0]):
            kind = excitatory if self.among >= 0 else inhibitory
            delay = f"{self.delay!r} ms"
            network.connect("neurons", "neurons", kind, weights=self.among, pre=pairs[0], post=pairs[1], delay=delay)
        engine: Engine = self.backend.build(network)
        return engine

    def _written(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for text in self.values:
            name, mark, value = (part.strip() for part in text.partition("="))
            if not mark:
                remedy = 'Write "NAME = VALUE", such as "tau = 10 ms".'
                raise NetworkInvalid(subject="values", reason=f"{text!r} sets nothing", remedy=remedy)
            try:
                found[name] = float(value)
            except ValueError:
                found[name] = value
        return found

    @on_start
    def begin(self, context: Context) -> None:
        """Draw the synapses and the key of the noise; then compute every tick."""
        if self.chance:
            draws = context.stream("synapses").random(self.size * self.size).reshape(self.size, self.size)
            np.fill_diagonal(draws, 1.0)
            pre, post = np.nonzero(draws < self.chance)
            self._pairs = (pre.astype(np.int64), post.astype(np.int64))
            self.engine = self._build(self._pairs)
        self.seed_noise(context)
        context.wake(1, "tick")

    @on_timer("tick")
    def go_on(self, context: Context) -> None:
        """Be there in the next tick too, with or without mail."""
        context.wake(1, "tick")

    @on_inbox
    def compute(self, context: Context, inbox: Inbox) -> None:
        """Compute the steps of this tick."""
        steps = self.steps(context)
        given = inbox.payloads("spikes_in")
        spikes = given[0] if len(given) == 1 else Spikes.of(pair for each in given for pair in each.pairs())
        fired = self.advance(context, steps, spikes if given else NO_SPIKES)
        self.spiked += len(fired)
        if len(fired):
            context.send("spikes", fired)

    def advance(self, context: Context, steps: int, given: Spikes) -> Spikes:
        """Compute steps with these spikes on the lines. `context` is for subclasses that have more to send."""
        return self.engine.advance(steps, {"lines": given})["neurons"]

    def figures(self) -> Mapping[str, int]:
        """How many spikes there were."""
        return {"spikes": self.spiked}

    def capture(self) -> dict[str, Any]:
        """Return the state, with the synapses and all that the engine remembers."""
        pre, post = self._pairs
        return {**super().capture(), "pre": pre.copy(), "post": post.copy()}

    def restore(self, captured: Mapping[str, Any]) -> None:
        """Take over a captured state."""
        rest = dict(captured)
        self._pairs = (np.array(rest.pop("pre")), np.array(rest.pop("post")))
        self.engine = self._build(self._pairs)
        super().restore(rest)


class Raster(Actor):
    """Keeps the newest spikes, and draws them into the report.

    Determinism: exact.
    """

    size: int = parameter(int, help="number of neurons", at_least=1)
    dt: float = parameter(float, "0.1 ms", unit="ms", help="step of the neurons that are watched")
    window: int = parameter(int, "1 s", unit="ticks", help="how much of the past to keep", at_least=1)

    spikes = Input(Spikes, "spikes of the tick before")
    seen: int = state(0)
    kept: list[list[Any]] = state(factory=list)

    @on(spikes)
    def keep(self, context: Context, spikes: Spikes) -> None:
        """Keep spikes, and forget those that left the window."""
        self._tick_ms = float(context.tick_length * 1000)
        self.seen += len(spikes)
        self.kept.append([context.tick - 1, spikes.steps, spikes.neurons])
        while self.kept[0][0] <= context.tick - 1 - self.window:
            del self.kept[0]

    def setup(self) -> None:
        """The length of a tick is known with the first spikes."""
        self._tick_ms = 0.0

    def figures(self) -> Mapping[str, int]:
        """How many spikes there were."""
        return {"spikes": self.seen}

    def charts(self) -> Iterable[Chart]:
        """Draw the raster."""
        times = [tick * self._tick_ms + steps * self.dt for tick, steps, _ in self.kept]
        everything = np.concatenate(times) if times else np.empty(0)
        neurons = np.concatenate([each[2] for each in self.kept]) if self.kept else np.empty(0)
        caption = f"{len(everything):,} spikes. Every line is a spike of one neuron."
        return [raster("Raster", caption, everything, neurons, self.size)]
