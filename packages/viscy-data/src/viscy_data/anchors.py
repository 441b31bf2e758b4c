"""The anchors table: one row for each cell and frame, built from tracks, kept in one Parquet file.

An *anchor* is a row. ``y_crop, x_crop`` is the centre of its patch: the cell's centre, rounded to a
pixel, then moved so that the whole patch lies inside the image (:mod:`viscy_data.crops`).

Invariants: rows are sorted by experiment, fov, t and track; columns are those of
:data:`viscy_data.columns.ANCHOR_COLUMNS`; no row is lost without being counted under a reason; no
string is made for a row, only for a track.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pa_compute
from numpy.typing import NDArray
from pandas.api.types import union_categoricals

from viscy_data.anchors_file import AnchorsMetadata, read_anchors, read_metadata
from viscy_data.anchors_writing import write_anchors
from viscy_data.columns import (
    ANCHOR_COLUMNS,
    CONDITION,
    EXPERIMENT,
    FOV,
    GLOBAL_TRACK_ID,
    HOURS,
    LINEAGE_ID,
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
from viscy_data.crops import clamp_centres, crop_size, pixel_size
from viscy_data.errors import InvalidInputError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.lineage import BoolArray, IntArray, build_forest, root_tracks
from viscy_data.tracks import read_tracks

OUTSIDE_IMAGE: Final = "centre outside the image"
OUTSIDE_STACK: Final = "z outside the stack"
NO_CONDITION: Final = "well under no condition"
REASONS: Final = (NO_CONDITION, OUTSIDE_IMAGE, OUTSIDE_STACK)
"""Why a detection is not in the table; the first that holds counts."""

__all__ = [
    "REASONS",
    "AnchorsMetadata",
    "Built",
    "build_anchors",
    "build_experiment",
    "concat_anchors",
    "read_anchors",
    "read_metadata",
    "total_by_reason",
    "write_anchors",
]


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
    """

    frame: pd.DataFrame
    dropped: dict[str | None, dict[str, int]]
    without_tracks: tuple[str, ...]


