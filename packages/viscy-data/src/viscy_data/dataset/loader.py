"""A ``DataLoader`` over an ``AnchorDataset``, set as reading with TensorStore needs it.

TensorStore's threads do not survive a fork, a worker that dies leaves the loop waiting, and each worker
copies its batches. So workers are started by a fork server (`viscy_data.dataset.processes`), their end is
noticed (`viscy_data.dataset.watched`), and by default there are none: TensorStore decodes on all cores of
this process anyway.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast, override

import torch
from torch.utils.data import DataLoader

from viscy_data.checks import check_integer
from viscy_data.dataset.anchor_dataset import AnchorDataset, Batch
from viscy_data.dataset.look_ahead import read_ahead
from viscy_data.dataset.processes import end_with_parent, worker_context
from viscy_data.dataset.watched import WatchedLoader, refuse_main_again, watched
from viscy_data.errors import InvalidInputError

_IN_USE = 2
"""Batches beside those ahead: the one in use and the next, already handed over or, by a worker, copied."""


def pass_through(batch: Any) -> Any:
    """Return the batch as it is: the dataset has collated it already."""
    return batch


class AnchorLoader(WatchedLoader):
    """A ``DataLoader`` that asks its sampler for nothing before it is asked for a batch.

    Others with workers draw as soon as there is an iterator; trainers make one before they have set the
    epoch, and before they know where a run goes on.

    Parameters
    ----------
    look_ahead
        Batches to read in this process while one is used; 0, or with workers: none.
    *arguments, **options
        Of a ``DataLoader``.
    """

    def __init__(self, *arguments: Any, look_ahead: int = 0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.look_ahead = look_ahead

    @override
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names a class of its own
        if self.num_workers or not self.look_ahead:
            yield from super().__iter__()
        else:
            drawn = cast("Iterable[list[int]]", self.batch_sampler)
            yield from read_ahead(drawn, self._read, self.look_ahead)

    def _read(self, rows: list[int]) -> Batch:
        dataset: Any = self.dataset  # torch's own kind reads row by row
        batch: Batch = self.collate_fn(dataset.__getitems__(rows))
        if not (self.pin_memory and torch.cuda.is_available()):
            return batch
        return {
            name: value.pin_memory() if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
        }


def anchor_loader(
    dataset: AnchorDataset,
    sampler: Iterable[list[int]],
    *,
    num_workers: int = 0,
    prefetch_factor: int = 2,
    look_ahead: int = 0,
    timeout: float = 600.0,
    pin_memory: bool | None = None,
    persistent_workers: bool = True,
    loader: Callable[..., DataLoader[Batch]] = AnchorLoader,
) -> DataLoader[Batch]:
    """Return a loader that yields the dataset's batches in the sampler's order.

    Worker processes are started by ``forkserver`` (``spawn`` where there is none), never by ``fork``,
    and map the anchors table from a file. Any number of workers gives the same bytes. Workers end with
    the process that started them, even where that is killed; the loop over the batches ends with a
    ``WorkerError`` within seconds where one of them dies.

    Each worker imports the script that was started, as with every loader: a script that uses workers calls
    what it does under ``if __name__ == "__main__":``.

    Parameters
    ----------
    dataset
        What reads the batches.
    sampler
        Yields lists of rows: ``FlexibleBatchSampler(dataset.valid_anchors)``, or a list of lists.
    num_workers
        Processes that read; 0 reads in this one, which TensorStore already does with several threads.
    prefetch_factor
        Batches each worker prepares ahead.
    look_ahead
        Batches to read ahead in this process, where there are no workers and ``loader`` is an
        ``AnchorLoader``. As with workers, a sampler's state then needs the number consumed.
    timeout
        Seconds to wait for a batch while all workers are alive, as where storage does not answer; 0: as long
        as they are. A worker that died ends the wait at once.
    pin_memory
        None: where CUDA is available.
    persistent_workers
        Keep the workers, and what they have opened, from epoch to epoch.
    loader
        What is built: also torchdata's ``StatefulDataLoader``, whose state names the batches consumed.

    Raises
    ------
    InvalidInputError
        Where ``num_workers`` or ``look_ahead`` is not an integer >= 0, ``timeout`` not a number of
        seconds, the dataset's memory does not suffice for so many batches, or workers cannot be started:
        the script is not in a file, or there is no folder for temporary files.
    """
    num_workers = check_integer("num_workers", num_workers, 0)
    look_ahead = check_integer("look_ahead", look_ahead, 0)
    if not _is_seconds(timeout):
        raise InvalidInputError(f"timeout={timeout!r} must be a number of seconds >= 0; 0 sets no limit.")
    options: dict[str, Any] = {}
    if num_workers:
        refuse_main_again(num_workers)
        _check_temporary(num_workers)
    pinned = torch.cuda.is_available() if pin_memory is None else pin_memory
    ahead = prefetch_factor if num_workers else look_ahead
    if isinstance(dataset, AnchorDataset):
        dataset.share_memory(workers=max(1, num_workers), batches=ahead + _IN_USE + pinned)
    if isinstance(loader, type) and issubclass(loader, AnchorLoader):
        options["look_ahead"] = look_ahead
    if num_workers:
        options |= {
            "multiprocessing_context": worker_context(),
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
            "timeout": timeout,
            "worker_init_fn": end_with_parent,
        }
    kind = watched(loader) if num_workers else loader
    built: DataLoader[Batch] = kind(
        dataset,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=pass_through,
        generator=torch.Generator(),  # workers' seeds come from here: the global generator stays untouched
        pin_memory=pinned,
        **options,
    )
    return built


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _check_temporary(num_workers: int) -> None:
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise InvalidInputError(
            f"num_workers={num_workers}: workers need a folder for temporary files: {error}. Set TMPDIR to "
            "one that can be written to, or read in this process with num_workers=0, look_ahead=2."
        ) from error
