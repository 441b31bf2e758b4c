"""Refuse compressed chunks that say they unpack to more than a chunk holds, before they are unpacked.

A file of a few kilobytes can unpack to terabytes, and a process that runs out of memory while it does is
ended without a word. The head of a zstd or blosc file, and the end of a gzip file, say how large it will be;
they are read before each frame of which statistics are computed, the first time that a store is read whole.
It costs a few microseconds for each chunk. What is said falsely, or not said, is not found.
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np

from viscy_data.images.array_metadata import read_array_metadata

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class ChunkFiles:
    """The files of an array's chunks, where each chunk is a file and its size can be told; otherwise none.

    Parameters
    ----------
    array
        Its folder.
    """

    def __init__(self, array: Path) -> None:
        shape, zarr_format, content = read_array_metadata(array)
        self._array, self._shape = array, shape
        if zarr_format == 2:
            self._chunk = tuple(content["chunks"])
            self._codec = (content.get("compressor") or {}).get("id", "")
            self._form = ("", content.get("dimension_separator", "."))
            pixel = np.dtype(content["dtype"]).itemsize
        else:
            self._chunk = tuple(content["chunk_grid"]["configuration"]["chunk_shape"])
            self._codec = _last(content.get("codecs"))
            self._form = _form(content.get("chunk_key_encoding") or {})
            pixel = np.dtype(content["data_type"]).itemsize
        self._bytes = prod(self._chunk) * pixel

    def oversized(self, t: int, channels: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield file and size of the chunks of a frame that unpack to more than a chunk holds."""
        read = {"zstd": _zstd_bytes, "blosc": _blosc_bytes, "gzip": _gzip_bytes}.get(self._codec)
        if read is None:
            return
        counts = [-(-length // size) for length, size in zip(self._shape[2:], self._chunk[2:], strict=True)]
        of_channels = sorted({place // self._chunk[1] for place in channels})
        prefix, separator = self._form
        for place in product([t // self._chunk[0]], of_channels, *map(range, counts)):
            file = f"{self._array}/{prefix}{separator.join(map(str, place))}"
            try:
                found = read(file)
            except (OSError, struct.error):
                continue  # missing or damaged: reading it says so
            if found > self._bytes:
                yield file, found


def _last(codecs: Any) -> str:
    """Return the name of the codec that compresses last; checksums after it do not unpack."""
    names = (
        [one.get("name", "") for one in codecs if isinstance(one, dict)] if isinstance(codecs, list) else []
    )
    return next((name for name in reversed(names) if name != "crc32c"), "")


def _form(encoding: Mapping[str, Any]) -> tuple[str, str]:
    """Return what chunk files' names begin with, and what separates their numbers."""
    options = encoding.get("configuration") or {}
    if encoding.get("name") == "v2":
        return "", options.get("separator", ".")
    separator = options.get("separator", "/")
    return f"c{separator}", separator


def _head(file: str, count: int) -> bytes:
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(handle, count)
    finally:
        os.close(handle)


def _zstd_bytes(file: str) -> int:
    """Return the content size of a frame (RFC 8878, 3.1.1.1); 0 where it is not said."""
    head = _head(file, 18)
    if not head.startswith(_ZSTD_MAGIC):
        return 0
    descriptor = head[4]
    single = descriptor >> 5 & 1
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    width = (single, 2, 4, 8)[descriptor >> 6]
    size = int.from_bytes(head[start : start + width], "little")
    return size + 256 if width == 2 else size


def _blosc_bytes(file: str) -> int:
    return int(struct.unpack_from("<I", _head(file, 16), 4)[0])


def _gzip_bytes(file: str) -> int:
    """Return the size at the end of a file (RFC 1952)."""
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        end = os.lseek(handle, 0, os.SEEK_END)
        os.lseek(handle, max(0, end - 4), os.SEEK_SET)
        return int(struct.unpack("<I", os.read(handle, 4))[0])
    finally:
        os.close(handle)
