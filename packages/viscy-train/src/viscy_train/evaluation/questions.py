"""What can be asked of a label: the rows that know it, its units, and why there may be no answer.

A drug that one well alone was given cannot be told from that well. Such a value is left out where two others
remain, and the number says so; where none remain there is a reason in its place. The same holds for values
that one experiment alone has once that experiment is left out: nothing remains to learn them from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viscy_data import columns, shown
from viscy_train.evaluation.arrays import BoolArray, IntArray
from viscy_train.evaluation.cells import Cells, Label
from viscy_train.evaluation.units import Units, lone_labels, units_of

NO_CONDITION = "the experiments file names no condition"


@dataclass(frozen=True)
class Question:
    """A label that is asked for.

    Attributes
    ----------
    label : str
        Its column.
    rows : ndarray (M,)
        Rows of the embedding that are used.
    codes : ndarray (M,)
        Their labels, 0..K-1.
    units : Units
        What the label was given to.
    groups : ndarray (M,)
        What is left out, one at a time: values of a column.
    note : str
        What was left out of the question.
    reason : str
        Why there is no answer; empty where there is one.
    """

    label: str
    rows: IntArray
    codes: IntArray
    units: Units
    groups: IntArray
    note: str = ""
    reason: str = ""

    @classmethod
    def of(cls, cells: Cells, label: Label, *, leaving_out: bool = False) -> "Question":
        """Ask for a label; with `leaving_out`, in values of a column that are left out of learning."""
        known = label.codes >= 0
        if leaving_out:
            known &= cells.left_out.codes >= 0
        question = cls._of_rows(cells, label, known)
        lone = lone_labels(question.codes, question.units.codes)
        single, left = question.units.single, cells.left_out.name
        told = f"that {label.name} and {single} cannot be told apart"
        question = question._without(cells, label, lone, f"by one {single} only, so {told}")
        if leaving_out and not question.reason:
            if np.unique(question.groups).size < 2:
                return question._refused(f"all cells are of one {left}, so that none can be left out")
            lone = lone_labels(question.codes, question.groups)
            gone = f"in one {left} only, and gone when that is left out"
            question = question._without(cells, label, lone, gone)
        return question

    @classmethod
    def _of_rows(cls, cells: Cells, label: Label, among: BoolArray) -> "Question":
        rows = np.flatnonzero(among)
        if not rows.size:
            # units of nothing; the reason is all that is read of it
            rows = np.zeros(1, np.int64)
            units = Units("cells", np.zeros(1, np.int64), np.zeros(1, np.int64))
            none = NO_CONDITION if label.name == columns.CONDITION else f"no cell has a value of {label.name}"
            return cls(label.name, rows, np.zeros(1, np.int64), units, np.zeros(1, np.int64), "", none)
        codes = np.unique(label.codes[rows], return_inverse=True)[1].astype(np.int64)
        groups = np.unique(cells.left_out.codes[rows], return_inverse=True)[1].astype(np.int64)
        units = units_of(codes, cells.levels(rows))
        reason = f"all cells have one {label.name}" if not codes.any() else ""
        return cls(label.name, rows, codes, units, groups, "", reason)

    def _without(self, cells: Cells, label: Label, lone: IntArray, why: str) -> "Question":
        """Leave some labels out, or refuse where fewer than two remain."""
        if self.reason or not lone.size:
            return self
        present = np.unique(self.codes)
        if present.size - lone.size < 2:
            each = "each value of" if lone.size == present.size else "a value of"
            return self._refused(f"{each} {self.label} is held {why}")
        kept = np.zeros(len(cells.embedding), np.bool_)
        kept[self.rows[~np.isin(self.codes, lone)]] = True
        found = self._of_rows(cells, label, kept)
        first = self.rows[np.unique(self.codes, return_index=True)[1]]
        names = [shown(label.values[label.codes[row]]) for row in first[lone]]
        note = f"without {named(names)}: held {why}"
        return Question(
            self.label,
            found.rows,
            found.codes,
            found.units,
            found.groups,
            f"{self.note}; {note}" if self.note else note,
            found.reason,
        )

    def _refused(self, reason: str) -> "Question":
        return Question(self.label, self.rows, self.codes, self.units, self.groups, self.note, reason)


def named(names: Sequence[str], most: int = 4) -> str:
    """Return some names, and how many more there are.

    Examples
    --------
    >>> named(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
