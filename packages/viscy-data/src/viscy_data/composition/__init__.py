"""Compose batches: a pure core on NumPy alone.

Batch b of epoch e is a function of (table, plan, seed, e, b). Seven steps make it, and each is a module:

    order    which group each step of an epoch takes, and how often that group came before
    counts   whole numbers by batch, part and stratum; a step draws the sums of its batches
    demands  one line per step, part and cell: so many anchors of a range with a hole
    frames   where batches come from few frames, frames are drawn first, and each is a demand
    draw     each demand its anchors (`passes`)
    apart    what may not come together is redrawn from its own range
    deal     each batch of a step takes its counts, in order

Six words: a *group* is what a batch is restricted to, a *stratum* what is balanced inside it, a *cell* the
anchors of one group and one stratum; a *step* is what is drawn at once, ``span`` batches; a *part* of it is
own or leaked, near the focal time or far from it; a *range* is a run of sorted anchors, perhaps with a hole.

To read: `axes`, `plan`, `curriculum` (what a user asks; `plan_checks` refuses values); `layout`, `ranges`
(the table, sorted once, from the codes that `viscy_data.sampling.labels` makes), `keyed` (random numbers
without a history); `shares` and `rounding` (exact shares in whole numbers); then `composer`, whose
`Stage.places` calls the seven steps in order, and each of them, with `focal` for focal times; `batch` (what a
sampler yields). What a table cannot give a plan is said, and what batches held is counted, outside:
`viscy_data.sampling.feasible` and `report`. An axis is a value in `axes`, a field of `plan`, what it asks of
`layout`, and its place in one of the steps.
"""

from viscy_data.composition.axes import AtMost, Balance, Distinct, Focus, Grouping, Locality, Weighting
from viscy_data.composition.composer import BatchComposer
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.layout import AnchorLayout, Labels
from viscy_data.composition.plan import BatchPlan

__all__ = [
    "AnchorLayout",
    "AtMost",
    "Balance",
    "BatchComposer",
    "BatchPlan",
    "Curriculum",
    "Distinct",
    "Focus",
    "Grouping",
    "Labels",
    "Locality",
    "Weighting",
]
