"""Hopfield, by spikes: patterns are attractors of a network whose weights are sums over them, up to a critical load.

Patterns have k of N units, so the share a = k / N. With P patterns xi of 0 and 1, and q = 1 / a,

    w_ij = sum over patterns of (q xi_i - 1) (q xi_j - 1)       no unit is joined to itself

For a = 1/2 these are Hopfield's weights between units of -1 and +1; else it is the covariance rule. Neurons take turns,
each once in a cycle. In its turn neuron i spikes if

    sum over the spikes j of one cycle of w_ij  -  a sum_j w_ij  >  threshold (q - 1) N

where (q - 1) N is what a whole pattern adds for those of its units beside the others. So a spike in a cycle is the
state 1, silence is 0, and states change one after the other, as in the publication. A cue is spikes in the first
cycle, in which one spike from outside silences everything else.

`inhibition` takes as much from every neuron for each spike of a cycle, around k of them: so the threshold adapts to the
activity. The overlap of a cycle with a pattern is the share of its units that spike, less the share of the others.
Beyond the critical load of sparse patterns many others spike, so the correlation of both tells if a pattern is kept.

Sources: Hopfield, PNAS 79 (1982); the critical load of 0.138: Amit, Gutfreund & Sompolinsky, Phys. Rev. Lett. 55
(1985); sparse patterns: Tsodyks & Feigelman, Europhys. Lett. 6 (1988).
"""

from __future__ import annotations

from math import sqrt
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.model import Model, Value
from neuraxis_snn.network import Network
from neuraxis_snn.numbers import ratio
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.mean_field import expected
from neuraxis_snn.published.tally import Group
from neuraxis_snn.published.willshaw import patterns
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision

UNITS: Final = 2_000
LOAD: Final = 0.1
CYCLE: Final = "10 ms"

KEPT: Final = 0.7
"""A pattern is kept if its correlation with the last cycle is above it."""

TURNS: Final = Model(
    name="turns",
    parameters={"cycle": Value(CYCLE, "ms", "time between two turns of a neuron", above=0)},
    states={"field": 0.0, "bias": 0.0, "due": 0.0},
    inputs=("input", "cue"),
    constants=lambda p, dt: {"others": ratio(p["cycle"], dt) - 1},
    update="""
        field = field + (input + cue)
        due = where(due < 1, due + others, due - 1)
    """,
    threshold="(due < 1) & (field + bias > 0)",
    after="field = where(due < 1, 0, field)",
    source="A neuron sums its input without a leak. In its turn, once in a cycle, it spikes if the sum and `bias` are "
    "above 0, and begins anew. `due` counts the steps to its turn; both are written from outside.",
)


def weights(stored: np.ndarray, units: int) -> np.ndarray:
    """Return the weights: (units, units) float64, symmetric, 0 on the diagonal; see the head of the module.

    Args:
        stored: (patterns, active) int32 units of each pattern.
        units: Units of the network.
    """
    active = np.zeros((len(stored), units), np.float32)  # counts below 2**24: sums in single precision are exact
    np.put_along_axis(active, stored.astype(np.int64), np.float32(1.0), axis=1)
    together = (active.T @ active).astype(np.float64)
    q, often = units / stored.shape[1], together.diagonal().copy()
    found: np.ndarray = q * q * together - q * (often[:, None] + often[None, :]) + len(stored)
    np.fill_diagonal(found, 0.0)
    return found


def build(
    joined: np.ndarray,
    active: int,
    *,
    inhibition: float = 0.0,
    cycle: str = CYCLE,
    dt: str = "0.1 ms",
    precision: Precision = "float64",
) -> Network:
    """Return the network: a cue comes in at `cue`, together with one spike at `quiet`; `neurons` answer.

    Args:
        joined: Of `weights`.
        active: Units of a pattern.
        inhibition: What as many spikes as a pattern has take from every neuron, in units of (q - 1) N.
        cycle: Time in which all neurons have their turn.
        dt: Step.
        precision: Of states and weights.
    """
    units = len(joined)
    network = Network(dt=dt, precision=precision)
    network.inputs("cue", units)
    network.inputs("quiet", 1)
    network.population("neurons", units, TURNS, cycle=cycle)
    among = joined - inhibition * (units / active - 1) * units / active
    np.fill_diagonal(among, 0.0)
    network.connect("neurons", "neurons", "input", weights=among)
    most = 2.0 * float(np.abs(among).sum(axis=0).max()) + units * units  # more than all else together, with the bias
    each = np.arange(units)
    network.connect("cue", "neurons", "cue", weights=2.0 * most, pre=each, post=each, delay=0)
    network.connect("quiet", "neurons", "cue", weights=-most, delay=0)
    return network


