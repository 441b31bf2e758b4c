"""Keyed words and permutations: bijective, without a pattern, and unlike neighbours'."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.composition.keyed import below, permute, words

KEYS = st.integers(0, 2**64 - 1)


def key_of(value: int) -> NDArray[np.uint64]:
    return np.array([value], dtype=np.uint64)


def chi_square(counts: NDArray[np.int64], expected: NDArray[Any] | float) -> float:
    """Return how many standard deviations the statistic lies above its mean."""
    degrees = counts.size - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return (statistic - degrees) / float(np.sqrt(2 * degrees))


def test_every_size_to_three_thousand_is_a_bijection() -> None:
    for size in range(1, 3001):
        image = permute(np.arange(size), size, words(size, 5))
        assert np.bincount(image, minlength=size).tolist() == [1] * size


@pytest.mark.parametrize("exponent", [*range(2, 20)])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_sizes_around_powers_of_two_are_bijections(exponent: int, off: int) -> None:
    size = 2**exponent + off
    image = permute(np.arange(size), size, words(exponent))
    np.testing.assert_array_equal(np.sort(image), np.arange(size))


@given(size=st.integers(1, 400), key=KEYS)
def test_every_key_is_a_bijection(size: int, key: int) -> None:
    assert sorted(permute(np.arange(size), size, key_of(key)).tolist()) == list(range(size))


@given(data=st.data())
def test_many_permutations_at_once_are_each_alone(data: st.DataObject) -> None:
    size = data.draw(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
    key = words(3, np.arange(len(size)))
    index = np.array([data.draw(st.integers(0, n - 1)) for n in size])
    together = permute(index, np.array(size), key)
    alone = [int(permute(i, n, k)[0]) for i, n, k in zip(index, size, key, strict=True)]
    assert together.tolist() == alone


@pytest.mark.parametrize("size", [2, 3, 5, 8, 13, 30, 63, 64, 65, 130])
def test_every_place_goes_everywhere_equally_often(size: int) -> None:
    keys = 200 * size
    image = permute(np.arange(size)[:, None], size, words(11, np.arange(keys))[None, :])
    for place in image:
        assert chi_square(np.bincount(place, minlength=size), keys / size) < 5


@pytest.mark.parametrize("size", [3, 4, 5, 6, 8, 12, 20, 64])
def test_pairs_of_places_go_to_all_pairs_equally_often(size: int) -> None:
    each = 1000 if size <= 12 else 100
    keys = each * size * (size - 1)
    for first, second in [(0, 1), (0, size - 1), (size // 2, size // 2 - 1)]:
        one, two = (permute(place, size, words(12, np.arange(keys))) for place in (first, second))
        counts = np.bincount(one * size + two, minlength=size**2).reshape(size, size)
        assert (np.diag(counts) == 0).all()
        off = counts[~np.eye(size, dtype=bool)]
        assert chi_square(off, each) < 5


@pytest.mark.parametrize("position", [0, 1, 2])
def test_flipping_any_bit_of_a_key_flips_half_of_the_bits(position: int) -> None:
    rng = np.random.default_rng(1)
    key = rng.integers(0, 2**63, (3, 2000)).astype(np.uint64)
    base = words(*key)
    for bit in range(64):
        other = key.copy()
        other[position] ^= np.uint64(1 << bit)
        flips = base ^ words(*other)
        each = np.array([int((flips >> np.uint64(b) & np.uint64(1)).sum()) for b in range(64)])
        assert (np.abs(each - 1000) < 5 * np.sqrt(500)).all()


def test_words_of_a_key_are_separate() -> None:
    found = {int(words(a, b, c)[0]) for a in range(20) for b in range(20) for c in range(20)}
    assert len(found) == 8000
    assert len({int(words(*[0] * count)[0]) for count in range(1, 9)}) == 8


@given(key=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=5), cut=st.integers(0, 5))
def test_plain_integers_and_arrays_are_the_same_words(key: list[int], cut: int) -> None:
    mixed = [word if i < cut else np.array([word, word]) for i, word in enumerate(key)]
    assert set(words(*mixed).tolist()) == set(words(*key).tolist())
    assert words(-1) == words(np.array([2**64 - 1], dtype=np.uint64))


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 1000, 2**20 + 7])
def test_bounded_integers_are_even(bound: int) -> None:
    drawn = below(words(5, np.arange(100_000)), bound)
    assert drawn.min() >= 0
    assert drawn.max() < bound
    counts = np.bincount(drawn * min(bound, 100) // bound, minlength=min(bound, 100))
    assert bound == 1 or chi_square(counts, _expected(bound)) < 5


def _expected(bound: int) -> NDArray[Any]:
    parts = min(bound, 100)
    return np.bincount(np.arange(bound) * parts // bound) * (100_000 / bound)


@given(bits=KEYS, bound=st.integers(1, 2**32))
def test_a_bounded_integer_is_the_high_word_of_the_product(bits: int, bound: int) -> None:
    assert below(key_of(bits), bound).tolist() == [bits * bound >> 64]
