"""Hand a large value to worker processes through a file that they map, not through the pipe.

``Shared(value)`` pickles to a few bytes that name a file. The first pickling writes the value there once,
its arrays after the pickle itself (protocol 5, buffers out of band); unpickling maps the file, so that all
workers of a machine share one copy in the page cache. Arrays that come back are read-only.

The file must not outlive the process that wrote it, whatever ends that process. On Linux it never has a
name in a folder: it is open in the process that wrote it and others reach it there, ``/proc/PID/fd/N``, until
that process ends. Elsewhere it has a name in the temporary folder, is removed with the value, and stays
after a kill. Either way a pickle is for processes of the same machine, while the writer runs: one that was
kept longer finds no file, or one that does not begin with its token, and says so.
"""

import mmap
import os
import pickle
import secrets
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from viscy_data.errors import InvalidInputError, OutputError

_ALIGNMENT = 64
_TOKEN_BYTES = 16


class _File(NamedTuple):
    """Where a value lies: the spans (first byte, length) of its pickle and of each of its buffers."""

    path: str
    token: bytes
    spans: list[tuple[int, int]]


class Shared[V]:
    """A value that travels to other processes of this machine by file.

    Raises
    ------
    OutputError
        When it is pickled: the temporary folder is full, or there is none.
    InvalidInputError
        When it is unpickled: the process that pickled it has ended, or runs on another machine.

    Examples
    --------
    >>> import numpy as np
    >>> shared = Shared({"a": np.arange(1000)})
    >>> sent = pickle.dumps(shared)
    >>> len(sent) < 300, int(pickle.loads(sent).value["a"].sum())
    (True, 499500)
    """

    def __init__(self, value: V) -> None:
        self.value = value
        self._file: _File | None = None

    def __getstate__(self) -> dict[str, Any]:
        if self._file is None:
            self._file, close = _write(self.value)
            weakref.finalize(self, close)
        return {"_file": tuple(self._file)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = _File(*state["_file"])
        self.value = _read(self._file)


def _write(value: object) -> tuple[_File, Any]:
    """Return where the value now lies, and what removes it."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
    token, spans = secrets.token_bytes(_TOKEN_BYTES), []
    try:
        file, path = _open()
        try:
            file.write(token)
            for part in parts:
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                spans.append((file.tell(), part.nbytes))
                file.write(part)
            file.flush()
        except BaseException:
            _remove(file, path)
            raise
    except OSError as error:
        size = sum(part.nbytes for part in parts) / 1e6
        raise OutputError(
            f"TMPDIR={os.environ.get('TMPDIR')!r}: the anchors table, {size:.0f} MB, could not be written to "
            f"a temporary file, from which workers map it: {error}. Set TMPDIR to a folder with room, or "
            "read in this process with num_workers=0."
        ) from error
    return _File(path, token, spans), lambda: _remove(file, path)


def _open() -> tuple[IO[bytes], str]:
    """Return a new temporary file and the path by which other processes reach it."""
    if _is_seen_in_proc():
        file = tempfile.TemporaryFile(prefix="viscy-data-")  # noqa: SIM115  open as long as the value lives
        return file, f"/proc/{os.getpid()}/fd/{file.fileno()}"
    descriptor, name = tempfile.mkstemp(prefix="viscy-data-", suffix=".shared")
    return os.fdopen(descriptor, "wb"), name


def _is_seen_in_proc() -> bool:
    # A process that has changed its user since it began shows its open files to nobody but root.
    try:
        return Path(f"/proc/{os.getpid()}/fd").stat().st_uid == os.geteuid()
    except (OSError, AttributeError):
        return False


def _remove(file: IO[bytes], path: str) -> None:
    file.close()
    if not path.startswith("/proc/"):
        with suppress(
            OSError
        ):  # Windows keeps a file that a worker still maps; the system's cleaning takes it
            Path(path).unlink(missing_ok=True)


def _read(there: _File) -> Any:
    try:
        with Path(there.path).open("rb") as file:
            if file.read(_TOKEN_BYTES) != there.token:
                raise FileNotFoundError("another file has taken its place")
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise InvalidInputError(
            f"the pickle of a dataset names {there.path!r}, which is not there ({error}): it is for workers "
            "of the process that wrote it, while that runs. To keep a dataset, or to send it to another "
            "machine, keep the path of its anchors table and its options, and build it anew."
        ) from error
    head, *buffers = (mapped[start : start + length] for start, length in there.spans)
    return pickle.loads(head, buffers=buffers)  # noqa: S301  the file is this process's parent's own
