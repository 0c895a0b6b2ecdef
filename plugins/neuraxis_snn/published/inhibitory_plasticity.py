"""Inhibitory synapses learn to hold a network at a low rate.

8,000 neurons excite and 2,000 inhibit; each is joined to any other with probability 2 %. All get a constant current,
which alone would make them fire fast. The synapses from inhibitory to excitatory neurons begin at nothing, and learn by
`INHIBITORY_STDP` to hold their neurons at 3 Hz. The equations of the neurons are those of `coba`; the current is worth
20 mV. Weights are in units of the leak of 10 nS. The rate of learning is 0.01 nS, a hundred times that of the
publication.

Source: Vogels, Sprekeler, Zenke, Clopath & Gerstner, Science 334 (2011).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from neuraxis import parameter, state
from neuraxis_snn.connect import fixed_probability
from neuraxis_snn.models import LIF_COBA
from neuraxis_snn.network import Network
from neuraxis_snn.plasticity import INHIBITORY_STDP
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.cuba import excitatory
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes

SIZE: Final = 10_000
PROBABILITY: Final = 0.02
EXCITATORY: Final = 0.03
INHIBITORY: Final = 0.3
LARGEST: Final = 10.0
"""Weights in units of the leak: 0.3 nS, 3 nS among inhibitory neurons, and at most 100 nS where they learn."""

GOAL_HZ: Final = 3.0
BLOCK_MS: Final = 5_000.0
FIRST_MS: Final = 1_000.0

_SOURCE: Final = "Vogels et al. 2011, learning 100 times faster; an independent program"

CLAIMS: Final = (
    Claim("rate_first_hz", "above 40 Hz before inhibition has learned", _SOURCE, 40.0),
    Claim("rate_5s_hz", "56 Hz in the first 5 s", _SOURCE),
    Claim("rate_10s_hz", "10 Hz from 5 to 10 s", _SOURCE),
    Claim("rate_15s_hz", "8.0 Hz from 10 to 15 s", _SOURCE),
    Claim("rate_20s_hz", "7.1 Hz from 15 to 20 s, falling towards 3 Hz", _SOURCE, None, 8.0),
    Claim("rate_25s_hz", "6.5 Hz from 20 to 25 s", _SOURCE),
    Claim("cv_e", "0.94: asynchronous and irregular", _SOURCE, 0.85),
    Claim("at_cap", "no synapse runs away", _SOURCE, 0.0, 0.01),
    Claim("weight_ns", "1.7 nS", _SOURCE),
)


def build(
    *,
    seed: tuple[int, int],
    size: int = SIZE,
    drive_mv: float = 20.0,
    dt: str = "0.1 ms",
    precision: Precision = "float64",
    eta: float = 1e-3,
) -> Network:
    """Return the network: populations `e` and `i`, of which `i->e` learns.

    With fewer neurons, each keeps the number of its synapses: the probability grows.

    Args:
        seed: From which the synapses are drawn.
        size: Number of neurons, at least 400.
        drive_mv: Constant current times resistance.
        dt: Step.
        precision: Of states and weights.
        eta: Rate of learning, in units of the leak.
    """
    network = Network(dt=dt, precision=precision)
    sizes = {"e": excitatory(size), "i": size - excitatory(size)}
    for name, count in sizes.items():
        network.population(name, count, LIF_COBA, drive=f"{drive_mv!r} mV")
    chance = min(1.0, PROBABILITY * SIZE / size)
    for number, (source, target) in enumerate((("e", "e"), ("e", "i"), ("i", "i"), ("i", "e"))):
        ends = fixed_probability(sizes[source], sizes[target], probability=chance, seed=seed, projection=number)
        pre, post = ends.pre, ends.post
        if source == "e":
            network.connect(source, target, "exc", weights=EXCITATORY, pre=pre, post=post)
        elif target == "i":
            network.connect(source, target, "inh", weights=INHIBITORY, pre=pre, post=post)
        else:
            learning: Any = {"rule": INHIBITORY_STDP, "w_max": LARGEST, "eta": eta, "rate": f"{GOAL_HZ!r} Hz"}
            network.connect(source, target, "inh", weights=0.0, pre=pre, post=post, **learning)
    return network


def begin(engine: Engine, *, seed: tuple[int, int]) -> None:
    """Spread the potentials evenly between reset and threshold."""
    for number, name in enumerate(("e", "i")):
        engine.write(name, "v", uniform(seed, number, engine.network.populations[name].size, -60.0, -50.0))


class InhibitoryPlasticity(PublishedNetwork):
    """The network of Vogels et al. (2011), whose inhibition learns.

    Determinism: exact.
    """

    size: int = parameter(int, SIZE, at_least=400, help="number of neurons; each has 200 synapses from others")
    skip: float = parameter(float, "20 s", unit="ms", at_least=0, help="beginning that no statistics count")
    drive: float = parameter(float, "20 mV", unit="mV", help="constant current times resistance")

    first: int = state(0)
    blocks: list[int] = state(factory=list)

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        return build(
            seed=seed,
            size=self.size,
            drive_mv=self.drive,
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

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps, and count excitatory spikes in blocks of 5 s."""
        block = int((self.engine.step + 0.5) * self.dt / BLOCK_MS)
        fired = super().advance(context, steps)
        spikes = int((fired.neurons < excitatory(self.size)).sum())
        self.first += spikes if (self.engine.step - 0.5) * self.dt < FIRST_MS else 0
        self.blocks += [0] * (block + 1 - len(self.blocks))
        self.blocks[block] += spikes
        return fired

    def claims(self) -> Sequence[Claim]:
        """What is known of 10,000 neurons under the published current."""
        return CLAIMS if (self.size, self.drive) == (SIZE, 20.0) else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Rates in blocks of 5 s, regularity in the end, and what became of the weights."""
        weights = self.engine.weights("i->e") if self.seed else None
        return {
            "rate_first_hz": self.first / excitatory(self.size) / (FIRST_MS / 1000.0) if self.seed else None,
            "rate_5s_hz": self._rate(0),
            "rate_10s_hz": self._rate(1),
            "rate_15s_hz": self._rate(2),
            "rate_20s_hz": self._rate(3),
            "rate_25s_hz": self._rate(4),
            "rate_e_hz": self.tally.rate("e"),
            "rate_i_hz": self.tally.rate("i"),
            "cv_e": self.tally.cv("e"),
            "weight_ns": 10.0 * float(weights.mean()) if weights is not None else None,
            "at_cap": float((weights >= LARGEST).mean()) if weights is not None else None,
        }

    def _rate(self, block: int) -> float | None:
        whole = (block + 1) * BLOCK_MS <= self.tally.step * self.dt + self.dt / 2
        return self.blocks[block] / excitatory(self.size) / (BLOCK_MS / 1000.0) if whole else None
