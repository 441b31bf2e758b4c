"""How the worker processes of a loader are started, ended with their parent, and told that it is done.

TensorStore's threads do not survive a fork, so that a fork server starts the workers, which has none.
"""

import ctypes
import multiprocessing
import os
import threading
from copy import copy
from functools import partial
from multiprocessing.connection import wait
from typing import Any


def worker_context() -> Any:
    """Return a multiprocessing context whose processes come from a fork server; spawned where there is none.

    Its events are `Flag`s.
    """
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = copy(multiprocessing.get_context("forkserver" if forks else "spawn"))  # one of our own
    context.Event = partial(Flag, context)
    if forks:
        # The server imports once for all workers what each would import for seconds. It opens no store, as
        # the main script may: that each worker imports itself, after the fork.
        context.set_forkserver_preload(["viscy_data.dataset.anchor_dataset"])
    return context


class Flag:
    """What a loader's processes use of an event, a byte that they share.

    To read or to set an event of multiprocessing takes its lock. A worker that is killed in that moment
    keeps the lock, and the loader, which sets the event to end its workers, waits for it for ever. Who reads
    or writes a byte holds nothing.

    Parameters
    ----------
    context
        The multiprocessing context whose processes share the flag.
    """

    def __init__(self, context: Any) -> None:
        self._byte: Any = context.RawValue(ctypes.c_bool, False)

    def set(self) -> None:
        """Set the flag, for all processes and for good."""
        self._byte.value = True

    def is_set(self) -> bool:
        """Return whether any process has set the flag."""
        return bool(self._byte.value)


def end_with_parent(_: int) -> None:
    """Let this worker end when the process that started the loader does, even where that is killed.

    PyTorch watches a worker's own parent, which is the fork server; that outlives a trainer that was killed,
    because the workers hold it open.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
