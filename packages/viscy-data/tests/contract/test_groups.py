"""Each group gets its share of every epoch, to the batch, and over epochs nearly exactly."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, log2

import numpy as np
import pandas as pd
import pytest
from contract_tables import epoch_of, flat_sampler, sampler_of, table_of, warnings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import Balance, BatchPlan, FlexibleBatchSampler, Grouping


def groups_of(sampler: FlexibleBatchSampler, table: pd.DataFrame, epoch: int, *, span: int = 1) -> list[str]:
    """Return the group of each step of an epoch, by its first anchor."""
    name = table["experiment"].to_numpy()
    return [name[batch[0]] for batch in epoch_of(sampler, epoch)[::span]]


@settings(derandomize=True, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    weights=st.none() | st.lists(st.integers(0, 4) | st.floats(0, 1), min_size=6, max_size=6),
    batch_size=st.integers(1, 6),
    span=st.integers(1, 3),
    drop_last=st.booleans(),
)
def test_groups_get_floor_or_ceiling_of_their_share_and_nearly_exact_totals(
    sizes: list[int], weights: list[float] | None, batch_size: int, span: int, drop_last: bool
) -> None:
    names = "abcdef"[: len(sizes)]
    table = table_of({(name, "x"): size for name, size in zip(names, sizes, strict=True)})
    given_weights = None if weights is None else dict(zip(names, [1, *weights], strict=False))
    asked = dict(zip(names, sizes, strict=True)) if given_weights is None else given_weights
    whole = sum(map(Fraction, asked.values()))
    plan = BatchPlan(
        min(batch_size, len(table)), grouping=Grouping("experiment", weights=given_weights), span=span
    )
    sampler = sampler_of(table, plan, drop_last=drop_last)
    total: Counter[str] = Counter()
    for epoch in range(9):
        groups = Counter(groups_of(sampler, table, epoch, span=span))
        total += groups
        for name in names:
            exact = Fraction(asked[name]) / whole * sum(groups.values())
            assert floor(exact) <= groups[name] <= ceil(exact)
            assert abs(total[name] - (epoch + 1) * exact) <= 1 + log2(epoch + 1)


def test_far_epochs_hold_their_shares_too() -> None:
    table = table_of({("a", "x"): 31, ("b", "x"): 7, ("c", "x"): 22})
    sampler = sampler_of(table, BatchPlan(4, grouping=Grouping("experiment")))
    for epoch in (2**20 + 1, 10**9):
        groups = Counter(groups_of(sampler, table, epoch))
        for name, size in {"a": 31, "b": 7, "c": 22}.items():
            assert abs(groups[name] - 15 * size / 60) < 1


def test_weights_by_level_give_each_value_of_a_column_its_weight() -> None:
    """Markers share the batches evenly, however many experiments have them, and these by anchors."""
    table = table_of({("a", "x"): 60, ("b", "x"): 20, ("c", "x"): 100, ("d", "x"): 20})
    table["marker"] = np.where(table["experiment"] == "d", "n", "m")
    grouping = Grouping(["marker", "experiment"], weights={"marker": {"m": 1, "n": 1}})
    sampler = sampler_of(table, BatchPlan(5, grouping=grouping))
    total = Counter(name for epoch in range(9) for name in groups_of(sampler, table, epoch))
    assert total == {"d": 180, "a": 60, "b": 20, "c": 100}


def test_a_group_whose_strata_are_all_left_out_gets_no_batch_and_one_warning() -> None:
    table = table_of({("a", "x"): 50, ("a", "y"): 50, ("b", "y"): 50})
    plan = BatchPlan(5, grouping=Grouping("experiment"), balance=Balance("condition", ratio={"x": 1, "y": 0}))
    assert sum("'b'" in text and "no batch" in text for text in warnings_of(table, plan)) == 1
    sampler = sampler_of(table, plan)
    assert {name for epoch in range(3) for name in groups_of(sampler, table, epoch)} == {"a"}


def test_a_weight_of_zero_leaves_a_group_out() -> None:
    table = table_of({("a", "x"): 50, ("b", "x"): 50, ("c", "x"): 20})
    sampler = flat_sampler(table, batch_size=5, experiment_weights={"a": 0, "b": 1, "c": 1})
    assert Counter(groups_of(sampler, table, 0)) == {"b": 12, "c": 12}


def test_the_order_of_groups_is_shuffled_anew_in_every_epoch() -> None:
    table = table_of({(name, "x"): 40 for name in "abcd"})
    sampler = sampler_of(table, BatchPlan(8, grouping=Grouping("experiment")))
    orders = [groups_of(sampler, table, epoch) for epoch in range(200)]
    assert len(set(map(tuple, orders))) == 200
    first = Counter(order[0] for order in orders)
    assert max(abs(first[name] - 50) for name in "abcd") < 28  # 4.5 standard deviations
    alike = np.mean([before == after for order in orders for before, after in pairwise(order)])
    assert alike == pytest.approx(4 / 19, abs=0.04)  # 20 batches, 5 of each: shuffled, not in turns


def test_without_a_grouping_batches_mix_groups() -> None:
    table = table_of({("a", "x"): 40, ("b", "x"): 40})
    sampler = flat_sampler(table, batch_size=8, experiment_aware=False)
    mixed = [table["experiment"].iloc[batch].nunique() for batch in sampler]
    assert np.mean(mixed) > 1.5
