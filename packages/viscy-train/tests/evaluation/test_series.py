from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_train.evaluation import Bin, Definition, Headline, Metric, NotAvailable, Series
from viscy_train.evaluation.series import MOST_BINS, hour_bins, known_bins

WHAT = Definition("condition_left_out/auroc", "condition", "higher", "how", (0.0, 1.0))


def series(*lows: float | None) -> Series:
    """Return a series of bins of two hours, with the lower ends of their intervals."""
    bins = [
        Bin(2.0 * n, 2.0 * n + 2, NotAvailable(WHAT, "none") if low is None else metric(low))
        for n, low in enumerate(lows)
    ]
    return Series("condition", WHAT, tuple(bins))


def metric(low: float) -> Metric:
    return Metric(WHAT, low + 0.05, low, low + 0.1, shuffled=0.5, n=9, units=6, unit="wells")


@given(st.lists(st.floats(-50, 2000, allow_subnormal=False), min_size=2, max_size=20))
def test_bins_hold_all_hours_and_are_few(hours: list[float]) -> None:
    bins = hour_bins(np.array([*hours, np.nan]))
    if min(hours) == max(hours):
        assert not bins
        return
    assert len(bins) <= MOST_BINS + 2
    assert bins[0][0] <= min(hours)
    assert max(hours) < bins[-1][1] or np.isclose(max(hours), bins[-1][1])
    assert all(one[1] == other[0] for one, other in pairwise(bins))


@pytest.mark.parametrize(
    ("lows", "told"),
    [
        ((0.4, 0.6, 0.7), (2.0, 6.0)),
        ((0.6, 0.4, 0.7), (4.0, 6.0)),
        ((0.4, 0.6, 0.6, 0.4), (2.0, 6.0)),  # the last hours have few wells
        ((0.6, 0.7, 0.4, 0.7), (0.0, 4.0)),
        ((0.6, 0.7), (0.0, 4.0)),
        ((0.6, 0.4), (0.0, 2.0)),
        ((0.4, None, 0.6), (4.0, 6.0)),
        ((0.4, 0.6, None, 0.6), (2.0, 8.0)),
        ((0.4, 0.4), None),
        ((None, None), None),
    ],
)
def test_it_is_told_in_the_longest_run_of_hours(
    lows: tuple[float | None, ...], told: tuple[float, float] | None
) -> None:
    run = series(*lows).told
    assert ((run and (run[0][0].start, run[-1][0].end)) or None) == told


def test_bins_at_the_ends_without_a_number_are_left_out() -> None:
    kept = known_bins(series(None, 0.4, None, 0.6, None).bins)
    assert [one.start for one in kept] == [2, 4, 6]


def test_limits_come_from_the_same_hours() -> None:
    limited = series(0.4, 0.6).with_limits(floor=series(0.1), ceiling=series(None, 0.8))
    first, second = (one for _, one in limited.metrics)
    assert first.floor == pytest.approx(0.15)
    assert second.ceiling == pytest.approx(0.85)
    assert first.ceiling is None
    assert second.floor is None


@pytest.mark.parametrize(
    ("lows", "words"),
    [
        ((0.4, 0.6, 0.7), "; not before 2 h; 0.75 after 4 h."),
        ((0.6, 0.7, 0.4), "; from the first hours on; 0.75 before 4 h, and not shown after."),
        ((0.4, 0.4, 0.6), "; by hours told from 4 to 6 h only, 0.65."),
        ((0.6, 0.4, 0.4), "; by hours told from 0 to 2 h only, 0.65."),
        ((0.4, 0.4), "; at no hour told from guessing."),
    ],
)
def test_the_answer_says_from_when_and_until_when(lows: tuple[float, ...], words: str) -> None:
    assert Headline("condition", "?", metric(0.6), series(*lows)).answer.endswith(words)
