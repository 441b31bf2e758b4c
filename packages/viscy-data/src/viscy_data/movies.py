"""Movies as other programs leave them: which files belong together, and what they state.

*movie*: one field of view over time, one TIFF file per frame. Two layouts are known:

- a movie folder: ``frames/*.tif`` (C, Y, X), ``tracks.csv`` and, where there is one, ``meta.json`` with
  ``channel_names``, ``interval_min``, ``pixel_size_um`` and ``frame_axes``, any of them null or missing;
- a Cell Tracking Challenge sequence: ``01/t000.tif`` with ``01_GT/TRA/man_track.txt`` or
  ``01_RES/res_track.txt`` beside it; the folder of a data set stands for all of its sequences.

What a source does not state is None here, never a guess.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError

_TIFF: Final = (".tif", ".tiff")
_SEQUENCE: Final = re.compile(r"\d{2,}$")
_NUMBER: Final = re.compile(r"(\d+)$")
_AXES: Final = "CZYX"
_LAYOUTS: Final = (
    "frames/*.tif with tracks.csv, or a Cell Tracking Challenge sequence such as 01/t000.tif with "
    "01_GT/TRA/man_track.txt or 01_RES/res_track.txt"
)


@dataclass(frozen=True)
class Movie:
    """The files of one movie and what is stated of it.

    Attributes
    ----------
    name
        The folder's name; for a Cell Tracking Challenge sequence "dataset_01".
    frames
        One TIFF file per frame, in order.
    axes
        Of a frame, out of C, Z, Y and X; None: by the number of dimensions.
    tracks
        Tracking table or Cell Tracking Challenge folder.
    depth_first
        Whether three dimensions are Z, Y, X rather than C, Y, X.
    channels
        Names; None where not stated.
    interval_minutes, pixel_size_um
        None where not stated.
    """

    name: str
    frames: tuple[Path, ...]
    tracks: Path
    axes: str | None = None
    depth_first: bool = False
    channels: tuple[str, ...] | None = None
    interval_minutes: float | None = None
    pixel_size_um: float | None = None

    def read(self, t: int) -> NDArray[Any]:
        """Return frame ``t`` as (C, Z, Y, X), in the dtype of the file.

        Raises
        ------
        InvalidInputError
            The file cannot be read, or its shape does not fit the axes.
        """
        path = self.frames[t]
        try:
            image = np.asarray(tifffile.imread(path))
        except (OSError, ValueError, tifffile.TiffFileError) as error:
            raise InvalidInputError(f"{path}: the frame cannot be read: {error}") from error
        axes = self.axes or {2: "YX", 3: "ZYX" if self.depth_first else "CYX", 4: "CZYX"}.get(image.ndim)
        if axes is None or len(axes) != image.ndim:
            raise InvalidInputError(
                f"{path}: shape={image.shape} does not fit the axes {axes or 'C, Z, Y, X'}."
            )
        order = [axes.index(axis) for axis in _AXES if axis in axes]
        lengths = [image.shape[axes.index(axis)] if axis in axes else 1 for axis in _AXES]
        return image.transpose(order).reshape(lengths)


def find_movies(paths: Sequence[str | Path]) -> list[Movie]:
    """Find the movies in the folders given.

    Raises
    ------
    InvalidInputError
        A folder holds no movie, its files do not fit together, or two movies have one name.
    """
    movies = [movie for path in paths for movie in _find(Path(path))]
    if not movies:
        raise InvalidInputError("movies=[]: name at least one folder.")
    names = [movie.name for movie in movies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"movies: two folders are called {', '.join(twice)}; rename one of them.")
    return movies


def _find(path: Path) -> Iterator[Movie]:
    path = path.resolve()
    if not path.is_dir():
        raise InvalidInputError(f"movies: {str(path)!r} is not a folder.")
    if (path / "frames").is_dir():
        yield _movie_folder(path)
        return
    sequences = [path] if _has_tracks(path) else sorted(p for p in path.iterdir() if _has_tracks(p))
    if not sequences:
        raise InvalidInputError(f"movies: {str(path)!r} holds no movie; expected {_LAYOUTS}.")
    for sequence in sequences:
        tracks = next(folder for folder in _track_folders(sequence) if folder.is_dir())
        name = f"{sequence.parent.name}_{sequence.name}"
        yield Movie(name=name, frames=_frames(sequence), tracks=tracks, depth_first=True)


def _track_folders(sequence: Path) -> tuple[Path, Path]:
    return sequence.with_name(f"{sequence.name}_GT") / "TRA", sequence.with_name(f"{sequence.name}_RES")


def _has_tracks(path: Path) -> bool:
    named = path.is_dir() and _SEQUENCE.match(path.name) is not None
    return named and any(folder.is_dir() for folder in _track_folders(path))


def _frames(folder: Path) -> tuple[Path, ...]:
    """Return the TIFF files of a folder by the number that ends their names: 0, 1, 2 and so on."""
    numbered: dict[int, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in _TIFF):
        number = _NUMBER.search(path.stem)
        if number is None:
            raise InvalidInputError(f"{path}: the name does not end with a frame number, such as t000.tif.")
        if int(number[1]) in numbered:
            raise InvalidInputError(f"{path}: {numbered[int(number[1])].name} has the same frame number.")
        numbered[int(number[1])] = path
    if not numbered:
        raise InvalidInputError(f"{folder}: no TIFF files (*.tif, *.tiff).")
    gaps = [t for t in range(len(numbered)) if t not in numbered]
    if gaps:
        raise InvalidInputError(
            f"{folder}: frame {gaps[0]} is missing; frames are numbered from 0 without gaps."
        )
    return tuple(numbered[t] for t in sorted(numbered))


def _movie_folder(path: Path) -> Movie:
    tracks = path / "tracks.csv"
    if not tracks.is_file():
        raise InvalidInputError(f"{tracks}: there are frames, but no tracks; expected {_LAYOUTS}.")
    file = path / "meta.json"
    meta = _read_meta(file) if file.is_file() else {}
    return Movie(
        name=path.name,
        frames=_frames(path / "frames"),
        tracks=tracks,
        axes=_axes(file, meta.get("frame_axes")),
        channels=_names(file, meta.get("channel_names")),
        interval_minutes=_positive(file, "interval_min", meta),
        pixel_size_um=_positive(file, "pixel_size_um", meta),
    )


def _read_meta(file: Path) -> dict[str, Any]:
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{file}: not readable as JSON: {error}") from error
    if not isinstance(meta, dict):
        raise InvalidInputError(f"{file}: expected an object with keys such as interval_min, got {meta!r}.")
    return meta


def _axes(file: Path, value: object) -> str | None:
    if value is None:
        return None
    known = isinstance(value, str) and set("YX") <= set(value) <= set(_AXES) and len(set(value)) == len(value)
    if not known:
        raise InvalidInputError(f"{file}: frame_axes={value!r} must be Y and X, and C and Z where there are.")
    return str(value)


def _names(file: Path, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    named = isinstance(value, list) and value and all(isinstance(name, str) and name for name in value)
    if not (isinstance(value, list) and named and len(set(value)) == len(value)):
        raise InvalidInputError(
            f"{file}: channel_names={value!r} must be a list of different names, or null."
        )
    return tuple(value)


def _positive(file: Path, key: str, meta: dict[str, Any]) -> float | None:
    value = meta.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InvalidInputError(f"{file}: {key}={value!r} must be a number above 0, or null for not known.")
    return float(value)
