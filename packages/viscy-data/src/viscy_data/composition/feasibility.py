"""What a table cannot give a plan: warned of or refused before the first batch."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.axes import Distinct
from viscy_data.composition.enough import values_by_cell, values_by_window
from viscy_data.composition.epochs import EpochSchedule
from viscy_data.composition.layout import AnchorLayout
from viscy_data.composition.parts import PartCounts
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.shares import TableShares
from viscy_data.composition.systematic import WeightedLines
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.text import shown

Integers = NDArray[np.int64]

SHOWN = 12
"""Cells that a message lists."""


@dataclass(frozen=True)
class Feasibility:
    """A plan and a table, and what the one takes of the other."""

    plan: BatchPlan
    layout: AnchorLayout
    shares: TableShares
    parts: PartCounts
    schedule: EpochSchedule

    def cell_name(self, cell: int) -> str:
        """Return a cell's group and stratum for people."""
        stratum, group = divmod(cell, len(self.layout.groups.values))
        parts = []
        if self.plan.grouping is not None:
            parts.append(value_text(self.layout.groups.values[group]))
        if self.plan.balance is not None:
            parts.append(value_text(self.layout.strata.values[stratum]))
        return " / ".join(parts) or "the table"

    def warn_rounded_away(self, names: Mapping[str, str]) -> None:
        """Say which fractions of a batch round to no anchor."""
        plan, parts = self.plan, self.parts.parts[0]
        outside = parts.own[1] + parts.leaked[1]
        asked = [("leak", plan.leak, sum(parts.leaked))]
        if plan.window is not None:
            asked.append(("global_fraction", plan.outside, outside))
        for name, fraction, count in asked:
            if fraction > 0 and count == 0:
                _warn(f"{names[name]}={fraction} of a batch of {plan.batch_size} rounds to no anchor at all.")

    def refuse_heavy(self, lines: WeightedLines) -> None:
        """Refuse weights so large that their anchors would have to come twice in a batch.

        Raises
        ------
        InvalidInputError
            Names the heaviest anchor of each such cell and the largest weight that would do.
        """
        heavy = lines.too_heavy()
        if heavy:
            shown = "; ".join(self._heavy(lines, cell, place) for cell, place in heavy[:SHOWN])
            more = f"; and {len(heavy) - SHOWN} more cells" if len(heavy) > SHOWN else ""
            raise InvalidInputError(
                "BatchPlan.weighting: some anchors weigh so much that they would have to come more than once "
                f"in a batch: {shown}{more}. Lower these weights, or take fewer anchors of the cell (a "
                "smaller batch_size, span or ratio)."
            )

    def _heavy(self, lines: WeightedLines, cell: int, place: int) -> str:
        total = lines.weight_sum[lines.start[cell + 1]] - lines.weight_sum[lines.start[cell]]
        own = lines.weight_sum[place + 1] - lines.weight_sum[place]
        size, blocks = int(lines.start[cell + 1] - lines.start[cell]), int(lines.blocks[cell])
        where = f"row {self.layout.rows[place]} of {self.cell_name(cell)}"
        if size < blocks:
            return f"{where}, a cell of {size} anchors of which a batch takes {blocks}"
        unit = self.layout.weight_unit
        return (
            f"{where} weighs {own * unit:.6g}, more than 1/{blocks} of its cell; the largest weight allowed "
            f"beside the others' is {(total - own) / (blocks - 1) * unit:.6g}"
        )

    def warn_small_cells(self, size: Integers, taken: Integers) -> None:
        """List the cells, and what other groups hold for a leak, that are less than is taken of them.

        ``size`` and ``taken`` go by (own | leaked, stratum, group).
        """
        cells, groups = self.layout.size.size, self.layout.size.shape[1]
        drawn = np.array(self.shares.groups, dtype=bool)[np.arange(size.size) % groups]
        texts = []
        for pool in np.flatnonzero((size < taken) & drawn):
            leaked, cell = divmod(int(pool), cells)
            texts.append(f"{'leaked to ' if leaked else ''}{self.cell_name(cell)}: {size[pool]}")
        if texts:
            what = "batch" if self.plan.span == 1 else "step"
            _warn(
                f"These cells hold fewer anchors than a {what} takes from them, so that anchors repeat in a "
                f"{what}: {_listed(texts, ', ')}."
            )

    def refuse_few_values(self, distinct: Distinct) -> None:
        """Refuse cells, and focal windows, that hold fewer values than a step takes of them."""
        groups = self.layout.size.shape[1]
        wanted = self.schedule.per_step(self.parts.bounds())[1, 0, 0].ravel()
        problems = [
            f"{self.cell_name(cell)}: {held} values for {wanted[cell]} anchors"
            for cell, held in enumerate(values_by_cell(self.layout).tolist())
            if held < wanted[cell] and self.shares.groups[cell % groups]
        ]
        if self.plan.window is not None:
            problems += [text for cell in range(wanted.size) for text in self._poor_windows(cell)]
        if problems:
            raise InvalidInputError(
                "Distinct.strict=True: a step of the plan takes more anchors than there are different "
                f"{' x '.join(distinct.by)} in: {_listed(problems, '; ')}. Lower batch_size or span, widen "
                "the window, leave these groups out, or set strict=False to let values repeat."
            )

    def _poor_windows(self, cell: int) -> list[str]:
        stratum, group = divmod(cell, self.layout.size.shape[1])
        own = self.shares.own[group]
        if own is None or not own[stratum]:
            return []
        wanted = self.plan.span * ceil(self.parts.parts[0].own[0] * own[stratum])
        times, reach = self.layout.all_focal_times(group), self.plan.reach
        held = values_by_window(self.layout, cell, times, reach)
        low, high = self.layout.window(np.full(times.size, cell), times - reach, times + reach)
        poor = np.flatnonzero(held < np.minimum(wanted, high - low))[:1]
        name = self.cell_name(cell)
        return [f"{name} around {times[at]:g} h: {held[at]} values for {wanted} anchors" for at in poor]


def value_text(value: object) -> str:
    r"""Return a group or a stratum for people: a name is text, whatever it holds.

    Examples
    --------
    >>> print(value_text(("a", 1)), value_text("x" + chr(10) + "y"))
    a, 1 x\ny
    """
    return ", ".join(map(shown, value)) if isinstance(value, tuple) else shown(value)


def _listed(texts: list[str], separator: str) -> str:
    more = f"{separator}and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return separator.join(texts[:SHOWN]) + more


def _warn(text: str) -> None:
    warnings.warn(text, CompositionWarning, stacklevel=2)
