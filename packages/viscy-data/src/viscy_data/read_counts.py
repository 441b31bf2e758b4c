"""How often a chunk that a batch wanted had to be read from a file."""

from typing import NamedTuple

import tensorstore as ts


class ReadCounts(NamedTuple):
    """How often a chunk was there already.

    Attributes
    ----------
    wanted
        Chunks, and indices of shards, that calls needed; each once per call.
    loaded
        Those that were read from files and decoded. The index of a shard that is wanted whole comes with
        the shard and counts as there.
    """

    wanted: int = 0
    loaded: int = 0

    @property
    def hits(self) -> int:
        """How many the pool of decoded chunks saved."""
        return max(0, self.wanted - self.loaded)

    def plus(self, wanted: int, loaded: int) -> "ReadCounts":
        """Return the counts with those of another call."""
        return ReadCounts(self.wanted + wanted, self.loaded + loaded)


def count_loads() -> int:
    """Return how many chunks and indices of shards this process has read from files so far."""
    found = ts.experimental_collect_matching_metrics("/tensorstore/cache/kvs_cache_read")
    return sum(int(value["value"]) for metric in found for value in metric["values"])
