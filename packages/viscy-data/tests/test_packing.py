import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.packing import pack, stable_order

# Widths of 40 bits each make three columns too wide for one word.
NUMBERS = st.integers(0, 5) | st.integers(0, 2**40)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=40))
def test_keys_order_as_tuples_do(rows: list[tuple[int, int, int]]) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    keys = pack(list(columns)).tolist()
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            assert (keys[i] < keys[j]) == (a < b)
            assert (keys[i] == keys[j]) == (a == b)


def test_wide_values_keep_their_order_and_input_is_left_alone() -> None:
    column = np.array([2**62, 0, 2**61])
    before = column.copy()
    assert np.argsort(pack([column, column])).tolist() == [1, 2, 0]
    np.testing.assert_array_equal(column, before)


# Around the ends of each way of sorting, and where the row has room beside no key.
EDGES = (
    st.integers(-2, 9) | st.integers(2**16 - 2, 2**16 + 1) | st.integers(2**57, 2**63 - 1) | st.just(-(2**63))
)


@given(st.lists(EDGES, max_size=40))
def test_a_stable_order_is_that_of_sorted(keys: list[int]) -> None:
    column = np.array(keys, dtype=np.int64)
    assert stable_order(column).tolist() == sorted(range(len(keys)), key=keys.__getitem__)


def test_an_order_does_not_overflow_narrow_numbers() -> None:
    ends = np.iinfo(np.int32)
    assert stable_order(np.array([ends.max, ends.min, 0], dtype=np.int32)).tolist() == [1, 2, 0]
