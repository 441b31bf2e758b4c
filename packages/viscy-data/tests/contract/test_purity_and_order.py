"""A batch is a function of table, plan, seed, epoch and number, whenever and in any order it is asked for."""

import pickle
import random
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from contract_tables import epoch_of, even_cells, flat_sampler, movies, sampler_of, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import AtMost, Balance, BatchPlan, Focus, Grouping, IndexBatch, Locality, Weighting

CLOCK = "hours_post_infection"
TABLE = movies(1)
PLANS = {
    "plain": BatchPlan(7),
    "grouped": BatchPlan(7, grouping=Grouping("experiment"), balance=Balance("condition"), span=2),
    "weighted": BatchPlan(7, grouping=Grouping("experiment", leak=0.3), weighting=Weighting("weight")),
    "framed": BatchPlan(7, locality=Locality(frames=6, hold=2), at_most=AtMost("lineage_id", 2)),
    "all": BatchPlan(
        7,
        grouping=Grouping("experiment", leak=0.2),
        balance=Balance("condition"),
        focus=Focus(CLOCK, window_hours=1.0),
        at_most=[AtMost("track"), AtMost("lineage_id", 2, min_hours=1.0)],
        weighting=Weighting("weight"),
        span=3,
    ),
}


@settings(derandomize=True, max_examples=12)
@given(
    seed=st.integers(0, 2**40),
    asked=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 25)), min_size=1, max_size=30),
)
@pytest.mark.parametrize("name", PLANS)
def test_any_batch_of_any_epoch_comes_in_any_order(
    name: str, seed: int, asked: list[tuple[int, int]]
) -> None:
    sampler = sampler_of(TABLE, PLANS[name], seed=seed)
    drawn = {key: sampler.batch(key[1], epoch=key[0]) for key in asked}
    again = sampler_of(TABLE, PLANS[name], seed=seed)
    for epoch, number in reversed(asked):
        assert again.batch(number, epoch=epoch) == drawn[epoch, number]
    again.set_epoch(asked[0][0])
    iterated = {(batch.epoch, batch.number): batch for batch in again if isinstance(batch, IndexBatch)}
    assert len(iterated) == again.batches_per_epoch
    for key in iterated.keys() & drawn.keys():
        assert iterated[key] == drawn[key]


@pytest.mark.parametrize("name", PLANS)
def test_no_global_random_state_is_read_or_touched(name: str) -> None:
    found = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)  # noqa: NPY002 - the global state is what is watched
        torch.manual_seed(state)
        before = (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist())  # noqa: NPY002
        found.append(list(sampler_of(TABLE, PLANS[name], seed=3)))
        after = (random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist())  # noqa: NPY002
        assert before == after
    assert found[0] == found[1]


def test_seeds_epochs_and_numbers_are_separate_words_of_the_key() -> None:
    """Batches of 8 among 400 anchors that have nothing to do with each other share 0.16 on average."""
    table = table_of({("a", "x"): 400})
    drawn = {
        (seed, epoch, number): set(sampler_of(table, BatchPlan(8), seed=seed).batch(number, epoch=epoch))
        for seed, epoch, number in product(range(4), range(4), range(4))
    }
    shared = [
        len(rows & other)
        for key, rows in drawn.items()
        for at, other in drawn.items()
        if key < at and key[:2] != at[:2]
    ]
    assert max(shared) <= 4
    assert 0.12 < np.mean(shared) < 0.2
    for seed, epoch in product(range(4), repeat=2):
        assert len(set.union(*(drawn[seed, epoch, number] for number in range(4)))) == 32


@pytest.mark.parametrize("name", PLANS)
def test_another_seed_and_another_epoch_give_other_batches(name: str) -> None:
    epochs = [
        tuple(map(tuple, epoch_of(sampler_of(TABLE, PLANS[name], seed=seed), epoch)))
        for seed, epoch in product((0, 1), (0, 1))
    ]
    assert len(set(epochs)) == 4


def test_positions_do_not_depend_on_the_index_or_the_kind_of_columns() -> None:
    plan = PLANS["all"]
    drawn = list(sampler_of(TABLE, plan))
    kinds: dict[str, Any] = {
        "index": TABLE.set_index(np.arange(len(TABLE))[::-1] * 7),
        "categories": TABLE.assign(
            experiment=pd.Categorical(TABLE["experiment"], categories=["never", "a", "b", "c"]),
            condition=TABLE["condition"].astype("category"),
        ),
        "float64": TABLE.astype({CLOCK: "float64", "weight": "int8"}),
        "objects": TABLE.astype({"experiment": object, "condition": object}),
        "arrow": TABLE.convert_dtypes(dtype_backend="pyarrow"),
    }
    for kind, table in kinds.items():
        assert list(sampler_of(table, plan)) == drawn, kind


def test_a_table_that_is_changed_later_changes_no_batch() -> None:
    table = TABLE.copy()
    sampler = sampler_of(table, PLANS["all"])
    expected = epoch_of(sampler, 0)
    table["experiment"], table["weight"] = "other", 1.0
    assert epoch_of(sampler, 0) == expected


def test_flat_arguments_are_a_face_over_a_plan() -> None:
    table = table_of(even_cells())
    weights, ratio = {"a": 1, "b": 2, "c": 1}, {"x": 1, "y": 1, "z": 3}
    flat = flat_sampler(
        table,
        batch_size=12,
        leaky=0.25,
        experiment_weights=weights,
        condition_ratio=ratio,
        temporal_enrichment=True,
        temporal_window_hours=1.5,
        temporal_global_fraction=0.4,
        seed=5,
    )
    plan = BatchPlan(
        12,
        grouping=Grouping("experiment", weights=weights, leak=0.25),
        balance=Balance("condition", ratio=ratio),
        focus=Focus(CLOCK, window_hours=1.5, global_fraction=0.4),
    )
    assert flat.plan == plan
    assert list(flat) == list(sampler_of(table, plan, seed=5))


@pytest.mark.parametrize("name", ["at_most", "focus", "locality", "weighting"])
def test_a_pickled_sampler_yields_the_same(name: str) -> None:
    axes: dict[str, Any] = {
        "at_most": AtMost("lineage_id"),
        "focus": Focus("hours_post_infection"),
        "locality": Locality(frames=12),
        "weighting": Weighting("weight"),
    }
    sampler = sampler_of(movies(3), BatchPlan(8, **{name: axes[name]}))
    assert pickle.loads(pickle.dumps(sampler)).batch(5, epoch=2) == sampler.batch(5, epoch=2)
