"""Plastic synapses compete for the control of when a neuron spikes, and keep its rate in bounds.

A neuron gets spikes from 1,000 excitatory Poisson sources, whose synapses learn by pairs of spikes, and from 200
inhibitory ones of 10 Hz. In units of the leak, with weights up to 0.015, and 0.05 for inhibition:

    20 ms dv/dt = (-70 mV - v) + exc (0 mV - v) + inh (-70 mV - v),   5 ms d exc/dt = -exc,   5 ms d inh/dt = -inh

It spikes above -54 mV, and goes back to -60 mV. A pair strengthens by up to 0.005 of the largest weight, or weakens
by 1.05 times that, within 20 ms. Weakening wins by a little, so that strong input drives synapses down until only some
hold on: weights end up near 0 or near the top, and the neuron spikes irregularly. The faster the sources, the fewer
remain strong, so the rate of the neuron grows far less than that of its input.

Here four such neurons have excitatory sources of 10, 20, 30 and 40 Hz. All synapses begin at the largest weight. The
slower the sources, the longer it takes: with 10 Hz, weights have split after 1,000 s, and hardly after 300 s.

Source: Song, Miller & Abbott, Nat. Neurosci. 3 (2000).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn import encoders
from neuraxis_snn.models import LIF_COBA, POISSON
from neuraxis_snn.network import Network
from neuraxis_snn.plasticity import PAIR_STDP
from neuraxis_snn.plots import COLOURS, picture
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.tally import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis import Chart, Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes

RATES_HZ: Final = (10, 20, 30, 40)
SOURCES: Final = 1_000
INHIBITORY_HZ: Final = 200 * 10
LARGEST: Final = 0.015
INHIBITORY: Final = 0.05
GAIN: Final = 0.005
EXCESS: Final = 1.05

FIRST_MS: Final = 1_000.0
"""The beginning, in which weights have hardly changed."""

EDGE: Final = 0.1
"""Part of the range of weights that counts as its end."""

_SOURCE: Final = "Song, Miller & Abbott 2000"

CLAIMS: Final = (
    *(
        Claim(f"ends_{rate}", "weights near 0 or the top; spread evenly it would be 0.2", _SOURCE, 0.5)
        for rate in RATES_HZ
    ),
    Claim("buffered", "output grows far less than input, here 4 times", _SOURCE, None, 2.0),
    Claim("weight_falls", "the faster the input, the weaker its synapses", _SOURCE, 1.0),
    Claim("cv_40", "irregular: inhibition and what remains of excitation balance", _SOURCE, 0.6),
)


def build(*, sources: int = SOURCES, dt: str = "0.1 ms", precision: Precision = "float64") -> Network:
    """Return the network: `sources` of all neurons, and `neurons`, one for each of `RATES_HZ`.

    With fewer sources, each synapse may grow stronger in inverse proportion.

    Args:
        sources: Of each neuron.
        dt: Step.
        precision: Of states and weights.
    """
    network = Network(dt=dt, precision=precision)
    count, top = len(RATES_HZ) * sources, LARGEST * SOURCES / sources
    network.population("sources", count, POISSON, record=False)
    network.population(
        "neurons",
        len(RATES_HZ),
        LIF_COBA,
        rest="-70 mV",
        reset="-60 mV",
        threshold="-54 mV",
        refractory="0 ms",
        tau_inh="5 ms",
        reversal_inh="-70 mV",
    )
    each = np.arange(count)
    network.connect(
        "sources",
        "neurons",
        "exc",
        weights=top,
        pre=each,
        post=each // sources,
        rule=PAIR_STDP,
        w_max=top,
        gain_pre=GAIN * top,
        gain_post=-EXCESS * GAIN * top,
        name="learning",
    )
    network.drive("neurons", "inh", rate=INHIBITORY_HZ, weight=INHIBITORY)
    return network


def begin(engine: Engine, *, dt: str = "0.1 ms") -> None:
    """Set the rates of the sources."""
    sources = engine.network.populations["sources"].size // len(RATES_HZ)
    engine.write("sources", "chance", encoders.poisson(np.repeat(np.array(RATES_HZ, np.float64), sources), dt))


class StdpBalance(PublishedNetwork):
    """Four neurons of Song, Miller & Abbott (2000), with sources of 10 to 40 Hz.

    Determinism: exact.
    """

    sources: int = parameter(int, SOURCES, at_least=10, help="excitatory sources of each neuron")
    skip: float = parameter(float, "250 s", unit="ms", at_least=0, help="beginning that no statistics count")

    first: list[int] = state(factory=lambda: [0] * len(RATES_HZ))

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        return build(sources=self.sources, dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]

    def groups(self) -> tuple[Group, ...]:
        """A group for each neuron, by the rate of its sources."""
        return tuple(Group(str(rate), number, number + 1) for number, rate in enumerate(RATES_HZ))

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Set the rates of the sources."""
        begin(engine, dt=f"{self.dt!r} ms")

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps, and count the spikes of the beginning apart."""
        late = self.engine.step * self.dt >= FIRST_MS - self.dt / 2
        fired = super().advance(context, steps)
        if not late:
            early = np.bincount(fired.neurons, minlength=len(RATES_HZ))
            self.first = [before + int(more) for before, more in zip(self.first, early, strict=True)]
        return fired

    def claims(self) -> Sequence[Claim]:
        """What is published of 1,000 sources."""
        return CLAIMS if self.sources == SOURCES else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Rates before and after learning, and how the weights are spread."""
        found: dict[str, float | int | str | None] = {}
        means = []
        for number, rate in enumerate(RATES_HZ):
            weights = self._weights(number)
            found[f"rate_{rate}_first_hz"] = self.first[number] / (FIRST_MS / 1000.0) if self.seed else None
            found[f"rate_{rate}_hz"] = self.tally.rate(str(rate))
            found[f"cv_{rate}"] = self.tally.cv(str(rate))
            found[f"ends_{rate}"] = float(((weights < EDGE) | (weights > 1 - EDGE)).mean()) if self.seed else None
            means.append(float(weights.mean()))
        slow, fast = self.tally.rate(str(RATES_HZ[0])), self.tally.rate(str(RATES_HZ[-1]))
        falls = all(a > b for a, b in pairwise(means))
        return {
            **found,
            "buffered": fast / slow if slow and fast is not None else None,
            "weight_falls": int(falls) if self.seed else None,
        }

    def charts(self) -> Iterable[Chart]:
        """The table, rates over time, and the weights."""
        return [*super().charts(), *([self._chart()] if self.seed else [])]

    def _weights(self, number: int) -> np.ndarray:
        """Return the weights onto a neuron, as parts of the largest."""
        if not self.seed:
            return np.zeros(self.sources)
        top = float(self.engine.network.projections["learning"].numbers["w_max"])
        weights = self.engine.weights("learning")[number * self.sources : (number + 1) * self.sources]
        return np.asarray(weights, np.float64) / top

    def _chart(self) -> Chart:
        def draw(figure: Any) -> None:
            axes = figure.subplots()
            for number, rate in enumerate(RATES_HZ):
                counts, edges = np.histogram(self._weights(number), bins=20, range=(0.0, 1.0))
                axes.stairs(counts / self.sources, edges, color=COLOURS[number], label=f"{rate} Hz")
            axes.set(xlabel="weight / largest", ylabel="share of synapses", ylim=(0, None))
            axes.legend(frameon=False, title="input")

        return picture("Weights", "Weights at the end, by the rate of the sources.", draw, size=(7, 3))
