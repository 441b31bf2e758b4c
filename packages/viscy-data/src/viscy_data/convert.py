"""Movies to OME-Zarr: one plate per movie with its tracks beside it, and an experiments file.

A movie becomes the field of view ``A/1/0`` of a plate of its own, pixel for pixel and in its dtype; its
tracks are checked and written as one table. A value that the source does not state (interval, pixel
size, and always conditions and hours post infection) stays null in the experiments file, and is
named in its head and in the summary; nothing is invented. Only channels need a name, so those without
one are numbered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from viscy_data.columns import FOV, NO_PARENT, PARENT_TRACK_ID, TRACK_ID, T, X, Y, Z
from viscy_data.errors import InvalidInputError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.movies import Movie, find_movies
from viscy_data.plates import (
    EXPERIMENTS_FILE,
    PLATE_FOLDER,
    TRACKS_FOLDER,
    create_plate,
    staged,
    write_experiments,
    write_tracks,
)
from viscy_data.progress import progress_bar
from viscy_data.tracks import read_tracks

_WELL: Final = "A/1"
_FOV: Final = "A/1/0"


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
    """

    name: str
    shape: tuple[int, int, int, int, int]
    channels: tuple[str, ...]
    detections: int
    tracks: int
    divisions: int
    not_stated: tuple[str, ...]


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
    overwrite: bool = False,
    progress: bool = True,
) -> ConvertSummary:
    """Convert movies to OME-Zarr plates with tracks and an experiments file.

    Parameters
    ----------
    movies
        Movie folders or Cell Tracking Challenge folders, see `viscy_data.movies`.
    out
        Folder to write in; made when it does not exist.
    channels
        Positions (from 0) of the channels that the experiments file lists for every movie, in this
        order; all of them when None. The plates hold all channels in any case.
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
    found = find_movies(movies)
    out = Path(out)
    sources = [_inspect(movie) for movie in found]
    listed = _listed_channels(sources, channels)
    entries = [*(movie.name for movie in found), EXPERIMENTS_FILE]
    with staged(out, entries, overwrite=overwrite) as folder:
        total = sum(len(movie.frames) for movie in found)
        with progress_bar("convert", total, unit="frames", shown=progress) as advance:
            for source in sources:
                _write(source, folder / source.movie.name, advance)
        records = [_record(source, names) for source, names in zip(sources, listed, strict=True)]
        summaries = tuple(source.summary() for source in sources)
        write_experiments(folder / EXPERIMENTS_FILE, records, note=_note(summaries))
    return ConvertSummary(out / EXPERIMENTS_FILE, summaries)


@dataclass(frozen=True, eq=False)
class _Source:
    """A movie whose first frame and tracks have been read."""

    movie: Movie
    shape: tuple[int, int, int, int, int]
    dtype: np.dtype[Any]
    channels: tuple[str, ...]
    tracks: pd.DataFrame

    def not_stated(self) -> tuple[str, ...]:
        stated = {
            "channels": self.movie.channels,
            "interval_minutes": self.movie.interval_minutes,
            "pixel_size_um": self.movie.pixel_size_um,
            "condition_wells": None,
            "start_hpi": None,
        }
        return tuple(key for key, value in stated.items() if value is None)

    def summary(self) -> MovieSummary:
        parents = self.tracks[PARENT_TRACK_ID]
        return MovieSummary(
            name=self.movie.name,
            shape=self.shape,
            channels=self.channels,
            detections=len(self.tracks),
            tracks=int(self.tracks[TRACK_ID].nunique()),
            divisions=int(parents[parents != NO_PARENT].nunique()),
            not_stated=self.not_stated(),
        )


def _inspect(movie: Movie) -> _Source:
    first = movie.read(0)
    count, depth, height, width = first.shape
    shape = (len(movie.frames), count, depth, height, width)
    channels = movie.channels or tuple(f"channel_{i}" for i in range(count))
    if len(channels) != count:
        raise InvalidInputError(
            f"{movie.frames[0]}: shape={first.shape} (C, Z, Y, X) has {count} channels, but "
            f"channel_names={list(channels)} are stated; correct channel_names or frame_axes."
        )
    info = FovInfo(fov=_FOV, well=_WELL, shape=shape, channels=channels)
    # A table is one file for one field of view here, which the reader takes with any store.
    experiment = Experiment(
        name=movie.name, data_path=movie.frames[0].parent, tracks_path=movie.tracks, channels=channels
    )
    tracks = read_tracks(experiment, [info]).drop(columns=FOV)
    return _Source(movie, shape, first.dtype, channels, tracks)


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


def _write(source: _Source, folder: Path, advance: Callable[[int], None]) -> None:
    movie = source.movie
    images = create_plate(
        folder / PLATE_FOLDER,
        {_FOV: source.shape},
        channels=source.channels,
        dtype=source.dtype,
        pixel_size_um=movie.pixel_size_um,
        interval_minutes=movie.interval_minutes,
    )
    for t, path in enumerate(movie.frames):
        frame = movie.read(t)
        if frame.shape != source.shape[1:] or frame.dtype != source.dtype:
            raise InvalidInputError(
                f"{path}: shape={frame.shape} dtype={frame.dtype} differ from the first frame's "
                f"{source.shape[1:]} and {source.dtype}."
            )
        images[_FOV][t] = frame
        advance(1)
    columns = [TRACK_ID, T, *([Z] if source.tracks[Z].notna().any() else []), Y, X, PARENT_TRACK_ID]
    write_tracks(folder / TRACKS_FOLDER, _FOV, source.tracks[columns].sort_values([TRACK_ID, T]))


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
    return "Not stated by the sources, hence null (channels: numbered). Fill in what you know.\n" + "\n".join(
        lines
    )
