import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.tables.others import Others


@settings(deadline=None, max_examples=60)
@given(
    table=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)), max_size=12),
    more=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_turns_go_through_the_rows_of_the_group_that_are_of_another_kind(
    table: list[tuple[int, int, int]], more: int, seed: int
) -> None:
    """Rows of the table that take no part have nothing; a row's turns are all of its others, each once."""
    taking_part = np.sort(np.random.default_rng(seed).permutation(len(table) + more)[: len(table)])
    group, *kind = np.array(table, dtype=np.int64).reshape(-1, 3).T
    others = Others(group, kind, taking_part, len(table) + more)
    allowed = {
        int(row): {int(taking_part[j]) for j, it in enumerate(table) if it[0] == one[0] and it != one}
        for row, one in zip(taking_part, table, strict=True)
    }
    assert np.flatnonzero(others.exist).tolist() == [row for row, found in allowed.items() if found]
    for row, found in allowed.items():
        if found:
            turns = np.arange(2 * len(found))
            same = np.full_like(turns, row)
            drawn = others.draw(same, np.full_like(turns, 3), turns, (seed,))
            assert sorted(drawn) == sorted([*found, *found])
            assert set(drawn[: len(found)]) == found


def test_rows_are_counted_in_four_bytes() -> None:
    others = Others(np.zeros(8, dtype=np.int64), [np.arange(8)], np.arange(8), 8)
    assert {others._order.dtype, others._place.dtype, others._groups.dtype} == {np.dtype(np.int32)}
