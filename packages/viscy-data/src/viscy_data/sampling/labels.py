"""From the columns of an anchors table to codes: what composition needs to know of a table.

Only the columns that enabled axes use are read. Values are sorted, so that the order of categories
and the dtype of a column do not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.checks import check_columns
from viscy_data.columns import EXPERIMENT, SOURCE_KEYS
from viscy_data.composition.axes import AtMost
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.layout import AnchorLayout, Labels, Values
from viscy_data.composition.plan import BatchPlan
from viscy_data.composition.ranges import Slots
from viscy_data.errors import InvalidInputError, suggest
from viscy_data.text import shown

Codes = NDArray[Any]

MOST_STRATA: Final = 4096
"""Values that a balance may have: what it costs to share a batch among them grows with their square."""

_SHOWN: Final = 6


def layout_of(anchors: pd.DataFrame, plan: BatchPlan | Curriculum, axes: Mapping[str, str]) -> AnchorLayout:
    """Sort a table for a plan.

    Parameters
    ----------
    anchors
        One row per anchor.
    plan
        Says which columns are needed; all plans of a curriculum need the same.
    axes
        What messages call the axes "grouping", "balance", "focus", "at_most", "weighting" and "locality".

    Raises
    ------
    InvalidInputError
        Not a table, an empty one, a missing column, missing values in a column that is needed, or more
        than `MOST_STRATA` values to balance.
    """
    if not isinstance(anchors, pd.DataFrame):
        raise InvalidInputError(
            f"valid_anchors is a {type(anchors).__name__}, not a table; give a pandas DataFrame with one "
            "row per anchor."
        )
    if not len(anchors):
        raise InvalidInputError("valid_anchors holds no rows; there is nothing to draw from.")
    plan = plan if isinstance(plan, BatchPlan) else plan.plans[0]
    _check_columns(anchors, {axes[name]: columns for name, columns in plan._columns_of.items()})
    clock = None if plan.focus is None else plan.focus.by
    locality = plan.locality
    layout = AnchorLayout.build(
        len(anchors),
        _labels(anchors, plan.grouping.by if plan.grouping else ()),
        _strata(anchors, plan.balance.by if plan.balance else (), axes["balance"]),
        None if clock is None else _times(anchors, clock),
        None if locality is None else _label_codes(anchors, locality.columns),
        are_fovs=locality is not None and locality.frames is None,
    )
    if plan.weighting is not None:
        layout = replace(
            layout, slots=Slots.of(_weights(anchors, plan.weighting.by)[layout.rows], layout.start)
        )
    return replace(layout, caps=tuple(_values(anchors, cap, layout) for cap in plan._caps))


def _values(anchors: pd.DataFrame, cap: AtMost, layout: AnchorLayout) -> Values:
    """Return what a cap counts, numbered by first places in the layout: only equality counts."""
    code = _numbered_by_place(_label_codes(anchors, cap.by), layout.rows)
    return Values(code, cap.count, cap.min_hours)


def _numbered_by_place(codes: Codes, rows: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the codes of rows, numbered in the order of their first places; without a hash table."""
    mine = codes[rows]
    place = np.arange(mine.size, dtype=np.uint32)
    first = np.zeros(int(codes.max()) + 1, dtype=np.uint32)
    first[mine[::-1]] = place[::-1]  # of several places of a code the first is written last
    first = first[mine]
    del mine
    number = np.cumsum(first == place, dtype=np.uint32)
    del place
    found: NDArray[np.uint32] = number[first]
    found -= np.uint32(1)
    return found


def _label_codes(anchors: pd.DataFrame, by: Sequence[str]) -> Codes:
    """Return integers >= 0, not many more than there are rows, that are equal where all columns are."""
    found = _value_codes(anchors[by[0]])
    for name in by[1:]:
        codes = _value_codes(anchors[name])
        found = pd.factorize(found.astype(np.int64) * (int(codes.max()) + 1) + codes)[0]
    return found


def _value_codes(column: "pd.Series[Any]") -> Codes:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
        values = column.to_numpy()
        low, high = int(values.min()), int(values.max())
        if low >= 0 and high < 4 * len(values) + 65536:
            return values
    return _factorized(column)[0]


def _factorized(column: "pd.Series[Any]") -> tuple[Codes, list[Any]]:
    try:
        codes, found = pd.factorize(column)
    except TypeError as error:
        raise InvalidInputError(
            f"The column {column.name!r} holds values that cannot be told apart ({error}); give "
            "texts or numbers."
        ) from error
    return codes, list(found)


def _check_columns(anchors: pd.DataFrame, by: Mapping[str, Sequence[str]]) -> None:
    problems = []
    for axis, names in by.items():
        for name in names:
            if name not in anchors.columns:
                there = [str(column) for column in anchors.columns]
                problems.append(
                    f"{axis} needs the column {name!r}, but the table has {there}.{suggest(name, there)}"
                )
                continue
            if anchors[name].ndim > 1:  # columns of one name, or of several levels
                count = anchors[name].shape[1]
                problems.append(f"{axis} needs one column {name!r}, but the table has {count}; keep one.")
                continue
            missing = np.flatnonzero(anchors[name].isna().to_numpy())
            if missing.size:
                remedy = _remedy(anchors, name, missing)
                problems.append(
                    f"{axis} needs the column {name!r}, but {missing.size} of its values are missing "
                    f"(first rows: {missing[:5].tolist()}); {remedy}drop or fill these rows."
                )
    if problems:
        raise InvalidInputError(" ".join([*problems, "Or switch the axis off."]))


