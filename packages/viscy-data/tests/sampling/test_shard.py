"""Ranks share batches: who takes which, and how many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.sampling.shard import Shard


@given(st.integers(1, 9), st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_ranks_take_turns_from_any_position(replicas: int, position: int, batches: int, even: bool) -> None:
    parts = [list(Shard(replicas, rank, even).numbers(position, batches)) for rank in range(replicas)]
    left = max(batches - position, 0)
    total = -(-left // replicas) * replicas if even else left
    assert sorted(number for part in parts for number in part) == list(range(position, position + total))
    for rank, part in enumerate(parts):
        assert all((number - position) % replicas == rank for number in part)
        assert part == sorted(part)
    lengths = {len(part) for part in parts}
    assert max(lengths) - min(lengths) <= (0 if even else 1)
    assert total - left < replicas


@pytest.mark.parametrize(
    ("replicas", "rank", "match"),
    [
        (0, 0, "num_replicas=0 is not an integer >= 1"),
        (True, 0, "num_replicas=True is not an integer >= 1"),
        (2.0, 0, r"num_replicas=2\.0 is not an integer"),
        (2, -1, "rank=-1 is not an integer >= 0"),
        (2, 2, r"rank=2 is outside \[0, num_replicas=2\)"),
        (2, "0", "rank='0' is not an integer"),
    ],
)
def test_ranks_outside_their_range_are_refused(replicas: int, rank: int, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        Shard(replicas, rank)
