from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.tables.splits import leave_one_out, split_lineages

NAMES = st.lists(st.sampled_from([f"e/A/1/A/1/0/{i}" for i in range(30)]), min_size=2, max_size=60)


@given(names=NAMES, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**40), coded=st.booleans())
def test_a_lineage_lies_on_one_side(names: list[str], fraction: float, seed: int, coded: bool) -> None:
    names[0], names[1] = "first", "second"
    table = pd.DataFrame({"lineage_id": names})
    if coded:
        table["lineage_id"] = table["lineage_id"].astype(pd.CategoricalDtype([*sorted(set(names)), "unused"]))
    train, validation = split_lineages(table, fraction, seed)
    assert (train ^ validation).all()
    sides = [{name for name, held in zip(names, side, strict=True) if held} for side in (train, validation)]
    assert sides[0].isdisjoint(sides[1])
    assert all(sides)


def test_a_growing_table_keeps_every_lineage_where_it_was() -> None:
    names = np.array([f"e/{i}" for i in range(500)])
    _, few = split_lineages(pd.DataFrame({"lineage_id": names[:300]}), 0.3, seed=4)
    shuffled = np.random.default_rng(0).permutation(500)
    _, many = split_lineages(pd.DataFrame({"lineage_id": names[shuffled]}), 0.3, seed=4)
    assert (
        dict(zip(names[shuffled], many, strict=True)).items()
        >= dict(zip(names[:300], few, strict=True)).items()
    )


def test_the_fraction_is_kept_and_seeds_differ() -> None:
    table = pd.DataFrame({"lineage_id": [f"e/{i}" for i in range(20000)]})
    held = [split_lineages(table, 0.2, seed)[1] for seed in range(3)]
    for one in held:
        assert abs(one.mean() - 0.2) < 0.015
    # Independent splits agree on a lineage with probability 0.2 * 0.2 + 0.8 * 0.8.
    assert abs((held[0] == held[1]).mean() - 0.68) < 0.02
    assert abs((held[1] == held[2]).mean() - 0.68) < 0.02


def test_two_lineages_are_one_on_each_side() -> None:
    for seed in range(20):
        train, validation = split_lineages(pd.DataFrame({"lineage_id": ["a", "b", "b"]}), 0.01, seed)
        assert train.any()
        assert validation.any()


@pytest.mark.parametrize("coded", [False, True])
def test_every_experiment_is_left_out_once(coded: bool) -> None:
    table = pd.DataFrame({"experiment": ["b", "a", "b", "c"]})
    if coded:
        table["experiment"] = table["experiment"].astype(pd.CategoricalDtype(["unused", "c", "b", "a"]))
    parts = list(leave_one_out(table))
    assert [name for name, _, _ in parts] == ["a", "b", "c"]
    for name, train, test in parts:
        np.testing.assert_array_equal(test, table["experiment"] == name)
        np.testing.assert_array_equal(train, ~test)


@pytest.mark.parametrize(
    ("table", "fraction", "match"),
    [
        ({"lineage_id": ["a", "b"]}, 0.0, r"fraction=0\.0"),
        ({"lineage_id": ["a", "b"]}, 1.0, r"fraction=1\.0"),
        ({"lineage_id": ["a", "b"]}, float("nan"), "fraction=nan"),
        ({"lineage_id": ["a", "a"]}, 0.5, "at least 2 lineages; the table has 1"),
        ({"lineage_id": ["a", None]}, 0.5, "lineage_id: 1 missing values, the first in row 1"),
        (
            {"lineage": ["a", "b"]},
            0.5,
            "no column 'lineage_id'; the table has lineage. Did",
        ),
    ],
)
def test_bad_splits_are_refused(table: dict[str, Any], fraction: float, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        split_lineages(pd.DataFrame(table), fraction)


def test_leaving_out_the_only_one_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="by='experiment': leaving one out needs at least 2"):
        list(leave_one_out(pd.DataFrame({"experiment": ["a", "a"]})))
