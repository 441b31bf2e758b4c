"""What the metadata of an array claim, checked before memory is taken for it or TensorStore sees it.

A store may come from anywhere, and a few bytes of JSON can claim a billion frames or a chunk of a
terabyte; programs that believe it make arrays of that size, and end without a word. Limits are far above
what microscopes write: 1,000,000 frames, 10,000 channels, 68,719,476,736 pixels in all channels and slices
of a frame, 1,073,741,824 in a chunk, 16,777,216 chunks in a shard. Pixels are numbers of at most eight
bytes; complex numbers, records and text are refused.
"""

import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

from viscy_data.images.ngff import read_json

FRAMES: Final = 1_000_000
CHANNELS: Final = 10_000
FRAME_PIXELS: Final = 1 << 36
CHUNK_PIXELS: Final = 1 << 30
SHARD_CHUNKS: Final = 1 << 24

_ZARR_2: Final = re.compile(r"[<>|](b1|[iu][1248]|f[248])")
_ZARR_3: Final = {
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
}


class ArrayMetadata(NamedTuple):
    """An array with axes T, C, Z, Y, X.

    Attributes
    ----------
    shape
        (T, C, Z, Y, X).
    zarr_format
        2 or 3.
    content
        All of its metadata.
    """

    shape: tuple[int, int, int, int, int]
    zarr_format: int
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """All that the metadata say besides shape and attributes: arrays of one kind open alike."""
        return repr({key: self.content[key] for key in self.content if key not in ("shape", "attributes")})


def read_array_metadata(folder: Path) -> ArrayMetadata:
    """Return the metadata of a Zarr array of format 2 or 3.

    Raises
    ------
    OSError, ValueError
        Where there is none, it has other axes or pixels that are not numbers, or a size is out of bounds.
    """
    content, zarr_format = read_json(folder / "zarr.json"), 3
    if content is None:
        content, zarr_format = read_json(folder / ".zarray"), 2
    if content is None:
        raise FileNotFoundError(f"array {folder.name!r} is missing: it has neither zarr.json nor .zarray")
    if content.get("zarr_format") != zarr_format or content.get("node_type", "array") != "array":
        raise ValueError(f"{folder.name!r} is not an array of Zarr 2 or 3")
    shape = _lengths(content, "shape", least=0)
    _check_shape(shape)
    _check_chunks(content, zarr_format)
    _check_dtype(content, zarr_format)
    t, c, z, y, x = shape
    return ArrayMetadata((t, c, z, y, x), zarr_format, content)


def _lengths(content: Any, key: str, *, least: int) -> tuple[int, ...]:
    lengths = content.get(key) if isinstance(content, dict) else None
    whole = isinstance(lengths, list) and all(type(one) is int and one >= least for one in lengths)
    if not isinstance(lengths, list) or not whole or len(lengths) != 5:
        said = repr(lengths)[:80]
        raise ValueError(f"{key}={said} must be five whole numbers >= {least}, along T, C, Z, Y and X")
    return tuple(lengths)


def _check_shape(shape: Sequence[int]) -> None:
    pixels = prod(shape[1:])
    for what, found, most in (
        ("frames", shape[0], FRAMES),
        ("channels", shape[1], CHANNELS),
        ("pixels in a frame", pixels, FRAME_PIXELS),
    ):
        if found > most:
            raise ValueError(f"shape={list(shape)} claims {found:,} {what}; at most {most:,} are read")


def _check_chunks(content: Mapping[str, Any], zarr_format: int) -> None:
    if zarr_format == 2:
        chunk, shard = _lengths(content, "chunks", least=1), None
    else:
        grid = content.get("chunk_grid")
        own = grid.get("configuration") if isinstance(grid, dict) else None
        chunk, shard = _lengths(own, "chunk_shape", least=1), None
        codecs = content.get("codecs")
        while inner := _sharding(codecs):
            shard, chunk = chunk, _lengths(inner, "chunk_shape", least=1)
            _check_shard(shard, chunk)
            codecs = inner.get("codecs")
    if prod(chunk) > CHUNK_PIXELS:
        raise ValueError(
            f"a chunk of {list(chunk)} holds {prod(chunk):,} pixels; at most {CHUNK_PIXELS:,} are read"
        )


def _sharding(codecs: Any) -> dict[str, Any] | None:
    """Return the configuration of the codec that cuts a shard into chunks, where there is one."""
    named = [one for one in codecs if isinstance(one, dict)] if isinstance(codecs, list) else []
    found = [one.get("configuration") for one in named if one.get("name") == "sharding_indexed"]
    return found[0] if found and isinstance(found[0], dict) else None


def _check_shard(shard: Sequence[int], chunk: Sequence[int]) -> None:
    count = -(-prod(shard) // prod(chunk))
    if count > SHARD_CHUNKS:
        raise ValueError(f"a shard of {list(shard)} has {count:,} chunks; at most {SHARD_CHUNKS:,} are read")


def _check_dtype(content: Mapping[str, Any], zarr_format: int) -> None:
    dtype = content.get("dtype" if zarr_format == 2 else "data_type")
    known = isinstance(dtype, str) and (_ZARR_2.fullmatch(dtype) if zarr_format == 2 else dtype in _ZARR_3)
    if not known:
        raise ValueError(
            f"dtype={repr(dtype)[:80]}: pixels must be whole numbers or floats of at most 8 bytes, or bool"
        )