def begin(engine: Engine, joined: np.ndarray, active: int, *, threshold: float = 0.0, inhibition: float = 0.0) -> None:
    """Give the neurons their turns, one after the other, and their biases.

    Args:
        engine: Of `build`.
        joined: Of `weights`.
        active: Units of a pattern.
        threshold: In units of (q - 1) N.
        inhibition: As it was built.
    """
    units, network = len(joined), engine.network
    whole = (units / active - 1) * units
    engine.write("neurons", "bias", (inhibition - threshold) * whole - active / units * joined.sum(axis=0))
    cycle = int(network.populations["neurons"].numbers["others"]) + 1
    engine.write("neurons", "due", np.arange(units) * cycle // units + 1)


def cued(pattern: np.ndarray, units: int, cycle: int) -> dict[str, Spikes]:
    """Return the spikes of a cue, for a call that begins with a cycle.

    Args:
        pattern: (n,) units that are to be active.
        units: Units of the network.
        cycle: Steps of a cycle.
    """
    turns = pattern.astype(np.int64) * cycle // units
    volley = Spikes.of(zip(turns.tolist(), pattern.tolist(), strict=True))
    return {"cue": volley, "quiet": Spikes.of([(0, 0)])}


def overlap(found: np.ndarray, pattern: np.ndarray, units: int) -> float:
    """Return the share of a pattern's units that are active, less the share of the others.

    Args:
        found: Active units.
        pattern: (active,) units.
        units: Of the network.
    """
    hits = len(np.intersect1d(found, pattern))
    return hits / len(pattern) - (len(found) - hits) / (units - len(pattern))


def correlation(found: np.ndarray, pattern: np.ndarray, units: int) -> float:
    """Return the correlation of what is active with a pattern over all units; 0 if none or all are active.

    Args:
        found, pattern, units: As for `overlap`.
    """
    shares = len(found) / units, len(pattern) / units
    spread = sqrt(shares[0] * (1 - shares[0]) * shares[1] * (1 - shares[1]))
    both = len(np.intersect1d(found, pattern)) / units - shares[0] * shares[1]
    return both / spread if spread else 0.0


class Hopfield(PublishedNetwork):
    """A network of attractors that completes patterns, one a tick.

    Determinism: exact.
    """

    units: int = parameter(int, UNITS, at_least=16, help="neurons")
    active: int = parameter(int, UNITS // 2, at_least=1, help="units of a pattern; half of all for Hopfield's rule")
    load: float = parameter(float, LOAD, at_least=0.001, help="patterns for each neuron")
    threshold: float = parameter(float, 0.0, help="in units of what a pattern adds; 0 for Hopfield's rule")
    inhibition: float = parameter(float, 0.0, at_least=0, help="what as many spikes as a pattern has take, likewise")
    exchanged: float = parameter(float, 0.0, at_least=0, at_most=1, help="share of a cue's units that are wrong ones")
    skip: float = parameter(float, "0 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    overlaps: list[float] = state(factory=list)
    correlations: list[float] = state(factory=list)

    def setup(self) -> None:
        """Check that patterns fit into the network."""
        super().setup()
        if self.active > self.units // 2:
            reason = f"{self.active} of {self.units} units are more than half"
            raise NetworkInvalid(subject="active", reason=reason, remedy="Use patterns of at most half of the units.")

    def network(self, seed: tuple[int, int]) -> Network:
        """Store the patterns, and return the network."""
        count = max(1, round(self.load * self.units))
        self._stored = patterns(seed=seed, units=self.units, active=self.active, count=count)
        self._joined = weights(self._stored, self.units)
        made = {"inhibition": self.inhibition, "dt": f"{self.dt!r} ms", "precision": self.precision}
        return build(self._joined, self.active, **made)  # type: ignore[arg-type]

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Give the neurons their turns and biases."""
        begin(engine, self._joined, self.active, threshold=self.threshold, inhibition=self.inhibition)

    def groups(self) -> tuple[Group, ...]:
        """All neurons."""
        return (Group("neurons", 0, self.units),)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Show a pattern, with some units exchanged, and see how much of it there is in the last cycle."""
        cycle = int(self.engine.network.populations["neurons"].numbers["others"]) + 1
        if steps % cycle:
            reason = f"{steps} steps are no multiple of the {cycle} of a cycle"
            raise NetworkInvalid(subject="tick", reason=reason, remedy=f"Use a multiple of {CYCLE}.")
        pattern = self._stored[context.stream("pattern").integers(0, len(self._stored))]
        cue = self._exchanged(context, pattern)
        fired = self.engine.advance(steps, cued(cue, self.units, cycle))["neurons"]
        last = fired.neurons[fired.steps >= steps - cycle]
        self.overlaps.append(overlap(last, pattern, self.units))
        self.correlations.append(correlation(last, pattern, self.units))
        return fired

    def _exchanged(self, context: Context, pattern: np.ndarray) -> np.ndarray:
        stream, wrong = context.stream("cue"), round(self.exchanged * self.active)
        others = np.setdiff1d(np.arange(self.units), pattern)
        kept = pattern[np.sort(stream.permutation(self.active)[wrong:])]
        return np.sort(np.concatenate([kept, others[stream.permutation(len(others))[:wrong]]]))

    def claims(self) -> Sequence[Claim]:
        """What the theory of large networks says of this load: the overlap, or that there is none."""
        if self.inhibition:
            return ()
        theory = expected(self.load, self.active / self.units, self.threshold)
        source = "mean-field theory: Amit et al. 1985, Tsodyks & Feigelman 1988"
        if theory > KEPT:
            low, high = round(theory - 0.02, 3), min(round(theory + 0.02, 3), 1.0)
            return (Claim("overlap", f"{theory:.3f}", source, low, high), Claim("kept", "all", source, 0.9, 1.0))
        return (Claim("correlation", "patterns are lost", source, None, 0.6),)

    def measured(self) -> Mapping[str, float | int | str | None]:
        """The mean overlap of patterns that were kept, their share, and the median correlation of all."""
        shown = len(self.overlaps)
        kept = [each for each, alike in zip(self.overlaps, self.correlations, strict=True) if alike > KEPT]
        return {
            "overlap": sum(kept) / len(kept) if kept else None,
            "kept": len(kept) / shown if shown else None,
            "correlation": median(self.correlations) if shown else None,
            "patterns": len(self._stored) if self.seed else None,
            "recalls": shown,
        }
