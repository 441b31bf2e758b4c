"""What ``viscy-data audit`` does: read anchors, compose the first batches of one plan or two, count."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from viscy_data.audit.audited import Audited
from viscy_data.audit.taus import Taus
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.progress import progress_bar
from viscy_data.sampling.batch import IndexBatch
from viscy_data.sampling.notes import collect_notes
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.positives import Positives

TAU_BATCHES = 200
"""Batches whose positives are drawn."""


def read_valid_anchors(path: Path) -> pd.DataFrame:
    """Return the anchors of a file that have a positive: what training composes batches of."""
    metadata, table = read_metadata(path), read_anchors(path)
    frames = {one.name: metadata.tau.in_frames(one) for one in metadata.experiments.experiments}
    return table[Positives(table, frames).has_positive]


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
        with progress_bar(f"audit {name}", count, unit="batches", shown=progress) as advance:
            found.append(Audited.of(name, sampler, anchors, count, notes=notes, advance=advance))
    return found
