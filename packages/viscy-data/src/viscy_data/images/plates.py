"""Write image stores, tracks and experiments files: whole or not at all.

*plate*: an OME-Zarr HCS store (NGFF 0.5), one chunk per frame, channel and 256 x 256 tile. *entry*: a
file or folder directly under the output folder. Invariant: everything is written in a folder beside the
output and renamed into it entry by entry, the experiments file last; an interrupted run leaves nothing
that loads, and an entry that this program did not name is never touched.

A store cannot say "not known", so an unknown pixel size is a scale of 1 on axes without a unit, and an
unknown interval a scale of 1 on a time axis without a unit.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
import zarr
from iohub.ngff import open_ome_zarr
from iohub.ngff.models import AxisMeta, ChannelAxisMeta, SpaceAxisMeta, TimeAxisMeta, TransformationMeta
from numpy.typing import DTypeLike

from viscy_data.files.locks import only_writer
from viscy_data.files.outputs import check_entries, list_entries, mark_folder
from viscy_data.files.whole import (
    beside_of,
    clear_leftovers,
    folder_to_disk,
    plain_write_errors,
    short_name,
)
from viscy_data.tables.experiment_fields import Samples

CHUNK = 256
"""Rows and columns of a chunk."""

EXPERIMENTS_FILE = "experiments.yaml"
TRACKS_FOLDER = "tracks"
PLATE_FOLDER = "plate.zarr"


@contextmanager
def staged(
    out: Path, entries: Sequence[str], *, overwrite: bool, inputs: Iterable[str | Path] = ()
) -> Iterator[Path]:
    """Give a folder to write ``entries`` in, and move them into ``out`` when the block ends well.

    Parameters
    ----------
    out
        Folder that will hold the entries; made when it does not exist.
    entries
        Names of what will be written, in the order in which they become visible.
    overwrite
        Replace entries that exist and that this program wrote.
    inputs
        What the command reads, which is never replaced.

    Raises
    ------
    InvalidInputError
        An entry exists and is not to be replaced, ``out`` is a file, or another process writes there.
    OutputError
        Something cannot be written; what was there before still is.
    """
    inputs = list(inputs)
    check_entries(out, entries, overwrite=overwrite, inputs=inputs)
    out = out.resolve()  # "." and ".." have a name then
    place = out if out.is_dir() else out.parent  # on one disk with the output, whatever is mounted where
    with plain_write_errors(out):
        place.mkdir(parents=True, exist_ok=True)
    folder = beside_of(place / out.name, "partial")
    with only_writer(place / out.name):
        check_entries(out, entries, overwrite=overwrite, inputs=inputs)
        clear_leftovers(place / out.name)
        try:
            with plain_write_errors(out):
                folder.mkdir()
                yield folder
                _put_entries(folder, out, entries)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _put_entries(folder: Path, out: Path, entries: Sequence[str]) -> None:
    """Mark what was written and move it into its place, the last entry last."""
    for name in entries:
        if (folder / name).is_dir():
            mark_folder(folder / name)
    folder_to_disk(folder)
    out.mkdir(exist_ok=True)
    list_entries(out, {name: folder / name for name in entries})
    for name in reversed(entries):  # aside in one step, so that a kill leaves no half of one
        if os.path.lexists(out / name):
            (out / name).replace(folder / f".old.{short_name(out / name)}")
    for name in entries:
        (folder / name).replace(out / name)


def create_plate(
    path: Path,
    shapes: Mapping[str, tuple[int, int, int, int, int]],
    *,
    channels: Sequence[str],
    dtype: DTypeLike,
    pixel_size_um: float | None,
    interval_minutes: float | None,
    z_step_um: float | None = None,
) -> dict[str, Any]:
    """Create an OME-Zarr HCS plate of empty images.

    Parameters
    ----------
    path
        The store to create, ending in ``.zarr``.
    shapes
        Shape (T, C, Z, Y, X) of each field of view, keyed "row/column/position".
    channels
        Channel names, in order.
    dtype
        Of the pixels.
    pixel_size_um
        Micrometres per pixel in y and x; None where not known.
    interval_minutes
        Between frames; None where not known.
    z_step_um
        Micrometres per slice; None where not known.

    Returns
    -------
    dict
        One writable iohub ``ImageArray`` per field of view: ``images["A/1/0"][t0:t1] = block``.
    """
    step, scale = 60 * (interval_minutes or 1 / 60), pixel_size_um or 1.0
    transform = [TransformationMeta(type="scale", scale=[step, 1.0, z_step_um or 1.0, scale, scale])]
    with _quiet("iohub.ngff.nodes"):
        plate = open_ome_zarr(
            path,
            layout="hcs",
            mode="w-",
            channel_names=list(channels),
            axes=_axes(interval_minutes is not None, z_step_um is not None, pixel_size_um is not None),
            version="0.5",
        )
        positions = plate.create_positions([tuple(fov.split("/")) for fov in shapes])
    # A chunk of nothing but zeros is written too: to a reader, an absent chunk is a damaged store.
    with zarr.config.set({"array.write_empty_chunks": True}):
        return {
            fov: position.create_zeros(
                "0", shape, np.dtype(dtype), chunks=(1, 1, 1, CHUNK, CHUNK), transform=transform
            )
            for (fov, shape), position in zip(shapes.items(), positions, strict=True)
        }


def _axes(has_interval: bool, has_step: bool, has_pixel_size: bool) -> list[AxisMeta]:
    known = {"Z": has_step, "Y": has_pixel_size, "X": has_pixel_size}
    return [
        TimeAxisMeta(name="T", unit="second" if has_interval else None),
        ChannelAxisMeta(name="C"),
        *(SpaceAxisMeta(name=name, unit="micrometer" if it else None) for name, it in known.items()),
    ]


@contextmanager
def _quiet(logger_name: str) -> Iterator[None]:
    # iohub logs a warning about every new plate, because it has no position yet.
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def write_tracks(folder: Path, fov: str, tracks: pd.DataFrame) -> Path:
    """Write the tracks of one field of view to ``folder/row/column/position/tracks.csv``."""
    path = folder / fov / "tracks.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    tracks.to_csv(path, index=False, lineterminator="\n")
    return path


def write_experiments(
    path: Path, experiments: Sequence[Mapping[str, object]], note: str = "", samples: Samples = "cells"
) -> Path:
    """Write an experiments file; ``note`` becomes comment lines at its head."""
    head = "".join(f"# {line}".rstrip() + "\n" for line in note.splitlines())
    said = {} if samples == "cells" else {"samples": samples}
    content = {**said, "experiments": [dict(e) for e in experiments]}
    body = yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)
    path.write_text(head + body, encoding="utf-8")
    return path
