"""The anchors table: one row for each cell and frame, built from tracks, kept in one Parquet file.

An *anchor* is a row. ``y_crop, x_crop`` is the centre of its patch: the cell's centre, rounded to a pixel
of the image, and ``outside`` the share of the patch that lies outside the image. What becomes of that share
is a choice (:mod:`viscy_data.tables.borders`): it is filled by reflection, the centre is moved until nothing
is outside, or the cell is left out.

Where the experiments file says ``samples: channels``, each row then becomes one of each channel
(:mod:`viscy_data.tables.anchors.channel_rows`).

Invariants: rows are sorted by experiment, fov, t and track (and channel); columns are those of
:data:`viscy_data.columns.ANCHOR_COLUMNS` (and ``CHANNEL_COLUMNS``); no row is lost without being
counted under a reason (:mod:`viscy_data.tables.anchors.lost_rows`); no string is made for a row, only for a
track (:mod:`viscy_data.tables.anchors.repeated_values`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from viscy_data.columns import (
    ANCHOR_COLUMNS,
    CELL_ID,
    CHANNEL,
    CHANNEL_COLUMNS,
    CONDITION,
    EXPERIMENT,
    FOV,
    HOURS,
    OUTSIDE,
    PARENT_TRACK_ID,
    TRACK_ID,
    WELL,
    X_CROP,
    Y_CROP,
    T,
    X,
    Y,
    Z,
)
from viscy_data.errors import InvalidInputError
from viscy_data.tables.anchors.channel_rows import BlankChannel, channel_rows
from viscy_data.tables.anchors.lost_rows import (
    BLANK_FRAME,
    OVER_BORDER,
    count_lost,
    first_reasons,
    in_blank_frames,
    lost_by_reason,
    total_by_reason,
)
from viscy_data.tables.anchors.repeated_values import each_row, identities, labels_by_row
from viscy_data.tables.anchors.slices import channel_planes, with_planes
from viscy_data.tables.borders import Border, check_border, lengths_outside, share_outside
from viscy_data.tables.coincidence import coincidences
from viscy_data.tables.crops import clamp_centres, crop_size, is_too_large, pixel_size, round_centres
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.lineage import IntArray
from viscy_data.tables.own_columns.gather import OwnColumns, gather_own
from viscy_data.tables.tracks.read import load_tracks
from viscy_data.tables.z_policy import Planes


@dataclass(frozen=True)
class Built:
    """The anchors of one experiment, and what was lost on the way.

    Attributes
    ----------
    frame
        The anchors table's columns.
    dropped
        Rows lost, by condition, then by reason.
    without_tracks
        Fields of view in the store for which there are no tracks.
    own
        Columns of one's own, of the same rows.
    notes
        Whatever else its user should know, one sentence each.
    """

    frame: pd.DataFrame
    dropped: dict[str | None, dict[str, int]]
    without_tracks: tuple[str, ...]
    own: OwnColumns
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Places:
    """Where the patches of tracks are: the centre of each along y and x, and its share outside the image."""

    centres: tuple[NDArray[np.int32], NDArray[np.int32]]
    outside: NDArray[np.float32]

    def take(self, kept: IntArray) -> "_Places":
        y, x = self.centres
        return _Places((y[kept], x[kept]), self.outside[kept])


def build_anchors(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    *,
    patch_size: tuple[int, int],
    common_pixel_size_um: float | None = None,
    border: Border = "reflect",
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Build the anchors of one experiment.

    Parameters
    ----------
    experiment, fovs
        The experiment and its store's fields of view.
    patch_size
        Rows and columns of a patch.
    common_pixel_size_um
        Micrometres per pixel of every patch; None: patches are taken in the store's pixels.
    border
        What becomes of patches that reach over the border of their image.

    Returns
    -------
    frame
        The anchors, sorted by fov, t and track; and by channel, where a row is one channel of a cell.
        Columns of one's own come last.
    dropped
        Rows lost, by reason.

    Raises
    ------
    TracksError
        Where the tracks are malformed.
    InvalidInputError
        Where no patch of this size can be taken from an image, an option is not allowed, or the slice in
        focus is asked for, which takes images (:func:`viscy_data.build_index`).
    """
    if experiment.slices.measured:
        raise InvalidInputError(
            f"experiment {experiment.name!r}: z='focus' takes images; build the table with build_index, or "
            "set another z."
        )
    built = build_experiment(
        experiment, fovs, patch_size=patch_size, common_pixel_size_um=common_pixel_size_um, border=border
    )
    frame = built.frame.join(built.own.table.to_pandas()) if built.own.described else built.frame
    return frame, total_by_reason(built.dropped)


