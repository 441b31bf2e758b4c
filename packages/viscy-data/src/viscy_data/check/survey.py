"""What findings are made of: places, options, metadata; from an anchors table or from an experiments file.

Reading is done here and nowhere else in this package. A table gives its places in one pass over few of its
columns, a block of rows at a time; an experiments file gives those that `index` would write, one experiment
after the other. What tau would work is asked only of experiments that lost much.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from viscy_data.check.fitting import Fit, asked_frames, fit_tau
from viscy_data.columns import (
    CHANNEL,
    CONDITION,
    EXPERIMENT,
    FOV,
    HAS_POSITIVE,
    OUTSIDE,
    PARENT_TRACK_ID,
    TRACK_ID,
    WELL,
    X_CROP,
    Y_CROP,
    T,
    Z,
)
from viscy_data.errors import InvalidInputError, StoreError, TracksError
from viscy_data.progress import progress_bar
from viscy_data.tables.anchors.read import (
    AnchorsMetadata,
    column_names,
    read_anchors,
    read_blocks,
    read_metadata,
    row_count,
)
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.experiments import find_problems, parse_experiments
from viscy_data.tables.places import Place, PlaceTally, places_of
from viscy_data.tables.positives import Positives
from viscy_data.tables.tau import TauRange

MUCH: Final = 0.5
"""Share of rows without a positive from which on a better tau is looked for."""

_LINES: Final = (EXPERIMENT, WELL, FOV, TRACK_ID, PARENT_TRACK_ID, T)


@dataclass(frozen=True)
class Survey:
    """What is known of a table, or of the table that an experiments file would become.

    Attributes
    ----------
    experiments
        As the experiments file has them.
    places
        What the table holds; of an experiments file, what it would hold.
    tau
        The range of positives.
    dropped
        Detections left out of the table, by experiment, condition ("": not told apart) and reason.
    fovs
        Fields of view by experiment, of stores that were opened; None: stores were not asked.
    fits
        The tau that would work, of experiments that lost much; None: it was not looked for.
    without_tracks
        Fields of view without tracks, by experiment.
    frames
        Of each experiment how many frames were read, and how many are ``blank`` or ``non_finite``; None: none
        was read.
    broken
        What keeps experiments from being read, one line each.
    notes
        What else reading the tracks of experiments showed.
    snapshots
        Experiments of one frame, or of an interval of 0: no tau is asked of them.
    later
        Whether positives are to be later relatives; where they are not, no tau is asked of any experiment.
    """

    experiments: tuple[Experiment, ...]
    places: tuple[Place, ...]
    tau: TauRange
    dropped: Mapping[str, Mapping[str | None, Mapping[str, int]]] = field(default_factory=dict)
    fovs: Mapping[str, Sequence[FovInfo]] | None = None
    fits: Mapping[str, Fit] | None = None
    without_tracks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    frames: Mapping[str, Mapping[str, int]] | None = None
    broken: tuple[str, ...] = ()
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    snapshots: frozenset[str] = frozenset()
    later: bool = True

    @property
    def movies(self) -> tuple[Experiment, ...]:
        """The experiments whose cells are to have later relatives."""
        return tuple(one for one in self.experiments if self.asks(one.name))

    def asks(self, experiment: str) -> bool:
        """Return whether cells of an experiment are to have later relatives."""
        return self.later and experiment not in self.snapshots

    def of(self, experiment: str) -> tuple[Place, ...]:
        """Return the places of one experiment."""
        return tuple(one for one in self.places if one.experiment == experiment)

    def dropped_for(self, experiment: str, word: str) -> int:
        """Return how many detections of an experiment were left out for a reason that holds a word."""
        counts = self.dropped.get(experiment, {}).values()
        return sum(count for one in counts for reason, count in one.items() if word in reason)


def survey_anchors(path: Path, *, thorough: bool, progress: bool, later: bool = True) -> Survey:
    """Take the survey of an anchors table; without ``thorough``, of its counts alone."""
    metadata = read_metadata(path)
    experiments = metadata.experiments.experiments
    places = _places(path, metadata, thorough=thorough, progress=progress)
    fovs, broken = _describe(experiments, progress=progress) if thorough else (None, [])
    fits = None
    if thorough:
        lost = {one.name for one in experiments if _lost_much(places, one.name)} - set(metadata.snapshots)
        fits = {
            one.name: fit_tau(read_anchors(path, columns=_LINES, experiments=[one.name]), asked)
            for one in experiments
            if one.name in lost and (asked := asked_frames(metadata.tau, one)) is not None
        }
    return Survey(
        experiments,
        places,
        metadata.tau,
        dropped={name: {"": counts} for name, counts in metadata.dropped.items()},
        fovs=fovs,
        fits=fits,
        without_tracks={} if fovs is None else _without_tracks(experiments, fovs, places),
        frames=metadata.frames,
        broken=tuple(broken),
        snapshots=frozenset(metadata.snapshots),
        later=later,
    )


def survey_experiments(path: Path, *, tau: TauRange, patch_size: tuple[int, int], progress: bool) -> Survey:
    """Take the survey of an experiments file: metadata of stores and all tracks, and no pixel.

    Raises
    ------
    ExperimentsFileError
        Where the file cannot be read at all.
    """
    from viscy_data.tables.anchors.build import build_experiment  # noqa: PLC0415

    parsed, problems = parse_experiments(path)
    fovs, broken = _describe(parsed, progress=progress)
    readable = [one for one in parsed if one.name in fovs]
    lines = [*problems, *broken, *find_problems(readable, fovs)]
    places: list[Place] = []
    dropped: dict[str, Mapping[str | None, Mapping[str, int]]] = {}
    without: dict[str, Sequence[str]] = {}
    fits: dict[str, Fit] = {}
    notes: dict[str, Sequence[str]] = {}
    snapshots = frozenset(
        one.name
        for one in readable
        if one.is_snapshot(max((info.shape[0] for info in fovs[one.name]), default=0))
    )
    with progress_bar("tracks", len(readable), unit="experiments", shown=progress) as advance:
        for experiment in readable:
            try:
                built = build_experiment(experiment, fovs[experiment.name], patch_size=patch_size)
            except (TracksError, InvalidInputError) as error:
                lines.append(f"experiment {experiment.name!r}: {error}")
                advance(1)
                continue
            asked = None if experiment.name in snapshots else asked_frames(tau, experiment)
            known = asked is not None and asked[0] <= asked[1]
            valid = (
                Positives(built.frame, {experiment.name: asked}).has_positive
                if known and asked is not None
                else pd.Series(False, index=range(len(built.frame))).to_numpy()
            )
            found = places_of(built.frame, valid)
            places += found
            dropped[experiment.name] = built.dropped
            notes[experiment.name] = built.notes
            if built.without_tracks:
                without[experiment.name] = built.without_tracks
            if asked is not None and len(built.frame) and _lost_much(found, experiment.name):
                fits[experiment.name] = fit_tau(built.frame, asked)
            advance(1)
    return Survey(
        tuple(parsed),
        tuple(places),
        tau,
        dropped=dropped,
        fovs=fovs,
        fits=fits,
        without_tracks=without,
        broken=tuple(lines),
        notes=notes,
        snapshots=snapshots,
    )


def _places(path: Path, metadata: AnchorsMetadata, *, thorough: bool, progress: bool) -> tuple[Place, ...]:
    """Count the places of a table in one pass; ``thorough``: with patches that cells share, too."""
    columns = [EXPERIMENT, CONDITION, WELL, FOV, *((TRACK_ID, Z, T, Y_CROP, X_CROP) if thorough else ())]
    tally = PlaceTally()
    names = column_names(path)
    columns += [OUTSIDE] if OUTSIDE in names else []
    columns += [CHANNEL] if CHANNEL in names and thorough else []
    if HAS_POSITIVE not in names:
        # A table that index did not write: whole, as positives are found among all its rows.
        table = read_anchors(path)
        frames = {one.name: asked_frames(metadata.tau, one) for one in metadata.experiments.experiments}
        tally.add(table, Positives(table, frames).has_positive)
        return tally.places()
    with progress_bar("check", row_count(path), unit="rows", shown=progress) as advance:
        for block in read_blocks(path, [*columns, HAS_POSITIVE]):
            tally.add(block, block[HAS_POSITIVE].to_numpy())
            advance(len(block))
    return tally.places()


def _lost_much(places: Iterable[Place], experiment: str) -> bool:
    own = [one for one in places if one.experiment == experiment]
    rows, valid = sum(one.rows for one in own), sum(one.valid_rows for one in own)
    return valid < MUCH * rows or any(one.valid_rows == 0 for one in own)


def _describe(
    experiments: Sequence[Experiment], *, progress: bool
) -> tuple[dict[str, Sequence[FovInfo]], list[str]]:
    from viscy_data.images.store import describe  # noqa: PLC0415

    fovs: dict[str, Sequence[FovInfo]] = {}
    broken = []
    with progress_bar("stores", len(experiments), unit="experiments", shown=progress) as advance:
        for experiment in experiments:
            try:
                fovs[experiment.name] = describe(experiment)
            except StoreError as error:
                broken.append(f"experiment {experiment.name!r}: {error}")
            advance(1)
    return fovs, broken


def _without_tracks(
    experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]], places: Sequence[Place]
) -> dict[str, Sequence[str]]:
    tracked: dict[str, set[str]] = {}
    for place in places:
        tracked.setdefault(place.experiment, set()).add(place.fov)
    found: dict[str, Sequence[str]] = {}
    for one in experiments:
        kept = [info.fov for info in fovs.get(one.name, ()) if info.fov not in one.exclude_fovs]
        missing = [fov for fov in kept if fov not in tracked.get(one.name, ())]
        if missing:
            found[one.name] = missing
    return found
