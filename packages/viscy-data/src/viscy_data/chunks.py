"""Which chunks crops lie in, and in what portions to ask for them.

A *chunk* is what is decoded at once, a *shard* a file of several. A *portion* is a run of crops of one
fov and frame that is asked for at once, sorted so that crops with chunks in common are neighbours; its
*cost* are the bytes that it may need until all of it is read: its chunks as stored, the same decoded, and
the crops cut from them.

Invariant: crops with a chunk in common are of one portion, unless that would cost more than is allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, product
from math import prod
from typing import NamedTuple

from viscy_data.patches import Crop

type Index = tuple[int, ...]
"""Of a chunk along T, C, Z, Y and X."""


class ChunkGrid(NamedTuple):
    """How an array's pixels lie in chunks.

    Attributes
    ----------
    chunk, shard
        Lengths along T, C, Z, Y and X; the same where nothing is sharded.
    pixel_bytes
        Of one pixel.
    channels
        Places in the array of the channels that are read, in no particular order.
    """

    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    pixel_bytes: int
    channels: tuple[int, ...]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a decoded chunk."""
        return prod(self.chunk) * self.pixel_bytes

    def touched(self, crop: Crop) -> set[Index]:
        """Return the chunks that a crop lies in.

        Examples
        --------
        >>> grid = ChunkGrid((1, 2, 1, 8, 8), (1, 2, 1, 8, 8), 2, (0, 1))
        >>> sorted(grid.touched(Crop("a", "A/1/0", 3, (0, 1), (6, 9), (0, 8))))
        [(3, 0, 0, 0, 0), (3, 0, 0, 1, 0)]
        """
        frames, channels, *lengths = self.chunk
        spans = [
            range(start // length, (stop - 1) // length + 1)
            for (start, stop), length in zip(crop[3:], lengths, strict=True)
        ]
        return set(product([crop.t // frames], {place // channels for place in self.channels}, *spans))

    def fetches(self, chunks: set[Index], before: set[Index]) -> int:
        """Return how many chunks, and indices of shards, ``chunks`` need that those ``before`` did not."""
        return len(chunks - before) + len(self._shards(chunks) - self._shards(before))

    def _shards(self, chunks: set[Index]) -> set[Index]:
        if self.shard == self.chunk:
            return set()
        ratio = [shard // chunk for shard, chunk in zip(self.shard, self.chunk, strict=True)]
        return {tuple(i // n for i, n in zip(one, ratio, strict=True)) for one in chunks}

    def crop_bytes(self, crop: Crop) -> int:
        """Return the bytes of a crop's pixels."""
        return prod(stop - start for start, stop in crop[3:]) * len(self.channels) * self.pixel_bytes


class Portion(NamedTuple):
    """Crops that are asked for at once.

    Attributes
    ----------
    places
        Of the crops, in the order to ask for them.
    cost
        Bytes (module docstring).
    wanted
        Chunks, and indices of shards, that no portion before it wanted.
    """

    places: list[int]
    cost: int
    wanted: int


def portions(crops: Sequence[Crop], grids: Mapping[int, ChunkGrid], limit: int) -> Iterator[Portion]:
    """Yield the portions of crops, frame after frame; none of several crops costs more than ``limit``.

    Parameters
    ----------
    crops
        By place.
    grids
        The grid of each crop that is wanted, by place.
    limit
        Bytes.
    """

    def frame(place: int) -> tuple[str, str, int]:
        crop = crops[place]
        return crop.experiment, crop.fov, crop.t // grids[place].chunk[0]

    places = sorted(grids, key=lambda place: (*frame(place), crops[place].y, crops[place].x))
    seen: dict[tuple[str, str], set[Index]] = {}
    for (*fov, _), run in groupby(places, key=frame):
        yield from _cut(crops, list(run), grids, limit, seen.setdefault((fov[0], fov[1]), set()))


def _cut(
    crops: Sequence[Crop], run: list[int], grids: Mapping[int, ChunkGrid], limit: int, seen: set[Index]
) -> Iterator[Portion]:
    """Cut the crops of one frame where they would cost more than ``limit``; add to the chunks ``seen``."""
    grid = grids[run[0]]
    places: list[int] = []
    chunks: set[Index] = set()
    cost = 0
    for place in run:
        touched = grid.touched(crops[place])
        more = 2 * len(touched - chunks) * grid.chunk_bytes + grid.crop_bytes(crops[place])
        if places and cost + more > limit:
            yield Portion(places, cost, grid.fetches(chunks, seen))
            seen |= chunks
            places, chunks, cost = [], set(), 0
            more = 2 * len(touched) * grid.chunk_bytes + grid.crop_bytes(crops[place])
        places.append(place)
        chunks |= touched
        cost += more
    yield Portion(places, cost, grid.fetches(chunks, seen))
    seen |= chunks
