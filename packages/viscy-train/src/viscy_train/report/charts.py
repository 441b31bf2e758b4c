"""Pictures of batches and of metrics: what was fed, and what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator

from viscy_train.evaluation import Metric
from viscy_train.report.figures import (
    CONDITION_COLOURS,
    EMBEDDING_COLOURS,
    EXPERIMENT_COLOURS,
    UNKNOWN,
    FloatArray,
    IntArray,
    drawing,
    drawn,
    legend,
    png_of,
)


@dataclass(frozen=True)
class BatchLabels:
    """Labels of the anchors of a few batches of one kind.

    Attributes
    ----------
    experiment, condition : ndarray (batches, batch size)
        Codes; condition -1 where not known.
    time : ndarray (batches, batch size)
        Hours post infection, or frames.
    """

    experiment: IntArray
    condition: IntArray
    time: FloatArray


def batches_figure(
    kinds: Mapping[str, BatchLabels], experiments: Sequence[str], conditions: Sequence[str], time: str
) -> bytes:
    """Draw batches as columns: above, what each is made of; below, when its cells were seen.

    A column is one batch; colour is the experiment, a darker half of it the first condition.
    """
    with drawing(10.4, 5.4) as figure:
        grid = figure.subplots(2, len(kinds), squeeze=False, sharex="col", sharey="row")
        for (title, labels), (above, below) in zip(kinds.items(), grid.T, strict=True):
            _stack(above, labels, len(experiments), max(1, len(conditions)))
            _times(below, labels)
            above.set_title(drawn(title))
            below.set_xlabel("batch")
            below.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid[0, 0].set_ylabel("anchors")
        grid[1, 0].set_ylabel(time)
        legend(grid[0, -1], experiments, EXPERIMENT_COLOURS, "experiment")
        legend(grid[1, -1], conditions, CONDITION_COLOURS, "condition")
        if conditions:
            grid[0, -1].text(
                1.02,
                0.0,
                f"dark: {drawn(conditions[0])}\nlight: {drawn(conditions[-1])}",
                transform=grid[0, -1].transAxes,
                fontsize=7.5,
                color="#59636e",
            )
        return png_of(figure)


def _stack(axes: Axes, labels: BatchLabels, experiments: int, conditions: int) -> None:
    batches = np.arange(1, len(labels.experiment) + 1)
    floor = np.zeros(len(batches))
    for experiment in range(experiments):
        for condition in range(-1, conditions):
            counts = ((labels.experiment == experiment) & (labels.condition == condition)).sum(axis=1)
            colour = np.array(to_rgb(EXPERIMENT_COLOURS[experiment % len(EXPERIMENT_COLOURS)]))
            fade = 0.55 * max(condition, 0) / max(1, conditions - 1)
            axes.bar(
                batches, counts, bottom=floor, width=0.86, color=colour + (1 - colour) * fade, linewidth=0
            )
            floor = floor + counts


def _times(axes: Axes, labels: BatchLabels) -> None:
    batches, size = labels.time.shape
    jitter = np.random.default_rng(0).uniform(-0.36, 0.36, (batches, size))
    places = np.arange(1, batches + 1)[:, None] + jitter
    shown = np.array([to_rgb(one) for one in CONDITION_COLOURS])[labels.condition % len(CONDITION_COLOURS)]
    shown[labels.condition < 0] = to_rgb(UNKNOWN)
    axes.scatter(
        places.ravel(),
        labels.time.ravel(),
        s=float(np.clip(9000 / places.size, 3, 12)),
        c=shown.reshape(-1, 3),
        linewidths=0,
        alpha=0.7,
    )


def metrics_figure(metrics: Mapping[str, Mapping[str, Metric]]) -> bytes:
    """Draw each metric as a small panel: value and interval for each embedding, shuffled as a dashed line.

    Parameters
    ----------
    metrics : mapping
        Title of a metric to {name of an embedding: metric}, embeddings in the order of
        `EMBEDDING_COLOURS`.
    """
    columns = 3
    rows = -(-len(metrics) // columns)
    with drawing(10.4, 1.75 * rows + 0.2) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, (title, values) in zip(grid.ravel(), metrics.items(), strict=False):
            _panel(axes, title, values)
        for axes in grid.ravel()[len(metrics) :]:
            axes.set_visible(False)
        return png_of(figure)


def _panel(axes: Axes, title: str, values: Mapping[str, Metric]) -> None:
    better = next(iter(values.values())).definition.better
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(
        "better →" if better == "higher" else "← better",
        fontsize=7.5,
        loc="right" if better == "higher" else "left",
    )
    places = -np.arange(len(values), dtype=float)
    for place, (metric, colour) in zip(
        places, zip(values.values(), EMBEDDING_COLOURS, strict=False), strict=True
    ):
        axes.plot([metric.low, metric.high], [place, place], color=colour, linewidth=2.5, alpha=0.45)
        axes.scatter([metric.value], [place], color=colour, s=34, zorder=3)
        axes.plot(
            [metric.shuffled] * 2, [place - 0.4, place + 0.4], color="#8b949e", linewidth=1.1, dashes=(2, 1.5)
        )
    axes.set_yticks(places, list(values))
    axes.set_ylim(places[-1] - 0.6, 0.6)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.grid(axis="x", color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
