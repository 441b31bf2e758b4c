from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import InvalidInputError
from viscy_train.evaluation.mmd import _thinned, mmd


def slow(first: np.ndarray, second: np.ndarray) -> float:
    """Equation 3 of Gretton et al. 2012, pair by pair."""
    both = np.concatenate([first, second])
    squared = [((a - b) ** 2).sum() for i, a in enumerate(both) for j, b in enumerate(both) if i != j]
    median = np.median(squared)

    def mean(ones: np.ndarray, others: np.ndarray, *, same: bool) -> float:
        values = [
            np.exp(-((a - b) ** 2).sum() / (2 * median))
            for i, a in enumerate(ones)
            for j, b in enumerate(others)
            if not (same and i == j)
        ]
        return float(np.mean(values))

    alike = mean(first, first, same=True) + mean(second, second, same=True)
    return alike - 2 * mean(first, second, same=False)


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=4, max_size=6),
    features=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_value_and_p_are_those_of_a_loop_over_pairs_and_divisions(
    sizes: list[int], features: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(len(sizes)), sizes)
    label = np.where(unit < 2, "a", "b")
    embedding = rng.normal(size=(unit.size, features)) + (label == "b")[:, None]

    (found,) = mmd(embedding, label, unit)

    values = {
        chosen: slow(embedding[np.isin(unit, chosen)], embedding[~np.isin(unit, chosen)])
        for chosen in combinations(range(len(sizes)), 2)
        if min(np.isin(unit, chosen).sum(), (~np.isin(unit, chosen)).sum()) > 1
    }
    if (0, 1) in values and len(values) == len(list(combinations(range(len(sizes)), 2))):
        assert found.value == pytest.approx(values[0, 1])
        as_large = [value >= values[0, 1] - 1e-12 for value in values.values()]
        assert found.p == pytest.approx(np.mean(as_large))
    assert found.units == (2, len(sizes) - 2)
    assert found.cells == (sum(sizes[:2]), sum(sizes[2:]))


def test_over_all_experiments_it_is_the_length_of_the_mean_difference() -> None:
    rng = np.random.default_rng(1)
    experiment, well = np.repeat([0, 1], 24), np.repeat(np.arange(8), 6)
    label = well % 2
    embedding = rng.normal(size=(48, 3)) + label[:, None] + 2 * experiment[:, None]

    found = {one.experiment: one for one in mmd(embedding, label, well, experiment=experiment)}

    for number in (0, 1):
        embedding[experiment == number] -= embedding[experiment == number].mean(axis=0)
    # the bilinear form, cell by cell: weights 1/m and -1/n, pairs of one group without the diagonal
    squared = ((embedding[:, None] - embedding[None]) ** 2).sum(axis=-1)
    same = experiment[:, None] == experiment[None]
    median = np.median(squared[same & ~np.eye(48, dtype=bool)])
    kernel = np.exp(-squared / (2 * median))
    total = 0.0
    for i in range(48):
        for j in range(48):
            sign = 1 if label[i] == label[j] else -1
            own = same[i, j] and label[i] == label[j]
            if i != j:
                total += sign * kernel[i, j] / (12 * 11 if own else 12 * 12)
    assert found[""].value == pytest.approx(total / 4)
    for name in ("0", "1"):
        rows = experiment == int(name)
        first, second = (embedding[rows & (label == side)] for side in (0, 1))
        assert found[name].value == pytest.approx(slow(first, second))
        assert found[name].least_p == pytest.approx(2 / 6)
    assert found[""].least_p == pytest.approx(2 / 36)


def well_effects(rng: np.random.Generator, wells: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    well = np.repeat(np.arange(wells), cells)
    return rng.normal(size=(well.size, 2)) + rng.normal(size=(wells, 2))[well], well


def test_p_is_uniform_where_nobody_is_treated_and_wells_differ() -> None:
    """Were cells shuffled, all of these would be significant; shuffled wells give at most p in p of them."""
    found = []
    for seed in range(200):
        embedding, well = well_effects(np.random.default_rng(seed), 8, 5)
        (one,) = mmd(embedding, well % 2, well, permutations=100)
        found.append(one.p)
    values = np.array(found, dtype=float)

    for level in (0.05, 0.1, 0.2, 0.5):
        share = (values <= level).mean()
        assert share < level + 3 * np.sqrt(level * (1 - level) / values.size)
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


def test_a_treatment_is_found_beside_experiments_that_differ_more() -> None:
    """One treated well in each of six experiments says nothing in one, and something in all of them."""
    rng = np.random.default_rng(0)
    experiment, treated = np.repeat(np.arange(6), 40), np.tile(np.repeat([False, True], 20), 6)
    embedding = rng.normal(size=(240, 2)) + 3 * rng.normal(size=(6, 2))[experiment] + 1.5 * treated[:, None]
    well = experiment * 2 + treated

    over_all, *inside = mmd(embedding, treated, well, experiment=experiment)

    assert over_all.p == over_all.least_p == 2 / 64
    assert all(one.value is None and "1 and 1 units" in one.reason for one in inside)


def test_a_label_that_is_the_experiment_is_no_discrepancy_of_groups() -> None:
    experiment, well = np.repeat(["x", "y"], 20), np.repeat(np.arange(4), 10)
    (found,) = mmd(np.random.default_rng(0).normal(size=(40, 2)), experiment, well, experiment=experiment)
    assert found.value is None
    assert "compare experiments" in found.reason


def test_thinning_is_even_over_units_and_the_same_each_time() -> None:
    embedding, well = well_effects(np.random.default_rng(0), 6, 30)
    well[:100] = 0  # one unit is far larger
    label = np.where(well == 0, 0, well % 2)
    one, other = (mmd(embedding, label, well, max_cells=40, permutations=10) for _ in range(2))
    assert one == other
    counts = np.bincount(well[_thinned(well, 12, np.random.default_rng(0))])
    assert counts[np.unique(well)].max() - counts[np.unique(well)].min() <= 1


def test_cells_of_one_place_do_not_divide_by_zero() -> None:
    (found,) = mmd(np.ones((8, 2)), np.repeat([0, 1], 4), np.repeat(np.arange(4), 2))
    assert found.value == pytest.approx(0)
    assert found.p == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": np.array(["a", "b"] * 4)}, "more than one label"),
        ({"experiment": np.array([0, 1] * 4)}, "more than one experiment"),
        ({"label": np.zeros(3)}, "label.shape"),
        ({"max_cells": 1}, "max_cells=1 is below 10"),
        ({"embedding": np.full((8, 2), np.nan)}, "not finite"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    given = {"embedding": np.ones((8, 2)), "label": np.repeat(["a", "b"], 4), "unit": np.repeat(range(4), 2)}
    with pytest.raises(InvalidInputError, match=said):
        mmd(**(given | change))  # type: ignore[arg-type]
