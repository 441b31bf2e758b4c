"""Ranks take turns in one sequence of batches and yield equally many, from wherever they begin."""

import itertools

import pytest
from contract_tables import epoch_of, even_cells, movies, sampler_of, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import Balance, BatchPlan, Focus, Grouping, IndexBatch

TABLE = movies(9)
PLAN = BatchPlan(
    9,
    grouping=Grouping("experiment", leak=0.2),
    balance=Balance("condition"),
    focus=Focus("hours_post_infection", window_hours=1.0),
)


@settings(derandomize=True, max_examples=40)
@given(
    ranks=st.integers(1, 7),
    begin=st.integers(0, 30),
    even=st.booleans(),
    drop_last=st.booleans(),
    span=st.integers(1, 3),
)
def test_ranks_part_an_epoch_evenly_from_any_position(
    ranks: int, begin: int, even: bool, drop_last: bool, span: int
) -> None:
    plan = BatchPlan(9, grouping=Grouping("experiment"), span=span)
    alone = sampler_of(TABLE, plan, drop_last=drop_last)
    n = alone.batches_per_epoch
    begin = begin % n
    parts = []
    for rank in range(ranks):
        sampler = sampler_of(
            TABLE, plan, drop_last=drop_last, num_replicas=ranks, rank=rank, even_batches=even
        )
        assert (sampler.num_replicas, sampler.rank) == (ranks, rank)
        assert len(sampler) == (-(-n // ranks) if even else len(range(rank, n, ranks)))
        sampler.load_state_dict(alone.state_dict() | {"epoch": 2, "position": begin})
        parts.append(list(sampler))
        assert len(list(sampler)) == len(sampler)
    left = n - begin
    lengths = (
        [-(-left // ranks)] * ranks if even else [len(range(rank, left, ranks)) for rank in range(ranks)]
    )
    assert [len(part) for part in parts] == lengths
    turns = [batch for turn in itertools.zip_longest(*parts) for batch in turn if batch is not None]
    assert [(b.epoch, b.number) for b in turns if isinstance(b, IndexBatch)] == [
        (2, begin + number) for number in range(len(turns))
    ]
    assert turns[:left] == epoch_of(alone, 2)[begin:]
    assert turns[left:] == [alone.batch(number, epoch=2) for number in range(n, begin + len(turns))]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 5])
def test_the_global_sequence_does_not_depend_on_the_number_of_ranks(ranks: int) -> None:
    parts = [list(sampler_of(TABLE, PLAN, num_replicas=ranks, rank=rank)) for rank in range(ranks)]
    alone = sampler_of(TABLE, PLAN)
    together = [batch for turn in zip(*parts, strict=True) for batch in turn]
    assert together[: alone.batches_per_epoch] == list(alone)


def test_batches_that_round_an_epoch_up_take_the_group_of_their_double_with_draws_of_their_own() -> None:
    table = table_of(even_cells("abc", "xy", first=300))
    sampler = sampler_of(table, BatchPlan(16, grouping=Grouping("experiment"), balance=Balance("condition")))
    n, name = sampler.batches_per_epoch, table["experiment"]
    for number in range(6):
        first, again = sampler.batch(number), sampler.batch(n + number)
        assert set(name.iloc[first]) == set(name.iloc[again])
        assert len(set(first) & set(again)) < 8
        assert again != sampler.batch(2 * n + number)


def test_a_rounding_batch_does_not_count_for_coverage() -> None:
    """Were it counted, the epoch after it would go on elsewhere."""
    ranks = [sampler_of(TABLE, PLAN, num_replicas=4, rank=rank) for rank in range(4)]
    alone = sampler_of(TABLE, PLAN)
    assert alone.batches_per_epoch % 4
    for epoch in range(3):
        turns = [batch for turn in zip(*(list(rank) for rank in ranks), strict=True) for batch in turn]
        assert turns[: alone.batches_per_epoch] == epoch_of(alone, epoch)


def test_without_a_process_group_there_is_one_rank() -> None:
    sampler = sampler_of(TABLE, PLAN)
    assert (sampler.num_replicas, sampler.rank) == (1, 0)
