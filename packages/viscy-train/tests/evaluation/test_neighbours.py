import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_train.evaluation import neighbours
from viscy_train.evaluation.arrays import unit_rows
from viscy_train.evaluation.neighbours import NONE, nearest


@given(st.integers(0, 999), st.integers(2, 40), st.integers(1, 6))
def test_neighbours_equal_a_loop_over_rows(seed: int, rows: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    unit = unit_rows(rng.normal(size=(rows, 3)))
    own, pool = rng.integers(0, 5, rows), rng.integers(0, 3, rows)
    found = nearest(unit, k, own=own, pool=pool)
    for row in range(rows):
        allowed = [other for other in range(rows) if pool[other] == pool[row] and own[other] != own[row]]
        expected = sorted(allowed, key=lambda other: -float(unit[row] @ unit[other]))[:k]
        assert found[row].tolist() == expected + [NONE] * (k - len(expected))


def test_blocks_change_nothing() -> None:
    rng = np.random.default_rng(0)
    unit, own, pool = unit_rows(rng.normal(size=(50, 3))), np.arange(50) // 2, np.arange(50) % 2
    whole = nearest(unit, 4, own=own, pool=pool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "BLOCK", 7)
        assert (nearest(unit, 4, own=own, pool=pool) == whole).all()
