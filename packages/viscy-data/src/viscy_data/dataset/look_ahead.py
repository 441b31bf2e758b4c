"""Read the next batches in this process while the current one is used.

One thread reads, batch after batch and in order, what the caller's thread draws; TensorStore decodes on
every core meanwhile. What is drawn ahead is not consumed: as with workers, whoever saves a sampler's state
says how many batches were consumed, ``sampler.state_dict(consumed=...)``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice


def read_ahead[T, B](drawn: Iterable[T], read: Callable[[T], B], count: int) -> Iterator[B]:
    """Yield ``read(one)`` for each of ``drawn``, with up to ``count`` more being read or waiting.

    Parameters
    ----------
    drawn
        Iterated by the caller's thread, for the first time when the first batch is asked for.
    read
        Called in another thread, one call at a time. What it raises is raised in its batch's place.
    count
        At least 1.

    Examples
    --------
    >>> list(read_ahead([1, 2, 3], lambda one: 10 * one, 2))
    [10, 20, 30]
    """
    todo = iter(drawn)
    ahead: deque[Future[B]] = deque()
    reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        ahead.extend(reader.submit(read, one) for one in islice(todo, count))
        while ahead:
            batch = ahead.popleft().result()
            ahead.extend(reader.submit(read, one) for one in islice(todo, 1))
            yield batch
            del batch  # it is the caller's: no more than ``count`` are held here while the next is awaited
    finally:
        reader.shutdown(cancel_futures=True)
