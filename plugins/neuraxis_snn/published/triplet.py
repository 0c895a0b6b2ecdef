"""Triplets of spikes: a rule that explains how plasticity depends on frequency, beside the data.

In visual cortex, Sjöström et al. paired 60 spikes before a synapse with 60 behind it, 10 ms apart, once every 0.1 to
20 ms. Pairing at low rates weakens, at high rates strengthens a synapse, in either order. Rules in which only pairs of
spikes count cannot show this; with triplets they can:

    traces: r1 (tau_plus), r2 (tau_x) of arriving spikes, o1 (tau_minus), o2 (tau_y) of outgoing ones
    arriving spike: w -= o1 (a2_minus + a3_minus r2);   outgoing spike: w += r1 (a2_plus + a3_plus o2)

with r2 and o2 from before the spike. A spike adds 1 to its traces (`all`), or sets them to 1 (`nearest`).
The error of a rule is the mean over the data of ((ours - data) / standard error of the data)².

Sources: Pfister & Gerstner, J. Neurosci. 26 (2006), tables 3 and 4; the data: Sjöström, Turrigiano & Nelson,
Neuron 32 (2001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
from msgspec import Struct

from neuraxis import parameter
from neuraxis_snn.errors import NetworkInvalid
from neuraxis_snn.models import RELAY
from neuraxis_snn.network import Network
from neuraxis_snn.plasticity import TRIPLET_FULL, TRIPLET_NEAREST, TRIPLETS, Rule
from neuraxis_snn.plots import ACCENT, COLOURS, INK, picture
from neuraxis_snn.published.actor import PublishedNetwork
from neuraxis_snn.published.claims import Claim
from neuraxis_snn.published.tally import Group
from neuraxis_snn.spikes import Spikes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuraxis import Chart, Context
    from neuraxis_snn.numbers import Precision

PAIRINGS: Final = 60
APART_MS: Final = 10.0
BEGIN_MS: Final = 100.0
"""Time of the first arriving spike."""


@final
class Measured(Struct, frozen=True):
    """A point of the data: relative change of a synapse after the pairings.

    Attributes:
        rate_hz: Pairings in a second.
        lag_ms: Outgoing minus arriving spike.
        change, error: Mean and its standard error.
    """

    rate_hz: float
    lag_ms: float
    change: float
    error: float


DATA: Final = (
    Measured(0.1, 10.0, -0.04, 0.05),
    Measured(10.0, 10.0, 0.14, 0.10),
    Measured(20.0, 10.0, 0.29, 0.14),
    Measured(40.0, 10.0, 0.53, 0.11),
    Measured(50.0, 10.0, 0.56, 0.26),
    Measured(0.1, -10.0, -0.29, 0.08),
    Measured(10.0, -10.0, -0.41, 0.11),
    Measured(20.0, -10.0, -0.34, 0.10),
    Measured(40.0, -10.0, 0.56, 0.32),
    Measured(50.0, -10.0, 0.75, 0.19),
)
"""Sjöström et al. (2001), as Pfister & Gerstner (2006) used it."""

LARGEST: Final = 4.0
"""Bound of the weights, which begin at 1; no rule reaches it here."""

PAIRS: Final[dict[str, Any]] = {"a2_plus": 4.72e-3, "a3_plus": 0.0, "a2_minus": 8.04e-4, "a3_minus": 0.0}
"""Amplitudes for which pairs alone come nearest to the data: least squares, as the change is linear in both."""


@final
class Fit(Struct, frozen=True):
    """A rule with parameters that were fitted to the data.

    Attributes:
        rule: The rule.
        parameters: Those that differ from the rule's defaults.
        claim: What is known of its error.
    """

    rule: Rule
    parameters: dict[str, Any]
    claim: Claim


def _fit(name: str, rule: Rule, error: str) -> Fit:
    claim = Claim(f"error_{name}", error, "Pfister & Gerstner 2006, tables 3 and 4", None, 0.4)
    return Fit(rule, dict(TRIPLETS[name]), claim)


FITS: Final = {
    "all_full": _fit("all_full", TRIPLET_FULL, "0.34"),
    "all_minimal": _fit("all_minimal", TRIPLET_FULL, "0.36"),
    "nearest_full": _fit("nearest_full", TRIPLET_NEAREST, "0.23 to 0.33"),
    "nearest_minimal": _fit("nearest_minimal", TRIPLET_NEAREST, "0.34 to 0.35"),
    "pairs": Fit(
        TRIPLET_FULL,
        PAIRS,
        Claim("error_pairs", "no rule of pairs fits", "Pfister & Gerstner 2006: pairs fail", 5.0, None),
    ),
}
"""By name. `pairs` has the amplitudes for which pairs alone come nearest to the data."""


def build(*, dt: str = "0.1 ms", precision: Precision = "float64") -> Network:
    """Return the network: a synapse for each point of the data and each of `FITS`.

    Arriving spikes come in at `arriving`, one line a point of the data; those at `outgoing` make the neurons spike.

    Args:
        dt: Step.
        precision: Of weights and traces.
    """
    network = Network(dt=dt, precision=precision)
    size = len(DATA)
    each = np.arange(size)
    network.inputs("arriving", size)
    network.inputs("outgoing", size)
    network.population("neurons", size, RELAY)
    network.connect("outgoing", "neurons", "fire", weights=1.0, pre=each, post=each, delay=0)
    for name, fit in FITS.items():
        parameters: Any = {"w_max": LARGEST, **fit.parameters}
        network.connect(
            "arriving",
            "neurons",
            "hear",
            weights=1.0,
            pre=each,
            post=each,
            delay=0,
            rule=fit.rule,
            name=name,
            **parameters,
        )
    return network


def protocol(pairings: int, dt_ms: float) -> tuple[Spikes, Spikes]:
    """Return arriving and outgoing spikes of the whole experiment, with steps from its beginning.

    Args:
        pairings: How many, at each rate.
        dt_ms: Step.

    Raises:
        NetworkInvalid: A time is no whole number of steps.
    """
    arriving, outgoing = [], []
    for line, point in enumerate(DATA):
        for number in range(pairings):
            at = BEGIN_MS + number * 1000.0 / point.rate_hz
            arriving.append((_steps(at, dt_ms), line))
            outgoing.append((_steps(at + point.lag_ms, dt_ms), line))
    return Spikes.of(arriving), Spikes.of(outgoing)


def _steps(at_ms: float, dt_ms: float) -> int:
    steps = at_ms / dt_ms
    if abs(steps - round(steps)) > 1e-6:
        reason = f"{at_ms:g} ms are {steps:g} steps of {dt_ms:g} ms"
        raise NetworkInvalid(subject="dt", reason=reason, remedy="Use a step of which 1 ms is a multiple.")
    return round(steps)


def error(changes: np.ndarray) -> float:
    """Return how far changes of the synapses lie from the data: see the head of the module.

    Args:
        changes: (points,) float64, relative.
    """
    parts = [((ours - point.change) / point.error) ** 2 for ours, point in zip(changes.tolist(), DATA, strict=True)]
    return float(sum(parts) / len(parts))


class Triplet(PublishedNetwork):
    """Sjöström's experiment on four triplet rules and one of pairs, each from its own synapses.

    Determinism: exact.
    """

    skip: float = parameter(float, "0 ms", unit="ms", at_least=0, help="beginning that no statistics count")
    pairings: int = parameter(int, PAIRINGS, at_least=1, help="pairings at each rate")

    def setup(self) -> None:
        """Lay out the protocol."""
        super().setup()
        self._protocol = protocol(self.pairings, self.dt)

    def network(self, seed: tuple[int, int]) -> Network:
        """Return the network; nothing in it is random."""
        return build(dt=f"{self.dt!r} ms", precision=self.precision)  # type: ignore[arg-type]

    def groups(self) -> tuple[Group, ...]:
        """One neuron for each point of the data."""
        return (Group("neurons", 0, len(DATA)),)

    def advance(self, context: Context, steps: int) -> Spikes:
        """Compute steps with the spikes that are due in them."""
        begin = self.engine.step
        given = {}
        for name, spikes in zip(("arriving", "outgoing"), self._protocol, strict=True):
            first, last = np.searchsorted(spikes.steps, [begin, begin + steps])
            given[name] = Spikes((spikes.steps[first:last] - begin).astype(np.int32), spikes.neurons[first:last])
        return self.engine.advance(steps, given)["neurons"]

    def claims(self) -> Sequence[Claim]:
        """What is published of 60 pairings."""
        return [fit.claim for fit in FITS.values()] if self.pairings == PAIRINGS else ()

    def measured(self) -> Mapping[str, float | int | str | None]:
        """The errors of all rules."""
        return {f"error_{name}": error(self._changes(name)) if self.seed else None for name in FITS}

    def charts(self) -> Iterable[Chart]:
        """The table, and all changes beside the data."""
        table, *_ = super().charts()
        return [table, self._chart()] if self.seed else [table]

    def _changes(self, name: str) -> np.ndarray:
        found: np.ndarray = self.engine.weights(name).astype(np.float64) - 1.0
        return found

    def _chart(self) -> Chart:
        def draw(figure: Any) -> None:
            for axes, lag in zip(figure.subplots(1, 2, sharey=True), (APART_MS, -APART_MS), strict=True):
                points = [number for number, each in enumerate(DATA) if each.lag_ms == lag]
                rates = [DATA[each].rate_hz for each in points]
                data = [100 * DATA[each].change for each in points]
                bars = [100 * DATA[each].error for each in points]
                axes.errorbar(rates, data, bars, fmt="o", color=INK, label="Sjöström et al. 2001")
                for colour, name in zip((ACCENT, *COLOURS[2:]), FITS, strict=False):
                    axes.plot(rates, 100 * self._changes(name)[points], color=colour, label=name.replace("_", ", "))
                order = "arriving first" if lag > 0 else "outgoing first"
                axes.set(title=f"{abs(lag):g} ms apart, {order}", xlabel="pairings in a second")
            figure.axes[0].set(ylabel="change of the synapse (%)")
            figure.axes[1].legend(frameon=False, fontsize=7)

        caption = "Change of a synapse after 60 pairings. Bars: standard error of the data."
        return picture("Pairing and frequency", caption, draw, size=(9, 3.5))
