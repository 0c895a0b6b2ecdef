"""CUBA: 4,000 integrate-and-fire neurons with exponential currents that keep each other firing, irregularly.

Of the neurons, 80 % excite and 20 % inhibit. Each is joined to any other with probability 2 %.

    20 ms dv/dt = -(v + 49 mV) + exc + inh,   5 ms d exc/dt = -exc,   10 ms d inh/dt = -inh

It spikes above -50 mV, and then stands at -60 mV for 5 ms. A spike adds 1.62 mV to `exc` of the neurons behind an
excitatory one, and -9 mV to `inh` behind an inhibitory one, one step later.

Sources: Vogels & Abbott, J. Neurosci. 25 (2005); benchmark 2 of Brette et al., J. Comput. Neurosci. 23 (2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from neuraxis import parameter, state
from neuraxis_snn.connect import fixed_probability
from neuraxis_snn.models import LIF_EXP
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim, around
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes

SIZE: Final = 4_000
PROBABILITY: Final = 0.02
EXCITATORY_MV: Final = 1.62
INHIBITORY_MV: Final = -9.0

CV_MS: Final = 5_000.0
"""Beginning of which the CV is compared."""

_SOURCE: Final = "the same equations in an independent program"

CLAIMS: Final = (
    Claim("rate_e_hz", "5.4 to 6.2 Hz", _SOURCE, 5.4, 6.2),
    around("rate_i_hz", 5.6, "Hz", _SOURCE, share=0.05),
    # A short recording misses long intervals, so CV grows with its length: 0.56, 0.65, 0.70, 0.74 after 1, 2, 5, 10 s.
    Claim("cv_5s", "0.68 to 0.71 in 5 s", _SOURCE, 0.66, 0.73),
    Claim("cv", "Brian2 0.726 on the same graph", "Brian2 2.9.0"),
)


def excitatory(size: int) -> int:
    """Return how many of `size` neurons excite: 80 %."""
    return size * 4 // 5


def build(
    *, seed: tuple[int, int], size: int = SIZE, dt: str = "0.1 ms", precision: Precision = "float64", delay: int = 1
) -> Network:
    """Return the network: one population `neurons`, of which the first 80 % excite.

    With fewer neurons, each keeps the number of its synapses: the probability grows.

    Args:
        seed: From which the synapses are drawn.
        size: Number of neurons, at least 160.
        dt: Step.
        precision: Of states and weights.
        delay: Of synapses, steps.
    """
    network = Network(dt=dt, precision=precision)
    network.population(
        "neurons", size, LIF_EXP, tau="20 ms", rest="-49 mV", reset="-60 mV", threshold="-50 mV", refractory="5 ms"
    )
    exciting, chance = excitatory(size), min(1.0, PROBABILITY * SIZE / size)
    ends = fixed_probability(exciting, size, probability=chance, seed=seed, projection=0)
    network.connect(
        "neurons", "neurons", "exc", weights=EXCITATORY_MV, pre=ends.pre, post=ends.post, delay=delay, name="excitation"
    )
    ends = fixed_probability(size - exciting, size, probability=chance, seed=seed, projection=1)
    pre = ends.pre + exciting
    network.connect(
        "neurons", "neurons", "inh", weights=INHIBITORY_MV, pre=pre, post=ends.post, delay=delay, name="inhibition"
    )
    return network


def begin(engine: Engine, *, seed: tuple[int, int]) -> None:
    """Spread the potentials evenly between reset and threshold."""
    size = engine.network.populations["neurons"].size
    engine.write("neurons", "v", uniform(seed, 0, size, -60.0, -50.0))


class Cuba(PublishedNetwork):
    """The network CUBA of Vogels & Abbott (2005).

    Determinism: exact.
    """

    size: int = parameter(int, SIZE, at_least=160, help="number of neurons; each has 80 synapses from others")

    cv_begin: float | None = state(None)

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        return build(seed=seed, size=self.size, dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]

    def groups(self) -> tuple[Group, ...]:
        """Excitatory and inhibitory neurons."""
        exciting = excitatory(self.size)
        return Group("e", 0, exciting), Group("i", exciting, self.size)

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Spread the potentials."""
        begin(engine, seed=seed)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps, and keep the CV of the beginning once it is over."""
        if self.cv_begin is None and self.engine.step * self.dt >= CV_MS - self.dt / 2:
            self.cv_begin = self.tally.cv_of_all()
        return super().advance(context, steps)

    def claims(self) -> Sequence[Claim]:
        """What is published of 4,000 neurons."""
        return CLAIMS if self.size == SIZE else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Rates, and how irregular the intervals are."""
        return {
            "rate_e_hz": self.tally.rate("e"),
            "rate_i_hz": self.tally.rate("i"),
            "cv_5s": self.cv_begin,
            "cv": self.tally.cv_of_all(),
            "synchrony": self.tally.fano("e", "i"),
        }
