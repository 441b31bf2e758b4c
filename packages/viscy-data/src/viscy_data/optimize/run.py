"""Rewrite a store: in a folder beside the output, renamed when everything is in it."""

import shutil
from dataclasses import dataclass
from math import prod
from pathlib import Path

from viscy_data.errors import StoreError, ViscyDataError
from viscy_data.files.locks import only_writer
from viscy_data.files.whole import clear_leftovers, folder_to_disk
from viscy_data.images.ngff import read_attributes
from viscy_data.optimize.job import Image, Job, check_free, itemsize
from viscy_data.optimize.journal import Finished, Journal, check_work
from viscy_data.optimize.layout import Box
from viscy_data.optimize.metadata import write_group
from viscy_data.optimize.writing import ShardWriter, copy_shards, write_skeleton
from viscy_data.progress import progress_bar
from viscy_data.text import shown


@dataclass(frozen=True)
class Summary:
    """What was written.

    Attributes
    ----------
    out
        The copy.
    shards, found
        Files of pixels, and how many of them an earlier run had finished.
    bytes
        Size of the files of pixels.
    digest
        Of all pixels; also in the copy's attributes, as ``viscy_data_optimize``.
    """

    out: Path
    shards: int
    found: int
    bytes: int
    digest: str


def rewrite(job: Job, *, progress: bool = True) -> Summary:
    """Write the copy, or what an interrupted run left to do of it.

    Every shard is read back and compared before it counts. ``job.out`` appears when all are there.

    Raises
    ------
    InvalidInputError
        An unfinished run on other terms is in the way.
    StoreError
        The original cannot be read, or the copy cannot be written (a full disk); what is finished stays
        for the next run.
    """
    store, journal_path = job.work / "store", job.work / "journal.jsonl"
    try:
        with only_writer(job.out):
            check_free(job.store, job.out)
            check_work(job.work, journal_path)
            clear_leftovers(job.out)
            job.work.mkdir(exist_ok=True)
            with Journal(journal_path, job.terms(), store) as journal:
                store.mkdir(exist_ok=True)
                summary = _write(job, store, journal, progress=progress)
            _sign(job, store, summary)
            folder_to_disk(store)
            store.rename(job.out)
            shutil.rmtree(job.work)
    except OSError as error:
        if isinstance(error, ViscyDataError):
            raise
        raise StoreError(
            f"out={shown(job.out, 300)!r} cannot be written: {error.strerror or error}. What is finished "
            f"stays in {shown(job.work, 300)!r}."
        ) from error
    return summary


def finished_bytes(job: Job) -> int:
    """Return the size of what an interrupted run has left."""
    return sum(path.stat().st_size for path in job.work.rglob("*") if path.is_file())


def _write(job: Job, store: Path, journal: Journal, *, progress: bool) -> Summary:
    write_skeleton(job, store)
    writer = ShardWriter(job, store)
    found = len(journal.finished)
    shards = list(job.shards())
    left = [one for one in shards if writer.file_of(*one) not in journal.finished]
    total = max(1, sum(_size(*one) for one in shards) >> 20)
    with progress_bar("optimize", total, unit="MB", shown=progress) as advance:
        moved = _Steps(sum(_size(*one) for one in shards) - sum(_size(*one) for one in left))
        advance(moved.whole())

        def done(image: Image, box: Box, finished: Finished) -> None:
            journal.add(finished)
            moved.bytes += _size(image, box)
            advance(moved.whole())

        copy_shards(job, store, left, done)
    size = sum(one.bytes for one in journal.finished.values())
    return Summary(job.out, len(shards), found, size, journal.digest())


@dataclass
class _Steps:
    """Bytes done, handed on as whole megabytes."""

    bytes: int
    told: int = 0

    def whole(self) -> int:
        step = (self.bytes >> 20) - self.told
        self.told += step
        return step


def _size(image: Image, box: Box) -> int:
    lengths = (stop - start for start, stop in (box.z, box.y, box.x))
    return int(prod(lengths) * image.layout.shape[1] * itemsize(image))


def _sign(job: Job, store: Path, summary: Summary) -> None:
    attributes = read_attributes(store)
    signed = {"patch": list(job.patch), "compression": job.compression, "pixels": summary.digest}
    write_group(store, {**attributes, "viscy_data_optimize": signed})
