"""The monitor: draws a raster, the receptive fields and the learning curve into the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neuraxis import Actor, Chart, Context, Input, on, parameter, state
from neuraxis_cognition.messages import Accuracy, Fields
from neuraxis_snn import Spikes
from neuraxis_snn.plots import picture, raster


class Monitor(Actor):
    """Watches a layer, and draws what it saw. Changes nothing.

    Determinism: exact.
    """

    neurons: int = parameter(int, 100, help="neurons of the layer", at_least=1)
    dt: float = parameter(float, "0.5 ms", unit="ms", help="step of the layer")
    window: int = parameter(int, "5 s", unit="ticks", help="how much of the end to draw", at_least=1)
    fields_shown: int = parameter(int, 100, help="receptive fields to draw", at_least=1)

    spikes = Input(Spikes, "spikes of the layer in the tick before")
    fields = Input(Fields, "its weights, now and then")
    progress = Input(Accuracy, "the learning curve, point by point")

    curve: list[list[float]] = state(factory=list)
    kept: list[list[Any]] = state(factory=list)
    weights: np.ndarray = state(factory=lambda: np.zeros((0, 0), np.float32))
    weights_at: int = state(-1)
    tick_ms: float = state(0.0)

    @on(spikes)
    def keep_spikes(self, context: Context, spikes: Spikes) -> None:
        """Keep spikes, and forget those that left the window."""
        self.tick_ms = float(context.tick_length * 1000)
        self.kept.append([context.tick - 1, spikes.steps, spikes.neurons])
        while self.kept[0][0] <= context.tick - 1 - self.window:
            del self.kept[0]

    @on(fields)
    def keep_fields(self, _: Context, fields: Fields) -> None:
        """Keep the newest weights."""
        self.weights, self.weights_at = fields.weights, fields.number

    @on(progress)
    def keep_progress(self, _: Context, accuracy: Accuracy) -> None:
        """Keep a point of the learning curve."""
        self.curve.append([float(accuracy.number), accuracy.share])

    def figures(self) -> Mapping[str, float | None]:
        """The newest point of the learning curve."""
        return {"last_accuracy_in_training": self.curve[-1][1] if self.curve else None}

    def charts(self) -> Iterable[Chart]:
        """Draw everything."""
        charts = []
        if self.curve:
            charts.append(self._draw_curve())
        if self.weights.size:
            charts.append(self._draw_fields())
        times = [tick * self.tick_ms + steps * self.dt for tick, steps, _ in self.kept]
        if times:
            everything, neurons = np.concatenate(times), np.concatenate([each[2] for each in self.kept])
            caption = f"The last {len(everything):,} spikes. Few neurons answer to one picture."
            charts.append(raster("Raster", caption, everything, neurons, self.neurons))
        return charts

    def _draw_curve(self) -> Chart:
        def draw(figure: Any) -> None:
            axes = figure.subplots()
            numbers, shares = zip(*self.curve, strict=True)
            axes.plot(numbers, [100 * share for share in shares], "o-", color="#1f4e79", markersize=4)
            axes.axhline(10, color="#999999", linewidth=1, linestyle="--")
            axes.text(numbers[0], 11, "chance", color="#777777")
            axes.set(xlabel="pictures shown", ylabel="right answers (%)", ylim=(0, 100))

        caption = "Share of right answers to the newest pictures, by labels that the pictures before them give."
        return picture("Learning curve", caption, draw, size=(7, 3))

    def _draw_fields(self) -> Chart:
        inputs, count = self.weights.shape[0], min(self.fields_shown, self.weights.shape[1])
        side = round(inputs**0.5)
        columns = int(np.ceil(count**0.5))
        rows = -(-count // columns)
        canvas = np.full((rows * (side + 1) - 1, columns * (side + 1) - 1), np.nan)
        for number in range(count if side * side == inputs else 0):
            top, left = divmod(number, columns)
            square = self.weights[:, number].reshape(side, side)
            canvas[top * (side + 1) : top * (side + 1) + side, left * (side + 1) : left * (side + 1) + side] = square

        def draw(figure: Any) -> None:
            axes = figure.subplots()
            shown = axes.imshow(canvas, cmap="inferno", interpolation="nearest")
            axes.set_axis_off()
            figure.colorbar(shown, ax=axes, shrink=0.6, label="weight")

        caption = f"The weights onto {count} neurons before showing {self.weights_at:,}: what each has learned to see."
        return picture("Receptive fields", caption, draw, size=(7, 6), form="png")
