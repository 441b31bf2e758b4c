"""Hand a large value to worker processes through a file that they map, not through the pipe.

``Shared(value)`` pickles to a path of a few bytes. The first pickling writes the value once to a
temporary file, its arrays after the pickle itself (protocol 5, buffers out of band); unpickling maps
that file, so that all workers of a machine share one copy in the page cache. Arrays that come back are
read-only. The file lives as long as the value it was made for.
"""

import mmap
import pickle
import tempfile
import weakref
from pathlib import Path
from typing import Any

_ALIGNMENT = 64


class Shared[V]:
    """A value that travels to other processes of this machine by file.

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
        self._file: tuple[str, list[tuple[int, int]]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        if self._file is None:
            self._file = _write(self.value)
            weakref.finalize(self, _remove, self._file[0])
        return {"_file": self._file}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._file = state["_file"]
        self.value = _read(*state["_file"])


def _write(value: object) -> tuple[str, list[tuple[int, int]]]:
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    spans: list[tuple[int, int]] = []
    with tempfile.NamedTemporaryFile(prefix="viscy-data-", suffix=".shared", delete=False) as file:
        for part in (memoryview(head), *(buffer.raw() for buffer in buffers)):
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            spans.append((file.tell(), part.nbytes))
            file.write(part)
    return file.name, spans


def _read(path: str, spans: list[tuple[int, int]]) -> Any:
    with Path(path).open("rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    head, *buffers = (mapped[start : start + length] for start, length in spans)
    return pickle.loads(head, buffers=buffers)  # noqa: S301  the file is this process's parent's own


def _remove(path: str) -> None:
    try:
        Path(path).unlink(missing_ok=True)
    except OSError:  # Windows keeps a file that a worker still maps; the system's cleaning takes it
        return
