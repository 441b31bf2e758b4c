"""What is finished, so that a run that was killed goes on and does nothing twice.

A journal is a file of JSON lines: first the terms of the run, then one line per finished shard, written
after the shard was verified. A line that a kill cut short is no line. A shard counts as finished where its
file still has the bytes whose digest the journal holds.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from viscy_data.errors import InvalidInputError


@dataclass(frozen=True)
class Finished:
    """A shard that was written and verified.

    Attributes
    ----------
    file
        Inside the store.
    bytes
        Size of the file.
    digest, pixels
        Of the file, and of the decoded pixels.
    """

    file: str
    bytes: int
    digest: str
    pixels: str


def digest_of(data: Any) -> str:
    """Return the BLAKE2b digest of bytes or of a contiguous array."""
    return blake2b(data, digest_size=16).hexdigest()


class Journal:
    """The journal of a run, open for more.

    Parameters
    ----------
    path
        The file; made when it does not exist.
    terms
        Of this run; those of the file must be the same.
    store
        The store that the finished files lie in.

    Attributes
    ----------
    finished
        Shards found finished and unharmed, by file.

    Raises
    ------
    InvalidInputError
        The file is of a run on other terms.
    """

    def __init__(self, path: Path, terms: Mapping[str, Any], store: Path) -> None:
        lines = _whole_lines(path)
        if lines and lines[0] != dict(terms):
            changed = [key for key in terms if lines[0].get(key) != terms[key]]
            raise InvalidInputError(
                f"{str(path.parent)!r} holds an unfinished run with other {', '.join(changed)}. Give what it "
                "was given to go on with it, or remove the folder to begin anew."
            )
        told = [Finished(**line) for line in lines[1:]]
        self.finished = {one.file: one for one in told if _unharmed(one, store)}
        # Rewritten, so that nothing follows a line that was cut short.
        beside = path.with_name(f"{path.name}.new")
        kept = [dict(terms), *(asdict(one) for one in self.finished.values())]
        beside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        beside.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def add(self, one: Finished) -> None:
        """Note a shard as finished."""
        self.finished[one.file] = one
        self._file.write(json.dumps(asdict(one)) + "\n")
        self._file.flush()

    def digest(self) -> str:
        """Return one digest of the pixels of all finished shards, whatever order they came in."""
        told = sorted((one.file, one.pixels) for one in self.finished.values())
        return digest_of(json.dumps(told).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _unharmed(one: Finished, store: Path) -> bool:
    try:
        data = (store / one.file).read_bytes()
    except OSError:
        return False
    return len(data) == one.bytes and digest_of(data) == one.digest
