"""Tables that the commands print; each shows a value of the library and decides nothing."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from viscy_data.composition.report import CompositionReport
from viscy_data.convert import MovieSummary
from viscy_data.index import ConditionCounts


def movies_table(movies: Sequence[MovieSummary]) -> Table:
    """Show what `viscy_data.convert.convert_movies` found, one row per movie."""
    table = Table(title="Movies")
    for heading in ("movie", "T x C x Z x Y x X", "channels", "cells x frames", "tracks", "divisions"):
        table.add_column(heading)
    table.add_column("not stated", style="yellow")
    for movie in movies:
        counts = (movie.detections, movie.tracks, movie.divisions)
        table.add_row(
            movie.name,
            " x ".join(str(length) for length in movie.shape),
            ", ".join(movie.channels),
            *(f"{count:,}" for count in counts),
            ", ".join(movie.not_stated),
        )
    return table


def counts_table(counts: Sequence[ConditionCounts]) -> Table:
    """Show what `viscy_data.index.build_index` counted, one row per experiment and condition."""
    numbers = [(one.cells, one.anchors, one.valid_anchors) for one in counts]
    totals = [sum(column) for column in zip(*numbers, strict=True)]
    table = Table(title="Anchors", show_footer=True)
    table.add_column("experiment", "all")
    table.add_column("condition")
    for heading, total in zip(("cells", "anchors", "with a positive"), totals, strict=True):
        table.add_column(heading, f"{total:,}", justify="right")
    table.add_column("dropped")
    for one, row in zip(counts, numbers, strict=True):
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in one.dropped.items() if count)
        condition = one.condition or "not known"
        table.add_row(one.experiment, condition, *(f"{number:,}" for number in row), dropped or "none")
    return table


def report_tables(report: CompositionReport) -> Iterator[Table]:
    """Show what batches held beside what was asked: over all, then by group."""
    yield _overall_table(report)
    yield _groups_table(report)


def _overall_table(report: CompositionReport) -> Table:
    epochs = "1 epoch" if report.epochs == 1 else f"{report.epochs} epochs"
    table = Table(
        title=f"{epochs}: {report.batches:,} batches of {report.batch_size} from {report.anchors:,} anchors"
    )
    for heading in ("per batch", "asked", "held"):
        table.add_column(heading, justify="left" if heading == "per batch" else "right")
    table.add_row("anchors from other experiments", f"{report.leak_asked:.2f}", f"{report.leak_held:.2f}")
    if report.focal_asked is not None and report.focal_held is not None:
        table.add_row("fraction inside the window", f"{report.focal_asked:.3f}", f"{report.focal_held:.3f}")
    table.add_row("repeated anchors", "0", f"{report.repeats / max(1, report.batches):.2f}")
    return table


def _groups_table(report: CompositionReport) -> Table:
    table = Table(title="Batches, and mean anchors per batch: asked > held")
    table.add_column("experiment")
    table.add_column("batches", justify="right")
    for stratum in report.strata:
        table.add_column("anchors" if stratum is None else str(stratum), justify="right")
    table.add_column("visits of an anchor", justify="right")
    if report.times is not None:
        table.add_column(f"{report.times[0]:.3g} to {report.times[-1]:.3g} hours")
    for g, group in enumerate(report.groups):
        shares = zip(report.stratum_asked[g], report.stratum_held[g], strict=True)
        table.add_row(
            "all" if group is None else str(group),
            f"{report.batches_asked[g]:.1f} > {report.batches_held[g]}",
            *(f"{asked:.2f} > {held:.2f}" for asked, held in shares),
            f"{report.visits_least[g].min()} to {report.visits_most[g].max()}",
            *([] if report.times is None else [_bars(report.by_time[g].sum(axis=0))]),
        )
    return table


def _bars(counts: NDArray[np.int64]) -> str:
    """Return a line of bars, the highest for the largest count and a blank for none."""
    bars = " ▁▂▃▄▅▆▇█"
    heights = np.ceil(counts / max(1, int(counts.max())) * (len(bars) - 1)).astype(int)
    return "".join(bars[height] for height in heights)
