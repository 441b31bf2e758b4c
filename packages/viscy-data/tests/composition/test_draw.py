"""The composer: what it refuses and warns of, and that blocks are the batches they are made of."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, make_table

from viscy_data.composition import Balance, BatchComposer, BatchPlan, Focus, Grouping, IndexBatch
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_data.sampling.labels import layout_of

AXES = {"grouping": "grouping", "balance": "balance", "focus": "focus"}


def composer_of(table: pd.DataFrame, plan: BatchPlan, *, drop_last: bool = True) -> BatchComposer:
    return BatchComposer(plan, layout_of(table, plan, AXES), seed=0, drop_last=drop_last)


@settings(max_examples=40)
@given(case=cases(), data=st.data())
def test_a_block_holds_the_batches_one_by_one(case: Case, data: st.DataObject) -> None:
    composer = case.sampler()._composer
    number = st.integers(0, 2 * composer.batches)
    numbers = data.draw(st.lists(number, min_size=1, max_size=15))
    rows, sizes = composer.rows(3, numbers)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    for one, part in zip(numbers, parts, strict=True):
        np.testing.assert_array_equal(composer.rows(3, [one])[0], part)


def test_small_cells_are_listed_with_their_sizes_in_one_warning() -> None:
    table = make_table({("a", "x"): 2, ("a", "y"): 50, ("b", "x"): 50, ("b", "y"): 1})
    plan = BatchPlan(10, grouping=Grouping("experiment"), balance=Balance("condition"))
    with pytest.warns(CompositionWarning, match=r"a batch: a / x: 2, b / y: 1\.$") as caught:
        composer_of(table, plan)
    assert len(caught) == 1


def test_cells_of_groups_without_batches_are_not_listed() -> None:
    table = make_table({("a", "x"): 2, ("b", "x"): 50})
    composer_of(table, BatchPlan(10, grouping=Grouping("experiment", weights={"a": 0, "b": 1})))


def test_fractions_that_round_to_nothing_are_warned_of() -> None:
    table = make_table({("a", "x"): 50, ("b", "x"): 50})
    leak = BatchPlan(4, grouping=Grouping("experiment", leak=0.1))
    with pytest.warns(CompositionWarning, match=r"Grouping\.leak=0\.1 of a batch of 4 rounds to no anchor"):
        composer_of(table, leak)
    outside = BatchPlan(4, focus=Focus("hours_post_infection", global_fraction=0.1))
    with pytest.warns(CompositionWarning, match=re.escape("Focus.global_fraction=0.1 of a batch of 4")):
        composer_of(table, outside)
    alone = BatchPlan(1, grouping=Grouping("experiment", leak=0.9))
    with pytest.warns(CompositionWarning, match=r"Grouping\.leak=0\.9 of a batch of 1"):
        composer_of(table, alone)
    zero = BatchPlan(4, focus=Focus("hours_post_infection", global_fraction=0.0))
    composer_of(table, zero)


def test_a_table_that_gives_no_batch_is_refused() -> None:
    table = make_table({("a", "x"): 7})
    with pytest.raises(
        InvalidInputError,
        match=r"BatchPlan\.batch_size=8 is more than the table's 7 anchors.*drop_last=False",
    ):
        composer_of(table, BatchPlan(8))
    assert composer_of(table, BatchPlan(8), drop_last=False).batches == 1


@pytest.mark.parametrize(
    ("anchors", "size", "drop_last", "batches"),
    [
        (20, 5, True, 4),
        (20, 5, False, 4),
        (21, 5, True, 4),
        (21, 5, False, 5),
        (24, 5, False, 5),
        (5, 5, True, 1),
    ],
)
def test_an_epoch_has_as_many_batches_as_fit(anchors: int, size: int, drop_last: bool, batches: int) -> None:
    assert (
        composer_of(make_table({("a", "x"): anchors}), BatchPlan(size), drop_last=drop_last).batches
        == batches
    )


def test_an_index_batch_is_a_list_that_survives_copies() -> None:
    batch = IndexBatch([3, 1, 2], epoch=5, number=9)
    assert batch == [3, 1, 2]
    assert isinstance(batch, list)
    for other in (copy.copy(batch), copy.deepcopy(batch), pickle.loads(pickle.dumps(batch))):
        assert type(other) is IndexBatch
        assert (other, other.epoch, other.number) == (batch, 5, 9)


def test_focal_times_are_drawn_anew_by_seed_epoch_and_number() -> None:
    table = make_table({("a", "x"): 400}, frames=100)
    plan = BatchPlan(4, focus=Focus("hours_post_infection"))
    layout = layout_of(table, plan, AXES)
    number, group = np.arange(60), np.zeros(60, dtype=np.int64)
    found = {
        tuple(BatchComposer(plan, layout, seed=seed, drop_last=True).clock.times(epoch, number, group))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(found) == 9
    assert all(len(set(times)) > 30 for times in found)
