"""A batch: row indices that know which batch they are."""

from collections.abc import Iterable
from typing import Any


class IndexBatch(list[int]):
    """Row indices of one batch; also says which batch it is.

    Parameters
    ----------
    rows
        Row indices.
    epoch, number
        Epoch and global batch number, from which a dataset keys what it draws for the batch.

    Examples
    --------
    >>> batch = IndexBatch([4, 2], epoch=1, number=7)
    >>> batch, batch.epoch, batch.number
    ([4, 2], 1, 7)
    """

    def __init__(self, rows: Iterable[int] = (), *, epoch: int = 0, number: int = 0) -> None:
        super().__init__(rows)
        self.epoch = epoch
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _index_batch, (list(self), self.epoch, self.number)


def _index_batch(rows: list[int], epoch: int, number: int) -> IndexBatch:
    return IndexBatch(rows, epoch=epoch, number=number)
