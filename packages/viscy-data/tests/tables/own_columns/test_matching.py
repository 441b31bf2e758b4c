"""Rows are found by their keys as a dictionary finds them, whichever way is taken."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.tables.own_columns import matching
from viscy_data.tables.own_columns.matching import packed, rows_of
from viscy_data.tables.own_columns.table import UserTable

type IntArray = NDArray[np.int64]

SPANS = (3, 40, 1 << 20, 1 << 40)  # the last does not fit one word twice


def _table(values: list[int]) -> UserTable:
    return UserTable(Path("t.csv"), {}, {"value": pa.array(values)}, np.arange(len(values)), "line")


def _columns(pairs: list[tuple[int, int]]) -> dict[str, IntArray]:
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return {"fov": both[:, 0], "track_id": both[:, 1]}


@st.composite
def _sides(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    span = draw(st.sampled_from(SPANS))
    keys = st.tuples(st.integers(-1, span), st.integers(-1, span))
    theirs = draw(st.lists(keys, max_size=20, unique=True))
    ours = draw(st.lists(st.one_of(keys, st.sampled_from(theirs or [(-1, -1)])), max_size=20))
    return ours, theirs


@settings(max_examples=60, deadline=None)
@given(_sides(), st.sampled_from([0, 16, 1000]))
def test_rows_are_those_that_a_dictionary_gives(
    sides: tuple[list[tuple[int, int]], list[tuple[int, int]]], room: int
) -> None:
    ours, theirs = sides
    known = {key: row for row, key in enumerate(theirs) if min(key) >= 0}
    expected = [known.get(key, -1) for key in ours]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_ROOM", room)
        own, other = packed(_columns(ours), _columns(theirs))
        found, matched = rows_of(_table(list(range(len(theirs)))), own, other, "key", several=True)
    assert found.tolist() == expected
    assert matched == len({row for row in expected if row >= 0})


@pytest.mark.parametrize("room", [0, 1000])
def test_rows_of_one_key_are_refused_unless_they_say_the_same(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "_ROOM", room)
    own, other = packed(_columns([(0, 1), (0, 2)]), _columns([(0, 2), (0, 1), (0, 2)]))
    found, matched = rows_of(_table([5, 6, 5]), own, other, "key")
    assert found.tolist() == [1, 0]
    assert matched == 3
    with pytest.raises(InvalidInputError, match="lines 0 and 2, column 'value': '5' and '7' for one key"):
        rows_of(_table([5, 6, 7]), own, other, "key")
