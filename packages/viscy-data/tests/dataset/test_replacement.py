import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.dataset.replacement import Cells


def anchors(cells: list[tuple[str, str | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(cells, columns=["experiment", "condition"])
    return frame.astype("category")


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", None])), min_size=1, max_size=12),
    st.data(),
)
def test_a_stand_in_is_of_the_same_cell_and_not_taken(
    cells: list[tuple[str, str | None]], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(cells) - 1))
    taken = data.draw(st.sets(st.integers(0, len(cells) - 1))) | {row}
    key = data.draw(st.tuples(*[st.integers(0, 5)] * 4))
    drawn = Cells(anchors(cells), 0).draw(row, taken, key)
    left = [other for other, cell in enumerate(cells) if cell == cells[row] and other not in taken]
    assert (drawn in left) if left else (drawn is None)
    assert drawn == Cells(anchors(cells), 0).draw(row, taken, key)


def test_all_words_of_the_key_count() -> None:
    frame = anchors([("a", "x")] * 10_000)
    draws = {
        Cells(frame, 0).draw(0, {0}, key) for key in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)]
    }
    draws |= {Cells(frame, 0).draw(0, {0}, (0, 0, 0, 1)), Cells(frame, 1).draw(0, {0}, (0, 0, 0, 0))}
    assert len(draws) == 6


def test_without_conditions_a_cell_is_an_experiment() -> None:
    frame = pd.DataFrame({"experiment": ["a", "b", "a"]})
    assert Cells(frame, 0).draw(0, {0}, (0, 0, 0, 0)) == 2


def test_a_row_without_a_positive_stands_in_for_none() -> None:
    frame = anchors([("a", "x")] * 4)
    cells = Cells(frame, 0, np.array([0, 3]))
    assert cells.draw(0, {0}, (0, 0, 0, 0)) == 3
    assert cells.draw(0, {0, 3}, (0, 0, 0, 0)) is None
