"""What ``viscy-data audit`` does: read anchors, compose the first batches of one plan or two, count."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from viscy_data.audit.audited import Audited
from viscy_data.audit.taus import Taus
from viscy_data.columns import EXPERIMENT, FOV, HOURS, LINEAGE_ID, TRACK_ID, T
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError
from viscy_data.progress import progress_bar
from viscy_data.sampling.batch import IndexBatch
from viscy_data.sampling.notes import collect_notes
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.anchors.read import read_anchors, read_metadata, row_count
from viscy_data.tables.pairing import Pairing, say_without
from viscy_data.tables.positives import Positives
from viscy_data.tables.tau import frames_of
from viscy_data.tables.valid_anchors import read_valid_anchors

MARKED = (EXPERIMENT, FOV, T, TRACK_ID, LINEAGE_ID, HOURS)
"""Columns that a report counts by, whatever the plan."""
TAU_BATCHES = 200
"""Batches whose positives are drawn."""


def read_counted_anchors(
    path: Path,
    plans: Sequence[BatchPlan | Curriculum],
    by: Sequence[str] = (),
    *,
    positive: str | None = None,
    pairing: Pairing = Pairing(),  # noqa: B008  frozen
) -> pd.DataFrame:
    """Return the anchors of a file that have a positive: what training composes batches of.

    Columns are those that the plans use and a report counts, and ``by``.
    """
    needed = [*(name for plan in plans for name in plan.columns), *MARKED, *by]
    return read_valid_anchors(path, columns=list(dict.fromkeys(needed)), positive=positive, pairing=pairing)


def rule_of(text: str, *, anywhere: bool = False) -> tuple[Literal["lineage", "self"] | None, Pairing]:
    """Return the rule of positives that a word names, as ``--positive`` takes it.

    Parameters
    ----------
    text
        ``lineage``, ``self``, ``across=marker``, or ``by=`` and columns between commas.
    anywhere
        With ``by``: both cells are of any experiment, not of one.

    Examples
    --------
    >>> rule_of("by=gene,dose_um")[1].by
    ('gene', 'dose_um')
    """
    name, _, value = text.partition("=")
    within: Literal["experiment"] | None = None if anywhere else "experiment"
    if name == "by" and value:
        return None, Pairing(by=value.split(","), within=within)
    if anywhere:
        raise InvalidInputError(
            f"across_experiments=True with positive={text!r}: it is about cells of the same values; give "
            "--positive by=COLUMN, or leave it out."
        )
    if text == "lineage":
        return "lineage", Pairing()
    if text == "self":
        return "self", Pairing()
    if text == "across=marker":
        return None, Pairing(across="marker")
    raise InvalidInputError(
        f"positive={text!r}: 'lineage', 'self', 'by=COLUMN,COLUMN' or 'across=marker' are allowed."
    )


def say_left_out(path: Path, valid: int, *, positive: str | None, pairing: Pairing) -> str:
    """Return how many anchors of a file a rule leaves out, and why; empty where none is."""
    rows = row_count(path)
    why = "" if valid == rows else say_without(positive, pairing)
    return f"{rows - valid:,} of {rows:,} anchors are left out: {why}" if why else ""


def taus_of(path: Path, plan: BatchPlan | Curriculum, *, seed: int = 0, batches: int = TAU_BATCHES) -> Taus:
    """Draw the positives of the first batches of a plan on a file of anchors, per anchor and per frame."""
    metadata, table = read_metadata(path), read_anchors(path)
    frames = frames_of(metadata.tau, metadata.experiments.experiments, table)
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
