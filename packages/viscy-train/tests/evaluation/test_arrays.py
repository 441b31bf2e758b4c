import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation.arrays import as_codes, as_embedding, unit_rows


def test_an_embedding_of_another_shape_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"embedding\.shape=\(4,\)"):
        as_embedding(np.ones(4))


def test_values_that_are_not_finite_are_refused_by_row() -> None:
    embedding = np.ones((4, 2))
    embedding[2, 1] = np.nan
    with pytest.raises(InvalidInputError, match=r"not finite in 1 rows, the first \[2\]"):
        as_embedding(embedding)


def test_labels_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"condition\.shape=\(3,\)"):
        as_codes("condition", np.zeros(3), 4)


@given(npst.arrays(np.float64, st.tuples(st.integers(2, 9), st.integers(1, 4)), elements=st.floats(-9, 9)))
def test_unit_rows_have_length_one_or_zero(
    embedding: np.ndarray[tuple[int, int], np.dtype[np.float64]],
) -> None:
    lengths = np.linalg.norm(unit_rows(embedding), axis=1)
    assert np.all(np.isclose(lengths, 1) | (lengths == 0))


@pytest.mark.parametrize("value", [0.0, 0.1, -3.3e8, 1e-7])
def test_equal_rows_are_zero_after_centring_whatever_rounding_leaves(value: float) -> None:
    assert not unit_rows(np.full((7, 3), value)).any()
