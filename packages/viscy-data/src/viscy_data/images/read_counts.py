"""How often a chunk that a batch wanted had to be read from a file."""

from typing import Final, NamedTuple

import tensorstore as ts

_METRIC: Final = "/tensorstore/cache/kvs_cache_read"


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
    # As text: what ``experimental_collect_matching_metrics`` returns as dictionaries is never freed.
    lines = ts.experimental_collect_prometheus_format_metrics(_METRIC)
    return sum(int(line.rsplit(maxsplit=1)[-1]) for line in lines if not line.startswith("#"))
