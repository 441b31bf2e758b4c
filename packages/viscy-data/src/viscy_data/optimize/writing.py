"""Write shards with TensorStore, and read each back before it counts.

Measured on two cores with zstd, frames of 2 x 5 x 1024 x 1024 uint16: TensorStore wrote 335 MB/s,
zarr-python 138. Both leave a shard whole or absent, because a file is written beside and renamed.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from viscy_data.errors import StoreError
from viscy_data.images.ngff import read_attributes
from viscy_data.optimize.job import Image, Job, itemsize, open_array
from viscy_data.optimize.journal import Finished, digest_of
from viscy_data.optimize.layout import Box
from viscy_data.optimize.metadata import to_ngff_05, write_group

type Pixels = NDArray[Any]

_MEMORY: Final = 1 << 30
_COPIES: Final = 4  # of a shard in memory: read, encoded, written, read back
_SOURCE_CACHE: Final = 256 << 20  # an original whose chunks hold several frames is decoded once


def write_skeleton(job: Job, store: Path) -> None:
    """Write the groups of the copy with the original's attributes, and its arrays without pixels."""
    groups = {""} | {image.group for image in job.images}
    groups |= {parent for group in groups for parent in _parents(group)}
    for group in sorted(groups):
        write_group(store / group, to_ngff_05(read_attributes(job.store / group)))
    for image in job.images:
        _create(store / image.array, image, job)


def _parents(group: str) -> list[str]:
    words = group.split("/")
    return ["/".join(words[:count]) for count in range(1, len(words))]


def _create(folder: Path, image: Image, job: Job) -> None:
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "metadata": image.layout.metadata(image.dtype, job.compression),
    }
    ts.open(spec, create=True, open=True).result()


class ShardWriter:
    """Copy shards of a job into a store that has its skeleton."""

    def __init__(self, job: Job, store: Path) -> None:
        self._job = job
        self._store = store
        self._opened: dict[str, tuple[Any, Any]] = {}

    def file_of(self, image: Image, box: Box) -> str:
        """Return the file of a shard inside the store."""
        starts = (box.t, 0, box.z[0], box.y[0], box.x[0])
        places = (start // size for start, size in zip(starts, image.layout.shard, strict=True))
        return f"{image.array}/c/{'/'.join(map(str, places))}"

    def copy(self, image: Image, box: Box) -> Finished:
        """Read a shard's pixels, write them, read them back, and compare.

        Raises
        ------
        StoreError
            The original cannot be read, the copy cannot be written, or what was read back differs.
        """
        source, target = self._open(image)
        pixels = self._read(source, image, box)
        try:
            target[box.selection].write(pixels).result()
            # a new handle without a cache: what it returns was decoded from the file
            again = np.asarray(open_array(self._store / image.array)[box.selection].read().result())
            data = (self._store / self.file_of(image, box)).read_bytes()
        except (ValueError, OSError) as error:
            raise _write_error(self._job, image, box, error) from error
        if not np.array_equal(again.view(np.uint8), pixels.view(np.uint8)):
            raise StoreError(
                f"out={str(self._job.out)!r} fov={image.info.fov!r} t={box.t}: what was read back differs "
                "from what was written; the disk or the memory is faulty. Nothing has taken the name of out."
            )
        return Finished(self.file_of(image, box), len(data), digest_of(data), digest_of(pixels))

    def _open(self, image: Image) -> tuple[Any, Any]:
        if image.array not in self._opened:
            source = open_array(
                self._job.store / image.array,
                missing_chunks=self._job.missing_chunks,
                cache_bytes=_SOURCE_CACHE if _spans_frames(self._job.store / image.array) else 0,
            )
            spec = {
                "driver": "zarr3",
                "kvstore": {"driver": "file", "path": f"{self._store / image.array}/"},
                # to a reader, an absent chunk is a damaged store
                "store_data_equal_to_fill_value": True,
            }
            context = ts.Context({"cache_pool": {"total_bytes_limit": 0}})
            self._opened = {image.array: (source, ts.open(spec, open=True, context=context).result())}
        return self._opened[image.array]

    def _read(self, source: Any, image: Image, box: Box) -> Pixels:
        try:
            return np.ascontiguousarray(source[box.selection].read().result())
        except (ValueError, OSError) as error:
            hint = (
                " (if chunks of nothing were left out: --missing-chunks fill)"
                if "missing" in str(error)
                else ""
            )
            raise StoreError(
                f"cannot read store={str(self._job.store)!r} fov={image.info.fov!r} t={box.t}: "
                f"{str(error).split(' [', 1)[0]}{hint}."
            ) from error


def copy_shards(
    job: Job,
    store: Path,
    shards: Iterable[tuple[Image, Box]],
    done: Callable[[Image, Box, Finished], None],
) -> None:
    """Copy shards in several threads; ``done`` is called once for each, in the calling thread's order.

    Raises
    ------
    StoreError
        The first that any of them met; no further shard is begun.
    """
    writer = ShardWriter(job, store)
    largest = max(prod(image.layout.shard) * itemsize(image) for image in job.images)
    threads = max(1, min(os.cpu_count() or 1, _MEMORY // (_COPIES * largest)))
    with ThreadPoolExecutor(threads) as pool:
        running: dict[Future[Finished], tuple[Image, Box]] = {}
        try:
            for image, box in shards:
                running[pool.submit(writer.copy, image, box)] = (image, box)
                if len(running) > threads:
                    _settle(running, done)
            while running:
                _settle(running, done)
        finally:
            pool.shutdown(cancel_futures=True)


def _settle(
    running: dict[Future[Finished], tuple[Image, Box]], done: Callable[[Image, Box, Finished], None]
) -> None:
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        image, box = running.pop(future)
        done(image, box, future.result())


def _spans_frames(folder: Path) -> bool:
    return int(open_array(folder).chunk_layout.read_chunk.shape[0]) > 1


def _write_error(job: Job, image: Image, box: Box, error: Exception) -> StoreError:
    reason = str(error).split(" [", 1)[0]
    full = "No space left" in reason or "File too large" in reason or "quota" in reason.lower()
    what = "the disk is full" if full else "the copy cannot be written"
    return StoreError(
        f"out={str(job.out)!r} fov={image.info.fov!r} t={box.t}: {what}: {reason}. What is finished stays in "
        f"{str(job.work)!r}: run again to go on, or remove that folder."
    )