def _remedy(anchors: pd.DataFrame, name: str, missing: NDArray[np.intp]) -> str:
    """Say which experiments lack a column, and the keys of the experiments file that it comes from."""
    key = SOURCE_KEYS.get(name)
    if key is None:
        return ""
    where = "each experiment that lacks it"
    if EXPERIMENT in anchors.columns and name != EXPERIMENT:
        names = sorted({shown(one) for one in anchors[EXPERIMENT].iloc[missing].unique()})
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        where = f"experiment {', '.join(f"'{one}'" for one in names[:_SHOWN])}{more}"
    return f"set {key} of {where} in the experiments file and index again, or "


def _weights(anchors: pd.DataFrame, name: str) -> NDArray[np.float64]:
    weight = _numeric(anchors, name, "weights").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight > 0)))
    if bad.size:
        raise InvalidInputError(
            f"The column {name!r} holds {bad.size} weights that are not finite numbers above 0 (first rows: "
            f"{bad[:5].tolist()}, the first is {anchors[name].iloc[bad[0]]}); drop the rows that are never "
            "to be drawn."
        )
    return weight


def _numeric(anchors: pd.DataFrame, name: str, what: str) -> "pd.Series[Any]":
    column = anchors[name]
    kinds = pd.api.types
    is_number = kinds.is_numeric_dtype(column.dtype) and not kinds.is_complex_dtype(column.dtype)
    if not is_number or kinds.is_bool_dtype(column.dtype):
        raise InvalidInputError(f"The column {name!r} holds {column.dtype}, not {what} as numbers.")
    return column


def _times(anchors: pd.DataFrame, name: str) -> NDArray[Any]:
    column = _numeric(anchors, name, "times")
    times = column.to_numpy()
    if times.dtype.kind != "f":
        times = column.to_numpy(dtype=np.float64)
    infinite = np.flatnonzero(~np.isfinite(times))
    if infinite.size:
        raise InvalidInputError(
            f"The column {name!r} holds {infinite.size} values that are not finite (first rows: "
            f"{infinite[:5].tolist()}); drop or fill these rows."
        )
    return times


def _labels(anchors: pd.DataFrame, by: str | Sequence[str]) -> Labels:
    names = check_columns("by", by) if by else ()
    if not names:
        return Labels((), None, (None,))
    codes, values = _codes(anchors[names[0]])
    if len(names) == 1:
        return Labels(names, codes, tuple(values))
    tuples = [(value,) for value in values]
    for name in names[1:]:  # what occurs is numbered anew with each column, so that numbers stay small
        more, found = _codes(anchors[name])
        combined = codes.astype(np.int64) * len(found) + more
        present, codes = _compact(combined, len(tuples) * len(found))
        before, last = np.divmod(present, len(found))
        tuples = [(*tuples[i], found[j]) for i, j in zip(before.tolist(), last.tolist(), strict=True)]
    return Labels(names, codes, tuple(tuples))


def _strata(anchors: pd.DataFrame, by: Sequence[str], axis: str) -> Labels:
    labels = _labels(anchors, by)
    if len(labels.values) > MOST_STRATA:
        raise InvalidInputError(
            f"{axis}={', '.join(by)}: {len(labels.values):,} values are in the table, and a balance has "
            f"at most {MOST_STRATA:,}; take a column of fewer values, or draw rows by weights (weighting): "
            "one over the number of rows of a value draws all values alike."
        )
    return labels


def _codes(column: "pd.Series[Any]") -> tuple[Codes, list[Any]]:
    """Return codes into the sorted values that occur."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), list(column.cat.categories)
    else:
        codes, values = _factorized(column)
    present, codes = _compact(codes, len(values))
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    values = [values[i] for i in present]
    order = sorted(range(len(values)), key=lambda i: _sort_key(values[i]))
    if order == list(range(len(values))):
        return codes, values
    place = np.empty(len(values), dtype=codes.dtype)
    place[order] = np.arange(len(values))
    return place[codes], [values[i] for i in order]


def _compact(codes: Codes, count: int) -> tuple[NDArray[np.int64], Codes]:
    """Return the codes that occur, ascending, and the codes renumbered to leave no gap."""
    if count > max(len(codes) * 4, 65536):
        present, packed = np.unique(codes, return_inverse=True)
        return present, packed
    held = np.zeros(count, dtype=bool)
    held[codes] = True
    present = np.flatnonzero(held)
    if present.size == count:
        return present, codes
    return present, (np.cumsum(held) - 1).astype(np.int32)[codes]


def _sort_key(value: Any) -> tuple[int, Any]:
    """Sort numbers before texts, and anything else by its text."""
    if isinstance(value, (int, float)):
        return (0, value)
    return (1, value) if isinstance(value, str) else (2, str(value))
