"""Pictures of runs: what they show, that they are labelled, and that they are the same bytes every time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from neuraxis import Chart
from neuraxis_snn import plots
from neuraxis_snn.statistics import Trains, rates


def trains(spikes: int, *, size: int = 40, until: float = 1_000.0) -> Trains:
    draw = np.random.default_rng(1)
    return Trains.of(draw.random(spikes) * until, draw.integers(0, size, spikes), size=size, until_ms=until)


def course() -> Chart:
    return plots.rate_course("Course", "", np.array([0.0, 10.0, 20.0]), np.array([3.0, 5.0]))


def histogram() -> Chart:
    return plots.interval_histogram("Intervals", "", np.array([1.0, 2.0, 4.0, 9.0]), np.array([0, 3, 1]), cv=0.5)


def evolution() -> Chart:
    number, quantiles = (
        np.array([[3, 1], [2, 2], [0, 4]]),
        np.array([[0.1, 0.2, 0.3], [0.2, 0.4, 0.6], [0.6, 0.7, 0.9]]),
    )
    edges = np.array([0.0, 0.5, 1.0])
    return plots.weight_evolution("Weights", "", np.array([0.0, 5.0, 9.0]), number, edges, quantiles, unit="nS")


def weights() -> Chart:
    return plots.weight_histogram("Weights", "", np.array([0.0, 0.5, 1.0]), np.array([1, 3]), unit="nS")


def states() -> Chart:
    values = np.arange(12.0).reshape(3, 2, 2)
    return plots.traces("States", "", np.arange(3.0), values, ["neuron 0", "neuron 4"], names=["v (mV)", "u"])


CHARTS: dict[str, Callable[[], Chart]] = {
    "overview": lambda: plots.overview("Raster", "", trains(60)),
    "overview of many": lambda: plots.overview("Raster", "", trains(30_000)),
    "course": course,
    "intervals": histogram,
    "rates": lambda: plots.rate_distribution("Rates", "", rates(trains(600))),
    "weights": weights,
    "evolution": evolution,
    "states": states,
}


@pytest.mark.parametrize("name", CHARTS)
def test_every_picture_is_the_same_bytes_every_time(name: str) -> None:
    first = CHARTS[name]()
    assert first.picture is not None
    assert first.picture == CHARTS[name]().picture


@pytest.mark.parametrize("name", CHARTS)
def test_without_matplotlib_a_chart_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    chart = CHARTS[name]()
    assert chart.picture is None
    assert chart.caption.endswith("pip install 'neuraxis[viz]'")


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects the axes of the figures that are drawn."""
    from matplotlib.figure import Figure

    found: list[Any] = []
    save = Figure.savefig

    def savefig(self: Any, *arguments: Any, **options: Any) -> None:
        found.extend(self.axes)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return found


@pytest.mark.parametrize("name", CHARTS)
def test_every_axis_is_labelled(name: str, axes: list[Any]) -> None:
    CHARTS[name]()
    assert axes
    lowest = min(axes, key=lambda each: each.get_position().y0)
    assert all(each.get_ylabel() for each in axes)
    assert lowest.get_xlabel()


def test_times_of_long_runs_are_told_in_seconds(axes: list[Any]) -> None:
    plots.overview("Raster", "", trains(50, until=60_000.0))
    assert axes[1].get_xlabel() == "time (s)"
    assert axes[1].get_xlim() == (0.0, 60.0)


def test_the_curve_of_the_overview_is_the_population_rate(axes: list[Any]) -> None:
    chart = plots.overview("Raster", "", Trains.of([1.0, 2.0, 7.0], [0, 1, 1], size=2, until_ms=10.0))
    assert chart.caption == "Rate: mean of all neurons in bins of 1 ms."
    (steps,) = axes[1].patches
    assert steps.get_data().values.tolist() == [0, 500, 500, 0, 0, 0, 0, 500, 0, 0]


def test_above_a_million_spikes_a_raster_is_an_image_of_rates(axes: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "DENSITY_MIN", 5_000)
    some = trains(6_000, size=500, until=1_200.0)
    chart = plots.raster("Raster", "All.", some.times, some.neurons, 500)
    assert chart.caption == "All. Drawn as rates in cells of 2 ms and 3 neurons."
    (image,) = axes[0].get_images()
    shown = np.asarray(image.get_array())
    assert shown.shape == (167, 600)
    sizes = np.array([3] * 166 + [2])
    assert (shown * sizes[:, None]).sum() * 0.002 == pytest.approx(6_000)  # no spike is lost, the last row is smaller


@pytest.mark.slow
def test_a_raster_of_more_than_a_million_spikes_is_small(axes: list[Any]) -> None:
    some = trains(plots.DENSITY_MIN + 1, size=10_000)
    chart = plots.overview("Raster", "", some)
    assert (chart.form, len(axes[0].get_images())) == ("png", 1)
    assert chart.picture is not None
    assert len(chart.picture) < 500_000


def test_a_picture_of_nothing_is_a_picture() -> None:
    none = Trains.of([], [], size=3, until_ms=5.0)
    assert plots.overview("Raster", "", none).picture
    assert plots.rate_distribution("Rates", "", rates(none)).picture
    assert plots.interval_histogram("Intervals", "", np.array([1.0, 2.0]), np.array([0]), cv=None).picture
