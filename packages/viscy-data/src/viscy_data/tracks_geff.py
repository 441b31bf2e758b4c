"""GEFF, the graph exchange file format of tracking tools: a Zarr group of nodes and edges.

``nodes/ids`` (n,) and ``edges/ids`` (m, 2) are the graph, ``nodes/props/NAME/values`` (n,) the nodes'
properties, with ``missing`` beside them where some nodes have none; the group's metadata ``geff`` say
which properties are time and space. Places are in pixels of the store, unless an axis has a unit of
length: then they are divided by the pixel size. The graph becomes tracks in
:mod:`viscy_data.graph_tracks`. Specification: https://liveimagetrackingtools.org/geff
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from viscy_data.detections import Detections, FloatArray
from viscy_data.errors import TracksError
from viscy_data.experiments import FovInfo
from viscy_data.graph_tracks import tracks_of
from viscy_data.lineage import IntArray

_MICROMETRES: Final = {"angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3}
# What viewers are told of an axis, and the name that it has where they are told nothing.
_HINTS: Final = {
    "t": "display_time",
    "z": "display_depth",
    "y": "display_vertical",
    "x": "display_horizontal",
}


def is_geff(path: Path) -> bool:
    """Say whether a path is that of a GEFF."""
    return (path / "nodes" / "ids").is_dir() and (path / "edges").is_dir()


def read_geff(path: Path, info: FovInfo, fov: int, pixel_size_um: tuple[float, float] | None) -> Detections:
    """Read a GEFF.

    Parameters
    ----------
    path
        The Zarr group.
    info, fov
        The field of view that it belongs to, and its index.
    pixel_size_um
        Micrometres per pixel (y, x); None: not known.

    Raises
    ------
    TracksError
        Where the group is no GEFF that can be read, lacks an axis, or its cells merge; rows are ids of nodes.
    """
    geff = _Geff(path)
    ids, links = geff.whole("nodes/ids"), geff.whole("edges/ids").reshape(-1, 2)
    names = geff.axes()
    t = geff.frames(names["t"], ids)
    y, x = (
        geff.values(names[axis]) / geff.pixels(names[axis], size)
        for axis, size in zip("yx", pixel_size_um or (None, None), strict=True)
    )
    has_depth = "z" in names and info.shape[2] > 1
    z = geff.values(names["z"]) / geff.pixels(names["z"], None) if has_depth else None
    track, parent = tracks_of(path, "node", ids, t, links)
    own = np.full(len(ids), fov, dtype=np.int64)
    return Detections(path, ids, "node", own, track, parent, t, y, x, z)


class _Axis(BaseModel):
    """One axis of nodes: the property that holds it, its kind and its unit."""

    name: str
    type: str | None = None
    unit: str | None = None


class _Metadata(BaseModel):
    """What is needed of a GEFF's metadata; all else is passed over."""

    axes: list[_Axis] | None = None
    display_hints: dict[str, str | None] | None = None


class _Geff:
    """The arrays and metadata of one GEFF, each checked."""

    def __init__(self, path: Path) -> None:
        import zarr  # noqa: PLC0415  half a second that other formats need not wait for

        self._path = path
        try:
            self._group = zarr.open_group(path, mode="r")
            metadata = dict(self._group.attrs).get("geff")
        except Exception as error:  # zarr raises its own kinds and those of its codecs
            raise self._unreadable(error) from error
        if metadata is None:
            raise TracksError(f"{path}: the group has no metadata 'geff'; versions from 0.3 on are read")
        try:
            given = _Metadata.model_validate(metadata)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, ("geff", *first["loc"])))
            raise TracksError(f"{path}: metadata {where}: {first['msg']}, not {first['input']!r}") from None
        self._axes = {axis.name: axis for axis in given.axes or ()}
        self._hints = given.display_hints or {}

    def _unreadable(self, error: Exception) -> TracksError:
        return TracksError(f"{self._path}: the GEFF cannot be read: {type(error).__name__}: {error}")

    def axes(self) -> dict[str, str]:
        """Return the properties that are t, y, x and, where there is one, z."""
        times = [axis.name for axis in self._axes.values() if axis.type == "time"]
        found = {axis: self._hints.get(hint) or axis for axis, hint in _HINTS.items()}
        if times:
            found["t"] = times[0]
        held = [str(name) for name in self._array("nodes/props")]
        missing = [axis for axis in "tyx" if found[axis] not in held]
        if missing:
            raise TracksError(
                f"{self._path}: no property for the axes {', '.join(missing)}; axes are {[*self._axes]}, "
                f"properties {held}. Name them t, y, x or point to them by display_hints."
            )
        return {axis: name for axis, name in found.items() if name in held}

    def pixels(self, name: str, size_um: float | None) -> float:
        """Return what a pixel is in the unit of an axis."""
        unit = self._axes[name].unit if name in self._axes else None
        if unit in (None, "pixel", "slice"):
            return 1.0
        if unit not in _MICROMETRES or size_um is None:
            raise TracksError(
                f"{self._path}: axis {name!r} is in {unit!r}: pixels are needed, or, for rows and columns, a "
                f"unit of {', '.join(_MICROMETRES)} and a pixel size in the store or in the experiments file"
            )
        return size_um / _MICROMETRES[unit]

    def values(self, name: str) -> FloatArray:
        """Return a property of each node (n,) as float64; missing is NaN."""
        values = self._read(f"nodes/props/{name}/values").astype(np.float64)
        if "missing" in self._array(f"nodes/props/{name}"):
            values[self._read(f"nodes/props/{name}/missing").astype(np.bool_)] = np.nan
        return np.asarray(values)

    def frames(self, name: str, ids: IntArray) -> IntArray:
        """Return the frame of each node (n,)."""
        values = self.values(name)
        wrong = np.flatnonzero(~np.isfinite(values) | (values != np.floor(values)))
        if len(wrong):
            i = wrong[0]
            raise TracksError(f"{self._path}: node {ids[i]}, {name!r}: {values[i]} is not a frame")
        return values.astype(np.int64)

    def whole(self, name: str) -> IntArray:
        """Return an array of ids as int64."""
        values = self._read(name)
        if not np.issubdtype(values.dtype, np.integer) or (values.size and values.max() > 2**62):
            raise TracksError(f"{self._path}: {name!r} holds {values.dtype}, not whole numbers below 2**62")
        return values.astype(np.int64)

    def _read(self, name: str) -> NDArray[Any]:
        try:
            values = np.asarray(self._array(name)[:])
        except TracksError:
            raise
        except Exception as error:  # as above
            raise self._unreadable(error) from error
        if name.startswith("nodes/") and values.shape != self._array("nodes/ids").shape:
            raise TracksError(
                f"{self._path}: {name!r} has the shape {values.shape}, not one value for a node"
            )
        return values

    def _array(self, name: str) -> Any:
        try:
            return self._group[name]
        except KeyError:
            raise TracksError(f"{self._path}: no {name!r} in the group; is it a GEFF?") from None
