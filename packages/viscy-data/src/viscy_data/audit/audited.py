"""One plan on one table, audited: what the tables and the page show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

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
    """

    name: str
    plan: BatchPlan | Curriculum
    report: CompositionReport
    notes: tuple[str, ...]
    deviations: tuple[Deviation, ...]

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
    ) -> "Audited":
        """Compose the first batches of a sampler and count."""
        report = sampler.report(batches, table=anchors, advance=advance)
        return cls(name, sampler.plan, report, tuple(notes), deviations(report))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them: plan, report, notes and deviations."""
        return plain(self)  # type: ignore[no-any-return]  # a dataclass becomes a dict
