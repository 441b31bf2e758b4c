from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.images.reading import Reading, ReadLimits


@given(
    memory_bytes=st.integers(1, 10**12),
    cache_bytes=st.none() | st.integers(0, 10**11),
    workers=st.integers(1, 64),
    batches=st.integers(1, 8),
    batch_bytes=st.integers(1, 10**10),
)
def test_shares_add_up_to_no_more_than_what_was_stated(
    memory_bytes: int, cache_bytes: int | None, workers: int, batches: int, batch_bytes: int
) -> None:
    reading = Reading(memory_bytes=memory_bytes, cache_bytes=cache_bytes)
    own = memory_bytes // workers
    left = own - own // 5 - batches * batch_bytes
    if left - max(left // 4, min(left, 128 << 20)) < (cache_bytes or 0) or left <= 0:
        with pytest.raises(InvalidInputError, match=f"memory_bytes={memory_bytes} is too little"):
            reading.limits(workers=workers, batches=batches, batch_bytes=batch_bytes)
        return
    limits = reading.limits(workers=workers, batches=batches, batch_bytes=batch_bytes)
    assert limits.spare_bytes is not None
    held = batches * batch_bytes + limits.in_flight_bytes + limits.cache_bytes + limits.spare_bytes
    assert workers * held <= memory_bytes
    assert limits.in_flight_bytes > 0
    assert limits.pool_bytes <= limits.cache_bytes + limits.in_flight_bytes
    assert cache_bytes is None or limits.cache_bytes == cache_bytes


def test_without_a_number_nothing_is_refused() -> None:
    limits = Reading().limits(workers=99, batches=99, batch_bytes=10**12)
    assert (limits.cache_bytes, limits.firm) == (0, False)
    kept = Reading(cache_bytes=7).limits(workers=99, batches=99, batch_bytes=10**12)
    assert kept == ReadLimits(limits.in_flight_bytes, 7)


def test_processes_are_the_ranks_of_the_node_times_their_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def cache(processes: int | None, workers: int) -> int:
        reading = Reading(memory_bytes=8 << 30, processes=processes)
        return reading.limits(workers=workers, batches=1, batch_bytes=1).cache_bytes

    assert cache(4, 1) == cache(4, 7) == cache(None, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert cache(None, 2) == cache(4, 1)


@pytest.mark.parametrize("name", ["memory_bytes", "cache_bytes", "processes"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "4GB"])
def test_what_is_no_number_of_bytes_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{name}={value!r} is not an integer"):
        Reading(**{name: value})


def test_too_little_memory_says_what_takes_it() -> None:
    with pytest.raises(
        InvalidInputError, match=r"memory_bytes=1000 .* 400 bytes .* 2 processes, 3 batches of 200"
    ):
        Reading(memory_bytes=1000, processes=2).limits(workers=1, batches=3, batch_bytes=200)
    with pytest.raises(InvalidInputError, match=r"and cache_bytes=900\. Allow more"):
        Reading(memory_bytes=1000, cache_bytes=900).limits(workers=1, batches=1, batch_bytes=1)
