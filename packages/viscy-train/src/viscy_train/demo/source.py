"""From nothing, movies or an experiments file to an anchors table, and what is known about it.

Conditions or hours that an experiment does not state switch off what needs them: balance, focus,
every metric of the condition. That is written down in `Source.notes`, which the report prints.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.console import Console

from viscy_data import (
    AnchorsMetadata,
    Experiment,
    Experiments,
    IndexSummary,
    InvalidInputError,
    TauRange,
    build_index,
    check_anchors,
    columns,
    convert_movies,
    describe,
    read_anchors,
    read_metadata,
    shown,
    synthesize,
)
from viscy_train.demo.settings import DemoSettings

type Origin = Literal["synthetic", "movies", "data"]


@dataclass(frozen=True)
class Source:
    """An indexed data set.

    Attributes
    ----------
    origin : {"synthetic", "movies", "data"}
    anchors_path : Path
    anchors : DataFrame
    metadata : AnchorsMetadata
    summary : IndexSummary
    has_conditions, has_hours : bool
        Whether every anchor has one.
    notes : tuple of str
        What is not known, and what follows.
    """

    origin: Origin
    anchors_path: Path
    anchors: pd.DataFrame
    metadata: AnchorsMetadata
    summary: IndexSummary
    has_conditions: bool
    has_hours: bool
    notes: tuple[str, ...]

    @property
    def experiments(self) -> Experiments:
        """The experiments file."""
        return self.metadata.experiments

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of a patch, as the first experiment calls them."""
        return self.experiments.patch_channels


def prepare(
    data: Path | None, movies: Sequence[Path], out: Path, settings: DemoSettings, *, progress: bool
) -> Source:
    """Synthesise or convert where asked to, and index.

    Raises
    ------
    InvalidInputError
        If both an experiments file and movies are given, or their content cannot be used.
    """
    if data is not None and movies:
        raise InvalidInputError(f"data={str(data)!r} and {len(movies)} movies: give one of them")
    origin: Origin = "data" if data is not None else "movies" if movies else "synthetic"
    if data is None and movies:
        data = convert_movies(movies, out / "data", overwrite=True, progress=progress).experiments_path
    elif data is None:
        data = synthesize(
            out / "data", seed=settings.seed, overwrite=True, progress=progress, **settings.synthetic
        )
    summary = build_index(
        data,
        out / "anchors.parquet",
        patch_size=(settings.patch, settings.patch),
        tau=choose_tau(Experiments.load(data), settings.tau_steps),
        progress=progress,
        overwrite=True,
        missing_chunks=settings.missing_chunks,
        non_finite=settings.non_finite,
    )
    if progress:
        checked = check_anchors(summary.anchors_path, thorough=False)
        Console(stderr=True, soft_wrap=True, highlight=False).print(checked)
    return _describe(origin, summary)


def choose_tau(experiments: Experiments, steps: int) -> TauRange:
    """Return the range of times between an anchor and its positive.

    In hours where all intervals are known: up to some frames of the slowest experiment, so that
    the same biological time passes everywhere. In frames otherwise.
    """
    known = [one.interval_minutes for one in experiments.experiments if one.interval_minutes is not None]
    if len(known) < len(experiments.experiments):
        return TauRange(frames=(1, steps))
    return TauRange(hours=(0.0, steps * max(known) / 60))


def _describe(origin: Origin, summary: IndexSummary) -> Source:
    anchors = read_anchors(summary.anchors_path)
    metadata = read_metadata(summary.anchors_path)
    has_conditions = bool(anchors[columns.CONDITION].notna().all())
    has_hours = bool(anchors[columns.HOURS].notna().all())
    notes = _notes(metadata, has_conditions=has_conditions, has_hours=has_hours)
    return Source(origin, summary.anchors_path, anchors, metadata, summary, has_conditions, has_hours, notes)


def _notes(metadata: AnchorsMetadata, *, has_conditions: bool, has_hours: bool) -> tuple[str, ...]:
    every = metadata.experiments.experiments
    without = {
        "condition": [one.name for one in every if one.condition_wells is None],
        "interval": [one.name for one in every if one.interval_minutes is None],
        "start": [one.name for one in every if one.start_hpi is None],
    }
    notes = []
    if not has_conditions:
        notes.append(
            f"No condition is stated for {_list(without['condition'])}: balance is off, and "
            "what needs a condition is not measured; all cells count as one condition."
        )
    if not has_hours:
        notes.append(
            "Hours post infection are not known for all cells (no interval: "
            f"{_list(without['interval'])}; no start: {_list(without['start'])}): "
            "focus is off, and time is counted in frames."
        )
    if metadata.tau.frames is not None:
        low, high = metadata.tau.frames
        notes.append(
            f"A positive is {low} to {high} frames away, since not every interval is known: its time differs "
            "between experiments."
        )
    unsized = [one.name for one in every if not _has_pixel_size(one)]
    if unsized:
        notes.append(
            f"No pixel size is known for {_list(unsized)}: patches are cut in pixels, not resampled."
        )
    if len(every) < 2:
        notes.append("There is one experiment: leakage and mixing cannot be measured.")
    return tuple(notes)


def _has_pixel_size(experiment: Experiment) -> bool:
    return experiment.pixel_size_um is not None or all(
        fov.pixel_size_um is not None for fov in describe(experiment)
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names)) or "none"
