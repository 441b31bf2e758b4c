"""The tau that would work: from how many frames lie between detections of a cell and its next ones.

A tau range loses a movie where no detection has a later one so many frames on: the tracks are shorter than
the range, or have gaps that it does not meet. For each row the *gap* is the number of frames to the next
detection of its track or, at the end of the track, to the first one of a daughter. The range that was asked
for, widened to hold the gap that nine rows in ten keep within, is the nearest one that works; how many rows
then have a positive is counted, not estimated.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from viscy_data.columns import EXPERIMENT, PARENT_TRACK_ID, TRACK_ID, T
from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.lineage import IntArray, build_forest
from viscy_data.tables.positives import Positives, lines_of_channels
from viscy_data.tables.tau import TauRange

_USUAL: Final = 0.9
# Hours are written with four decimals, rounded outwards: a third of a second.
_DECIMALS: Final = 1e4


@dataclass(frozen=True)
class Fit:
    """What the tracks of one experiment allow.

    Attributes
    ----------
    rows
        Rows of the experiment.
    followed
        Rows whose cell, or a daughter of it, is seen again later.
    gap
        Frames within which nine in ten of them are; 0: none is.
    frames
        The nearest range of tau that works, in frames; None: no range does.
    valid
        Rows that have a positive in it.
    """

    rows: int
    followed: int
    gap: int
    frames: tuple[int, int] | None
    valid: int


def fit_tau(frame: pd.DataFrame, asked: tuple[int, int]) -> Fit:
    """Return which range of tau, near the one ``asked`` for, the tracks of an experiment allow.

    ``asked`` may be empty, its first end above its second.
    """
    gaps = next_gaps(frame)
    followed = gaps[gaps > 0]
    if not len(followed):
        return Fit(len(frame), 0, 0, None, 0)
    gap = int(np.quantile(followed, _USUAL, method="inverted_cdf"))
    frames = min(asked[0], gap), max(asked[1], gap)
    name = str(frame[EXPERIMENT].iloc[0])
    valid = int(Positives(frame, {name: frames}).has_positive.sum())
    return Fit(len(frame), len(followed), gap, frames, valid)


def next_gaps(frame: pd.DataFrame) -> IntArray:
    """Return for each row (N,) the frames to the next detection of its track or of a daughter; 0: none.

    Examples
    --------
    >>> columns = {"track_id": [1, 1, 2], "parent_track_id": [-1, -1, 1], "t": [0, 2, 5]}
    >>> next_gaps(pd.DataFrame({"experiment": "a", "fov": "0", **columns})).tolist()
    [2, 3, 0]
    """
    ids, parents, t = (frame[name].to_numpy().astype(np.int64) for name in (TRACK_ID, PARENT_TRACK_ID, T))
    forest = build_forest(lines_of_channels(frame)[0], ids, parents)
    order = np.lexsort((t, forest.rows))
    track, time = forest.rows[order], t[order]
    first = np.full(len(forest.parent), np.iinfo(np.int64).max)
    np.minimum.at(first, track, time)
    daughter = np.full(len(forest.parent), np.iinfo(np.int64).max)
    born = np.flatnonzero(forest.parent >= 0)
    np.minimum.at(daughter, forest.parent[born], first[born])
    later = np.where(np.append(track[1:] == track[:-1], False), np.append(time[1:], 0), daughter[track])
    gaps = np.empty(len(frame), dtype=np.int64)
    gaps[order] = np.where((later > time) & (later < np.iinfo(np.int64).max), later - time, 0)
    return gaps


def asked_frames(tau: TauRange, experiment: Experiment) -> tuple[int, int] | None:
    """Return the range in frames, which may be empty (first end above second); None: no interval known.

    A snapshot has none to ask for: see ``Survey.snapshots``.
    """
    if tau.frames is not None:
        return tau.frames
    if not experiment.interval_minutes or tau.hours is None:
        return None
    return tau.ends(experiment.interval_minutes)


def better_tau(tau: TauRange, fits: Mapping[str, Fit], experiments: Sequence[Experiment]) -> TauRange | None:
    """Return the range asked for, widened to what the lost experiments need; None: none would do."""
    interval = {one.name: one.interval_minutes for one in experiments}
    found = [(fit.frames, interval[name]) for name, fit in fits.items() if fit.frames is not None]
    if not found:
        return None
    if tau.frames is not None:
        low, high = (min(one[0] for one, _ in found), max(one[1] for one, _ in found))
        return TauRange(frames=(min(low, tau.frames[0]), max(high, tau.frames[1])))
    least, most = tau.hours or (0.0, 0.0)
    for frames, minutes in found:
        if minutes is not None:
            least = min(least, math.floor(frames[0] * minutes / 60 * _DECIMALS) / _DECIMALS)
            most = max(most, math.ceil(frames[1] * minutes / 60 * _DECIMALS) / _DECIMALS)
    try:
        return TauRange(hours=(least, most))
    except InvalidInputError:
        return None


def tau_option(tau: TauRange) -> str:
    """Return a range as the option of ``viscy-data index``.

    Examples
    --------
    >>> tau_option(TauRange(frames=(1, 3))), tau_option(TauRange(hours=(0.5, 0.75)))
    ('--tau-frames 1 3', '--tau-hours 0.5 0.75')
    """
    kind, ends = ("frames", tau.frames) if tau.frames is not None else ("hours", tau.hours)
    return f"--tau-{kind} {' '.join(f'{end:g}' for end in ends or ())}"
