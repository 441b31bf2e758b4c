"""TrackMate files: spots and links, as the Fiji plugin saves them in XML.

``Spot`` elements have a frame and a place, in the units of the image: divided by the pixel sizes of
``ImageData`` it is a place in pixels and slices. A ``Track`` of TrackMate is a whole lineage, given by
its ``Edge`` elements; here it becomes one track for each cell (:mod:`viscy_data.graph_tracks`). Tracks
that a filter in TrackMate removed, and spots in no track, are left out.

The file is read as a stream, and one that declares a document type is refused: no entity is expanded.
Format: Tinevez et al. 2017, Methods 115, 80.
"""

import math
from array import array
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError, XMLParser

import numpy as np

from viscy_data.detections import Detections
from viscy_data.errors import TracksError
from viscy_data.experiments import FovInfo
from viscy_data.graph_tracks import tracks_of
from viscy_data.lineage import IntArray

_BLOCK: Final = 1 << 20
_HEAD: Final = 4096
_PIXELS: Final = {"pixel", "pixels", "px"}


def is_trackmate(path: Path) -> bool:
    """Say whether a path is that of a TrackMate file."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"<TrackMate" in file.read(_HEAD)


def read_trackmate(path: Path, info: FovInfo, fov: int) -> Detections:
    """Read a TrackMate file.

    Parameters
    ----------
    path
        The XML file.
    info, fov
        The field of view that it belongs to, and its index.

    Raises
    ------
    TracksError
        Where the file is no such file, lacks a value, or its cells merge; rows are ids of spots.
    """
    found = _parse(path)
    links = found.links()
    used, places = np.unique(links), np.array(found.places, dtype=np.float64).reshape(-1, 3)
    ids, t = (np.array(values, dtype=np.int64) for values in (found.ids, found.frames))
    kept = np.isin(ids, used)
    ids, t, places = ids[kept], t[kept], places[kept] / found.pixel(path)
    track, parent = tracks_of(path, "spot", ids, t, links)
    flat = found.slices < 2 or info.shape[2] < 2
    return Detections(
        file=path,
        rows=ids,
        unit="spot",
        fov=np.full(len(ids), fov, dtype=np.int64),
        track_id=track,
        parent_track_id=parent,
        t=t,
        y=places[:, 1],
        x=places[:, 2],
        z=None if flat else places[:, 0],
    )


class _Spots:
    """What a file's elements say, gathered as they go by: the target of the parser."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ids, self.frames, self.places = array("q"), array("q"), array("d")
        self._track = -1
        self._links: dict[int, array[int]] = {}
        self._kept: set[int] | None = None
        self._units = "pixel"
        self._image: dict[str, str] = {}

    def doctype(self, name: str, *_: Any) -> None:
        """Refuse a file that could define entities."""
        raise TracksError(f"{self._path}: a document type ({name!r}) is declared; TrackMate declares none")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take in one element."""
        match tag:
            case "Spot":
                self.ids.append(self._whole(tag, attributes, "ID"))
                self.frames.append(self._whole(tag, attributes, "FRAME"))
                for axis in "ZYX":
                    self.places.append(self._real(tag, attributes, f"POSITION_{axis}"))
            case "Edge":
                own = self._links.setdefault(self._track, array("q"))
                own.append(self._whole(tag, attributes, "SPOT_SOURCE_ID"))
                own.append(self._whole(tag, attributes, "SPOT_TARGET_ID"))
            case "Track":
                self._track = self._whole(tag, attributes, "TRACK_ID")
            case "FilteredTracks":
                self._kept = set()
            case "TrackID" if self._kept is not None:
                self._kept.add(self._whole(tag, attributes, "TRACK_ID"))
            case "Model":
                self._units = attributes.get("spatialunits", "pixel")
            case "ImageData":
                self._image = attributes

    def close(self) -> None:
        """End the file."""

    @property
    def slices(self) -> int:
        """Slices of the image; 1 where the file does not say."""
        text = self._image.get("nslices", "1")
        return int(text) if text.isdecimal() else 1

    def links(self) -> IntArray:
        """Return the links (m, 2) of the tracks that no filter removed."""
        kept = [own for track, own in self._links.items() if self._kept is None or track in self._kept]
        return np.array([one for own in kept for one in own], dtype=np.int64).reshape(-1, 2)

    def pixel(self, path: Path) -> list[float]:
        """Return the length of a slice, a row and a column (3,) in the units of places."""
        if not self._image and self._units.lower() in _PIXELS:
            return [1.0, 1.0, 1.0]
        names = ("voxeldepth", "pixelheight", "pixelwidth")
        depth, height, width = (self._real("ImageData", self._image, name) for name in names)
        if not (min(height, width) > 0 and (depth > 0 or self.slices < 2)):
            raise TracksError(
                f"{path}: element 'ImageData': pixelheight={height}, pixelwidth={width}, voxeldepth={depth}: "
                f"lengths above 0 are needed to find pixels of places in {self._units!r}"
            )
        return [depth if depth > 0 else 1.0, height, width]

    def _real(self, tag: str, attributes: dict[str, str], name: str) -> float:
        text = attributes.get(name)
        try:
            return float(text if text is not None else "")
        except ValueError:
            raise self._wrong(tag, attributes, name, "is not a number") from None

    def _whole(self, tag: str, attributes: dict[str, str], name: str) -> int:
        value = self._real(tag, attributes, name)
        if not (math.isfinite(value) and value == int(value) and abs(value) < 2**53):
            raise self._wrong(tag, attributes, name, "is no whole number")
        return int(value)

    def _wrong(self, tag: str, attributes: dict[str, str], name: str, why: str) -> TracksError:
        which = f" {attributes['ID']}" if "ID" in attributes else ""
        found = f"attribute {name!r}: {attributes.get(name)!r}"
        return TracksError(f"{self._path}: element {tag!r}{which}, {found} {why}")


def _parse(path: Path) -> _Spots:
    found = _Spots(path)
    parser = XMLParser(target=found)  # noqa: S314  streamed, and a document type is refused
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                parser.feed(block)
        parser.close()
    except (OSError, ParseError, LookupError, ValueError) as error:
        if isinstance(error, TracksError):
            raise
        raise TracksError(f"{path}: the TrackMate file cannot be read: {error}") from error
    return found
