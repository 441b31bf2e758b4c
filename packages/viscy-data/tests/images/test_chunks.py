from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.images.chunks import ChunkGrid, portions
from viscy_data.images.patches import Crop

EXTENT = (6, 3, 3, 12, 12)


@st.composite
def grids(draw: st.DrawFn) -> ChunkGrid:
    chunk = tuple(draw(st.integers(1, extent)) for extent in EXTENT)
    ratio = draw(st.sampled_from([(1, 1, 1, 1, 1), (1, 1, 2, 2, 2), (2, 3, 1, 1, 3)]))
    channels = draw(st.lists(st.integers(0, EXTENT[1] - 1), min_size=1, max_size=3, unique=True))
    shard = tuple(length * times for length, times in zip(chunk, ratio, strict=True))
    return ChunkGrid(chunk, shard, draw(st.sampled_from([1, 2, 4])), tuple(channels))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Crop], ChunkGrid]:
    """Crops of all channels of a grid, or of one each."""
    grid = draw(grids())
    own = st.integers(0, len(grid.channels) - 1) if draw(st.booleans()) else st.none()

    def span(extent: int) -> tuple[int, int]:
        start = draw(st.integers(0, extent - 1))
        return start, draw(st.integers(start + 1, extent))

    crops = [
        Crop(
            "a",
            draw(st.sampled_from(["A/1/0", "A/2/0"])),
            draw(st.integers(0, 5)),
            span(EXTENT[2]),
            span(EXTENT[3]),
            span(EXTENT[4]),
            draw(own),
        )
        for _ in range(draw(st.integers(1, 8)))
    ]
    return crops, grid


def pixels_of(crop: Crop, grid: ChunkGrid) -> set[tuple[int, ...]]:
    channels = grid.channels if crop.channel is None else [grid.channels[crop.channel]]
    return set(product([crop.t], channels, range(*crop.z), range(*crop.y), range(*crop.x)))


def reference(crop: Crop, grid: ChunkGrid, lengths: tuple[int, ...]) -> set[tuple[str | int, ...]]:
    """Chunks or shards of a crop, pixel by pixel."""
    return {(crop.fov, *(i // n for i, n in zip(one, lengths, strict=True))) for one in pixels_of(crop, grid)}


@given(case=cases(), limit=st.integers(1, 100_000))
def test_portions_are_all_crops_within_the_limit(case: tuple[list[Crop], ChunkGrid], limit: int) -> None:
    crops, grid = case
    found = list(portions(crops, dict.fromkeys(range(len(crops)), grid), limit))
    assert sorted(place for portion in found for place in portion.places) == list(range(len(crops)))
    for portion in found:
        held = [crops[place] for place in portion.places]
        assert len({(crop.fov, crop.t // grid.chunk[0]) for crop in held}) == 1
        chunks = set[object]().union(*(reference(crop, grid, grid.chunk) for crop in held))
        pixels = sum(len(pixels_of(crop, grid)) for crop in held)
        chunk_bytes = int(np.prod(grid.chunk)) * grid.pixel_bytes
        assert portion.cost == 2 * len(chunks) * chunk_bytes + pixels * grid.pixel_bytes
        assert portion.cost <= limit or len(held) == 1


@given(case=cases(), limit=st.integers(1, 100_000))
def test_every_chunk_and_index_is_wanted_once(case: tuple[list[Crop], ChunkGrid], limit: int) -> None:
    crops, grid = case
    chunks = set[object]().union(*(reference(crop, grid, grid.chunk) for crop in crops))
    shards = set[object]().union(*(reference(crop, grid, grid.shard) for crop in crops))
    wanted = sum(one.wanted for one in portions(crops, dict.fromkeys(range(len(crops)), grid), limit))
    assert wanted == len(chunks) + (len(shards) if grid.shard != grid.chunk else 0)


@given(case=cases())
def test_crops_with_a_chunk_in_common_are_asked_for_at_once(case: tuple[list[Crop], ChunkGrid]) -> None:
    crops, grid = case
    found = list(portions(crops, dict.fromkeys(range(len(crops)), grid), 1 << 40))
    seen: set[object] = set()
    for portion in found:
        chunks = set[object]().union(*(reference(crops[i], grid, grid.chunk) for i in portion.places))
        assert not seen & chunks
        seen |= chunks


def test_only_crops_with_a_grid_are_asked_for() -> None:
    grid = ChunkGrid((1, 1, 1, 8, 8), (1, 1, 1, 8, 8), 2, (0,))
    crops = [Crop("a", "A/1/0", t, (0, 1), (0, 4), (0, 4)) for t in range(3)]
    assert [one.places for one in portions(crops, {2: grid, 0: grid}, 1)] == [[0], [2]]
