"""Numbers of tracks and ids of cells, as the file of the tracks has them."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.columns import NO_PARENT
from viscy_data.tables.tracks.source_ids import joined_sources, source_table, with_file_numbers


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[int], dict[int, int], list[int]]:
    """Draw our track of each detection, the mother of each track, and the file's number of each detection."""
    count = draw(st.integers(1, 6))
    mother = {i: draw(st.sampled_from([NO_PARENT, *range(1, i)])) for i in range(1, count + 1)}
    others = draw(st.lists(st.integers(1, count), max_size=8))
    track = draw(st.permutations([*mother, *others]))
    return track, mother, draw(st.lists(st.integers(-1, 4), min_size=len(track), max_size=len(track)))


@given(forests(), st.none() | st.integers(-1, 9))
def test_numbers_are_those_of_a_slow_reference(
    forest: tuple[list[int], dict[int, int], list[int]], largest: int | None
) -> None:
    track, mother, theirs = forest
    of_track = defaultdict(set)
    for ours, number in zip(track, theirs, strict=True):
        of_track[ours].add(number)
    expected: dict[int, int] = {}
    for ours in sorted(of_track):
        number = next(iter(of_track[ours]))
        if len(of_track[ours]) == 1 and number >= 0 and number not in expected.values():
            expected[ours] = number
    after = max(*theirs, -1 if largest is None else largest) + 1
    for ours in sorted(set(of_track) - set(expected)):
        expected[ours], after = after, after + 1
    got, parent = with_file_numbers(
        np.array(track), np.array([mother[i] for i in track]), np.array(theirs), largest=largest
    )
    assert got.tolist() == [expected[i] for i in track]
    assert parent.tolist() == [expected.get(mother[i], NO_PARENT) for i in track]


def test_numbers_that_leave_no_room_are_not_taken() -> None:
    track, parent = np.array([1, 2, 3]), np.array([NO_PARENT, 1, 1])
    most = np.iinfo(np.int32).max
    for theirs in ([most, most, most], [most - 1, most - 1, most - 1]):
        got, mothers = with_file_numbers(track, parent, np.array(theirs))
        assert (got is track, mothers is parent) == (True, True)
    got, _ = with_file_numbers(track, parent, np.array([most - 2, most - 3, most - 4]))
    assert got.tolist() == [most - 2, most - 3, most - 4]


def test_columns_that_say_nothing_are_left_out() -> None:
    ids, tracks = np.array([40, 7, -1]), np.array([1, 1, 2])
    table = source_table(ids, names={7: "mitosis", 99: "elsewhere"}, track_id=tracks, track_ids=tracks)
    assert table.to_pydict() == {"source_id": [40, 7, None], "source_name": [None, "mitosis", None]}
    assert source_table(track_id=tracks, track_ids=np.array([5, 5, -1])).to_pydict() == {
        "source_track_id": [5, 5, None]
    }
    whole = joined_sources([table, None, source_table(np.array([3]))], [3, 2, 1])
    assert whole.to_pydict() == {
        "source_id": [40, 7, None, None, None, 3],
        "source_name": [None, "mitosis", None, None, None, None],
    }
    assert joined_sources([None, None], [1, 2]) is None


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_has_no_names(count: int) -> None:
    track, parent = with_file_numbers(np.ones(count, int), np.full(count, -1), np.full(count, -1))
    assert (track.tolist(), parent.tolist()) == ([0] * count, [-1] * count)
