"""Cell Tracking Challenge folders: a track list beside label masks.

``man_track.txt`` or ``res_track.txt`` holds one line ``label begin end parent`` for each track (parent
0: none); ``man_trackNNN.tif`` or ``maskNNN.tif`` holds the labels of frame NNN, (Y, X) or (Z, Y, X).
A cell's place is the centroid of its label. Format: Ulman et al. 2017, Nature Methods 14, 1141.
"""

import re
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from viscy_data.columns import NO_PARENT
from viscy_data.detections import Detections, FloatArray
from viscy_data.errors import TracksError
from viscy_data.experiments import FovInfo
from viscy_data.lineage import IntArray

TRACK_LISTS = ("man_track.txt", "res_track.txt")

_LARGEST = np.iinfo(np.int32).max
_MASK = re.compile(r"(?:man_track|mask)(\d+)\.tiff?$", re.IGNORECASE)


def find_track_list(folder: Path) -> Path | None:
    """Return the track list of a folder, or None where it is no Cell Tracking Challenge folder."""
    return next((folder / name for name in TRACK_LISTS if (folder / name).is_file()), None)


def read_ctc(track_list: Path, info: FovInfo, fov: int) -> Detections:
    """Read a Cell Tracking Challenge folder.

    Parameters
    ----------
    track_list
        ``man_track.txt`` or ``res_track.txt``; the masks lie beside it.
    info, fov
        The field of view that the folder belongs to, and its index.

    Raises
    ------
    TracksError
        Where list and masks cannot be read or disagree; rows are lines of the track list.
    """
    lines = _read_list(track_list)
    masks = {int(match[1]): path for path in track_list.parent.iterdir() if (match := _MASK.match(path.name))}
    if not masks:
        raise TracksError(
            f"{track_list.parent}: no label masks (man_trackNNN.tif or maskNNN.tif) beside the list"
        )
    beyond = [path.name for t, path in masks.items() if t >= info.shape[0]]
    if beyond:
        raise TracksError(
            f"{track_list.parent}: {min(beyond)}: t lies outside the movie of {info.shape[0]} frames"
        )
    frames = [_centroids(path, info) for _, path in sorted(masks.items())]
    counts = [len(labels) for labels, _ in frames]
    t = np.repeat(np.array(sorted(masks), dtype=np.int64), counts)
    labels = np.concatenate([labels for labels, _ in frames])
    places = np.concatenate([places for _, places in frames])
    line = _lines_of(track_list, lines, labels, t)
    parent = lines[line, 3]
    return Detections(
        file=track_list,
        rows=line + 1,
        unit="line",
        fov=np.full(len(labels), fov, dtype=np.int64),
        track_id=labels,
        parent_track_id=np.where(parent == 0, NO_PARENT, parent),
        t=t,
        y=places[:, 1],
        x=places[:, 2],
        z=places[:, 0] if info.shape[2] > 1 and _has_depth(next(iter(masks.values()))) else None,
    )


def _read_list(path: Path) -> IntArray:
    """Return the track list as (n, 4): label, begin, end, parent; line i is row i."""
    rows: list[list[int]] = []
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TracksError(f"{path}: the track list cannot be read: {error}") from error
    for number, text in enumerate(texts, start=1):
        fields = text.split()
        try:
            values = [int(field) for field in fields]
        except ValueError:
            values = []
        if fields and (len(values) != 4 or values[0] < 1 or max(map(abs, values)) > _LARGEST):
            raise TracksError(
                f"{path}: line {number}: {text!r} is not 'label begin end parent' in whole numbers "
                f"of at most {_LARGEST}"
            )
        rows.append(values or [0, 0, -1, 0])
    lines = np.array(rows, dtype=np.int64).reshape(-1, 4)
    labels, times = np.unique(lines[lines[:, 0] > 0, 0], return_counts=True)
    twice = labels[times > 1]
    if len(twice):
        raise TracksError(f"{path}: column 'label': {twice[0]} is there a second time")
    return lines


def _lines_of(path: Path, lines: IntArray, labels: IntArray, t: IntArray) -> IntArray:
    """Return the line that each detection's label has in the list, checked against its frames."""
    order = np.argsort(lines[:, 0], kind="stable")
    place = np.searchsorted(lines[order, 0], labels).clip(max=max(len(lines) - 1, 0))
    line = order[place] if len(lines) else np.full(len(labels), -1, dtype=np.int64)
    line = np.where(lines[line, 0] == labels, line, -1) if len(lines) else line
    unknown = np.flatnonzero(line < 0)
    if len(unknown):
        label, frame = labels[unknown[0]], t[unknown[0]]
        raise TracksError(
            f"{path}: column 'label': the mask of frame {frame} holds label {label}, the list does not"
        )
    outside = np.flatnonzero((t < lines[line, 1]) | (t > lines[line, 2]))
    if len(outside):
        label, frame, (_, begin, end, _) = labels[outside[0]], t[outside[0]], lines[line[outside[0]]]
        where = f"{path}: line {line[outside[0]] + 1}, columns 'begin', 'end'"
        raise TracksError(f"{where}: label {label} is in the mask of frame {frame}, outside {begin} .. {end}")
    return line


def _centroids(path: Path, info: FovInfo) -> tuple[IntArray, FloatArray]:
    """Return the labels (k,) of a mask and their centroids (k, 3): z, y, x."""
    mask = _read_mask(path, info)
    volume = mask.reshape(-1, *mask.shape[-2:])
    places = np.nonzero(volume)
    values, inverse, counts = np.unique(volume[places], return_inverse=True, return_counts=True)
    sums = [np.bincount(inverse, weights=axis, minlength=len(values)) for axis in places]
    return values.astype(np.int64), np.stack(sums, axis=1) / counts[:, None]


def _read_mask(path: Path, info: FovInfo) -> NDArray[np.integer]:
    """Return a mask; what it says of itself is checked before any of its pixels is read."""
    try:
        with tifffile.TiffFile(path) as tiff:
            _check_mask(path, tiff.series[0].shape, tiff.series[0].dtype, info)
            return np.asarray(tiff.asarray())
    except TracksError:
        raise
    except Exception as error:  # of a damaged file tifffile raises whatever comes of it
        raise TracksError(f"{path}: the label mask cannot be read: {error}") from error


def _check_mask(path: Path, shape: tuple[int, ...], dtype: np.dtype | None, info: FovInfo) -> None:
    if len(shape) not in (2, 3) or dtype is None or not np.issubdtype(dtype, np.integer):
        raise TracksError(f"{path}: a label mask is (Y, X) or (Z, Y, X) of integers; got {dtype}{shape}")
    if shape[-2:] != info.shape[-2:]:
        raise TracksError(
            f"{path}: the mask is {shape[-2:]}, images of fov {info.fov!r} are {info.shape[-2:]}"
        )
    if len(shape) == 3 and 1 < info.shape[2] < shape[0]:
        raise TracksError(
            f"{path}: the mask has {shape[0]} slices, images of fov {info.fov!r} have {info.shape[2]}"
        )


def _has_depth(path: Path) -> bool:
    with tifffile.TiffFile(path) as tiff:
        return len(tiff.series[0].shape) == 3
