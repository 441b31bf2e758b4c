"""Whether what will be written fits the disk, asked before the first byte.

A mistyped count asks for petabytes, and a disk that fills up takes other people's work down with it. What a
command will write follows from its arguments, so it is compared with what is free.
"""

import os
import shutil
from pathlib import Path

from viscy_data.errors import InvalidInputError


def check_room(out: Path, expected: int) -> None:
    """Refuse to write more bytes than are free where ``out`` lies.

    Raises
    ------
    InvalidInputError
        Fewer bytes are free.
    """
    # unlike Path.exists, this says no of a name that the system does not take
    found = (path for path in (out, *out.absolute().parents) if os.path.exists(path))  # noqa: PTH110
    there = next(found, Path.cwd())
    free = shutil.disk_usage(there).free
    if expected > free:
        raise InvalidInputError(
            f"out={str(out)!r}: about {_size(expected)} would be written, {_size(free)} are free there; "
            "write less, or to another disk."
        )


def _size(count: int) -> str:
    """Return a number of bytes to three digits; of any length.

    Examples
    --------
    >>> _size(999), _size(1_234_567), _size(10**30)
    ('999 B', '1.2 MB', '1,000,000,000,000 EB')
    """
    power = min(6, (len(str(count)) - 1) // 3)
    return (
        f"{count} B"
        if not power
        else f"{count // 10 ** (3 * power - 1) / 10:,.{int(power < 6)}f} {'kMGTPE'[power - 1]}B"
    )