def build_experiment(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    *,
    patch_size: tuple[int, int],
    common_pixel_size_um: float | None = None,
    border: Border = "reflect",
    blank: Sequence[tuple[str, int]] | Sequence[BlankChannel] = (),
    planes: Planes | None = None,
) -> Built:
    """Build the anchors of one experiment, with losses by condition; see :func:`build_anchors`.

    ``blank`` are the (fov, t), or the (fov, t, channel) where a row is a channel, that show nothing: no row
    of them is kept. ``planes`` are the slices in focus; while they are not known, the middle ones are taken.
    """
    whole = [one for one in blank if len(one) == 2]
    planes = planes or {}
    built = _build_cells(experiment, fovs, patch_size, common_pixel_size_um, border, (whole, planes))
    if experiment.samples == "cells":
        return built
    frame, lost = channel_rows(built.frame, experiment, [one for one in blank if len(one) == 3])
    frame = channel_planes(frame, experiment, fovs, planes)
    count = len(experiment.channels)
    dropped = {
        condition: {reason: many * count for reason, many in counts.items()}
        for condition, counts in built.dropped.items()
    }
    for condition, many in lost.items():
        counts = dropped.setdefault(condition, {})
        counts[BLANK_FRAME] = counts.get(BLANK_FRAME, 0) + many
    return replace(built, frame=frame, dropped=dropped, own=built.own.take(frame[CELL_ID].to_numpy()))


def _build_cells(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    patch_size: tuple[int, int],
    common_pixel_size_um: float | None,
    border: Border,
    seen: tuple[Sequence[tuple[str, int]], Planes],
) -> Built:
    """Build a row for each cell and frame; ``seen`` is what their images showed: blank frames, and planes."""
    blank, planes = seen
    check_border(border)
    if min(patch_size) < 1:
        raise InvalidInputError(
            f"patch_size={patch_size!r}: two whole numbers >= 1, rows and columns, are needed"
        )
    fovs = sorted(fovs, key=lambda info: info.fov)
    crops = np.array(
        [crop_size(patch_size, pixel_size(experiment, i), common_pixel_size_um) for i in fovs], dtype=np.int64
    )
    _check_fit(experiment, fovs, crops, border)
    loaded = load_tracks(experiment, fovs)
    tracks = with_planes(loaded.frame, experiment, fovs, planes)
    fov = tracks[FOV].cat.codes.to_numpy().astype(np.int64)
    shapes = np.array([info.shape for info in fovs], dtype=np.int64)
    conditions = [experiment.condition_of(info.well) for info in fovs]
    places = _places(tracks, fov, shapes, crops, border)
    lost = lost_by_reason(experiment, tracks, fov, shapes, conditions)
    if border == "drop":
        lost[OVER_BORDER] = places.outside > 0
    if blank:
        lost[BLANK_FRAME] = in_blank_frames(blank, [info.fov for info in fovs], fov, tracks[T].to_numpy())
    reason = first_reasons(lost, len(fov))
    kept = np.flatnonzero(reason < 0)
    frame = _columns(experiment, fovs, tracks, kept, places)
    with_tracks = loaded.columns()
    if with_tracks is not None and len(kept) < len(fov):
        with_tracks = with_tracks.take(pa.array(kept))
    own = gather_own(experiment, fovs, frame, with_tracks)
    tracked = np.bincount(fov, minlength=len(fovs)) > 0
    missing = [info.fov for info, there in zip(fovs, tracked, strict=True) if not there]
    without = tuple(name for name in missing if name not in experiment.exclude_fovs)
    notes = (
        *loaded.notes,
        *_mostly_outside(experiment, fovs, crops),
        *coincidences(frame, shifted=border == "shift"),
    )
    return Built(frame, count_lost(conditions, fov, reason), without, own, notes)


