"""Cell Tracking Challenge folders: a track list beside label masks.

``man_track.txt`` or ``res_track.txt`` holds one line ``label begin end parent`` for each track (parent
0: none); ``man_trackNNN.tif`` or ``maskNNN.tif`` holds the labels of frame NNN, (Y, X) or (Z, Y, X).
A cell's place is the centroid of its label. Format: Ulman et al. 2017, Nature Methods 14, 1141.

Masks of both names may lie in one folder, of which one kind are a segmentation with labels of its own: those
named like the list belong to it. The list may also know a track of which no mask shows a pixel: its
daughters are then those of its nearest ancestor that is seen, or sisters under the name of the first one.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.columns import NO_PARENT
from viscy_data.errors import InvalidInputError, TracksError
from viscy_data.files.tiff import TiffImage, open_tiff
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.tracks.detections import Detections, FloatArray

TRACK_LISTS: Final = ("man_track.txt", "res_track.txt")

_LARGEST = np.iinfo(np.int32).max
_MASKS: Final = {"man_track.txt": "man_track", "res_track.txt": "mask"}
_MASK = re.compile(r"(man_track|mask)(\d{1,9})\.tiff?$", re.IGNORECASE)
_LONGEST_LIST: Final = 2**28
"""Bytes of a track list."""


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
    masks = _masks_of(track_list)
    beyond = [path.name for t, path in masks.items() if t >= info.shape[0]]
    if beyond:
        raise TracksError(
            f"{track_list.parent}: {min(beyond)}: t lies outside the movie of {info.shape[0]} frames"
        )
    frames = [_centroids(path, info) for _, path in sorted(masks.items())]
    counts = [len(labels) for labels, _, _ in frames]
    t = np.repeat(np.array(sorted(masks), dtype=np.int64), counts)
    labels = np.concatenate([labels for labels, _, _ in frames])
    places = np.concatenate([places for _, places, _ in frames])
    line = _lines_of(track_list, lines, labels, t)
    return Detections(
        file=track_list,
        rows=line + 1,
        unit="line",
        fov=np.full(len(labels), fov, dtype=np.int64),
        track_id=labels,
        parent_track_id=_seen_parents(lines, labels)[line],
        t=t,
        y=places[:, 1],
        x=places[:, 2],
        z=places[:, 0] if info.shape[2] > 1 and frames[0][2] else None,
        known=np.setdiff1d(lines[lines[:, 0] > 0, 0], labels),
        left_out=_left_out(lines, masks, len(labels), info.shape[0]),
    )


def _masks_of(track_list: Path) -> dict[int, Path]:
    """Return the masks that belong to a list, by frame: those named like it, or the only ones there."""
    found: dict[str, dict[int, Path]] = {}
    for path in sorted(track_list.parent.iterdir()):
        if match := _MASK.match(path.name):
            kind = found.setdefault(match[1].lower(), {})
            if (other := kind.setdefault(int(match[2]), path)) != path:
                raise TracksError(f"{path}: {other.name} is the mask of the same frame; keep one")
    if not found:
        raise TracksError(
            f"{track_list.parent}: no label masks (man_trackNNN.tif or maskNNN.tif) beside the list; masks "
            "of a segmentation (man_segNNN.tif) have labels of their own"
        )
    return found.get(_MASKS[track_list.name], next(iter(found.values())))


def _left_out(lines: IntArray, masks: Mapping[int, Path], detections: int, frames: int) -> dict[str, int]:
    """Count what the list knows and no mask shows."""
    begin, end = lines[:, 1].clip(0), lines[:, 2].clip(max=frames - 1)
    there = (lines[:, 0] > 0) & (begin <= end)
    begin, end = begin[there], end[there]
    places = int((end - begin + 1).sum()) - detections
    covered = np.zeros(frames + 1, dtype=np.int64)
    np.add.at(covered, begin, 1)
    np.add.at(covered, end + 1, -1)
    unmasked = np.setdiff1d(np.flatnonzero(np.cumsum(covered)[:-1]), list(masks))
    counts = {"cells of the track list that no mask shows": places, "frames without a mask": len(unmasked)}
    return {reason: count for reason, count in counts.items() if count}


def _seen_parents(lines: IntArray, labels: IntArray) -> IntArray:
    """Return the parent of every line, by way of the nearest ancestor that a mask shows, if there is one."""
    mother = {int(label): int(parent) for label, _, _, parent in lines}
    seen = set(np.unique(labels).tolist())

    def nearest(label: int) -> int:
        parent = mother[label]
        passed = {label}
        while parent not in seen and mother.get(parent, 0) > 0 and parent not in passed:
            passed.add(parent)
            parent = mother[parent]
        return NO_PARENT if parent in (0, label) else parent

    return np.array([nearest(int(label)) for label in lines[:, 0]], dtype=np.int64)


def _read_list(path: Path) -> IntArray:
    """Return the track list as (n, 4): label, begin, end, parent; line i is row i."""
    try:
        size = path.stat().st_size
        if size > _LONGEST_LIST:
            raise TracksError(
                f"{path}: the track list has {size:,} bytes; at most {_LONGEST_LIST:,} are read"
            )
        texts = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TracksError(f"{path}: the track list cannot be read: {error}") from error
    rows: list[list[int]] = []
    for number, text in enumerate(texts, start=1):
        fields = text.partition("#")[0].split()
        values = _whole(fields[:4])  # programs add columns of their own
        if fields and (len(values) != 4 or values[0] < 1 or max(map(abs, values)) > _LARGEST):
            raise TracksError(
                f"{path}: line {number}: {text[:80]!r} is not 'label begin end parent' in whole numbers "
                f"of at most {_LARGEST}"
            )
        if fields and values[1] > values[2]:
            raise TracksError(
                f"{path}: line {number}, columns 'begin', 'end': {text[:80]!r} ends before it begins"
            )
        rows.append(values or [0, 0, -1, 0])
    lines = np.array(rows, dtype=np.int64).reshape(-1, 4)
    labels, times = np.unique(lines[lines[:, 0] > 0, 0], return_counts=True)
    twice = labels[times > 1]
    if len(twice):
        raise TracksError(f"{path}: column 'label': {twice[0]} is there a second time")
    return lines


def _whole(fields: Sequence[str]) -> list[int]:
    """Return whole numbers, which NumPy writes as ``1.0e+00``; none where one is not."""
    try:
        return [int(field) for field in fields]
    except ValueError:
        pass
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return []
    return [int(number) for number in numbers] if all(number.is_integer() for number in numbers) else []


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


def _centroids(path: Path, info: FovInfo) -> tuple[IntArray, FloatArray, bool]:
    """Return the labels (k,) of a mask, their centroids (k, 3): z, y, x, and whether it has slices."""
    mask = _read_mask(path, info)
    volume = mask.reshape(-1, *mask.shape[-2:])
    places = np.nonzero(volume)
    values, inverse, counts = np.unique(volume[places], return_inverse=True, return_counts=True)
    sums = [np.bincount(inverse, weights=axis, minlength=len(values)) for axis in places]
    return values.astype(np.int64), np.stack(sums, axis=1) / counts[:, None], mask.ndim == 3


def _read_mask(path: Path, info: FovInfo) -> NDArray[np.integer]:
    """Return a mask; what it says of itself is checked before any of its pixels is read."""
    try:
        with open_tiff(path) as tiff:
            shape = _check_mask(path, tiff.image, info)
            return tiff.read().reshape(shape)
    except TracksError:
        raise
    except InvalidInputError as error:
        why = str(error).removeprefix(f"{path}: ")
        raise TracksError(f"{path}: the label mask cannot be read: {why}") from error


def _check_mask(path: Path, image: TiffImage, info: FovInfo) -> tuple[int, ...]:
    """Return the shape of a mask, (Y, X) or (Z, Y, X)."""
    shape = (*(length for length in image.shape[:-2] if length > 1), *image.shape[-2:])
    if len(shape) not in (2, 3) or "S" in image.axes or not np.issubdtype(image.dtype, np.integer):
        raise TracksError(
            f"{path}: a label mask is (Y, X) or (Z, Y, X) of integers; got {image.dtype}{shape}, "
            f"axes {image.axes}"
        )
    if shape[-2:] != info.shape[-2:]:
        raise TracksError(
            f"{path}: the mask is {shape[-2:]}, images of fov {info.fov!r} are {info.shape[-2:]}"
        )
    if len(shape) == 3 and 1 < info.shape[2] < shape[0]:
        raise TracksError(
            f"{path}: the mask has {shape[0]} slices, images of fov {info.fov!r} have {info.shape[2]}"
        )
    return shape
