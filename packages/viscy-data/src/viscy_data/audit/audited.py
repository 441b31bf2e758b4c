"""One plan on one table, audited: what the tables and the page show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from viscy_data.audit.splits import Split, split_batches
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.sampling.deviations import Deviation, deviations
from viscy_data.sampling.report import CompositionReport, plain
from viscy_data.sampling.sampler import FlexibleBatchSampler


@dataclass(frozen=True)
class Audited:
    """A plan and what its batches hold.

    Attributes
    ----------
    name
        Of the plan, for people.
    plan, report
        What was asked, and what was counted.
    notes
        Warnings of the plan on this table.
    deviations
        Where counts leave what was asked.
    splits
        Anchors by the values of columns that were asked for.
    """

    name: str
    plan: BatchPlan | Curriculum
    report: CompositionReport
    notes: tuple[str, ...]
    deviations: tuple[Deviation, ...]
    splits: tuple[Split, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        sampler: FlexibleBatchSampler,
        anchors: pd.DataFrame,
        batches: int,
        *,
        notes: Sequence[str],
        advance: Callable[[int], None],
        by: Sequence[str] = (),
    ) -> "Audited":
        """Compose the first batches of a sampler and count; by the values of columns ``by``, too."""
        report = sampler.report(batches, table=anchors, advance=advance)
        splits = split_batches(sampler, anchors, by, batches, advance)
        return cls(name, sampler.plan, report, tuple(notes), deviations(report), splits)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them: plan, report, notes, deviations and splits."""
        return plain(self)  # type: ignore[no-any-return]  # a dataclass becomes a dict
