"""The cells of a batch as patches, for the page of an audit.

An audit counts names. Whether a batch that holds one experiment looks like one, and whether a batch that
mixes five gives the microscope away, is seen at a glance in its patches. So the first batch of each plan is
read, as training reads it: normalised, and in one contrast for all of them. This is the one part of an audit
that reads pixels, and only where it is asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import CHANNEL, CONDITION, EXPERIMENT
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import StoreError
from viscy_data.pages.page import Gallery, Tile
from viscy_data.pages.pixels import eight_bits, png_of, tinted
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.pairing import Pairing, Positive
from viscy_data.text import shown

MOST: Final = 48
"""Cells of a batch that are shown: evenly spaced ones, which hold its strata in the same shares."""


def batch_galleries(
    path: Path,
    anchors: pd.DataFrame,
    plans: Sequence[tuple[str, BatchPlan | Curriculum]],
    *,
    seed: int = 0,
    positive: Positive | None = None,
    pairing: Pairing = Pairing(),  # noqa: B008  frozen
) -> list[Gallery]:
    """Return the patches of the first batch of each plan, sorted by what they are of.

    Parameters
    ----------
    path
        The anchors table.
    anchors
        Its rows that have a positive, as batches are composed of them.
    plans
        Names and plans.
    seed
        Of the samplers.
    positive, pairing
        The rule of positives.

    Raises
    ------
    InvalidInputError, StoreError
        The stores cannot be opened. A cell that cannot be read is black, and its caption says so.
    """
    if not plans:
        return []
    dataset = AnchorDataset(path, positive=positive, pairing=pairing)
    batches = []
    for _, plan in plans:
        batch = FlexibleBatchSampler.from_plan(anchors, plan, seed=seed).batch(0, epoch=0)
        places = np.linspace(0, len(batch) - 1, min(MOST, len(batch))).round().astype(np.int64)
        rows = dataset.valid_rows[np.asarray(batch)[places]]
        names = [_names(dataset.anchors.iloc[row]) for row in rows]
        batches.append(rows[sorted(range(len(rows)), key=lambda place: names[place])])
    patches, failed = dataset.try_read(np.concatenate(batches))
    pictures = eight_bits(patches[:, :, patches.shape[2] // 2].numpy())
    galleries, start = [], 0
    for (name, plan), rows in zip(plans, batches, strict=True):
        tiles = list(_tiles(dataset.anchors, rows, pictures[start : start + len(rows)], start, failed))
        size = plan.batch_size if isinstance(plan, BatchPlan) else len(rows)
        cut = f"{len(rows)} of {size} cells" if size > len(rows) else f"{len(rows)} cells"
        galleries.append(Gallery(tiles, shown(name) if len(plans) > 1 else "", f"{cut} of the first batch."))
        start += len(rows)
    return galleries


def _tiles(
    anchors: pd.DataFrame,
    rows: NDArray[np.int64],
    pictures: NDArray[np.uint8],
    start: int,
    failed: Mapping[int, StoreError],
) -> Iterator[Tile]:
    for place, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
        unread = ("could not be read",) if start + place in failed else ()
        yield Tile(png_of(tinted(picture)), " · ".join((*_names(anchors.iloc[row]), *unread)))


def _names(row: "pd.Series[Any]") -> tuple[str, ...]:
    """Return experiment, condition and channel of a cell, those that are known."""
    held = [row[name] for name in (EXPERIMENT, CONDITION, CHANNEL) if name in row.index]
    return tuple(shown(one, 40) for one in held if pd.notna(one))
