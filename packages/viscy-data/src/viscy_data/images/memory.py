"""Memory that was freed, and that the C library's allocator holds on to.

glibc gives threads *arenas*: what is freed in one cannot be used from another, and what is free between two
blocks in use stays with the process. TensorStore's threads come and go, so that decoded chunks are freed
here and allocated there, and a process ends up with several times what it uses. Two things keep it to
what it uses: no further arenas, and free pages handed back before there are too many.

With other C libraries both do nothing.
"""

import ctypes
from functools import cache
from typing import Any

_M_ARENA_MAX = -8


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


@cache
def _glibc() -> Any:
    """Return the C library of this process where it is glibc (2.33 or later), otherwise None."""
    try:
        library = ctypes.CDLL(None)
        library.mallinfo2.restype = _Mallinfo2
    except (AttributeError, OSError, TypeError):
        return None
    return library


def share_arenas() -> None:
    """Let threads that are still to come allocate from the arenas that there are.

    The earlier, the fewer they are. As ``MALLOC_ARENA_MAX=1`` in the environment does from the start.
    """
    if _glibc() is not None:
        _glibc().mallopt(_M_ARENA_MAX, 1)


def free_bytes() -> int:
    """Return the bytes in arenas that are free and may still be this process's; 0 where it is unknown."""
    return 0 if _glibc() is None else int(_glibc().mallinfo2().fordblks)


def hand_back(beyond: int) -> None:
    """Give free pages back to the system where more than ``beyond`` bytes are free.

    It takes milliseconds, for each gigabyte that is free some tens.
    """
    if free_bytes() > beyond:
        _glibc().malloc_trim(0)
