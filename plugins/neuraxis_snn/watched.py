"""Neurons that can be looked into while they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuraxis import Context, Output, parameter
from neuraxis_snn import sampling
from neuraxis_snn.actors import Neurons
from neuraxis_snn.sampling import Samples

if TYPE_CHECKING:
    from neuraxis_snn.spikes import Spikes


class WatchedNeurons(Neurons):
    """`snn.neurons` that also send samples of their states. What they compute is the same.

    Determinism: exact.
    """

    states: tuple[str, ...] = parameter(tuple[str, ...], ("v",), help="states to sample, by their names in the model")
    watched: tuple[int, ...] = parameter(tuple[int, ...], (0,), help="neurons to sample, ascending")
    every: float = parameter(float, "1 ms", unit="ms", help="time between two samples; a whole number of steps")

    samples = Output(Samples, "states of the neurons, sampled in this tick")

    def setup(self) -> None:
        """Check the parameters."""
        super().setup()
        self._plan = sampling.plan(
            self.engine.network,
            "neurons",
            states=self.states,
            neurons=self.watched,
            every_ms=self.every,
            dt_ms=self.dt,
        )

    def advance(self, context: Context, steps: int, given: Spikes) -> Spikes:
        """Compute steps, and send the samples that are taken on the way."""
        fired, samples = sampling.advance_sampled(self.engine, steps, {"lines": given}, self._plan)
        if len(samples.steps):
            context.send("samples", samples)
        return fired["neurons"]
