"""Pictures for reports, drawn by matplotlib without a display and without a date, so that they are reproducible."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final, Literal

from neuraxis.report import Chart

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

DOTS_MAX: Final = 20_000
"""Spikes above which a raster is drawn as pixels."""

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


def raster(title: str, caption: str, times_ms: np.ndarray, neurons: np.ndarray, count: int) -> Chart:
    """Return a raster plot: time to the right, neurons upwards, a dot for each spike."""

    in_seconds = bool(len(times_ms)) and float(times_ms[-1]) > SECONDS_FROM_MS
    times, unit = (times_ms / 1000, "s") if in_seconds else (times_ms, "ms")

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        if len(times) > DOTS_MAX:
            axes.plot(times, neurons, ",", color="#1f4e79", alpha=0.5)
        else:
            height = max(3.0, min(12.0, 160 / max(count, 1)))
            axes.plot(times, neurons, "|", color="#1f4e79", markersize=height, markeredgewidth=1.0)
        axes.set(xlabel=f"time ({unit})", ylabel="neuron", ylim=(-0.5, count - 0.5))
        axes.ticklabel_format(axis="x", useOffset=False, style="plain")

    return picture(title, caption, draw, form="png" if len(times_ms) > DOTS_MAX else "svg", size=(9, 3.5))
