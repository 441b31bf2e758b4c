"""Independent jobs, done here, in processes of this machine, or on a Dask cluster.

A job is a value and its work a function of a module, so that both travel to another process. Results
come as they are ready, each with its job: a caller that needs an order sorts them. What a job leaves behind
for others is a file, which on a cluster lies where every worker sees it.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any, Self

import pyarrow as pa

from viscy_data.errors import InvalidInputError, ViscyDataError, WorkerError

# Seconds in which a scheduler answers or is not there.
_TIMEOUT = 30.0


class Workers:
    """Who does the jobs; a context, in which processes start once, with the first jobs.

    Parameters
    ----------
    processes
        Processes of this machine; 1: this one.
    dask
        Address of a Dask scheduler, whose workers do the jobs instead; None: none.

    Attributes
    ----------
    here
        Whether jobs are done in this process, one after the other.

    Examples
    --------
    >>> with Workers() as workers:
    ...     list(workers.run(abs, [1, -2]))
    [(1, 1), (-2, 2)]
    """

    def __init__(self, processes: int = 1, dask: str | None = None) -> None:
        self._processes, self._dask = processes, dask
        self.here = dask is None and processes < 2
        self._pool: ProcessPoolExecutor | None = None
        self._client: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def run[J, R](self, work: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, R]]:
        """Do the jobs; yield each with its result when it is done.

        Raises
        ------
        WorkerError
            Where a process or worker died; an exception of ``work`` comes through as it is, and leaving
            the context drops the jobs that have not begun.
        """
        if self.here or not jobs:
            return ((job, work(job)) for job in jobs)
        return self._in_processes(work, jobs) if self._dask is None else self._on_dask(work, jobs, self._dask)

    def _in_processes[J, R](self, work: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, R]]:
        if self._pool is None:
            spawn = get_context("spawn")
            self._pool = ProcessPoolExecutor(self._processes, mp_context=spawn, initializer=_prepare)
        try:
            job_of = {self._pool.submit(work, job): job for job in jobs}
            for future in as_completed(job_of):
                yield job_of[future], future.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                f"processes={self._processes}: one of them died; was it killed, or is memory short? What is "
                "finished is kept: run the same again, with fewer processes where memory is short."
            ) from error

    def _on_dask[J, R](
        self, work: Callable[[J], R], jobs: Sequence[J], address: str
    ) -> Iterator[tuple[J, R]]:
        distributed = _distributed()
        self._client = self._client or _connect(distributed, address)
        job_of = {self._client.submit(work, job, pure=False): job for job in jobs}
        try:
            for future in distributed.as_completed(job_of, loop=self._client.loop):
                yield job_of[future], future.result()
        except distributed.KilledWorker as error:
            raise WorkerError(
                f"dask={address!r}: workers died at a job: {error} What is finished is kept: run it again."
            ) from error


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare() -> None:
    # Each process has a core of its own; threads of its own would only take those of the others.
    pa.set_cpu_count(1)
    # A pool's processes wait for work as long as they live, whether or not their parent still does.
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _connect(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, set_as_default=False, timeout=_TIMEOUT)
    except OSError as error:
        raise ViscyDataError(
            f"dask={address!r}: no Dask scheduler answers there ({error}); give its address, such as "
            "tcp://host:8786."
        ) from error


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError as error:
        raise InvalidInputError(
            "dask: the package 'distributed' is not installed; pip install 'viscy-data[dask]', here and on "
            "the workers."
        ) from error
