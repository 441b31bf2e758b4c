"""One writer at a time: the lock beside an output.

Two commands with one output would each replace what the other wrote, or mix it. So the first one locks a file
``.NAME.lock`` beside the output, and the second is told who holds it. The lock is the system's: it ends with
the process, however that ends, so that no lock is left to be removed by hand; the file is then taken over.

On network file systems the lock is as good as theirs (NFS keeps such locks on Linux; where a file system has
none, nothing is locked).
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from viscy_data.errors import InvalidInputError, OutputError
from viscy_data.files.whole import short_name
from viscy_data.text import shown

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_WHO: Final = "viscy: process "
_HELD: Final = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


@contextmanager
def only_writer(path: Path, argument: str = "out") -> Iterator[None]:
    """Keep other processes from writing an output until the block ends.

    Raises
    ------
    InvalidInputError
        Another process is writing it.
    OutputError
        Nothing can be written in its folder.
    """
    lock = path.with_name(f".{short_name(path)}.lock")
    name = f"{argument}={shown(path, 300)!r}"
    try:
        handle = _acquire(lock, name)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{name} cannot be written: {error.strerror}; choose another place.") from error
    try:
        yield
    finally:
        with suppress(OSError):  # before it is let go: nobody else can hold it now
            lock.unlink()
        os.close(handle)


def _acquire(lock: Path, name: str) -> int:
    """Return the handle of a locked file, which is the one that has the name."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            taken = _take(handle, lock, name)
        except BaseException as error:
            if getattr(error, "errno", None) == errno.ENOSPC:  # locked, with no room for who has it
                with suppress(OSError):
                    lock.unlink()
            os.close(handle)
            raise
        if taken:
            return handle
        os.close(handle)  # its owner ended and removed the file between our two looks


def _take(handle: int, lock: Path, name: str) -> bool:
    """Lock an open file and write into it who has it; False where it has lost its name meanwhile."""
    told = os.read(handle, 200).decode("utf-8", "replace")
    if told and not told.startswith(_WHO):
        raise OutputError(f"{name}: {shown(lock, 300)!r} is in the way; remove it if it is not needed.")
    if not _try_lock(handle):
        who = told.removeprefix("viscy: ").strip() or "another process"
        raise InvalidInputError(
            f"{name} is being written by {shown(who)}; wait for it, or choose another name."
        )
    if not _has_the_name(handle, lock):
        return False
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, f"{_WHO}{os.getpid()} on {socket.gethostname()}\n".encode())
    return True


def _has_the_name(handle: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), lock.stat())
    except FileNotFoundError:
        return False


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(handle, 1 << 20, os.SEEK_SET)  # a byte that nobody reads
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise
    return True
