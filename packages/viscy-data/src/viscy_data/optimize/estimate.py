"""What a copy will cost and bring, measured on a few frames before the work begins.

The frames are rewritten in a temporary folder on the disk of the output, and random patches of them are
read from the original and from the copy with the reader that training uses, and normalised. A call reads
one patch of each frame, or a few, as a batch of the plan does: the more patches share a frame, the better
an original in large chunks does. All files are in the page cache by then, so what is compared is decoding;
from a slow disk the original, of which more is read, loses more.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count, islice
from math import nan, prod
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np

from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.files.whole import beside_of, plain_write_errors
from viscy_data.images.patches import Crop
from viscy_data.images.store import StoreReader
from viscy_data.optimize.job import Image, Job, itemsize
from viscy_data.optimize.journal import Finished
from viscy_data.optimize.layout import Box
from viscy_data.optimize.run import finished_bytes
from viscy_data.optimize.writing import copy_shards, write_skeleton
from viscy_data.progress import progress_bar
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments

FRAMES: Final = 8
_BATCH: Final = 128
_SAMPLE_BYTES: Final = 256 << 20
ROUNDS: Final = 5


@dataclass(frozen=True)
class Estimate:
    """What was measured on a sample of frames.

    Attributes
    ----------
    frames
        In the sample.
    decoded_bytes
        Size of all pixels of the store in memory.
    bytes
        Size that the copy will have on disk.
    seconds
        That writing it will take.
    before, after
        Patches/s read from the original and from the copy; both NaN where training cannot read the original.
    free_bytes
        On the disk of the output, and what an interrupted run left there.
    """

    frames: int
    decoded_bytes: int
    bytes: int
    seconds: float
    before: float
    after: float
    free_bytes: int

    def check_space(self, out: Path) -> None:
        """Refuse a copy that the disk has no room for.

        Raises
        ------
        InvalidInputError
            Less is free than the copy needs.
        """
        needed = int(self.bytes * 1.05)
        if needed > self.free_bytes:
            raise InvalidInputError(
                f"out={str(out)!r}: the copy needs about {needed / 1e9:.2f} GB, and the disk has "
                f"{self.free_bytes / 1e9:.2f} GB for it. Free some, or name another disk."
            )


def estimate(job: Job, *, seconds: float = 4.0, per_frame: int = 1, progress: bool = True) -> Estimate:
    """Measure what rewriting costs and brings on at most eight frames.

    Parameters
    ----------
    job
        What is to be done.
    seconds
        To read for, after the frames were rewritten.
    per_frame
        Patches of a frame in a batch.
    progress
        Show a progress bar.

    Raises
    ------
    StoreError
        The original cannot be read, or the sample cannot be written.
    """
    frames = sample_frames(job)
    steps = len(frames) + ROUNDS
    with (
        progress_bar("sample", steps, unit="steps", shown=progress) as advance,
        sample_copy(job, frames) as (copy, written),
    ):
        advance(len(frames))
        rounds = [(nan, nan)] if job.rescued else []
        for speeds in (
            [] if job.rescued else islice(compare(job, copy, frames * per_frame, seconds / ROUNDS), ROUNDS)
        ):
            rounds.append(speeds)
            advance(1)
    before, after = zip(*rounds, strict=True)
    share = job.decoded_bytes / sum(_frame_bytes(image) for image, _ in frames)
    free = shutil.disk_usage(job.out.parent).free + finished_bytes(job)
    return Estimate(
        len(frames),
        job.decoded_bytes,
        int(written.bytes * share),
        written.seconds * share,
        median(before),
        median(after),
        free,
    )


def sample_frames(job: Job, most: int = FRAMES) -> list[tuple[Image, int]]:
    """Return frames spread over the store, as many as are small enough together; at least one."""
    ends = np.cumsum([image.layout.shape[0] for image in job.images])
    largest = max(_frame_bytes(image) for image in job.images)
    wanted = int(min(most, ends[-1], max(1, _SAMPLE_BYTES // largest)))
    places = ((np.arange(wanted) + 0.5) * ends[-1] / wanted).astype(int)
    images = np.searchsorted(ends, places, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    return [(job.images[i], int(place - starts[i])) for i, place in zip(images.tolist(), places, strict=True)]


@dataclass
class Written:
    """How long writing a sample took, and how large it is."""

    bytes: int = 0
    seconds: float = 0.0


@contextmanager
def sample_copy(job: Job, frames: list[tuple[Image, int]]) -> Iterator[tuple[Path, Written]]:
    """Rewrite frames in a folder beside the output, which is removed in the end."""
    folder = beside_of(job.out, "sample")
    store = folder / job.out.name
    written = Written()

    def done(_: Image, __: Box, one: Finished) -> None:
        written.bytes += one.bytes

    try:
        boxes = ((image, box) for image, t in frames for box in image.layout.boxes(t))
        with plain_write_errors(job.out):
            folder.mkdir()
            write_skeleton(job, store)
            began = perf_counter()
            copy_shards(job, store, boxes, done)
        written.seconds = perf_counter() - began
        yield store, written
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compare(
    job: Job, copy: Path, frames: list[tuple[Image, int]], seconds: float
) -> Iterator[tuple[float, float]]:
    """Yield patches/s of the original and of the copy, on the same places, each time for some seconds.

    A call reads a patch of each of ``frames``, which may come more than once.

    Raises
    ------
    StoreError
        Where the two give different pixels.
    """
    stores = (job.store, copy)
    experiments = Experiments(
        experiments=tuple(_experiment(job, number, path) for number, path in enumerate(stores))
    )
    reader = StoreReader(experiments, missing_chunks=job.missing_chunks)
    _check_equal(reader, _crops(job, frames, np.random.default_rng(0)), copy)
    calls = [1, 1]
    for seed in count():
        speeds = []
        for number in range(2):
            rngs = [np.random.default_rng([seed, call]) for call in range(calls[number])]
            crops = [[_of(one, str(number), copy) for one in _crops(job, frames, rng)] for rng in rngs]
            speeds.append(_speed(reader, crops, job))
            # as long for one as for the other: the mood of the machine is averaged over equal spans
            calls[number] = int(np.clip(seconds / 2 * speeds[-1] / len(frames), 1, 512))
        yield speeds[0], speeds[1]


def _experiment(job: Job, number: int, path: Path) -> Experiment:
    channels = tuple(dict.fromkeys(job.images[0].info.channels))
    return Experiment(name=str(number), data_path=path, tracks_path=path, channels=channels)


def _crops(job: Job, frames: list[tuple[Image, int]], rng: np.random.Generator) -> list[Crop]:
    """Return a random patch of each frame."""
    crops = []
    for image, t in frames:
        starts = (
            int(rng.integers(n - m + 1)) for n, m in zip(image.layout.shape[2:], job.patch, strict=True)
        )
        z, y, x = ((start, start + size) for start, size in zip(starts, job.patch, strict=True))
        crops.append(Crop("0", image.info.fov, t, z, y, x))
    return crops


def _speed(reader: StoreReader, calls: list[list[Crop]], job: Job) -> float:
    """Return patches/s, made what a batch holds: float32, normalised, in memory of its own."""
    shape = (_BATCH, job.images[0].layout.shape[1], *job.patch)
    began = perf_counter()
    batch = np.empty(shape, dtype=np.float32)
    for number, pixels in enumerate(chain.from_iterable(map(reader.read, calls))):
        place = number % _BATCH
        if number and place == 0:
            batch = np.empty(shape, dtype=np.float32)
        batch[place] = pixels
        batch[place] -= 1.0
        batch[place] /= 2.0
    return sum(map(len, calls)) / (perf_counter() - began)


def _of(crop: Crop, experiment: str, copy: Path) -> Crop:
    """Return a crop as an experiment names it: a single position goes by its path."""
    fov = copy.stem if experiment == "1" and "/" not in crop.fov else crop.fov
    return crop._replace(experiment=experiment, fov=fov)


def _check_equal(reader: StoreReader, crops: list[Crop], copy: Path) -> None:
    one, two = (reader.read([_of(crop, name, copy) for crop in crops]) for name in "01")
    if not all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)):
        raise StoreError(f"a sample of store {str(copy)!r} reads differently from the original.")


def _frame_bytes(image: Image) -> int:
    return prod(image.layout.shape[1:]) * itemsize(image)
