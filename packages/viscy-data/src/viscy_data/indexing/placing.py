"""Where the files of an index are kept until all are finished, and how they come to where they belong.

An index writes up to three files that are right only together: the table, its statistics and the page of
focus curves. It may run for hours, be killed on the way, or be started twice.

So all of them are claimed before a store is opened, and what is finished waits in the folder ``.NAME.parts``
beside the table, under names by which the same index finds it again. When nothing is left to do, the files
are moved to where they belong, and the table comes last.

Whoever sees a new table therefore finds with it what was written with it, and an index that was killed
goes on where it stopped. The cost: parts and table are on the disk together until the end, and the folder of
an index that failed stays until the same one is finished.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from viscy_data.files.outputs import claimed
from viscy_data.files.whole import plain_write_errors, short_name
from viscy_data.images.statistics import statistics_path
from viscy_data.indexing.focus import focus_path

_OURS: Final = re.compile(r"[0-9a-f]{64}\.(arrow|parquet)|\..*\.\d+\.partial")
"""Names of what is finished, and of what a kill left half written."""


@contextmanager
def claimed_outputs(out: Path, *, overwrite: bool, inputs: Sequence[Path]) -> Iterator[None]:
    """Have the table, and all that is written beside it, for this process alone."""
    beside = {"statistics": statistics_path(out), "focus curves": focus_path(out)}
    with ExitStack() as stack:
        stack.enter_context(claimed(out, overwrite=overwrite, inputs=inputs))
        for name, path in beside.items():
            stack.enter_context(claimed(path, argument=f"{name} of out", overwrite=overwrite, inputs=inputs))
        yield


@contextmanager
def parts_folder(out: Path) -> Iterator[Path]:
    """Make the folder of what is finished; what it holds stays after an error, and is found again."""
    folder = out.with_name(f".{short_name(out)}.parts")
    with plain_write_errors(out):
        folder.mkdir(exist_ok=True)
    try:
        yield folder
    finally:
        with suppress(OSError):  # it is not empty, or gone
            folder.rmdir()


def place(out: Path, written: Sequence[Path], folder: Path) -> None:
    """Move what is finished to where it belongs, the table last."""
    with plain_write_errors(out):
        for path in {statistics_path(out), focus_path(out)} - {*written}:
            path.unlink(missing_ok=True)  # those of another table would be taken for its own
        for path in reversed(written):
            (folder / path.name).replace(path)
        _clear(folder)


def _clear(folder: Path) -> None:
    """Remove what was finished, and nothing that is not named as we name it."""
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name):
            path.unlink()
