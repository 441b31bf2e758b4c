"""The slice of each row, where the experiments file decides it and not the tracks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from viscy_data.columns import CHANNEL, FOV, T, Z
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.z_policy import Planes, PlaneTable


def with_planes(
    tracks: pd.DataFrame, experiment: Experiment, fovs: Sequence[FovInfo], planes: Planes
) -> pd.DataFrame:
    """Return tracks, whose ``fov`` counts ``fovs``, in the slice of their experiment's leading channel."""
    policy = experiment.slices
    if policy.takes_tracks or not planes:
        return tracks
    z = _slices(policy.leading, experiment, fovs, planes, tracks)
    return tracks.assign(**{Z: z.astype(np.float32)})


def channel_planes(
    rows: pd.DataFrame, experiment: Experiment, fovs: Sequence[FovInfo], planes: Planes
) -> pd.DataFrame:
    """Return rows of one channel each, in the slice of their own channel."""
    if not experiment.slices.differs:
        return rows
    z = rows[Z].to_numpy(copy=True)
    shown = rows[CHANNEL].to_numpy()
    for channel in experiment.channels:
        own = shown == channel
        z[own] = _slices(channel, experiment, fovs, planes, rows[own])
    return rows.assign(**{Z: z})


def _slices(
    channel: str, experiment: Experiment, fovs: Sequence[FovInfo], planes: Planes, rows: pd.DataFrame
) -> NDArray[Any]:
    policy = experiment.slices
    infos = {info.fov: info for info in fovs}
    named = [str(name) for name in rows[FOV].cat.categories]
    listed = [policy.plane(channel, name, infos[name].shape[2], planes) for name in named]
    fov, t, z = (rows[FOV].cat.codes.to_numpy(), rows[T].to_numpy(), rows[Z].to_numpy())
    return PlaneTable.build(listed).at(fov.astype(np.int64), t.astype(np.int64), z)
