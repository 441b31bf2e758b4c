"""What is finished, so that a run that was killed goes on and does nothing twice.

A journal is a file of JSON lines: first the terms of the run, then one line per finished shard, written
after the shard was verified. A line that a kill cut short does not count. A shard counts as finished where
its file still has the bytes whose digest the journal holds.
"""

import json
import os
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
        if lines and not isinstance(lines[0], dict):
            raise InvalidInputError(
                f"{str(path.parent)!r} holds an unfinished run whose journal is damaged at its head. "
                "Remove the folder to begin anew."
            )
        if lines and lines[0] != dict(terms):
            changed = [key for key in terms if lines[0].get(key) != terms[key]]
            raise InvalidInputError(
                f"{str(path.parent)!r} holds an unfinished run with other {', '.join(changed)}. Give what it "
                "was given to go on with it, or remove the folder to begin anew."
            )
        told = [one for line in lines[1:] if (one := _finished(line)) is not None]
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


def check_work(work: Path, journal: Path) -> None:
    """Refuse a folder that lies where a copy would grow and that no run of ours left.

    Raises
    ------
    InvalidInputError
        There is something else, which is not touched.
    """
    if not os.path.lexists(work):
        return
    if work.is_dir() and not work.is_symlink() and (journal.is_file() or not any(work.iterdir())):
        return
    raise InvalidInputError(
        f"{str(work)!r} is in the way and holds no journal of ours, so it is not touched; name another "
        "output, or remove it yourself if it is not needed."
    )


def _whole_lines(path: Path) -> list[Any]:
    """Return what the lines of a journal say; None for one that says nothing."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return [_value(line) for line in text.split("\n")[:-1]]


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _finished(line: Any) -> Finished | None:
    """Return the shard that a line notes; None for a damaged line, whose shard is then written again."""
    kinds = {"file": str, "bytes": int, "digest": str, "pixels": str}
    if not isinstance(line, dict) or {key: type(value) for key, value in line.items()} != kinds:
        return None
    return Finished(**line)


def _unharmed(one: Finished, store: Path) -> bool:
    try:
        data = (store / one.file).read_bytes()
    except OSError:
        return False
    return len(data) == one.bytes and digest_of(data) == one.digest
