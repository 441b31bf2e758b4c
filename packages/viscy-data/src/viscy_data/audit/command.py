"""What ``viscy-data audit`` does: read anchors, compose the first batches of one plan or two, count."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from viscy_data.audit.audited import Audited
from viscy_data.audit.taus import Taus
from viscy_data.columns import EXPERIMENT, FOV, HOURS, LINEAGE_ID, TRACK_ID, T
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.progress import progress_bar
from viscy_data.sampling.batch import IndexBatch
from viscy_data.sampling.notes import collect_notes
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.positives import Positives

MARKED = (EXPERIMENT, FOV, T, TRACK_ID, LINEAGE_ID, HOURS)
"""Columns that a report counts by, whatever the plan."""
TAU_BATCHES = 200
"""Batches whose positives are drawn."""


def read_valid_anchors(
    path: Path, plans: Sequence[BatchPlan | Curriculum], by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the anchors of a file that have a positive: what training composes batches of.

    Columns are those that the plans use and a report counts, and ``by``.
    """
    needed = [*(name for plan in plans for name in plan.columns), *MARKED, *by]
    return read_anchors(path, plan=plans[0], columns=list(dict.fromkeys(needed)))


def taus_of(path: Path, plan: BatchPlan | Curriculum, *, seed: int = 0, batches: int = TAU_BATCHES) -> Taus:
    """Draw the positives of the first batches of a plan on a file of anchors, per anchor and per frame."""
    metadata, table = read_metadata(path), read_anchors(path)
    frames = {one.name: metadata.tau.in_frames(one) for one in metadata.experiments.experiments}
    valid = np.flatnonzero(Positives(table, frames).has_positive)
    sampler = FlexibleBatchSampler.from_plan(table.iloc[valid], plan, seed=seed)
    first = [sampler.batch(number, epoch=0) for number in range(min(batches, sampler.batches_per_epoch))]
    rows = [IndexBatch(valid[np.asarray(one)].tolist(), epoch=0, number=one.number) for one in first]
    return Taus.of(table, frames, rows, seed=seed)


def audit_plans(
    anchors: pd.DataFrame,
    plans: Sequence[tuple[str, BatchPlan | Curriculum]],
    *,
    seed: int = 0,
    batches: int = 2000,
    epochs: int | None = None,
    by: Sequence[str] = (),
    progress: bool = True,
) -> list[Audited]:
    """Compose the first batches of each named plan on a table, and count.

    Parameters
    ----------
    anchors
        What batches are composed of.
    plans
        Names and plans.
    seed
        Of the samplers.
    batches, epochs
        How much to compose: so many batches, or, where it is not None, so many whole epochs of each plan.
    by
        Columns whose values are counted, too.
    progress
        Whether to show a progress bar.

    Raises
    ------
    InvalidInputError
        A plan cannot be followed on this table.
    """
    found = []
    for name, plan in plans:
        with collect_notes() as notes:
            sampler = FlexibleBatchSampler.from_plan(anchors, plan, seed=seed)
        count = batches if epochs is None else epochs * sampler.batches_per_epoch
        total = 2 * count if by else count  # composed once more for the values of columns
        with progress_bar(f"audit {name}", total, unit="batches", shown=progress) as advance:
            found.append(Audited.of(name, sampler, anchors, count, notes=notes, advance=advance, by=by))
    return found
