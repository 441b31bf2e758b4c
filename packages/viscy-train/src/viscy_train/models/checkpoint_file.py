"""Checkpoints as files: whole or not there, on this machine, and never code.

Lightning writes a checkpoint to the system's temporary folder and copies it from there, so that a kill or
a full disk leaves an empty ``last.ckpt`` where a good one was. It also takes addresses for paths, and
unpickles what it fetched. Here a checkpoint is written beside its place, forced to the disk and renamed:
whatever stops the writing, the one before is still there. Reading takes local files only, and nothing of
them but tensors and plain values. A checkpoint costs one ``fsync`` more than a copy would.
"""

import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, override

import torch
from lightning.pytorch.plugins import CheckpointIO

from viscy_data import InvalidInputError, OutputError, clear_leftovers, whole_file

# All that a file of other or damaged content has been seen to raise, inside torch.load
_DAMAGED = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ArithmeticError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    AssertionError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
)


class LocalCheckpoints(CheckpointIO):
    """The plugin that lets a trainer read and write checkpoints as this module does."""

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint, see `write_checkpoint`."""
        write_checkpoint(checkpoint, path)

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read tensors and plain values, whatever `weights_only` says; see `read_checkpoint`."""
        return read_checkpoint(path)

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file, where it is one."""
        if Path(path).is_file():
            Path(path).unlink(missing_ok=True)


def write_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Write a checkpoint beside its place, force it to the disk, and rename it.

    What killed runs left of it beside its place is removed.

    Raises
    ------
    OutputError
        The file cannot be written. What was at `path` before is still there, and nothing beside it.
    """
    with _replaced(Path(local_path(path))) as beside:
        torch.save(content, beside)


def copy_checkpoint(origin: str | Path, path: str | Path) -> None:
    """Copy a checkpoint, in the same way.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    with _replaced(Path(local_path(path))) as beside:
        shutil.copyfile(origin, beside)


@contextmanager
def _replaced(place: Path) -> Iterator[Path]:
    """Yield a path beside `place` to write to, which is renamed to it at the end."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(place)
        with whole_file(place) as beside:
            yield beside
    except (
        OSError,
        RuntimeError,
        OutputError,
    ) as error:  # torch's writer makes a RuntimeError of a full disk
        causes = (error.__cause__, error.__context__)
        reason = next((one for one in causes if isinstance(one, OSError)), error)
        before = " The one before it is kept." if place.exists() else ""
        raise OutputError(
            f"checkpoint={str(place)!r} cannot be written: {first_line(reason)}. Make room, or choose "
            f"another folder.{before}"
        ) from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return what a checkpoint of `ContrastiveModule` and `AnchorDataModule` holds, on the CPU.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        It is an address, a folder, damaged, of another program, or holds anything but tensors and plain
        values.
    """
    place = Path(local_path(path))
    _check_place(place)
    try:
        content = torch.load(place, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidInputError(f"checkpoint={str(place)!r} cannot be read: {error}") from error
    except _DAMAGED as error:
        raise InvalidInputError(
            f"checkpoint={str(place)!r} is damaged, or holds more than tensors and plain values "
            f"({_what_is_wrong(error)}); give a file that viscy-train fit wrote."
        ) from error
    missing = {"hyper_parameters", "datamodule_hyper_parameters", "state_dict"}
    missing -= set(content) if isinstance(content, dict) else set()
    if missing:
        raise InvalidInputError(
            f"checkpoint={str(place)!r} lacks {', '.join(sorted(missing))}: viscy-train fit writes them."
        )
    found: dict[str, Any] = content
    return found


def local_path(path: str | Path) -> str:
    """Return a path as text; addresses are refused, so that nothing is ever fetched.

    Raises
    ------
    InvalidInputError
        It has a scheme, such as ``http://`` or ``s3://``.

    Examples
    --------
    >>> local_path("runs/last.ckpt")
    'runs/last.ckpt'
    """
    text = str(path)
    scheme, colon, _ = text.partition(":/")  # Path makes one slash of two
    # one letter is a drive
    if colon and len(scheme) > 1 and scheme.replace("+", "").isalnum():
        raise InvalidInputError(
            f"checkpoint={text!r}: a file of this machine is needed, nothing is fetched; copy it here first."
        )
    return text


def _check_place(place: Path) -> None:
    named = f"checkpoint={str(place)!r}"
    if place.is_dir():
        inside = sorted(place.rglob("last.ckpt"))
        hint = f" Did you mean {str(inside[-1])!r}?" if inside else ""
        raise InvalidInputError(f"{named} is a folder; give the file, such as last.ckpt.{hint}")
    if not place.exists():
        raise FileNotFoundError(f"{named}: no such file.")
    if not place.is_file():
        raise InvalidInputError(f"{named} is not a regular file; give one that viscy-train fit wrote.")
    if place.stat().st_size == 0:
        raise InvalidInputError(f"{named} is empty: a run was killed or a disk was full; give another one.")
    try:
        archive = zipfile.is_zipfile(place)
    except OSError as error:
        raise InvalidInputError(f"{named} cannot be read: {error}") from error
    if not archive:
        raise InvalidInputError(
            f"{named} is not a checkpoint, or only a part of one; give a file that viscy-train fit wrote."
        )


def _what_is_wrong(error: BaseException) -> str:
    """Return what PyTorch found in a file, without its advice to run the code that the file holds."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named is not None:
        return f"it names {named[1]}"
    return type(error).__name__ if "weights_only" in str(error) else first_line(error)


def first_line(error: BaseException | None) -> str:
    """Return what an error says first, or its kind where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