def concat_anchors(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the anchors of several experiments, each sorted, into one table sorted by experiment.

    String columns stay categorical; their categories are united.
    """
    frames = sorted(frames, key=lambda frame: str(frame[EXPERIMENT].cat.categories[0]))
    columns: dict[str, object] = {}
    by_channel = CHANNEL_COLUMNS if CHANNEL in frames[0] else ()
    for column in (*ANCHOR_COLUMNS, *by_channel):
        parts = [frame[column.name] for frame in frames]
        if column.name == CELL_ID:
            first = np.cumsum([0, *(part.max() + 1 for part in parts[:-1])])
            parts = [part + start for part, start in zip(parts, first.tolist(), strict=True)]
        columns[column.name] = (
            union_categoricals(parts) if column.dtype == "dictionary" else pd.concat(parts, ignore_index=True)
        )
    return pd.DataFrame(columns)


def _check_fit(experiment: Experiment, fovs: Sequence[FovInfo], crops: IntArray, border: Border) -> None:
    large = [
        f"{info.fov} ({info.shape[-2]} x {info.shape[-1]}, needs {height} x {width})"
        for info, (height, width) in zip(fovs, crops.tolist(), strict=True)
        if info.fov not in experiment.exclude_fovs and is_too_large((height, width), info.shape[-2:], border)
    ]
    if large:
        remedy = "take border='reflect', " if border == "shift" else "check the pixel sizes, "
        raise InvalidInputError(
            f"experiment {experiment.name!r}: patch_size does not fit into fov {', '.join(large)}; "
            f"{remedy}take a smaller patch or list these under exclude_fovs"
        )


def _mostly_outside(experiment: Experiment, fovs: Sequence[FovInfo], crops: IntArray) -> tuple[str, ...]:
    """Say where more than half of every patch lies outside the image, wherever its cell is."""
    small = [
        f"{info.fov} ({info.shape[-2]} x {info.shape[-1]}, patches of {height} x {width})"
        for info, (height, width) in zip(fovs, crops.tolist(), strict=True)
        if info.fov not in experiment.exclude_fovs
        and 2 * min(height, info.shape[-2]) * min(width, info.shape[-1]) < height * width
    ]
    if not small:
        return ()
    more = f" and {len(small) - 3} more" if len(small) > 3 else ""
    return (f"more than half of each patch lies outside fov {', '.join(small[:3])}{more}",)


def _places(
    tracks: pd.DataFrame, fov: IntArray, shapes: IntArray, crops: IntArray, border: Border
) -> _Places:
    """Place the patch of each row; those of cells that are not on the image are of no use."""
    centres, lost, sizes = [], [], []
    for axis, name in enumerate((Y, X)):
        crop, extent = (
            each_row(values.astype(np.int32), fov) for values in (crops[:, axis], shapes[:, axis + 3])
        )
        pixels = round_centres(tracks[name].to_numpy(), extent)
        lost.append(lengths_outside(pixels, crop, extent))
        sizes.append(crop)
        centres.append(clamp_centres(pixels, crop, extent) if border == "shift" else pixels)
    return _Places((centres[0], centres[1]), share_outside((lost[0], lost[1]), (sizes[0], sizes[1])))


def _columns(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    tracks: pd.DataFrame,
    kept: IntArray,
    places: _Places,
) -> pd.DataFrame:
    """Build the anchors table's columns for the kept rows."""
    every_fov = tracks[FOV].cat.codes.to_numpy().astype(np.int64)
    names = identities(experiment, fovs, tracks, every_fov, kept)
    whole = len(kept) == len(tracks)
    frame, fov = (tracks, every_fov) if whole else (tracks.iloc[kept], every_fov[kept])
    occurs = np.bincount(fov, minlength=len(fovs)) > 0
    places = places if whole else places.take(kept)
    depth = np.array([info.shape[2] for info in fovs], dtype=np.int64)
    t, y, x, z = (frame[name].to_numpy() for name in (T, Y, X, Z))
    depth = each_row(depth, fov)
    z = np.where(np.isnan(z), depth // 2, np.clip(np.floor(z + 0.5), 0, depth - 1))
    return pd.DataFrame(
        {
            EXPERIMENT: labels_by_row(fov, occurs, [experiment.name] * len(fovs)),
            CONDITION: labels_by_row(fov, occurs, [experiment.condition_of(info.well) for info in fovs]),
            WELL: labels_by_row(fov, occurs, [info.well for info in fovs]),
            FOV: labels_by_row(fov, occurs, [info.fov for info in fovs]),
            TRACK_ID: frame[TRACK_ID].to_numpy(),
            PARENT_TRACK_ID: frame[PARENT_TRACK_ID].to_numpy(),
            T: t,
            **names,
            HOURS: experiment.hours(t).astype(np.float32),
            Y: y,
            X: x,
            Z: z.astype(np.int16),
            Y_CROP: places.centres[0],
            X_CROP: places.centres[1],
            OUTSIDE: places.outside,
        },
        copy=False,
    )
