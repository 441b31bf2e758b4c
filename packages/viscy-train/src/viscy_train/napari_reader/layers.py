"""Cells of a field of view as layers of napari: plain tuples (data, options, kind).

napari's world is (t, z, y, x) for stacks and (t, y, x) for flat images: frames, and micrometres where the
size of a pixel is known. Data are in frames, slices and pixels, as the table has them; the scale of each
layer does the rest. Images are arrays of the store, of which napari reads the frame that it shows.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from viscy_data import (
    Experiment,
    FovInfo,
    InvalidInputError,
    StoreReader,
    ViscyDataError,
    read_metadata,
    read_statistics,
    statistics_path,
)
from viscy_data.columns import EXPERIMENT, FOV, NO_PARENT, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_train.napari_reader.fields import CellTable, Field

type Layer = tuple[Any, dict[str, Any], str]

TABLE: Final = "viscy"
"""Key of a layer's metadata: which table it is of, and which fields of view that has."""

_COLOURS: Final = ("gray", "magenta", "green", "cyan", "yellow", "red", "blue")
_RING_PIXELS: Final = 14


@dataclass(frozen=True)
class _Axes:
    """The axes of a field of view: columns of the table, and length and unit of a step along each."""

    names: tuple[str, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...]

    @property
    def options(self) -> dict[str, Any]:
        return {"scale": self.scale, "units": self.units, "axis_labels": self.names}


def field_layers(table: CellTable, field: Field) -> list[Layer]:
    """Return the layers of a field of view: its channels, tracks and cells.

    Where the images are not found, tracks and cells are shown alone, and a warning says so.

    Raises
    ------
    InvalidInputError
        For a field that the table lacks.
    """
    cells = table.cells(field)
    name = " ".join(field)
    images: list[Layer] = []
    axes = _axes(None, None, cells)
    try:
        images, axes = _images(table, field, cells)
    except ViscyDataError as error:
        warnings.warn(f"{name} is shown without its images: {error}", stacklevel=2)
    metadata = {TABLE: {"path": str(table.path), "field": field, "fields": table.fields}}
    layers = [*images, *_tracks(cells, axes), _points(cells, axes)]
    return [
        (data, {**options, **axes.options, "name": f"{name} {options['name']}", "metadata": metadata}, kind)
        for data, options, kind in layers
    ]


def _images(table: CellTable, field: Field, cells: pd.DataFrame) -> tuple[list[Layer], _Axes]:
    """Return a layer for each channel that the table is of."""
    if table.anchors is None:
        raise InvalidInputError(
            f"{table.path.name} does not say of which index it is, or that is not there any more; put the "
            "index beside it, or open the index."
        )
    metadata = read_metadata(table.anchors)
    reader = StoreReader(metadata.experiments, missing_chunks=metadata.missing_chunks)
    experiment, info = _described(reader, metadata.experiments.experiments, field)
    axes = _axes(experiment, info, cells)
    layers: list[Layer] = []
    arrays = reader.channel_arrays(*field)
    for place, (channel, array) in enumerate(arrays.items()):
        options = {
            "name": channel,
            "colormap": _COLOURS[place % len(_COLOURS)],
            "blending": "additive" if place else "translucent_no_depth",
            **_contrast(table.anchors, field, channel),
        }
        layers.append((array if Z in axes.names else array[:, 0], options, "image"))
    return layers, axes


def _described(
    reader: StoreReader, experiments: Sequence[Experiment], field: Field
) -> tuple[Experiment, FovInfo]:
    name, fov = field
    found = [one for one in experiments if one.name == name]
    infos = [info for info in reader.fovs(name) if info.fov == fov] if found else []
    if not infos:
        raise InvalidInputError(f"the index has no field of view {fov!r} of experiment {name!r}.")
    return found[0], infos[0]


def _contrast(anchors: Path, field: Field, channel: str) -> dict[str, Any]:
    """Return contrast limits by the field's statistics; nothing, and napari looks itself, without them."""
    with suppress(InvalidInputError):
        of = read_statistics(statistics_path(anchors))
        rows = of[(of["level"] == "field") & (of[EXPERIMENT] == field[0]) & (of[FOV] == field[1])]
        limits = rows.loc[rows["channel"] == channel, ["p0.5", "p99.9"]].to_numpy(dtype=float)
        if len(limits) and np.isfinite(limits[0]).all() and limits[0, 0] < limits[0, 1]:
            return {"contrast_limits": tuple(limits[0].tolist())}
    return {}


def _axes(experiment: Experiment | None, info: FovInfo | None, cells: pd.DataFrame) -> _Axes:
    """Return the axes of a field of view, in steps of frames and micrometres, or of pixels."""
    pixel = None if info is None else info.pixel_size_um
    if experiment is not None and experiment.pixel_size_um is not None:
        pixel = (experiment.pixel_size_um, experiment.pixel_size_um)
    deep = info.shape[2] > 1 if info is not None else Z in cells and cells[Z].nunique() > 1
    slices = (None if info is None else info.slice_um,) if deep else ()
    lengths = (None, *slices, *(pixel or (None, None)))
    return _Axes(
        (T, *((Z,) if deep else ()), Y, X),
        tuple(1.0 if one is None else float(one) for one in lengths),
        tuple("pixel" if one is None else "um" for one in lengths),
    )


def _tracks(cells: pd.DataFrame, axes: _Axes) -> list[Layer]:
    """Return tracks with their divisions, where any cell is seen twice or divides."""
    graph = _divisions(cells)
    if not graph and not cells[TRACK_ID].duplicated().any():
        return []
    ordered = cells.sort_values([TRACK_ID, T], kind="stable")
    numbers = ordered.select_dtypes("number").reset_index(drop=True)  # tracks are coloured by numbers alone
    data = ordered[[TRACK_ID, *axes.names]].to_numpy(dtype=float)
    return [(data, {"name": "tracks", "features": numbers, "graph": graph}, "tracks")]


def _divisions(cells: pd.DataFrame) -> dict[int, list[int]]:
    """Return the parent of each track whose parent has cells here."""
    if PARENT_TRACK_ID not in cells:
        return {}
    pairs = cells[[TRACK_ID, PARENT_TRACK_ID]].drop_duplicates()
    pairs = pairs[pairs[PARENT_TRACK_ID] != NO_PARENT]
    pairs = pairs[pairs[PARENT_TRACK_ID].isin(cells[TRACK_ID])]
    return {int(child): [int(parent)] for child, parent in pairs.itertuples(index=False, name=None)}


def _points(cells: pd.DataFrame, axes: _Axes) -> Layer:
    """Return cells as rings, coloured by the first principal component where all have one."""
    coloured = "PC1" in cells and bool(np.isfinite(cells["PC1"]).all())
    options = {
        "name": "cells",
        "features": cells,
        "size": _RING_PIXELS,
        "face_color": "transparent",
        "border_width": 0.15,
        **({"border_color": "PC1", "border_colormap": "viridis"} if coloured else {"border_color": "white"}),
    }
    return cells[list(axes.names)].to_numpy(dtype=float), options, "points"
