"""TrackMate files: spots and links, as the Fiji plugin saves them in XML.

``Spot`` elements have a frame and a place, in the units of the image: divided by the pixel sizes of
``ImageData`` it is a place in pixels and slices. A ``Track`` of TrackMate is a whole lineage, given by
its ``Edge`` elements; here it becomes one track for each cell (:mod:`viscy_data.tables.tracks.graphs`).
Tracks that a filter in TrackMate removed, and spots in no track, are left out.

Ids of spots and tracks are kept, and names that somebody gave them; a name such as ``ID7`` or ``Track_7``,
which every spot and track begins with, says no more than the id
(:mod:`viscy_data.tables.tracks.source_ids`).

A file of another image has places that mean nothing here: where the image that it names has another width,
height or number of frames than the store's, it is refused. The number of slices is often wrong, since
Fiji takes frames for slices: where spots do lie in different slices, what they say counts.

The file is read as a stream, within bounds: a document type is refused, so that no entity is expanded or
fetched, and so are an element of more than 16 MiB and elements a hundred deep.
Format: Tinevez et al. 2017, Methods 115, 80.
"""

import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError, XMLParser

import numpy as np
import pyarrow as pa

from viscy_data.columns import X, Y, Z
from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import BoolArray, IntArray
from viscy_data.tables.tracks.detections import Detections
from viscy_data.tables.tracks.graphs import tracks_of
from viscy_data.tables.tracks.lengths import pixel_length, size_needed
from viscy_data.tables.tracks.source_ids import NOT_NUMBERED, source_table, with_file_numbers
from viscy_data.units import counts_pixels, micrometres

_BLOCK: Final = 1 << 20
_HEAD: Final = 4096
_LARGEST_ELEMENT: Final = 16 << 20
_DEEPEST: Final = 100
_LONGEST_NUMBER: Final = 64
_LONGEST_NAME: Final = 200


