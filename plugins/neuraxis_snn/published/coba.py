"""COBA: 4,000 integrate-and-fire neurons with conductances that keep each other firing, in bursts.

Of the neurons, 80 % excite and 20 % inhibit. Each is joined to any other with probability 2 %. In units of the leak,

    20 ms dv/dt = (-60 mV - v) + exc (0 mV - v) + inh (-80 mV - v),   5 ms d exc/dt = -exc,   10 ms d inh/dt = -inh

It spikes above -50 mV, and then stands at -60 mV for 5 ms. A spike adds 0.6 to `exc` of the neurons behind an
excitatory one, and 6.7 to `inh` behind an inhibitory one, one step later. For the first 50 ms random spikes from
outside excite every neuron; after that nothing comes in.

Sources: Vogels & Abbott, J. Neurosci. 25 (2005); benchmark 1 of Brette et al., J. Comput. Neurosci. 23 (2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn import encoders
from neuraxis_snn.connect import fixed_probability
from neuraxis_snn.models import LIF_COBA, POISSON
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.cuba import PROBABILITY, SIZE, excitatory
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes

EXCITATORY: Final = 0.6
INHIBITORY: Final = 6.7
"""Weights in units of the leak of 10 nS: 6 nS and 67 nS."""

KICK_MS: Final = 50.0
KICK_HZ: Final = 100.0
"""Rate of the source that each neuron has outside, while it is kicked."""

KICK_WEIGHT: Final = 2.0

_SOURCE: Final = "this network at dt = 0.1 ms, an independent program"

CLAIMS: Final = (
    Claim("rate_e_hz", "19 to 21 Hz", _SOURCE, 18.0, 22.0),
    Claim("rate_i_hz", "19 to 20 Hz", _SOURCE, 18.0, 22.0),
    Claim("cv", "1.75 to 1.80: bursts", _SOURCE, 1.5, 2.0),
    Claim("alive_s", "at least 3 s without input", "Vogels & Abbott 2005", 2.9),
)


def build(
    *, seed: tuple[int, int], size: int = SIZE, dt: str = "0.1 ms", precision: Precision = "float64", delay: int = 1
) -> Network:
    """Return the network: `neurons`, of which the first 80 % excite, and `kick`, a source for each.

    With fewer neurons, each keeps the number of its synapses: the probability grows.

    Args:
        seed: From which the synapses are drawn.
        size: Number of neurons, at least 160.
        dt: Step.
        precision: Of states and weights.
        delay: Of synapses, steps.
    """
    network = Network(dt=dt, precision=precision)
    network.population("kick", size, POISSON, record=False)
    network.population("neurons", size, LIF_COBA)
    exciting, chance = excitatory(size), min(1.0, PROBABILITY * SIZE / size)
    ends = fixed_probability(exciting, size, probability=chance, seed=seed, projection=0)
    network.connect(
        "neurons", "neurons", "exc", weights=EXCITATORY, pre=ends.pre, post=ends.post, delay=delay, name="excitation"
    )
    ends = fixed_probability(size - exciting, size, probability=chance, seed=seed, projection=1)
    pre = ends.pre + exciting
    network.connect(
        "neurons", "neurons", "inh", weights=INHIBITORY, pre=pre, post=ends.post, delay=delay, name="inhibition"
    )
    each = np.arange(size)
    network.connect("kick", "neurons", "exc", weights=KICK_WEIGHT, pre=each, post=each)
    return network


def begin(engine: Engine, *, seed: tuple[int, int], dt: str = "0.1 ms") -> None:
    """Spread the potentials evenly between reset and threshold, and let the sources spike."""
    size = engine.network.populations["neurons"].size
    engine.write("neurons", "v", uniform(seed, 0, size, -60.0, -50.0))
    kick(engine, rate_hz=KICK_HZ, dt=dt)


def kick(engine: Engine, *, rate_hz: float, dt: str = "0.1 ms") -> None:
    """Set the rate of the sources outside; 0 ends the kick."""
    size = engine.network.populations["kick"].size
    engine.write("kick", "chance", encoders.poisson(np.full(size, rate_hz), dt))


class Coba(PublishedNetwork):
    """The network COBA of Vogels & Abbott (2005): kicked for 50 ms, then on its own.

    Determinism: exact.
    """

    size: int = parameter(int, SIZE, at_least=160, help="number of neurons; each has 80 synapses from others")

    last_spike: int = state(-1)

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        return build(seed=seed, size=self.size, dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]

    def groups(self) -> tuple[Group, ...]:
        """Excitatory and inhibitory neurons."""
        exciting = excitatory(self.size)
        return Group("e", 0, exciting), Group("i", exciting, self.size)

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Spread the potentials."""
        begin(engine, seed=seed, dt=f"{self.dt!r} ms")

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps; the first tick that begins after the kick ends it."""
        begins = self.engine.step * self.dt
        if begins >= KICK_MS - self.dt / 2 and begins < KICK_MS + steps * self.dt:
            kick(self.engine, rate_hz=0.0)
        before = self.engine.step
        fired = super().advance(context, steps)
        if len(fired):
            self.last_spike = before + int(fired.steps[-1])
        return fired

    def claims(self) -> Sequence[Claim]:
        """What is known of 4,000 neurons."""
        return CLAIMS if self.size == SIZE else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Rates, how irregular the intervals are, and how long the network has been active without input."""
        alone = (self.last_spike * self.dt - KICK_MS) / 1000.0
        return {
            "rate_e_hz": self.tally.rate("e"),
            "rate_i_hz": self.tally.rate("i"),
            "cv": self.tally.cv_of_all(),
            "alive_s": max(alone, 0.0) if self.last_spike >= 0 else None,
        }
