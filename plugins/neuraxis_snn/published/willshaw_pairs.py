"""Willshaw between two layers: pairs of patterns in binary synapses, as many as they can hold, recalled by spikes.

A synapse joins unit i of the first layer to unit j of the second where any pair had both active. The first pattern of a
pair is the cue, and the second is recalled as in `willshaw`. With M pairs of k of n units, the share of synapses that
exist is 1 - (1 - k²/n²)^M. At M = ln 2 n²/k² it is a half, where the memory holds most. What one synapse tells is

    M (log2 C(n, k) - mean of log2 C(k + wrong, k)) / n²  bits

with the number of neurons that answer wrongly in a recall; it tends to ln 2 as n grows, with k near log2 n.

Sources: as `willshaw`; Palm, Biol. Cybern. 36 (1980): what such a memory holds.
"""

from __future__ import annotations

from math import comb, log, log2
from typing import TYPE_CHECKING, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.tally import Group
from neuraxis_snn.published.willshaw import BESIDE_IDEAL, THRESHOLD_MV, build, patterns, volleys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.network import Network
    from neuraxis_snn.spikes import Spikes

UNITS: Final = 2_048
ACTIVE: Final = 11

_SOURCE: Final = "the ideal binary memory of this size"


def _half(exact: float) -> tuple[Claim, ...]:
    return (Claim("exact", f"{exact:.2f}", _SOURCE, round(exact - 0.03, 2), 1.0),)


def _full(exact: float, wrong: float, bits: float) -> tuple[Claim, ...]:
    return (
        Claim("exact", f"{exact:.2f}", _SOURCE, round(exact - 0.06, 2), round(exact + 0.06, 2)),
        Claim("wrong", f"{wrong:.1f} neurons", _SOURCE, round(wrong - 0.3, 1), round(wrong + 0.3, 1)),
        Claim("bits_per_synapse", f"{bits:.3f} bit", _SOURCE, round(bits - 0.01, 3), round(bits + 0.01, 3)),
    )


CLAIMS: Final = {
    (512, 9, 1_121): _half(0.98),
    (512, 9, 2_243): _full(0.27, 1.5, 0.495),
    (1_024, 10, 3_634): _half(1.0),
    (1_024, 10, 7_268): _full(0.33, 1.2, 0.514),
    (2_048, 11, 12_013): _half(1.0),
    (2_048, 11, 24_027): _full(0.27, 1.2, 0.524),
    (4_096, 12, 40_378): _half(1.0),
    (4_096, 12, 80_757): _full(0.36, 1.1, 0.535),
}
"""By units, active units and pairs. Bounds are ours: they leave room for the draw of patterns and of recalls."""


def capacity(units: int, active: int) -> int:
    """Return the number of pairs at which half of the synapses exist: ln 2 n²/k², rounded down."""
    return int(log(2) * units * units / (active * active))


def memory(first: np.ndarray, second: np.ndarray, units: int) -> np.ndarray:
    """Return which synapses exist: (units, units) bool, from the first layer (rows) to the second.

    Args:
        first, second: (pairs, active) of `patterns`.
        units: Units of each layer.
    """
    joined = np.zeros((units, units), bool)
    joined[first[:, :, None], second[:, None, :]] = True
    return joined


def bits_per_synapse(units: int, active: int, pairs: int, wrong: Sequence[int]) -> float:
    """Return what a synapse tells, in bits: see the head of the module.

    Args:
        units, active, pairs: Of the memory.
        wrong: How many neurons answered wrongly in each of some recalls.
    """
    doubt = sum(log2(comb(active + each, active)) for each in wrong) / len(wrong)
    return pairs * (log2(comb(units, active)) - doubt) / (units * units)


class WillshawPairs(PublishedNetwork):
    """A memory of pairs of patterns that recalls the second of a pair from the first, one pair a tick.

    Determinism: exact.
    """

    units: int = parameter(int, UNITS, at_least=16, help="neurons of each layer")
    active: int = parameter(int, ACTIVE, at_least=2, at_most=THRESHOLD_MV, help="units of a pattern")
    pairs: int = parameter(int, 0, at_least=0, help="pairs that are stored; 0 for as many as fill half of the synapses")
    spread: float = parameter(float, "1 ms", unit="ms", at_least=0, help="time within which the cue spikes")
    skip: float = parameter(float, "0 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    wrong: list[int] = state(factory=list)
    exact: int = state(0)
    exact_ideal: int = state(0)
    missing: int = state(0)

    def setup(self) -> None:
        """Check that patterns fit into the memory."""
        super().setup()
        if self.active > self.units:
            reason = f"a pattern of {self.active} units does not fit into {self.units}"
            raise NetworkInvalid(subject="active", reason=reason, remedy="Use fewer active units.")
        self._count = self.pairs or capacity(self.units, self.active)

    def network(self, seed: tuple[int, int]) -> Network:
        """Store the pairs, and return the network."""
        layers = [
            patterns(seed=seed, units=self.units, active=self.active, count=self._count, projection=each)
            for each in (0, 1)
        ]
        self._first, self._second = layers
        self._joined = memory(self._first, self._second, self.units)
        return build(self._joined, dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]

    def groups(self) -> tuple[Group, ...]:
        """The second layer; the first one is where cues come in."""
        return (Group("neurons", 0, self.units),)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Show the first pattern of a pair, and compare what is recalled with the second and with the ideal memory."""
        number = int(context.stream("pattern").integers(0, self._count))
        cue, pattern = self._first[number], self._second[number]
        window = max(1, round(self.spread / self.dt))
        at = context.stream("spread").integers(0, window, self.active)
        given = volleys(cue, at, window, dt_ms=self.dt)
        fired = self.engine.advance(steps, given)["neurons"]
        ideal = np.nonzero(self._joined[cue].sum(axis=0) >= self.active)[0]
        recalled = np.unique(fired.neurons)
        self.exact += np.array_equal(recalled, pattern)
        self.exact_ideal += np.array_equal(ideal, pattern)
        self.wrong.append(len(np.setdiff1d(recalled, pattern)))
        self.missing += len(np.setdiff1d(pattern, recalled))
        return fired

    def claims(self) -> Sequence[Claim]:
        """What is known of a memory of this size."""
        return (*CLAIMS.get((self.units, self.active, self._count), ()), BESIDE_IDEAL)

    def measured(self) -> Mapping[str, float | int | str | None]:
        """How often recall was exact by spikes and ideally, how many neurons were wrong, and what a synapse tells."""
        shown = len(self.wrong)
        if not shown:
            return dict.fromkeys(("exact", "ideal", "wrong", "missing", "bits_per_synapse", "points_from_ideal"))
        return {
            "exact": self.exact / shown,
            "ideal": self.exact_ideal / shown,
            "wrong": sum(self.wrong) / shown,
            "missing": self.missing / shown,
            "bits_per_synapse": bits_per_synapse(self.units, self.active, self._count, self.wrong),
            "points_from_ideal": abs(self.exact - self.exact_ideal) / shown * 100,
            "synapses": int(self._joined.sum()),
            "recalls": shown,
        }
