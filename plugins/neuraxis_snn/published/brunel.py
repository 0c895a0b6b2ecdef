"""Sparsely joined excitatory and inhibitory neurons, and the four states that Brunel found in them.

10,000 neurons excite and 2,500 inhibit; each gets 1,000 synapses from the former and 250 from the latter. A spike
moves the potential by J = 0.1 mV, or by -g J, 1.5 ms later.

    20 ms dv/dt = -v

It spikes above 20 mV, and then stands at 10 mV for 2 ms. Independent Poisson spikes of weight J excite each neuron
from outside, at `eta` times the rate that alone would bring the mean potential to the threshold:
eta * 20 mV / (J * 20 ms).

Source: Brunel, J. Comput. Neurosci. 8 (2000), model A, figure 8 and its table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from msgspec import Struct

from neuraxis import parameter
from neuraxis_snn.connect import fixed_in_degree
from neuraxis_snn.models import LIF_DELTA
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim, around
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision

SIZE: Final = 12_500
SHARE: Final = 0.1
"""Part of each population from which a neuron has synapses."""

JUMP_MV: Final = 0.1
THRESHOLD_MV: Final = 20.0
TAU_MS: Final = 20.0

_SOURCE: Final = "Brunel 2000, fig. 8"
_SAME: Final = Claim("rate_i_over_e", "1: all neurons are alike", "Brunel 2000, model A", 0.98, 1.02)


@final
class State(Struct, frozen=True):
    """A state of the network: how strong inhibition and input are, and what is published.

    Attributes:
        g: Weight of inhibition over that of excitation.
        eta: Rate from outside over the rate that reaches the threshold.
        claims: Published figures.
    """

    g: float
    eta: float
    claims: tuple[Claim, ...]


STATES: Final = {
    "asynchronous-irregular": State(
        5.0, 2.0, (around("rate_hz", 37.7, "Hz (theory 38.0)", _SOURCE + "C", share=0.03), _SAME)
    ),
    "fast-oscillation": State(
        6.0,
        4.0,
        (
            around("rate_hz", 60.7, "Hz (theory 55.8)", _SOURCE + "B", share=0.06),
            _SAME,
            Claim("oscillation_hz", "about 180 Hz", _SOURCE + "B"),
        ),
    ),
    "slow-oscillation": State(
        4.5,
        0.9,
        (
            around("rate_hz", 5.5, "Hz (theory 6.5)", _SOURCE + "D", share=0.03),
            _SAME,
            Claim("oscillation_hz", "about 22 Hz", _SOURCE + "D"),
        ),
    ),
    "synchronous-regular": State(3.0, 2.0, (Claim("rate_hz", "near 1 / (2 ms)", _SOURCE + "A"),)),
}


def excitatory(size: int) -> int:
    """Return how many of `size` neurons excite: 80 %."""
    return size * 4 // 5


def build(
    *,
    seed: tuple[int, int],
    g: float = 5.0,
    eta: float = 2.0,
    size: int = SIZE,
    dt: str = "0.1 ms",
    precision: Precision = "float64",
    delay: str = "1.5 ms",
) -> Network:
    """Return the network: one population `neurons`, of which the first 80 % excite.

    With fewer neurons, each has fewer synapses, and J is larger in inverse proportion.

    Args:
        seed: From which the synapses are drawn.
        g, eta: See `State`.
        size: Number of neurons, at least 50.
        dt: Step.
        precision: Of states and weights.
        delay: Of synapses.
    """
    network = Network(dt=dt, precision=precision)
    network.population(
        "neurons", size, LIF_DELTA, tau="20 ms", rest="0 mV", reset="10 mV", threshold="20 mV", refractory="2 ms"
    )
    exciting, jump = excitatory(size), JUMP_MV * SIZE / size
    for name, first, count, weight in (("excitation", 0, exciting, jump), ("inhibition", exciting, size, -g * jump)):
        sources = count - first
        projection = int(name == "inhibition")
        ends = fixed_in_degree(sources, size, degree=round(SHARE * sources), seed=seed, projection=projection)
        pre = ends.pre + first if first else ends.pre
        network.connect("neurons", "neurons", "input", weights=weight, pre=pre, post=ends.post, delay=delay, name=name)
    rate_hz = 1000.0 * eta * THRESHOLD_MV / (jump * TAU_MS)
    network.drive("neurons", "input", rate=rate_hz, weight=jump)
    return network


def begin(engine: Engine, *, seed: tuple[int, int]) -> None:
    """Spread the potentials evenly between 0 mV and the threshold."""
    size = engine.network.populations["neurons"].size
    engine.write("neurons", "v", uniform(seed, 0, size, 0.0, THRESHOLD_MV))


class Brunel(PublishedNetwork):
    """Model A of Brunel (2000) in one of its states.

    Determinism: exact.
    """

    size: int = parameter(int, SIZE, at_least=50, help="number of neurons")
    state: str = parameter(str, "asynchronous-irregular", choices=sorted(STATES), help="which of the published states")

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        chosen = STATES[self.state]
        return build(
            seed=seed,
            g=chosen.g,
            eta=chosen.eta,
            size=self.size,
            dt=f"{self.dt!r} ms",
            precision=self.precision,  # type: ignore[arg-type]
        )

    def groups(self) -> tuple[Group, ...]:
        """Excitatory and inhibitory neurons."""
        exciting = excitatory(self.size)
        return Group("e", 0, exciting), Group("i", exciting, self.size)

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Spread the potentials."""
        begin(engine, seed=seed)

    def claims(self) -> Sequence[Claim]:
        """What is published of 12,500 neurons in this state."""
        return STATES[self.state].claims if self.size == SIZE else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """The rate, how irregular the intervals are, and how all neurons oscillate together."""
        e, i = self.tally.rate("e"), self.tally.rate("i")
        wave = self.tally.oscillation("e", "i", above_hz=8.0, below_hz=400.0)
        return {
            "rate_hz": self.tally.rate_of_all(),
            "rate_i_over_e": i / e if e and i is not None else None,
            "cv": self.tally.cv_of_all(),
            "synchrony": self.tally.fano("e", "i"),
            "oscillation_hz": wave[0] if wave else None,
            "oscillation_over_median": wave[1] if wave else None,
        }
