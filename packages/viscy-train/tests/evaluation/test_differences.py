from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student

from viscy_train.evaluation import Definition, Difference, Metric, difference, differences
from viscy_train.evaluation.intervals import Deletions, Replicates
from viscy_train.evaluation.metric import Better, NotAvailable

type Array = NDArray[np.floating[Any]]

STRATA = np.repeat([0, 1], 4)


def metric(values: Array, better: Better = "higher", strata: NDArray[np.int64] = STRATA) -> Metric:
    """Return the mean of a value of each unit, with its replicates."""
    deletions = Deletions.of(strata)
    means = deletions.weights @ values / deletions.weights.sum(axis=1)
    found = Definition("condition_left_out/auroc", "condition", better, "how")
    replicates = Replicates(means, deletions)
    value, low, high = replicates.interval(0.95)
    return Metric(found, value, low, high, 0.5, 80, strata.size, "wells", replicates=replicates)


def test_no_embedding_is_better_below_what_guessing_gives() -> None:
    """Guessing gives 0.5: less than that is not less of the experiment."""
    low, middle, high = (np.linspace(0, 0.02, 8) + start for start in (0.2, 0.45, 0.8))
    for far, name in ((middle, ""), (high, "b")):
        found = difference(metric(far, "down to guess"), metric(low, "down to guess"), ("a", "b"))
        assert found is not None
        assert found.shown
        assert found.better == name


units = st.lists(st.floats(0, 1), min_size=8, max_size=8).map(np.array)


@given(units, units)
def test_the_interval_is_that_of_differences_taken_anew_without_each_unit(
    first: Array, second: Array
) -> None:
    found = difference(metric(first), metric(second), ("a", "b"))
    assert found is not None
    gap, variance, terms = first - second, 0.0, []
    for stratum in (0, 1):
        left = [np.delete(gap, unit).mean() for unit in np.flatnonzero(stratum == STRATA)]
        terms.append(sum((one - np.mean(left)) ** 2 for one in left) * 3 / 4)
    terms.append((gap.mean() / 5) ** 2)  # one more unit that sees no difference
    variance = sum(terms)
    assert found.value == pytest.approx(gap.mean())
    if variance > 1e-20:
        freedom = variance**2 / sum(one**2 / 3 for one in terms)
        half = student.ppf(0.975, freedom) * np.sqrt(variance)
        assert found.low == pytest.approx(gap.mean() - half, abs=1e-9)
        assert found.high == pytest.approx(gap.mean() + half, abs=1e-9)


@given(units, units)
def test_the_other_way_round_is_the_same_difference_with_the_other_sign(first: Array, second: Array) -> None:
    there = difference(metric(first), metric(second), ("a", "b"))
    back = difference(metric(second), metric(first), ("b", "a"))
    assert there is not None
    assert back is not None
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.better == back.better


def test_an_embedding_is_no_better_than_itself() -> None:
    one = metric(np.linspace(0, 1, 8))
    found = difference(one, one, ("a", "b"))
    assert found is not None
    assert (found.value, found.shown, found.better) == (0.0, False, "")


def test_a_gap_in_every_well_is_shown_where_both_intervals_overlap() -> None:
    wells = np.linspace(0.2, 0.9, 8)
    good, poor = metric(wells + 0.05), metric(wells)
    assert good.low < poor.high
    found = difference(good, poor, ("good", "poor"))
    assert found is not None
    assert found.better == "good"
    lower = difference(metric(wells + 0.05, "lower"), metric(wells, "lower"), ("good", "poor"))
    assert lower is not None
    assert lower.better == "poor"
    neither = difference(metric(wells + 0.05, "neither"), metric(wells, "neither"), ("good", "poor"))
    assert neither is not None
    assert (neither.shown, neither.better) == (True, "")


def test_what_has_no_pairs_has_no_difference() -> None:
    one, other = metric(np.linspace(0, 1, 8)), metric(np.linspace(0, 1, 6), strata=np.repeat([0, 1], 3))
    gone = NotAvailable(one.definition, "no condition")
    assert difference(one, other, ("a", "b")) is None
    assert difference(one, gone, ("a", "b")) is None
    assert differences({}) == ()


def test_a_difference_is_plain_values() -> None:
    found = Difference(Definition("m", "m", "higher", "how"), "a", "b", 0.2, 0.1, 0.3, 8, "wells")
    assert found.to_dict()["better"] == "a"
