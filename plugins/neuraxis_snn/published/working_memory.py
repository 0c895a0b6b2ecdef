"""Working memory in synapses: an item that was shown stays in the facilitation of its neurons' synapses.

8,000 neurons excite and 2,000 inhibit; each gets synapses from a fifth of both, with delays of 0.1 to 1 ms. Five items
have 800 excitatory neurons each, a pool. Synapses among excitatory neurons facilitate and recover (Tsodyks & Markram):
0.45 mV within a pool, 0.1 mV between pools, and a tenth of those from and to the other excitatory neurons have 0.45 mV,
the rest 0.1 mV.

    15 ms dv/dt = drive - v (excitatory),   10 ms dv/dt = 20.5 mV - v (inhibitory),   and noise: 1 mV sqrt(dt / tau)

A neuron spikes above 20 mV and stands at 16 mV (13 mV) for 2 ms. At 1 s the drive of pool 0 is 15 % stronger for
350 ms: the cue. What the pool does then depends on the drive: it is silent, and reads out with more spikes than the
others when all get 5 % more for 250 ms; or it bursts again and again; or it goes on firing steadily.

The noise is Poisson: as many spikes up as down, one of each in a mean step.

Sources: Mongillo, Barak & Tsodyks, Science 319 (2008); with in-degrees that are all alike: Tiddia, Golosio, Fanti &
Paolucci, Front. Integr. Neurosci. 16 (2022).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct, structs

from neuraxis import parameter, state
from neuraxis_snn.connect import Uniform, delays, fixed_in_degree, weights
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import LIF_DELTA
from neuraxis_snn.network import Network
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.draws import uniform
from neuraxis_snn.published.tally import Group
from neuraxis_snn.short_term import TSODYKS_MARKRAM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuraxis import Context
    from neuraxis_snn.engine import Engine
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes

SIZE: Final = 10_000
SHARE: Final = 0.2
POOLS: Final = 5
POOLS_OF: Final = 10
"""A pool is one of so many equal parts of the excitatory neurons."""

STRONG_MV: Final = 0.45
WEAK_MV: Final = 0.10
STRONG_SHARE: Final = 0.1
E_TO_I_MV: Final = 0.135
I_TO_E_MV: Final = -0.25
I_TO_I_MV: Final = -0.20
INHIBITORY_MV: Final = 20.5
NOISE_MV: Final = 1.0
MEMBRANES: Final = {"e": ("15 ms", 16.0), "i": ("10 ms", 13.0)}
"""Time constant, and potential after a spike in mV."""

CUE: Final = (1_000.0, 1_350.0, 1.15)
PULSE: Final = (2_400.0, 2_650.0, 1.05)
"""Begin and end, ms, and the factor of the drive."""

PHASES: Final = {"before": (500.0, 1_000.0), "delay": (1_500.0, 2_400.0), "pulse": (2_400.0, 2_900.0)}
"""Begin and end, ms; `delay` goes on to the end where no pulse comes, `pulse` has what the pulse leaves behind."""

LAST_MS: Final = 1_000.0
"""Of the run: the part called `end`."""

BURST_HZ: Final = 20.0
BURST_APART_MS: Final = 100.0
"""A burst begins when the pool's rate in a tick rises above it, this long after the burst before at the earliest."""

DRIVEN: Final = structs.replace(
    LIF_DELTA,
    name="lif_driven",
    states={"v": "reset", "drive": "rest"},
    update="v = where(active, drive + (v - drive) * decay_v, v)",
)
"""`lif_delta` whose resting potential may change."""


@final
class Test(Struct, frozen=True):
    """A regime of the network, and what is done to it.

    Attributes:
        drive: Of excitatory neurons, mV.
        claims: What is known of it.
        tau_facilitation: Of the synapses.
        cue, pulse: Whether they come.
    """

    drive: float
    claims: tuple[Claim, ...]
    tau_facilitation: str = "1500 ms"
    cue: bool = True
    pulse: bool = False


_SOURCE: Final = "Mongillo et al. 2008; figures of an independent program"
_RATIO: Final = "the cued pool far above the others"

