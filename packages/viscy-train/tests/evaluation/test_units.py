import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_train.evaluation.units import (
    Units,
    constant_within,
    deal,
    lone_labels,
    lone_unit,
    spread,
    units_of,
)

WELL, LINEAGE = np.arange(24) // 6, np.arange(24) // 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 99))
def test_constant_within_equals_a_loop_over_groups(labels: list[int], seed: int) -> None:
    codes = np.array(labels)
    groups = np.random.default_rng(seed).integers(0, 5, codes.size)
    expected = all(len(set(codes[groups == group])) == 1 for group in set(groups.tolist()))
    assert constant_within(codes, groups) == expected


@pytest.mark.parametrize(
    ("labels", "unit", "dealt"),
    [
        (WELL // 2, "experiments", 2),
        (WELL % 2, "wells", 4),
        (LINEAGE % 2, "lineages", 12),
        (np.arange(24) % 2, "lineages", 24),
    ],
)
def test_the_unit_is_the_coarsest_level_that_a_label_never_changes_in(
    labels: np.ndarray, unit: str, dealt: int
) -> None:
    levels = {"experiments": WELL // 2, "wells": WELL, "lineages": LINEAGE}
    units = units_of(labels, levels)
    assert units.name == unit
    assert np.unique(units.dealt).size == dealt


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 99))
def test_lone_labels_equal_a_loop(labels: list[int], seed: int) -> None:
    codes = np.array(labels)
    units = np.random.default_rng(seed).integers(0, 5, codes.size)
    expected = [label for label in sorted(set(labels)) if len(set(units[codes == label].tolist())) == 1]
    assert lone_labels(codes, units).tolist() == expected


def test_a_label_of_one_well_is_said() -> None:
    assert not lone_unit(WELL % 2, Units.of(WELL % 2, WELL, "wells"))
    assert lone_unit(WELL, Units.of(WELL, WELL, "wells")) == (
        "each label is held by one well only, so that label and well cannot be told apart"
    )
    assert lone_unit(WELL // 3, Units.of(WELL // 3, WELL, "wells")).startswith("a label is held by one well")


@given(st.integers(0, 99), st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_dealt_labels_keep_their_counts_over_units_and_groups(seed: int, labels: list[int]) -> None:
    codes = np.repeat(np.array(labels), 2)
    units = np.arange(codes.size) // 2
    within = units % 2
    dealt = codes[deal(Units.of(codes, units), np.random.default_rng(seed), within=within)]
    assert (dealt[::2] == dealt[1::2]).all()
    for group in np.unique(within):
        assert sorted(dealt[within == group]) == sorted(codes[within == group])


def test_labels_that_change_inside_a_unit_are_dealt_row_by_row() -> None:
    codes = np.tile([0, 1], 50)
    dealt = codes[deal(Units.of(codes, np.arange(100) // 10), np.random.default_rng(0))]
    assert dealt.sum() == 50
    assert (dealt != codes).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 40), st.integers(0, 9))
def test_rows_are_spread_evenly_over_groups(groups: list[int], most: int, seed: int) -> None:
    codes = np.array(groups)
    rows = spread(codes, most, np.random.default_rng(seed))
    assert (np.diff(rows) > 0).all()
    if codes.size <= most:
        assert rows.size == codes.size
        return
    taken = np.bincount(codes[rows], minlength=6)
    held = np.bincount(codes, minlength=6)
    assert (taken[held > 0] >= 1).all()
    assert rows.size <= max(most, np.unique(codes).size)
    # a group gives fewer than another only if it has no more
    assert (taken == np.minimum(held, taken.max())).all()
