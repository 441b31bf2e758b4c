"""Epochs, live iterators and states: where the sampler goes on."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_cases import Case, all_axes, cases, epoch_of, quiet_sampler

from viscy_data.composition import IndexBatch


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
