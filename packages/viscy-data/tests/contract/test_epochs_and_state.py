"""Epochs follow one another, are selected and left; a state goes on anywhere, with any number of ranks."""

import json
import pickle
from typing import Any

import pytest
from contract_tables import epoch_of, movies, sampler_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import (
    AtMost,
    Balance,
    BatchPlan,
    Curriculum,
    FlexibleBatchSampler,
    Focus,
    Grouping,
    IndexBatch,
    InvalidInputError,
    Locality,
    Weighting,
)

TABLE = movies(10)
PLAN = BatchPlan(
    9,
    grouping=Grouping("experiment", leak=0.2),
    balance=Balance("condition"),
    focus=Focus("hours_post_infection", window_hours=1.0),
)


def make(**arguments: Any) -> FlexibleBatchSampler:
    return sampler_of(TABLE, PLAN, **arguments)


@settings(derandomize=True, max_examples=40)
@given(stop=st.integers(0, 30), ranks=st.tuples(st.integers(1, 5), st.integers(1, 5)), span=st.integers(1, 3))
def test_a_state_goes_on_with_any_number_of_ranks(stop: int, ranks: tuple[int, int], span: int) -> None:
    plan = BatchPlan(9, grouping=Grouping("experiment", leak=0.2), span=span)
    whole = sampler_of(TABLE, plan)
    n = whole.batches_per_epoch
    states, yielded = [], 0
    for rank in range(ranks[0]):
        sampler = sampler_of(TABLE, plan, num_replicas=ranks[0], rank=rank)
        yielded = len([None for _ in zip(range(stop), sampler, strict=False)])
        states.append(json.loads(json.dumps(sampler.state_dict())))
    assert all(state == states[0] for state in states)
    assert all(type(value) in (int, str) for value in states[0].values())
    position = yielded * ranks[0]
    epoch, position = (1, 0) if stop > yielded or position >= n else (0, position)
    parts = []
    for rank in range(ranks[1]):
        sampler = sampler_of(TABLE, plan, num_replicas=ranks[1], rank=rank)
        sampler.load_state_dict(states[0])
        assert sampler.epoch == epoch
        sampler.set_epoch(epoch)
        parts.append(list(sampler))
    turns = [batch for turn in zip(*parts, strict=True) for batch in turn]
    assert turns[: n - position] == epoch_of(whole, epoch)[position:]


def test_a_state_while_iterating_names_what_comes_next() -> None:
    sampler = make()
    sampler.set_epoch(3)
    iterator = iter(sampler)
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["position"], sampler.epoch) == (3, 0, 3)
    next(iterator)
    assert (sampler.state_dict()["epoch"], sampler.state_dict()["position"], sampler.epoch) == (3, 1, 4)
    next(iterator)
    other = make()
    other.load_state_dict(sampler.state_dict())
    assert list(other) == list(iterator)
    assert other.state_dict() == sampler.state_dict()
    assert next(iter(other)) == sampler.batch(0, epoch=4)


def test_a_loop_around_workers_says_how_many_batches_it_has_done_with() -> None:
    sampler = make()
    iterator = iter(sampler)
    for _ in range(6):
        next(iterator)
    other = make()
    other.load_state_dict(sampler.state_dict(consumed=2))
    assert next(iter(other)) == sampler.batch(2, epoch=0)
    with pytest.raises(InvalidInputError, match="consumed=7"):
        sampler.state_dict(consumed=7)


def test_a_position_at_the_end_means_the_next_epoch() -> None:
    sampler = make()
    for position in (sampler.batches_per_epoch, sampler.batches_per_epoch + 3):
        sampler.load_state_dict(sampler.state_dict() | {"epoch": 5, "position": position})
        assert sampler.epoch == 6
        assert list(sampler) == epoch_of(sampler, 6)


def test_setting_the_same_epoch_keeps_a_restored_position_and_another_drops_it() -> None:
    sampler = make()
    state = sampler.state_dict() | {"epoch": 2, "position": 4}
    sampler.load_state_dict(state)
    sampler.set_epoch(2)
    assert sampler.state_dict() == state
    assert list(sampler) == epoch_of(sampler, 2)[4:]
    sampler.load_state_dict(state)
    sampler.set_epoch(3)
    assert list(sampler) == epoch_of(sampler, 3)


