"""Independent jobs, done here, in processes of this machine, or on a Dask cluster.

A job is a value and its work a function of a module, so that both travel to another process. Results
come as they are ready, each with its job: whoever wants an order makes one. What a job leaves behind
for others is a file, which on a cluster lies where every worker sees it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from typing import Any

import pyarrow as pa

from viscy_data.errors import InvalidInputError, ViscyDataError


@dataclass(frozen=True)
class Workers:
    """Who does the jobs.

    Attributes
    ----------
    processes
        Processes of this machine; 1: this one.
    dask
        Address of a Dask scheduler, whose workers do the jobs instead; None: none.
    """

    processes: int = 1
    dask: str | None = None

    @property
    def here(self) -> bool:
        """Whether jobs are done in this process, one after the other."""
        return self.dask is None and self.processes < 2

    def run[J, R](self, work: Callable[[J], R], jobs: Sequence[J]) -> Iterator[tuple[J, R]]:
        """Do the jobs; yield each with its result when it is done.

        Raises
        ------
        ViscyDataError
            Where a process or worker died; an exception of ``work`` comes through as it is. Jobs that
            have not begun by then are dropped.
        """
        if self.here:
            return ((job, work(job)) for job in jobs)
        if self.dask is None:
            return _in_processes(work, jobs, min(self.processes, len(jobs)))
        return _on_dask(work, jobs, self.dask)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes[J, R](work: Callable[[J], R], jobs: Sequence[J], processes: int) -> Iterator[tuple[J, R]]:
    if not jobs:
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_one_core)
    try:
        job_of = {pool.submit(work, job): job for job in jobs}
        for future in as_completed(job_of):
            yield job_of[future], future.result()
    except BrokenProcessPool as error:
        raise ViscyDataError(
            f"processes={processes}: one of them died; was it killed, or is memory short? What is finished "
            "is kept: run the same again, with fewer processes where memory is short."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _one_core() -> None:
    # Each process has a core of its own; threads of its own would only take those of the others.
    pa.set_cpu_count(1)


def _on_dask[J, R](work: Callable[[J], R], jobs: Sequence[J], address: str) -> Iterator[tuple[J, R]]:
    distributed = _distributed()
    try:
        client = distributed.Client(address, set_as_default=False)
    except OSError as error:
        raise ViscyDataError(
            f"dask={address!r}: no Dask scheduler answers there ({error}); give its address, such as "
            "tcp://host:8786."
        ) from error
    with client:
        job_of = {client.submit(work, job, pure=False, retries=1): job for job in jobs}
        try:
            for future in distributed.as_completed(job_of):
                yield job_of[future], future.result()
        except distributed.KilledWorker as error:
            raise ViscyDataError(
                f"dask={address!r}: workers died at a job: {error} What is finished is kept: run the same "
                "again."
            ) from error


def _distributed() -> Any:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise InvalidInputError(
            "dask: the package 'distributed' is not installed; pip install 'viscy-data[dask]', here and on "
            "the workers."
        ) from error
    return distributed
