"""Pictures in reports, drawn by matplotlib without a display or a date, so that they are reproducible.

Determinism: machine (fonts).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

from neuraxis import Chart

MISSING: Final = "The picture needs matplotlib. Install it with: pip install 'neuraxis[viz]'"
SETTINGS: Final = {
    "svg.hashsalt": "neuraxis",
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
WIDTH: Final = 9.0


def picture(title: str, caption: str, draw: Callable[[Any], None], *, height: float) -> Chart:
    """Return a chart with a picture. Without matplotlib the chart says so instead.

    Args:
        title: Of the chart.
        caption: How to read it.
        draw: Draws on the axes of matplotlib that it is given.
        height: Inches; the width is 9.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return Chart(title, f"{caption} {MISSING}")
    settings: Any = SETTINGS
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure.subplots())
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return Chart(title, caption, stream.getvalue(), "svg")
