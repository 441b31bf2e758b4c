"""Notice that a worker of a loader died, and say how.

A loader waits for batches that workers put into a queue. A worker that is killed puts nothing there, and
workers of a fork server are not this process's children, so that no signal tells of their end: a loader that
waits with a long timeout learns of it when that has passed. Here the wait is cut into short ones. After each
PyTorch looks whether the workers are alive; ``WatchedLoader`` goes on waiting until one is not, or until
its own ``timeout`` is over, and turns what PyTorch says of either into a sentence. A thread watches too,
for the worker that is killed in the middle of a message, whose other half nobody would write.

A worker imports the main script before anything else. A script without a main guard starts workers
there once more; such a worker ends with an exit code of its own (``refuse_main_again``), by which
the loader knows what to say.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, NoReturn, override

from torch.utils.data import DataLoader

from viscy_data.errors import InvalidInputError, ViscyDataError, WorkerError

_POLL: Final = 1.0
"""Seconds after which PyTorch looks whether workers are alive."""

_NO_GUARD: Final = 97
"""Exit code of a worker whose main script starts workers when it is imported."""

_LOST: Final = 255
"""Exit code that multiprocessing gives a process whose fork server is gone."""

_GUARD: Final = (
    "Each worker imports the script that was started. Put what the script does into a function and call it "
    "under `if __name__ == '__main__':`, or read in this process with num_workers=0, look_ahead=2."
)
_HOW: Final = {
    "SIGKILL": "from outside, or by the system because memory ran out",
    "SIGTERM": "from outside",
    "SIGBUS": "shared memory, /dev/shm, may be full",
}
_REMEDY: Final = (
    "Batches that were not yet used are lost, nothing else is. Where memory is short, take fewer workers, a "
    "smaller prefetch_factor, or state Reading(memory_bytes=...)."
)


_BROKEN: Final = (RuntimeError, ValueError, OSError, EOFError)
"""What PyTorch and multiprocessing raise when a worker is gone, among other reasons."""


class WatchedLoader(DataLoader[Any]):
    """A ``DataLoader`` whose iterator raises ``WorkerError`` seconds after a worker died.

    Parameters
    ----------
    timeout
        Seconds to wait for a batch while all workers are alive; 0: as long as they are.
    *arguments, **options
        Of a ``DataLoader``, or of the loader that a subclass names beside this one.
    """

    def __init__(self, *arguments: Any, timeout: float = 0.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.patience = timeout

    @override
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names a class of its own
        if not self.num_workers:
            yield from super().__iter__()
            return
        before = getattr(self, "_iterator", None)  # workers that persist
        try:
            batches = super().__iter__()
        except _BROKEN as error:
            self._raise(error, getattr(self, "_iterator", None) or before, set())
        with _ending_together(batches) as ended:
            while True:
                try:
                    batch = self._next(batches, ended)
                except StopIteration:
                    return
                yield batch
                del batch  # it is the caller's

    def _next(self, batches: Any, ended: set[int]) -> Any:
        until = time.monotonic() + self.patience
        batches._timeout = _POLL  # only now: to start or resume workers may take them longer
        try:
            while True:
                try:
                    return next(batches)
                except _BROKEN as error:
                    if not str(error).startswith("DataLoader timed out"):
                        self._raise(error, batches, ended)
                if self.patience and time.monotonic() > until:
                    raise WorkerError(
                        f"timeout={self.patience:g}: no batch came for so many seconds, but all "
                        f"{self.num_workers} workers are alive. Does the storage answer? Allow more seconds, "
                        "or 0 to wait as long as the workers live."
                    )
        finally:
            batches._timeout = 0

    def _raise(self, error: Exception, batches: Any, ended: set[int]) -> NoReturn:
        """Raise a sentence where a worker died that was not ``ended`` here, otherwise the error as it is."""
        if isinstance(error, ViscyDataError):
            raise error
        workers = list(getattr(batches, "_workers", ()))
        if isinstance(error, OSError | EOFError):  # what a dying worker no longer serves, a moment before
            wait([one.sentinel for one in workers], _POLL)
        codes = [one.exitcode for one in workers if one.exitcode is not None and one.pid not in ended]
        unseen = not workers and str(error).startswith("DataLoader worker (pid")  # there is no iterator yet
        if not codes and not unseen and (workers or not isinstance(error, ConnectionError | EOFError)):
            raise error
        self._iterator = None  # workers that persist would be waited for in the next epoch
        if _NO_GUARD in codes:
            raise WorkerError(
                f"num_workers={self.num_workers}: this script has no main guard. {_GUARD}"
            ) from None
        code = next((code for code in codes if code), _LOST)
        how = "ended before its first batch" if unseen else _end_of(code)
        raise WorkerError(
            f"num_workers={self.num_workers}: a worker that reads batches {how}. {_REMEDY}"
        ) from None


@contextmanager
def _ending_together(batches: Any) -> Iterator[set[int]]:
    """Yield the set of workers that are ended here: when one dies all others, with our end of their pipe.

    A worker that is killed while it writes leaves half a message and the lock of the pipe. Who reads the
    message waits for the other half as long as anybody has the pipe open to write.
    """
    workers, queue = list(batches._workers), batches._worker_result_queue
    over, end = Pipe(duplex=False)
    ended: set[int] = set()

    def watch() -> None:
        gone = {*wait([over, *(one.sentinel for one in workers)])}
        if not gone - {over} or batches._shutdown:  # which ends them as they should
            return
        for one in workers:
            if one.sentinel not in gone and one.pid is not None:
                ended.add(one.pid)
                with suppress(OSError):
                    os.kill(one.pid, signal.SIGTERM)
        queue._writer.close()

    watcher = threading.Thread(target=watch, name="watch-workers", daemon=True)
    watcher.start()
    try:
        yield ended
    finally:
        end.close()
        if not sys.is_finalizing():  # when threads no longer run, and this one would wait for ever
            watcher.join()
            over.close()


def watched(loader: Any) -> Any:
    """Return a class of loaders whose workers are watched; anything but such a class as it is."""
    if not (isinstance(loader, type) and issubclass(loader, DataLoader)) or issubclass(loader, WatchedLoader):
        return loader
    return type(loader.__name__, (WatchedLoader, loader), {"__module__": loader.__module__})


def refuse_main_again(num_workers: int) -> None:
    """End a worker that is about to start workers while it imports the main script.

    Raises
    ------
    InvalidInputError
        In the process that was started: the main script is not in a file that workers could import.
    """
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__mp_main__":
            sys.stderr.write(f"num_workers={num_workers}: this script has no main guard. {_GUARD}\n")
            sys.stderr.flush()
            os._exit(_NO_GUARD)  # what catches exceptions in the script would go on with its work
        frame = frame.f_back
    main: Any = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    by_name = getattr(getattr(main, "__spec__", None), "name", None)
    if path is not None and by_name is None and not Path(path).exists():
        raise InvalidInputError(
            f"num_workers={num_workers}: workers import the script that was started, and {path!r} is not a "
            "file; save the script to a file, or read in this process with num_workers=0, look_ahead=2."
        )


def _end_of(code: int) -> str:
    """Say how a process ended.

    Examples
    --------
    >>> _end_of(3)
    'ended with exit code 3 (what it wrote to standard error may say why)'
    """
    if code == _LOST:
        return "is gone with the process that started it (was that fork server killed?)"
    if code >= 0:
        return f"ended with exit code {code} (what it wrote to standard error may say why)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"was ended by signal {-code}"
    return f"was ended by {name}" + (f" ({_HOW[name]})" if name in _HOW else "")
