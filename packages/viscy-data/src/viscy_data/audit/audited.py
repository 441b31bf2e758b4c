"""One plan on one table, audited: what the tables and the page show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from viscy_data.composition.deviations import Deviation, deviations
from viscy_data.composition.expect import plain
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.report import CompositionReport
from viscy_data.notes import collect_notes
from viscy_data.sampler import FlexibleBatchSampler


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
    plan: BatchPlan
    report: CompositionReport
    notes: tuple[str, ...]
    deviations: tuple[Deviation, ...]

    @classmethod
    def of(
        cls,
        name: str,
        plan: BatchPlan,
        anchors: pd.DataFrame,
        *,
        seed: int,
        epochs: int,
        advance: Callable[[int], None],
    ) -> "Audited":
        """Compose epochs of a plan and count."""
        with collect_notes() as notes:
            sampler = FlexibleBatchSampler.from_plan(anchors, plan, seed=seed)
        report = sampler.report(epochs, table=anchors, advance=advance)
        return cls(name, plan, report, tuple(notes), deviations(report))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them: plan, report, notes and deviations."""
        return plain(self)  # type: ignore[no-any-return]  # a dataclass becomes a dict
