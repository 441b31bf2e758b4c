"""Anchors sorted once: cells, windows and times against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.composition import AnchorLayout, Labels
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


@given(table=tables(), dtype=st.sampled_from([np.float32, np.float64]))
def test_places_are_sorted_by_stratum_group_time_and_row(table: Table, dtype: type) -> None:
    groups, strata, times = table
    layout = layout_of(table, dtype)
    rows = layout.rows.tolist()
    order = sorted(range(len(groups)), key=lambda r: (strata[r], groups[r], dtype(times[r]), r))
    assert rows == order
    cells = layout.cell_of(np.arange(len(rows))).tolist()
    assert cells == [strata[row] * 4 + groups[row] for row in rows]
    assert layout.time_of(np.arange(len(rows))).tolist() == [float(dtype(times[row])) for row in rows]
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
    first, last = layout.window(cells, low, high)
    for cell in cells:
        places = range(layout.start[cell], layout.start[cell + 1])
        inside = [p for p in places if low[cell] <= table[2][layout.rows[p]] <= high[cell]]
        assert list(range(first[cell], last[cell])) == inside


@given(table=tables())
def test_focal_times_are_the_distinct_times_of_a_group_in_order(table: Table) -> None:
    layout = layout_of(table, np.float64)
    for group in sorted(set(table[0])):
        distinct = sorted({time for g, time in zip(table[0], table[2], strict=True) if g == group})
        counts: list[int] = []
        for number, time in enumerate(distinct):
            pick = Pick(number)
            assert layout.focal_times(np.array([group]), pick).tolist() == [time]
            counts += pick.counts
        assert counts == [len(distinct)] * len(distinct)


class Pick:
    """Picks the same number always, and remembers from how many."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.counts: list[int] = []

    def __call__(self, count: NDArray[np.int64]) -> NDArray[np.int64]:
        self.counts += count.tolist()
        return np.full(count.shape, self.number)


def test_a_layout_without_times_says_so() -> None:
    labels = Labels((), None, (None,))
    layout = AnchorLayout.build(5, labels, labels, None)
    assert layout.rows.tolist() == [0, 1, 2, 3, 4]
    assert len(layout) == 5
    with pytest.raises(
        InvalidInputError, match="lacks times, values, weights or frames; build it with the columns"
    ):
        layout.time_of(np.array([0]))


def test_more_anchors_than_row_numbers_are_refused() -> None:
    labels = Labels((), None, (None,))
    with pytest.raises(InvalidInputError, match="holds 4294967296 anchors; at most 4294967295"):
        AnchorLayout.build(2**32, labels, labels, None)
