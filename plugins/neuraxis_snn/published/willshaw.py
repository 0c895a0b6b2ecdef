"""Willshaw: an associative memory of binary synapses, recalled by spikes.

Of 2,048 units, each pattern has 22. A synapse exists where two units were ever active in one pattern. A part of a
pattern is the cue: each of its c units spikes once, within 1 ms. Then a pulse lifts all neurons just so far that
those that got c spikes cross the threshold, and those that got c - 1 do not. They are leaky and count only roughly:
that is what is compared with the ideal memory, which counts exactly.

    20 ms dv/dt = -v;  a spike of the cue adds 1 mV through each synapse, one of the pulse 0.25 mV to every neuron

Sources: Willshaw, Buneman & Longuet-Higgins, Nature 222 (1969); as a benchmark of spiking platforms: Stöckel, Jenzen,
Thies & Rückert, Front. Comput. Neurosci. 11:71 (2017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn.connect import fixed_out_degree
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import LIF_DELTA
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.tally import Group
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision

UNITS: Final = 2_048
ACTIVE: Final = 22
PATTERNS: Final = 4_000

SHARES: Final = (100, 75, 50)
"""Percent of a pattern that are shown, in turn."""

TAU_MS: Final = 20.0
THRESHOLD_MV: Final = 40.0
PULSE_MV: Final = 0.25
PULSE_LINES: Final = 160

_SOURCE: Final = "the ideal binary memory of this size"


def _exact(share: int, value: float) -> Claim:
    low, high = round(value - 0.03, 2), round(value + 0.03, 2)
    return Claim(f"exact_{share}", f"{value:.2f}", _SOURCE, max(low, 0.0), min(high, 1.0))


CLAIMS: Final = {
    4_000: (_exact(100, 1.0), _exact(75, 1.0), _exact(50, 0.94)),
    8_000: (_exact(100, 0.94), _exact(75, 0.55), _exact(50, 0.01)),
}
"""By the number of patterns."""

BESIDE_IDEAL: Final = Claim(
    "points_from_ideal", "2 to 3 points between spikes and the ideal", "Stöckel et al. 2017: compare with it", 0.0, 3.0
)


def patterns(
    *, seed: tuple[int, int], units: int = UNITS, active: int = ACTIVE, count: int = PATTERNS, projection: int = 0
) -> np.ndarray:
    """Draw patterns: (count, active) int32, the units of each in ascending order.

    Args:
        seed: From which they are drawn.
        units: Units of the memory.
        active: Units of a pattern.
        count: Patterns.
        projection: Tells sets of patterns under one seed apart.
    """
    ends = fixed_out_degree(count, units, degree=active, multapses=False, seed=seed, projection=projection)
    order = np.argsort(ends.pre, kind="stable")  # by pattern; within one, targets are in ascending order already
    return ends.post[order].reshape(count, active)


def memory(stored: Iterable[np.ndarray], units: int) -> np.ndarray:
    """Return which synapses exist: (units, units) bool, symmetric, with those of a unit onto itself.

    Args:
        stored: Patterns, of any length each.
        units: Units of the memory.
    """
    joined = np.zeros((units, units), bool)
    for pattern in stored:
        joined[np.ix_(pattern, pattern)] = True
    return joined


def build(joined: np.ndarray, *, dt: str = "0.1 ms", precision: Precision = "float64") -> Network:
    """Return the network: cues come in at `cue`, pulses at `pulse`; `neurons` answer.

    Args:
        joined: Of `memory`.
        dt: Step.
        precision: Of states and weights.
    """
    units = len(joined)
    network = Network(dt=dt, precision=precision)
    network.inputs("cue", units)
    network.inputs("pulse", PULSE_LINES)
    tau, threshold = f"{TAU_MS} ms", f"{THRESHOLD_MV} mV"
    network.population(
        "neurons", units, LIF_DELTA, tau=tau, rest="0 mV", reset="0 mV", threshold=threshold, refractory="10 ms"
    )
    pre, post = np.nonzero(joined)
    network.connect("cue", "neurons", "input", weights=1.0, pre=pre, post=post, delay=0)
    network.connect("pulse", "neurons", "input", weights=PULSE_MV, delay=0)
    return network


def pulses(cue: int, *, dt_ms: float, spread_ms: float) -> int:
    """Return how many lines of the pulse let c, but not c - 1 spikes of the cue reach the threshold.

    A spike of the cue has on average lost spread / (2 tau) of its weight when the pulse comes, and what the pulse
    reaches loses dt / tau until it is compared with the threshold.
    """
    needed = THRESHOLD_MV * (1.0 + dt_ms / TAU_MS)
    reached = (cue - 0.5) * (1.0 - spread_ms / (2.0 * TAU_MS))
    return round((needed - reached) / PULSE_MV)


def volleys(cue: np.ndarray, at: np.ndarray, window: int, *, dt_ms: float) -> dict[str, Spikes]:
    """Return the spikes of one recall: the units of the cue once each, then the pulse.

    Args:
        cue: (c,) units.
        at: (c,) steps in which they spike, below `window`.
        window: Step of the pulse.
        dt_ms: Length of a step.
    """
    lines = pulses(len(cue), dt_ms=dt_ms, spread_ms=window * dt_ms)
    return {
        "cue": Spikes.of(zip(at.tolist(), cue.tolist(), strict=True)),
        "pulse": Spikes.of((window, line) for line in range(lines)),
    }


def recall(
    engine: Engine, cue: np.ndarray, at: np.ndarray, window: int, *, dt_ms: float, pause_ms: float
) -> np.ndarray:
    """Return which neurons answer a cue: ascending, without repetition.

    Args:
        engine: Of `build`.
        cue, at, window, dt_ms: As for `volleys`.
        pause_ms: Until the next cue may come; 150 ms let potentials fall to a 2,000th.
    """
    steps = window + 1 + round(pause_ms / dt_ms)
    fired = engine.advance(steps, volleys(cue, at, window, dt_ms=dt_ms))["neurons"]
    return np.unique(fired.neurons)


class Willshaw(PublishedNetwork):
    """An associative memory that recalls patterns from parts of them, one a tick.

    Determinism: exact.
    """

    units: int = parameter(int, UNITS, at_least=16, help="neurons")
    active: int = parameter(int, ACTIVE, at_least=2, at_most=THRESHOLD_MV, help="units of a pattern")
    patterns: int = parameter(int, PATTERNS, at_least=1, help="patterns that are stored")
    spread: float = parameter(float, "1 ms", unit="ms", at_least=0, help="time within which the cue spikes")
    skip: float = parameter(float, "0 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    shown: list[int] = state(factory=lambda: [0] * len(SHARES))
    exact: list[int] = state(factory=lambda: [0] * len(SHARES))
    exact_ideal: list[int] = state(factory=lambda: [0] * len(SHARES))
    wrong: list[int] = state(factory=lambda: [0] * len(SHARES))
    missing: list[int] = state(factory=lambda: [0] * len(SHARES))

    def setup(self) -> None:
        """Check that patterns fit into the memory."""
        super().setup()
        if self.active > self.units:
            reason = f"a pattern of {self.active} units does not fit into {self.units}"
            raise NetworkInvalid(subject="active", reason=reason, remedy="Use fewer active units.")

    def network(self, seed: tuple[int, int]) -> Network:
        """Store the patterns, and return the network."""
        self._stored = patterns(seed=seed, units=self.units, active=self.active, count=self.patterns)
        self._joined = memory(self._stored, self.units)
        return build(self._joined, dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]

    def groups(self) -> tuple[Group, ...]:
        """All neurons."""
        return (Group("neurons", 0, self.units),)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Show a part of a pattern, and compare what is recalled with it and with the ideal memory."""
        which = (context.tick - 1) % len(SHARES)
        size = max(1, self.active * SHARES[which] // 100)
        pattern = self._stored[context.stream("pattern").integers(0, len(self._stored))]
        cue = np.sort(pattern[context.stream("cue").permutation(self.active)[:size]])
        window = max(1, round(self.spread / self.dt))
        at = context.stream("spread").integers(0, window, size)
        given = volleys(cue, at, window, dt_ms=self.dt)
        fired = self.engine.advance(steps, given)["neurons"]
        ideal = np.nonzero(self._joined[cue].sum(axis=0) >= size)[0]
        recalled = np.unique(fired.neurons)
        self.shown[which] += 1
        self.exact[which] += np.array_equal(recalled, pattern)
        self.exact_ideal[which] += np.array_equal(ideal, pattern)
        self.wrong[which] += len(np.setdiff1d(recalled, pattern))
        self.missing[which] += len(np.setdiff1d(pattern, recalled))
        return fired

    def claims(self) -> Sequence[Claim]:
        """What is known of a memory of this size."""
        is_known = (self.units, self.active) == (UNITS, ACTIVE)
        return (*(CLAIMS.get(self.patterns, ()) if is_known else ()), BESIDE_IDEAL)

    def measured(self) -> Mapping[str, float | int | str | None]:
        """How often recall was exact by spikes and ideally, and how many neurons were wrong in one recall."""
        found: dict[str, float | int | str | None] = {}
        gaps = []
        for which, share in enumerate(SHARES):
            shown = self.shown[which]
            found[f"exact_{share}"] = self.exact[which] / shown if shown else None
            found[f"ideal_{share}"] = self.exact_ideal[which] / shown if shown else None
            found[f"wrong_{share}"] = self.wrong[which] / shown if shown else None
            found[f"missing_{share}"] = self.missing[which] / shown if shown else None
            gaps += [abs(self.exact[which] - self.exact_ideal[which]) / shown * 100] if shown else []
        return {**found, "points_from_ideal": max(gaps) if gaps else None, "recalls": sum(self.shown)}
