"""A ``DataLoader`` over an ``AnchorDataset``, set as reading with TensorStore needs it."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any, override

import torch
from torch.utils.data import DataLoader

from viscy_data.checks import is_whole
from viscy_data.dataset import AnchorDataset, Batch
from viscy_data.errors import InvalidInputError


def pass_through(batch: Any) -> Any:
    """Return the batch as it is: the dataset has collated it already."""
    return batch


class AnchorLoader(DataLoader[Batch]):
    """A ``DataLoader`` that asks its sampler for nothing before it is asked for a batch.

    Others with workers draw as soon as there is an iterator; trainers make one before they have set the
    epoch, and before they know where a run goes on.
    """

    @override
    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names a class of its own
        yield from super().__iter__()


def anchor_loader(
    dataset: AnchorDataset,
    sampler: Iterable[list[int]],
    *,
    num_workers: int = 0,
    prefetch_factor: int = 2,
    timeout: float = 600.0,
    pin_memory: bool | None = None,
    persistent_workers: bool = True,
    loader: Callable[..., DataLoader[Batch]] = AnchorLoader,
) -> DataLoader[Batch]:
    """Return a loader that yields the dataset's batches in the sampler's order.

    Worker processes are started by ``forkserver`` (``spawn`` where there is none), never by ``fork``,
    and map the anchors table from a file. Any number of workers gives the same bytes. Workers end with
    the process that started them, even where that is killed.

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
    timeout
        Seconds to wait for a worker's batch before it is an error.
    pin_memory
        None: where CUDA is available.
    persistent_workers
        Keep the workers, and what they have opened, from epoch to epoch.
    loader
        What is built: also torchdata's ``StatefulDataLoader``, whose state names the batches consumed.

    Raises
    ------
    InvalidInputError
        Where ``num_workers`` is not an integer >= 0.
    """
    if not is_whole(num_workers, least=0):
        raise InvalidInputError(f"num_workers={num_workers!r} must be an integer >= 0.")
    options: dict[str, Any] = {}
    if num_workers:
        options = {
            "multiprocessing_context": _context(),
            "prefetch_factor": prefetch_factor,
            "persistent_workers": persistent_workers,
            "timeout": timeout,
            "worker_init_fn": _end_with_parent,
        }
    return loader(
        dataset,
        batch_sampler=sampler,
        num_workers=num_workers,
        collate_fn=pass_through,
        generator=torch.Generator(),  # workers' seeds come from here: the global generator stays untouched
        pin_memory=torch.cuda.is_available() if pin_memory is None else pin_memory,
        **options,
    )


def _end_with_parent(_: int) -> None:
    # PyTorch watches a worker's own parent, which is the fork server; that outlives a trainer that was
    # killed, because the workers hold it open
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _context() -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # The server imports once for all workers what each would import for seconds. It opens no store.
    context.set_forkserver_preload(["__main__", "viscy_data.dataset"])
    return context
