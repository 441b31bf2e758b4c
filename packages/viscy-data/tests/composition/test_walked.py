"""Walked passes: balance at any time, no member twice in a visit, whatever the sizes of visits."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.composition.walked import walk


@settings(max_examples=150)
@given(
    size=st.integers(1, 20),
    counts=st.lists(st.integers(0, 45), min_size=1, max_size=25),
    seed=st.integers(0, 9),
)
def test_visits_hold_no_member_twice_and_stay_balanced(size: int, counts: list[int], seed: int) -> None:
    seen = Counter(dict.fromkeys(range(size), 0))
    for visit, count in zip(walk(size, counts, (seed, 3)), counts, strict=True):
        used = Counter(visit.tolist())
        assert used.total() == count
        assert all(count // size <= used[member] <= -(-count // size) for member in range(size))
        seen.update(used)
        assert max(seen.values()) - min(seen.values()) <= 1
        assert set(seen) == set(range(size))


def test_keys_and_passes_give_other_orders() -> None:
    visits = [tuple(visit.tolist()) for key in range(10) for visit in walk(12, [9] * 5, (key, 0))]
    assert len(set(visits)) == 50


def test_every_member_comes_first_equally_often() -> None:
    first = Counter(int(walk(5, [1], (key, 1))[0][0]) for key in range(4000))
    assert all(abs(first[member] - 800) < 115 for member in range(5))  # 4.5 standard deviations
