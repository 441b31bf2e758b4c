"""GEFF, the graph exchange file format of tracking tools: a Zarr group of nodes and edges.

``nodes/ids`` (n,) and ``edges/ids`` (m, 2) are the graph, ``nodes/props/NAME/values`` (n,) the nodes'
properties, with ``missing`` beside them where some nodes have none; the group's metadata ``geff`` say
which properties are time and space, and in what units (:mod:`viscy_data.tables.tracks.geff_axes`). Trackers
that keep candidates write all of them, and mark those that they chose: what a boolean property such as
``solution`` does not hold for is left out and counted. The graph becomes tracks in
:mod:`viscy_data.tables.tracks.graphs`.
Specification: https://liveimagetrackingtools.org/geff

A file from elsewhere may claim any size and name any codec, among them some that run code. So an array's
shape, type and codecs are checked before any of it is read (:func:`_check_array`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from viscy_data.columns import TRACK_ID
from viscy_data.errors import TracksError, suggest
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import BoolArray, IntArray
from viscy_data.tables.tracks.detections import Detections, FloatArray
from viscy_data.tables.tracks.geff_axes import (
    Axis,
    AxisContext,
    read_world_scale,
    to_frames,
    to_pixels,
    unit_stated,
)
from viscy_data.tables.tracks.graphs import tracks_of
from viscy_data.tables.tracks.likely_names import likely_name
from viscy_data.tables.tracks.source_ids import NOT_NUMBERED, source_table, with_file_numbers
from viscy_data.text import shown
from viscy_data.units import counts_frames

LARGEST_ARRAY: Final = 1 << 30
"""Bytes of an array, and of one of its chunks: 130 million nodes."""
SOLUTION: Final = "solution"
"""The property by which trackers that keep candidates mark what they chose."""

_TRACK_IDS: Final = ("track_id", "tracklet_id")
# What viewers are told of an axis, and the name that it has where they are told nothing.
_HINTS: Final = {
    "t": "display_time",
    "z": "display_depth",
    "y": "display_vertical",
    "x": "display_horizontal",
}
# Codecs that turn numbers into numbers; those that are not here may make objects of bytes, and run code.
_CODECS: Final = frozenset(
    [
        "bytes",
        "endian",
        "blosc",
        "zstd",
        "gzip",
        "zlib",
        "bz2",
        "lzma",
        "lz4",
        "crc32",
        "crc32c",
        "adler32",
        "fletcher32",
        "jenkins_lookup3",
        "delta",
        "shuffle",
        "fixedscaleoffset",
        "quantize",
        "bitround",
        "packbits",
        "astype",
        "transpose",
        "sharding_indexed",
        "pcodec",
        "zfpy",
    ]
)


def is_geff(path: Path) -> bool:
    """Say whether a path is that of a GEFF."""
    return (path / "nodes" / "ids").is_dir() and (path / "edges").is_dir()


def read_geff(path: Path, experiment: Experiment, info: FovInfo, fov: int) -> Detections:
    """Read a GEFF.

    Parameters
    ----------
    path
        The Zarr group.
    experiment
        Its clock, the sizes of its pixels, and how to take its tracks.
    info, fov
        The field of view that it belongs to, and its index.

    Raises
    ------
    TracksError
        Where the group is no GEFF that can be read, lacks an axis, its units cannot be understood, or its
        cells
        merge; rows are ids of nodes.
    """
    geff = _Geff(path, experiment)
    ids, links = geff.whole("nodes/ids"), geff.links()
    node_kept, link_kept = geff.kept(experiment.track_filter, len(ids), len(links))
    link_kept &= np.isin(links, ids[~node_kept], invert=True).all(axis=1)
    left_out = {
        f"nodes not in the {geff.filtered_by}": int((~node_kept).sum()),
        f"links not in the {geff.filtered_by}": int((~link_kept).sum()),
    }
    names = geff.axes()
    context = geff.context(experiment, info)
    kept_ids = ids[node_kept]

    def values(which: str) -> FloatArray:
        return geff.values(names[which])[node_kept]

    t = to_frames(context, geff.axis(names["t"]), values("t"), kept_ids)
    y, x = (to_pixels(context, geff.axis(names[which]), which, values(which)) for which in "yx")
    takes_z = "z" in names and info.shape[2] > 1 and experiment.slices.takes_tracks
    z = to_pixels(context, geff.axis(names["z"]), "z", values("z")) if takes_z else None
    track, parent = tracks_of(path, "node", kept_ids, t, links[link_kept])
    named = geff.track_ids()
    theirs = None if named is None else named[node_kept]
    if named is not None and theirs is not None:
        track, parent = with_file_numbers(track, parent, theirs, largest=int(named.max(initial=0)))
    return Detections(
        file=path,
        rows=kept_ids,
        unit="node",
        fov=np.full(len(kept_ids), fov, dtype=np.int64),
        track_id=track,
        parent_track_id=parent,
        t=t,
        y=y,
        x=x,
        z=z,
        unit_stated=all(unit_stated(context, geff.axis(names[which])) for which in "yx"),
        left_out={why: count for why, count in left_out.items() if count},
        source=source_table(kept_ids, track_id=track, track_ids=theirs),
        own=geff.own(experiment.track_columns, node_kept) if experiment.track_columns else None,
    )


class _Metadata(BaseModel):
    """What is needed of a GEFF's metadata; all else is passed over."""

    axes: list[Axis] | None = None
    display_hints: dict[str, str | None] | None = None
    affine: Any = None
    track_node_props: dict[str, str] | None = None
    extra: Any = None


