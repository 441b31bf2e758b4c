"""What holds for the batches of `FlexibleBatchSampler`, checked by a slow reference."""

import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, all_axes, cases, epoch_of, make_table, quiet_sampler, reference_of
from sampling_reference import Asked

from viscy_data.composition import BatchComposer, BatchPlan
from viscy_data.errors import CompositionWarning
from viscy_data.sampling.sampler import FlexibleBatchSampler

WORDS = {
    "idle": "is 0 for every stratum",
    "lacking": "groups lack values",
    "leak": "leaky=",
    "global": "temporal_global_fraction=",
    "small": "fewer anchors than a batch takes",
}


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


def test_the_reference_refuses_batches_that_are_wrong() -> None:
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
