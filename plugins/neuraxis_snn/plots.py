"""Pictures for reports, drawn by matplotlib without a display and without a date, so that they are reproducible.

Every function returns a `Chart`. Times are in ms, and are labelled in seconds where they are long.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final, Literal, Self, final

import numpy as np
from msgspec import Struct

from neuraxis.report import Chart
from neuraxis_snn.statistics import population_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuraxis import Array
    from neuraxis_snn.statistics import Trains

DOTS_MAX: Final = 20_000
"""Spikes above which a raster is drawn as pixels."""

DENSITY_MIN: Final = 1_000_000
"""Spikes above which a raster is drawn as an image of rates, because dots would cover each other."""

COLUMNS_MAX: Final = 600
ROWS_MAX: Final = 200
"""Most cells of such an image."""

INK: Final = "#1f4e79"
ACCENT: Final = "#c8641b"
COLOURS: Final = (INK, ACCENT, "#2a8c82", "#8a4f9e", "#7a7a7a", "#b03a48")
"""Told apart also by those who do not see red and green."""

SECONDS_FROM_MS: Final = 10_000
"""Times from which a raster is labelled in seconds."""

MISSING: Final = "The picture needs matplotlib. Install it with: pip install 'neuraxis[viz]'"


def picture(
    title: str,
    caption: str,
    draw: Callable[[Any], None],
    *,
    size: tuple[float, float] = (9, 4),
    form: Literal["svg", "png"] = "svg",
) -> Chart:
    """Return a chart that `draw` draws into a matplotlib figure.

    Where matplotlib is not installed, the chart says so instead of showing a picture.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return Chart(title, f"{caption} {MISSING}")
    settings: Any = {
        "svg.hashsalt": "neuraxis",
        "svg.fonttype": "path",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        stream = io.BytesIO()
        figure.savefig(stream, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {"Software": None})
    return Chart(title, caption, stream.getvalue(), form)


def raster(title: str, caption: str, times_ms: Array, neurons: Array, count: int) -> Chart:
    """Return a raster plot: time to the right, neurons upwards, a dot for each spike.

    Above a million spikes it is an image of rates; the caption says how large its cells are.
    """
    span = (float(times_ms.min()), float(times_ms.max())) if len(times_ms) else (0.0, 1.0)
    cells = _Cells.of(span, count) if len(times_ms) > DENSITY_MIN else None

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        _draw_raster(figure, axes, times_ms, neurons, count, span, cells)

    form: Literal["svg", "png"] = "png" if len(times_ms) > DOTS_MAX else "svg"
    return picture(title, _with_cells(caption, cells), draw, form=form, size=(9, 3.5))


def overview(title: str, caption: str, trains: Trains, *, form: Literal["svg", "png"] | None = None) -> Chart:
    """Return a raster plot with the population rate below it.

    Args:
        title, caption: Of the chart. The caption says how long a bin of the rate is.
        trains: The spikes; the axis is their span.
        form: Of the picture; None chooses by the number of spikes.
    """
    return overviews(title, caption, {"": trains}, form=form)


def overviews(
    title: str, caption: str, trains: Mapping[str, Trains], *, form: Literal["svg", "png"] | None = None
) -> Chart:
    """Return a raster plot with the population rate for each of several populations, one below the other.

    Args:
        title, caption: Of the chart. The caption says how long a bin of each rate is.
        trains: The spikes, by what is written above them.
        form: Of the picture; None chooses by the number of spikes.
    """
    drawn = [_Overview.of(name, each) for name, each in trains.items()]

    def draw(figure: Any) -> None:
        for part, each in zip(figure.subfigures(len(drawn), 1, squeeze=False)[:, 0], drawn, strict=True):
            each.draw(part)

    chosen: Literal["svg", "png"] = form or ("png" if sum(map(len, trains.values())) > DOTS_MAX else "svg")
    captions = [caption, *(each.caption() for each in drawn)]
    return picture(title, " ".join(filter(None, captions)), draw, form=chosen, size=(9, 5 * len(drawn)))


@final
class _Overview(Struct, frozen=True, eq=False):
    """A raster with the population rate below it."""

    name: str
    trains: Trains
    cells: _Cells | None
    bin_ms: float

    @classmethod
    def of(cls, name: str, trains: Trains) -> Self:
        cells = _Cells.of((trains.begin, trains.end), trains.size) if len(trains) > DENSITY_MIN else None
        return cls(name, trains, cells, min(_nice(max(trains.span / 300, 1.0)), trains.span))

    def caption(self) -> str:
        whose = f"{self.name}: mean" if self.name else "Rate: mean"
        return _with_cells(f"{whose} of all neurons in bins of {self.bin_ms:g} ms.", self.cells)

    def draw(self, figure: Any) -> None:
        trains, span = self.trains, (self.trains.begin, self.trains.end)
        if self.name:
            figure.suptitle(self.name, fontsize=10)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        _draw_raster(figure, above, trains.times, trains.neurons, trains.size, span, self.cells)
        above.set(xlabel="")
        unit, factor = _time(span)
        middles, rate = population_rate(trains, self.bin_ms)
        edges = np.append(middles - self.bin_ms / 2, middles[-1:] + self.bin_ms / 2) * factor
        below.stairs(rate, edges, fill=True, color=INK, alpha=0.85)
        below.set(xlabel=f"time ({unit})", ylabel="rate (Hz)", ylim=(0, None), xlim=[at * factor for at in span])


@final
class _Cells(Struct, frozen=True):
    """The cells of an image of rates: `columns` of `bin_ms` from `begin` on, and rows of `group` neurons."""

    begin: float
    bin_ms: float
    columns: int
    group: int
    rows: int

    @classmethod
    def of(cls, span: tuple[float, float], count: int) -> Self:
        bin_ms = _nice((span[1] - span[0]) / COLUMNS_MAX)
        group = -(-count // ROWS_MAX)
        return cls(span[0], bin_ms, max(math.ceil((span[1] - span[0]) / bin_ms), 1), group, -(-count // group))

    def rates(self, times_ms: Array, neurons: Array, count: int) -> Array:
        """Return the mean rate of a neuron in each cell, Hz. (rows, columns)."""
        column = np.minimum(((times_ms - self.begin) / self.bin_ms).astype(np.int64), self.columns - 1)
        flat = np.bincount(neurons // self.group * self.columns + column, minlength=self.rows * self.columns)
        sizes = np.diff(np.minimum(np.arange(self.rows + 1) * self.group, count))
        rates: Array = flat.reshape(self.rows, self.columns) / sizes[:, None] / (self.bin_ms / 1000.0)
        return rates


def _with_cells(caption: str, cells: _Cells | None) -> str:
    if cells is None:
        return caption
    return f"{caption} Drawn as rates in cells of {cells.bin_ms:g} ms and {cells.group:,} neurons.".strip()


def _draw_raster(
    figure: Any, axes: Any, times_ms: Array, neurons: Array, count: int, span: tuple[float, float], cells: _Cells | None
) -> None:
    unit, factor = _time(span)
    if cells is not None:
        right = (cells.begin + cells.columns * cells.bin_ms) * factor
        extent = (cells.begin * factor, right, -0.5, cells.rows * cells.group - 0.5)
        rates = cells.rates(times_ms, neurons, count)
        # a few cells of a strong burst must not make everything else white
        top = float(np.quantile(rates, 0.995)) or float(rates.max())
        image = axes.imshow(
            rates, origin="lower", aspect="auto", extent=extent, cmap="Blues", vmin=0, vmax=top, interpolation="nearest"
        )
        axes.set_xlim(span[0] * factor, span[1] * factor)
        figure.colorbar(image, ax=axes, label="rate (Hz)", pad=0.01, extend="max" if rates.max() > top else "neither")
    elif len(times_ms) > DOTS_MAX:
        axes.plot(times_ms * factor, neurons, ",", color=INK, alpha=0.5)
    else:
        height = max(3.0, min(12.0, 160 / max(count, 1)))
        axes.plot(times_ms * factor, neurons, "|", color=INK, markersize=height, markeredgewidth=1.0)
    axes.set(xlabel=f"time ({unit})", ylabel="neuron", ylim=(-0.5, count - 0.5))
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")


# ----------------------------------------------------------------------------- distributions


def rate_course(title: str, caption: str, edges_ms: Array, rate_hz: Array) -> Chart:
    """Return the population rate over time as steps. `edges_ms` (n + 1,), `rate_hz` (n,)."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        unit, factor = _time((float(edges_ms[0]), float(edges_ms[-1])))
        edges = edges_ms * factor
        axes.stairs(rate_hz, edges, fill=True, color=INK, alpha=0.85)
        axes.set(xlabel=f"time ({unit})", ylabel="rate (Hz)", ylim=(0, None), xlim=(edges[0], edges[-1]))
        axes.ticklabel_format(axis="x", useOffset=False, style="plain")

    return picture(title, caption, draw, size=(9, 2.5))


def interval_histogram(title: str, caption: str, edges_ms: Array, number: Array, *, cv: float | None) -> Chart:
    """Return a histogram of intervals between spikes, with their coefficient of variation.

    Args:
        title, caption: Of the chart.
        edges_ms: (n + 1,) edges of the bins, ascending, the first positive. The axis is logarithmic, and heights are
            shares by decade, so that bins of different width compare.
        number: (n,) intervals in each.
        cv: Mean coefficient of variation, or None.
    """
    share = number / max(int(number.sum()), 1) / np.diff(np.log10(edges_ms))
    used = np.flatnonzero(number)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.stairs(share * 100, edges_ms, fill=True, color=INK, alpha=0.85)
        axes.set(xscale="log", xlabel="interval (ms)", ylabel="intervals (% per decade)", ylim=(0, None))
        shown = (
            (edges_ms[max(used[0] - 1, 0)], edges_ms[min(used[-1] + 2, len(edges_ms) - 1)]) if len(used) else edges_ms
        )
        axes.set_xlim(shown[0], shown[-1])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}" if shown[-1] < 20 * shown[0] else "")
        if cv is not None:
            axes.text(0.98, 0.95, f"mean CV {cv:.2f}", transform=axes.transAxes, ha="right", va="top")

    return picture(title, caption, draw, size=(6, 3))


def rate_distribution(title: str, caption: str, rates_hz: Array) -> Chart:
    """Return how rates are spread over neurons: a histogram with mean and median marked. `rates_hz` (n,)."""
    top = float(rates_hz.max()) if len(rates_hz) else 0.0
    width = _nice(top / 40) if top > 0 else 1.0
    edges = np.arange(int(top / width) + 2) * width
    number, _ = np.histogram(rates_hz, edges)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.stairs(number, edges, fill=True, color=INK, alpha=0.85)
        for value, name, style in ((rates_hz.mean(), "mean", "-"), (np.median(rates_hz), "median", ":")):
            axes.axvline(value, color=ACCENT, linestyle=style, linewidth=1.4, label=f"{name} {value:.3g} Hz")
        axes.set(xlabel="rate (Hz)", ylabel="neurons", ylim=(0, None), xlim=(0, edges[-1]))
        axes.legend(frameon=False)

    return picture(title, caption, draw, size=(6, 3))


def weight_histogram(title: str, caption: str, edges: Array, number: Array, *, unit: str = "") -> Chart:
    """Return a histogram of weights. `edges` (n + 1,), `number` (n,) synapses in each bin."""
    share = number / max(int(number.sum()), 1)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.stairs(share * 100, edges, fill=True, color=INK, alpha=0.85)
        axes.set(xlabel=_labelled("weight", unit), ylabel="synapses (%)", ylim=(0, None), xlim=(edges[0], edges[-1]))

    return picture(title, caption, draw, size=(6, 3))


def weight_evolution(
    title: str, caption: str, times_ms: Array, number: Array, edges: Array, quantiles: Array, *, unit: str = ""
) -> Chart:
    """Return how weights were spread at each time: their histogram as an image, with quantiles as lines.

    Args:
        title, caption: Of the chart.
        times_ms: (t,) ascending.
        number: (t, n) synapses in each bin at each time.
        edges: (n + 1,) edges of the bins.
        quantiles: (t, 3) lower quartile, median and upper quartile.
        unit: Of the weights.
    """
    share = number / np.maximum(number.sum(axis=1, keepdims=True), 1) * 100
    span = (float(times_ms[0]), float(times_ms[-1]))

    def draw(figure: Any) -> None:
        from matplotlib.colors import LogNorm

        axes = figure.subplots()
        label, factor = _time(span)
        borders = _borders(times_ms) * factor
        least = float(share[share > 0].min()) if (share > 0).any() else 1e-3
        norm = LogNorm(vmin=least, vmax=max(float(share.max()), 10 * least))
        shown = np.ma.masked_equal(share.T, 0)
        image = axes.pcolormesh(borders, edges, shown, cmap="Blues", norm=norm, rasterized=True)
        for column, (style, name) in enumerate((("--", "quartiles"), ("-", "median"), ("--", None))):
            axes.plot(times_ms * factor, quantiles[:, column], style, color=ACCENT, linewidth=1.3, label=name)
        figure.colorbar(image, ax=axes, label="synapses (%)", pad=0.01)
        axes.set(xlabel=f"time ({label})", ylabel=_labelled("weight", unit), ylim=(edges[0], edges[-1]))
        axes.ticklabel_format(axis="x", useOffset=False, style="plain")
        axes.legend(frameon=False, loc="upper left")

    return picture(title, caption, draw, size=(9, 3.5), form="png")


def traces(
    title: str, caption: str, times_ms: Array, values: Array, labels: Sequence[str], *, names: Sequence[str]
) -> Chart:
    """Return states over time: a panel for each state, a line for each neuron.

    Args:
        title, caption: Of the chart.
        times_ms: (t,) ascending.
        values: (t, states, neurons).
        labels: What each neuron is called.
        names: What each state is called, with its unit: `"v (mV)"`.
    """
    span = (float(times_ms[0]), float(times_ms[-1])) if len(times_ms) else (0.0, 1.0)

    def draw(figure: Any) -> None:
        unit, factor = _time(span)
        panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for panel, name, lines in zip(panels, names, np.moveaxis(values, 1, 0), strict=True):
            for number, label in enumerate(labels):
                colour = COLOURS[number % len(COLOURS)]
                panel.plot(times_ms * factor, lines[:, number], color=colour, linewidth=0.9, label=label)
            panel.set(ylabel=name, xlim=[at * factor for at in span])
            panel.ticklabel_format(axis="x", useOffset=False, style="plain")
        panels[-1].set(xlabel=f"time ({unit})")
        if 1 < len(labels) <= len(COLOURS):
            figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right upper")

    form: Literal["svg", "png"] = "png" if values.size > DOTS_MAX else "svg"
    return picture(title, caption, draw, size=(9, 1 + 1.8 * len(names)), form=form)


def _time(span: tuple[float, float]) -> tuple[str, float]:
    """Return the unit in which times are told, and the factor from ms."""
    return ("s", 1e-3) if span[1] > SECONDS_FROM_MS else ("ms", 1.0)


def _nice(value: float) -> float:
    """Return the least of 1, 2 and 5 times a power of ten that is not below `value`."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next((step * power for step in (1.0, 2.0, 5.0) if step * power >= value * (1 - 1e-9)), 10.0 * power)


def _borders(middles: Array) -> Array:
    """Return borders between values that ascend, one more than there are."""
    if len(middles) < 2:
        return np.array([middles[0] - 0.5, middles[0] + 0.5])
    inner = (middles[1:] + middles[:-1]) / 2
    return np.concatenate([[2 * middles[0] - inner[0]], inner, [2 * middles[-1] - inner[-1]]])


def _labelled(what: str, unit: str) -> str:
    return f"{what} ({unit})" if unit else what
