import numpy as np
import pandas as pd
import pytest

from viscy_data.dataset.pairs import Pairs
from viscy_data.errors import InvalidInputError
from viscy_data.tables.positives import Positives


def table(lengths: list[int]) -> pd.DataFrame:
    rows = [(track, t) for t in range(max(lengths)) for track, length in enumerate(lengths) if t < length]
    return pd.DataFrame(rows, columns=["track_id", "t"]).assign(
        experiment="a", fov="A/1/0", parent_track_id=-1
    )


def pairs_of(anchors: pd.DataFrame) -> Pairs:
    return Pairs.build(anchors, Positives(anchors, {"a": (1, 1)}))


def test_rows_are_those_of_the_table_and_positions_number_the_valid_ones() -> None:
    anchors = table([3, 1, 2])
    pairs = pairs_of(anchors)
    pd.testing.assert_frame_equal(pairs.anchors, anchors)
    assert pairs.count == 3
    rows = pairs.rows_of(np.arange(3))
    assert rows.tolist() == [0, 2, 3], "tracks 0 and 2 have a next frame"
    assert pairs.positions_of(rows[[2, 0]]).tolist() == [2, 0]
    valid = pairs.valid_anchors()
    assert valid.index.tolist() == [0, 1, 2]
    pd.testing.assert_frame_equal(valid, anchors.iloc[rows].reset_index(drop=True))


def test_positives_are_rows() -> None:
    pairs = pairs_of(table([3, 1, 2]))
    rows = pairs.rows_of(np.array([2, 0, 1]))
    drawn = pairs.draw(rows, epoch=0, number=0, places=np.arange(3))
    for row, positive in zip(rows, drawn, strict=True):
        one, other = pairs.anchors.iloc[row], pairs.anchors.iloc[positive]
        assert (one["track_id"], one["t"] + 1) == (other["track_id"], other["t"])


def test_every_anchor_is_valid_when_it_is_its_own_positive() -> None:
    anchors = table([3, 1, 2])
    pairs = Pairs.build(anchors, None)
    assert pairs.count == len(anchors)
    rows = np.array([5, 3])
    drawn = pairs.draw(rows, epoch=0, number=0, places=np.arange(2))
    assert drawn.tolist() == [5, 3]
    assert drawn is not rows


def test_no_positive_at_all_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match=r"none of the 2 anchors has a positive"):
        pairs_of(table([1, 1]))