TESTS: Final = {
    "bursts": Test(
        22.7,
        (
            Claim("delay_hz", "4 to 5 Hz", _SOURCE),
            Claim("others_hz", "below 0.5 Hz", _SOURCE, None, 0.5),
            Claim("ratio", _RATIO, _SOURCE, 8.0),
            Claim("ratio_end", "to the end", _SOURCE, 8.0),
            Claim("bursts", "one after the other, to the end", _SOURCE, 10.0),
            Claim("burst_every_ms", "290 to 335 ms", _SOURCE),
        ),
    ),
    "ablation": Test(
        22.7,
        (
            Claim("delay_hz", "0.45 Hz at once: facilitation of 100 ms holds nothing", _SOURCE, 0.2, 0.9),
            Claim("ratio", "as the others", _SOURCE, 0.5, 2.0),
        ),
        tau_facilitation="100 ms",
    ),
    "no-cue": Test(
        22.7,
        (
            Claim("delay_hz", "0.5 Hz", _SOURCE, 0.2, 1.0),
            Claim("others_hz", "0.5 Hz in all pools", _SOURCE, 0.2, 1.0),
            Claim("ratio", "all pools alike", _SOURCE, 0.5, 2.0),
        ),
        cue=False,
    ),
    "asynchronous": Test(
        23.7,
        (
            Claim("delay_hz", "10 Hz", _SOURCE, 8.0, 12.0),
            Claim("others_hz", "0.03 Hz", _SOURCE, None, 0.5),
            Claim("ratio_end", _RATIO, _SOURCE, 8.0),
            Claim("bursts", "none: steady firing", _SOURCE, None, 1.0),
        ),
    ),
    "silent": Test(
        22.0,
        (
            Claim("delay_over_before", "0.35 Hz, as before the cue", _SOURCE, 0.5, 2.0),
            Claim("pulse_hz", "6.8 Hz", _SOURCE),
            Claim("pulse_others_hz", "0.3 to 0.5 Hz", _SOURCE, None, 0.5),
            Claim("pulse_ratio", _RATIO, _SOURCE, 8.0),
        ),
        pulse=True,
    ),
    "silent-no-cue": Test(
        22.0,
        (
            Claim("pulse_over_before", "rises", _SOURCE, 1.2),
            Claim("pulse_ratio", "all pools rise alike", _SOURCE, 0.5, 2.0),
        ),
        cue=False,
        pulse=True,
    ),
}


