"""Brunel's network with many neurons, cut into slices that several workers can compute.

A slice is an actor with a part of the neurons, and with the synapses onto them. Spikes go from every slice to every
slice, itself too, in one message a tick, and arrive a tick later: a tick is as long as the delay of the synapses.
How many slices there are follows from the number of neurons, not from that of workers, so it never enters a result
how many processes there are. Each slice draws its own synapses, so no process ever holds those of another.

Model, weights and input are those of `brunel`, with the number of synapses onto a neuron as a parameter: J is larger
in inverse proportion.

Source: Brunel, J. Comput. Neurosci. 8 (2000), model A.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from neuraxis import Context, Inbox, Input, on_inbox, parameter
from neuraxis_snn.connect import fixed_in_degree
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import LIF_DELTA
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.brunel import JUMP_MV, SHARE, SIZE, STATES, TAU_MS, THRESHOLD_MV
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group
from neuraxis_snn.spikes import NO_SPIKES, Spikes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis_snn.engine import Engine

DEGREE: Final = round(SHARE * SIZE)
"""Synapses onto a neuron in the publication: 1,000 excitatory and 250 inhibitory ones."""

EXCITING: Final = 0.8
"""Share of the neurons that excite, in every slice."""


class BrunelSlice(PublishedNetwork):
    """One slice of a wide network: actors `NAME/0`, `NAME/1`, …, each of which is told how many there are.

    Determinism: exact.
    """

    size: int = parameter(int, help="neurons of this slice, a multiple of 5", at_least=50)
    slices: int = parameter(int, help="how many slices there are", at_least=1)
    degree: int = parameter(int, DEGREE, help="synapses onto a neuron, a multiple of 5", at_least=10)
    state: str = parameter(str, "slow-oscillation", choices=sorted(STATES), help="which of the published states")
    precision: str = parameter(str, "float32", choices=("float32", "float64"), help="of states and weights")

    spikes_in = Input(Spikes, "spikes of a slice in the tick before")

    def setup(self) -> None:
        """Check what can be checked; nothing is drawn yet."""
        for name in ("size", "degree"):
            if getattr(self, name) % 5:
                reason = f"{getattr(self, name)} is no multiple of 5"
                raise NetworkInvalid(subject=name, reason=reason, remedy="Four of five neurons and synapses excite.")
        super().setup()

    @property
    def exciting(self) -> int:
        """Excitatory neurons of a slice; they come first."""
        return self.size * 4 // 5

    def network(self, seed: tuple[int, int]) -> Network:
        """Return this slice: its neurons, and the spikes of all slices as inputs."""
        chosen = STATES[self.state]
        jump = JUMP_MV * DEGREE / (self.degree * EXCITING)
        network = Network(dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]
        exciting, inhibiting = self.exciting * self.slices, (self.size - self.exciting) * self.slices
        network.inputs("excitatory", exciting)
        network.inputs("inhibitory", inhibiting)
        membrane = {"tau": "20 ms", "rest": "0 mV", "reset": "10 mV", "threshold": "20 mV", "refractory": "2 ms"}
        network.population("neurons", self.size, LIF_DELTA, **membrane)  # type: ignore[arg-type]  # all are texts
        for projection, (source, count, share, weight) in enumerate(
            (("excitatory", exciting, 4, jump), ("inhibitory", inhibiting, 1, -chosen.g * jump))
        ):
            ends = partial(
                fixed_in_degree, count, self.size, degree=self.degree * share // 5, seed=seed, projection=projection
            )
            network.connect(source, "neurons", "input", synapses=ends, weights=weight, delay=0)
        network.drive("neurons", "input", rate=1000.0 * chosen.eta * THRESHOLD_MV / (jump * TAU_MS), weight=jump)
        return network

    def groups(self) -> tuple[Group, ...]:
        """Excitatory and inhibitory neurons of this slice."""
        return Group("e", 0, self.exciting), Group("i", self.exciting, self.size)

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Spread the potentials evenly between 0 mV and the threshold."""
        engine.write("neurons", "v", uniform(seed, 0, self.size, 0.0, THRESHOLD_MV))

    def go_on(self, context: Context) -> None:
        """Be there in the next tick too, with or without spikes."""
        context.wake(1, "tick")

    @on_inbox
    def compute(self, context: Context, inbox: Inbox) -> None:
        """Compute a tick with the spikes of all slices in the tick before."""
        steps = self.steps(context)
        given = [(_number(each.source), each.payload) for each in inbox]
        fired = self.engine.advance(steps, self.lines(given))["neurons"]
        self.tally.add(steps, fired)
        if len(fired):
            context.send("spikes", fired)

    def lines(self, given: list[tuple[int, Spikes]]) -> dict[str, Spikes]:
        """Return the spikes of slices as those of all excitatory and all inhibitory neurons.

        Args:
            given: (number of the slice, its spikes).
        """
        exciting, inhibiting = self.exciting, self.size - self.exciting
        steps = np.concatenate([NO_SPIKES.steps, *(each.steps for _, each in given)])
        neurons = np.concatenate([NO_SPIKES.neurons, *(each.neurons for _, each in given)])
        slices = np.repeat(np.array([number for number, _ in given], np.int32), [len(each) for _, each in given])
        excites = neurons < exciting
        return {
            "excitatory": _in_order(steps[excites], neurons[excites] + slices[excites] * np.int32(exciting)),
            "inhibitory": _in_order(
                steps[~excites], neurons[~excites] - np.int32(exciting) + slices[~excites] * np.int32(inhibiting)
            ),
        }

    def measured(self) -> Mapping[str, float | int | str | None]:
        """The rate of this slice, and how irregular its intervals are."""
        return {"rate_hz": self.tally.rate_of_all(), "cv": self.tally.cv_of_all()}


def _number(path: str) -> int:
    """Return the number of a slice, which is the last part of its path."""
    return int(path.rpartition("/")[2])


def _in_order(steps: np.ndarray, neurons: np.ndarray) -> Spikes:
    order = np.lexsort((neurons, steps))
    return Spikes(np.ascontiguousarray(steps[order]), np.ascontiguousarray(neurons[order], np.int32))
