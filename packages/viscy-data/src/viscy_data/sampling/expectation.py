"""`expect`: what a plan means for a table, in closed form, before anything is drawn.

`BatchPlan` knows no table, and the core that it belongs to no pandas; this is where both meet.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import pandas as pd

from viscy_data.composition.bounds import ShortCell
from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.expect import Expectation, expect_composition
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.shares import PLAN_NAMES
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.sampling.labels import layout_of

AXES: Final[Mapping[str, str]] = {
    name: f"plan.{name}" for name in BatchPlan.__dataclass_fields__ if name != "batch_size"
}


def expect(
    plan: BatchPlan, anchors: pd.DataFrame, *, drop_last: bool = True, allow_repeats: bool = False
) -> Expectation:
    """Return what the batches of a plan will hold on a table; nothing is drawn.

    Parameters
    ----------
    plan
        What a batch shall hold.
    anchors
        One row per anchor; only columns that the plan uses are read.
    drop_last
        Leave out the last batch of an epoch where it is smaller.
    allow_repeats
        Accept a plan that asks a cell for more anchors than it holds; the sampler then uses some
        more than once in a batch. They are listed in ``short``.

    Raises
    ------
    InvalidInputError
        The plan cannot be followed on this table; or, without ``allow_repeats``, only by repeating
        anchors: the message names the cells, their sizes and the batch size that would do.

    Examples
    --------
    >>> from viscy_data import Balance, Grouping
    >>> table = pd.DataFrame({"experiment": ["a"] * 80 + ["b"] * 40, "condition": ["x", "y"] * 60})
    >>> plan = BatchPlan(10, grouping=Grouping("experiment", leak=0.2), balance=Balance("condition"))
    >>> expected = expect(plan, table)
    >>> expected.batches.tolist(), expected.leak, expected.stratum_means.tolist()
    ([8.0, 4.0], 2.0, [[5.0, 5.0], [5.0, 5.0]])
    """
    with collect_notes() as notes:
        composer = BatchComposer(
            plan, layout_of(anchors, plan, AXES), seed=0, drop_last=drop_last, names=PLAN_NAMES
        )
    found = expect_composition(composer)
    if found.short and not allow_repeats:
        raise InvalidInputError(short_text(found))
    return replace(found, notes=tuple(notes))


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Collect what a plan warns of on a table, rather than warn; the list is filled at the end."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CompositionWarning)
        yield notes
    notes += [str(one.message) for one in caught]


def short_text(found: Expectation) -> str:
    """Say which cells are smaller than their share, and what would make the plan work."""
    shown = "; ".join(_short_line(one) for one in found.short[:8])
    more = f"; and {len(found.short) - 8} more" if len(found.short) > 8 else ""
    largest = min(one.batch_size for one in found.short)
    smaller = f"batch_size={largest} is the largest that works, or " if largest else ""
    return (
        f"BatchPlan.batch_size={found.batch_size}: anchors would repeat in a batch. {shown}{more}. {smaller}"
        f"{_remedies(found.short)}."
    )


def _short_line(one: ShortCell) -> str:
    where = f"all others together for the leak to {one.name}" if one.leaked else one.name
    return f"{where}: {one.size} anchors, {one.most} asked"


def _remedies(short: Sequence[ShortCell]) -> str:
    ways = ["give the stratum a smaller Balance.ratio", "leave the group out with Grouping.weights"]
    if any(one.leaked for one in short):
        ways.append("lower Grouping.leak")
    return ", ".join(ways) + ", or accept repeats with allow_repeats=True"
