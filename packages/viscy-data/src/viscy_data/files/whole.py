"""Files and folders that are there whole or not at all, whatever stops the writing.

What is written goes to a name of its own beside the output, ``.NAME.PROCESS.partial``, is brought to the
disk, and then takes the output's name in one step. A reader sees the old one or the new one. After an error
nothing is left; after a kill the partial file is, and the next run of the same output knows it by its name
and the dead process in it, and removes it. Files of other programs are not of this form, and never touched.
"""

import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from viscy_data.errors import OutputError, ViscyDataError
from viscy_data.text import shown

_NAME: Final = 150
"""Bytes of an output's name that are repeated in others; systems take 255."""
_ONE_BY_ONE: Final = 1000
"""Files of a folder that are brought to the disk one by one; beyond, all that the system holds is."""
_OF_SYSTEM: Final = re.compile(r"\(os error \d+\)")
"""How Rust words what the system refused; our writer of chunks raises it as a RuntimeError."""


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; what is there at the end takes its place.

    Parameters
    ----------
    path
        The file.
    durable
        Wait until the disk has it; not needed for what can be made again.

    Raises
    ------
    OutputError
        The file cannot be written, such as on a full disk. What was at ``path`` before is still there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "a.txt")) as beside:
    ...         _ = beside.write_text("whole")
    ...     [one.name for one in Path(folder).iterdir()]
    ['a.txt']
    """
    beside = beside_of(path, "partial")
    try:
        with plain_write_errors(path):
            _check_kind(path)
            yield beside
            if durable:
                _to_disk(beside)
            beside.replace(path)
            if durable:
                _to_disk(path.parent)
    finally:
        with suppress(OSError):
            beside.unlink()


def _check_kind(path: Path) -> None:
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise OutputError(
            f"path={shown(path, 300)!r} is a link, a folder, a device or a pipe, which a file does not "
            "replace; give the name of a file."
        )


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path`` to write in; at the end it takes the place of what was there.

    Raises
    ------
    OutputError
        Something of it cannot be written. What was at ``path`` before is still there.
    """
    beside = beside_of(path, "partial")
    try:
        with plain_write_errors(path):
            beside.mkdir()
            yield beside
            folder_to_disk(beside)
            put_in_place(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def plain_write_errors(path: Path) -> Iterator[None]:
    """Turn what the system says while an output is written into an error that names it.

    Raises
    ------
    OutputError
        In place of any other ``OSError`` or ``MemoryError`` of the block, or of what a library written in
        Rust makes of them.
    """
    try:
        yield
    except ViscyDataError:
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _OF_SYSTEM.search(str(error)):
            raise
        why = getattr(error, "strerror", None) or str(error) or "the memory does not suffice"
        raise OutputError(
            f"path={shown(path, 300)!r} cannot be written: {shown(why, 500)}. Make room or choose another "
            "place; nothing of it is left behind, and what was there before still is."
        ) from error


def beside_of(path: Path, ending: str) -> Path:
    """Return a name beside an output that no other process uses.

    Examples
    --------
    >>> beside_of(Path("a.txt"), "partial").name == f".a.txt.{os.getpid()}.partial"
    True
    """
    return path.with_name(f".{short_name(path)}.{os.getpid()}.{ending}")


def short_name(path: Path) -> str:
    """Return the name of an output as other names may repeat it: not too long for the system.

    Examples
    --------
    >>> short_name(Path("a.txt")), len(short_name(Path("a" * 250)))
    ('a.txt', 48)
    """
    name = path.name
    encoded = os.fsencode(name)
    return name if len(encoded) <= _NAME else f"{name[:32]}{sha256(encoded).hexdigest()[:16]}"


def clear_leftovers(path: Path) -> None:
    """Remove what killed runs left of an output; a folder that one had moved aside comes back.

    Only for who has locked the output: what a process that lives is writing stays.
    """
    pattern = re.compile(rf"\.{re.escape(short_name(path))}\.(\d+)\.(partial|old|sample)")
    with suppress(OSError):
        for one in list(os.scandir(path.parent)):
            found = pattern.fullmatch(one.name)
            if found is None or _is_alive(int(found[1])):
                continue
            if found[2] == "old" and not os.path.lexists(path):
                Path(one.path).rename(path)
            else:
                discard(Path(one.path))


def discard(path: Path) -> None:
    """Remove a file, a link or a folder with all that it holds."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_in_place(new: Path, path: Path) -> None:
    """Give a finished folder the name of an output; what had it before is removed after."""
    old = beside_of(path, "old")
    had = os.path.lexists(path)
    if had:
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if had:
            old.rename(path)
        raise
    _to_disk(path.parent)
    if had:
        with suppress(OSError):
            discard(old)


def folder_to_disk(folder: Path) -> None:
    """Bring all files of a folder to the disk."""
    files = [one for one in folder.rglob("*") if one.is_file()]
    if len(files) > _ONE_BY_ONE and hasattr(os, "sync"):
        os.sync()
        return
    for one in files:
        _to_disk(one)


def _to_disk(path: Path) -> None:
    """Wait until the disk holds a file or a folder, where the system can."""
    if sys.platform == "win32" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(handle)


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        return process == os.getpid()  # a signal would end it there; the lock says that nobody writes
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