def test_live_iterators_keep_their_epochs() -> None:
    sampler = make()
    first, second = iter(sampler), iter(sampler)
    begun, begun_later = [next(first)], [next(second)]
    sampler.set_epoch(0)
    sampler.set_epoch(9)
    third = iter(sampler)
    assert begun + list(first) == epoch_of(sampler, 0)
    assert begun_later + list(second) == epoch_of(sampler, 1)
    assert list(third) == epoch_of(sampler, 9)
    assert sampler.epoch == 10


def test_an_epoch_that_is_left_early_is_over_and_asking_for_an_iterator_begins_none() -> None:
    sampler = make()
    iter(sampler)
    assert sampler.epoch == 0
    for _ in sampler:
        break
    assert list(sampler) == epoch_of(sampler, 1)


def test_trainers_that_look_for_an_inner_sampler_set_its_epoch() -> None:
    sampler = make()
    inner: Any = sampler.sampler
    assert inner is sampler
    for epoch in (0, 1, 2, 2, 7):
        inner.set_epoch(epoch)
        assert list(sampler) == epoch_of(sampler, epoch)


def test_a_batch_carries_epoch_and_number_also_through_a_pickle() -> None:
    sampler = make(num_replicas=2, rank=1)
    sampler.set_epoch(4)
    for batch, number in zip(sampler, range(1, 100, 2), strict=False):
        assert isinstance(batch, IndexBatch)
        again = pickle.loads(pickle.dumps(batch))
        assert (again, again.epoch, again.number) == (batch, 4, number)


BASE = BatchPlan(9, grouping=Grouping("experiment"), weighting=Weighting("weight"))
OTHER_PLANS: list[BatchPlan | Curriculum] = [
    BatchPlan(8, grouping=Grouping("experiment"), weighting=Weighting("weight")),
    BatchPlan(9, grouping=Grouping("experiment", leak=0.2), weighting=Weighting("weight")),
    BatchPlan(9, grouping=Grouping("experiment"), weighting=Weighting("weight"), span=2),
    BatchPlan(9, grouping=Grouping("experiment"), weighting=Weighting("weight"), at_most=AtMost("track")),
    Curriculum(
        {0: BASE, 5: BatchPlan(9, grouping=Grouping("experiment", leak=0.2), weighting=BASE.weighting)}
    ),
    BatchPlan(9, grouping=Grouping("experiment"), weighting=BASE.weighting, locality=Locality(frames=9)),
]


@pytest.mark.parametrize("number", range(len(OTHER_PLANS)))
def test_a_state_of_another_plan_is_refused(number: int) -> None:
    state = sampler_of(TABLE, BASE).state_dict()
    with pytest.raises(InvalidInputError, match=r"another .*plan.*Fingerprints?: \w+ there, \w+ here"):
        sampler_of(TABLE, OTHER_PLANS[number]).load_state_dict(state)


def test_a_state_of_another_seed_table_or_rest_is_refused() -> None:
    state = sampler_of(TABLE, BASE).state_dict()
    for arguments, said in (({"seed": 1}, "seed=0 there, 1 here"), ({"drop_last": False}, "drop_last")):
        with pytest.raises(InvalidInputError, match=f"another .*{said}"):
            sampler_of(TABLE, BASE, **arguments).load_state_dict(state)
    for column in ("experiment", "weight"):
        other = TABLE.assign(**{column: TABLE[column].iloc[::-1].to_numpy()})
        with pytest.raises(InvalidInputError, match=r"another .*table"):
            sampler_of(other, BASE).load_state_dict(state)
    with pytest.raises(InvalidInputError, match=r"another .*table|anchors"):
        sampler_of(TABLE.iloc[:-1], BASE).load_state_dict(state)


def test_a_state_knows_the_columns_that_are_used_whatever_their_kind_and_no_others() -> None:
    state = sampler_of(TABLE, PLAN).state_dict()
    other = TABLE.assign(weight=1.0, lineage_id="one").astype(
        {"experiment": "category", "hours_post_infection": "float64"}
    )
    assert sampler_of(other, PLAN).state_dict() == state


@pytest.mark.parametrize("name", ["epoch", "position"])
@pytest.mark.parametrize("value", [-1, 1.5, "2", True, 2**60])
def test_a_state_of_odd_numbers_is_refused_and_changes_nothing(name: str, value: Any) -> None:
    sampler = make()
    with pytest.raises(InvalidInputError, match=rf"state\['{name}'\]={value!r}"):
        sampler.load_state_dict(sampler.state_dict() | {name: value})
    assert (sampler.epoch, sampler.state_dict()["position"]) == (0, 0)


def test_an_empty_state_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(InvalidInputError, match=r"lacks \['epoch', 'position'"):
        make().load_state_dict({})
