"""Which chunks crops lie in, and in what portions to ask for them.

A chunk that two crops need should be read once; but asking for all crops of a batch at once may take more
memory than reading is allowed. A *chunk* is what is decoded at once, a *shard* a file of several. A
*portion* is a run of crops of one fov and frame that is asked for at once, sorted so that crops with chunks
in common are neighbours; its *cost* is the bytes that it may need until all of it is read: its chunks as
stored, the same decoded, and the crops cut from them.

Crops of one call are of all channels of their experiment, or each is of one channel, and then two channels of
one box may have chunks in common, too.

Invariant: crops with a chunk in common are of one portion, unless that would cost more than is allowed.
The price is sorting the chunks of all crops once, vectorised: looking at a few thousand chunks one by one
would take longer than a raw store takes to give the batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from viscy_data.images.patches import Crop

type IntArray = NDArray[np.int64]


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
        """Bytes of decoded pixels that a place along T, Z, Y and X costs: a chunk, or one per channel."""
        return prod(self.chunk) * self.pixel_bytes * self.along_channels(self.chunk)

    def along_channels(self, lengths: tuple[int, ...]) -> int:
        """Return how many boxes of ``lengths``, chunks or shards, the channels lie in."""
        return len({place // lengths[1] for place in self.channels})


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

    places = sorted(
        grids, key=lambda place: (*frame(place), crops[place].y, crops[place].x, crops[place].channel)
    )
    for grid, alike in groupby(places, key=grids.__getitem__):
        run = list(alike)
        frames = _numbers([frame(place) for place in run])
        fovs = _numbers([crops[place][:2] for place in run])
        yield from _cut([crops[place] for place in run], run, grid, (fovs, frames), limit)


def _numbers(names: Sequence[object]) -> IntArray:
    """Return 0 for the first name and those equal to it, 1 for the next ones, and so on; names are sorted."""
    return np.cumsum([False, *(one != other for one, other in pairwise(names))], dtype=np.int64)


def _cut(
    crops: Sequence[Crop],
    places: Sequence[int],
    grid: ChunkGrid,
    numbers: tuple[IntArray, IntArray],
    limit: int,
) -> Iterator[Portion]:
    """Cut the crops of each frame where they would cost more than ``limit``.

    Parameters
    ----------
    crops, places
        Of one grid, sorted.
    grid
        Of all of them.
    numbers
        Of each crop's fov and frame.
    limit
        Bytes.
    """
    fovs, frames = numbers
    box = np.array([crop.box for crop in crops], dtype=np.int64)  # (N, 3, 2)
    own: IntArray | None = None  # (N,) the place in the array of the channel that each crop is of
    if crops[0].channel is not None:
        own = np.array([grid.channels[crop.channel or 0] for crop in crops])
        grid = grid._replace(channels=grid.channels[:1])  # as many as a crop has
    pixel_bytes = (box[..., 1] - box[..., 0]).prod(axis=1) * len(grid.channels) * grid.pixel_bytes
    owner, before = _touched(box, _apart(frames, own, grid.chunk), grid.chunk)
    wanted = np.bincount(owner[before < 0], minlength=len(crops)) * grid.along_channels(grid.chunk)
    if grid.shard != grid.chunk:
        t = np.array([crop.t // grid.shard[0] for crop in crops])
        space = _apart(fovs * (t.max() + 1) + t, own, grid.shard)
        shard_owner, shard_before = _touched(box, space, grid.shard)
        firsts = np.bincount(shard_owner[shard_before < 0], minlength=len(crops))
        wanted += firsts * grid.along_channels(grid.shard)
    starts = np.searchsorted(owner, np.arange(len(crops) + 1))
    start = 0
    for stop in [*(np.flatnonzero(np.diff(frames)) + 1).tolist(), len(crops)]:
        while start < stop:
            ahead = slice(starts[start], starts[stop])
            new = np.bincount(owner[ahead][before[ahead] < start] - start, minlength=stop - start)
            costs = np.cumsum(2 * grid.chunk_bytes * new + pixel_bytes[start:stop])
            taken = max(1, int(np.searchsorted(costs, limit, side="right")))
            end = start + taken
            yield Portion(list(places[start:end]), int(costs[taken - 1]), int(wanted[start:end].sum()))
            start = end


def _apart(space: IntArray, channel: IntArray | None, lengths: tuple[int, ...]) -> IntArray:
    """Return numbers (N,) that differ where ``space`` does, or boxes of ``lengths`` along the channels do."""
    if channel is None:
        return space
    along = channel // lengths[1]
    return space * (along.max() + 1) + along


def _touched(box: IntArray, space: IntArray, lengths: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """Return who touches which chunks: for each time that a crop touches one, who does and who did before.

    Parameters
    ----------
    box
        (N, 3, 2) bounds of crops along Z, Y and X.
    space
        (N,) crops of different numbers have no chunk in common.
    lengths
        Of a chunk, or a shard, along T, C, Z, Y and X.

    Returns
    -------
    owner
        (M,) number of a crop, ascending.
    before
        (M,) the last crop before it that touches the same chunk; -1: none.
    """
    sizes = np.array(lengths[2:])
    first, last = box[..., 0] // sizes, (box[..., 1] - 1) // sizes
    spans = last - first + 1
    counts = spans.prod(axis=1)
    owner = np.repeat(np.arange(len(box)), counts)
    inside = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    chunk = space[owner]
    rest = counts[owner]
    for axis in range(3):
        rest //= spans[owner, axis]
        step, inside = np.divmod(inside, rest)
        chunk = chunk * (last[:, axis].max() + 1) + first[owner, axis] + step
    order = np.argsort(chunk, kind="stable")
    again = np.flatnonzero(chunk[order[1:]] == chunk[order[:-1]]) + 1
    before = np.full(len(owner), -1)
    before[order[again]] = owner[order[again - 1]]
    return owner, before
