from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import TracksError
from viscy_data.tables.lineage import build_forest, cyclic_tracks, preorder, root_tracks

TABLE = Path(__file__).resolve().parents[5] / "shared" / "data" / "tables" / "celegans_live_tools.csv.gz"


@st.composite
def forests(draw: st.DrawFn) -> list[int]:
    """Parents in shuffled order: every track's parent is some track drawn before it, or none."""
    n = draw(st.integers(0, 40))
    parents = [draw(st.integers(-1, i - 1)) for i in range(n)]
    order = draw(st.permutations(range(n)))
    shuffled = [-1] * n
    for i, parent in enumerate(parents):
        shuffled[order[i]] = order[parent] if parent >= 0 else -1
    return shuffled


def ancestors(parents: list[int], i: int) -> list[int]:
    line = [i]
    while parents[line[-1]] >= 0 and len(line) <= len(parents):
        line.append(parents[line[-1]])
    return line


@given(forests())
def test_roots_are_where_climbing_ends(parents: list[int]) -> None:
    expected = [ancestors(parents, i)[-1] for i in range(len(parents))]
    assert root_tracks(np.array(parents, dtype=np.int64)).tolist() == expected


@given(forests())
def test_descendants_are_an_interval(parents: list[int]) -> None:
    first, size = preorder(np.array(parents, dtype=np.int64))
    assert sorted(first) == list(range(len(parents)))
    for i in range(len(parents)):
        inside = {j for j in range(len(parents)) if first[i] <= first[j] < first[i] + size[i]}
        assert inside == {j for j in range(len(parents)) if i in ancestors(parents, j)}


@given(st.lists(st.integers(-1, 11), min_size=12, max_size=12))
def test_cycles_are_found_and_refused(parents: list[int]) -> None:
    """Any map at all: a track without a root is one whose climb never ends."""
    array = np.array(parents, dtype=np.int64)
    endless = [i for i in range(12) if len(ancestors(parents, i)) > 12]
    assert cyclic_tracks(array).tolist() == endless
    if endless:
        for function in (root_tracks, preorder):
            with pytest.raises(TracksError, match="own ancestor"):
                function(array)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8, 1000])
def test_one_long_line_and_one_long_cycle(length: int) -> None:
    line = np.arange(-1, length - 1)
    assert (root_tracks(line) == 0).all()
    assert preorder(line)[1].tolist() == list(range(length, 0, -1))
    cycle = np.roll(np.arange(length), 1)
    assert len(cyclic_tracks(cycle)) == length


def test_tracks_are_told_apart_by_group() -> None:
    """The same track ids in two fovs, and a parent without rows, which still makes sisters of two."""
    group = np.array([0, 0, 1, 1, 1])
    tracks = np.array([1, 2, 1, 2, 3])
    parents = np.array([-1, 1, -1, 9, 9])
    forest = build_forest(group, tracks, parents)
    assert len(forest.track_id) == 6
    root = root_tracks(forest.parent)[forest.rows]
    assert root[0] == root[1]
    assert root[3] == root[4]
    assert len(set(root.tolist())) == 3
    assert forest.track_id[root].tolist() == [1, 1, 1, 9, 9]


def test_one_row_that_names_the_parent_is_enough() -> None:
    forest = build_forest(np.zeros(4, np.int64), np.array([1, 2, 2, 2]), np.array([-1, -1, 1, -1]))
    assert forest.parent.tolist() == [-1, 0]


@pytest.mark.skipif(not TABLE.exists(), reason=f"the real table is not here: {TABLE}")
def test_real_lineages_match_a_walk() -> None:
    table = pd.read_csv(TABLE)
    group = table["experiment"].astype("category").cat.codes.to_numpy().astype(np.int64)
    forest = build_forest(group, table["track_id"].to_numpy(), table["parent_track_id"].to_numpy())
    parents = forest.parent.tolist()
    expected = [ancestors(parents, i)[-1] for i in range(len(parents))]
    assert root_tracks(forest.parent).tolist() == expected
    assert len(parents) == 9218
    mothers, daughters = np.unique(forest.parent[forest.parent >= 0], return_counts=True)
    assert (len(mothers), set(daughters.tolist())) == (4585, {2})


@given(data=st.data(), apart=st.sampled_from([1, 10**6]))
def test_tracks_are_numbered_as_they_come_however_sparse_ids_are(data: st.DataObject, apart: int) -> None:
    rows = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=30))
    group, track = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    forest = build_forest(group, track * apart, np.full(len(rows), -1))
    order = list(dict.fromkeys(rows))
    assert forest.rows.tolist() == [order.index(row) for row in rows]
    assert list(zip(forest.group.tolist(), (forest.track_id // apart).tolist(), strict=True)) == order
