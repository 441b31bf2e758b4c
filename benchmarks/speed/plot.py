"""The figures as small multiples: a column per job, a row per figure, a line per sampler, over anchors."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from speed.case import Record
from speed.figures import COLUMNS, Column
from speed.jobs import ASKED

COLOURS = {
    "ours": "#b8336a",
    "torch": "#3b6fb6",
    "pml": "#e0902f",
    "torchdata": "#4f9d69",
    "grain": "#7d5ba6",
    "Streaming": "#6d7178",
}
"""By the first word of a sampler's name: its library."""
DASHES = ("-", "--")
STYLE = {"font.size": 8, "svg.hashsalt": "speed", "axes.spines.top": False, "axes.spines.right": False}


def draw(records: Sequence[Record], out: Path) -> None:
    """Write ``out`` with the suffixes .png and .svg."""
    jobs = [job for job in ASKED if any(r["job"] == job and not r["ours"] for r in records)]
    if not jobs:
        return
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        width, height = 2.3 * max(len(jobs), 2) + 0.9, 1.5 * len(COLUMNS) + 2.0
        figure, grid = plt.subplots(
            len(COLUMNS), len(jobs), figsize=(width, height), squeeze=False, sharex=True, sharey="row"
        )
        inches = {
            "left": 0.8 / width,
            "right": 1 - 0.1 / width,
            "bottom": 0.7 / height,
            "top": 1 - 1.3 / height,
        }
        figure.subplots_adjust(**inches, wspace=0.1, hspace=0.2)
        for place, job in enumerate(jobs):
            draw_job(list(grid[:, place]), job, [record for record in records if record["job"] == job])
        grid[0, 0].set_xlim(around([record["rows"] for record in records]))
        for axes, column in zip(grid[:, 0], COLUMNS, strict=True):
            axes.set_ylabel(f"{column.title},\n{column.unit}")
            axes.set_ylim(around([value for _, value in found(column, records)]))
        figure.text(
            0.1 / width, 0.1 / height, "x: not found in the time of a case, for so many anchors or fewer"
        )
        figure.savefig(out.with_suffix(".png"), dpi=150)
        figure.savefig(out.with_suffix(".svg"), metadata={"Date": None})
        plt.close(figure)


def draw_job(column_axes: Sequence[Axes], job: str, records: Sequence[Record]) -> None:
    for axes in column_axes:
        axes.set(xscale="log", yscale="log")
    libraries: list[str] = []
    for sampler in dict.fromkeys(record["sampler"] for record in records):
        library = sampler.split()[0]
        dash = DASHES[libraries.count(library) % len(DASHES)]
        libraries.append(library)
        own = sorted((r for r in records if r["sampler"] == sampler), key=lambda record: record["rows"])
        for axes, column in zip(column_axes, COLUMNS, strict=True):
            draw_line(axes, column, own, COLOURS[library], dash)
    for axes in column_axes:
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(True, which="major", color="#e6e6e6", linewidth=0.6)
    column_axes[-1].set_xlabel("anchors")
    column_axes[0].set_title(job, fontsize=9, loc="left", pad=64, fontweight="bold")
    column_axes[0].legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(-0.1, 1))


def draw_line(axes: Axes, column: Column, records: Sequence[Record], colour: str, dash: str) -> None:
    """Draw one sampler's figure; values below what can be told apart are drawn at that level."""
    ours = records[0]["ours"]
    points = found(column, records)
    axes.plot(
        [rows for rows, _ in points],
        [value for _, value in points],
        dash,
        color=colour,
        marker="o",
        markersize=3,
        linewidth=2.2 if ours else 1.2,
        label=records[0]["sampler"],
        zorder=3 if ours else 2,
    )
    late = [r["rows"] for r in records if "too_slow" in r and column.read(r) is None]
    axes.plot(late, [1] * len(late), "x", color=colour, transform=axes.get_xaxis_transform(), clip_on=False)


def found(column: Column, records: Sequence[Record]) -> list[tuple[float, float]]:
    """Return anchors and the figure of the records that have one."""
    return [(r["rows"], max(v, column.level)) for r in records if (v := column.read(r)) is not None]


def around(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits of a logarithmic axis that shows some values above 0.

    Matplotlib makes room around an axis with one value by its decades, and where log10(1000) is not 3 to
    the last bit, which depends on the processor, it finds none and warns.
    """
    return (min(values) / 2, max(values) * 2) if values else (1, 10)