class _Geff:
    """The arrays and metadata of one GEFF, each checked."""

    def __init__(self, path: Path, experiment: Experiment) -> None:
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
            raise TracksError(
                f"{path}: metadata {where}: {first['msg']}, not {repr(first['input'])[:100]}"
            ) from None
        if given.affine is not None:
            raise TracksError(
                f"{path}: metadata geff.affine: places are given before an affine transformation, which "
                "is not "
                "read; apply it, and write the GEFF again"
            )
        self._names = experiment.track_names
        idle = [name for name in self._names if name not in (*_HINTS, TRACK_ID)]
        if idle:
            raise TracksError(
                f"{path}: track_names: a GEFF says itself what {', '.join(idle)} would say, by its nodes and "
                "edges; leave it out of the experiments file"
            )
        self._extra = given.extra
        self.filtered_by = SOLUTION
        self._axes = {axis.name: axis for axis in given.axes or ()}
        self._hints = given.display_hints or {}
        self._tracks = given.track_node_props or {}

    def _unreadable(self, error: Exception) -> TracksError:
        return TracksError(f"{self._path}: the GEFF cannot be read: {type(error).__name__}: {error}")

    def axes(self) -> dict[str, str]:
        """Return the properties that are t, y, x and, where there is one, z."""
        found = {axis: self._hints.get(hint) or axis for axis, hint in _HINTS.items()}
        found["t"] = self._time() or "t"
        found |= {axis: str(name) for axis, name in self._names.items() if axis in _HINTS}
        held = [str(name) for name in self._array("nodes/props")]
        missing = [axis for axis in "tyx" if found[axis] not in held]
        if missing:
            guessed = {axis: likely_name(axis, held) or "?" for axis in missing}
            raise TracksError(
                f"{self._path}: no property for the axes {', '.join(missing)}; axes are {[*self._axes]}, "
                f"properties {held}. Name them t, y, x, point to them by display_hints, or write into the "
                f"experiments file, with the property's name for ?: "
                f"track_names: {{{', '.join(f'{axis}: {shown(name)}' for axis, name in guessed.items())}}}"
            )
        return {axis: name for axis, name in found.items() if name in held}

    def _time(self) -> str | None:
        """Return the property that is time: that which viewers show, counts frames, or comes first."""
        shown = self._hints.get(_HINTS["t"])
        times = [axis for axis in self._axes.values() if axis.type == "time"]
        frames = [axis for axis in times if axis.unit is not None and counts_frames(axis.unit)]
        return shown or next((axis.name for axis in (*frames, *times)), None)

    def axis(self, name: str) -> Axis:
        """Return what the file says of the values of a property."""
        return self._axes.get(name, Axis(name=name))

    def context(self, experiment: Experiment, info: FovInfo) -> AxisContext:
        """Return what the axes are compared with."""
        scales, ours = read_world_scale(self._extra, list(self._axes.values()))
        return AxisContext(self._path, experiment, info, scales, ours)

    def kept(self, asked: tuple[str, ...] | None, nodes: int, links: int) -> tuple[BoolArray, BoolArray]:
        """Return the nodes (n,) and the links (m,) that all properties asked for hold for.

        None asked: those of the solution, where it is marked.
        """
        wanted = (SOLUTION,) if asked is None else asked
        self.filtered_by = ", ".join(wanted)
        kept = np.ones(nodes, dtype=np.bool_), np.ones(links, dtype=np.bool_)
        for name in wanted:
            sides = [side for side in ("nodes", "edges") if name in self._properties(side)]
            if not sides and asked is not None:
                held = [*self._properties("nodes"), *self._properties("edges")]
                raise TracksError(
                    f"{self._path}: track_filter={name!r} is not a property of nodes or edges, which have "
                    f"{', '.join(held)}.{suggest(name, held)}"
                )
            for side in sides:
                own = kept[0 if side == "nodes" else 1]
                own &= self._boolean(f"{side}/props/{name}")
        return kept

    def _properties(self, side: str) -> list[str]:
        return [str(name) for name in self._array(f"{side}/props")] if "props" in self._array(side) else []

    def _boolean(self, name: str) -> BoolArray:
        values = self._read(f"{name}/values")
        if values.dtype != np.bool_ and not np.isin(values, (0, 1)).all():
            raise TracksError(f"{self._path}: {name!r} holds {values.dtype}, not true and false")
        found = values.astype(np.bool_)
        if "missing" in self._array(name):
            found &= ~self._read(f"{name}/missing").astype(np.bool_)
        return found

    def links(self) -> IntArray:
        """Return the ids of the nodes of each link (m, 2)."""
        links = self.whole("edges/ids")
        if links.ndim != 2 or links.shape[1] != 2:
            raise TracksError(
                f"{self._path}: 'edges/ids' has the shape {links.shape}, not two nodes for a link"
            )
        return links

    def values(self, name: str) -> FloatArray:
        """Return a property of each node (n,) as float64; missing is NaN."""
        values = self._read(f"nodes/props/{name}/values").astype(np.float64)
        if "missing" in self._array(f"nodes/props/{name}"):
            values[self._read(f"nodes/props/{name}/missing").astype(np.bool_)] = np.nan
        return np.asarray(values)

    def track_ids(self) -> IntArray | None:
        """Return the track that the file gives each node (n,), -1: none; None where it gives none at all.

        That is the property that ``track_names`` calls ``track_id``, else the one that the metadata name as
        tracklet or lineage, else one that is called ``track_id`` or ``tracklet_id`` and holds whole numbers.
        """
        stated = self._names.get(TRACK_ID) or self._tracks.get("tracklet") or self._tracks.get("lineage")
        held = self._properties("nodes")
        if stated is not None and stated not in held:
            raise TracksError(
                f"{self._path}: {stated!r}, which holds the track of each node, is not a property of nodes, "
                f"which have {', '.join(held)}.{suggest(stated, held)}"
            )
        for name in (stated,) if stated else [one for one in _TRACK_IDS if one in held]:
            values = self._read(f"nodes/props/{name}/values")
            if np.issubdtype(values.dtype, np.integer) and values.max(initial=0) <= 2**62:
                values = np.maximum(values.astype(np.int64), NOT_NUMBERED)
                if "missing" in self._array(f"nodes/props/{name}"):
                    values[self._read(f"nodes/props/{name}/missing").astype(np.bool_)] = NOT_NUMBERED
                return np.asarray(values)
            if stated:
                raise TracksError(
                    f"{self._path}: 'nodes/props/{name}' holds {values.dtype}: ids of tracks are whole "
                    "numbers below 2**62"
                )
        return None

    def own(self, names: Sequence[str], kept: BoolArray) -> Any:
        """Return properties of nodes that are kept as an Arrow table; missing is null."""
        held = self._properties("nodes")
        for name in names:
            if name not in held:
                raise TracksError(
                    f"{self._path}: track_columns={name!r} is not a property of nodes, which have "
                    f"{', '.join(held)}.{suggest(name, held)}"
                )
        found = {}
        for name in names:
            missing = None
            if "missing" in self._array(f"nodes/props/{name}"):
                missing = self._read(f"nodes/props/{name}/missing").astype(np.bool_)[kept]
            found[name] = pa.array(self._read(f"nodes/props/{name}/values")[kept], mask=missing)
        return pa.table(found)

    def whole(self, name: str) -> IntArray:
        """Return an array of ids as int64."""
        values = self._read(name)
        if not np.issubdtype(values.dtype, np.integer) or (values.size and values.max() > 2**62):
            raise TracksError(f"{self._path}: {name!r} holds {values.dtype}, not whole numbers below 2**62")
        return values.astype(np.int64)

    def _read(self, name: str) -> NDArray[Any]:
        array = self._array(name)
        side = name.partition("/")[0]
        length = self._array(f"{side}/ids").shape[:1] if "/props/" in name else array.shape[:1]
        expected = length if side == "nodes" or "/props/" in name else (*length, 2)
        if array.shape != expected:
            raise TracksError(
                f"{self._path}: {name!r} has the shape {array.shape}, not {expected}: one value for each of "
                f"{side}/ids"
            )
        _check_array(self._path, name, array)
        try:
            return np.asarray(array[:])
        except Exception as error:  # as above
            raise self._unreadable(error) from error

    def _array(self, name: str) -> Any:
        try:
            return self._group[name]
        except KeyError:
            raise TracksError(f"{self._path}: no {name!r} in the group; is it a GEFF?") from None
        except Exception as error:  # as above
            raise self._unreadable(error) from error


