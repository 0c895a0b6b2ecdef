"""The microcircuit: a square millimetre of early sensory cortex, at full or reduced size.

Four layers, each with excitatory and inhibitory neurons: 77,169 neurons and 298,880,968 synapses at full size.

    10 ms dv/dt = -(v + 65 mV) + exc + inh,   0.5 ms d exc/dt = -exc,   0.5 ms d inh/dt = -inh

A neuron spikes above -50 mV, and then stands at -65 mV for 2 ms. A synapse of 87.8 pA (3.512 mV at 40 MOhm) raises the
potential by 0.15 mV; weights scatter by 10 %. Inhibition is four times as strong, and what layer 4 sends to layer 2/3
twice. Delays are normal, 1.5 ms behind excitatory and 0.75 ms behind inhibitory neurons, with deviations of half of
that. Every neuron gets Poisson spikes of 8 Hz through some 2,000 synapses from outside.

At a reduced `scale` s there are s times as many neurons, each with s times as many synapses, which are stronger by
1 / sqrt(s); a constant current replaces the mean of the input that is missing. Rates and irregularity stay about the
same, correlations do not (van Albada, Helias & Diesmann 2015).

Sources: Potjans & Diesmann, Cereb. Cortex 24 (2014), tables 4 and 5; van Albada et al., PLoS Comput. Biol. 11 (2015).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from neuraxis import parameter
from neuraxis_snn.connect import Normal, fixed_total, total_of
from neuraxis_snn.models import LIF_EXP
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision

NAMES: Final = ("l23e", "l23i", "l4e", "l4i", "l5e", "l5i", "l6e", "l6i")
SIZES: Final = (20_683, 5_834, 21_915, 5_479, 4_850, 1_065, 14_395, 2_948)
OUTSIDE: Final = (1_600, 1_500, 2_100, 1_900, 2_000, 1_900, 2_900, 2_100)
"""Synapses from outside onto each neuron."""

PROBABILITIES: Final = (
    (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0),
    (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0),
    (0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0),
    (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0),
    (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0),
    (0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0),
    (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252),
    (0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443),
)
"""Chance that two neurons are joined at least once: a row for each target, a column for each source."""

WEIGHT_MV: Final = 3.512
INHIBITION: Final = -4.0
SCATTER: Final = 0.1
TAU_SYNAPSE_MS: Final = 0.5
OUTSIDE_HZ: Final = 8.0

ASSUMED_HZ: Final = (0.971, 2.868, 4.746, 5.396, 8.142, 9.078, 0.991, 7.523)
"""Rates from which the missing input of a reduced network is computed: those of the full one."""

PUBLISHED_HZ: Final = (0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829)
"""Rates of the newest public reference run at full size."""

_SOURCE: Final = "public reference run of Potjans & Diesmann 2014, full size"
_OURS: Final = "an independent program, full size"


def claims(scale: float) -> tuple[Claim, ...]:
    """Return the published rates: within 10 % at full size; reduced, within 20 % or 0.3 Hz."""
    found = []
    for name, rate in zip(NAMES, PUBLISHED_HZ, strict=True):
        margin = rate * 0.1 if scale == 1.0 else max(rate * 0.2, 0.3)
        found.append(
            Claim(f"rate_{name}_hz", f"{rate:g} Hz", _SOURCE, round(rate - margin, 3), round(rate + margin, 3))
        )
    return (*found, Claim("cv", "0.74 to 0.79 in each population", _OURS, 0.6, 0.9))


def sizes(scale: float) -> tuple[int, ...]:
    """Return the sizes of the populations at a scale."""
    return tuple(max(1, round(each * scale)) for each in SIZES)


def totals(scale: float = 1.0) -> tuple[tuple[int, ...], ...]:
    """Return how many synapses each projection has: a row for each target, a column for each source."""
    return tuple(
        tuple(
            round(total_of(chance, SIZES[source], SIZES[target]) * scale * scale) if chance else 0
            for source, chance in enumerate(row)
        )
        for target, row in enumerate(PROBABILITIES)
    )


def weight_mv(source: int, target: int) -> float:
    """Return the mean weight of a projection at full size, by the numbers of its populations."""
    if source % 2:
        return INHIBITION * WEIGHT_MV
    return 2.0 * WEIGHT_MV if (NAMES[source], NAMES[target]) == ("l4e", "l23e") else WEIGHT_MV


def missing_mv(target: int, scale: float) -> float:
    """Return the constant input that replaces what a neuron of the reduced network misses, mV."""
    full = totals()
    inside = sum(
        weight_mv(source, target) * ASSUMED_HZ[source] * full[target][source] / SIZES[target]
        for source in range(len(NAMES))
    )
    outside = WEIGHT_MV * OUTSIDE[target] * OUTSIDE_HZ
    return TAU_SYNAPSE_MS / 1000.0 * (1.0 - math.sqrt(scale)) * (inside + outside)


def build(
    *,
    seed: tuple[int, int],
    scale: float = 0.1,
    dt: str = "0.1 ms",
    precision: Precision = "float64",
    weight_bits: Literal[16] | None = None,
) -> Network:
    """Return the network: a population for each of `NAMES`.

    Args:
        seed: From which synapses, weights and delays are drawn.
        scale: Part of the neurons, and of the synapses of each, 0.005 … 1.
        dt: Step.
        precision: Of states and weights.
        weight_bits: 16 for weights of 2 bytes.
    """
    network = Network(dt=dt, precision=precision, weight_bits=weight_bits)
    found, stronger = sizes(scale), 1.0 / math.sqrt(scale)
    for target, (name, size) in enumerate(zip(NAMES, found, strict=True)):
        rest = -65.0 + missing_mv(target, scale)
        network.population(
            name,
            size,
            LIF_EXP,
            tau="10 ms",
            rest=f"{rest!r} mV",
            reset="-65 mV",
            threshold="-50 mV",
            refractory="2 ms",
            tau_exc=f"{TAU_SYNAPSE_MS} ms",
            tau_inh=f"{TAU_SYNAPSE_MS} ms",
        )
    for target, row in enumerate(totals(scale)):
        network.drive(NAMES[target], "exc", rate=OUTSIDE[target] * scale * OUTSIDE_HZ, weight=WEIGHT_MV * stronger)
        for source, total in enumerate(row):
            if not total:
                continue
            number = target * len(NAMES) + source
            ends = partial(fixed_total, found[source], found[target], total=total, seed=seed, projection=number)
            mean = weight_mv(source, target) * stronger
            network.connect(
                NAMES[source],
                NAMES[target],
                "inh" if source % 2 else "exc",
                synapses=ends,
                weights=Normal(mean, abs(mean) * SCATTER),
                delay=Normal("0.75 ms", "0.375 ms", low=dt) if source % 2 else Normal("1.5 ms", "0.75 ms", low=dt),
            )
    return network


def begin(engine: Engine, *, seed: tuple[int, int]) -> None:
    """Spread the potentials evenly between reset and threshold."""
    for number, name in enumerate(NAMES):
        engine.write(name, "v", uniform(seed, number, engine.network.populations[name].size, -65.0, -50.0))


class Microcircuit(PublishedNetwork):
    """The microcircuit of Potjans & Diesmann (2014).

    Determinism: exact.
    """

    scale: float = parameter(float, 0.1, at_least=0.005, at_most=1, help="part of the neurons, and of their synapses")
    narrow: bool = parameter(bool, False, help="whether weights have 16 bits, which takes less memory")
    skip: float = parameter(float, "500 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        return build(
            seed=seed,
            scale=self.scale,
            dt=f"{self.dt!r} ms",
            precision=self.precision,  # type: ignore[arg-type]
            weight_bits=16 if self.narrow else None,
        )

    def groups(self) -> tuple[Group, ...]:
        """A group for each population."""
        found, total = [], 0
        for name, size in zip(NAMES, sizes(self.scale), strict=True):
            found.append(Group(name, total, total + size))
            total += size
        return tuple(found)

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Spread the potentials."""
        begin(engine, seed=seed)

    def claims(self) -> Sequence[Claim]:
        """What is published, at a tenth of the size and above."""
        return claims(self.scale) if self.scale >= 0.1 else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Rates of all populations, and how irregular the intervals are."""
        found: dict[str, float | int | str | None] = {
            f"rate_{name}_hz": self.tally.rate(name) for name in self.tally.groups
        }
        return {**found, "cv": self.tally.cv_of_all()}
