"""What holds for the batches of `FlexibleBatchSampler`, checked by a slow reference."""

import copy
import json
import warnings
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, cases, make_table, quiet_sampler, reference_of
from sampling_reference import Asked

from viscy_data.composition import BatchComposer, BatchPlan, IndexBatch
from viscy_data.errors import CompositionWarning
from viscy_data.sampler import FlexibleBatchSampler

WORDS = {
    "idle": "is 0 for every stratum",
    "lacking": "groups lack values",
    "leak": "leaky=",
    "global": "temporal_global_fraction=",
    "small": "fewer anchors than a batch takes",
}


def epoch_of(sampler: FlexibleBatchSampler, epoch: int) -> list[list[int]]:
    other = copy.copy(sampler)  # what is iterated here shall not be seen there
    other.load_state_dict(other.state_dict() | {"epoch": epoch, "position": 0})
    return list(other)


@settings(max_examples=120)
@given(case=cases())
def test_every_batch_of_every_epoch_keeps_the_contract(case: Case) -> None:
    reference, sampler = case.reference(), case.sampler()
    if not reference.epoch_sizes():
        return
    for epoch in range(max(2, min(8, 120 // len(sampler)))):
        batches = list(sampler)
        assert sampler.epoch == epoch + 1
        assert len(batches) == len(sampler)
        reference.check_epoch(epoch, batches)


@settings(max_examples=40)
@given(case=cases(leaks=st.sampled_from([0.5, 0.7, 0.99])))
def test_large_leaks_keep_each_batch_to_the_contract(case: Case) -> None:
    reference, sampler = case.reference(), case.sampler()
    for number in range(min(len(sampler), 30)):
        reference.check_batch(sampler.batch(number), covers=False)


@settings(max_examples=40)
@given(case=cases(), replicas=st.integers(1, 9))
def test_batches_that_round_an_epoch_up_keep_the_contract_too(case: Case, replicas: int) -> None:
    reference, sampler = case.reference(), case.sampler()
    sizes = reference.epoch_sizes()
    for extra in range(len(sizes), len(sizes) + replicas):
        batch = sampler.batch(extra, epoch=3)
        assert len(batch) == sizes[extra % len(sizes)]
        group = reference.check_batch(batch, covers=False)
        if case.asked.leaky == 0:
            assert group == reference.check_batch(sampler.batch(extra % len(sizes), epoch=3), covers=False)


@settings(max_examples=100)
@given(case=cases())
def test_construction_warns_of_exactly_what_holds_and_drawing_warns_of_nothing(case: Case) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler = FlexibleBatchSampler(case.table, **case.asked.arguments(), seed=case.seed)
    assert {warning.category for warning in caught} <= {CompositionWarning}
    texts = [str(warning.message) for warning in caught]
    found = [word for text in texts for word, part in WORDS.items() if part in text]
    assert sorted(found) == case.reference().warnings()
    assert len(texts) == len(found)
    sampler.batch(0)


@settings(max_examples=40)
@given(case=cases(), replicas=st.integers(1, 9), position=st.integers(0, 30), even=st.booleans())
def test_ranks_take_turns_in_one_sequence(case: Case, replicas: int, position: int, even: bool) -> None:
    single = case.sampler()
    n = single.batches_per_epoch
    position %= n
    single.load_state_dict(single.state_dict() | {"epoch": 2, "position": position})
    parts = []
    for rank in range(replicas):
        sampler = case.sampler(num_replicas=replicas, rank=rank, even_batches=even)
        whole = len(sampler)
        assert whole == len(
            [b for b in range(-(-n // replicas) * replicas if even else n) if b % replicas == rank]
        )
        sampler.load_state_dict(single.state_dict())
        parts.append(list(sampler))
        assert len(list(sampler)) == whole
    if even:
        assert len({len(part) for part in parts}) == 1
    turns = [part[turn] for turn in range(len(parts[0])) for part in parts if turn < len(part)]
    assert turns[: n - position] == list(single)
    assert [b.number for b in turns] == list(range(position, position + len(turns)))  # type: ignore[attr-defined]  # IndexBatch
    assert len(turns) == (-(-(n - position) // replicas) * replicas if even else n - position)
    assert turns == [single.batch(position + turn, epoch=2) for turn in range(len(turns))]


@pytest.mark.parametrize("replicas", [1, 5, 64])
def test_a_rank_builds_only_its_own_batches(replicas: int, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    rows = BatchComposer.rows

    def counted(self: BatchComposer, epoch: int, numbers: Any) -> Any:
        built.extend(numbers)
        return rows(self, epoch, numbers)

    monkeypatch.setattr(BatchComposer, "rows", counted)
    sampler = quiet_sampler(
        make_table({("a", "x"): 900, ("b", "x"): 700}), batch_size=3, num_replicas=replicas, rank=replicas - 1
    )
    list(sampler)
    assert built == list(range(replicas - 1, -(-533 // replicas) * replicas, replicas))


@settings(max_examples=30)
@given(case=cases(), shuffle=st.integers(0, 99))
def test_a_batch_depends_on_nothing_but_its_key(case: Case, shuffle: int) -> None:
    sampler = case.sampler()
    epochs = [epoch_of(sampler, epoch) for epoch in (0, 1, 7)]
    other = case.sampler(num_replicas=3, rank=1)
    list(zip(other, range(3), strict=False))
    keys = [(e, b) for e in range(3) for b in range(min(sampler.batches_per_epoch, 20))]
    order = np.random.default_rng(shuffle).permutation(len(keys))[:20]
    for e, b in [keys[place] for place in order]:
        assert other.batch(b, epoch=(0, 1, 7)[e]) == epochs[e][b]
    sampler.set_epoch(7)
    assert list(sampler) == epochs[2]


def all_axes(**more: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    cells = {(g, s): 40 + 30 * i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xy")}
    arguments = {"batch_size": 16, "leaky": 0.2, "temporal_enrichment": True, "temporal_window_hours": 1.0}
    return make_table(cells), arguments | more


def test_seed_epoch_and_number_are_separate_words_of_the_key() -> None:
    table, arguments = all_axes()
    found = {
        tuple(quiet_sampler(table, **arguments, seed=seed).batch(number, epoch=epoch))
        for seed in range(4)
        for epoch in range(4)
        for number in range(8)
    }
    assert len(found) == 4 * 4 * 8


def test_no_axes_and_seeds_epochs_that_sum_alike_differ() -> None:
    table = make_table({("a", "x"): 300})
    plan = BatchPlan(20)
    one, two = (FlexibleBatchSampler.from_plan(table, plan, seed=seed) for seed in (0, 1))
    assert epoch_of(two, 0) != epoch_of(one, 1)
    shared = sum(a == b for a, b in zip(epoch_of(two, 0), epoch_of(one, 1), strict=True))
    assert shared == 0


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


@settings(max_examples=40)
@given(case=cases(), stop=st.integers(0, 40), replicas=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_a_state_goes_on_with_any_number_of_ranks(case: Case, stop: int, replicas: tuple[int, int]) -> None:
    before, after = replicas
    whole = case.sampler()
    n = whole.batches_per_epoch
    expected = epoch_of(whole, 0)
    states, yielded = [], 0
    for rank in range(before):
        sampler = case.sampler(num_replicas=before, rank=rank)
        yielded = len([None for _ in zip(range(stop), sampler, strict=False)])
        states.append(json.loads(json.dumps(sampler.state_dict())))
    assert all(state == states[0] for state in states)
    assert not {"rank", "num_replicas", "replicas"} & set(states[0])
    assert all(type(value) in (int, str) for value in states[0].values())
    position = yielded * before
    if stop > yielded or position >= n:
        position, epoch = 0, 1
        expected = epoch_of(whole, 1)
    else:
        epoch = 0
    parts = []
    for rank in range(after):
        sampler = case.sampler(num_replicas=after, rank=rank)
        sampler.load_state_dict(states[0])
        assert sampler.epoch == epoch
        sampler.set_epoch(epoch)
        parts.append(list(sampler))
    turns = [batch for turn in zip(*parts, strict=True) for batch in turn]
    assert turns[: n - position] == expected[position:]


def test_a_state_while_iterating_names_what_comes_next() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    sampler.set_epoch(3)
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["position"]) == (3, 0)
    iterator = iter(sampler)
    assert sampler.state_dict()["epoch"] == 3
    assert sampler.epoch == 3
    next(iterator)
    assert sampler.epoch == 4
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["position"]) == (3, 1)
    next(iterator)
    assert sampler.state_dict()["position"] == 2
    other = quiet_sampler(table, **arguments)
    other.load_state_dict(sampler.state_dict())
    assert list(other) == list(iterator)
    assert other.state_dict() == sampler.state_dict()
    assert next(iter(other)) == sampler.batch(0, epoch=4)


def test_a_position_at_the_end_means_the_next_epoch() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    for position in (sampler.batches_per_epoch, sampler.batches_per_epoch + 3):
        sampler.load_state_dict(sampler.state_dict() | {"epoch": 5, "position": position})
        assert sampler.epoch == 6
        assert list(sampler) == epoch_of(sampler, 6)


def test_setting_the_same_epoch_keeps_a_restored_position_and_another_drops_it() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    state = sampler.state_dict() | {"epoch": 2, "position": 4}
    sampler.load_state_dict(state)
    sampler.set_epoch(2)
    assert sampler.state_dict() == state
    assert list(sampler) == epoch_of(sampler, 2)[4:]
    sampler.load_state_dict(state)
    sampler.set_epoch(3)
    assert list(sampler) == epoch_of(sampler, 3)


def test_live_iterators_keep_their_epochs() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    first, second = iter(sampler), iter(sampler)
    begun = [next(first)]
    begun_later = [next(second)]
    sampler.set_epoch(0)
    sampler.set_epoch(9)
    third = iter(sampler)
    assert begun + list(first) == epoch_of(sampler, 0)
    assert begun_later + list(second) == epoch_of(sampler, 1)
    assert list(third) == epoch_of(sampler, 9)
    assert sampler.epoch == 10


def test_an_epoch_that_is_left_early_is_over_for_the_next_iterator() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    iter(sampler)
    iter(sampler)
    assert sampler.epoch == 0
    for _ in sampler:
        break
    assert list(sampler) == epoch_of(sampler, 1)


def test_loops_that_set_each_epoch_get_each_epoch() -> None:
    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments)
    inner: Any = sampler.sampler
    assert inner is sampler
    for epoch in (0, 1, 2, 2, 7):
        inner.set_epoch(epoch)
        assert list(sampler) == epoch_of(sampler, epoch)


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, 10, 50])
@pytest.mark.parametrize("seed", [0, 3])
def test_with_no_axis_an_epoch_holds_each_anchor_at_most_once(
    drop_last: bool, batch_size: int, seed: int
) -> None:
    table = make_table({("a", "x"): 50})
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(batch_size), seed=seed, drop_last=drop_last)
    for epoch in range(4):
        seen = Counter(row for batch in epoch_of(sampler, epoch) for row in batch)
        if drop_last:
            assert len(epoch_of(sampler, epoch)) == 50 // batch_size
        else:
            assert seen == dict.fromkeys(range(50), 1)


def test_a_table_smaller_than_a_batch_is_one_batch_without_drop_last() -> None:
    table = make_table({("a", "x"): 5})
    sampler = FlexibleBatchSampler.from_plan(table, BatchPlan(8), drop_last=False)
    assert [sorted(batch) for batch in epoch_of(sampler, 0)] == [[0, 1, 2, 3, 4]]


def test_groups_get_their_share_over_many_epochs() -> None:
    table = make_table({(f"e{i}", "x"): size for i, size in enumerate([1, 2, 5, 17, 41, 90])})
    for drop_last, weights in [(True, None), (False, None), (True, {f"e{i}": 0.1 * i for i in range(6)})]:
        asked = Asked(12, weights=weights, drop_last=drop_last)
        reference, sampler = reference_of(table, asked), quiet_sampler(table, **asked.arguments())
        for epoch in range(120):
            reference.check_epoch(epoch, epoch_of(sampler, epoch))


LONG = [
    Asked(7, ratio={"x": 1, "y": 2, "z": 4}),
    Asked(2),
    Asked(9, leaky=0.3),
    Asked(8, focused=True, outside=0.4, window=1.0),
    Asked(13, leaky=0.25, focused=True, outside=0.3, window=1.0, ratio={"x": 0.3, "y": 0.1, "z": 0.9}),
    Asked(10, leaky=0.4, drop_last=False, focused=True, outside=0.5, window=1.0),
]


@pytest.mark.parametrize("asked", LONG)
def test_over_many_batches_every_stratum_has_its_exact_share(asked: Asked) -> None:
    """Counts of own and leaked anchors stray from exact by a few, however many batches there are."""
    cells = {(g, s): 150 + 50 * i for i, (g, s) in enumerate((g, s) for g in "abc" for s in "xyz")}
    del cells["b", "z"]
    table = make_table(cells)
    reference, sampler = reference_of(table, asked), quiet_sampler(table, **asked.arguments())
    held: Counter[tuple[str, str, str]] = Counter()
    exact: defaultdict[tuple[str, str, str], float] = defaultdict(float)
    for epoch in range(6):
        for batch in epoch_of(sampler, epoch):
            group = reference.check_batch(batch, covers=False)
            leaked = reference.leaked_count(len(batch))
            for row in batch:
                part = "own" if reference.group_of[row] == group else "leaked"
                held[group, part, reference.stratum_of[row]] += 1
            for stratum in reference.strata:
                exact[group, "own", stratum] += (len(batch) - leaked) * float(
                    (reference.own_shares(group) or {})[stratum]
                )
                exact[group, "leaked", stratum] += leaked * float(reference.leaked_shares(group)[stratum])
    assert sum(held.values()) > 9_000
    for key, count in exact.items():
        assert abs(held[key] - count) < 6, (key, held[key], count)


@pytest.mark.parametrize("outside", [0.0, 0.25, 0.5])
def test_the_four_parts_have_their_sizes_and_shares(outside: float) -> None:
    """With cells so large that no side runs short, inside and outside are exactly as asked."""
    cells = {(g, s): 600 for g in "ab" for s in "xyz"}
    asked = Asked(24, leaky=0.25, focused=True, outside=outside, window=1.0)
    table = make_table(cells, frames=20)
    sampler = quiet_sampler(table, **asked.arguments())
    hours = table["hours_post_infection"].to_numpy().astype(float)
    strata: Counter[tuple[str, bool, str]] = Counter()
    reference = reference_of(table, asked)
    for epoch in range(4):
        for number in range(sampler.batches_per_epoch):
            batch = sampler.batch(number, epoch=epoch)
            group = reference.check_batch(batch)
            focal = focal_of(hours[batch], group, table["experiment"].to_numpy()[batch], reference, asked)
            for row in batch:
                part = "own" if reference.group_of[row] == group else "leaked"
                strata[part, abs(hours[row] - focal) <= 1.0, reference.stratum_of[row]] += 1
    batches = 4 * sampler.batches_per_epoch
    for part, size in (("own", 18), ("leaked", 6)):
        out = round(size * outside)
        for stratum in "xyz":
            assert abs(strata[part, False, stratum] - batches * out / 3) < 8
            assert abs(strata[part, True, stratum] - batches * (size - out) / 3) < 8


def focal_of(hours: Any, group: Any, experiments: Any, reference: Any, asked: Asked) -> float:
    outside = reference.outside_count(len(hours))
    fits = [
        float(f)
        for f in reference.times[group]
        if int((np.abs(hours - f) > asked.window + 1e-4).sum()) == outside
    ]
    assert fits
    return fits[0]


def test_the_window_includes_its_edges_within_a_tenth_of_a_millihour() -> None:
    """The clock has steps of 0.1 h in float32, so that 2 h from the focal time is never exactly 2 h."""
    hours = np.round(np.arange(0, 6, 0.1), 1)
    table = pd.DataFrame({"experiment": "a", "condition": "x", "hours_post_infection": hours}).astype(
        {"hours_post_infection": "float32"}
    )
    for window, reached in [(2.0, 2.0), (2.0 - 5e-5, 2.0), (1.9999 - 2e-4, 1.9), (2.0 + 5e-5, 2.0)]:
        asked = Asked(12, focused=True, window=window, outside=0.0)
        sampler = quiet_sampler(table, **asked.arguments())
        widest = max(np.ptp(hours[sampler.batch(b, epoch=e)]) for e in range(60) for b in range(5))
        assert round(widest, 1) == 2 * reached


def test_a_window_with_one_anchor_takes_the_rest_from_outside_without_copies() -> None:
    table = pd.DataFrame(
        {"experiment": "a", "condition": ["x", "y"] * 20, "hours_post_infection": np.arange(40.0)}
    )
    sampler = quiet_sampler(table, batch_size=8, temporal_enrichment=True, temporal_window_hours=0.1)
    for number in range(5):
        batch = sampler.batch(number)
        assert len(set(batch)) == 8
        assert Counter(table["condition"].iloc[batch]) == {"x": 4, "y": 4}


def test_enrichment_keeps_the_balance() -> None:
    """Infected cells are late and uninfected ones early, so every window holds one condition only."""
    table = pd.DataFrame(
        {"experiment": "a", "condition": ["x"] * 30 + ["y"] * 30, "hours_post_infection": np.arange(60.0)}
    )
    sampler = quiet_sampler(table, batch_size=10, temporal_enrichment=True)
    for number in range(6):
        assert Counter(table["condition"].iloc[sampler.batch(number)]) == {"x": 5, "y": 5}


@pytest.mark.parametrize("focused", [False, True])
def test_a_leak_pool_of_two_rows_gives_whole_batches(focused: bool) -> None:
    table = make_table({("a", "x"): 40, ("b", "x"): 2})
    sampler = quiet_sampler(
        table, batch_size=8, leaky=0.5, temporal_enrichment=focused, experiment_weights={"a": 1, "b": 0}
    )
    for number in range(5):
        batch = sampler.batch(number)
        leaked = Counter(row for row in batch if table["experiment"].iloc[row] == "b")
        assert len(batch) == 8
        assert sorted(leaked.values()) == [2, 2]


def test_a_leak_pool_that_repeats_is_warned_of() -> None:
    table = make_table({("a", "x"): 40, ("b", "x"): 2})
    with pytest.warns(CompositionWarning, match="fewer anchors than a batch takes"):
        FlexibleBatchSampler(table, 8, leaky=0.5, experiment_weights={"a": 1, "b": 0})


@pytest.mark.parametrize("focused", [False, True])
def test_leaks_come_in_proportion_to_whole_cells_whatever_the_weights(focused: bool) -> None:
    table = make_table({("a", "x"): 500, ("b", "x"): 300, ("c", "x"): 150, ("d", "x"): 50})
    weights = {"a": 1.0, "b": 0.0, "c": 5.0, "d": 0.0}
    sampler = quiet_sampler(
        table, batch_size=20, leaky=0.25, experiment_weights=weights, temporal_enrichment=focused
    )
    experiment = table["experiment"].to_numpy()
    found: dict[str, Counter[str]] = {"a": Counter(), "c": Counter()}
    for epoch in range(40):
        for batch in epoch_of(sampler, epoch):
            names = Counter(experiment[batch])
            group = next(name for name, count in names.items() if count == 15)
            found[group].update({name: count for name, count in names.items() if name != group})
    for group, sizes in (("a", {"b": 300, "c": 150, "d": 50}), ("c", {"a": 500, "b": 300, "d": 50})):
        total = found[group].total()
        for other, size in sizes.items():
            expected = total * size / sum(sizes.values())
            # In passes through the pool the counts stray less than independent draws would.
            assert abs(found[group][other] - expected) < 4 * np.sqrt(expected)


def test_focal_times_are_even_over_distinct_times_however_many_anchors_each_holds() -> None:
    hours = np.concatenate([np.zeros(500), np.arange(10.0) * 10])
    table = pd.DataFrame({"experiment": "a", "condition": "x", "hours_post_infection": hours})
    sampler = quiet_sampler(
        table, batch_size=2, temporal_enrichment=True, temporal_global_fraction=0.5, temporal_window_hours=0.0
    )
    found: Counter[float] = Counter()
    for epoch in range(12):
        for batch in epoch_of(sampler, epoch):
            # One anchor is inside and one outside; a time other than 0 is inside half as often as seen.
            found.update(hours[batch])
    # The focal time is 0 in one batch of 10; then the other anchor is one of nine other times.
    batches = 12 * sampler.batches_per_epoch
    late = np.array([found[time] for time in np.arange(1, 10) * 10.0])
    # P(seen) = 1/10 as focal time + as the other one: of 509 others when 0 is focal 1/9, else 1/509.
    expected = batches * (0.1 + 0.1 / 9 + 0.8 * 1 / 508)
    assert np.abs(late - expected).max() < 4.5 * np.sqrt(expected)


def test_more_strata_than_places_take_turns() -> None:
    table = make_table({("a", f"c{i}"): 10 for i in range(12)})
    sampler = quiet_sampler(table, batch_size=5)
    held: Counter[str] = Counter()
    for epoch in range(6):
        for batch in epoch_of(sampler, epoch):
            conditions = Counter(table["condition"].iloc[batch])
            assert max(conditions.values()) == 1
            held.update(conditions)
            assert max(held.values()) - min(held[f"c{i}"] for i in range(12)) <= 3
    assert set(held.values()) == {60}


def test_what_rounding_leaves_over_goes_round_over_epochs() -> None:
    """One batch an epoch: were the visits counted anew, the first stratum would win every time."""
    table = make_table({("a", s): 2 for s in "xyz"})
    sampler = quiet_sampler(table, batch_size=4)
    held: Counter[str] = Counter()
    for epoch in range(30):
        held.update(table["condition"].iloc[sampler.batch(0, epoch=epoch)])
    assert held == {"x": 40, "y": 40, "z": 40}


def test_an_index_batch_carries_its_key() -> None:
    import pickle

    table, arguments = all_axes()
    sampler = quiet_sampler(table, **arguments, num_replicas=2, rank=1)
    sampler.set_epoch(4)
    for batch, number in zip(sampler, range(1, 100, 2), strict=False):
        assert isinstance(batch, IndexBatch)
        assert (batch.epoch, batch.number) == (4, number)
        again = pickle.loads(pickle.dumps(batch))
        assert (again, again.epoch, again.number) == (batch, 4, number)


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
    assert (plan.batch_size, plan.leak, plan.focus) == (128, 0.0, None)
    assert plan.columns == ("experiment", "condition")
    focus = FlexibleBatchSampler(table, temporal_enrichment=True).plan.focus
    assert focus is not None
    assert (focus.window_hours, focus.global_fraction) == (2.0, 0.3)


def test_a_group_whose_strata_are_all_left_out_gets_no_batch() -> None:
    table = make_table({("a", "x"): 50, ("a", "y"): 50, ("b", "y"): 50})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler = FlexibleBatchSampler(table, 5, condition_ratio={"x": 1, "y": 0})
    texts = [str(warning.message) for warning in caught]
    assert sum("condition_ratio is 0 for every stratum of 'b'" in text for text in texts) == 1
    rows = {row for epoch in range(3) for batch in epoch_of(sampler, epoch) for row in batch}
    assert set(table["experiment"].iloc[sorted(rows)]) == {"a"}


def test_global_fraction_one_is_no_window_and_covers() -> None:
    table, arguments = all_axes(temporal_global_fraction=1.0, leaky=0.0)
    sampler = quiet_sampler(table, **arguments)
    assert epoch_of(sampler, 0) == epoch_of(
        quiet_sampler(table, **arguments | {"temporal_enrichment": False}), 0
    )


def test_replace_is_a_way_to_another_case() -> None:
    """The reference itself refuses batches that are wrong."""
    table = make_table({("a", "x"): 10, ("a", "y"): 10, ("b", "x"): 10, ("b", "y"): 10})
    asked = Asked(4)
    good = list(quiet_sampler(table, **asked.arguments()))
    reference_of(table, asked).check_epoch(0, good)
    for wrong in (
        good[:-1],
        [good[0]] * len(good),
        [[b[0]] * 4 for b in good],
        [[r for b in good for r in b][i::10] for i in range(10)],
    ):
        with pytest.raises(AssertionError):
            reference_of(table, asked).check_epoch(0, wrong)
    with pytest.raises(AssertionError):
        reference_of(table, replace(asked, ratio={"x": 3.0, "y": 1.0})).check_epoch(0, good)