def _check_array(path: Path, name: str, array: Any) -> None:
    """Refuse an array that is too large, that holds no numbers, or whose codecs could run code."""
    if array.dtype.kind not in "biuf":
        raise TracksError(f"{path}: {name!r} holds {array.dtype}, not numbers or true and false")
    unknown = sorted({codec for codec in _codecs(array.metadata.to_dict()) if codec not in _CODECS})
    if unknown:
        raise TracksError(
            f"{path}: {name!r} is stored with the codec {', '.join(map(repr, unknown))}, which is not "
            "read: it "
            "could run code; store it with zstd, blosc or another compressor of numbers"
        )
    size = array.dtype.itemsize
    for what, shape in (("array", array.shape), ("chunk", array.chunks)):
        count = size * math.prod(shape)
        if count > LARGEST_ARRAY:
            raise TracksError(
                f"{path}: {name!r} has {'an' if what == 'array' else 'a'} {what} of {tuple(shape)} x "
                f"{size} bytes; at "
                f"most {LARGEST_ARRAY >> 20} MiB are read. Is the file damaged? If not, split the movie."
            )


def _codecs(value: Any) -> Iterator[str]:
    """Yield the names of all codecs in an array's metadata, of format 2 or 3, nested ones too."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("codecs", "filters", "compressor", "index_codecs"):
                for codec in [inner] if isinstance(inner, Mapping) else inner or ():
                    yield str(codec.get("id") or codec.get("name")).removeprefix("numcodecs.")
                    yield from _codecs(codec.get("configuration"))