def build(
    *,
    seed: tuple[int, int],
    drive_mv: float = 22.7,
    tau_facilitation: str = "1500 ms",
    size: int = SIZE,
    dt: str = "0.1 ms",
    precision: Precision = "float64",
) -> Network:
    """Return the network: populations `e`, of which the first half are the pools, and `i`.

    With fewer neurons, each has fewer synapses, and weights are larger in inverse proportion.

    Args:
        seed: From which synapses and delays are drawn.
        drive_mv: Of excitatory neurons.
        tau_facilitation: Of the synapses among them.
        size: Number of neurons, at least 250.
        dt: Step.
        precision: Of states and weights.
    """
    network = Network(dt=dt, precision=precision)
    sizes = {"e": size * 4 // 5, "i": size - size * 4 // 5}
    for name, (tau, reset) in MEMBRANES.items():
        rest = drive_mv if name == "e" else INHIBITORY_MV
        membrane: dict[str, Any] = {"tau": tau, "rest": rest, "reset": reset, "threshold": 20.0, "refractory": "2 ms"}
        network.population(name, sizes[name], DRIVEN, **membrane)
        step_ms = float(network.dt)
        jump = NOISE_MV * math.sqrt(step_ms / float(tau.split()[0]) / 2)  # two drives of one spike a step
        for sign in (1, -1):
            network.drive(name, "input", rate=1_000.0 / step_ms, weight=sign * jump, name=f"{name}, noise {sign}")
    fixed = {("e", "e"): 0.0, ("e", "i"): E_TO_I_MV, ("i", "e"): I_TO_E_MV, ("i", "i"): I_TO_I_MV}
    for number, ((source, target), weight) in enumerate(fixed.items()):
        degree = round(SHARE * sizes[source])
        ends = fixed_in_degree(
            sizes[source], sizes[target], degree=degree, multapses=False, seed=seed, projection=number
        )
        given: dict[str, Any] = {"pre": ends.pre, "post": ends.post, "weights": weight * SIZE / size}
        given["delay"] = delays(ends, Uniform("0.05 ms", "1.05 ms"), dt=dt)  # rounded: 0.1 to 1 ms, each alike
        if source == target == "e":
            pool = sizes["e"] // POOLS_OF
            pre, post = ends.pre // pool, ends.post // pool
            is_chosen = weights(ends, Uniform(0.0, 1.0)) < STRONG_SHARE
            is_strong = np.where((pre < POOLS) & (post < POOLS), pre == post, is_chosen)
            given["weights"] = np.where(is_strong, STRONG_MV, WEAK_MV) * SIZE / size
            given |= {"short_term": TSODYKS_MARKRAM, "use": 0.19, "tau_recovery": "200 ms"}
            given["tau_facilitation"] = tau_facilitation
        network.connect(source, target, "input", **given)
    return network


def begin(engine: Engine, *, seed: tuple[int, int]) -> None:
    """Spread the potentials evenly between reset and threshold."""
    for number, (name, (_, reset)) in enumerate(MEMBRANES.items()):
        engine.write(name, "v", uniform(seed, number, engine.network.populations[name].size, reset, 20.0))


class WorkingMemory(PublishedNetwork):
    """The network of Mongillo, Barak & Tsodyks (2008) in one of its regimes.

    Determinism: exact.
    """

    size: int = parameter(int, SIZE, at_least=250, help="number of neurons; an item has 8 % of them")
    test: str = parameter(str, "bursts", choices=sorted(TESTS), help="which regime, and what is done to it")
    skip: float = parameter(float, "1500 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    counted: dict[str, list[int]] = state(factory=dict)
    newest: list[list[int]] = state(factory=list)
    bursts: list[int] = state(factory=list)
    is_up: bool = state(False)

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        test = TESTS[self.test]
        return build(
            seed=seed,
            drive_mv=test.drive,
            tau_facilitation=test.tau_facilitation,
            size=self.size,
            dt=f"{self.dt!r} ms",
            precision=self.precision,  # type: ignore[arg-type]
        )

    def groups(self) -> tuple[Group, ...]:
        """The pools, the other excitatory neurons, and the inhibitory ones."""
        exciting, pool = self.size * 4 // 5, self._pool
        pools = (Group(f"pool_{each}", each * pool, (each + 1) * pool) for each in range(POOLS))
        return (*pools, Group("rest", POOLS * pool, exciting), Group("i", exciting, self.size))

    @property
    def _pool(self) -> int:
        return self.size * 4 // 5 // POOLS_OF

    def begin(self, engine: Engine, seed: tuple[int, int]) -> None:
        """Spread the potentials."""
        begin(engine, seed=seed)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps with the drive that is due, and count the spikes of each pool."""
        now = (self.engine.step + 0.5) * self.dt
        self._lift(now)
        fired = super().advance(context, steps)
        spikes = np.bincount(fired.neurons // self._pool, minlength=POOLS)[:POOLS].tolist()
        for name in self._phases(now):
            before = self.counted.get(name, [0] * (POOLS + 1))
            self.counted[name] = [a + b for a, b in zip(before, [*spikes, steps], strict=True)]
        self.newest = [*self.newest, spikes][-max(1, round(LAST_MS / (steps * self.dt))) :]
        if "delay" in self._phases(now):
            self._look_for_a_burst(spikes[0] / self._pool / (steps * self.dt / 1000.0))
        return fired

    def _lift(self, now: float) -> None:
        test, count = TESTS[self.test], self.engine.network.populations["e"].size
        drive = np.full(count, test.drive)
        if test.cue and CUE[0] <= now < CUE[1]:
            drive[: self._pool] *= CUE[2]
        if test.pulse and PULSE[0] <= now < PULSE[1]:
            drive *= PULSE[2]
        self.engine.write("e", "drive", drive)

    def _phases(self, now: float) -> list[str]:
        goes_on = not TESTS[self.test].pulse
        found = [name for name, (first, end) in PHASES.items() if first <= now < end]
        return ["delay"] if goes_on and now >= PHASES["delay"][0] else found

    def _look_for_a_burst(self, rate_hz: float) -> None:
        """Keep how many bursts there were, and the steps in which the first and the last one were noticed."""
        was_up, self.is_up, step = self.is_up, rate_hz >= BURST_HZ, self.engine.step
        if self.is_up and not was_up and (not self.bursts or (step - self.bursts[2]) * self.dt >= BURST_APART_MS):
            number, first, _ = self.bursts or [0, step, step]
            self.bursts = [number + 1, first, step]

    def setup(self) -> None:
        """Check that there are pools."""
        super().setup()
        if self.size % 50:
            reason = f"{self.size} neurons have no ten equal parts of excitatory ones"
            raise NetworkInvalid(subject="size", reason=reason, remedy="Use a multiple of 50.")

    def claims(self) -> Sequence[Claim]:
        """What is known of 10,000 neurons."""
        return TESTS[self.test].claims if self.size == SIZE else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """Rates of the cued pool and of the others, phase by phase, and the bursts."""
        found: dict[str, float | int | str | None] = {}
        cued: dict[str, float | None] = {}
        mean: dict[str, float | None] = {}
        for name in ("before", "delay", "pulse"):
            *spikes, steps = self.counted.get(name, [0] * (POOLS + 1))
            seconds = steps * self.dt / 1000.0
            rates = [each / self._pool / seconds for each in spikes] if steps else []
            prefix = "" if name == "delay" else f"{name}_"
            cued[name] = rates[0] if rates else None
            mean[name] = sum(rates) / POOLS if rates else None
            found[f"{name}_hz"] = cued[name]
            found[f"{prefix}others_hz"] = max(rates[1:]) if rates else None
            found[f"{prefix}ratio"] = _over(cued[name], sum(rates[1:]) / (POOLS - 1) if rates else None)
        sums = np.sum(self.newest, axis=0).tolist() if self.newest else [0] * POOLS
        number, first, last = self.bursts or [0, 0, 0]
        return {
            **found,
            "ratio_end": _over(sums[0], sum(sums[1:]) / (POOLS - 1)),
            "delay_over_before": _over(cued["delay"], cued["before"]),
            "pulse_over_before": _over(mean["pulse"], mean["before"]),
            "bursts": number if "delay" in self.counted else None,
            "burst_every_ms": (last - first) * self.dt / (number - 1) if number > 1 else None,
        }


def _over(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None