def build_anchors(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    *,
    patch_size: tuple[int, int],
    common_pixel_size_um: float | None = None,
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

    Returns
    -------
    frame
        The anchors, sorted by fov, t and track.
    dropped
        Rows lost, by reason.

    Raises
    ------
    TracksError
        Where the tracks are malformed.
    InvalidInputError
        Where the patch does not fit into an image, or is none.
    """
    built = build_experiment(
        experiment, fovs, patch_size=patch_size, common_pixel_size_um=common_pixel_size_um
    )
    return built.frame, total_by_reason(built.dropped)


def build_experiment(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    *,
    patch_size: tuple[int, int],
    common_pixel_size_um: float | None = None,
) -> Built:
    """Build the anchors of one experiment, with losses by condition; see :func:`build_anchors`."""
    if min(patch_size) < 1:
        raise InvalidInputError(
            f"patch_size={patch_size!r}: two whole numbers >= 1, rows and columns, are needed"
        )
    fovs = sorted(fovs, key=lambda info: info.fov)
    crops = np.array(
        [crop_size(patch_size, pixel_size(experiment, i), common_pixel_size_um) for i in fovs], dtype=np.int64
    )
    _check_fit(experiment, fovs, crops)
    tracks = read_tracks(experiment, fovs)
    fov = tracks[FOV].cat.codes.to_numpy().astype(np.int64)
    shapes = np.array([info.shape for info in fovs], dtype=np.int64)
    conditions = [experiment.condition_of(info.well) for info in fovs]
    reason = _reasons(experiment, tracks, fov, shapes, conditions)
    kept = np.flatnonzero(reason < 0)
    frame = _columns(experiment, fovs, tracks, kept, crops)
    tracked = np.bincount(fov, minlength=len(fovs)) > 0
    missing = [info.fov for info, there in zip(fovs, tracked, strict=True) if not there]
    without = tuple(name for name in missing if name not in experiment.exclude_fovs)
    return Built(frame, _count(conditions, fov, reason), without)


def concat_anchors(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the anchors of several experiments, each sorted, into one table sorted by experiment.

    String columns stay categorical; their categories are united.
    """
    frames = sorted(frames, key=lambda frame: str(frame[EXPERIMENT].cat.categories[0]))
    columns: dict[str, object] = {}
    for column in ANCHOR_COLUMNS:
        parts = [frame[column.name] for frame in frames]
        columns[column.name] = (
            union_categoricals(parts) if column.dtype == "dictionary" else pd.concat(parts, ignore_index=True)
        )
    return pd.DataFrame(columns)


def total_by_reason(dropped: Mapping[str | None, Mapping[str, int]]) -> dict[str, int]:
    """Add up the losses of all conditions."""
    totals = dict.fromkeys(REASONS, 0)
    for counts in dropped.values():
        for reason, count in counts.items():
            totals[reason] += count
    return {reason: count for reason, count in totals.items() if count}


def _check_fit(experiment: Experiment, fovs: Sequence[FovInfo], crops: IntArray) -> None:
    small = [
        f"{info.fov} ({info.shape[-2]} x {info.shape[-1]}, needs {height} x {width})"
        for info, (height, width) in zip(fovs, crops.tolist(), strict=True)
        if info.fov not in experiment.exclude_fovs and (height > info.shape[-2] or width > info.shape[-1])
    ]
    if small:
        raise InvalidInputError(
            f"experiment {experiment.name!r}: patch_size does not fit into fov {', '.join(small)}; "
            "take a smaller patch or list these under exclude_fovs"
        )


def _reasons(
    experiment: Experiment,
    tracks: pd.DataFrame,
    fov: IntArray,
    shapes: IntArray,
    conditions: Sequence[str | None],
) -> NDArray[np.int8]:
    """Return the index into ``REASONS`` of each row (N,) that is lost, else -1."""
    depth, height, width = (_each(shapes[:, axis], fov) for axis in (2, 3, 4))
    y, x = (tracks[name].to_numpy() for name in (Y, X))
    z = np.floor(tracks[Z].to_numpy(np.float64) + 0.5)
    lost = {
        NO_CONDITION: np.array([c is None for c in conditions])[fov]
        if experiment.condition_wells is not None
        else np.zeros(len(fov), dtype=np.bool_),
        OUTSIDE_IMAGE: (y < 0) | (y >= height) | (x < 0) | (x >= width),
        OUTSIDE_STACK: (z < 0) | (z >= depth),
    }
    reason = np.full(len(fov), -1, dtype=np.int8)
    for i in reversed(range(len(REASONS))):
        reason[lost[REASONS[i]]] = i
    return reason


def _count(
    conditions: Sequence[str | None], fov: IntArray, reason: NDArray[np.int8]
) -> dict[str | None, dict[str, int]]:
    dropped: dict[str | None, dict[str, int]] = {}
    lost = np.flatnonzero(reason >= 0)
    pairs, counts = np.unique(fov[lost] * len(REASONS) + reason[lost], return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        i, why = divmod(pair, len(REASONS))
        by_reason = dropped.setdefault(conditions[i], {})
        by_reason[REASONS[why]] = by_reason.get(REASONS[why], 0) + count
    return dropped


def _columns(
    experiment: Experiment,
    fovs: Sequence[FovInfo],
    tracks: pd.DataFrame,
    kept: IntArray,
    crops: IntArray,
) -> pd.DataFrame:
    """Build the anchors table's columns for the kept rows."""
    every_fov = tracks[FOV].cat.codes.to_numpy().astype(np.int64)
    names = _identities(experiment, fovs, tracks, every_fov, kept)
    whole = len(kept) == len(tracks)
    frame, fov = (tracks, every_fov) if whole else (tracks.iloc[kept], every_fov[kept])
    occurs = np.bincount(fov, minlength=len(fovs)) > 0
    depth, height, width = np.array([info.shape[2:] for info in fovs], dtype=np.int64).T
    t, y, x, z = (frame[name].to_numpy() for name in (T, Y, X, Z))
    z = np.where(np.isnan(z), _each(depth // 2, fov), np.floor(z + 0.5))
    return pd.DataFrame(
        {
            EXPERIMENT: _coded(fov, occurs, [experiment.name] * len(fovs)),
            CONDITION: _coded(fov, occurs, [experiment.condition_of(info.well) for info in fovs]),
            WELL: _coded(fov, occurs, [info.well for info in fovs]),
            FOV: _coded(fov, occurs, [info.fov for info in fovs]),
            TRACK_ID: frame[TRACK_ID].to_numpy(),
            PARENT_TRACK_ID: frame[PARENT_TRACK_ID].to_numpy(),
            T: t,
            **names,
            HOURS: experiment.hours(t).astype(np.float32),
            Y: y,
            X: x,
            Z: z.astype(np.int16),
            Y_CROP: clamp_centres(y, _each(crops[:, 0], fov), _each(height, fov)).astype(np.int32),
            X_CROP: clamp_centres(x, _each(crops[:, 1], fov), _each(width, fov)).astype(np.int32),
        },
        copy=False,
    )


def _each(values: IntArray, fov: IntArray) -> IntArray:
    """Return the value of each row (N,), given that of each fov; one for all rows, (1,), where fovs agree."""
    return values[:1] if (values == values[0]).all() else values[fov]


def _coded(fov: IntArray, occurs: BoolArray, values: Sequence[str | None]) -> pd.Categorical:
    """Return one value for each row, given one for each fov, as a categorical of those of fovs that occur."""
    used = sorted({value for value, there in zip(values, occurs, strict=True) if there and value is not None})
    place = {value: i for i, value in enumerate(used)}
    code = np.array([-1 if value is None else place.get(value, -1) for value in values], dtype=np.int32)
    return pd.Categorical.from_codes(code[fov], categories=pd.Index(used, dtype="str"))


def _identities(
    experiment: Experiment, fovs: Sequence[FovInfo], tracks: pd.DataFrame, fov: IntArray, kept: IntArray
) -> dict[str, pd.Categorical]:
    """Return track and lineage ids; lineages are traced through rows that are not kept, too."""
    ids, parents = (tracks[name].to_numpy().astype(np.int64) for name in (TRACK_ID, PARENT_TRACK_ID))
    forest = build_forest(fov, ids, parents)
    root = root_tracks(forest.parent)
    prefixes = pa.array([f"{experiment.name}/{info.well}/{info.fov}/" for info in fovs])

    def named(track: IntArray) -> pd.Categorical:
        used, codes = _compress(track, len(forest.track_id))
        places = prefixes.take(pa.array(forest.group[used]))
        labels = pa_compute.binary_join_element_wise(
            places, pa.array(forest.track_id[used]).cast(pa.string()), ""
        )
        return pd.Categorical.from_codes(codes, categories=pd.Index(labels.to_pandas(), dtype="str"))

    own = forest.rows[kept]
    return {GLOBAL_TRACK_ID: named(own), LINEAGE_ID: named(root[own])}


def _compress(values: IntArray, limit: int) -> tuple[IntArray, NDArray[np.int32]]:
    """Return the values that occur, ascending, and for each row its place among them."""
    occurs = np.zeros(limit, dtype=np.bool_)
    occurs[values] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs, dtype=np.int32) - 1)[values]
