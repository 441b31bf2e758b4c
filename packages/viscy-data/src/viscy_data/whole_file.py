"""Files that are there whole or not at all, whatever stops the writing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from viscy_data.errors import OutputError, ViscyDataError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; what is there at the end takes its place.

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
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield beside
        beside.replace(path)
    except ViscyDataError:
        raise
    except OSError as error:
        raise OutputError(
            f"path={str(path)!r} cannot be written: {error}. Make room or choose another place; nothing "
            "of it is left behind."
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink()
