import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, sem
from scipy.stats import t as student

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation.intervals import Deletions, Resampling, ratio, unit_sums
from viscy_train.evaluation.units import Units

ZEROS = np.zeros(200, dtype=np.int64)


@pytest.mark.parametrize("options", [{"shuffles": 19}, {"shuffled_cells": 9}, {"level": 1.0}])
def test_options_outside_their_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        Resampling(**options)  # type: ignore[arg-type]  # one field at a time, of its own type


@given(st.integers(2, 12), st.integers(0, 9))
def test_the_interval_of_a_mean_is_students(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=count)
    units = Units.of(np.zeros(count, dtype=np.int64), np.arange(count))
    found = ratio(values, np.ones(count), units, Resampling())
    half = student.ppf(0.975, count - 1) * sem(values)
    assert found == pytest.approx((values.mean(), values.mean() - half, values.mean() + half))


@given(st.integers(4, 40), st.integers(0, 9))
def test_ratio_equals_a_loop_over_units_left_out(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    above, below = rng.random(rows), 1 + rng.random(rows)
    codes = np.unique(np.arange(rows) % 7, return_inverse=True)[1]
    strata = np.arange(codes.max() + 1) % 2
    variance, freedom = [], []
    for stratum in (0, 1):
        left = []
        for unit in np.flatnonzero(strata == stratum):
            kept = codes != unit
            left.append(above[kept].sum() / below[kept].sum())
        variance.append((len(left) - 1) * np.var(left))
        freedom.append(len(left) - 1)
    total = sum(variance)
    of_freedom = total**2 / sum(one**2 / df for one, df in zip(variance, freedom, strict=True))
    half = student.ppf(0.975, of_freedom) * np.sqrt(total)
    value = above.sum() / below.sum()
    units = Units.of(np.zeros(rows, dtype=np.int64), codes)
    assert ratio(above, below, units, Resampling(), strata=strata) == pytest.approx(
        (value, value - half, value + half)
    )


def test_the_interval_covers_the_mean_of_independent_units_and_holds_the_value() -> None:
    rng = np.random.default_rng(1)
    units = Units.of(ZEROS, np.repeat(np.arange(40), 5))
    covered = 0
    for _ in range(200):
        values = rng.normal(size=40)[units.codes]
        value, low, high = ratio(values, np.ones(200), units, Resampling())
        assert low <= value <= high
        covered += low <= 0 <= high
    # binomial(200, 0.95) is below 178 once in 10^3; cells in place of units would cover some 120
    assert covered >= 178


def test_it_is_as_wide_as_a_bootstrap_of_many_units() -> None:
    values = np.random.default_rng(0).normal(size=40)
    _, low, high = ratio(values, np.ones(40), Units.of(ZEROS[:40], np.arange(40)), Resampling())
    drawn = bootstrap((values,), np.mean, n_resamples=2000, rng=np.random.default_rng(0))
    width = drawn.confidence_interval.high - drawn.confidence_interval.low
    assert high - low == pytest.approx(width, rel=0.15)


def test_bounds_end_the_interval() -> None:
    units = Units.of(ZEROS[:3], np.arange(3))
    assert ratio(np.array([1.0, 1, 0]), np.ones(3), units, Resampling(), bounds=(0, 1))[1:] == (0, 1)


def test_units_that_agree_by_chance_give_no_interval_of_no_width() -> None:
    few = Deletions.of(np.zeros(3, dtype=np.int64))
    _, low, high = few.interval(np.ones(4), 0.95, (0, 1), chance=0.5)
    assert low < 0.5 < high
    many = Deletions.of(np.zeros(30, dtype=np.int64))
    _, low, high = many.interval(np.ones(31), 0.95, (0, 1), chance=0.5)
    assert low == pytest.approx(1, abs=0.05)
    assert high == 1
    assert many.interval(np.full(31, 0.5), 0.95, (0, 1), chance=0.5) == (0.5, 0.5, 0.5)


def test_many_units_are_left_out_in_groups() -> None:
    deletions = Deletions.of(np.zeros(1000, dtype=np.int64), groups=25)
    assert deletions.weights.shape == (26, 1000)
    assert (deletions.weights[1:].sum(axis=1) == 960).all()
    assert (deletions.weights[1:].sum(axis=0) == 24).all()


@given(st.integers(1, 20), st.integers(0, 9))
def test_unit_sums_equal_a_loop(rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, units = rng.random((rows, 2)), rng.integers(0, 4, rows)
    expected = [values[units == unit].sum(axis=0) for unit in range(4)]
    np.testing.assert_allclose(unit_sums(values, units, 4), expected)
