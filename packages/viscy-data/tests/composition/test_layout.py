"""Anchors sorted once: cells, windows and times against plain loops."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.composition import AnchorLayout, Labels
from viscy_data.composition.layout import Clock
from viscy_data.errors import InvalidInputError

Table = tuple[list[int], list[int], list[float]]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    anchor = st.tuples(
        st.integers(0, 3), st.integers(0, 2), st.sampled_from([-1.5, -0.0, 0.0, 0.1, 0.25, 3.0, 1e6])
    )
    rows = draw(st.lists(anchor, min_size=1, max_size=60))
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def layout_of(table: Table, dtype: type = np.float32) -> AnchorLayout:
    groups = Labels(("group",), np.array(table[0], dtype=np.int8), (0, 1, 2, 3))
    strata = Labels(("stratum",), np.array(table[1]), (0, 1, 2))
    return AnchorLayout.build(len(table[0]), groups, strata, np.array(table[2], dtype=dtype))


def clock_of(layout: AnchorLayout) -> Clock:
    assert layout.clock is not None
    return layout.clock


@given(table=tables(), dtype=st.sampled_from([np.float32, np.float64]))
def test_places_are_sorted_by_stratum_group_time_and_row(table: Table, dtype: type) -> None:
    groups, strata, times = table
    layout = layout_of(table, dtype)
    rows = layout.rows.tolist()
    order = sorted(range(len(groups)), key=lambda r: (strata[r], groups[r], dtype(times[r]), r))
    assert rows == order
    cells = layout.cell_of(np.arange(len(rows))).tolist()
    assert cells == [strata[row] * 4 + groups[row] for row in rows]
    assert clock_of(layout).time_of(np.arange(len(rows))).tolist() == [
        float(dtype(times[row])) for row in rows
    ]
    for stratum in range(3):
        for group in range(4):
            held = [r for r in rows if (strata[r], groups[r]) == (stratum, group)]
            assert layout.size[stratum, group] == len(held)


@given(table=tables(), data=st.data())
def test_a_window_is_a_range_of_places(table: Table, data: st.DataObject) -> None:
    layout = layout_of(table, np.float64)
    cells = np.arange(12)
    bound = st.sampled_from([-2.0, -1.5, 0.0, 0.05, 0.1, 0.2, 0.25, 3.0, 4.0, 1e7])
    pairs = [sorted(data.draw(st.tuples(bound, bound))) for _ in cells]
    low, high = np.array(pairs).T
    first, last = clock_of(layout).window(cells, low, high)
    for cell in cells:
        places = range(layout.start[cell], layout.start[cell + 1])
        inside = [p for p in places if low[cell] <= table[2][layout.rows[p]] <= high[cell]]
        assert list(range(first[cell], last[cell])) == inside


@given(table=tables())
def test_times_of_a_group_are_its_distinct_times_in_order(table: Table) -> None:
    clock = clock_of(layout_of(table, np.float64))
    for group in range(max(table[0]) + 1):
        distinct = sorted({time for g, time in zip(table[0], table[2], strict=True) if g == group})
        assert clock.times_of_group(group).tolist() == distinct


@given(table=tables(), data=st.data(), are_fovs=st.booleans(), has_clock=st.booleans())
def test_anchors_of_a_unit_are_neighbours(
    table: Table, data: st.DataObject, are_fovs: bool, has_clock: bool
) -> None:
    """A unit is a field of view of a cell, or a frame; frames are cut where the clock changes."""
    groups, strata, times = table
    code = data.draw(st.lists(st.integers(0, 3), min_size=len(groups), max_size=len(groups)))
    layout = AnchorLayout.build(
        len(groups),
        Labels(("group",), np.array(groups), (0, 1, 2, 3)),
        Labels(("stratum",), np.array(strata), (0, 1, 2, 3)),
        np.array(times) if has_clock else None,
        np.array(code),
        are_fovs=are_fovs,
    )
    assert layout.units is not None
    rows = layout.rows.tolist()
    units = [rows[low:high] for low, high in pairwise(layout.units.start.tolist())]
    cut = has_clock and not are_fovs
    kinds = [{(strata[r], groups[r], code[r], cut and times[r]) for r in unit} for unit in units]
    assert all(len(kind) == 1 for kind in kinds)
    assert len(set.union(*kinds)) == len(units)
    for cell, (first, last) in enumerate(pairwise(layout.units.first.tolist())):
        assert all(
            layout.cell_of(layout.units.start[[unit]]).tolist() == [cell] for unit in range(first, last)
        )
    if has_clock:
        for unit in units if are_fovs else []:
            assert [times[r] for r in unit] == sorted(times[r] for r in unit)


def test_more_anchors_than_row_numbers_are_refused() -> None:
    labels = Labels((), None, (None,))
    with pytest.raises(InvalidInputError, match="holds 4294967296 anchors; at most 4294967295"):
        AnchorLayout.build(2**32, labels, labels, None)
