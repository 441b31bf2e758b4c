"""What the sampler reads of a table, what it keeps, and what does not matter to it."""

from collections import Counter
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from sampling_cases import all_axes, epoch_of, make_table, quiet_sampler, reference_of
from sampling_reference import Asked

from viscy_data.composition import Balance, BatchPlan, Grouping
from viscy_data.sampling.sampler import FlexibleBatchSampler


def test_global_random_states_are_neither_read_nor_touched() -> None:
    import random

    import torch

    table, arguments = all_axes()

    def states() -> str:
        return repr((random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()))  # noqa: NPY002 - the global state is what is tested

    before = states()
    first = list(quiet_sampler(table, **arguments))
    assert states() == before
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002 - the global state is what is tested
    torch.manual_seed(5)
    assert list(quiet_sampler(table, **arguments)) == first


DTYPES: dict[str, Any] = {
    "object": lambda s: s.astype(object),
    "string": lambda s: s.astype("string"),
    "str": lambda s: s.astype("str"),
    "arrow": lambda s: s.astype("string[pyarrow]"),
    "category": lambda s: s.astype("category"),
    "unused categories, shuffled": lambda s: s.astype(
        pd.CategoricalDtype(["unused", *sorted(set(s), reverse=True), "none"])
    ),
    "categories of arrow strings": lambda s: s.astype("string[pyarrow]").astype("category"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "hours", ["float32", "float64", "Float32", "Float64", "float[pyarrow]", "double[pyarrow]"]
)
def test_index_and_dtypes_of_the_table_do_not_matter(dtype: str, hours: str) -> None:
    table, arguments = all_axes()
    expected = quiet_sampler(table, **arguments)
    other = table.set_index(np.arange(len(table))[::-1] % 7)
    for name in ("experiment", "condition"):
        other[name] = DTYPES[dtype](other[name])
    other["hours_post_infection"] = other["hours_post_infection"].astype(cast("Any", hours))
    other["unrelated"] = None
    sampler = quiet_sampler(other, **arguments)
    assert epoch_of(sampler, 1) == epoch_of(expected, 1)
    assert sampler.state_dict() == expected.state_dict()


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint16", "Int64", "int32[pyarrow]", "category", object])
def test_groups_may_be_numbers_of_any_dtype(dtype: Any) -> None:
    table = make_table({("a", "x"): 30, ("b", "x"): 20})
    table["plate"] = (table["experiment"] == "b").astype("int64") * 7
    plan = BatchPlan(4, grouping=grouping("plate", weights={0: 1, 7: 2}))
    expected = FlexibleBatchSampler.from_plan(table, plan)
    sampler = FlexibleBatchSampler.from_plan(table.assign(plate=table["plate"].astype(dtype)), plan)
    assert epoch_of(sampler, 0) == epoch_of(expected, 0)
    assert sampler.state_dict() == expected.state_dict()


def grouping(by: Any, **more: Any) -> Any:
    from viscy_data.composition import Grouping

    return Grouping(by, **more)


def test_several_columns_make_groups_of_the_combinations_that_occur() -> None:
    table = make_table({("a", "x"): 30, ("a", "y"): 20, ("b", "x"): 50})
    by = ["experiment", "condition"]
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(5, grouping=grouping(by)))
    joined = table.assign(experiment=table["experiment"] + table["condition"])
    reference = reference_of(joined, Asked(5, balanced=False))
    for epoch in range(5):
        reference.check_epoch(epoch, epoch_of(sampler, epoch))
    weights = {("a", "x"): 1, ("a", "y"): 0, ("b", "x"): 3}
    weighted = FlexibleBatchSampler.from_plan(table, BatchPlan(5, grouping=grouping(by, weights=weights)))
    groups = Counter(joined["experiment"].iloc[batch[0]] for batch in epoch_of(weighted, 0))
    assert groups == {"ax": 5, "bx": 15}


def test_columns_of_axes_that_are_off_are_not_needed() -> None:
    table = pd.DataFrame({"experiment": ["a", "b"] * 20})
    off = {"condition_balanced": False, "temporal_enrichment": False}
    assert len(quiet_sampler(table, batch_size=4, **off)) == 10
    bare = pd.DataFrame({"other": np.arange(10)})
    assert len(quiet_sampler(bare, batch_size=5, experiment_aware=False, **off)) == 2


def test_the_frame_is_neither_kept_nor_changed() -> None:
    import gc
    import weakref

    table, arguments = all_axes()
    copy = table.copy(deep=True)
    sampler = quiet_sampler(table, **arguments)
    list(sampler)
    pd.testing.assert_frame_equal(table, copy)
    alive = weakref.ref(table)
    del table
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(("frames", "most"), [(40, 8.0), (10_000_000, 20.0)])
def test_few_bytes_are_kept_per_anchor(frames: int, most: float) -> None:
    import gc
    import tracemalloc

    table = make_table({(g, s): 25_000 for g in "ab" for s in "xy"}, frames=frames)
    quiet_sampler(table, batch_size=64, temporal_enrichment=True)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    sampler = quiet_sampler(table, batch_size=64, temporal_enrichment=True)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(sampler) == 1562
    assert kept <= most * len(table) + 200_000  # what does not grow with the table


def test_the_work_of_a_batch_does_not_grow_with_the_table() -> None:
    import tracemalloc

    peaks = []
    for scale in (1, 16):
        table = make_table({(g, s): 2000 * scale for g in "abcd" for s in "xy"})
        sampler = quiet_sampler(table, batch_size=32, leaky=0.1, temporal_enrichment=True)
        sampler.batch(0)
        tracemalloc.start()
        sampler.batch(1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_flat_arguments_are_a_face_over_the_plan() -> None:
    from viscy_data.composition import Balance, Focus, Grouping

    table, arguments = all_axes(experiment_weights={"a": 1, "b": 2, "c": 3}, condition_ratio={"x": 1, "y": 3})
    flat = quiet_sampler(table, **arguments, seed=4, drop_last=False)
    plan = BatchPlan(
        16,
        grouping=Grouping("experiment", weights={"a": 1, "b": 2, "c": 3}, leak=0.2),
        balance=Balance("condition", ratio={"x": 1, "y": 3}),
        focus=Focus("hours_post_infection", window_hours=1.0),
    )
    assert flat.plan == plan
    other = FlexibleBatchSampler.from_plan(table, plan, seed=4, drop_last=False)
    assert other.state_dict() == flat.state_dict()
    assert epoch_of(other, 2) == epoch_of(flat, 2)


def test_defaults_are_those_of_the_contract() -> None:
    table = make_table({("a", "x"): 200, ("a", "y"): 200})
    plan = FlexibleBatchSampler(table).plan
    assert plan == BatchPlan(128, grouping=Grouping("experiment", leak=0.0), balance=Balance("condition"))
    assert plan.columns == ("experiment", "condition")
    focus = FlexibleBatchSampler(table, temporal_enrichment=True).plan_at(0).focus
    assert focus is not None
    assert (focus.window_hours, focus.global_fraction) == (2.0, 0.3)
