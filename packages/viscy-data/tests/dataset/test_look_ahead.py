import gc
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.dataset.look_ahead import read_ahead


@given(length=st.integers(0, 9), count=st.integers(1, 4))
def test_batches_come_in_order_and_no_more_are_drawn_than_asked_for(length: int, count: int) -> None:
    drawn: list[int] = []
    drawers: set[str] = set()
    readers: set[str] = set()

    def draw() -> Iterator[int]:
        for number in range(length):
            drawn.append(number)
            drawers.add(threading.current_thread().name)
            yield number

    def read(number: int) -> int:
        readers.add(threading.current_thread().name)
        return number * number

    batches = read_ahead(draw(), read, count)
    assert not drawn, "an iterator alone draws nothing"
    for consumed, batch in enumerate(batches, 1):
        assert batch == (consumed - 1) ** 2
        assert len(drawn) == min(length, consumed + count)
    assert len(drawn) == length
    assert drawers <= {threading.current_thread().name}
    assert threading.current_thread().name not in readers


def test_an_error_comes_in_its_batchs_place() -> None:
    def read(number: int) -> int:
        if number == 2:
            raise OSError("gone")
        return number

    batches = read_ahead(range(5), read, 2)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(OSError, match="gone"):
        next(batches)
    assert list(batches) == []


def test_who_leaves_early_leaves_no_thread() -> None:
    begun: list[int] = []
    for _ in read_ahead(range(100), begun.append, 3):
        break
    gc.collect()
    assert len(begun) <= 5
    assert not [one for one in threading.enumerate() if one.name.startswith("read-ahead")]
