from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.tables.across_markers import AcrossMarkerPositives
from viscy_data.tables.positives import Positives

CELL = ["experiment", "well", "fov", "track_id", "t"]
MARKERS = {"BF": "phase", "GFP": "ER", "RFP": "ER"}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Shuffled tables of a few dividing cells, of which some channels are missing in some frames."""
    some = st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sets(st.sampled_from(list(MARKERS)), min_size=1),
    )
    cells = draw(st.lists(some, max_size=10, unique_by=lambda cell: cell[:3]))
    rows = [(fov, track, t, name) for fov, track, t, names in cells for name in sorted(names)]
    table = pd.DataFrame(draw(st.permutations(rows)), columns=["fov", "track_id", "t", "channel"])
    parent = table["track_id"].map({0: -1, 1: 0, 2: 0, 3: 2}).astype("int64")
    marker = table["channel"].map(MARKERS).astype(object)
    numbers = table.astype({"track_id": "int64", "t": "int64"})
    return numbers.assign(experiment="e", well="A/1", parent_track_id=parent, marker=marker)


def later(sisters: bool) -> Any:
    return lambda table: Positives(table, {"e": (1, 2)}, sisters=sisters)


def others(table: pd.DataFrame) -> list[set[int]]:
    """Compare every row with every other one: another marker of the same cell and frame."""
    cells, markers = table[CELL].to_numpy().tolist(), table["marker"].tolist()
    rows = range(len(table))
    return [{j for j in rows if cells[i] == cells[j] and markers[i] != markers[j]} for i in rows]


@settings(deadline=None, max_examples=60)
@given(table=tables())
def test_in_the_same_frame_each_other_marker_is_drawn_and_nothing_else(table: pd.DataFrame) -> None:
    expected = others(table)
    positives = AcrossMarkerPositives(table)
    assert positives.has_positive.tolist() == [bool(found) for found in expected]
    for row, allowed in enumerate(expected):
        if allowed:
            drawn = positives.draw(np.full(len(allowed), row), epoch=0, number=row)
            assert sorted(drawn) == sorted(allowed)


@settings(deadline=None, max_examples=60)
@given(table=tables(), sisters=st.booleans())
def test_later_it_is_another_marker_of_a_later_self(table: pd.DataFrame, sisters: bool) -> None:
    """The later selves are those among cells of several markers, in the anchor's channel."""
    expected = others(table)
    several = np.flatnonzero([bool(found) for found in expected])
    selves = later(sisters)(table.iloc[several])
    positives = AcrossMarkerPositives(table, later=later(sisters))
    assert np.flatnonzero(positives.has_positive).tolist() == several[selves.has_positive].tolist()
    for row in np.flatnonzero(positives.has_positive):
        own = int(np.searchsorted(several, row))
        reached: set[int] = set()
        for number in range(12):
            same = np.full(6, row)
            drawn = positives.draw(same, epoch=0, number=number)
            selfs = several[selves.draw(np.full(6, own), epoch=0, number=number)]
            assert all(one in expected[self] for one, self in zip(drawn, selfs, strict=True))
            reached |= set(drawn)
        assert all(table["marker"].iloc[one] != table["marker"].iloc[row] for one in reached)
        assert all(1 <= table["t"].iloc[one] - table["t"].iloc[row] <= 2 for one in reached)


def test_a_draw_is_a_function_of_seed_epoch_number_and_place() -> None:
    cells = pd.DataFrame({"experiment": "e", "well": "A/1", "fov": "0", "track_id": np.arange(50), "t": 0})
    table = cells.loc[cells.index.repeat(6)].reset_index(drop=True)
    table = table.assign(marker=np.tile(list("abcdef"), 50))
    positives = AcrossMarkerPositives(table, seed=5)
    rows = np.arange(0, 300, 7)
    whole = positives.draw(rows, epoch=2, number=7)
    places = np.array([1, 3, 4])
    np.testing.assert_array_equal(
        positives.draw(rows[places], epoch=2, number=7, places=places), whole[places]
    )
    for other in (
        positives.draw(rows, epoch=3, number=7),
        positives.draw(rows, epoch=2, number=8),
        AcrossMarkerPositives(table, seed=6).draw(rows, epoch=2, number=7),
    ):
        assert other.tolist() != whole.tolist()


def test_refusals() -> None:
    table = pd.DataFrame({"experiment": "e", "fov": "0", "track_id": [1, 1], "t": 0, "marker": ["a", "b"]})
    with pytest.raises(InvalidInputError, match="to tell cells apart the columns t are needed"):
        AcrossMarkerPositives(table.drop(columns="t"))
    with pytest.raises(InvalidInputError, match="to tell cells apart the columns channel are needed"):
        AcrossMarkerPositives(table, later=later(False))
    with pytest.raises(InvalidInputError, match=r"rows=2: the table has rows 0 .. 1"):
        AcrossMarkerPositives(table).draw(np.array([2]), epoch=0, number=0)
