"""Movies to OME-Zarr: one plate per movie with its tracks beside it, and an experiments file.

A movie becomes the field of view ``A/1/0`` of a plate of its own, pixel for pixel and in its dtype; its
tracks are checked and written as one table. A value that the source does not state (interval, pixel
size, and always conditions and hours post infection) stays null in the experiments file, and is
named in its head and in the summary; nothing is invented. Only channels need a name, so those without
one are numbered. The summary also says what a user would want to know of the pixels: frames of a single
value, pixels that are not finite, axes that no file states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isclose, prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from viscy_data.columns import FOV, NO_PARENT, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.convert.frames import colours
from viscy_data.convert.movies import Movie, find_movies
from viscy_data.errors import InvalidInputError
from viscy_data.files.outputs import check_entries, check_outside, folder_named
from viscy_data.files.room import check_room
from viscy_data.images.plates import (
    EXPERIMENTS_FILE,
    PLATE_FOLDER,
    TRACKS_FOLDER,
    create_plate,
    staged,
    write_experiments,
    write_tracks,
)
from viscy_data.progress import progress_bar
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.read import load_tracks

_WELL: Final = "A/1"
_FOV: Final = "A/1/0"
_PACKED: Final = 4
"""Bytes of pixels per byte written, at best: what is asked of the disk does not exceed what must be."""


@dataclass(frozen=True)
class MovieSummary:
    """What became of one movie.

    Attributes
    ----------
    name
        Of the experiment.
    shape
        (T, C, Z, Y, X).
    channels
        Names in the store, in order.
    detections, tracks, divisions
        Cells times frames, tracks, and tracks that have daughters.
    not_stated
        Keys of the experiments file that the source says nothing about.
    remarks
        What is odd about the movie, a sentence each.
    """

    name: str
    shape: tuple[int, int, int, int, int]
    channels: tuple[str, ...]
    detections: int
    tracks: int
    divisions: int
    not_stated: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConvertSummary:
    """What `convert` wrote: the experiments file and one summary per movie."""

    experiments_path: Path
    movies: tuple[MovieSummary, ...]


def convert_movies(
    movies: Sequence[str | Path],
    out: str | Path,
    *,
    channels: Sequence[int] | None = None,
    axes: str | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> ConvertSummary:
    """Convert movies to OME-Zarr plates with tracks and an experiments file.

    Parameters
    ----------
    movies
        Movie folders or Cell Tracking Challenge folders, see `viscy_data.convert.movies`.
    out
        Folder to write in; made when it does not exist.
    channels
        Positions (from 0) of the channels that the experiments file lists for every movie, in this
        order; all of them when None. The plates hold all channels in any case.
    axes
        Letters of the dimensions of every TIFF file, such as "ZCYX", which count whatever the files state; T
        where one file holds all frames. As the files state when None.
    overwrite
        Replace what an earlier call wrote.
    progress
        Show a progress bar.

    Raises
    ------
    InvalidInputError
        A folder holds no movie, a file of it cannot be used, the movies have different numbers of
        channels, or ``out`` holds some of them already.
    TracksError
        Tracks that cannot be used; names file, row and column.
    """
    out = folder_named(out)
    found = find_movies(movies, axes)
    check_entries(out, [], overwrite=overwrite)
    check_outside(out, [*movies, *(movie.frames[0].parent for movie in found)])
    sources = [_inspect(movie) for movie in found]
    listed = _listed_channels(sources, channels)
    check_room(out, sum(prod(source.shape) * source.dtype.itemsize for source in sources) // _PACKED)
    entries = [*(movie.name for movie in found), EXPERIMENTS_FILE]
    read = [*movies, *(path for movie in found for path in (movie.tracks, *movie.frames[:1]))]
    with staged(out, entries, overwrite=overwrite, inputs=read) as folder:
        total = sum(source.shape[0] for source in sources)
        with progress_bar("convert", total, unit="frames", shown=progress) as advance:
            remarks = [_write(source, folder / source.movie.name, advance) for source in sources]
        records = [_record(source, names) for source, names in zip(sources, listed, strict=True)]
        summaries = tuple(source.summary(more) for source, more in zip(sources, remarks, strict=True))
        write_experiments(folder / EXPERIMENTS_FILE, records, note=_note(summaries))
    return ConvertSummary(out / EXPERIMENTS_FILE, summaries)


@dataclass(frozen=True, eq=False)
class _Source:
    """A movie whose headers and tracks have been read."""

    movie: Movie
    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]
    channels: tuple[str, ...]
    is_named: bool
    z_step_um: float | None
    tracks: pd.DataFrame
    remarks: tuple[str, ...]

    def not_stated(self) -> tuple[str, ...]:
        stated = {
            "channels": self.is_named or None,
            "interval_minutes": self.movie.interval_minutes,
            "pixel_size_um": self.movie.pixel_size_um,
            "condition_wells": None,
            "start_hpi": None,
        }
        return tuple(key for key, value in stated.items() if value is None)

    def summary(self, remarks: Sequence[str]) -> MovieSummary:
        parents = self.tracks[PARENT_TRACK_ID]
        return MovieSummary(
            name=self.movie.name,
            shape=self.shape,
            channels=self.channels,
            detections=len(self.tracks),
            tracks=int(self.tracks[TRACK_ID].nunique()),
            divisions=int(parents[parents != NO_PARENT].nunique()),
            not_stated=self.not_stated(),
            remarks=(*self.remarks, *remarks),
        )


def _inspect(movie: Movie) -> _Source:
    image, shape = movie.describe()
    axes, stated, count = movie.axes_of(image), image.stated, shape[1]
    remarks = list(stated.remarks)
    if (
        movie.axes is None
        and movie.channels is None
        and "Q" in image.axes
        and not movie.depth_first
        and count > 1
    ):
        remarks.append(f"axes not stated by the files: {count} channels, as C, Y, X (slices: --axes ZYX)")
    for name in ("interval_minutes", "pixel_size_um"):
        mine, theirs = getattr(movie, name), getattr(stated, name)
        if None not in (mine, theirs) and not isclose(mine, theirs, rel_tol=0.01):
            remarks.append(f"{name}: meta.json states {mine:g}, the TIFF file {theirs:g}; the first is taken")
    movie = replace(
        movie,
        interval_minutes=movie.interval_minutes or stated.interval_minutes,
        pixel_size_um=movie.pixel_size_um or stated.pixel_size_um,
    )
    fits = stated.channels is not None and len(stated.channels) == count
    named = movie.channels or (stated.channels if fits else None)
    channels = named or colours(axes, image) or tuple(f"channel_{i}" for i in range(count))
    if len(channels) != count:
        raise InvalidInputError(
            f"{movie.frames[0]}: shape={shape[1:]} (C, Z, Y, X) has {count} channels, but "
            f"channel_names={list(channels)} are stated; correct channel_names or frame_axes."
        )
    info = FovInfo(fov=_FOV, well=_WELL, shape=shape, channels=channels)
    # A table is one file for one field of view here, which the reader takes with any store.
    experiment = Experiment(
        name=movie.name, data_path=movie.frames[0].parent, tracks_path=movie.tracks, channels=channels
    )
    read = load_tracks(experiment, [info])
    remarks += [f"{reason}: {count}" for reason, count in read.left_out.items()]
    tracks = read.frame.drop(columns=FOV)
    unseen = ~tracks[PARENT_TRACK_ID].isin([NO_PARENT, *tracks[TRACK_ID].unique()])
    if unseen.any():
        count = tracks.loc[unseen, TRACK_ID].nunique()
        remarks.append(f"{count} tracks whose parent no mask shows are written without a parent")
        tracks.loc[unseen, PARENT_TRACK_ID] = NO_PARENT
    is_named = named is not None
    return _Source(movie, shape, image.dtype, channels, is_named, stated.z_step_um, tracks, tuple(remarks))


def _listed_channels(sources: Sequence[_Source], asked: Sequence[int] | None) -> list[list[str]]:
    """Return the channels that the experiments file lists for every movie."""
    counts = {source.movie.name: len(source.channels) for source in sources}
    by_movie = ", ".join(f"{name}: {count}" for name, count in counts.items())
    if asked is None:
        if len(set(counts.values())) > 1:
            raise InvalidInputError(
                f"The movies have different numbers of channels ({by_movie}). An experiments file needs the "
                "same number everywhere: convert movies of one kind together, or choose channels that "
                "all of them have, such as channels=[0]."
            )
        return [list(source.channels) for source in sources]
    least = min(counts.values())
    if not asked or len(set(asked)) < len(asked) or not all(0 <= place < least for place in asked):
        raise InvalidInputError(
            f"channels={list(asked)} must be different positions from 0 to {least - 1}; "
            f"channels there are: {by_movie}."
        )
    return [[source.channels[place] for place in asked] for source in sources]


def _write(source: _Source, folder: Path, advance: Callable[[int], None]) -> list[str]:
    """Write a movie and its tracks; return what is odd about its pixels."""
    movie = source.movie
    images = create_plate(
        folder / PLATE_FOLDER,
        {_FOV: source.shape},
        channels=source.channels,
        dtype=source.dtype,
        pixel_size_um=movie.pixel_size_um,
        z_step_um=source.z_step_um,
        interval_minutes=movie.interval_minutes,
    )
    blank: list[list[int]] = [[] for _ in source.channels]
    lost: list[list[int]] = [[] for _ in source.channels]
    for t, frame in enumerate(movie.images()):
        images[_FOV][t] = frame
        for channel, pixels in enumerate(frame):
            if (pixels == pixels.flat[0]).all():
                blank[channel].append(t)
            elif pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
                lost[channel].append(t)
        advance(1)
    columns = [TRACK_ID, T, *([Z] if source.tracks[Z].notna().any() else []), Y, X, PARENT_TRACK_ID]
    write_tracks(folder / TRACKS_FOLDER, _FOV, source.tracks[columns].sort_values([TRACK_ID, T]))
    return [
        *_where("blank frames (all pixels equal)", blank, source),
        *_where("pixels not finite", lost, source),
    ]


def _where(what: str, found: Sequence[Sequence[int]], source: _Source) -> list[str]:
    """Say in which frames of which channels something was found."""
    return [
        f"{what} in {name}: {len(frames)} of {source.shape[0]}, t={', '.join(map(str, frames[:5]))}"
        + (", ..." if len(frames) > 5 else "")
        for name, frames in zip(source.channels, found, strict=True)
        if frames
    ]


def _record(source: _Source, channels: list[str]) -> dict[str, object]:
    name = source.movie.name
    return {
        "name": name,
        "data_path": f"{name}/{PLATE_FOLDER}",
        "tracks_path": f"{name}/{TRACKS_FOLDER}",
        "channels": channels,
        "condition_wells": None,
        "interval_minutes": source.movie.interval_minutes,
        "start_hpi": None,
        "pixel_size_um": source.movie.pixel_size_um,
        "exclude_fovs": [],
    }


def _note(summaries: Sequence[MovieSummary]) -> str:
    lines = [f"{summary.name}: {', '.join(summary.not_stated)}" for summary in summaries]
    lines += [f"{summary.name}: {remark}" for summary in summaries for remark in summary.remarks]
    return "Not stated by the sources, hence null (channels: numbered). Fill in what you know.\n" + "\n".join(
        lines
    )
