"""Compose batches: a pure core on NumPy alone.

Batch b of epoch e is a function of (table, plan, seed, e, b). `BatchPlan` says what a batch shall
hold, `AnchorLayout` is the table sorted once, `BatchComposer` turns batch numbers into rows.
"""

from viscy_data.composition.axes import Balance, Distinct, Focus, Grouping, Locality, Weighting
from viscy_data.composition.batch import IndexBatch
from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.layout import AnchorLayout, Labels
from viscy_data.composition.mix import Mix
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.report import CompositionReport, report_composition
from viscy_data.composition.schedule import Schedule
from viscy_data.composition.shard import Shard

__all__ = [
    "AnchorLayout",
    "Balance",
    "BatchComposer",
    "BatchPlan",
    "CompositionReport",
    "Distinct",
    "Focus",
    "Grouping",
    "IndexBatch",
    "Labels",
    "Locality",
    "Mix",
    "Schedule",
    "Shard",
    "Weighting",
    "report_composition",
]
