"""Soak: a network that learns for a day, and stays within its bounds.

100 Poisson sources in five groups of 20 excite 80 neurons. In every tick one group, drawn anew, fires at 30 Hz and the
others at 4 Hz, so there is always something to learn. Synapses from the sources and among the neurons learn by
`TRIPLET_FULL`: busy neurons strengthen their synapses and become busier, and alone the rule runs away. What holds it:

    leak, refractoriness    of the neurons
    caps of potentials      between -64 and -45 mV
    caps of weights         between 0 and 6 mV, inhibition between -30 mV and 0
    normalisation           once in 10 s, the weights onto each neuron are scaled to their sum
    capped change           a weight moves by at most 0.3 mV in 10 s
    inhibition that learns  20 inhibitory neurons hold the others near 5 Hz

Without these safeguards (`safeguards = false`: only leak, refractoriness, and bounds of weights twenty times as far) it
leaves the bounds within a minute: some neurons fire as fast as they can, at 200 Hz, the others not at all.

What is judged: quantiles of weights, rates and potentials of the first and of the last 24th of the day, by the distance
of Kolmogorov and Smirnov, and the most extreme values of the whole run.

Source of the rule: Pfister & Gerstner, J. Neurosci. 26 (2006); why it needs fast controls: Zenke, Hennequin & Gerstner,
PLoS Comput. Biol. 9 (2013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from neuraxis import parameter, state
from neuraxis_snn import encoders
from neuraxis_snn.connect import Uniform, all_to_all, fixed_probability, weights
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import LIF_EXP, POISSON
from neuraxis_snn.network import Network
from neuraxis_snn.plasticity import INHIBITORY_STDP, TRIPLET_FULL
from neuraxis_snn.plots import INK, picture
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.tally import Group
from neuraxis_snn.upkeep import Upkeep, capped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis import Chart, Context
    from neuraxis_snn.numbers import Precision
    from neuraxis_snn.spikes import Spikes

SOURCES: Final = 100
GROUPS: Final = 5
EXCITATORY: Final = 80
INHIBITORY: Final = 20
QUIET_HZ: Final = 4.0
BUSY_HZ: Final = 30.0
GOAL_HZ: Final = 5.0

TOP_MV: Final = 6.0
BOTTOM_MV: Final = -30.0
FAR: Final = 20.0
"""Without safeguards, excitatory weights may be so many times as large."""

CAPS_MV: Final = (-64.0, -45.0)
WINDOW: Final = "10 s"
CHANGE_MV: Final = 0.3
SUM_OF_SOURCES_MV: Final = 210.0
SUM_OF_OTHERS_MV: Final = 17.0
AMPLITUDES: Final = {"a2_plus": 5e-10, "a3_plus": 6.2e-3, "a2_minus": 2.8e-3, "a3_minus": 2.3e-4}
"""In units of the largest weight; `a2_minus` is weaker than in visual cortex: busy means above about 7 Hz."""

PARTS: Final = 24
LOOKS: Final = 60
"""Looks at weights and rates in one part; potentials are looked at in every tick."""

BINS: Final = 60
PLASTIC: Final = {"sources": (0.0, TOP_MV), "others": (0.0, TOP_MV), "inhibition": (BOTTOM_MV, 0.0)}
"""Projections that learn, and the bounds of their weights, mV."""

RANGES: Final = {**PLASTIC, "rates": (0.0, 40.0), "potentials": CAPS_MV}
"""Of histograms, mV and Hz; what lies outside counts at the end."""

_SOURCE: Final = "what learning that never ends must hold to"
_ALIKE: Final = "as in the first part of the day"
_WITHIN: Final = "within the caps"

CLAIMS: Final = (
    *(Claim(f"ks_{name}", _ALIKE, _SOURCE, None, 0.1) for name in RANGES),
    Claim("rate_e_hz", f"near {GOAL_HZ:g} Hz", _SOURCE, 2.0, 8.0),
    Claim("rates_highest", "Hz, of one neuron between two looks", _SOURCE, None, 40.0),
    *(Claim(f"{name}_lowest", _WITHIN, _SOURCE, low) for name, (low, _) in RANGES.items() if name != "rates"),
    *(Claim(f"{name}_highest", _WITHIN, _SOURCE, None, high) for name, (_, high) in RANGES.items() if name != "rates"),
    Claim("kinds_of_clips", "normalisation, caps of weights, changes and potentials all had work", _SOURCE, 4.0),
)

KINDS: Final = ("v_clips", "w_low", "w_high", "w_capped", "upkeep_high")
"""Ends of the names of counters."""


def build(
    *, seed: tuple[int, int], safeguards: bool = True, dt: str = "1 ms", precision: Precision = "float32"
) -> Network:
    """Return the network: populations `lines`, `e` and `i`; of the projections, those of `PLASTIC` learn.

    Args:
        seed: From which synapses and weights are drawn.
        safeguards: Whether anything but leak and refractoriness holds it.
        dt: Step.
        precision: Of states and weights.
    """
    network = Network(dt=dt, precision=precision)
    network.population("lines", SOURCES, POISSON, record=False)
    low, high = CAPS_MV
    membrane: dict[str, Any] = {"rest": "-60 mV", "reset": "-60 mV", "threshold": "-50 mV", "refractory": "5 ms"}
    network.population("e", EXCITATORY, capped(LIF_EXP, v=(low, high)) if safeguards else LIF_EXP, **membrane)
    network.population("i", INHIBITORY, LIF_EXP, **membrane)
    network.drive("i", "exc", rate="1 kHz", weight=1.9)
    network.connect("e", "i", "exc", weights=0.5)
    network.connect("i", "i", "inh", weights=-0.5)
    amplitudes: dict[str, Any] = {name: value * TOP_MV for name, value in AMPLITUDES.items()}
    amplitudes |= {"rule": TRIPLET_FULL, "w_max": TOP_MV * (1.0 if safeguards else FAR)}
    ends = {
        "sources": all_to_all(SOURCES, EXCITATORY, seed=seed, projection=0),
        "others": fixed_probability(EXCITATORY, EXCITATORY, probability=0.2, seed=seed, projection=1),
    }
    for name, total in (("sources", SUM_OF_SOURCES_MV), ("others", SUM_OF_OTHERS_MV)):
        each = ends[name]
        first = weights(each, Uniform(0.0, 2.0 * total / (len(each.pre) / EXCITATORY)))
        upkeep = Upkeep(window=WINDOW, change_max=CHANGE_MV, total=total) if safeguards else None
        source = "lines" if name == "sources" else "e"
        network.connect(
            source, "e", "exc", weights=first, pre=each.pre, post=each.post, upkeep=upkeep, name=name, **amplitudes
        )
    learning: dict[str, Any] = {"rule": INHIBITORY_STDP, "rate": GOAL_HZ, "eta": -0.02, "w_min": BOTTOM_MV, "w_max": 0}
    network.connect("i", "e", "inh", weights=-0.5, name="inhibition", **(learning if safeguards else {}))
    return network


class Soak(PublishedNetwork):
    """A network that learns for a day.

    Determinism: exact.
    """

    dt: float = parameter(float, "1 ms", unit="ms", help="step; a whole fraction of a tick")
    precision: str = parameter(str, "float32", choices=("float32", "float64"), help="of states and weights")
    duration: float = parameter(float, "24 h", unit="ms", at_least=1, help="how long it is watched")
    settle: float = parameter(float, "1 h", unit="ms", at_least=0, help="how long it learns before that")
    safeguards: bool = parameter(bool, True, help="whether anything but leak and refractoriness holds it")
    skip: float = parameter(float, "0 ms", unit="ms", at_least=0, help="beginning that no statistics count")

    histograms: dict[str, list[list[int]]] = state(factory=lambda: {name: [] for name in RANGES})
    extremes: dict[str, list[float]] = state(factory=dict)
    since: list[int] = state(factory=lambda: [0] * EXCITATORY)
    begun: float = state(0.0)
    looked: int = state(0)

    def setup(self) -> None:
        """Check that there is a tick for every look."""
        super().setup()
        if self.duration < PARTS * LOOKS * self.dt:
            reason = f"{self.duration:g} ms cannot be cut into {PARTS * LOOKS} looks"
            raise NetworkInvalid(subject="duration", reason=reason, remedy="Use at least a second and a half.")

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network."""
        return build(
            seed=seed,
            safeguards=self.safeguards,
            dt=f"{self.dt!r} ms",
            precision=self.precision,  # type: ignore[arg-type]
        )

    def groups(self) -> tuple[Group, ...]:
        """Excitatory and inhibitory neurons."""
        return Group("e", 0, EXCITATORY), Group("i", EXCITATORY, EXCITATORY + INHIBITORY)

    def goes_on(self, context: Context) -> bool:
        """Say whether the day is not over after this tick."""
        return (self.engine.step + self.steps(context)) * self.dt < self.settle + self.duration - self.dt / 2

    def advance(self, context: Context, steps: int) -> Spikes:
        """Let another group of sources be busy, compute steps, and look at what became of the network."""
        busy = int(context.stream("group").integers(0, GROUPS))
        rates = np.where(np.arange(SOURCES) * GROUPS // SOURCES == busy, BUSY_HZ, QUIET_HZ)
        self.engine.write("lines", "chance", encoders.poisson(rates, f"{self.dt!r} ms"))
        fired = super().advance(context, steps)
        own = fired.neurons[fired.neurons < EXCITATORY]
        self.since = (np.array(self.since) + np.bincount(own, minlength=EXCITATORY)).tolist()
        now_ms = self.engine.step * self.dt
        due = int((now_ms - self.settle + self.dt / 2) / (self.duration / (PARTS * LOOKS)))
        part = max(0, min(due, PARTS * LOOKS) - 1) // LOOKS
        if due >= 1:  # in every tick: what neurons have in common makes their potentials at one time alike
            self._count(part, "potentials", self.engine.read("e", "v"))
        if due > self.looked:
            self._look(part, now_ms)
            self.looked = due
        return fired

    def _look(self, part: int, now_ms: float) -> None:
        """Count weights, and the rates since the look before."""
        values = {name: self.engine.weights(name) for name in PLASTIC}
        if self.looked:  # before the first look, there is no time to count in
            values["rates"] = np.array(self.since) / ((now_ms - self.begun) / 1000.0)
        self.since, self.begun = [0] * EXCITATORY, now_ms
        for name, found in values.items():
            self._count(part, name, found)

    def _count(self, part: int, name: str, values: np.ndarray) -> None:
        """Count values into the histogram of a part, and keep the most extreme ones."""
        lowest, highest = self.extremes.get(name, [np.inf, -np.inf])
        self.extremes[name] = [min(lowest, float(values.min())), max(highest, float(values.max()))]
        rows, (low, high) = self.histograms[name], RANGES[name]
        rows += [[0] * BINS for _ in range(part + 1 - len(rows))]
        counts = np.histogram(np.clip(values, low, high), bins=BINS, range=(low, high))[0]
        rows[part] = (np.array(rows[part]) + counts).tolist()

    def claims(self) -> Sequence[Claim]:
        """What must hold."""
        return CLAIMS

    def measured(self) -> Mapping[str, float | int | str | None]:
        """How far the last part is from the first, the most extreme values, and what was held back."""
        found: dict[str, float | int | str | None] = {"rate_e_hz": self.tally.rate("e")}
        for name, rows in self.histograms.items():
            found[f"ks_{name}"] = _distance(rows[0], rows[-1]) if len(rows) == PARTS else None
            low, high = self.extremes.get(name, (None, None))
            found[f"{name}_lowest"], found[f"{name}_highest"] = low, high
        counters = self.engine.counters() if self.seed else {}
        kinds = {end: sum(count for name, count in counters.items() if name.endswith(end)) for end in KINDS}
        found |= kinds
        return {**found, "kinds_of_clips": sum(count > 0 for count in kinds.values()), "looks": self.looked}

    def charts(self) -> Iterable[Chart]:
        """The table, the rate over time, and the histograms, part after part."""
        return [*super().charts(), *([self._chart()] if self.looked else [])]

    def _chart(self) -> Chart:
        units = {"rates": "Hz"}

        def draw(figure: Any) -> None:
            for axes, (name, rows) in zip(figure.subplots(1, len(RANGES)), self.histograms.items(), strict=True):
                low, high = RANGES[name]
                shares = np.array(rows, np.float64).reshape(-1, BINS).T
                shares /= np.maximum(shares.sum(axis=0), 1.0)
                axes.imshow(shares**0.5, origin="lower", aspect="auto", cmap="Blues", extent=(0, PARTS, low, high))
                axes.set(title=name, ylabel=units.get(name, "mV"), xlabel="part", xlim=(0, max(len(rows), 1)))
                axes.title.set_color(INK)

        caption = f"Weights, rates and potentials, one column for each of {PARTS} parts; darker is more."
        return picture("Histograms over the day", caption, draw, size=(14, 3))


def _distance(first: list[int], last: list[int]) -> float | None:
    """Return the largest distance between two cumulative distributions, given as histograms; None if one is empty."""
    if not (sum(first) and sum(last)):
        return None
    shares = [np.cumsum(np.array(each, np.float64)) / sum(each) for each in (first, last)]
    return float(np.abs(shares[0] - shares[1]).max())
