"""Which global batches a rank takes: the only place that knows ranks.

From position p, rank r of R takes batches p + r, p + r + R, ... The sequence of global batches does
not depend on R. Unless told otherwise all ranks take equally many: the epoch is rounded up.
"""

from dataclasses import dataclass
from typing import Final

from viscy_data.checks import check_integer
from viscy_data.errors import InvalidInputError

MOST_RANKS: Final = 1_000_000
"""Ranks at most."""


@dataclass(frozen=True)
class Shard:
    """One rank among several.

    Parameters
    ----------
    replicas
        Number of ranks, at least 1.
    rank
        This rank, in [0, replicas).
    even
        Round the epoch up so that all ranks take equally many batches.

    Raises
    ------
    InvalidInputError
        A rank outside its range.

    Examples
    --------
    >>> list(Shard(4, 1).numbers(0, 10))
    [1, 5, 9]
    >>> list(Shard(4, 3).numbers(0, 10))
    [3, 7, 11]
    """

    replicas: int
    rank: int
    even: bool = True

    def __post_init__(self) -> None:
        check_integer("num_replicas", self.replicas, 1, MOST_RANKS)
        check_integer("rank", self.rank, 0)
        if self.rank >= self.replicas:
            raise InvalidInputError(f"rank={self.rank} is outside [0, num_replicas={self.replicas}).")

    def numbers(self, position: int, batches: int) -> range:
        """Return this rank's global batch numbers from ``position`` to the end of the epoch."""
        left = max(batches - position, 0)
        end = position + (-(-left // self.replicas) * self.replicas if self.even else left)
        return range(position + self.rank, end, self.replicas)