def is_trackmate(path: Path) -> bool:
    """Say whether a path is that of a TrackMate file."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"<TrackMate" in file.read(_HEAD)


def read_trackmate(path: Path, experiment: Experiment, info: FovInfo, fov: int) -> Detections:
    """Read a TrackMate file.

    Parameters
    ----------
    path
        The XML file.
    experiment
        Its sizes of pixels are taken where the file states none, and its ``z`` may do without z.
    info, fov
        The field of view that it belongs to, and its index.

    Raises
    ------
    TracksError
        Where the file is not of TrackMate, is of another image, lacks a value, or its cells merge; rows
        are ids of spots.
    """
    found = _parse(path, experiment.track_columns)
    found.check_image(info)
    links = found.links()
    used, places = np.unique(links), np.array(found.places, dtype=np.float64).reshape(-1, 3)
    ids, t = (np.array(values, dtype=np.int64) for values in (found.ids, found.frames))
    kept = np.isin(ids, used)
    ids, t, places = ids[kept], t[kept], places[kept]
    theirs = found.track_of(ids)
    track, parent = with_file_numbers(
        *tracks_of(path, "spot", ids, t, links), theirs, largest=found.largest_track
    )
    # A file that calls its image flat is believed where all its spots are in one slice.
    flat = found.slices < 2 and bool((places[:, 0] == places[:1, 0]).all())
    takes_z = not flat and info.shape[2] > 1 and experiment.slices.takes_tracks
    y, x = (places[:, i] / found.length(which, experiment, info) for i, which in enumerate((Y, X), start=1))
    z = places[:, 0] / found.length(Z, experiment, info) if takes_z else None
    return Detections(
        file=path,
        rows=ids,
        unit="spot",
        fov=np.full(len(ids), fov, dtype=np.int64),
        track_id=track,
        parent_track_id=parent,
        t=t,
        y=y,
        x=x,
        z=z,
        unit_stated=True,
        left_out=found.left_out(len(ids)),
        source=source_table(
            ids,
            names=found.names,
            track_id=track,
            track_ids=theirs,
            track_names=found.track_names,
        ),
        own=found.own(kept) if experiment.track_columns else None,
    )


class _Spots:
    """What a file's elements say, gathered as they go by: the target of the parser."""

    def __init__(self, path: Path, own: Sequence[str] = ()) -> None:
        self._path = path
        self._own: dict[str, list[str | None]] = {name: [] for name in own}
        self.ids, self.frames, self.places = array("q"), array("q"), array("d")
        self._track = -1
        self._links: dict[int, array[int]] = {}
        self.names: dict[int, str] = {}  # of spots and tracks that somebody renamed
        self.track_names: dict[int, str] = {}
        self._kept: set[int] | None = None
        self._units = "pixel"
        self._image: dict[str, str] = {}
        self._depth = 0
        self.elements = 0

    def doctype(self, name: str, *_: Any) -> None:
        """Refuse a file that could define entities."""
        raise TracksError(f"{self._path}: a document type ({name!r}) is declared; TrackMate declares none")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take in one element."""
        self.elements += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TracksError(f"{self._path}: elements lie more than {_DEEPEST} deep; TrackMate's do not")
        match tag:
            case "Spot":
                self.ids.append(self._whole(tag, attributes, "ID"))
                self.frames.append(self._whole(tag, attributes, "FRAME"))
                _keep_name(self.names, self.ids[-1], attributes, f"ID{self.ids[-1]}")
                for axis in "ZYX":
                    self.places.append(self._real(tag, attributes, f"POSITION_{axis}"))
                self._take_own(attributes)
            case "Edge":
                own = self._links.setdefault(self._track, array("q"))
                own.append(self._whole(tag, attributes, "SPOT_SOURCE_ID"))
                own.append(self._whole(tag, attributes, "SPOT_TARGET_ID"))
            case "Track":
                self._track = self._whole(tag, attributes, "TRACK_ID")
                _keep_name(self.track_names, self._track, attributes, f"Track_{self._track}")
            case "FilteredTracks":
                self._kept = set()
            case "TrackID" if self._kept is not None:
                self._kept.add(self._whole(tag, attributes, "TRACK_ID"))
            case "Model":
                self._units = attributes.get("spatialunits", "pixel")
            case "ImageData":
                self._image = attributes

    def _take_own(self, attributes: dict[str, str]) -> None:
        for name, values in self._own.items():
            values.append(attributes.get(name))

    def end(self, _: str) -> None:
        """Leave an element."""
        self.elements += 1
        self._depth -= 1

    def close(self) -> None:
        """End the file."""

    @property
    def slices(self) -> int:
        """Slices of the image; 1 where the file does not say."""
        return self._size("nslices") or 1

    def check_image(self, info: FovInfo) -> None:
        """Refuse a file whose image has another size than that of a field of view."""
        frames, _, _, height, width = info.shape
        stated = [self._size(name) for name in ("width", "height", "nframes")]
        held = [width, height, frames]
        if any(one and one != own for one, own in zip(stated, held, strict=True)):
            listed = " x ".join("?" if one is None else str(one) for one in stated)
            raise TracksError(
                f"{self._path}: tracked in the image "
                f"{self._image.get('filename', '')[:_LONGEST_NUMBER]!r} of "
                f"width x height x frames {listed}, but fov {info.fov!r} has "
                f"{' x '.join(map(str, held))}: it is "
                "another image. Point tracks_path to the tracks of this one, or track it anew."
            )

    def own(self, kept: BoolArray) -> Any:
        """Return attributes of the spots that are kept as an Arrow table: numbers where all are numbers."""
        found = {}
        for name, values in self._own.items():
            if not any(values):
                raise TracksError(
                    f"{self._path}: track_columns={name!r}: no element 'Spot' has this attribute"
                )
            texts = pa.array(values, pa.string()).filter(pa.array(kept))
            try:
                found[name] = texts.cast(pa.float64())
            except pa.ArrowInvalid:
                found[name] = texts
        return pa.table(found)

    def left_out(self, kept: int) -> dict[str, int]:
        """Return what is not read, counted: spots in no track that a filter left."""
        lost = len(self.ids) - kept
        return {"spots in no track, or in one that was filtered out": lost} if lost else {}

    def _size(self, name: str) -> int | None:
        """Return a size of the image; None: the file does not say, or says 0."""
        return (self._whole("ImageData", self._image, name) or None) if name in self._image else None

    def links(self) -> IntArray:
        """Return the links (m, 2) of the tracks that no filter removed."""
        kept = [own for track, own in self._links.items() if self._kept is None or track in self._kept]
        return np.array([one for own in kept for one in own], dtype=np.int64).reshape(-1, 2)

    @property
    def largest_track(self) -> int:
        """The largest id of a track, those that a filter removed among them."""
        return max(self._links, default=NOT_NUMBERED)

    def track_of(self, ids: IntArray) -> IntArray:
        """Return the track of each spot (n,): a track of TrackMate goes on through divisions."""
        kept = [track for track in self._links if self._kept is None or track in self._kept]
        spots = np.array([one for track in kept for one in self._links[track]], dtype=np.int64)
        track = np.repeat(np.array(kept, dtype=np.int64), [len(self._links[one]) for one in kept])
        order = np.argsort(spots, kind="stable")
        return np.asarray(track[order][np.searchsorted(spots, ids, sorter=order)], dtype=np.int64)

    def length(self, axis: str, experiment: Experiment, info: FovInfo) -> float:
        """Return the length of a pixel, or of a slice, along an axis in the units of places."""
        if not self._image:
            return self._length_in_store(axis, experiment, info)
        name = {Z: "voxeldepth", Y: "pixelheight", X: "pixelwidth"}[axis]
        length = self._real("ImageData", self._image, name)
        if not 0 < length < math.inf:
            raise TracksError(
                f"{self._path}: element 'ImageData': {name}={length}: a length above 0 is needed to find "
                "pixels of "
                f"places in {self._units!r}" + ("; or set z to 'middle' or to a slice" if axis == Z else "")
            )
        return length

    def _length_in_store(self, axis: str, experiment: Experiment, info: FovInfo) -> float:
        if counts_pixels(self._units):
            return 1.0
        um, size = micrometres(self._units), pixel_length(experiment, info, axis)
        if um is None or size is None:
            raise TracksError(
                f"{self._path}: no element 'ImageData' states the size of a pixel, and places are in "
                f"{self._units!r}: {size_needed(axis)}"
            )
        return size / um

    def _real(self, tag: str, attributes: dict[str, str], name: str) -> float:
        text = attributes.get(name, "")
        try:
            return float(text if len(text) <= _LONGEST_NUMBER else "")
        except ValueError:
            raise self._wrong(tag, attributes, name, "is not a number") from None

    def _whole(self, tag: str, attributes: dict[str, str], name: str) -> int:
        value = self._real(tag, attributes, name)
        if not (math.isfinite(value) and value == int(value) and abs(value) < 2**53):
            raise self._wrong(tag, attributes, name, "is not a whole number")
        return int(value)

    def _wrong(self, tag: str, attributes: dict[str, str], name: str, why: str) -> TracksError:
        which = f" {attributes['ID'][:_LONGEST_NUMBER]}" if "ID" in attributes else ""
        value = attributes.get(name)
        found = f"attribute {name!r}: {value if value is None else value[:_LONGEST_NUMBER]!r}"
        return TracksError(f"{self._path}: element {tag!r}{which}, {found} {why}")


def _keep_name(names: dict[int, str], number: int, attributes: dict[str, str], usual: str) -> None:
    """Keep the name that somebody gave a spot or a track, of at most so many characters."""
    name = attributes.get("name", "").strip()
    if name and name != usual:
        names[number] = name[:_LONGEST_NAME]


def _parse(path: Path, own: Sequence[str]) -> _Spots:
    found = _Spots(path, own)
    parser = XMLParser(target=found)  # noqa: S314  streamed, and a document type is refused
    try:
        with path.open("rb") as file:
            waiting = 0  # bytes since an element last began or ended
            while block := file.read(_BLOCK):
                before = found.elements
                parser.feed(block)
                waiting = 0 if found.elements > before else waiting + len(block)
                if waiting > _LARGEST_ELEMENT:
                    raise TracksError(
                        f"{path}: an element, or its text, is larger than {_LARGEST_ELEMENT >> 20} MiB; "
                        "TrackMate's "
                        "are not: is the file damaged?"
                    )
        parser.close()
    except (OSError, ParseError, LookupError, ValueError) as error:
        if isinstance(error, TracksError):
            raise
        raise TracksError(f"{path}: the TrackMate file cannot be read: {error}") from error
    return found
