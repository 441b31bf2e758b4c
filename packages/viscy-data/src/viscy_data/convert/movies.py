"""Movies as other programs leave them: which files belong together, and what they state.

*movie*: one field of view over time, one TIFF file per frame or one for all. Two layouts are known:

- a movie folder: ``frames/*.tif``, ``tracks.csv`` and, where there is one, ``meta.json`` with
  ``channel_names``, ``interval_min``, ``pixel_size_um`` and ``frame_axes``, any of them null or missing;
- a Cell Tracking Challenge sequence: ``01/t000.tif`` with ``01_GT/TRA/man_track.txt`` or
  ``01_RES/res_track.txt`` beside it; the folder of a data set means all of its sequences.

Axes are those that the TIFF files state. A third axis that they do not name is C in the first layout and
Z in the second. What a source does not state is None here, never a guess; names that begin with a dot are
left alone.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from viscy_data.convert.frames import check_axes, frame_axes, frame_shape, to_frame
from viscy_data.errors import InvalidInputError
from viscy_data.files.tiff import OpenTiff, TiffImage, describe_tiff, open_tiff
from viscy_data.images.plates import EXPERIMENTS_FILE
from viscy_data.tables.tracks.ctc import find_track_list

_TIFF: Final = (".tif", ".tiff")
_SEQUENCE: Final = re.compile(r"\d{2,}$")
_NUMBER: Final = re.compile(r"(\d+)$")
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
        One TIFF file per frame, in order, or one file with all of them.
    tracks
        Tracking table or Cell Tracking Challenge folder.
    axes
        Letters out of T, C, Z, Y and X for the dimensions of a file, which count whatever it states; None:
        as the files state.
    depth_first
        Whether an axis that a file does not name is Z rather than C.
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

    def axes_of(self, image: TiffImage) -> str:
        """Return the letter of each dimension of a file of this movie.

        Raises
        ------
        InvalidInputError
            The file does not state them, or states time points where it is one frame of several.
        """
        # Alone, a file without a word of its axes may be a frame or a whole movie.
        unnamed = "Z" if self.depth_first else "C" if len(self.frames) > 1 else ""
        axes = frame_axes(image, self.axes, unnamed)
        count = image.shape[axes.index("T")] if "T" in axes else 1
        if count > 1 and len(self.frames) > 1:
            raise InvalidInputError(
                f"{image.path}: states {count} time points, but there are {len(self.frames)} files, one for "
                "each frame; if these are slices or channels, say so with --axes, such as --axes ZYX."
            )
        return axes

    def describe(self) -> tuple[TiffImage, tuple[int, int, int, int, int]]:
        """Return what the first file says, and the shape (T, C, Z, Y, X) of the movie.

        Raises
        ------
        InvalidInputError
            A file cannot be read, or is unlike the first one.
        """
        first = describe_tiff(self.frames[0])
        axes = self.axes_of(first)
        shape = frame_shape(first, axes)
        for path in self.frames[1:]:
            other = describe_tiff(path)
            found = frame_shape(other, self.axes_of(other))
            if (found, other.axes, other.dtype) != (shape, first.axes, first.dtype):
                raise InvalidInputError(
                    f"{path}: shape={found} dtype={other.dtype} axes={other.axes} differ from the first "
                    f"frame's {shape}, {first.dtype} and {first.axes}."
                )
        length = first.shape[axes.index("T")] if "T" in axes else 1
        return first, (max(length, len(self.frames)), *shape)

    def images(self) -> Iterator[NDArray[Any]]:
        """Give every frame as (C, Z, Y, X), in the dtype of the files.

        Raises
        ------
        InvalidInputError
            A file cannot be read.
        """
        for path in self.frames:
            with open_tiff(path) as tiff:
                axes = self.axes_of(tiff.image)
                for t in range(tiff.image.shape[axes.index("T")] if "T" in axes else 1):
                    yield _frame(tiff, axes, t)

    def read(self, t: int) -> NDArray[Any]:
        """Return frame ``t`` as (C, Z, Y, X), in the dtype of the file.

        Raises
        ------
        InvalidInputError
            The file cannot be read, or its axes are not known.
        """
        one = len(self.frames) == 1
        with open_tiff(self.frames[0 if one else t]) as tiff:
            return _frame(tiff, self.axes_of(tiff.image), t if one else 0)


def _frame(tiff: OpenTiff, axes: str, t: int) -> NDArray[Any]:
    shape = frame_shape(tiff.image, axes)
    if "T" not in axes:
        return to_frame(tiff.read(), axes, shape)
    return to_frame(tiff.read(t, axes.index("T")), axes.replace("T", ""), shape)


def find_movies(paths: Sequence[str | Path], axes: str | None = None) -> list[Movie]:
    """Find the movies in the folders given.

    Parameters
    ----------
    paths
        Folders.
    axes
        Letters of the dimensions of every TIFF file, which count whatever the files state; None: as stated.

    Raises
    ------
    InvalidInputError
        A folder holds no movie, its files do not fit together, or two movies have one name.
    """
    if axes is not None:
        check_axes("axes", axes)
    movies = [movie for path in paths for movie in _find(Path(path))]
    if not movies:
        raise InvalidInputError("movies=[]: name at least one folder.")
    names = [movie.name for movie in movies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"movies: two folders are called {', '.join(twice)}; rename one of them.")
    for name in names:
        if not name.isprintable() or not name.strip() or name == EXPERIMENTS_FILE:
            raise InvalidInputError(
                f"movies: a folder is called {name!r}, which becomes the experiment's name: letters that can "
                f"be printed, and not {EXPERIMENTS_FILE!r}; rename it."
            )
    return movies if axes is None else [replace(movie, axes=axes) for movie in movies]


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
        there = [folder for folder in _track_folders(sequence) if folder.is_dir()]
        tracks = next((folder for folder in there if find_track_list(folder)), there[0])
        name = f"{sequence.parent.name}_{sequence.name}"
        yield Movie(name=name, frames=_frames(sequence), tracks=tracks, depth_first=True)


def _track_folders(sequence: Path) -> list[Path]:
    """Return where tracks may lie: the truth before results. Folders of segmentations hold none."""
    return [sequence.parent / f"{sequence.name}_{name}" for name in ("GT/TRA", "TRA", "RES")]


def _has_tracks(path: Path) -> bool:
    named = path.is_dir() and _SEQUENCE.match(path.name) is not None
    return named and any(folder.is_dir() for folder in _track_folders(path))


def _frames(folder: Path) -> tuple[Path, ...]:
    """Return the TIFF files of a folder by the number that ends their names: 0, 1, 2 and so on."""
    numbered: dict[int, Path] = {}
    files = sorted(p for p in folder.iterdir() if _is_tiff(p))
    if len(files) == 1:
        return tuple(files)
    for path in files:
        number = _NUMBER.search(path.stem.lower().removesuffix(".ome"))  # 0.ome.tif
        if number is None:
            raise InvalidInputError(f"{path}: the name does not end with a frame number, such as t000.tif.")
        if int(number[1]) in numbered:
            raise InvalidInputError(f"{path}: {numbered[int(number[1])].name} has the same frame number.")
        numbered[int(number[1])] = path
    if not numbered:
        raise InvalidInputError(f"{folder}: no TIFF files (*.tif, *.tiff).")
    _check_gaps(folder, numbered)
    return tuple(numbered[t] for t in sorted(numbered))


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in _TIFF and not path.name.startswith(".")


def _check_gaps(folder: Path, numbered: dict[int, Path]) -> None:
    last = max(numbered)
    count = last + 1 - len(numbered)
    if not count:
        return
    gaps = ", ".join(str(t) for t in islice((t for t in range(last) if t not in numbered), 5))
    named, are = ("frame", "is") if count == 1 else ("frames", "are")
    raise InvalidInputError(
        f"{folder}: {named} {gaps}{', ...' if count > 5 else ''} {are} missing ({count} of {last + 1}, the "
        f"last is {numbered[last].name}); frames are numbered from 0 without gaps: add or renumber files."
    )


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
    return (
        None
        if value is None
        else check_axes(f"{file}: frame_axes", value if isinstance(value, str) else str(value))
    )


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
