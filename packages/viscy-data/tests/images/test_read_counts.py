"""What counting reads costs."""

import gc
import sys

import tensorstore as ts

from viscy_data.images.read_counts import count_loads

CALLS = 2_000


def read_once() -> None:
    array = ts.open(
        {"driver": "zarr3", "kvstore": "memory://"}, create=True, dtype=ts.uint8, shape=[4]
    ).result()
    array[...] = 1
    assert array.read().result().sum() == 4


def test_what_was_read_is_counted() -> None:
    before = count_loads()
    read_once()
    assert count_loads() > before


def test_counting_keeps_no_memory() -> None:
    """Dictionaries of metrics, which TensorStore also gives, would be 20 blocks a call that nobody frees."""
    read_once()
    count_loads()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(CALLS):
        count_loads()
    gc.collect()
    assert sys.getallocatedblocks() - before < CALLS // 10
